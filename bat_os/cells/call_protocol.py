"""One call to one child: the kernel's end of its socket, and what every cell checks in a call.

Everything that comes from the child is hostile. A frame that is not exactly what zygote.child
would write ends the call; so do a long run, a long answer and too many messages. This module
does not start or kill children.

    call >            < send      value | error >        (up to MAX_MESSAGES times)
                      < done | fail
"""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

import msgspec

from bat_os.cells.codec import (
    HEADER,
    MAX_FRAME,
    PRINT_LIMIT,
    Codec,
    check_parts,
    clean,
    pack_frame,
    read_length,
)
from bat_os.core.schema import Record, text
from bat_os.core.values import Ref, check
from bat_os.errors import BatError, CellError, FrameError, NotPlainError
from bat_os.ports import Delta, Nested, RunResult

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Mapping, Sequence

    from bat_os.ports import Call, Sender

T = TypeVar("T")
MAX_MESSAGES: Final = 1000
MAX_NAME: Final = 100
MAX_CHANGED: Final = 16 << 20
_Name = Annotated[str, text(MAX_NAME)]
_LARGE: Final = 64 << 10  # bytes; unpacking more leaves the event loop


class Sent(Record, frozen=True, array_like=True, tag="send"):
    """A nested message; the values are packed."""

    target: bytes
    selector: _Name
    args: bytes
    kwargs: bytes
    changed: dict[str, bytes]
    removed: list[str]


class Done(Record, frozen=True, array_like=True, tag="done"):
    """The answer; the values are packed."""

    value: bytes
    changed: dict[str, bytes]
    removed: list[str]
    printed: Annotated[str, text(PRINT_LIMIT)]


class Failed(Record, frozen=True, array_like=True, tag="fail"):
    """Why there is no answer; the name is that of an exception, the line that of the source."""

    kind: Literal["raised", "limit", "refused"]
    name: _Name
    line: int
    message: Annotated[str, text(8000)]


_ANSWER: Final[msgspec.msgpack.Decoder[Sent | Done | Failed]] = msgspec.msgpack.Decoder(
    Sent | Done | Failed
)


def read_answer(body: bytes) -> Sent | Done | Failed:
    """Return what a frame of a child says; a FrameError if no child would write it."""
    check_parts([body])
    try:
        return _ANSWER.decode(body)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise FrameError(str(error)) from error


class Talk:
    """What is counted in one call, in any cell.

    Attributes:
        messages: Nested messages so far.
    """

    def __init__(self, call: Call) -> None:
        self.messages = 0
        self._call = call
        self._codec = Codec()
        self._left = call.deadline
        self._sizes: dict[str, int] = {}

    async def _within(self, work: Awaitable[T]) -> T:
        """Return the result of ``work`` if it comes in what is left of the deadline."""
        clock = asyncio.get_running_loop().time
        start = clock()
        found: list[T] = []
        try:
            async with asyncio.timeout(self._left):
                found.append(await work)
        except TimeoutError:  # not the cause of ours: it holds the task that ours ends
            pass
        finally:
            self._left -= clock() - start
            del work  # a task's error holds this frame
        if not found or self._left <= 0:  # work that never waits cannot be interrupted
            # In no variable: an error that its own frame holds keeps all that the child has sent.
            raise CellError(f"took longer than {self._call.deadline:g} s", kind="deadline")
        return found[0]

    def _count_message(self) -> None:
        self.messages += 1
        if self.messages > MAX_MESSAGES:
            raise CellError(f"sent more than {MAX_MESSAGES} messages", kind="limit")

    def _weigh(self, changed: Mapping[str, int], removed: Sequence[str]) -> None:
        """Refuse a call that fills the image, a message at a time; ``changed`` is in bytes."""
        self._sizes.update(changed)
        for name in removed:
            self._sizes.pop(name, None)
        if sum(self._sizes.values()) > MAX_CHANGED:
            raise CellError(f"changed more than {MAX_CHANGED >> 20} MB of slots", kind="limit")


class answer_checks:  # noqa: N801 - used as a function; a generator takes thrice as long
    """Turn what an answer fails on into the error of its call."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, FrameError):
            problem = f"the cell answered something malformed: {error}"
            raise CellError(problem, kind="malformed") from error
        if isinstance(error, NotPlainError):
            raise CellError(str(error), kind="refused") from error


class Conversation(Talk):
    """The frames of one call."""

    def __init__(self, channel: socket.socket, call: Call, send: Sender) -> None:
        super().__init__(call)
        self._channel = channel
        self._send = send
        self._known = set(call.view.slots)
        self._data = bytearray()

    async def run(self) -> RunResult:
        """Return how the call ended."""
        with answer_checks():
            frame = self._opening()
            while True:
                answer = await self._within(self._exchange(frame))
                if isinstance(answer, RunResult):
                    return answer
                frame = await self._ask(answer)

    async def _exchange(self, frame: bytes) -> Nested | RunResult:
        """Write a frame and return what the child answers."""
        await self._write(frame)
        answer = await self._receive()
        if isinstance(answer, Sent):
            return await self._read_send(answer)
        if isinstance(answer, Done):
            delta = await self._delta(answer, answer.value)
            value = await self._aside(self._codec.read, answer.value)
            return RunResult(value, delta, answer.printed)
        if answer.kind == "raised":
            raise raised(answer.name, answer.line, answer.message)
        raise CellError(answer.message, kind=answer.kind)

    def _opening(self) -> bytes:
        """Return the frame that opens the call."""
        call, codec = self._call, self._codec
        slots = {
            name: codec.pack(value, where="" if type(value) is Ref else f"slot {name!r}")
            for name, value in call.view.slots.items()
        }
        rest = [list(call.args), dict(call.kwargs), call.seed, call.now, call.view.more]
        return pack_frame(
            [
                *("call", call.source, call.selector, slots, codec.pack(call.view.ref)),
                *(_in_order(call.view.selectors), codec.pack(rest, where="argument")),
            ]
        )

    async def _read_send(self, sent: Sent) -> Nested:
        """Return the nested message that the child sends."""
        self._count_message()
        packed = [sent.target, sent.args, sent.kwargs]
        await self._aside(check_parts, packed)
        to, row, named = [await self._aside(self._codec.read, data) for data in packed]
        return make_nested(to, sent.selector, row, named, await self._delta(sent))

    async def _ask(self, nested: Nested) -> bytes:
        """Return the frame that answers a nested message, once the kernel has run it."""
        try:
            reply = await self._send(nested)
        except BatError as error:
            return pack_frame(["error", clean(str(error))])
        pack = self._codec.pack
        slots = {name: pack(value, where=f"slot {name!r}") for name, value in reply.slots.items()}
        self._known |= set(slots)
        self._known -= set(reply.removed)
        return pack_frame(["value", pack(reply.value), slots, list(reply.removed)])

    async def _delta(self, answer: Sent | Done, *others: bytes) -> Delta:
        """Return what the child says it changed, checked name by name."""
        changed, removed = answer.changed, answer.removed
        if not set(removed) <= self._known or set(removed) & set(changed):
            raise FrameError("a removed slot that was not there")
        await self._aside(check_parts, [*changed.values(), *others])
        values = {}
        self._weigh({name: len(data) for name, data in changed.items()}, removed)
        for name, data in changed.items():
            check_slot(name)
            values[name] = await self._aside(self._read_slot, name, data)
        self._known |= set(values)
        self._known -= set(removed)
        return Delta(values, tuple(removed))

    def _read_slot(self, name: str, data: bytes) -> Any:
        return self._codec.read(data, where=f"slot {name!r}")

    async def _aside(self, work: Any, *args: Any) -> Any:
        """Return ``work(*args)``; off the event loop when its last argument is large."""
        data = args[-1]
        size = len(data) if type(data) is bytes else sum(map(len, data))
        return work(*args) if size < _LARGE else await asyncio.to_thread(work, *args)

    async def _write(self, frame: bytes) -> None:
        try:
            sent = self._channel.send(frame)
        except BlockingIOError:
            sent = 0
        if sent < len(frame):
            rest = memoryview(frame)[sent:]
            await asyncio.get_running_loop().sock_sendall(self._channel, rest)

    async def _receive(self) -> Sent | Done | Failed:
        """Return the next frame; a child may have sent more than that."""
        data = self._data
        while len(data) < HEADER:
            await self._read_more()
        end = HEADER + read_length(bytes(data[:HEADER]))
        if end > HEADER + MAX_FRAME:
            raise CellError(f"answered more than {MAX_FRAME >> 20} MB", kind="limit")
        while len(data) < end:
            await self._read_more()
        body = bytes(data[HEADER:end])
        del data[:end]
        answer: Sent | Done | Failed = await self._aside(read_answer, body)
        return answer

    async def _read_more(self) -> None:
        part = await asyncio.get_running_loop().sock_recv(self._channel, 1 << 18)
        if not part:
            raise EOFError
        self._data += part


@functools.lru_cache(maxsize=64)  # those of an object seldom change
def _in_order(names: frozenset[str]) -> list[str]:
    return sorted(names)


def make_nested(to: Any, selector: Any, row: Any, named: Any, delta: Delta) -> Nested:
    """Return the message that a call wants to send; every part but ``delta`` is hostile.

    Raises:
        FrameError: Some part is of another form, or a name too long.
        NotPlainError: UTF-8 cannot carry a name.
    """
    if type(to) not in (Ref, str) or type(row) is not list or type(named) is not dict:
        raise FrameError("a send of the wrong form")
    names = [selector, *named, *([to] if type(to) is str else ())]
    if not all(type(name) is str and len(name) <= MAX_NAME for name in names):
        raise FrameError("a send with a name of the wrong form")
    check(names, where="a name")
    return Nested(to, selector, tuple(row), named, delta)


def raised(name: str, line: int, message: str) -> CellError:
    """Return the error for an exception of the learned code itself; line 0 means no line."""
    name = name if name.isidentifier() and len(name) <= MAX_NAME else "Exception"
    place = f"{name} on line {line}" if line > 0 else name
    full = f"{place}: {message}" if message else place
    return CellError(full, kind="raised", type=name, line=line, text=message)


def check_slot(name: str) -> None:
    """Refuse names that a slot of the image must not have."""
    if not name.isidentifier() or len(name) > MAX_NAME or name.startswith(("__", "_p_")):
        raise FrameError("a slot name that is not allowed")
    if name in ("_slots", "send"):
        raise FrameError("a slot name that is reserved")
