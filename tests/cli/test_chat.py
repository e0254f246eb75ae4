"""bat_os.cli.main.chat: the client as a process, one-shot and in a terminal."""

import asyncio
import json
import re
import signal

import fastjsonschema
import pytest

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


async def test_a_sentence_is_learned_answered_and_then_known(home):
    first = await chat(home, "genesis_obj.double(21)")
    assert (first.status, first.out) == (0, "42\n")
    assert [state for state in STATES if state in first.err] == list(STATES)
    assert "genesis_obj.double(21) is not understood yet; learning it" in first.err
    assert "learned now (provisional" in first.err
    again = await chat(home, "genesis_obj.double(4)")
    assert (again.status, again.out) == (0, "8\n")
    assert "known (provisional" in again.err
    assert "no model ran" in again.err
    assert not any(state in again.err for state in STATES)


async def test_words_on_the_command_line_are_one_sentence(home):
    ended = await chat(home, "give", "seven")
    assert (ended.status, ended.out) == (0, "7\n")


@pytest.mark.parametrize("given", [b"give seven", b"  give seven\n", b"give seven\xff"])
async def test_a_sentence_may_be_piped(home, given):
    ended = await chat(home, given=given)
    assert (ended.status, ended.out) == (0, "7\n")


async def test_json_is_exactly_one_object_on_standard_output(home):
    ended = await chat(home, "--json", "genesis_obj.double(21)")
    assert (ended.status, ended.err) == (0, "")
    body = ended.json
    assert (body["result"], body["selector"], body["args"]) == (42, "double", [21])
    assert body["model_calls"] > 0
    assert body["seconds"] > 0
    known = (await chat(home, "--json", "genesis_obj.double(4)")).json
    assert (known["result"], known["model_calls"], known["learned"]) == (8, 0, False)


async def test_an_error_of_the_kernel_is_status_one(home):
    ended = await chat(home, "never works")
    assert (ended.status, ended.out) == (1, "")
    assert "SANDBOX_FAILED none of 8 candidates is good enough" in ended.err
    ended = await chat(home, "--json", "never works")
    assert ended.status == 1
    assert ended.json["error"]["code"] == "SANDBOX_FAILED"
    assert set(ended.json) == {"error"}


@pytest.mark.parametrize("sentence", ["", "   ", "x" * 100_001])
async def test_a_sentence_that_says_nothing_is_status_two(home, sentence):
    ended = await chat(home, sentence)
    assert (ended.status, ended.out) == (2, "")
    assert "INVALID_ARGS the sentence" in ended.err
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
    for sentence in ("genesis_obj.double(21)", "never works"):
        ended = await chat(home, sentence, TERM="xterm-256color", COLORTERM="truecolor")
        assert "\x1b" not in ended.out + ended.err


async def test_ctrl_c_withdraws_the_mission_and_leaves_with_130(thinking):
    process = await launch("chat_client.py", thinking.home.path, "double the number 21")
    await until_says(process, "is not understood yet")
    process.send_signal(signal.SIGINT)
    ended = await finish(process)
    assert (ended.status, ended.out) == (130, "")
    assert ended.err.splitlines()[-1] == "cancelled"
    root = await thinking.mind.image.transact(
        lambda root: [(m.slots["answer"] or {}) for m in root["missions"].values()], note="look"
    )
    assert [answer["body"]["code"] for answer in root] == ["CANCELLED"]


async def test_ctrl_c_leaves_with_130_when_the_kernel_has_gone_too(thinking):
    process = await launch("chat_client.py", thinking.home.path, "double the number 21")
    await until_says(process, "is not understood yet")
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
    assert (ended.status, ended.out) == (0, "42\n")


async def test_a_terminal_gets_colours_unless_no_color_is_set(home):
    async with Terminal(home, "genesis_obj.double(21)") as terminal:
        assert await terminal.end() == 0
        assert "\x1b[" in terminal.raw
    async with Terminal(home, "never works", NO_COLOR="1") as terminal:
        assert await terminal.end() == 1
        assert "SANDBOX_FAILED" in terminal.screen
        assert "\x1b" not in terminal.raw


async def test_an_answer_cannot_write_on_the_terminal_but_where_it_stands(home):
    sentence = "genesis_obj.setSlot('kept', 'a\\x1b[2Jb')"
    async with Terminal(home, sentence, NO_COLOR="1") as terminal:
        assert await terminal.end() == 0
        assert r"a\x1b[2Jb" in terminal.screen
        assert "\x1b" not in terminal.raw
    piped = await chat(home, "genesis_obj.kept()")
    assert piped.out == "a\x1b[2Jb\n"


async def test_a_sentence_can_come_with_the_message_that_it_is(home):
    ended = await chat(home, "twice of twenty-one", "--as", "double(21)")
    assert (ended.status, ended.out) == (0, "42\n")
    assert "remembered: twice is double; batos unlearn genesis_obj twice forgets it\n" in ended.err
    again = await chat(home, "twice of 4")
    assert (again.out, "no model ran" in again.err) == ("8\n", True)


async def test_a_skill_that_comes_near_is_named_while_the_sentence_is_learned(home):
    await verb(home, "teach", "genesis_obj", "-", given=TWICE)
    ended = await chat(home, "double 21")
    assert (ended.out, "learned now" in ended.err) == ("42\n", True)
    assert 'genesis_obj.twice may do this already; --as "genesis_obj.twice(values)"' in ended.err


async def test_what_may_be_misread_names_the_option_that_corrects_it_here(home):
    source = b'def double(self, number):\n    """Double a number."""\n    return number * 2\n'
    await verb(home, "teach", "genesis_obj", "-", given=source)
    again = await chat(home, "please compute the double of 5")
    assert (again.out, "; --fresh learns it anew\n" in again.err) == ("10\n", True)
    unsure = await chat(home, "reverse hello")
    assert '; --as "selector(values)" corrects it\n' in unsure.err
    fresh = await chat(home, "double the number 5", "--as", "double(5)", "--fresh")
    assert (fresh.out, "learned now" in fresh.err) == ("10\n", True)


async def test_small_talk_is_answered_in_a_line_and_nothing_is_learned(home):
    for ended in (await chat(home, "Hello!"), await verb(home, "ask", "thanks", "a", "lot")):
        assert (ended.status, ended.err, ended.out.count("\n")) == (0, "", 1)
        assert "double the number 21, e.g. 4 gives 8" in ended.out
    told = (await verb(home, "ask", "bye", "--json")).json
    schemas = json.loads((ROOT / "docs" / "schemas.json").read_text(encoding="utf-8"))
    fastjsonschema.compile(schemas["verbs"]["ask"])(told)
    assert (told["status"], told["learned"], told["result"][:8]) == ("talk", False, "Goodbye.")
    assert (await verb(home, "missions", "--json")).json["missions"] == []


async def test_in_a_pipe_a_line_every_five_seconds_says_that_it_goes_on(thinking):
    process = await launch("chat_client.py", thinking.home.path, "genesis_obj.double(21)")
    said = await until_says(process, "synthesizing: ")
    thinking.gate.set()
    ended = await finish(process)
    assert (ended.status, ended.out) == (0, "42\n")
    [seconds] = re.findall(r"^synthesizing: (\d+) s$", said, re.MULTILINE)
    assert int(seconds) >= 5
