"""Frames between the kernel and a host: what is not one is refused, whatever its length says."""

import io
import struct

import ormsgpack
import pytest

from bat_os.errors import FrameError, TooLargeError
from bat_os.world.mcp.frames import MAX_FRAME, pack, read


def framed(body):
    return io.BytesIO(struct.pack(">I", len(body)) + body)


def test_what_was_packed_is_read():
    message = {"id": 1, "value": [b"x", None, 2.5, {"a": "é"}]}
    stream = io.BytesIO(pack(message) + pack({"id": 2}))
    assert [read(stream), read(stream), read(stream)] == [message, {"id": 2}, None]


@pytest.mark.parametrize(
    "body",
    [b"\xc1", b"[1]", ormsgpack.packb([1]), b"\x91" * 100 + b"\x01", b"\x81\xa1a" * 900 + b"\x01"],
)
def test_what_no_other_end_would_write_is_refused(body):
    with pytest.raises(FrameError):
        read(framed(body))


def test_a_length_is_checked_before_anything_is_read():
    stream = io.BytesIO(struct.pack(">I", MAX_FRAME + 1) + b"x")
    with pytest.raises(FrameError, match="bytes"):
        read(stream)
    assert stream.tell() == 4


def test_a_frame_that_is_cut_off_is_the_end():
    assert read(io.BytesIO(pack({"id": 1})[:-1])) is None
    assert read(io.BytesIO(b"\0\0")) is None


def test_what_is_too_long_is_not_sent():
    with pytest.raises(TooLargeError):
        pack({"a": "x" * (MAX_FRAME + 1)})
    with pytest.raises(FrameError):
        pack({"a": object()})
