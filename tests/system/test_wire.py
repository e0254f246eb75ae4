"""The wire of a real kernel process, spoken by a client that has none of our code."""

import asyncio
import os
import random

import ormsgpack
import pytest
import zmq
from zmq.utils.monitor import recv_monitor_message

from tests.kernels import ANSWERS, KernelProcess, write_script

pytestmark = pytest.mark.system
SECONDS_20 = 20_000
PLAIN = {"command": "initiate_cognitive_cycle", "target_oid": "genesis_obj"}


class Wire:
    """One DEALER socket."""

    def __init__(self, endpoint, **options):
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.set(zmq.LINGER, 0)
        self.socket.set(zmq.RCVTIMEO, SECONDS_20)
        for name, value in options.items():
            self.socket.set(getattr(zmq, name), value)
        self.socket.connect(endpoint)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._context.destroy(0)

    def plain(self, brief, **more):
        """Send the two-frame form and return the one map that comes back."""
        self.socket.send(ormsgpack.packb(PLAIN | {"mission_brief": brief} | more))
        (reply,) = self.socket.recv_multipart()
        return ormsgpack.unpackb(reply)

    def ask(self, kind, **fields):
        """Send an envelope and return the (type, body) of the last reply to it."""
        told = {"v": 1, "type": kind, "id": "7"} | fields
        packed = ormsgpack.packb(told, option=ormsgpack.OPT_NON_STR_KEYS)
        return self.frames(b"BAT1", packed)

    def frames(self, *frames):
        self.socket.send_multipart(frames)
        while True:
            magic, packed = self.socket.recv_multipart()
            assert magic == b"BAT1"
            reply = ormsgpack.unpackb(packed)
            assert reply["v"] == 1
            if reply["type"] not in ("accepted", "event"):
                return reply["type"], reply["body"]

    def code(self, kind, **fields):
        """Return the code of the error that a request gets."""
        last, body = self.ask(kind, **fields)
        assert last == "error", body
        assert body["message"]
        assert isinstance(body["retryable"], bool)
        return body["code"]


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wire")
    made = KernelProcess(folder / "home", write_script(folder / "script.jsonl", ANSWERS))
    made.start()
    asyncio.run(made.until_ready())
    yield made
    made.stop()


@pytest.fixture
def ipc(process):
    with Wire(process.endpoint()["ipc"]) as wire:
        yield wire


@pytest.fixture
def tcp(process):
    with Wire(process.endpoint()["tcp"], **process.curve()) as wire:
        yield wire


@pytest.fixture(autouse=True)
def still_the_same_kernel(process):
    """After every test the same process answers, and the next brief works."""
    yield
    assert process.process.poll() is None
    with Wire(process.endpoint()["ipc"]) as wire:
        assert wire.ask("health")[1]["pid"] == process.process.pid
        fields = {"target": "genesis_obj", "selector": "double", "args": [4]}
        assert wire.ask("brief", **fields)[1]["result"] == 8
    assert "Traceback" not in process.log()


# The two-frame form


def test_the_two_frame_form_alone_gets_one_map_with_status_and_result(ipc):
    told = ipc.plain({"type": "method", "selector": "give_seven", "args": [], "kwargs": {}})
    assert told["status"] == "success"
    assert told["message"] == "genesis_obj.give_seven answered"
    assert told["result"] == 7
    assert "error" not in told


def test_the_two_frame_form_gets_one_map_with_the_error(ipc):
    told = ipc.plain({"selector": "never_works"})
    assert (told["status"], told["error"]["code"]) == ("error", "SANDBOX_FAILED")
    assert told["message"] == told["error"]["message"]
    assert "result" not in told


@pytest.mark.parametrize(
    ("brief", "more", "code"),
    [
        ({}, {}, "INVALID_ARGS"),
        ([], {}, "INVALID_ARGS"),
        ({"selector": "class"}, {}, "INVALID_ARGS"),
        ({"selector": "x"}, {"target_oid": ""}, "INVALID_ARGS"),
        ({"selector": "x"}, {"target_oid": 1.5}, "INVALID_ARGS"),
        ({"selector": "x"}, {"target_oid": 2**40}, "NOT_FOUND"),
        ({"selector": "x"}, {"target_oid": "nobody_obj"}, "NOT_FOUND"),
        ({"selector": "x"}, {"command": "reboot"}, "BAD_FRAME"),
        ({"selector": "x", "args": ["x" * 100_000]}, {}, "TOO_LARGE"),
    ],
)
def test_a_two_frame_brief_that_cannot_be_taken_gets_a_coded_error(ipc, brief, more, code):
    told = ipc.plain(brief, **more)
    assert (told["status"], told["error"]["code"]) == ("error", code)
    assert told["message"]


def test_the_two_frame_form_needs_the_token_over_tcp(process, tcp):
    brief = {"selector": "double", "args": [21]}
    for given in ({}, {"token": ""}, {"token": "guess"}):
        assert tcp.plain(brief, **given)["error"]["code"] == "UNAUTHORIZED"
    told = tcp.plain(brief, token=process.token())
    assert (told["status"], told["result"]) == ("success", 42)


@pytest.mark.slow
async def test_an_owner_may_open_the_loopback_door(kernel_process):
    kernel_process.start(open_loopback="yes")
    await kernel_process.until_ready()
    assert kernel_process.endpoint()["key"] == ""
    with Wire(kernel_process.endpoint()["tcp"]) as wire:
        assert wire.plain({"selector": "double", "args": [21]})["result"] == 42


# The envelope


def test_the_envelope_needs_the_token_over_tcp(process, tcp):
    for kind in ("health", "send", "list", "shutdown", "no such verb"):
        for given in ({}, {"token": ""}, {"token": "guess"}):
            assert tcp.code(kind, **given) == "UNAUTHORIZED"
    assert tcp.ask("health", token=process.token())[1]["pid"] == process.process.pid


def test_hello_and_ping_say_little_and_need_no_token(tcp):
    kind, hello = tcp.ask("hello")
    assert kind == "result"
    assert set(hello) == {"version", "boot", "image_id", "limits", "protocol"}
    assert hello["protocol"] == [1, 1]
    assert (hello["limits"]["max_frame"], hello["limits"]["max_brief"]) == (1 << 20, 64 << 10)
    assert tcp.ask("ping") == ("pong", {"boot": hello["boot"]})


def test_health_says_how_the_kernel_is(process, ipc):
    kind, body = ipc.ask("health")
    assert kind == "result"
    assert (body["ready"], body["awakening"], body["problem"]) == (True, "", "")
    assert body["loading"] == ""
    assert body["endpoints"] == [process.endpoint()["ipc"], process.endpoint()["tcp"]]
    assert body["boot"] == process.endpoint()["boot"]
    assert {"uptime", "queued", "profile", "models", "cell", "limits", "image_id"} <= set(body)


def test_objects_are_listed_and_inspected(ipc):
    names = {one["name"] for one in ipc.ask("list")[1]["objects"]}
    assert {"traits_obj", "genesis_obj"} <= names
    body = ipc.ask("inspect", target="genesis_obj")[1]
    by_oid = ipc.ask("inspect", target=body["oid"])[1]
    assert by_oid == body
    assert body["inherited"]["clone"] == "traits_obj"


def test_a_brief_is_accepted_told_of_and_answered_under_its_id(ipc):
    told = {"v": 1, "type": "brief", "id": "abc", "ik": "fresh", "target": "genesis_obj",
            "selector": "remember", "args": ["milk"], "body": {"text": "remember something"},
            "unknown": "is ignored"}  # fmt: skip
    ipc.socket.send_multipart([b"BAT1", ormsgpack.packb(told)])
    replies = []
    while not replies or replies[-1]["type"] in ("accepted", "event"):
        replies.append(ormsgpack.unpackb(ipc.socket.recv_multipart()[1]))
    assert {reply["re"] for reply in replies} == {"abc"}
    assert [reply["type"] for reply in replies] == ["accepted", *["event"] * 5, "result"]
    assert {"brief_id", "position", "awakening"} == set(replies[0]["body"])
    assert {"brief_id", "seq", "state", "persona", "does", "pct", "detail"} == set(
        replies[1]["body"]
    )
    assert replies[-1]["body"]["result"] == ["milk"]


def test_values_that_msgpack_has_come_back_as_they_were_sent(ipc):
    for value in (None, True, -1, 2**63 - 1, 1.5, "é\x00", b"\xff", [1, [2]], {"a": {"b": []}}):
        fields = {"target": "genesis_obj", "selector": "setSlot", "args": ["kept", value]}
        assert ipc.ask("send", **fields)[1]["result"] == value


@pytest.mark.parametrize("key", [1, b"a", (1, 2)])
def test_a_key_that_is_not_text_is_refused(ipc, key):
    fields = {"target": "genesis_obj", "selector": "setSlot", "args": ["kept", {key: 2}]}
    assert ipc.code("send", **fields) == "BAD_FRAME"


def test_an_answer_that_came_too_late_is_there_under_its_key(ipc):
    fields = {"target": "genesis_obj", "selector": "slow_one", "ik": "late"}
    assert ipc.code("send", ttl_ms=1, **fields) == "DEADLINE"
    assert ipc.ask("send", **fields)[1]["result"] == 1


def test_a_key_that_comes_back_with_another_brief_is_refused(ipc):
    fields = {"target": "genesis_obj", "selector": "setSlot", "ik": "twice"}
    assert ipc.ask("send", args=["kept", 1], **fields)[1]["result"] == 1
    assert ipc.code("send", args=["kept", 2], **fields) == "KEY_REUSED"


# What cannot be taken


@pytest.mark.parametrize(
    ("kind", "fields", "code"),
    [
        ("reboot", {}, "UNKNOWN_TYPE"),
        ("", {}, "UNKNOWN_TYPE"),
        ("__class__", {}, "UNKNOWN_TYPE"),
        ("send", {}, "INVALID_ARGS"),
        ("brief", {}, "INVALID_ARGS"),
        ("brief", {"target": "genesis_obj"}, "INVALID_ARGS"),
        ("send", {"target": "nobody_obj", "selector": "x"}, "NOT_FOUND"),
        ("brief", {"target": "nobody_obj", "selector": "x"}, "NOT_FOUND"),
        ("inspect", {"target": "nobody_obj"}, "NOT_FOUND"),
        ("inspect", {}, "NOT_FOUND"),
        ("inspect", {"target": "f" * 16}, "NOT_FOUND"),
        ("inspect", {"target": "00000000000000  "}, "NOT_FOUND"),
        ("inspect", {"target": "0000000000000000"}, "NOT_FOUND"),  # the root is no object
        ("brief.get", {}, "NOT_FOUND"),
        ("brief.get", {"body": {"brief_id": ["x"]}}, "INVALID_ARGS"),
        ("cancel", {"ik": "nobody"}, "NOT_FOUND"),
        ("send", {"v": 2}, "BAD_VERSION"),
        ("send", {"v": None}, "BAD_VERSION"),
        ("send", {"id": 5}, "INVALID_ARGS"),
        ("send", {"ttl_ms": 0}, "INVALID_ARGS"),
        ("send", {"body": "text"}, "INVALID_ARGS"),
    ],
)
def test_a_request_that_cannot_be_answered_gets_a_coded_error(ipc, kind, fields, code):
    assert ipc.code(kind, **fields) == code


@pytest.mark.parametrize(
    "selector",
    ["__class__", "__init__", "class", "a b", "_p_oid", "_p_changed", "_v_x", "self", "send",
     "1st", "a.b", "é", "x" * 101, "a\n"],
)  # fmt: skip
def test_a_selector_that_no_method_may_have_is_refused(ipc, selector):
    for kind in ("send", "brief"):
        assert ipc.code(kind, target="genesis_obj", selector=selector) == "INVALID_ARGS"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"args": ["x" * 100_000]}, "TOO_LARGE"),
        ({"args": [[]] * 100_001}, "TOO_LARGE"),
        ({"body": {"text": "x" * 20_001}}, "INVALID_ARGS"),
        ({"body": {"examples": [{"args": [1]}]}}, "INVALID_ARGS"),
        ({"args": {"a": 1}}, "INVALID_ARGS"),
        ({"kwargs": {"class": 1}}, "INVALID_ARGS"),
        ({"kwargs": {"a b": 1}}, "INVALID_ARGS"),
        ({"args": [ormsgpack.Ext(1, b"pickle")]}, "BAD_FRAME"),
        ({"args": [{"ref": "nobody_obj"}]}, "NOT_FOUND"),
    ],
    ids=["100 kB", "items", "text", "example", "map", "keyword", "name", "extension", "reference"],
)
def test_a_brief_that_cannot_be_taken_gets_a_coded_error(ipc, fields, code):
    assert ipc.code("send", target="genesis_obj", selector="double", **fields) == code


def test_what_is_nested_too_deep_is_too_large(ipc):
    deep: list = []
    for _ in range(40):
        deep = [deep]
    assert ipc.code("send", target="genesis_obj", selector="double", args=deep) == "TOO_LARGE"
    packed = ormsgpack.packb({"v": 1, "type": "send", "target": "genesis_obj", "selector": "x"})
    key = b"\x91" * 1000 + b"\x01"  # a map whose key is an array in an array in an array
    nested = b"\x85" + packed[1:] + b"\xa4args\x91\x81" + key + b"\x01"
    assert ipc.frames(b"BAT1", nested)[1]["code"] in ("BAD_FRAME", "TOO_LARGE")


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([b""], "BAD_FRAME"),
        ([b"\xc1"], "BAD_FRAME"),
        ([b"BAT1", b""], "BAD_FRAME"),
        ([b"BAT2", b"\x80"], "BAD_FRAME"),
        ([b"", b"BAT1"], "BAD_FRAME"),
        ([b"BAT1", b"\x80", b""], "BAD_FRAME"),
        ([b"x"] * 100, "TOO_LARGE"),
    ],
    ids=["empty", "no msgpack", "empty map", "other magic", "delimiter", "three", "hundred"],
)
def test_frames_of_another_form_are_refused(ipc, frames, code):
    ipc.socket.send_multipart(frames)
    told = ormsgpack.unpackb(ipc.socket.recv_multipart()[-1])
    body = told["error"] if len(frames) == 1 else told["body"]
    assert body["code"] == code


def test_three_hundred_messages_of_noise_get_three_hundred_coded_errors(ipc):
    chance = random.Random(2026)  # noqa: S311 - the same noise every time
    for _ in range(300):
        frames = [chance.randbytes(chance.randrange(200)) for _ in range(chance.randrange(1, 6))]
        if chance.random() < 0.5:
            frames[0] = b"BAT1"
        ipc.socket.send_multipart(frames)
    codes = set()
    for _ in range(300):
        told = ormsgpack.unpackb(ipc.socket.recv_multipart()[-1])
        codes.add((told.get("error") or told["body"])["code"])
    assert codes <= {"BAD_FRAME", "BAD_VERSION", "TOO_LARGE", "INVALID_ARGS"}
    assert {"BAD_FRAME", "TOO_LARGE"} <= codes


@pytest.mark.parametrize("door", ["ipc", "tcp"])
def test_a_frame_of_five_megabytes_drops_the_connection_and_not_the_kernel(process, door):
    options = process.curve() if door == "tcp" else {}
    with Wire(process.endpoint()[door], **options) as wire:
        monitor = wire.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        monitor.set(zmq.RCVTIMEO, SECONDS_20)
        wire.socket.send_multipart([b"BAT1", os.urandom(5 << 20)])
        assert recv_monitor_message(monitor)["event"] == zmq.EVENT_DISCONNECTED
        wire.socket.disable_monitor()


def test_many_frames_of_a_kilobyte_are_refused_as_one_message(ipc):
    ipc.socket.send_multipart([b"x" * 1000] * 2000)
    assert ormsgpack.unpackb(ipc.socket.recv_multipart()[1])["body"]["code"] == "TOO_LARGE"
