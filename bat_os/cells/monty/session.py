"""One call in one Monty session: the kernel's end of it; prelude.py is the other end.

    source, then _bat_run(m, call) >   < text of a send, and a pause    reply >   ...
                                       < text of how it ended, and the end

No value of the session is ever looked at, neither its answer nor the arguments of what it
calls: only the text that it prints, and the names of functions that it lacks.

Values go in as Monty takes them, with a number for each reference: complex, a type that plain
data does not have. They come out as JSON, in which a dict is a tag with its content. What comes
out is hostile: its parts are counted before they are built, and references are numbers of those
that the call was given.

    {"t": [1, 2]} (1, 2)   {"r": 0} self   {"d": {...}} dict   {"m": [k, v, ...]} other keys
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import datetime as dt
import json
import re
import uuid
from typing import TYPE_CHECKING, Any, Final, NoReturn

import pydantic_monty as pm

from bat_os.cells import codec
from bat_os.cells.call_protocol import Talk, answer_checks, check_slot, make_nested, raised
from bat_os.cells.codec import MAX_FRAME, MAX_PARTS, NESTED, PRINT_LIMIT, READERS, clean
from bat_os.cells.monty.dialect import MODULES, Program
from bat_os.core import syntax
from bat_os.core.schema import Record, convert
from bat_os.core.values import MAX_INT_BITS, TOUCH, Ref, check
from bat_os.errors import BatError, CellError, FrameError
from bat_os.ports import Delta, Nested, RunResult

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from bat_os.ports import Call, Sender

MARK: Final = "\x1e"
_ASK: Final = "_bat_ask"
_SLEEPS: Final = ("system.sleep", "system.async_sleep")
_LEARNED: Final = "<python-input-1>"  # the second feed of a session; the first is the prelude
_SLOT_READ: Final = re.compile(r"self\s*\.\s*(\w+)")
_OWNER_READ: Final = re.compile(r"(\w+)\s*\.\s*([A-Za-z]\w*)\b(?!\s*=[^=])")
_IMPORT: Final = re.compile(r"from\s+(\w+)\s+import\s+([A-Za-z]\w*)")


class Sent(Record, frozen=True, array_like=True, tag="send"):
    """A nested message; values as ``References.read`` takes them."""

    target: Any
    selector: str
    args: list[Any]
    kwargs: dict[str, Any]
    there: dict[str, Any]
    gone: list[str]


class Done(Record, frozen=True, array_like=True, tag="done"):
    """The answer."""

    value: Any
    there: dict[str, Any]
    gone: list[str]


class Refused(Record, frozen=True, array_like=True, tag="refused"):
    """Why the answer cannot be written."""

    message: str


LINES: Final[Any] = Sent | Done | Refused


class MontyTalk(Talk):
    """What is said in one call.

    Attributes:
        session: Where it is said; used for this call alone.
    """

    def __init__(self, session: pm.AsyncMontySession, program: Program, call: Call) -> None:
        super().__init__(call)
        self.session = session
        self._program = program
        self._refs = References(call.view.ref)
        self._known = dict(call.view.slots)
        self._printed = ""
        self._heard: list[str] = []
        self._heard_size = 0
        self._over = ""
        self._loop = asyncio.get_running_loop()
        self._turn: asyncio.Future[pm.AsyncSnapshot] | None = None

    async def run(self, send: Sender) -> RunResult:
        """Return how the call ended."""
        try:
            with answer_checks():
                if self._call.view.more:
                    await self._touch(send)
                return await self._drive(send)
        except pm.MontyError as error:
            raise self._explain(error) from error

    async def _drive(self, send: Sender) -> RunResult:
        shot = await self._step(
            self.session.feed_start(
                f"{self._program.text}\n\n_bat_run({self._call.selector}, _bat_call)\n",
                inputs={"_bat_call": self._opening()},
                print_callback=self._hear,
            )
        )
        while not isinstance(shot, pm.MontyComplete):
            if isinstance(shot, pm.AsyncNameLookupSnapshot):
                self._check_name(shot.variable_name)
                shot = await self._step(shot.resume())
            elif not isinstance(shot, pm.AsyncFunctionSnapshot):
                raise FrameError("it waits for something unknown")
            elif shot.is_os_function:
                shot = await self._step(self._serve(shot))
            elif shot.function_name == _ASK:
                answer = await self._ask(self._read_send(), send)
                shot = await self._step(shot.resume(answer))
            else:
                self._check_name(shot.function_name)
                text = f"name {shot.function_name!r} is not defined"
                shot = await self._step(shot.resume({"exc_type": "NameError", "message": text}))
        return self._end()

    async def _step(self, work: Coroutine[Any, Any, pm.AsyncSnapshot]) -> pm.AsyncSnapshot:
        """Return where the session stops next, within the deadline."""
        self._turn = asyncio.ensure_future(work)
        try:
            return await self._within(self._turn)
        except (pm.MontyError, asyncio.CancelledError) as error:
            if self._over and not _is_cancelled():
                raise CellError(self._over, kind="limit") from error
            raise
        except RuntimeError as error:  # how Monty reports a session that was ended
            raise CellError("the session was ended", kind="died") from error
        finally:
            self._turn = None  # its error holds this frame, and so this conversation
            del work

    async def _serve(self, shot: pm.AsyncFunctionSnapshot) -> pm.AsyncSnapshot:
        """Return where the session stops after what it asks of the system: it may sleep."""
        if shot.function_name not in _SLEEPS:
            return await shot.resume_auto()
        # Monty has checked that this is one number.
        await asyncio.sleep(max(0, shot.args[0]))
        return await shot.resume({"return_value": None})

    async def _touch(self, send: Sender) -> None:
        """Ask for slots that were not given; later than this Monty cannot."""
        program = self._program
        names = [""] if program.dynamic else sorted(program.read | program.stored)
        reply = await send(Nested(self._call.view.ref, TOUCH, tuple(names), {}, Delta()))
        self._known.update(reply.slots)

    def _opening(self) -> dict[str, Any]:
        """Return what the prelude needs to make the call."""
        call, program, lower = self._call, self._program, self._refs.lower
        named = program.read | program.stored
        slots = {
            name: lower(value)
            for name, value in self._known.items()
            if program.dynamic or name in named
        }
        args, kwargs = [lower(item) for item in call.args], lower(dict(call.kwargs))
        return {
            "slots": slots,
            "args": args,
            "kwargs": kwargs,
            "refs": self._refs.news(),
            "marked": self._refs.marked,
            "words": sorted(word for word in program.read if not word.startswith("_")),
            "names": sorted(program.stored - {"_p_changed"} - set(slots)),
            "selectors": sorted(call.view.selectors - set(self._known)),
            "parts": MAX_PARTS,
        }

    def _read_send(self) -> Nested:
        """Return the nested message that the session wants to send."""
        self._count_message()
        sent = self._listen()
        if not isinstance(sent, Sent):
            raise FrameError("an end where it waits for an answer")
        read = self._refs.read
        to, row, named = read(sent.target), read(sent.args), read({"d": sent.kwargs})
        check([row, named], where="argument")
        return make_nested(to, sent.selector, row, named, self._delta(sent.there, sent.gone))

    async def _ask(self, nested: Nested, send: Sender) -> pm.ExternalResult:
        """Return what resumes the session, once the kernel has run the message."""
        try:
            reply = await send(nested)
        except BatError as error:
            return {"exc_type": "RuntimeError", "message": clean(str(error))}
        self._refs.marked = False
        value = self._refs.lower(reply.value)
        slots = {name: self._refs.lower(item) for name, item in reply.slots.items()}
        for name in reply.removed:
            self._known.pop(name, None)
        self._known.update(reply.slots)
        parts = [value, self._refs.marked, slots, list(reply.removed), self._refs.news()]
        return {"return_value": parts}

    def _end(self) -> RunResult:
        end = self._listen()
        if isinstance(end, Refused):
            raise CellError(clean(end.message[:2000]), kind="refused")
        if not isinstance(end, Done):
            raise FrameError("a send at the end")
        value = self._refs.read(end.value)
        check(value, where="the answer")
        return RunResult(value, self._delta(end.there, end.gone), self._printed)

    def _delta(self, there: Mapping[str, Any], gone: Sequence[str]) -> Delta:
        """Return what the session says it changed, checked name by name."""
        if not set(gone) <= set(self._known) or len(set(gone)) != len(gone):
            raise FrameError("a removed slot that was not there")
        changed, sizes = {}, {}
        for name, data in there.items():
            check_slot(name)
            value = self._refs.read(data)
            check(value, where=f"slot {name!r}")
            packed = self._codec.pack(value)
            if name not in self._known or packed != self._codec.pack(self._known[name]):
                changed[name] = value
                sizes[name] = len(packed)
        self._weigh(sizes, gone)
        for name in gone:
            self._known.pop(name)
        self._known.update(changed)
        return Delta(changed, tuple(gone))

    def _hear(self, stream: str, text: str) -> None:
        """Collect what the session prints; raising ends the feed."""
        if stream == "stderr":
            self._heard.append(text)
            self._heard_size += len(text)
        else:
            self._printed += text
        if len(self._printed.encode()) > PRINT_LIMIT:
            self._over = f"printed more than {PRINT_LIMIT >> 10} kB"
        elif self._heard_size > MAX_FRAME:
            self._over = f"answered more than {MAX_FRAME >> 20} MB"
        if self._over:
            if (turn := self._turn) is not None:  # Monty would go on printing for a while
                self._loop.call_soon_threadsafe(turn.cancel)
            raise RuntimeError(self._over)

    def _listen(self) -> Sent | Done | Refused:
        """Return what the prelude printed last; the rest was printed by the method.

        The method may have printed it: nothing in it is used before its form is checked.
        """
        before, mark, last = "".join(self._heard).rpartition(MARK)
        self._heard, self._heard_size = [], 0
        self._printed += before.replace(MARK, "")
        if not mark:
            raise FrameError("nothing")
        line: Sent | Done | Refused = convert(load(last), LINES, FrameError)
        return line

    def _check_name(self, name: str) -> None:
        """End the call at a name that Python has and Monty lacks."""
        if hasattr(builtins, name):
            raise _lacks(f"the built-in {name}", 0)

    def _explain(self, error: pm.MontyError) -> CellError:
        """Return the error for what Monty raised."""
        if isinstance(error, pm.MontyCrashedError):
            return CellError("the session ended without an answer", kind="died")
        if isinstance(error, pm.MontyRuntimeError | pm.MontySyntaxError):
            return self._explain_raised(error)
        return CellError(str(error)[:2000], kind="refused")

    def _explain_raised(self, error: pm.MontyRuntimeError | pm.MontySyntaxError) -> CellError:
        """Return the error for an exception of the learned code, or of the parser."""
        name, frames = type(error.exception()).__name__, error.traceback()
        text = error.display("msg")[:2000]
        if name == "MemoryError":
            return CellError("used too much memory", kind="limit")
        line, part = self._place(frames)
        # A frame without a function is the parser: it knows the word but does not support it.
        if name == "NotImplementedError" and all(f.function_name is None for f in frames):
            return _lacks(text[:200], line)
        lacking = self._missing_part(name, part)
        if lacking:
            return _lacks(lacking, line)
        return raised(name, line, self._unknown_slot(name, part) or text)

    def _place(self, frames: list[pm.Frame]) -> tuple[int, str]:
        """Return the line of the learned source where it happened, and the text there."""
        lines = self._program.text.splitlines()
        for frame in reversed(frames):
            if frame.filename == _LEARNED and 0 < frame.line <= len(lines):
                text = lines[frame.line - 1]
                end = frame.end_column if frame.end_line == frame.line else None
                return frame.line, text[frame.column - 1 : end and end - 1]
        return 0, ""

    def _missing_part(self, name: str, part: str) -> str:
        """Return the feature if a module of Monty lacks what Python's has."""
        module, match = "", None
        if name == "AttributeError" and (match := _OWNER_READ.match(part)) and _reads(match):
            module = dict(self._program.modules).get(match[1], "")
        elif name == "ImportError" and (match := _IMPORT.match(part)):
            module = match[1]
        if match is None or module not in MODULES or match[2] in self._program.stored:
            return ""
        return f"{module}.{match[2]}"

    def _unknown_slot(self, name: str, part: str) -> str:
        """Return a better message for reading a slot that does not exist."""
        match = _SLOT_READ.match(part)
        if name != "AttributeError" or not match or match[1] in self._known:
            return ""
        there = ", ".join(sorted(self._known)) or "none"
        return f"no slot {match[1]!r}; the slots are: {there}"


def _reads(match: re.Match[str]) -> bool:
    """Return whether what was read last is what ``match`` names, as in ``json.loads(x)``."""
    try:
        last = syntax.parse(match.string.strip(), "eval").body
    except (SyntaxError, ValueError):  # part of an expression over several lines
        return True
    if isinstance(last, ast.Call):
        last = last.func
    return isinstance(last, ast.Attribute) and isinstance(last.value, ast.Name)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _lacks(feature: str, line: int) -> CellError:
    """Return the error for something that Monty lacks."""
    place = f" (line {line})" if line else ""
    text = f"not possible here: {feature}{place}"
    return CellError(text, kind="unsupported", feature=feature, line=line)


def refuse_gaps(gaps: tuple[Any, ...]) -> NoReturn:
    """Raise for what a source uses and Monty lacks."""
    features = "; ".join(f"{gap.feature} (line {gap.line})" for gap in gaps[:10])
    feature = gaps[0].feature
    text = f"not possible here: {features}"
    raise CellError(text, kind="unsupported", feature=feature, line=gaps[0].line)


_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_HEX: Final = re.compile(r"-?0x[0-9a-f]+\Z")


class References:
    """The references of one call, by number; the first is the receiver.

    Attributes:
        marked: Whether a reference went in since this was last set to False.
    """

    def __init__(self, receiver: Ref) -> None:
        self._refs = [receiver]
        self._numbers = {receiver.oid: 0}
        self._sent = 0
        self.marked = False

    def news(self) -> list[str]:
        """Return the names of the references that the session does not know yet."""
        fresh = [ref.name or ref.oid for ref in self._refs[self._sent :]]
        self._sent = len(self._refs)
        return fresh

    def lower(self, value: Any) -> Any:
        """Return plain data as what Monty takes."""
        kind = type(value)
        if kind is dict:
            return {self.lower(key): self.lower(item) for key, item in value.items()}
        if kind in (list, tuple, set, frozenset):
            return kind([self.lower(item) for item in value])
        if kind is Ref:
            self.marked = True
            if value.oid not in self._numbers:
                self._numbers[value.oid] = len(self._refs)
                self._refs.append(value)
            return complex(self._numbers[value.oid])
        lost = _lost(value, kind)
        if lost:
            raise CellError(f"Monty cannot hold {lost}", kind="unsupported", feature=lost)
        return value

    def read(self, data: Any) -> Any:
        """Return the value of what ``load`` gave."""
        try:
            return self._read(data)
        except _UNREADABLE as error:
            raise FrameError("it cannot be read") from error

    def _read(self, data: Any) -> Any:
        if type(data) is list:
            return [self._read(item) for item in data]
        if type(data) is not dict:
            return data
        ((tag, content),) = data.items()
        found: type = type(content)
        if found is not _CONTENTS[tag]:
            raise TypeError(tag)
        if tag == "d":
            return {key: self._read(item) for key, item in content.items()}
        if tag in _TAGS:
            kind = _TAGS[tag]
            return READERS[kind](self._read(content) if kind in NESTED else content)
        return self._refs[content] if tag == "r" else _ATOMS[tag](content)


def load(text: str) -> list[Any]:
    """Return the JSON list that ``text`` is."""
    if len(text) > MAX_PARTS and sum(map(_STRING.sub("", text).count, ",[{")) > MAX_PARTS:
        raise FrameError(f"more than {MAX_PARTS} parts")
    try:
        parts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FrameError("not JSON") from error
    if type(parts) is not list:
        raise FrameError("not a list")
    return parts


def _lost(value: Any, kind: type) -> str:
    """Return what Monty would lose of a value, or nothing."""
    if kind is uuid.UUID:
        return "a UUID"
    if kind in (dt.datetime, dt.time) and value.fold:
        return "a moment with fold=1"
    if kind is str and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return "text with a lone surrogate"
    return ""


def _integer(text: str) -> int:
    if len(text) > MAX_INT_BITS or not _HEX.match(text):
        raise ValueError("not an integer, or a very large one")
    return int(text, 16)


_TAGS: Final = {
    "t": codec.TUPLE,
    "s": codec.SET,
    "z": codec.FROZENSET,
    "m": codec.DICT,
    "dt": codec.DATETIME,
    "da": codec.DATE,
    "ti": codec.TIME,
    "td": codec.DELTA,
    "n": codec.DECIMAL,
}
# What stands under each tag. A session that was tampered with may put anything there.
_CONTENTS: Final[dict[str, type]] = {
    "d": dict, "r": int, "i": str, "f": str, "b": str, "n": str,
    **dict.fromkeys(("t", "s", "z", "m", "dt", "da", "ti", "td"), list),
}  # fmt: skip
_UNREADABLE: Final = (
    ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError
)  # fmt: skip
_ATOMS: Final[dict[str, Callable[[Any], Any]]] = {
    "i": _integer,
    "f": lambda text: {"inf": float("inf"), "-inf": float("-inf"), "nan": float("nan")}[text],
    "b": bytes.fromhex,
}
