"""The run of one call, in the confined child: its frames, its sends, its builtins.

Nothing here is a boundary: learned code may tear it down and reaches no further than its own
process. It is there so that ordinary code works, and so that mistakes say where they are.

    call frame > Slots, Self > exec the source > method(self, ...) > done | fail frame
                                   send frame <-> value frame, any number of times
"""

from __future__ import annotations

import builtins
import io
import os
import random
import sys
import types
from typing import TYPE_CHECKING, Any, Final, NoReturn

import ormsgpack

from bat_os.cells.codec import Codec
from bat_os.cells.frame import HEADER, pack_frame, read_length
from bat_os.cells.zygote.clock import start_clock
from bat_os.cells.zygote.receiver import Proxy, Self, Slots
from bat_os.core.values import Ref
from bat_os.errors import NotPlainError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PRINT_LIMIT: Final = 64 << 10
_PART: Final = 1 << 16
_SOURCE: Final = "<method>"
_NO_BUILTINS: Final = frozenset(
    ("open", "input", "breakpoint", "exit", "quit", "help", "copyright", "credits", "license")
)


class Channel:
    """The one way out of the child: frames on a socket."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def send(self, parts: list[Any]) -> None:
        """Write one frame."""
        left = memoryview(pack_frame(parts))
        while left:
            left = left[os.write(self._fd, left) :]

    def receive(self) -> list[Any]:
        """Return the next frame; the process ends when the kernel is gone.

        The kernel is trusted, and waits for an answer before it sends another one.
        """
        data = self._read()
        while len(data) < HEADER or len(data) < HEADER + read_length(data[:HEADER]):
            data += self._read()
        parts: list[Any] = ormsgpack.unpackb(memoryview(data)[HEADER:])
        return parts

    def fail(self, kind: str, text: str, *, error: str = "", line: int = 0) -> NoReturn:
        """Tell the kernel why there is no answer, and end the process."""
        self.send(["fail", kind, error[:100], line, _clean(text[:2000])])
        self.leave()

    def leave(self) -> NoReturn:
        """End the process at once; learned code cannot hold it up."""
        os._exit(0)

    def _read(self) -> bytes:
        return os.read(self._fd, _PART) or self.leave()


class Rehearsal(Channel):
    """A channel to nobody, with one call in it."""

    def __init__(self) -> None:
        super().__init__(-1)
        codec = Codec()
        slots, rest = {"a": codec.pack([1])}, codec.pack([[1], {}, None, None])
        source = "def m(self, a):\n    self.a.append(a)\n    return a"
        self._frame = pack_frame(["call", source, "m", slots, codec.pack(Ref("")), [], rest])

    def send(self, parts: list[Any]) -> None:
        """Pack the frame and forget it."""
        pack_frame(parts)

    def _read(self) -> bytes:
        return self._frame


class World:
    """All that one call holds together.

    Attributes:
        ref: The receiver.
        selectors: What the receiver understands.
        receiver: ``self`` of the method.
    """

    def __init__(self, channel: Channel, slots: dict[str, bytes], ref: bytes) -> None:
        self._channel = channel
        self.codec = Codec(to_ref=self.to_ref, from_ref=self._from_ref)
        self.ref: Ref = Codec().unpack(ref)
        self.selectors: frozenset[str] = frozenset()
        self.slots = Slots(slots, self.codec)
        self.receiver = Self(self.slots, self)

    def send(self, target: Any, selector: str, args: Any, kwargs: Any) -> Any:
        """Return the answer to a nested message; the kernel runs it in the same turn.

        Raises:
            TypeError: The target, the selector or an argument cannot be sent.
            RuntimeError: The kernel refused the message, or it failed.
        """
        if type(target) is not str and self.to_ref(target) is None:
            raise TypeError(f"cannot send to a {type(target).__name__}; use an object or a name")
        try:
            packed = [
                self.codec.pack(target),
                str(selector),
                self.codec.pack(list(args), where="argument", friendly=True),
                self.codec.pack(kwargs, where="argument", friendly=True),
                *self.slots.flush(),
            ]
        except NotPlainError as error:
            raise TypeError(str(error)) from None
        self._channel.send(["send", *packed])
        tag, *parts = self._channel.receive()
        if tag == "error":
            raise RuntimeError(parts[0])
        value, slots, removed = parts
        self.slots.take(slots)
        self.slots.forget(removed)
        return self.codec.unpack(value)

    def to_ref(self, value: Any) -> Ref | None:
        """Return the reference behind a proxy or ``self``; None for anything else."""
        if type(value) is Proxy:
            return value._ref
        return self.ref if type(value) is Self else None

    def _from_ref(self, ref: Ref) -> Any:
        return self.receiver if ref.oid == self.ref.oid else Proxy(ref, self)


class _Output(io.TextIOBase):
    """Keeps what is printed; ends the call when it is too much."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._parts: list[str] = []
        self._size = 0

    def write(self, text: str, /) -> int:
        self._size += len(text.encode("utf-8", "replace"))
        if self._size > PRINT_LIMIT:
            self._channel.fail("limit", f"printed more than {PRINT_LIMIT >> 10} kB")
        self._parts.append(text)
        return len(text)

    def text(self) -> str:
        return _clean("".join(self._parts))


class Stage:
    """What every call needs, made before the fork.

    Calls are rehearsed while nobody waits. Before the forks, Python tunes its bytecode to what
    it does, so that no child has to. After one, copying the pages that every call writes to
    takes longer than a short method does.
    """

    def __init__(self, modules: frozenset[str]) -> None:
        """Make the built-ins of methods that may import ``modules``."""
        names = {key: item for key, item in vars(builtins).items() if key not in _NO_BUILTINS}
        self._names = names | {"__import__": _make_import(modules)}
        self._rehearsal = Rehearsal()

    def rehearse(self, rounds: int = 1) -> None:
        """Run a small call, some times."""
        streams = sys.stdout, sys.stderr
        for _ in range(rounds):
            self._run(self._rehearsal)
        sys.stdout, sys.stderr = streams

    def run_call(self, fd: int) -> None:
        """Read one call from the socket ``fd``, run it, write how it ended."""
        random.seed()  # each child is a copy of the same process
        self.rehearse()
        self._run(Channel(fd))

    def _run(self, channel: Channel) -> None:
        source, selector, world, (args, kwargs, seed, now) = open_call(channel)
        output = _Output(channel)
        sys.stdout = sys.stderr = output
        if seed is not None:
            random.seed(seed)
        if now is not None:
            start_clock(now)

        def work() -> Any:
            return _define(source, selector, self._names)(world.receiver, *args, **kwargs)

        perform(channel, world, work, output.text)


def open_call(channel: Channel) -> tuple[str, str, World, list[Any]]:
    """Return source, selector, world, and [args, kwargs, seed, now] of the call that comes."""
    _, source, selector, slots, ref, selectors, packed = channel.receive()
    world = World(channel, slots, ref)
    world.selectors = frozenset(selectors)
    return source, selector, world, world.codec.unpack(packed)


def perform(
    channel: Channel, world: World, work: Callable[[], Any], printed: Callable[[], str]
) -> None:
    """Do the call's work and write how it ended."""
    try:
        value = work()
    except MemoryError:
        channel.fail("limit", "used too much memory")
    except BaseException as error:  # noqa: BLE001 - foreign code: whatever it raises is told
        channel.fail("raised", _text(error), error=type(error).__name__, line=_line(error))
    try:
        answer = world.codec.pack(value, where="the answer", friendly=True)
        changed, removed = world.slots.flush()
    except MemoryError:
        channel.fail("limit", "used too much memory")
    except BaseException as error:  # noqa: BLE001 - foreign code: a property of the value
        channel.fail("refused", _text(error))
    try:
        channel.send(["done", answer, changed, removed, printed()])
    except NotPlainError as error:
        channel.fail("limit", str(error))


def _define(source: str, selector: str, names: dict[str, Any]) -> Callable[..., Any]:
    """Return the method that ``source`` defines, in a module of its own."""
    module = types.ModuleType("method")
    sys.modules["method"] = module  # dataclasses look their module up
    vars(module)["__builtins__"] = names
    exec(compile(source, _SOURCE, "exec", dont_inherit=True), vars(module))  # noqa: S102 - the job
    method = vars(module).get(selector)
    if not callable(method):
        text = f"the source defines no function {selector!r}"
        raise NameError(text)  # noqa: TRY004 - the name is what is wrong
    return method  # type: ignore[no-any-return]  # callable, and no more is known


def _make_import(modules: frozenset[str]) -> Callable[..., Any]:
    real = builtins.__import__
    allowed = modules | {"__future__"}

    def import_allowed(
        name: str,
        scope: Any = None,
        names: Any = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> Any:
        inside = bool(fromlist) and all(f"{name}.{item}" in allowed for item in fromlist)
        if level or not (name in allowed or inside):
            raise ImportError(f"module {name!r} may not be imported here", name=name)
        return real(name, scope, names, fromlist, level)

    return import_allowed


def _line(error: BaseException) -> int:
    """Return the line of the learned source where ``error`` came up; 0 where it has none."""
    if isinstance(error, SyntaxError) and error.filename == _SOURCE:
        return error.lineno or 0
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == _SOURCE:
            line = trace.tb_lineno or 0
        trace = trace.tb_next
    return line


def _text(error: BaseException) -> str:
    try:
        return error.msg if isinstance(error, SyntaxError) else str(error)
    except BaseException:  # noqa: BLE001 - foreign code: its __str__ may do anything
        return ""


def _clean(text: str) -> str:
    """Return ``text`` with what UTF-8 cannot carry replaced."""
    return text.encode("utf-8", "replace").decode()
