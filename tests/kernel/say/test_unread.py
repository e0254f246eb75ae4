"""What a sentence says is read whole, or asked about; through the real library."""

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("how many days from Monday to Friday", 4),
        ("add 1 to one point five million", 1500001),
        ("what percentage of 80 is 20", 25),
        ("what is 3 kg plus 200 g in grams", 3200),
        ("combien font 3 kg plus 200 g en grammes", 3200),
        ("wats the avrage of 10, 20, 40 and 50", 30),
        ("how many lines does 'a b' contain", 1),
        ("how many days left this year, please", None),
        ("how many days before Christmas", None),
        ("how many days are left till new years eve", None),
        ("what time is it, my friend", None),
        ("flip my coin", None),
    ],
)
async def test_what_is_said_to_the_end_is_computed(said, text, value):
    body = await said(text, session=text)
    assert body["kind"] == "computed"
    assert value in (None, body["value"])


@pytest.mark.parametrize(
    "text",
    [
        "how many days are left in my holiday",
        "how many lines of 'a ERROR b' contain ERROR",
        "what is the mean of 7,5",
        "days till the day before christmas eve",
        "wie viele Tage sind es noch bis zum Tag vor Weihnachten",
        "quel est le deuxième plus petit nombre parmi 19, 4, 33 et 7 ?",
    ],
)
async def test_what_would_be_left_out_is_not_computed(said, text):
    assert (await said(text, session=text))["kind"] in ("asked", "unable")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("convert 3 euros to cents", 300),
        ("convert 1.500,50 EUR to cents", 150050),
        ("250 cents to dollars", 2.5),
        ("wie viele Cent sind 3 Euro", 300),
        ("€40 plus €5", 45),
        ("3 times 12.50 €", 37.5),
        ("convertis 3 euros en centimes", 300),
        ("convierte 3 euros a céntimos", 300),
    ],
)
async def test_money_is_converted_within_its_currency(said, text, value):
    body = await said(text, session=text)
    assert (body["kind"], body["value"]) == ("computed", value)


@pytest.mark.parametrize(
    "text",
    [
        "remind me on the last friday of each month to pay rent",
        "erinnere mich jeden letzten Freitag im Monat an die Miete",
        "erinnere mich am letzten Freitag jedes Monats an die Miete",
    ],
)
async def test_a_repetition_that_no_rule_has_is_asked_about(said, text):
    assert (await said(text, session=text))["kind"] == "asked"


@pytest.mark.parametrize(
    "text",
    [
        "Um wie viel Uhr ist mein Arzttermin?",
        "quelle heure est mon rendez-vous ?",
        "¿qué hora es mi cita?",
        "welcher Tag ist meine Prüfung",
    ],
)
async def test_the_clock_does_not_answer_for_what_a_person_owns(said, text):
    assert (await said(text, session=text))["kind"] != "computed"


async def test_what_a_person_owns_is_looked_for_in_what_was_said(said):
    await said("Merken Sie sich bitte, dass mein Arzttermin am Montag um 9 Uhr ist.")
    body = await said("Um wie viel Uhr ist mein Arzttermin?")
    assert (body["kind"], "9 Uhr" in body["text"]) == ("recalled", True)


@pytest.mark.parametrize(
    "text",
    [
        "had a cup of coffee, finally",
        "j'ai couru 10 km en 50 minutes",
        "ich bin gestern 10 km in 50 Minuten gelaufen",
        "ayer corrimos 10 km en 50 minutos",
    ],
)
async def test_what_a_sentence_only_tells_is_not_computed(said, text):
    assert (await said(text, session=text))["kind"] != "computed"
