"""bat_os.image.quotes: which line of a passage answers a question, by words and by kind."""

import datetime as dt

import pytest

from bat_os.documents.chunking import split_sentences
from bat_os.image.quotes import Line, ask, has_answer, is_one_slip, lines_of, match, weigh

NOW = dt.datetime(2026, 5, 6, 9, 30, tzinfo=dt.UTC)
PASSAGE = """Lock hire

Fees
A locker costs four euros a month.
- Deposit: 20 euros
- Pick up: at the desk
The keys are handed out on Mondays by Mrs Ruiz; they must be back by June."""


def lines(title="Sports hall", passage=PASSAGE):
    return list(lines_of(title, passage, split_sentences(passage)))


def answers(question, text, context=""):
    asked, line = ask(question), Line(text, context)
    found = match(asked, line, weigh(asked, [line]))
    return found is not None and has_answer(asked, line, NOW)


def test_headings_are_context_and_no_lines():
    found = lines()
    assert [line.text for line in found] == [
        "A locker costs four euros a month.", "Deposit: 20 euros", "Pick up: at the desk",
        "The keys are handed out on Mondays by Mrs Ruiz", "they must be back by June.",
    ]  # fmt: skip
    assert "Fees" in found[0].context
    assert "The keys" in found[-1].context  # "they" are the keys
    assert all(line.text in PASSAGE for line in found)


@pytest.mark.parametrize(
    ("question", "text", "expected"),
    [
        ("when is the yard swept?", "The yard is swept on Fridays.", True),
        ("when is the yard swept?", "The yard is swept by the tenants.", False),
        ("when was the mill built?", "The mill was built in 1822.", True),
        ("who sweeps the yard?", "The yard is swept by Mr Kato.", True),
        ("who sweeps the yard?", "The yard is swept on rainy days.", False),
        ("how many bikes fit into the shed?", "The shed has room for 12 bikes.", True),
        ("how many bikes fit into the shed?", "Bikes fit into the shed from 8 o'clock.", False),
        ("how old is the oak?", "The oak has 300 leaves.", False),
        ("how old is the oak?", "The oak is 300 years old.", True),
        ("what does a ticket cost?", "A ticket costs 3 euros.", True),
        ("what does a ticket cost?", "A ticket is valid for 3 hours.", False),
        ("where do we meet?", "We meet at the old pump.", True),
        ("what does code 7 mean?", "Code 9 means low oil.", False),
        ("who runs the shop in Turin?", "The shop in Milan is run by Ada.", False),
        ("how lond is the brigde?", "The bridge is 40 metres long.", True),
        ("when did they loose the cup", "They lost the cup in 1998.", True),
        ("wie heißt der Hausmeister?", "Der Hausmeister ist Herr Okoye.", True),
        ("wie heißt der Hausmeister?", "Der Hausmeister ist nur dienstags da.", False),
        ("wie groß ist der Keller?", "Der Keller misst 40 Quadratmeter.", True),
        ("wie groß ist der Keller?", "Der Keller ist feucht.", False),
        ("how warm is the pool?", "The pool is kept at 26 degrees Celsius.", True),
        ("how warm is the pool?", "The pool is open for 26 weeks.", False),
        ("what is the name of the caretaker?", "The caretaker is Mr Okoye.", True),
        ("what does it mean if the bell rings twice?", "If the bell rings twice, leave.", True),
    ],
)
def test_a_line_answers_by_its_words_and_by_what_is_asked_for(question, text, expected):
    assert answers(question, text) is expected


def test_what_the_question_says_is_no_answer_to_it():
    assert not answers("when is the shop open on Monday?", "The shop is open on Monday.")


def test_words_of_the_title_need_not_stand_in_the_line():
    text = "The rack holds 9 bottles."
    assert (
        match(ask("is the cellar damp?"), Line(text, "The cellar"), {"cellar": 1, "damp": 1})
        is None
    )
    assert answers("how many bottles does the rack in the cellar hold?", text, "The cellar")


def test_what_is_no_question_needs_all_words():
    assert answers("the fee of the rack", "The fee of the rack is 3 euros.")
    assert not answers("pay the fee of the rack", "The fee of the rack is 3 euros.")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [("recieve", "receive", True), ("hosue", "house", True), ("table", "cable", True),
     ("garden", "harbor", False), ("abc", "abc", True)],
)  # fmt: skip
def test_one_slip_is_one_letter(one, other, expected):
    assert is_one_slip(one, other) is expected
