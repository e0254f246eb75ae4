"""What is typed carelessly gets the answer of what is typed cleanly; through the real library."""

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("waht is 15 percnt of 240", 36),
        ("avrage of 4, 8 and 12", 8),
        ("wich is the largest of 4, 9 and 2", 9),
        ("how mnay minuts are in 3 huors", 180),
        ("reverce the word 'planet'", "tenalp"),
        ("count teh vowals in 'education'", 5),
        ("what is the squareroot of 144", 12),
        ("devide 144 by 12", 12),
        ("12 tims 7", 84),
        ("wahts 20 plus 22", 42),
        ("uppercas 'hello'", "HELLO"),
    ],
)
async def test_a_misspelt_question_is_computed(said, text, value):
    body = await said(text)
    assert (body["kind"], body["value"]) == ("computed", value)


async def test_a_misspelt_order_changes_what_was_meant(said):
    body = await said("plese add quinoaa to my shoping lsit")
    assert body["kind"] == "acted"
    assert "quinoaa" in body["text"]
    assert "shopping list" in body["text"]
    assert "quinoaa" in (await said("waht is on teh shopping list"))["text"]


async def test_a_follow_up_refers_to_what_was_meant(said):
    await said("waht is 15 percnt of 240")
    assert (await said("adn of 100?"))["value"] == 15


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("could you please tell me what 18 times 4 is for me", 72),
        ("ok, seriously: 45 / 9", 5),
        ("fine. what is 25% of 80?", 20),
        ("quick question: what's the average of 3, 5 and 10", 6),
        ("sorry to bother you, but what is 7 factorial?", 5040),
        ("plese cuold you tell me waht 6 tims 7 is", 42),
        ("would you be so kind as to reverse the word 'garden' for me, thanks", "nedrag"),
        ("könntest du mir bitte sagen, was 15 prozent von 80 sind? danke", 12),
        ("j'ai une question : combien font 20 % de 50 ?", 10),
        ("por favor, puedes decirme cuánto es 12 por 12, gracias", 144),
    ],
)
async def test_a_polite_or_roundabout_question_is_computed(said, text, value):
    body = await said(text)
    assert (body["kind"], body["value"]) == ("computed", value)


@pytest.mark.parametrize("text", ["ok", "thanks", "yes please", "no thanks", "hello"])
async def test_politeness_alone_is_conversation(said, text):
    assert (await said(text, session=text))["kind"] == "said"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A shirt costs 40 euros. It is 25% off. What do I pay?", 30),
        ("My numbers are 4, 8 and 15. What is the average?", 9),
        (
            "Here are some words: kiwi, fig, apple. Sort them alphabetically.",
            ["apple", "fig", "kiwi"],
        ),
        ("My salary is 2400 a month. What is that per year?", 28800),
        ("The list is [3, 1, 2]. Which number is the largest?", 3),
        ("Die Zahlen sind 3, 9 und 6. Was ist der Durchschnitt?", 6),
    ],
)
async def test_a_question_behind_a_situation_is_computed(said, text, value):
    body = await said(text, session=text)
    assert (body["kind"], body["value"]) == ("computed", value)
