"""bat_os.core.discussion: who begins, what is asked, what carries a mark."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.core.discussion import (
    ask_first,
    ask_second,
    find_circle,
    is_enough,
    keep,
    mark,
    shorten,
    split,
    who_begins,
)
from bat_os.core.personas import BRICK, ROBIN, Limits

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


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("one two three four five one two three four five", "one two three four five"),
        ("It is a very good day. It is a very good day.", "It is a very good day."),
        ("so so so", "so so"),
        ("and so and so and so on", "and so and so on"),
        ("It is. It is? It is! Yes", "It is? It is! Yes"),
    ],
)
def test_the_first_repetition_is_found_where_it_begins(text, rest):
    assert text[find_circle(text) :] == rest


@pytest.mark.parametrize(
    "text", ["", "one", "no no, it is fine", "the cat and the dog and the cow"]
)
def test_plain_text_has_no_circle(text):
    assert find_circle(text) == -1


def test_what_is_in_the_middle_of_a_sentence_is_cut_off():
    assert split("First. Second! And the thi") == ["First.", "Second!"]
    assert split("no end at all") == []


def test_abbreviations_and_numbers_in_lists_end_no_sentence():
    assert split("1. Open it, e.g. by hand.") == ["Open it, e.g. by hand."]
    assert split("It was in 1999. It cost 3.5 euros.") == ["It was in 1999.", "It cost 3.5 euros."]


def test_labels_and_marks_of_the_models_own_are_not_kept():
    assert keep("BRICK: A list [1] has ends [1, 2]. So it is.", 3) == [
        "A list has ends.",
        "So it is.",
    ]


def test_at_most_so_many_sentences_are_kept():
    assert keep("One is red. Two is blue. Three is old. Four is new.", 3) == [
        "One is red.", "Two is blue.", "Three is old.",
    ]  # fmt: skip


def test_a_sentence_that_was_said_already_is_left_out():
    before = ["A stack is a list that grows at one end."]
    text = "A stack is a list that grows at one end! It helps you to undo things."
    assert keep(text, 3, before) == ["It helps you to undo things."]


def test_asking_the_question_again_is_no_answer():
    assert keep("What is ZODB? ZODB is what it is.", 3, (), "What is ZODB?") == [
        "ZODB is what it is."
    ]


def test_of_a_text_in_circles_the_part_before_is_kept():
    text = "A bat flies at night. It hears the walls. " + "It hears the walls and the " * 5
    assert keep(text, 3) == ["A bat flies at night.", "It hears the walls."]


@given(
    st.lists(
        st.sampled_from(["a", "cat", "is", "red.", "Is", "it?", "[1]", "so", "1."]), max_size=40
    )
)
def test_what_comes_after_enough_changes_nothing(words):
    text = " ".join(words)
    for end in range(len(text)):
        if is_enough(text[:end], 3):
            assert keep(text[:end], 3) == keep(text, 3)
            return


@given(st.text(max_size=200))
def test_any_text_gives_sentences_or_none(text):
    assert all(sentence.strip() for sentence in keep(text, 3))
    is_enough(text, 3)
