"""The chat as a person uses it: a real client in a pseudo-terminal, a real kernel behind it."""

import json
import os
import re
import signal

import pytest

from tests.cli.clients import verb
from tests.cli.terminal import ALT_ENTER, CTRL_C, CTRL_D, TAB, UP, Terminal
from tests.system.test_watchdog import watchdog

pytestmark = [pytest.mark.system, pytest.mark.slow]
TWICE = b'def twice(self, number):\n    """Double a number backwards."""\n    return 2 * number\n'
LEAVES = r"Ctrl-D or exit leaves"


@pytest.fixture
def home(thinking):
    thinking.gate.set()
    return thinking.home.path


async def leave(terminal):
    await terminal.say(CTRL_D, end="")
    assert await terminal.end() == 0


async def test_a_conversation_helps_lists_learns_and_ends_at_ctrl_d(home):
    async with Terminal(home) as terminal:
        await terminal.say("/help")
        await terminal.until("what is 17% of 340")
        await terminal.until("/why")
        await terminal.say("/list")
        await terminal.until("genesis_obj")
        await terminal.say("")
        await terminal.say("genesis_obj.double(21)")
        await terminal.until("COMPLETE")
        await terminal.until("42.*guess")
        await terminal.until("learned now")
        await terminal.until('say "yes"')
        await terminal.say("genesis_obj.never_works()")
        await terminal.until("FAILED")
        await leave(terminal)
    assert "genesis_obj.double(21)" in (home / "chat_history").read_text()


async def test_lines_of_an_earlier_conversation_come_back_with_the_arrow(home):
    async with Terminal(home) as terminal:
        await terminal.say("genesis_obj.double(21)")
        await terminal.until("learned now")
        await leave(terminal)
    async with Terminal(home) as terminal:
        await terminal.say(UP, end="")
        await terminal.until(r"genesis_obj\.double\(21\)")
        terminal.press("\r")
        await terminal.until(r"double\(21\), [\d.]+ m?s")
        await leave(terminal)


async def test_ctrl_c_withdraws_what_runs_and_the_conversation_goes_on(thinking):
    async with Terminal(thinking.home.path) as terminal:
        await terminal.say("genesis_obj.give_seven()")
        await terminal.until("SYNTHESIZING")
        terminal.press(CTRL_C)
        await terminal.until("cancelled")
        thinking.gate.set()
        await terminal.say("genesis_obj.setSlot('kept', 8)")
        await terminal.answers("8")
        await terminal.say("/missions")
        await terminal.until(r"failed .*genesis_obj\.give_seven")
        await leave(terminal)


async def test_ctrl_c_drops_a_line_and_at_an_empty_prompt_says_how_to_leave(home):
    async with Terminal(home) as terminal:
        await terminal.say("never to be sent" + CTRL_C, end="")
        await terminal.say(CTRL_C, end="")
        await terminal.until(LEAVES)
        await terminal.say("exit")
        assert await terminal.end() == 0
    assert "never to be sent" not in (home / "chat_history").read_text()


async def test_a_line_goes_on_while_a_bracket_is_open_and_after_alt_enter(home):
    async with Terminal(home) as terminal:
        await terminal.say("genesis_obj.setSlot(")
        await terminal.until(r"\.\.\.>")
        terminal.press("'kept', 42)\r")
        await terminal.answers("42")
        await terminal.say("genesis_obj.setSlot('kept'," + ALT_ENTER + "7)")
        await terminal.answers("7")
        await leave(terminal)


async def test_pasted_lines_are_one_message(home):
    async with Terminal(home) as terminal:
        await terminal.say("\x1b[200~genesis_obj.setSlot(\n  'kept', 42\n)\x1b[201~")
        await terminal.answers("42")
        await leave(terminal)


async def test_objects_and_messages_are_completed_from_the_live_image(thinking, home):
    async with Terminal(home) as terminal:
        methods = int((await terminal.until(r"\d+ objects, (\d+)"))[1])
        async with thinking.client() as someone_else:
            told = {"target": "genesis_obj", "selector": "double", "args": [1], "ik": "k"}
            await someone_else.request("send", timeout=None, **told)
        # Of the toolbar only what changes is drawn: of 15 after 14, the 5.
        await terminal.until(str((methods + 1) % 10))
        terminal.press("genesis_obj.dou")
        await terminal.until("double .*message")
        terminal.press(TAB + "(21)\r")
        await terminal.until("42.*guess")
        await terminal.say("/source genes", end="")
        await terminal.until("genesis_obj .*object")
        terminal.press(TAB + " dou")
        await terminal.until("double .*message")
        terminal.press(TAB + "\r")  # takes what is offered
        terminal.press("\r")
        await terminal.until("return number")
        await leave(terminal)


async def test_every_verb_works_after_a_slash_and_mistakes_are_answered_in_a_line(home):
    async with Terminal(home) as terminal:
        await terminal.say("/send genesis_obj double 21")
        await terminal.answers("42")
        await terminal.say("/source genesis_obj double")
        await terminal.until(r"1 .*def double\(self, number\)")
        await terminal.until("provisional, version 1")
        await terminal.say("/lst")
        await terminal.until(r"unknown verb /lst; did you mean /list\?")
        await terminal.say("/send genesis_obj")
        await terminal.until("/send OBJECT SELECTOR")
        await terminal.say("/inspect genesis_ob")
        await terminal.until("did you mean 'genesis_obj'")
        await terminal.say("/help teach")
        await terminal.until("install a method that you wrote|Install a method that you wrote")
        await terminal.say("/teach genesis_obj -")
        await terminal.until("name a file")
        await terminal.say("/find what's open")
        await terminal.until("LIKE")
        await terminal.say("/health --json")
        await terminal.until('"ready": true')
        await leave(terminal)


async def test_tokens_shows_what_a_model_writes_while_it_writes(home):
    async with Terminal(home) as terminal:
        await terminal.say("/tokens on")
        await terminal.until("shown while they write it")
        await terminal.say("genesis_obj.double(21)")
        await terminal.until("SYNTHESIZING")
        await terminal.until(r"def double\(self, number\)")
        await terminal.until("return number")
        await terminal.until("COMPLETE")
        await terminal.until("42.*guess")
        await terminal.say("/tokens off")
        await terminal.until("not shown")
        await terminal.say("genesis_obj.give_seven()")
        said = ""
        while "COMPLETE" not in said:
            said += (await terminal.until(r"[^\n]*\n"))[0]
        assert "def give_seven" not in said
        await terminal.say("/tokens of")
        await terminal.until("/tokens is on or off")
        await leave(terminal)


async def test_what_was_misread_is_corrected_by_as(home):
    await verb(home, "teach", "genesis_obj", "-", given=TWICE)
    async with Terminal(home) as terminal:
        await terminal.say("hello")
        await terminal.say("/as twice(21)")
        await terminal.answers("42")
        await terminal.until(r"twice\(21\), [\d.]+ m?s")
        await terminal.say("/as no message")
        await terminal.until("is not a message")
        await leave(terminal)


async def test_a_chat_is_a_conversation_of_its_own_and_can_be_carried_on_by_name(home):
    await verb(home, "teach", "genesis_obj", "-", given=TWICE)
    async with Terminal(home, "--session", "work", columns=200) as terminal:
        await terminal.say("genesis_obj.twice(21)")
        await terminal.answers("42")
        await leave(terminal)
    async with Terminal(home, columns=200) as terminal:
        await terminal.say("why?")
        await terminal.until("not answered anything")
        await leave(terminal)
    async with Terminal(home, "--session", "work", columns=200) as terminal:
        await terminal.say("why?")
        await terminal.until(r"twice\(21\)")
        await leave(terminal)


async def test_a_guess_is_confirmed_by_yes_and_is_then_a_method(home):
    async with Terminal(home, columns=200) as terminal:
        await terminal.say("genesis_obj.double(21)")
        await terminal.until("42.*guess")
        await terminal.until('say "yes"')
        await terminal.say("yes")
        await terminal.answers("42")
        await terminal.say("genesis_obj.double(4)")
        await terminal.answers("8")
        await leave(terminal)


async def test_a_plain_chat_redraws_nothing_and_colours_nothing(home):
    async with Terminal(home, "--plain") as terminal:
        await terminal.say("genesis_obj.setSlot(", end="\n")
        await terminal.until(r"\.\.\.> ")
        terminal.press("'kept', 42)\n")
        await terminal.answers("42")
        await terminal.say("/source genesis_obj nothing", end="\n")
        await terminal.until("NOT_FOUND")
        await terminal.say("genesis_obj.double(21)", end="\n")
        await terminal.until("COMPLETE")
        await terminal.until("42.*guess")
        await terminal.say("quit", end="\n")
        assert await terminal.end() == 0
    assert "\x1b" not in terminal.raw


async def test_small_talk_is_answered_and_no_mission_comes_of_it(home):
    async with Terminal(home) as terminal:
        await terminal.say("hi there")
        await terminal.until("Hello")
        await terminal.say("/missions")
        await terminal.until("no missions")
        await leave(terminal)


async def test_an_answer_that_is_a_list_of_maps_is_shown_as_a_table(home):
    rows = [{"name": "Ann", "age": 5}, {"name": "Bob", "age": 70}]
    async with Terminal(home) as terminal:
        await terminal.say(f"genesis_obj.setSlot('people', {rows!r})")
        await terminal.until(r"name +age *\r\nAnn +5 *\r\nBob +70")
        await leave(terminal)


async def test_a_narrow_window_serves(home):
    async with Terminal(home, rows=6, columns=24) as terminal:
        await terminal.say("genesis_obj.double(21)")
        await terminal.until(r"learned\s+now")
        await terminal.say("/missions")
        await terminal.until("complete")
        await leave(terminal)


async def test_without_colours_nothing_is_coloured(home):
    async with Terminal(home, NO_COLOR="1") as terminal:
        await terminal.say("genesis_obj.double(21)")
        await terminal.until("42.*guess")
        await terminal.say("/source genesis_obj double")
        await terminal.until("return number")
        await leave(terminal)
    coloured = [code for code in re.findall(r"\x1b\[([0-9;]*)m", terminal.raw) if "3" in code]
    assert coloured == []


async def test_a_conversation_without_kernel_or_home_says_what_to_do(tmp_path):
    async with Terminal(tmp_path / "none") as terminal:
        await terminal.until(r"Start it\? \[Y/n\]")
        terminal.press("n\r")
        await terminal.say("give seven")
        await terminal.until(r"start\s+one\s+with\s+\./run\.sh")  # wherever the line wraps
        await leave(terminal)
    assert not (tmp_path / "none").exists()


@pytest.fixture
def watched(tmp_path):
    """A home under a watchdog, whose first kernel dies in the middle of its first brief."""
    script = tmp_path / "script.jsonl"
    script.write_text(json.dumps({"contains": "def double(self", "text": " return number * 2"}))
    home = tmp_path / "home"
    settings = {"BATOS_ENGINE": "scripted", "BATOS_SCRIPT": str(script), "BATOS_TCP_PORT": "-1"}
    settings |= {"BATOS_FAILPOINT": "synthesizing:kill"}
    started = watchdog(home, "start", "--wait", **settings)
    assert started.returncode == 0, started.stderr
    yield home
    watchdog(home, "stop")


async def test_a_brief_whose_kernel_is_killed_is_answered_by_the_next_one(watched):
    async with Terminal(watched) as terminal:
        await terminal.say("genesis_obj.double(21)")
        await terminal.until("the daemon is down; waiting for it to restart")
        # The mission may have ended before the client asks again; its states are not shown then.
        await terminal.until("the daemon is back")
        await terminal.until("42.*guess")
        await leave(terminal)
    status = json.loads((watched / "run" / "status.json").read_text())
    assert status["restarts"] == 1


async def test_a_kernel_that_is_killed_between_two_lines_is_waited_for(watched):
    async with Terminal(watched) as terminal:
        await terminal.until(r"\d+ objects")
        pid = json.loads((watched / "run" / "endpoint.json").read_text())["pid"]
        os.kill(pid, signal.SIGKILL)
        terminal.press("genesis_obj.setSlot('kept', 7)\r")
        await terminal.answers("7")
        await leave(terminal)
