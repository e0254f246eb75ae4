"""bat_os.core.discussion: who begins, what is asked, what carries a mark."""

import pytest

from bat_os.core.discussion import ask_first, ask_second, mark, shorten, who_begins
from bat_os.core.limits import Limits
from bat_os.core.personas import BRICK, ROBIN

LIMITS = Limits()


@pytest.mark.parametrize(
    "question",
    [
        "How does a stack work?",
        "What is a prime?",
        "When was ZODB made?",
        "is 7 odd",
        "Whyever not",
    ],
)
def test_brick_begins_where_a_fact_is_asked_for(question):
    assert who_begins(question) == ("BRICK", "ROBIN")


@pytest.mark.parametrize(
    "question",
    ["Why is it so?", " why?", "Should I stop?", "I feel lost, what now?", "Does it matter?"],
)
def test_robin_begins_where_a_reason_or_a_feeling_is_asked_for(question):
    assert who_begins(question) == ("ROBIN", "BRICK")


def test_passages_are_numbered_and_the_second_is_given_the_first_answer():
    first = ask_first(BRICK, "What is it?", ["One thing.", "Another."], LIMITS)
    assert first.messages[0] == ("system", BRICK.system_prompt)
    assert "[1] One thing.\n[2] Another." in first.messages[1][1]
    assert "Use the notes" in first.messages[1][1]
    second = ask_second(ROBIN, "What is it?", [], ("BRICK", "It is a thing."), LIMITS)
    assert "BRICK answered: It is a thing." in second.messages[1][1]
    assert "Notes" not in second.messages[1][1]


def test_a_long_passage_is_cut_at_a_word():
    told = shorten("word " * 400, 400)
    assert len(told) <= 402
    assert told.endswith("word …")


def test_only_a_sentence_that_a_passage_speaks_for_carries_a_mark():
    assert mark(["A.", "B."], [[0.9, 0.6], [0.4, 0.1]]) == ("A. [1] B.", (1,))
    assert mark(["A.", "B."], [[], []]) == ("A. B.", ())
