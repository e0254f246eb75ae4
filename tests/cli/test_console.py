"""bat_os.cli.console: what a person sees, on a terminal and in a pipe."""

import io
import json

import pytest
from rich.console import Console

from bat_os.cli.canvas import lay_out
from bat_os.cli.console import Screen, render, to_json

ANSWER = {
    "result": 42, "printed": "thinking", "status": "verified", "learned": True, "target": "o",
    "selector": "f", "args": [5], "kwargs": {"n": "x"}, "seconds": 0.0123, "why": "2 of 8 agree",
}  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["a [bold]b[/]", ":warning: [/x]", "tab\tand\r\x07bell", "x" * 500, "\x1b[31mred", "é\n"],
)
def test_a_pipe_gets_an_answer_exactly_as_it_is(capsys, text):
    Screen().result(ANSWER | {"result": text})
    assert capsys.readouterr().out == text + "\n"


def test_only_the_answer_is_on_standard_output(capsys):
    Screen().result(ANSWER)
    told = capsys.readouterr()
    assert told.out == "42\n"
    assert "thinking" in told.err
    assert "o.f(5, n='x'): learned now (verified, 2 of 8 agree), 12.3 ms" in told.err


def test_json_is_one_object_and_nothing_else(capsys):
    screen = Screen(as_json=True)
    screen.note("waking up")
    screen.event("event", {"state": "complete", "persona": "ALFRED"}, 1.0)
    screen.result(ANSWER | {"result": b"ab"})
    told = capsys.readouterr()
    assert json.loads(told.out) == ANSWER | {"result": "6162"}
    assert told.err == ""


def test_an_error_is_told_with_its_code_and_what_can_be_done(capsys):
    Screen().error({"code": "STORAGE_FULL", "message": "no [room]"})
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "STORAGE_FULL no [room]; free some disk space and ask again\n"


def test_only_an_object_that_is_not_there_is_looked_for_among_the_objects(capsys):
    lost = {"code": "NOT_FOUND", "message": "there is no object 'x'", "details": {"target": "x"}}
    Screen().error(lost)
    Screen().error({"code": "NOT_FOUND", "message": "the image has no model x", "details": {}})
    assert capsys.readouterr().err.splitlines() == [
        "NOT_FOUND there is no object 'x'; batos list shows the objects",
        "NOT_FOUND the image has no model x",
    ]


def test_advice_can_be_typed_where_it_stands(capsys):
    Screen(name="./run.sh ").note("batos list shows them; a batos of metal, batos.toml")
    Screen(name="/").error({"code": "INVALID_ARGS", "message": "no; batos source A B shows it"})
    assert capsys.readouterr().err.splitlines() == [
        "./run.sh list shows them; a batos of metal, batos.toml",
        "INVALID_ARGS no; /source A B shows it",
    ]


def test_an_error_as_json_is_an_object_with_the_one_key_error(capsys):
    Screen(as_json=True).error({"code": "BUSY", "message": "full"})
    assert json.loads(capsys.readouterr().out) == {"error": {"code": "BUSY", "message": "full"}}


def test_what_is_said_beside_the_answer_cannot_move_the_cursor(capsys):
    screen = Screen()
    screen.note("a\x1b[2Jb")
    screen.error({"code": "INTERNAL", "message": "\x1b]0;title\x07"})
    screen.event("event", {"state": "failed", "detail": {"reason": "\x9b1A"}}, 0.0)
    told = capsys.readouterr().err
    assert not set("\x1b\x07\x9b") & set(told)
    assert r"a\x1b[2Jb" in told


def test_values_that_json_does_not_have_become_text():
    value = {"a": [float("nan"), float("-inf")], "b": {"c": b"\xff"}, "d": 2**62}
    assert json.loads(to_json(value)) == {"a": ["nan", "-inf"], "b": {"c": "ff"}, "d": 2**62}
    assert render(value) == to_json(value)


HEADS = ("BRIEF", "STATE", "PROBLEM")
ROWS = [["01a1ff6f74e56176e1226feb", "failed", "none of 8 candidates is good enough: 8 x nothing"],
        ["01a1ff6f747a2979beba037b", "complete", ""]]  # fmt: skip


def draw(width, rows=ROWS, heads=HEADS):
    console = Console(file=io.StringIO(), width=width)
    console.print(lay_out(rows, heads, width))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_wide_window_has_a_row_in_a_line():
    head, first, second = draw(120)
    assert head.split() == list(HEADS)
    assert first.startswith("01a1ff6f74e56176e1226feb  failed    none of 8")
    assert second.split() == ["01a1ff6f747a2979beba037b", "complete"]


def test_in_a_smaller_one_the_widest_column_wraps_and_no_other():
    lines = draw(60)
    assert lines[1].startswith("01a1ff6f74e56176e1226feb  failed    none of 8")
    assert lines[2].startswith(" " * 36)


@pytest.mark.parametrize("width", [18, 24, 40])
def test_in_a_narrow_one_heads_stand_beside_their_cells(width):
    lines = draw(width)
    assert all(len(line) <= width for line in lines)
    heads = [head for line in lines for head in line.split()[:1] if head in HEADS]
    assert heads == [*HEADS, *HEADS]
    assert lines[0].startswith("BRIEF")


def test_wide_characters_count_as_two():
    assert draw(40, [["日本語", "x"]], ("A", "B"))[1] == "日本語  x"
