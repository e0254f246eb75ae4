"""bat_os.cli.main.chat: the client as a process, one-shot and in a terminal."""

import asyncio
import json
import os
import re
import signal

import fastjsonschema
import pytest

from bat_os.cli.answer import FIELDS
from bat_os.cli.verbs import EXIT_STATUSES
from bat_os.core.answer import KINDS
from bat_os.image import missions
from tests.cli.clients import chat, finish, launch, verb
from tests.cli.terminal import Terminal
from tests.kernels import ROOT

pytestmark = [pytest.mark.system, pytest.mark.slow]
TWICE = b'def twice(self, number):\n    """Double a number backwards."""\n    return 2 * number\n'
STATES = "DECOMPOSING", "DELEGATING", "SYNTHESIZING", "VALIDATING", "COMPLETE"


@pytest.fixture
def home(thinking):
    thinking.gate.set()
    return thinking.home.path


async def until_says(process, word):
    """Read standard error up to the line with ``word``."""
    said = ""
    while word not in said:
        line = await process.stderr.readline()
        assert line, said
        said += line.decode()
    return said


async def test_a_message_is_learned_answered_and_then_known(home):
    first = await chat(home, "genesis_obj.double(21)")
    assert (first.status, "42" in first.out, "guess" in first.out) == (0, True, True)
    assert [state for state in STATES if state in first.err] == list(STATES)
    assert "double(21), learned now" in first.err
    again = await chat(home, "genesis_obj.double(4)")
    assert (again.status, "8" in again.out, "guess" in again.out) == (0, True, True)
    assert "learned now" not in again.err
    assert not any(state in again.err for state in STATES)


async def test_a_value_is_text_for_people_and_its_reading_is_beside_it(home):
    ended = await chat(home, "genesis_obj.setSlot('kept', [{'a': 1, 'b': 2.0}, {'a': 10, 'b': 0}])")
    assert (ended.status, ended.out) == (0, "a   b\n1   2\n10  0\n")
    assert ended.err.startswith("setSlot('kept', ")


async def test_words_on_the_command_line_are_one_sentence(home):
    ended = await chat(home, "genesis_obj.setSlot('kept',", "'one two')")
    assert (ended.status, ended.out) == (0, "one two\n")


@pytest.mark.parametrize("given", [b"genesis_obj.selectors()", b"  genesis_obj.selectors()\n"])
async def test_a_sentence_may_be_piped(home, given):
    ended = await chat(home, given=given)
    assert (ended.status, "clone" in ended.out) == (0, True)


async def test_each_line_of_a_pipe_is_a_sentence(home):
    lines = b"genesis_obj.setSlot('kept', 1)\n\ngenesis_obj.never_was()\r\ngenesis_obj.kept()\n"
    ended = await chat(home, given=lines)
    assert (ended.status, ended.out.splitlines()[0], ended.out.splitlines()[-1]) == (5, "1", "1")
    told = await chat(home, "--json", given=b"genesis_obj.kept()\ngenesis_obj.kept()\n")
    assert [json.loads(line)["value"] for line in told.out.splitlines()] == [1, 1]


@pytest.mark.parametrize("how", ["word", "pipe"])
async def test_a_sentence_that_is_no_text_is_named(home, how):
    said = b"where is the B\xfcro?"
    ended = await (chat(home, os.fsdecode(said)) if how == "word" else chat(home, given=said))
    assert (ended.status, ended.out) == (2, "")
    assert "INVALID_ARGS the sentence is not UTF-8 text" in ended.err


async def test_json_is_exactly_one_object_with_the_documented_fields(home):
    ended = await chat(home, "--json", "genesis_obj.double(21)")
    assert (ended.status, ended.err) == (0, "")
    body = ended.json
    assert tuple(body) == FIELDS
    assert (body["kind"], body["value"], body["reading"]) == ("guess", 42, "double(21)")
    assert body["learned"]
    assert body["model_calls"] > 0
    assert body["seconds"] > 0
    known = (await chat(home, "--json", "genesis_obj.setSlot('kept', 5)")).json
    assert (known["kind"], known["value"], known["learned"]) == ("computed", 5, False)
    asked = (await verb(home, "ask", "hello", "--json")).json
    schemas = json.loads((ROOT / "docs" / "schemas.json").read_text(encoding="utf-8"))
    fastjsonschema.compile(schemas["verbs"]["ask"])(asked)
    assert tuple(asked) == FIELDS


async def test_the_page_about_sentences_has_every_field_kind_and_status():
    page = (ROOT / "docs" / "say.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
    named = re.findall(r"`(\w+)`", " ".join(rows))
    assert set(FIELDS) | set(KINDS) <= set(named)
    assert all(f"\n| {status} | " in page for status in EXIT_STATUSES if status != 78)


async def test_what_cannot_be_done_is_status_five_and_a_question_four(home):
    ended = await chat(home, "genesis_obj.never_works()")
    assert (ended.status, ended.out.count("\n") >= 1) == (5, True)
    assert (await chat(home, "--json", "genesis_obj.never_works()")).json["kind"] == "unable"
    asked = await chat(home, "what files are in my home folder?", "--json")
    assert (asked.status, asked.json["kind"], asked.json["needs"]) == (4, "asked", "grant")


async def test_a_conversation_is_carried_by_its_name_and_else_not(home):
    for number in ("4", "5"):
        await verb(home, "send", "genesis_obj", "setSlot", f"n{number}", number)
    said = ("--session", "work", "what is kept?", "--as", "getSlot('n4')")
    assert (await chat(home, *said)).out == "4\n"
    told = await chat(home, "--session", "work", "why?")
    assert "getSlot('n4')" in told.out
    alone = await chat(home, "why?")
    assert "getSlot" not in alone.out
    other = await chat(home, "--session", "play", "why?")
    assert "getSlot" not in other.out


@pytest.mark.parametrize("sentence", ["", "   ", "x" * 100_001])
async def test_a_sentence_that_says_nothing_is_status_two(home, sentence):
    ended = await chat(home, sentence)
    assert (ended.status, ended.out) == (2, "")
    assert "INVALID_ARGS" in ended.err
    ended = await chat(home, "--json", sentence)
    assert (ended.status, ended.json["error"]["code"]) == (2, "INVALID_ARGS")


async def test_without_a_sentence_and_with_nothing_piped_the_status_is_two(home):
    ended = await chat(home)
    assert (ended.status, ended.out) == (2, "")
    assert "the sentence is empty" in ended.err


async def test_an_option_that_does_not_exist_is_status_two(home):
    assert (await chat(home, "--frobnicate", "x")).status == 2


async def test_without_a_kernel_the_status_is_three(tmp_path):
    ended = await chat(tmp_path, "give seven")
    assert (ended.status, ended.out) == (3, "")
    assert "start one with ./run.sh" in ended.err
    ended = await chat(tmp_path, "--json", "give seven")
    assert ended.status == 3
    assert ended.json["error"]["retryable"] is True


async def test_a_pipe_gets_no_escape_codes(home):
    for sentence in ("genesis_obj.double(21)", "genesis_obj.never_works()"):
        ended = await chat(home, sentence, TERM="xterm-256color", COLORTERM="truecolor")
        assert "\x1b" not in ended.out + ended.err


def answered(root):
    return [one.slots["answer"] for key, one in root["missions"].items() if key[0] != "#"]


async def until_stored(thinking, look):
    """Wait for a mission that ``look`` finds; return what it finds."""
    while True:
        if found := await thinking.mind.image.transact(look, note="look"):
            return found
        await asyncio.sleep(0.02)


async def test_ctrl_c_withdraws_the_mission_and_leaves_with_130(thinking):
    process = await launch("chat_client.py", thinking.home.path, "genesis_obj.double(21)")
    await until_says(process, "learn")
    await until_stored(thinking, missions.unfinished)  # it is announced before that
    process.send_signal(signal.SIGINT)
    ended = await finish(process)
    assert (ended.status, ended.out) == (130, "")
    assert ended.err.splitlines()[-1] == "cancelled"
    answers = await until_stored(thinking, answered)
    assert [answer["body"]["code"] for answer in answers] == ["CANCELLED"]


async def test_ctrl_c_leaves_with_130_when_the_kernel_has_gone_too(thinking):
    process = await launch("chat_client.py", thinking.home.path, "genesis_obj.double(21)")
    await until_says(process, "learn")
    thinking.home.endpoint.unlink()
    thinking.kernel.stop()
    process.send_signal(signal.SIGINT)
    assert (await finish(process)).status in (130, 1)  # 1: the kernel's goodbye came first


async def test_a_kernel_that_dies_and_comes_back_answers_the_same_client(kernel_process):
    kernel_process.start(failpoint="synthesizing:kill")
    await kernel_process.until_ready()
    process = await launch("chat_client.py", kernel_process.home, "genesis_obj.double(21)")
    await asyncio.to_thread(kernel_process.wait)
    kernel_process.start()
    ended = await finish(process)
    assert (ended.status, "42" in ended.out) == (0, True)


async def test_a_terminal_gets_colours_unless_it_is_to_be_plain(home):
    async with Terminal(home, "genesis_obj.setSlot('kept', 5)") as terminal:
        assert await terminal.end() == 0
        assert "\x1b[" in terminal.raw
    for name, arguments, environ in (
        ("double(21)", ("--plain",), {}),
        ("give_seven()", (), {"NO_COLOR": "1"}),
    ):
        async with Terminal(home, f"genesis_obj.{name}", *arguments, **environ) as terminal:
            assert await terminal.end() == 0
            assert "COMPLETE" in terminal.screen
            assert "\x1b" not in terminal.raw


async def test_where_no_daemon_runs_a_person_at_a_terminal_is_asked_whether_to_start_it(tmp_path):
    async with Terminal(tmp_path, "hello") as terminal:
        await terminal.until(r"BAT OS is not running\. Start it\? \[Y/n\]")
        terminal.press("n\r")
        assert await terminal.end() == 3


async def test_an_answer_cannot_write_on_the_terminal_but_where_it_stands(home):
    sentence = "genesis_obj.setSlot('kept', 'a\\x1b[2Jb')"
    async with Terminal(home, sentence, NO_COLOR="1") as terminal:
        assert await terminal.end() == 0
        assert r"a\x1b[2Jb" in terminal.screen
        assert "\x1b" not in terminal.raw
    piped = await chat(home, "genesis_obj.kept()")
    assert piped.out == "a\x1b[2Jb\n"


async def test_a_sentence_can_come_with_the_message_that_it_is(home):
    await verb(home, "teach", "genesis_obj", "-", given=TWICE)
    ended = await chat(home, "twofold of 21", "--as", "twice(21)")
    assert (ended.status, ended.out) == (0, "42\n")
    wrong = await chat(home, "twofold of 21", "--as", "no message")
    assert (wrong.status, "is not a message" in wrong.err) == (2, True)


async def test_small_talk_is_answered_in_a_line_and_nothing_is_learned(home):
    for ended in (await chat(home, "Hello!"), await verb(home, "ask", "thanks", "a", "lot")):
        assert (ended.status, ended.err, ended.out.count("\n")) == (0, "", 1)
    assert (await verb(home, "missions", "--json")).json["missions"] == []
