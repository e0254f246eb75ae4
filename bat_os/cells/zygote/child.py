"""The run of one call, in the confined child: its frames, its builtins, its clock.

Nothing here is a boundary: learned code may tear it down and reaches no further than its own
process. It is there so that ordinary code works, and so that errors say where they happened.

    call frame > World, Self > exec the source > method(self, ...) > done | fail frame
                                   send frame <-> value frame, any number of times
"""

from __future__ import annotations

import builtins
import contextlib
import datetime as dt
import io
import os
import random
import sys
import time
import types
from typing import TYPE_CHECKING, Any, Final

from bat_os.cells.codec import PRINT_LIMIT, Codec, clean, pack_frame
from bat_os.cells.zygote.receiver import Channel, World
from bat_os.core.values import Ref
from bat_os.errors import NotPlainError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_monotonic = time.monotonic
_SOURCE: Final = "<method>"
_NOBODY: Final = -1  # no descriptor
_SMALL, _EACH = 480, 24  # bytes up to which Python keeps memory for objects, and how many of a size
_OTHERS, _MESSAGES = 48, 160  # of the object that a call is rehearsed with
_NO_BUILTINS: Final = frozenset(
    ("open", "input", "breakpoint", "exit", "quit", "help", "copyright", "credits", "license")
)


class Rehearsal(Channel):
    """A channel with one call in it, as large as that of an object with much in it.

    It has the kernel's socket only to read and write nothing there: a child's first use of
    these functions copies pages, too.
    """

    def __init__(self) -> None:
        super().__init__(_NOBODY)
        codec = Codec()
        refs = (Ref(f"{number:016x}", f"other_{number}_obj") for number in range(_OTHERS))
        slots = {ref.name: codec.pack(ref) for ref in refs} | {"a": codec.pack([1])}
        names = [f"message_{number}" for number in range(_MESSAGES)]
        rest = codec.pack([[1], {}, None, None, False])
        source = "def m(self, a):\n    self.a.append(a)\n    return a"
        self._frame = pack_frame(["call", source, "m", slots, codec.pack(Ref("")), names, rest])

    def connect(self, fd: int) -> None:
        """Read and write nothing at the socket ``fd`` from now on."""
        self._fd = fd

    def send(self, parts: list[Any]) -> None:
        """Pack the frame and forget it."""
        pack_frame(parts)
        with contextlib.suppress(OSError):
            os.write(self._fd, b"")

    def _read(self) -> bytes:
        with contextlib.suppress(OSError):
            os.read(self._fd, 0)
        return bytes(bytearray(self._frame))  # a copy, in memory of its own


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
        return clean("".join(self._parts))


class Stage:
    """What every call needs, made before the fork.

    Calls are rehearsed while nobody waits. Before the forks, Python tunes its bytecode to what
    it does, so that no child has to. After one, copying the pages that every call writes to
    takes longer than a short method does. A second round finds memory as the first has left it,
    and so will the call.
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
        self._rehearsal.connect(fd)
        self.rehearse(2)
        _touch_memory()
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


def _touch_memory() -> None:
    """Write to memory that the call will take for its small objects: Python keeps it for them."""
    held = [bytes(size) for size in range(1, _SMALL, 16) for _ in range(_EACH)]
    del held


def open_call(channel: Channel) -> tuple[str, str, World, list[Any]]:
    """Return source, selector, world, and [args, kwargs, seed, now] of the call that comes."""
    _, source, selector, slots, ref, selectors, packed = channel.receive()
    world = World(channel, slots, ref)
    world.selectors = frozenset(selectors)
    *given, world.slots.more = world.codec.unpack(packed)
    return source, selector, world, given


def perform(
    channel: Channel, world: World, work: Callable[[], Any], printed: Callable[[], str]
) -> None:
    """Do the call's work and write how it ended."""
    try:
        value = work()
    except MemoryError:
        channel.fail("limit", "used too much memory")
    except BaseException as error:  # noqa: BLE001 - foreign code: whatever it raises is reported
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


class _Posing(type):
    """A class that passes for its base class."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, cls.__mro__[1])

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, cls.__mro__[1])


def start_clock(now: float) -> None:
    """Make ``now`` the present, in seconds of Unix time; it advances from there.

    Replaces, in the child's own modules, what reads the present: ``time.time`` and the like, and
    the classes ``datetime.datetime`` and ``datetime.date``. The replaced classes make instances
    of the real ones and accept those as their own, so values look the same everywhere.
    Durations (``time.monotonic``, ``time.perf_counter``) stay real.
    """
    start = _monotonic()
    local, utc, text, wall = time.localtime, time.gmtime, time.ctime, time.strftime

    def read() -> float:
        return now + _monotonic() - start

    replaced: dict[str, Any] = {
        "time": read,
        "time_ns": lambda: int(read() * 1e9),
        "localtime": lambda seconds=None: local(read() if seconds is None else seconds),
        "gmtime": lambda seconds=None: utc(read() if seconds is None else seconds),
        "ctime": lambda seconds=None: text(read() if seconds is None else seconds),
        "strftime": lambda form, moment=None: wall(form, moment or local(read())),
    }
    for name, function in replaced.items():
        setattr(time, name, function)
    today = classmethod(lambda cls: cls.fromtimestamp(read()))
    date = _pose_as(dt.date, today=today)
    moment = _pose_as(
        dt.datetime,
        today=today,
        now=classmethod(lambda cls, tz=None: cls.fromtimestamp(read(), tz)),
        utcnow=classmethod(lambda cls: cls.fromtimestamp(read(), dt.UTC).replace(tzinfo=None)),
    )
    vars(dt).update(date=date, datetime=moment)


def _pose_as(real: type, **methods: Any) -> type:
    """Return a class that passes for ``real``, but has other ``methods``."""

    def new(cls: type, *args: Any, **kwargs: Any) -> Any:
        # A learned subclass stays what it is.
        return real.__new__(real if cls is posing else cls, *args, **kwargs)

    namespace = {"__new__": new, "__module__": real.__module__, **methods}
    posing: type = _Posing(real.__name__, (real,), namespace)
    return posing
