"""Verbs about missions and time, as processes on a real kernel that thinks when it is told to."""

import asyncio
import contextlib
import json
import os
import pty
import re
import shlex
import shutil
import signal

import pytest

from bat_os.cli.connection import run_interruptible
from bat_os.cli.console import Screen
from bat_os.cli.show.command import read_input
from bat_os.errors import RemoteError
from tests.cli.clients import ENVIRON, finish, launch, verb
from tests.forks import PYTHON
from tests.kernels import ROOT, ThinkingKernel
from tests.world.mcp.servers import HOSTILE

pytestmark = [pytest.mark.system, pytest.mark.slow]


async def begin_mission(kernel, selector="double", *args):
    """Ask for what has to be learned; return (the task that waits, its brief's id)."""
    accepted = asyncio.get_running_loop().create_future()

    def hear(kind, body):
        if kind == "accepted" and not accepted.done():
            accepted.set_result(body["brief_id"])

    asking = asyncio.ensure_future(
        kernel.request(
            "send", timeout=60, on_event=hear, target="genesis_obj", selector=selector,
            args=list(args), ik="k1",
        )
    )  # fmt: skip
    return asking, await accepted


async def test_missions_shows_what_runs_and_what_has_ended(thinking):
    home = thinking.home.path
    async with thinking.client() as kernel:
        asking, brief = await begin_mission(kernel, "double", 21)
        running = (await verb(home, "missions", "--state", "running", "--json")).json["missions"]
        assert [one["brief_id"] for one in running] == [brief]
        thinking.gate.set()
        assert (await asking)["result"] == 42
    lines = (await verb(home, "missions")).out.splitlines()
    assert lines[0].split() == ["BRIEF", "STATE", "ACCEPTED", "MESSAGE", "PROBLEM"]
    assert lines[1].split()[:2] == [brief, "complete"]
    assert lines[1].endswith("genesis_obj.double")
    none = await verb(home, "missions", "--state", "failed")
    assert (none.status, none.out, none.err) == (0, "", "no missions\n")


async def test_a_state_that_is_none_gets_the_list_of_states(thinking):
    ended = await verb(thinking.home.path, "missions", "--state", "runing")
    assert ended.status == 1
    assert "running, waiting, idle, decomposing" in ended.err


async def test_watch_follows_one_mission_to_its_end(thinking):
    home = thinking.home.path
    async with thinking.client() as kernel:
        asking, brief = await begin_mission(kernel, "double", 21)
        watching = await launch("batos.py", home, "watch", brief, "--json")
        first = json.loads(await watching.stdout.readline())
        assert (first["brief_id"], first["state"]) == (brief, "decomposing")
        thinking.gate.set()
        ended = await finish(watching)
        await asking
    *events, last = map(json.loads, ended.out.splitlines())
    assert [one["state"] for one in events] == [
        "delegating", "synthesizing", "validating", "complete"
    ]  # fmt: skip
    assert (ended.status, last["ended"]) == (0, "complete")


async def test_watch_of_all_goes_on_until_ctrl_c_and_says_nothing_of_it(thinking):
    home = thinking.home.path
    thinking.gate.set()
    async with thinking.client() as kernel:
        watching = await launch("batos.py", home, "watch")
        line = asyncio.ensure_future(watching.stdout.readline())
        while not line.done():  # until the watcher is there
            with contextlib.suppress(RemoteError):
                await kernel.request(
                    "send", timeout=60, target="genesis_obj", selector="never_works"
                )
        assert "genesis_obj.never_works" in (await line).decode()
    watching.send_signal(signal.SIGINT)
    ended = await finish(watching)
    assert (ended.status, ended.err) == (130, "")


async def test_cancel_withdraws_a_mission_once(thinking):
    home = thinking.home.path
    async with thinking.client() as kernel:
        asking, brief = await begin_mission(kernel, "double", 21)
        told = await verb(home, "cancel", brief)
        assert (told.status, told.out) == (0, "cancelled\n")
        with pytest.raises(RemoteError) as caught:
            await asking
        assert caught.value.body["code"] == "CANCELLED"
    again = await verb(home, "cancel", brief)
    assert again.status == 0
    assert re.fullmatch(r"this request has already ended \(failed, \d\d:\d\d\)\n", again.out)
    none = await verb(home, "cancel", "nothing")
    assert (none.status, "NOT_FOUND" in none.err) == (1, True)


async def test_verify_says_how_much_is_whole_with_a_kernel_and_without(tmp_path):
    async with ThinkingKernel(tmp_path / "home") as kernel:
        home = kernel.home.path
        ended = await verb(home, "verify")
        assert (ended.status, ended.err) == (0, "")
        assert ended.out.startswith("whole: ")
    kernel.home.endpoint.unlink()
    alone = await verb(home, "verify")
    assert (alone.status, alone.out, alone.err) == (0, ended.out, "")


async def test_the_history_of_a_method_is_listed_undone_and_redone(thinking):
    home = thinking.home.path
    thinking.gate.set()
    await verb(home, "send", "genesis_obj", "double", "21")
    rows = (await verb(home, "versions", "genesis_obj", "double")).out.splitlines()
    assert len(rows) == 2
    assert "provisional" in rows[1]
    history = (await verb(home, "history", "genesis_obj")).out.splitlines()
    assert history == ["genesis_obj.double", *rows]
    why = await verb(home, "why", "genesis_obj", "double")
    assert why.out.startswith("genesis_obj.double: provisional, version 1 of 1, current")
    assert "return number * 2" in why.out
    assert (await verb(home, "unlearn", "genesis_obj", "double")).status == 0
    gone = await verb(home, "inspect", "genesis_obj", "--json")
    assert "double" not in gone.json["selectors"]
    assert (await verb(home, "redo", "genesis_obj", "double")).status == 0
    assert (await verb(home, "send", "genesis_obj", "double", "4")).out == "8\n"


async def test_quiet_leaves_the_answer_alone(thinking):
    thinking.gate.set()
    ended = await verb(thinking.home.path, "send", "genesis_obj", "double", "21", "--quiet")
    assert (ended.status, ended.out, ended.err) == (0, "42\n", "")
    before = await verb(thinking.home.path, "--quiet", "send", "genesis_obj", "double", "4")
    assert (before.out, before.err) == ("8\n", "")


# ---- long work --------------------------------------------------------------------------


class Held:
    """An embedder that waits when it reads a text with a certain word."""

    def __init__(self, embedder, word):
        self._embed = embedder.embed
        self._word = word
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()
        embedder.embed = self.embed

    async def embed(self, texts):
        if any(self._word in text for text in texts):
            self.reached.set()
            await self.go_on.wait()
        return await self._embed(texts)


@pytest.fixture
def papers(tmp_path):
    folder = tmp_path / "papers"
    folder.mkdir()
    for number, name in enumerate(("first", "second", "third"), start=1):
        (folder / f"{number}.txt").write_text(f"The {name} bat hangs upside down.\n" * 5)
    return folder


async def test_learning_that_is_broken_off_keeps_whole_documents_and_goes_on_later(
    thinking, papers
):
    home, held = thinking.home.path, Held(thinking.mind.embedder, "second")
    learning = await launch("batos.py", home, "learn", papers)
    await held.reached.wait()
    learning.send_signal(signal.SIGINT)
    ended = await finish(learning)
    assert (ended.status, ended.out) == (130, "")
    last = ended.err.splitlines()[-1]
    assert last == "interrupted with 1 of 3 learned; the same command does the rest"
    there = (await verb(home, "documents", "--json")).json["documents"]
    assert [(one["title"], one["passages"] > 0) for one in there] == [("1.txt", True)]
    held.go_on.set()
    again = (await verb(home, "learn", papers, "--json")).json["learned"]
    assert [one["title"] for one in again] == ["1.txt", "2.txt", "3.txt"]
    assert [one["changed"] for one in again][::2] == [False, True]
    whole = (await verb(home, "verify", "--json")).json
    assert whole["damaged"] == []


async def test_ctrl_c_ends_the_waiting_for_standard_input_at_once(thinking, papers):
    home = thinking.home.path
    learning = await launch("batos.py", home, "learn", papers / "1.txt", "-")
    async with thinking.client() as kernel:
        while not (await kernel.request("documents"))["documents"]:
            pass  # until the first is in
    learning.send_signal(signal.SIGINT)
    status = await learning.wait()
    learning.stdin.close()
    told = (await learning.stderr.read()).decode()
    assert (status, "Traceback" in told) == (130, False), told


def test_ctrl_c_just_before_standard_input_is_read_is_not_lost():
    waited = []

    async def answer_and_read():
        os.kill(os.getpid(), signal.SIGINT)  # as the answer before it arrives
        read_input(lambda: waited.append(True))

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_interruptible(answer_and_read(), Screen())
    finally:
        signal.signal(signal.SIGINT, before)
    assert not waited


async def test_among_several_files_one_that_is_not_there_stops_no_other(thinking, papers):
    told = await verb(thinking.home.path, "learn", papers / "no.txt", papers / "1.txt", "--json")
    assert [one["title"] for one in told.json["learned"]] == ["1.txt"]
    assert "no such file" in told.json["skipped"][0]["reason"]
    alone = await verb(thinking.home.path, "learn", papers / "no.txt")
    assert (alone.status, "no such file" in alone.err) == (1, True)


async def test_on_a_terminal_long_work_has_a_bar_and_with_quiet_none(thinking, papers):
    home = thinking.home.path
    shown = await on_terminal(home, "learn", papers)
    assert re.search(r"[0-3]/3", shown)
    assert "3.txt: 1 passage\r" in shown
    quiet = await on_terminal(home, "learn", papers, "--quiet")
    assert quiet.splitlines() == [f"{number}.txt: known already" for number in (1, 2, 3)]


async def test_what_is_said_at_one_terminal_is_one_conversation(thinking):
    home = thinking.home.path
    told = await on_terminal(home, "ask", "remember that my locker code is 4711")
    assert "undo that" in told  # the line beside the answer says how
    assert "locker code is 4711" in await on_terminal(home, "ask", "undo that")
    assert "4711" not in await on_terminal(home, "ask", "what is my locker code?", status=5)


async def test_in_a_pipe_each_sentence_stands_alone(thinking):
    home = thinking.home.path
    await verb(home, "ask", "remember that my bike is green")
    assert (await verb(home, "ask", "undo that")).status == 5
    assert "green" in (await verb(home, "ask", "what colour is my bike?")).out


async def on_terminal(home, *words, status=0):
    """Return what a verb writes when standard output and error are a terminal."""
    ours, theirs = pty.openpty()
    environ = ENVIRON | {"TERM": "xterm", "COLUMNS": "100"}
    process = await asyncio.create_subprocess_exec(
        PYTHON, ROOT / "batos.py", *words, "--home", home,
        stdin=theirs, stdout=theirs, stderr=theirs, env=environ,
    )  # fmt: skip
    os.close(theirs)
    parts = []

    def read():
        with contextlib.suppress(OSError):  # the other end is gone
            while part := os.read(ours, 4096):
                parts.append(part)

    await asyncio.to_thread(read)
    os.close(ours)
    assert await process.wait() == status
    return b"".join(parts).decode()


@pytest.mark.parametrize("script", ["batos.py status", "batos.py --help", "chat_client.py hello"])
@pytest.mark.parametrize("how", [">/dev/full", ">&-", ">&- 2>&-"])
async def test_an_output_that_cannot_be_written_is_one_line_and_status_one(thinking, script, how):
    name, *words = script.split()
    words += [] if "--help" in words else ["--home", str(thinking.home.path)]
    command = shlex.join([PYTHON, str(ROOT / name), *words])
    process = await asyncio.create_subprocess_shell(
        f"exec {command} {how}", stderr=asyncio.subprocess.PIPE, env=ENVIRON
    )
    error = (await process.stderr.read()).decode()
    assert await process.wait() == 1
    said = [line for line in error.splitlines() if "the answer cannot be written" in line]
    assert len(said) == ("2>&-" not in how)
    assert "Traceback" not in error


@pytest.mark.parametrize("words", ["list", "doctor --quick", "config", "experience", "--help"])
async def test_a_reader_that_closes_its_end_is_no_error(thinking, words):
    process = await launch("batos.py", thinking.home.path, *words.split())
    process.stdout._transport.close()
    error = (await process.stderr.read()).decode()
    await process.wait()
    assert "Traceback" not in error
    assert "BrokenPipe" not in error


async def test_a_server_of_tools_is_found_where_the_shell_of_the_caller_finds_it(
    thinking, tmp_path
):
    pytest.importorskip("mcp", reason="the package mcp is not installed")
    program = tmp_path / "bin" / "my-adder"
    program.parent.mkdir()
    place = tmp_path / "tools" / HOSTILE.name  # no grant reaches the program's own folder
    place.parent.mkdir()
    shutil.copy(HOSTILE, place)
    program.write_text(f"#!/bin/sh\nexec {PYTHON} {place}\n")
    program.chmod(0o700)
    words = ("grant-mcp", "adder", "my-adder", "--see", str(place.parent))
    assert "there is no program my-adder" in (await verb(thinking.home.path, *words)).err.replace(
        "'", ""
    )
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    started = await verb(thinking.home.path, *words, PATH=path)
    assert started.err.startswith("SERVER_FAILED"), started  # its Python is not let in
