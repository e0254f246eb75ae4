"""bat_os.core.choosing: which candidate is kept."""

import datetime as dt
from dataclasses import replace

import pytest

from bat_os.core.choosing import MENDED, Verdict, choose, form, meaning, preview


def verdict(draft, value=None, **more):
    return Verdict(draft, f"source {draft}", meaning=meaning(value), **more)


def test_the_answer_that_most_candidates_give_wins_and_is_provisional():
    choice = choose((verdict(0, 1), verdict(1, 2), verdict(2, 2.0)), examples=0)
    assert choice.chosen is not None
    assert (choice.chosen.draft, choice.status, choice.chosen.agree) == (1, "provisional", 2)


def test_an_earlier_candidate_wins_a_tie():
    choice = choose((verdict(0, "a", passed=1), verdict(1, "b", passed=1)), examples=1)
    assert choice.chosen is not None
    assert choice.chosen.draft == 0


def test_below_five_of_eight_nobody_is_chosen_and_two_different_answers_are_shown():
    answers = (1, 1, 1, 1, 2, 2, 3, None)
    given = tuple(verdict(n, a, problem="" if a else "line 1: no") for n, a in enumerate(answers))
    choice = choose(given, examples=0)
    assert (choice.chosen, choice.status) == (None, "unsure")
    assert [(v.draft, v.agree) for v in choice.rivals] == [(0, 4), (4, 2)]
    assert "only 4 of 8" in choice.reason


def test_five_of_eight_are_enough():
    answers = (1, 1, 1, 1, 1, 2, 2, 3)
    choice = choose(tuple(verdict(n, a) for n, a in enumerate(answers)), examples=0)
    assert choice.status == "provisional"


def test_of_those_that_agree_the_one_that_most_others_follow_on_other_arguments_is_kept():
    probed = ("x", "y", "y", "y", "x")
    given = tuple(verdict(n, True, probed=key) for n, key in enumerate(probed))
    choice = choose(given, examples=0)
    assert choice.chosen is not None
    assert (choice.chosen.draft, choice.chosen.agree, choice.chosen.same_on_probes) == (1, 5, 3)


def test_a_known_function_for_the_wish_is_enough_by_itself():
    written = [verdict(n, n) for n in range(8)]
    choice = choose((verdict(8, "x", known="seed:1", weight=1.0), *written), examples=0)
    assert choice.chosen is not None
    assert (choice.chosen.draft, choice.status) == (8, "provisional")
    assert choice.reason == "a known function does this"


def test_a_known_function_that_is_only_near_is_one_voice_among_others():
    written = [verdict(n, 1 if n < 5 else n) for n in range(8)]
    near = verdict(8, "x", known="seed:1", weight=0.4)
    assert choose((near, *written), examples=0).reason == "5 of 8 candidates agree"
    few = choose((replace(near, weight=0.3), *written[3:]), examples=0)
    assert (few.status, few.rivals[0].draft) == ("unsure", 3)


def test_one_that_is_far_never_wins_without_an_example():
    far = verdict(0, 1, known="seed:1")
    told = choose((far,), examples=0)
    assert (told.chosen, told.status) == (None, "")
    assert "written for another wish" in told.reason
    assert choose((replace(far, passed=1),), examples=1).status == "verified"


def test_candidates_whose_answers_say_nothing_have_no_vote():
    doubted = [verdict(n, "abc", doubt="gives its argument back as it is") for n in range(6)]
    choice = choose((*doubted, verdict(6, "cba"), verdict(7, "cba")), examples=0)
    assert (choice.status, choice.rivals[0].draft, choice.rivals[0].agree) == ("unsure", 6, 2)


def test_examples_beat_agreement_and_make_it_verified():
    wrong = [verdict(n, 7, passed=1) for n in range(3)]
    choice = choose((*wrong, verdict(3, 8, passed=2)), examples=2)
    assert choice.chosen is not None
    assert (choice.chosen.draft, choice.status) == (3, "verified")


def test_what_was_changed_to_fit_the_examples_is_not_verified_by_them():
    choice = choose((verdict(0, 1, passed=1, fixups=(MENDED,)),), examples=1)
    assert (choice.status, choice.reason) == ("provisional", "was changed to reproduce the example")


def test_a_function_for_another_wish_gives_way_to_a_written_one_that_fits_as_well():
    far = verdict(0, False, passed=1, known="seed:1")
    near = (verdict(1, True, passed=1), verdict(2, False, passed=1))
    assert choose((far, *near), examples=1).chosen.draft == 1


def test_an_answer_that_is_the_argument_itself_is_shown_after_one_that_is_not():
    echoes = [verdict(n, "abc", returns_argument=True) for n in range(3)]
    others = [verdict(n, text) for n, text in enumerate(("cba", "cba", "x", "y", "z"), 3)]
    told = choose((*echoes, *others), examples=0)
    assert [rival.draft for rival in told.rivals] == [3, 0]


def test_random_texts_of_one_form_agree():
    assert form("x7Kq") == form("0aZ9")
    assert len({form("1234"), form("12345"), form("abcd"), form("ab-d")}) == 4


def test_a_batch_that_misses_the_examples_is_rejected_with_the_reasons():
    choice = choose((verdict(0, 1), verdict(1, problem="line 1: import of os")), examples=1)
    assert choice.chosen is None
    assert "1 ran but did not reproduce the example" in choice.reason
    assert "1 x line 1: import of os" in choice.reason


def test_candidates_with_a_problem_have_no_vote():
    choice = choose((verdict(0, 1), *(verdict(n, 2, problem="x") for n in (1, 2))), examples=0)
    assert [v.draft for v in choice.rivals] == [0]


NOON = dt.datetime(2026, 1, 2, 12, 0, 5, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (2, 2.0), ("Hello  World", "hello world"), ("'x'", "x"), (NOON, "2026-01-02 12:00:59"),
        ([1, 2], (1.0, 2)), ({2, 1}, [1, 2]), ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (0.1 + 0.2, 0.3),
    ],
)  # fmt: skip
def test_values_of_the_same_meaning_agree(one, other):
    assert meaning(one) == meaning(other)


@pytest.mark.parametrize(
    ("one", "other"), [(1, True), (1, "1"), (None, ""), ([1, 2], [2, 1]), (1, 2)]
)
def test_values_of_different_meaning_do_not_agree(one, other):
    assert meaning(one) != meaning(other)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, b"x", {}, dt.timedelta(1)])
def test_every_plain_value_has_a_meaning(value):
    assert meaning(value)


def test_a_preview_is_one_short_line():
    assert len(preview("x" * 1000)) == 120


@pytest.mark.parametrize(
    "value",
    [
        NOON, NOON.timestamp(), int(NOON.timestamp()), "2026-01-02 12:00:05", "12:00:05", "12:00",
        "Fri Jan  2 12:00:05 2026", "12:00 PM", "2026-01-02T12:00:31", NOON.replace(tzinfo=None),
    ],
)  # fmt: skip
def test_whatever_names_the_present_moment_has_one_meaning(value):
    assert meaning(value, NOON) == "the present moment"


@pytest.mark.parametrize("value", [1, 12, "noon", "112:00", "12:05", None, [], "2026-01-02"])
def test_nothing_else_names_the_present_moment(value):
    assert meaning(value, NOON) == meaning(value)


def test_of_answers_that_mean_the_same_the_readable_one_is_kept():
    seconds = [Verdict(n, "", meaning="the present moment") for n in (0, 1)]
    text = Verdict(2, "", meaning="the present moment", readable=True)
    other = Verdict(3, "", meaning="text now", readable=True)
    choice = choose((*seconds, text, other), examples=0)
    assert choice.chosen is not None
    assert (choice.chosen.draft, choice.chosen.agree) == (2, 3)
