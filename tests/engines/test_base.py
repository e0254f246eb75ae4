"""Texts in the making: what is told when, and what ends a wait."""

import asyncio
import re
import subprocess
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.core.prompts import STOP
from bat_os.engines.base import Halt, Inbox, Row, default_threads, need_packages
from tests.stages import make_first_stage


@pytest.mark.parametrize(("cores", "threads"), [(8, 7), (1, 1), (None, 1)])
def test_where_no_cores_can_be_chosen_all_but_one_are_used(monkeypatch, cores, threads):
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    assert default_threads() == threads


STOPS = [STOP, r"\bEND\b", r"\n\n", r"```", r"a+b", r"(?<=x)y", r"\s*foo", r".*z", ""]


def fill(stop, pieces):
    told = []
    row = Row(stop, told.append)
    for piece in pieces:
        row.add(piece)
    row.end(finished=False)
    return row, told


@given(st.sampled_from(STOPS), st.lists(st.text("ab xyzfo`\nEND", max_size=4), max_size=30))
def test_the_told_pieces_add_up_to_the_text_for_any_stop(stop, pieces):
    row, told = fill(stop, pieces)

    assert "".join(told) == row.text
    assert all(told)
    assert "".join(pieces).startswith(row.text)


@given(st.lists(st.text("ab xy`\n)", max_size=4), max_size=30))
def test_the_text_ends_before_the_first_match_of_stop(pieces):
    row, _ = fill(STOP, pieces)

    match = re.search(STOP, "".join(pieces))
    assert row.text == "".join(pieces)[: match.start() if match else None]
    assert row.finished == bool(match)


def test_only_what_may_be_cut_off_is_held_back():
    told = []
    row = Row(STOP, told.append)
    for piece in ("return", " a", "\n", "   # b", "\n", "``"):
        row.add(piece)

    assert "".join(told) == "return a\n   # b"


def test_an_expression_that_only_the_standard_library_reads_tells_all_at_the_end():
    row, told = fill("x{e", ["one ", "two x{e", "three"])

    assert told == [row.text] == ["one two "]


async def test_an_inbox_gives_items_in_order_until_it_is_halted():
    halted = threading.Event()
    inbox = Inbox(halted.is_set)
    inbox.put_from_thread(1)
    inbox.put(2)

    assert {await inbox.get(), await inbox.get()} == {1, 2}
    waiting = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    halted.set()
    assert await waiting is None


def test_a_deadline_halts_and_zero_sets_none():
    closed = threading.Event()

    assert Halt(None, 1e-9, closed)()
    assert not Halt(None, 0, closed)()
    closed.set()
    assert Halt(None, 0, closed)()


@pytest.mark.parametrize("reason", ["cancel", "closed"])
def test_either_flag_halts(reason):
    flags = {"cancel": threading.Event(), "closed": threading.Event()}
    halted = Halt(flags["cancel"], 0, flags["closed"])
    flags[reason].set()

    assert halted()


@pytest.mark.slow
def test_what_set_up_installs_later_is_refused_by_name_until_it_is_there(tmp_path):
    need_packages()
    script = "from bat_os.engines.base import *; from bat_os.errors import *\n"
    script += "try: prepare(1)\nexcept ModelError as error: print(error)"
    python = make_first_stage(tmp_path / "venv", without=("peft", "torch"))
    told = subprocess.run(
        [python, "-c", script],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert told.stdout == (
        "the engine transformers is not installed yet (it needs torch, peft); "
        "`batos setup --all` installs it\n"
    )
