"""bat_os.core.protocol: bytes to values and back."""

import contextlib
import itertools
import struct

import ormsgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.core import protocol, two_frames
from bat_os.core.fields import MAX_EXAMPLES
from bat_os.core.protocol import (
    MAGIC,
    MAX_BRIEF,
    MAX_FRAME,
    Reply,
    Request,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
    error_reply,
    unpack_request,
)
from bat_os.core.verbs import check
from bat_os.errors import (
    ArgumentsError,
    BatError,
    BusyError,
    FrameError,
    NotPlainError,
    TooLargeError,
    VersionError,
)


def frames(data, magic=MAGIC):
    return [magic, ormsgpack.packb(data, option=ormsgpack.OPT_NON_STR_KEYS)]


def test_a_request_reads_back_as_it_was_written():
    fields = {"type": "brief", "id": "1", "session": "s", "ik": "k", "ttl_ms": 500, "target": "o",
              "selector": "x", "args": [1, "a"], "kwargs": {"n": None},
              "body": {"text": "t"}}  # fmt: skip
    sent = encode_request(fields)
    assert decode_request(sent) == Request(
        type="brief", id="1", session="s", key="k", ttl=0.5, target="o", selector="x",
        args=(1, "a"), kwargs={"n": None}, body={"text": "t"},
        size=len(sent[1]),
    )  # fmt: skip


def test_a_peer_cannot_say_that_its_request_is_plain_or_small():
    request = decode_request(frames({"v": 1, "plain": True, "size": 1}))
    assert not request.plain
    assert request.size > 1


def test_the_two_frame_form_is_a_brief():
    told = {"type": "method", "selector": "add", "args": [1, 2], "kwargs": {}}
    data = {"command": two_frames.COMMAND, "target_oid": "genesis_obj", "mission_brief": told}
    request = decode_request([ormsgpack.packb(data)])
    assert (request.type, request.target, request.selector) == ("brief", "genesis_obj", "add")
    assert request.plain
    assert request.args == (1, 2)


def test_a_request_without_a_session_is_of_its_connection():
    plain = {"command": two_frames.COMMAND, "target_oid": "x"}
    for fields in ({"v": 1, "type": "send"}, plain):
        for session, told in (({}, "peer"), ({"session": ""}, "peer"), ({"session": "s"}, "s")):
            packed = ormsgpack.packb(fields | session)
            frames = [packed] if fields is plain else [b"BAT1", packed]
            assert protocol.decode_request(frames, "peer").session == told


def test_a_target_oid_may_be_a_number():
    data = {"command": two_frames.COMMAND, "target_oid": 255, "mission_brief": {"selector": "a"}}
    assert decode_request([ormsgpack.packb(data)]).target == "00000000000000ff"


@pytest.mark.parametrize(
    ("given_frames", "error"),
    [
        ([], FrameError),
        ([b"a", b"b", b"c"], FrameError),
        ([b"XXXX", b"\x80"], FrameError),
        ([MAGIC, b""], FrameError),
        ([MAGIC, b"\xc1"], FrameError),
        ([MAGIC, b"\x93\x01\x02\x03"], FrameError),
        (frames({1: 2}), FrameError),
        ([b"\x80"], FrameError),
        ([ormsgpack.packb({"command": "reboot"})], FrameError),
        (frames({"v": 2}), VersionError),
        (frames({"v": True}), VersionError),
        (frames({}), VersionError),
        (frames({"v": 1, "type": 5}), ArgumentsError),
        (frames({"v": 1, "args": {}}), ArgumentsError),
        (frames({"v": 1, "kwargs": []}), ArgumentsError),
        (frames({"v": 1, "kwargs": {"not a name": 1}}), ArgumentsError),
        (frames({"v": 1, "body": "x"}), ArgumentsError),
        (frames({"v": 1, "ttl_ms": -1}), ArgumentsError),
        (frames({"v": 1, "id": "x" * 201}), ArgumentsError),
        ([MAGIC, b"\x00" * (MAX_FRAME + 1)], TooLargeError),
        (frames({"v": 1, "args": [[]] * 100_001}), TooLargeError),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_bad_input_gets_its_own_error(given_frames, error):
    with pytest.raises(error):
        decode_request(given_frames)


def colliding(count):
    """Return the msgpack of a map whose keys, arrays of floats, all have one hash."""
    floats = [2.0 ** (61 * k) for k in range(-17, 17)]
    parts = [ormsgpack.packb(x) for x in floats if hash(x) == 1]
    keys = itertools.islice(itertools.product(parts, repeat=3), count)
    rows = b"".join(b"\x93" + b"".join(key) + b"\xc0" for key in keys)
    return b"\xdf" + struct.pack(">I", count) + rows


@pytest.mark.parametrize("key", [1, -1, 1.5, None, True, (1, 2), b"bytes"])
@pytest.mark.parametrize("where", ["args", "kwargs", "body", "deep"])
def test_a_key_that_is_not_text_is_refused_wherever_it_stands(key, where):
    packed = ormsgpack.packb({key: 1}, option=ormsgpack.OPT_NON_STR_KEYS)
    if where == "deep":
        packed = b"\x91\x81\xa1a" + packed
    frame = b"\x82\xa1v\x01" + ormsgpack.packb(where) + packed
    with pytest.raises(FrameError):
        decode_request([MAGIC, frame])


@pytest.mark.timeout(20)
def test_a_frame_full_of_keys_of_one_hash_is_refused_before_it_becomes_a_map():
    with pytest.raises(FrameError):
        unpack_request([MAGIC, b"\x81\xa4args\x91" + colliding(36_000)])


def test_a_client_cannot_send_a_key_that_is_not_text():
    request = decode_request(encode_request({"type": "send", "args": [{1: 2, (3, 4): 5}]}))
    assert all(type(key) is str for key in request.args[0])


def test_deep_nesting_is_too_large():
    deep: list = []
    for _ in range(protocol.MAX_DEPTH + 2):
        deep = [deep]
    with pytest.raises(TooLargeError):
        decode_request(frames({"v": 1, "args": deep}))


def test_a_message_may_have_as_many_items_as_it_may(monkeypatch):
    monkeypatch.setattr(protocol, "MAX_ITEMS", 8)
    assert decode_request(frames({"v": 1, "args": [[1, 2, 3]]})).args == ([1, 2, 3],)
    with pytest.raises(TooLargeError, match="more than 8 items"):
        decode_request(frames({"v": 1, "args": [[1, 2, 3, 4]]}))


def test_a_value_fits_into_what_is_left_to_the_last_byte_and_item():
    value = {"a": "text"}
    size = len(protocol.pack(value))
    protocol.Room(size, 2).take(value, 0)
    for room in (protocol.Room(size - 1, 2), protocol.Room(size, 1)):
        with pytest.raises(TooLargeError, match="are left in this message"):
            room.take(value, 0)


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_any_bytes_give_a_request_or_a_coded_error(given_frames):
    with contextlib.suppress(BatError):
        assert isinstance(decode_request(given_frames), Request)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(
    st.dictionaries(st.sampled_from(["v", "type", "id", "args", "kwargs", "body", "ttl_ms"]), JSON)
)
def test_any_map_gives_a_request_or_a_coded_error(data):
    with contextlib.suppress(BatError):
        decode_request(frames(data | {"v": 1}))


def test_a_reply_reads_back_as_it_was_written():
    kind, re, body = decode_reply(encode_reply(Reply("result", "7", {"result": (1, 2)})))
    assert (kind, re, body) == ("result", "7", {"result": [1, 2]})


def test_a_reply_that_is_too_large_is_refused():
    with pytest.raises(TooLargeError):
        encode_reply(Reply("result", "7", {"result": "x" * (MAX_FRAME + 1)}))


def test_a_value_that_is_no_plain_data_is_refused():
    with pytest.raises(NotPlainError):
        encode_reply(Reply("result", "7", {"result": object()}))


def test_a_brief_over_the_limit_is_too_large():
    request = Request("brief", target="o", selector="x", args=("y" * (MAX_BRIEF + 1),))
    with pytest.raises(TooLargeError):
        request.brief()


@pytest.mark.parametrize("length", range(MAX_BRIEF - 300, MAX_BRIEF, 20))
def test_a_brief_that_arrived_is_measured_as_one_that_was_made(length):
    fields = {"type": "brief", "target": "o", "selector": "x", "args": ["y" * length]}
    arrived = decode_request(encode_request(fields))
    made = Request("brief", target="o", selector="x", args=("y" * length,))
    outcomes = set()
    for request in (arrived, made):
        try:
            request.brief()
        except TooLargeError as error:
            outcomes.add(str(error))
        else:
            outcomes.add("")
    assert len(outcomes) == 1


def test_no_brief_packs_to_more_than_its_frame_and_what_its_sender_may_leave_out():
    examples = [{"result": 1}] * MAX_EXAMPLES
    for body in ({"examples": examples, "mode": "cascade"}, {}):
        fields = {"type": "brief", "target": "o", "selector": "x", "body": body}
        request = decode_request(encode_request(fields))
        packed = len(ormsgpack.packb(check(request).brief().to_plain()))
        assert packed <= request.size + protocol._BRIEF_EXTRA


@pytest.mark.parametrize(
    "examples", [{}, [1], [{"args": [1]}], [{"result": 1, "args": 2}], [{}] * 21]
)
def test_examples_of_another_form_are_refused(examples):
    with pytest.raises(ArgumentsError):
        check(Request("brief", target="o", selector="x", body={"examples": examples}))


def test_a_busy_reply_says_when_to_come_back():
    body = error_reply(Request("brief", id="1"), BusyError("full", 250)).body
    assert (body["code"], body["retryable"], body["retry_after_ms"]) == ("BUSY", True, 250)


def test_the_two_frame_form_gets_errors_with_status_and_message():
    reply = error_reply(Request("brief", plain=True), ArgumentsError("no"))
    body = ormsgpack.unpackb(encode_reply(reply)[0])
    assert (body["status"], body["message"], body["error"]["code"]) == (
        "error",
        "no",
        "INVALID_ARGS",
    )
