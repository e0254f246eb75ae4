"""bat_os.cli.progress: steps and counted work, on a terminal and in a pipe."""

import sys

import pytest

from bat_os.cli import progress
from bat_os.cli.console import Screen
from bat_os.cli.progress import Progress
from bat_os.core.values import Counted


@pytest.fixture
def lively(monkeypatch):
    monkeypatch.setattr(Screen, "lively", property(lambda _: True))
    return Screen()


def test_in_a_pipe_a_step_is_one_line_and_its_details_are_none(capsys):
    shown = Progress()
    shown.show("reading", ": 1 page")
    shown.show("reading", ": 2 pages")
    shown.say("read")
    assert capsys.readouterr().err == "reading: 1 page\nread\n"


def test_on_a_terminal_a_step_is_rewritten_in_place(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    shown = Progress()
    shown.show("reading", ": 1 page")
    shown.show("reading", ": 2 pages")
    shown.say("read")
    assert capsys.readouterr().err == (
        "\r\033[Kreading: 1 page\r\033[Kreading: 2 pages\r\033[Kread\n"
    )


def test_counted_work_is_a_bar_that_is_gone_at_the_end(lively, capsys):
    with Progress(lively, total=2) as shown:
        shown.begin("a.md")
        shown.hear("event", {"text": "a.md: 1 of 2", "done": 1, "total": 2})
        shown.end()
        shown.begin(Counted("b.md\x1b[2J", 1, 2))
    lines = capsys.readouterr().err.split("\r\033[K")[1:]
    assert lines == [
        f"[{'-' * 24}] 0/2  a.md",
        f"[{'#' * 6}{'-' * 18}] 0/2  a.md: 1 of 2",
        f"[{'#' * 12}{'-' * 12}] 1/2  a.md: 1 of 2",
        f"[{'#' * 18}{'-' * 6}] 1/2  b.md [2J",
        "",
    ]


def test_counted_work_is_seldom_a_line_in_a_pipe_and_never_one_that_is_quiet(monkeypatch, capsys):
    with Progress(Screen(), total=2) as shown:
        shown.begin("a.md")
    monkeypatch.setattr(progress, "SELDOM", 0.0)
    with Progress(Screen(quiet=True)) as shown:
        shown.begin("a.md")
    assert capsys.readouterr().err == ""
    with Progress(Screen(), total=2) as shown:
        shown.begin("a.md")
    assert capsys.readouterr().err == "[0 of 2] a.md\n"
