"""What comes from a child is hostile: frames that no child would write."""

import ormsgpack
import pytest

from bat_os.cells.codec import Codec
from bat_os.core.values import Ref
from bat_os.errors import CellError
from tests.cells.contract import BENIGN, LAMP, REACH, ROBOT, fail, make_call, refuse, run

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]


def pack(value):
    return Codec().pack(value)


def frame(*parts):
    body = ormsgpack.packb(list(parts))
    return len(body).to_bytes(4, "big") + body


LARGE = b"\xdd\x00\x7a\x00\x00" + b"\x90" * 0x7A0000
FORGED = {
    "garbage": b"\x00\x00\x00\x10garbagegarbage!!",
    "an empty frame": b"\x00\x00\x00\x00",
    "not an array": b"\x00\x00\x00\x01\xc0",
    "bytes after the value": b"\x00\x00\x00\x02\x90\x90",
    "an unknown tag": frame("gone", 1, 2, 3, 4),
    "numbers for a tag": frame(1, 2),
    "too few parts": frame("done", pack(1), {}, []),
    "a value that is not packed": frame("done", 1, {}, [], ""),
    "a value cut short": frame("done", b"\x92\x01", {}, [], ""),
    "bytes after a packed value": frame("done", b"\x01\x01", {}, [], ""),
    "a value nested too deep for anybody": frame("done", b"\x91" * 9000 + b"\xc0", {}, [], ""),
    "a value of many parts": frame("done", LARGE, {}, [], ""),
    "an unknown extension": frame("done", b"\xd4\x63x", {}, [], ""),
    "a date that is none": frame("done", b"\xc7\x04\x07\x93\x01\x0d\x01", {}, [], ""),
    "a set of lists": frame("done", b"\xc7\x02\x03\x91\x90", {}, [], ""),
    "a reference it was not given": frame("done", pack(LAMP), {}, [], ""),
    "a slot of persistence": frame("done", pack(1), {"_p_oid": pack(1)}, [], ""),
    "a slot of the class": frame("done", pack(1), {"__class__": pack(1)}, [], ""),
    "a slot that is no name": frame("done", pack(1), {"a b": pack(1)}, [], ""),
    "slots that are a list": frame("done", pack(1), [], [], ""),
    "a removed slot that was not there": frame("done", pack(1), {}, ["nope"], ""),
    "a removed slot that is a number": frame("done", pack(1), {}, [1], ""),
    "printed bytes": frame("done", pack(1), {}, [], b"x"),
    "an unknown failure": frame("fail", "wonder", "", 0, ""),
    "a failure without a line": frame("fail", "raised", "X", "1", ""),
    "a send to a number": frame("send", pack(1), "m", pack([]), pack({}), {}, []),
    "a send of no arguments": frame("send", pack("x"), "m", pack(1), pack({}), {}, []),
    "a send with a number for a key": frame("send", pack("x"), "m", pack([]), pack({1: 2}), {}, []),
    "a send of bytes": frame("send", pack("x"), b"m", pack([]), pack({}), {}, []),
    "a send to a stranger": frame("send", pack(LAMP), "m", pack([]), pack({}), {}, []),
}


@pytest.mark.parametrize("name", FORGED)
async def test_a_forged_frame_ends_the_call_as_malformed(cell, name):
    source = REACH + (
        "    data = self.data\n    while data:\n        data = data[os.write(3, data):]\n"
        "    os._exit(0)"
    )

    with pytest.raises(CellError) as caught:
        await cell.run(make_call(source, slots={"data": FORGED[name]}, deadline=20), refuse)

    assert caught.value.details["kind"] == "malformed"
    assert (await run(cell, BENIGN)).value == 42


async def test_a_value_nested_deeper_than_is_kept_is_refused(cell):
    source = "def m(self):\n    x = []\n    for _ in range(70):\n        x = [x]\n    return x"

    assert (await fail(cell, source)).details["kind"] == "refused"


async def test_a_forged_length_over_the_limit_ends_the_call(cell):
    error = await fail(cell, REACH + "    os.write(3, b'\\xff' * 4)\n    os._exit(0)")

    assert error.details["kind"] == "limit"


async def test_a_forged_name_of_a_reference_is_corrected(cell):
    source = REACH + "    os.write(3, self.data)\n    os._exit(0)"
    data = frame("done", pack(Ref(ROBOT.oid, "root")), {}, [], "")

    assert (await run(cell, source, slots={"data": data})).value == ROBOT
