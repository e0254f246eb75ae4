"""How ``batos proposals`` shows what is proposed, and with ``--weeks`` the weeks."""

from bat_os.cli.console import Screen
from bat_os.cli.show.idle import COMMANDS

QUIET = {"kept": 0, "corrected": 0, "asked": 0, "failed": 0}


REST = {"dissonance": 0, "curiosity": 0, "spent": 0.0, "budget": 600.0, "resting": ""}


def shown(capsys, *weeks):
    rows = [{"week": f"2026-01-0{at}", **QUIET, **week} for at, week in enumerate(weeks, 1)]
    body = {"proposals": [], "weeks": rows, **REST}
    COMMANDS["proposals"].show(body, Screen())
    return [line.split()[5:] for line in capsys.readouterr().out.splitlines()[1:]]


def test_a_week_has_a_bar_with_a_letter_per_mission(capsys):
    bars = shown(capsys, {"kept": 3, "asked": 2}, {}, {"failed": 1})
    assert bars == [["kkkaa"], [], ["f"]]


def test_of_many_missions_a_letter_stands_for_several_and_none_is_left_out(capsys):
    (bar,), (small,) = shown(capsys, {"kept": 150, "corrected": 1, "failed": 40}, {"asked": 1})
    assert bar == "k" * 30 + "c" + "f" * 8
    assert small == "a"


def test_the_first_choice_of_a_proposal_needs_no_number(capsys):
    row = {"n": 4, "what": "double", "kind": "other way", "why": "two", "choices": ["one", "two"]}
    COMMANDS["proposals"].show({"proposals": [row], **REST}, Screen())
    lines = [line.strip() for line in capsys.readouterr().err.splitlines()]
    assert lines[1:3] == ["accept 4: one", "accept 4 2: two"]
