"""Ctrl-C while a client waits: the brief that runs is withdrawn, and nothing is left half."""

import asyncio
import json
import os
import signal

import pytest
import zmq

from bat_os.core.protocol import Reply, decode_request, encode_reply
from tests.cli.clients import ENVIRON, finish, launch, verb
from tests.cli.terminal import CTRL_C, CTRL_D, Terminal
from tests.engines.test_gguf import write_gguf
from tests.forks import PYTHON

pytestmark = [pytest.mark.system, pytest.mark.slow]
WAYS = {
    "send": ("batos.py", "send", "genesis_obj", "give_seven"),
    "ask": ("batos.py", "ask", "genesis_obj.give_seven()"),
    "one-shot": ("chat_client.py", "genesis_obj.give_seven()"),
}


async def until_running(kernel, count=1):
    """Wait until so many missions run; return what is told of them."""
    while True:
        body = {"state": "running"}
        told = (await kernel.request("missions", timeout=60, body=body))["missions"]
        if len(told) == count:
            return told
        await asyncio.sleep(0.01)


async def endings(kernel):
    """Return the code that each mission ended with, once none runs."""
    await until_running(kernel, 0)
    told = (await kernel.request("missions"))["missions"]
    answers = [await kernel.request("brief.get", body={"brief_id": one["brief_id"]})
               for one in told]  # fmt: skip
    return [one["answer"]["body"].get("code") for one in answers]


@pytest.mark.parametrize("way", WAYS)
async def test_ctrl_c_withdraws_the_brief_says_so_and_leaves_with_130(thinking, way):
    script, *words = WAYS[way]
    async with thinking.client() as kernel:
        process = await launch(script, thinking.home.path, *words)
        await until_running(kernel)
        process.send_signal(signal.SIGINT)
        ended = await finish(process)
        assert (ended.status, ended.out) == (130, "")
        assert ended.err.splitlines()[-1] == "cancelled"
        assert ended.err.count("cancelled") == 1
        assert await endings(kernel) == ["CANCELLED"]


@pytest.mark.parametrize("way", WAYS)
async def test_with_json_it_withdraws_without_a_word(thinking, way):
    script, *words = WAYS[way]
    async with thinking.client() as kernel:
        process = await launch(script, thinking.home.path, *words, "--json")
        await until_running(kernel)
        process.send_signal(signal.SIGINT)
        ended = await finish(process)
        assert (ended.status, ended.out, ended.err) == (130, "", "")
        assert await endings(kernel) == ["CANCELLED"]


async def test_of_two_that_wait_only_the_one_that_is_interrupted_is_withdrawn(thinking):
    home = thinking.home.path
    async with thinking.client() as kernel:
        first = await launch("batos.py", home, "send", "genesis_obj", "double", "21")
        second = await launch("batos.py", home, "send", "genesis_obj", "give_seven")
        await until_running(kernel, 2)
        second.send_signal(signal.SIGINT)
        assert (await finish(second)).status == 130
        thinking.gate.set()
        ended = await finish(first)
    assert (ended.status, ended.out) == (0, "42\n")


async def test_on_a_terminal_the_line_stands_below_the_key_that_was_pressed(thinking):
    async with (
        thinking.client() as kernel,
        Terminal(thinking.home.path, "genesis_obj.give_seven()") as terminal,
    ):
        await until_running(kernel)
        terminal.press(CTRL_C)
        await terminal.until(r"\r\ncancelled\r\n")
        assert await terminal.end() == 130
        assert await endings(kernel) == ["CANCELLED"]


async def test_in_the_chat_a_verb_that_sends_is_withdrawn_too_and_told_once(thinking):
    async with thinking.client() as kernel, Terminal(thinking.home.path) as terminal:
        await terminal.say("/send genesis_obj give_seven")
        await until_running(kernel)
        terminal.press(CTRL_C)
        await terminal.until("cancelled")
        assert await endings(kernel) == ["CANCELLED"]
        await terminal.until("you>")
        assert "cancelled" not in terminal.screen
        terminal.press(CTRL_D)
        assert await terminal.end() == 0


class Door:
    """Where a client thinks a kernel is: the test reads what it asks, and answers or does not."""

    def __init__(self, home):
        self._home = home

    def __enter__(self):
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        address = f"ipc://{self._home.parent}/door"
        self._socket.bind(address)
        run = self._home / "run"
        run.mkdir(parents=True)
        told = {"boot": "b", "ipc": address, "tcp": "", "pid": os.getpid()}
        (run / "endpoint.json").write_text(json.dumps(told))
        return self

    def __exit__(self, *_):
        self._context.destroy(0)

    async def hear(self, kind):
        """Return the next request of this kind, and who asked; all others stay unanswered."""
        while True:
            while not self._socket.poll(0):  # noqa: ASYNC110 - no event of the loop
                await asyncio.sleep(0.01)
            identity, *frames = self._socket.recv_multipart()
            request = decode_request(frames, "")
            if request.type == kind:
                return identity, request

    def answer(self, identity, request, kind, body):
        reply = Reply(kind, request.id, body)
        self._socket.send_multipart([identity, *encode_reply(reply)])


async def test_a_second_ctrl_c_leaves_at_once_while_the_kernel_is_silent(tmp_path):
    with Door(tmp_path / "home") as door:
        process = await launch("batos.py", tmp_path / "home", "send", "genesis_obj", "give_seven")
        identity, asked = await door.hear("send")
        door.answer(identity, asked, "accepted", {"brief_id": "b1", "awakening": ""})
        await door.hear("ping")  # the client has read that
        process.send_signal(signal.SIGINT)
        _, cancel = await door.hear("cancel")
        process.send_signal(signal.SIGINT)
        ended = await finish(process)
    assert cancel.body == {"brief_id": "b1"}
    # It has not waited until it could have said that the daemon is down.
    assert (ended.status, ended.out, ended.err) == (130, "", "")


async def test_a_kernel_that_does_not_hear_of_it_is_told_of(tmp_path):
    with Door(tmp_path / "home") as door:
        process = await launch("batos.py", tmp_path / "home", "send", "genesis_obj", "give_seven")
        identity, asked = await door.hear("send")
        door.answer(identity, asked, "accepted", {"brief_id": "b1", "awakening": ""})
        await door.hear("ping")
        process.send_signal(signal.SIGINT)
        ended = await finish(process)
    assert (ended.status, ended.out) == (130, "")
    assert ended.err == (
        "the daemon is down; the mission may resume when it restarts (./run.sh missions)\n"
    )


async def test_a_brief_that_is_accepted_in_the_moment_of_ctrl_c_is_withdrawn(tmp_path):
    with Door(tmp_path / "home") as door:
        process = await launch("batos.py", tmp_path / "home", "send", "genesis_obj", "give_seven")
        identity, asked = await door.hear("send")
        process.send_signal(signal.SIGINT)
        door.answer(identity, asked, "accepted", {"brief_id": "b1", "awakening": ""})
        _, cancel = await door.hear("cancel")
        door.answer(identity, cancel, "result", {"cancelled": True})
        ended = await finish(process)
    assert cancel.body == {"brief_id": "b1"}
    assert (ended.status, ended.err) == (130, "cancelled\n")


async def test_a_message_that_is_no_brief_is_left_with_130_and_nothing_to_say(tmp_path):
    with Door(tmp_path / "home") as door:
        process = await launch("batos.py", tmp_path / "home", "send", "genesis_obj", "give_seven")
        await door.hear("send")
        process.send_signal(signal.SIGINT)
        ended = await finish(process)
    assert (ended.status, ended.out, ended.err) == (130, "", "")


PIPES = dict.fromkeys(("stdin", "stdout", "stderr"), asyncio.subprocess.PIPE)
INTERRUPTED = """
import signal, sys, zmq
from bat_os.cli.main import main

receive = zmq.Socket.recv_multipart

def receive_and_interrupt(self, *args, **kwargs):
    frames = receive(self, *args, **kwargs)
    if any(b"objects" in bytes(frame) or b"accepted" in bytes(frame) for frame in frames):
        signal.raise_signal(signal.SIGINT)
    return frames

zmq.Socket.recv_multipart = receive_and_interrupt
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("words", [("list",), WAYS["send"][1:]], ids=["list", "send"])
async def test_an_answer_that_arrives_in_the_moment_of_ctrl_c_leaves_no_trace(tmp_path, words):
    with Door(tmp_path / "home") as door:
        process = await asyncio.create_subprocess_exec(
            PYTHON, "-c", INTERRUPTED, *words, "--home", tmp_path / "home", env=ENVIRON, **PIPES
        )  # fmt: skip
        identity, asked = await door.hear(words[0])
        if words == ("list",):
            door.answer(identity, asked, "result", {"objects": []})
        else:
            door.answer(identity, asked, "accepted", {"brief_id": "b1", "awakening": ""})
            _, cancel = await door.hear("cancel")
            door.answer(identity, cancel, "result", {"cancelled": True})
        ended = await finish(process)
    assert (ended.status, ended.out) == (130, "")
    assert ended.err == ("" if words == ("list",) else "cancelled\n")


async def test_ctrl_c_leaves_the_next_message_as_it_would_be(thinking):
    home = thinking.home.path
    async with thinking.client() as kernel:
        process = await launch("batos.py", home, "send", "genesis_obj", "double", "21")
        await until_running(kernel)
        process.send_signal(signal.SIGINT)
        assert (await finish(process)).status == 130
    thinking.gate.set()
    ended = await verb(home, "send", "genesis_obj", "double", "21")
    assert (ended.status, ended.out) == (0, "42\n")


# ---- adding a model ---------------------------------------------------------------------


async def names_of(kernel):
    """Return the models that the image has."""
    told = (await kernel.request("models"))["models"]
    return [one["name"] for one in told if one.get("kind")]


@pytest.fixture
def large(tmp_path):
    """A GGUF file that takes seconds to read; it takes no room on the disk."""
    file = write_gguf(tmp_path / "large.gguf")
    os.truncate(file, 4 << 30)
    return file


def unfinished(home):
    """Return what is on its way into the image."""
    return [path for path in (home / "live_image.fs.blob" / "tmp").glob("*") if path.is_file()]


async def test_ctrl_c_while_a_model_is_added_leaves_nothing_half_and_it_can_be_added_again(
    thinking, large
):
    home = thinking.home.path
    async with thinking.client() as kernel:
        adding = await launch("batos.py", home, "models", "add", "mine", large)
        while not unfinished(home):  # noqa: ASYNC110 - no event of the loop
            await asyncio.sleep(0.001)
        adding.send_signal(signal.SIGINT)
        ended = await finish(adding)
        assert (ended.status, ended.out, ended.err) == (130, "", "cancelled\n")
        assert unfinished(home) == []
        assert await names_of(kernel) == []
        os.truncate(large, 4096)
        again = await verb(home, "models", "add", "mine", large)
        assert again.status == 0
        assert await names_of(kernel) == ["mine"]
        twin = await verb(home, "models", "add", "yours", large)
        assert "yours has the same files as mine; they are stored once" in twin.err
    assert (await verb(home, "verify", "--json")).json["damaged"] == []


async def test_an_intake_is_withdrawn_by_who_asked_for_it_only(thinking, large):
    async with thinking.client() as kernel, thinking.client() as someone_else:
        body = {"name": "mine", "source": str(large)}
        adding = asyncio.ensure_future(kernel.request("models.add", timeout=60, body=body))
        while not unfinished(thinking.home.path):  # noqa: ASYNC110 - no event of the loop
            await asyncio.sleep(0.001)
        about = {"body": {"name": "mine"}}
        assert await someone_else.request("models.cancel", **about) == {"cancelled": False}
        adding.cancel()
        exam = {"body": {"name": "mine", "what": "exam"}}
        assert await kernel.request("models.cancel", **exam) == {"cancelled": False}
        assert await kernel.request("models.cancel", **about) == {"cancelled": True}
        assert await kernel.request("models.cancel", **about) == {"cancelled": False}
        assert await names_of(kernel) == []
