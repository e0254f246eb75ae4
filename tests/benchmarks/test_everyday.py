"""The everyday cases are sound: the right answer passes, and one that is wrong does not."""

import json
from collections import Counter
from datetime import datetime

import pytest

from benchmarks.everyday import CASES, Reply, expected, find_numbers, judge, read_reply, readings

KINDS = {"computed", "recalled", "acted", "said", "asked", "unable"}
LINES = [json.loads(line) for line in CASES.read_text(encoding="utf-8").splitlines()]
TURNS = [
    pytest.param(case, turn, id=f"{case['id']}.{at}")
    for case in LINES
    for at, turn in enumerate(case["turns"], start=1)
]


def moment(case):
    return datetime.fromisoformat(f"{case.get('today', '2026-03-11')}T15:30:00+00:00")


def answers(turn):
    """Return an answer in words that is right."""
    value = turn.get("value")
    if "good" in turn or value is None:
        return turn.get("good", "Well then.")
    shown = {True: "Yes.", False: "No."}.get(value) if isinstance(value, bool) else value
    return ", ".join(map(str, shown)) if isinstance(shown, list) else str(shown)


def test_there_are_200_cases_of_many_kinds_in_four_languages():
    counts = Counter(case["language"] for case in LINES)
    assert len({case["id"] for case in LINES}) == len(LINES) == 200
    assert (counts["de"], counts["fr"], counts["es"]) == (10, 10, 10)
    assert len({case["category"] for case in LINES}) == 16


@pytest.mark.parametrize(("case", "turn"), TURNS)
def test_what_is_right_passes_and_what_is_wrong_does_not(case, turn):
    now, served = moment(case), next(iter(turn["kinds"]))
    assert set(turn["kinds"]) <= KINDS
    good = "honest" if served in ("asked", "unable") else "right"
    assert judge(turn, Reply(served, answers(turn)), now) == good
    assert judge(turn, Reply("late"), now) == "late"
    for kind in ("computed", "recalled", "acted", "said"):
        assert judge(turn, Reply(kind, "null"), now) == "wrong"
        assert judge(turn, Reply(kind, turn["say"]), now) == "wrong"
        if "bad" in turn or "value" in turn:
            assert judge(turn, Reply(kind, turn.get("bad", "I would say 7731.")), now) == "wrong"
    if "expr" in turn:
        assert expected(turn, now) == turn["value"]
    if not turn.get("learn", True):
        assert judge(turn, Reply(served, answers(turn), learned=True), now) == "wrong"


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"result": 8, "status": "known", "learned": False, "printed": ""}, 0, "computed"),
        ({"result": "Hello.", "status": "talk", "learned": False, "printed": ""}, 0, "said"),
        ({"error": {"code": "EXAMPLE_WANTED", "message": "?"}}, 1, "asked"),
        ({"error": {"code": "NOT_UNDERSTOOD", "message": "?"}}, 1, "unable"),
        ({"error": {"code": "DEADLINE", "message": "?"}}, 1, "late"),
        ({"error": {"code": "INTERNAL", "message": "?"}}, 1, "error"),
        ({"kind": "guess", "value": 8, "text": ""}, 0, "guess"),
        ({"kind": "unable", "text": "I cannot."}, 5, "unable"),
    ],
)
def test_a_reply_is_read_by_its_kind_its_status_or_its_code(body, status, kind):
    assert read_reply(status, json.dumps(body), 0.1).kind == kind
    assert read_reply(None, "", 60.0).kind == "late"


def test_numbers_are_read_in_every_notation():
    found = find_numbers("1,234.50 or 1.234,5 €, -7 and 20°C, three, 12kg at 7:35")
    assert [readings(one)[0] for one in found] == [1234.5, 1234.5, -7, 20, 3, 12, 7, 35]


@pytest.mark.parametrize(
    ("value", "right", "wrong"),
    [
        ("2026-04-25", "Saturday, 25 April 2026", "Sunday, 26 April 2026"),
        ("2026-04-25", "April 25th", "April 2nd, 2025"),
        ("2026-04-25", "am 25.04.2026", "am 25.05.2026"),
        ("2026-04-25", "le 25 avril", "le 25 avril 2027"),
        ("06:10", "at 6:10 am", "at 6:10 pm"),
        (2500, "That is 2,500 ml.", "That is 25,000 ml."),
        (90.3, "90,30 €", "93 €"),
        (1.5, "1.5 (you told me on 2026-11-22 at 14:30)", "15"),
        ([4, 7, 19], "[4, 7, 19]", "[4, 19, 7]"),
        (False, "No, it is not.", "Yes, true."),
    ],
)
def test_a_value_is_found_in_other_words(value, right, wrong):
    turn, now = {"say": "well?", "kinds": ["computed"], "value": value}, moment({})
    assert judge(turn, Reply("computed", right), now) == "right"
    assert judge(turn, Reply("computed", wrong), now) == "wrong"
    assert judge(turn, Reply("guess", wrong), now) == "guess"
