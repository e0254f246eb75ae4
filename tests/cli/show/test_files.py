"""How it is shown what an erasure takes away."""

from bat_os.cli.console import Screen
from bat_os.cli.show.files import COMMANDS

NOTHING = {"places": [], "files": [], "more": 0, "past": {"records": 0, "since": 0.0},
           "elsewhere": [], "left": [], "erased": False}  # fmt: skip


def test_each_place_that_holds_the_words_is_a_row_with_its_fate(capsys):
    place = {"kind": "slot", "what": "robot_obj.note", "fate": "reworded"}
    found = {**NOTHING, "places": [place], "files": ["log/kernel.log"]}
    COMMANDS["erase"].show(found, Screen())
    *rows, end = capsys.readouterr().out.splitlines()
    assert [row.split() for row in rows] == [
        ["KIND", "WHERE", "FATE"],
        ["slot", "robot_obj.note", "reworded"],
        ["file", "log/kernel.log", "blanked"],
    ]
    assert end == "nothing was changed; with --yes all of this is removed for good"


def test_of_words_that_stand_nowhere_one_line_says_so(capsys):
    COMMANDS["erase"].show(NOTHING, Screen())
    assert capsys.readouterr().out == "the words stand nowhere in this home\n"
