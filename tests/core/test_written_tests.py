"""bat_os.core.written_tests: a persona's tests count beside agreement, never instead of it."""

import json

import pytest

from bat_os.core.brief import Brief
from bat_os.core.choosing import Verdict, choose
from bat_os.core.personas import Limits
from bat_os.core.written_tests import (
    ask_tests,
    find_strong,
    read_tests,
    schema_for,
    weigh,
    with_results,
)
from bat_os.errors import ModelOutputError

LIMITS = Limits()
BRIEF = Brief("genesis_obj", "double", (21,))


def verdicts(*meanings, known=()):
    return tuple(
        Verdict(number, f"def f(): # {number}", meaning=meaning, preview=meaning,
                known="seed:x" if number in known else "", weight=1.0 if number in known else 0.0)
        for number, meaning in enumerate(meanings)
    )  # fmt: skip


def passing(*drafts):
    return frozenset(drafts)


def test_the_question_shows_the_signature_and_how_tests_look():
    prompt = ask_tests(BRIEF, "You are ALFRED.")
    assert "def double(self, number):" in prompt.messages[-1][1]
    for role, text in prompt.messages[1:-1]:
        if role == "assistant":
            assert 1 <= len(json.loads(text)["tests"]) <= LIMITS.tests
    assert schema_for(BRIEF, LIMITS)["properties"]["tests"]["maxItems"] == LIMITS.tests


def test_tests_are_read_each_once_and_at_most_four():
    listed = [{"args": [n // 2], "result": n} for n in range(20)]
    tests = read_tests(json.dumps({"tests": listed}), BRIEF, LIMITS)
    assert tests == ({"args": [0], "result": 0}, {"args": [1], "result": 2})


@pytest.mark.parametrize(
    "text",
    ["", "no", "[]", '{"tests": 1}', '{"tests": [1]}', '{"tests": [{"args": [1]}]}',
     '{"tests": [{"args": [1, 2], "result": 3}]}', '{"tests": [{"args": 1, "result": 3}]}',
     "[" * 100_000],
    ids=lambda text: text[:40] or "nothing",
)  # fmt: skip
def test_what_is_no_test_is_refused(text):
    with pytest.raises(ModelOutputError):
        read_tests(text, BRIEF, LIMITS)


def test_a_test_that_none_or_all_pass_is_weak():
    drafts = passing(0, 1, 2)
    assert find_strong([passing(), passing(0, 1, 2), passing(1)], drafts) == [2]
    assert with_results([{"args": [1], "result": 2}], [passing(1)], [0]) == [
        {"args": [1], "result": 2, "passed": [1], "strong": True}
    ]


def test_agreement_and_a_passed_test_together_verify():
    choice = weigh(choose(verdicts(*"aaaaabcd"), 0), [passing(0, 1, 2, 3, 4)])
    assert choice.status == "verified"
    assert choice.reason == "5 of 8 candidates agree; passes the written test"


def test_without_a_strong_test_nothing_changes():
    choice = choose(verdicts(*"aaaaabcd"), 0)
    assert weigh(choice, []) == choice


def test_a_winner_that_fails_a_test_stays_provisional_and_says_so():
    choice = weigh(choose(verdicts(*"aaaaabcd"), 0), [passing(5)])
    assert (choice.status, choice.chosen.meaning) == ("provisional", "a")
    assert choice.reason.endswith("fails a written test")


def test_of_candidates_that_agree_one_that_passes_is_taken_and_stays_provisional():
    choice = weigh(choose(verdicts(*"aaaaabcd"), 0), [passing(2)])
    assert (choice.status, choice.chosen.draft) == ("provisional", 2)


def test_tests_alone_never_install_or_verify_they_only_order_what_is_shown():
    unsure = choose(verdicts(*"aaabbcde"), 0)
    weighed = weigh(unsure, [passing(3, 4)])
    assert (weighed.chosen, weighed.status) == (None, "unsure")
    assert [rival.meaning for rival in weighed.rivals] == ["b", "a"]


def test_a_known_function_with_its_weight_is_not_five_of_eight():
    choice = choose(verdicts(*"aabcdefga", known=(8,)), 0)
    assert choice.status == "provisional"
    weighed = weigh(choice, [passing(0, 1, 8)])
    assert (weighed.status, "passes the written test" in weighed.reason) == ("provisional", True)
