"""What the command line does for one verb: run it, and show its answer."""

from __future__ import annotations

import ast
import asyncio
import datetime as dt
import json
import re
import signal
import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO, TypeVar

from bat_os.core import syntax
from bat_os.core.verbs import COMMANDS as VERBS
from bat_os.errors import ArgumentsError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from bat_os.cli.console import Screen
    from bat_os.client.client import KernelClient, Listener
    from bat_os.core.fields import Field

    Columns = Mapping[str, str | Callable[[Mapping[str, Any]], Any]]

T = TypeVar("T")
MAX_LITERAL: Final = 10_000  # characters of an example that is read as Python writes values


@dataclass(frozen=True, slots=True)
class Ask:
    """What a verb has in hand."""

    kernel: KernelClient  # connects on first use, so a verb that needs none works without
    home: Path
    options: argparse.Namespace
    screen: Screen

    def fields(self) -> dict[str, Any]:
        """Return the request that the words of the command line make, by the table of verbs.

        Raises:
            ArgumentsError: A word cannot be read.
        """
        envelope: dict[str, Any] = {}
        body: dict[str, Any] = {}
        for field in VERBS[self.options.verb].fields:
            if not field.word or field.place == "client":
                continue
            given = getattr(self.options, field.dest)
            if field.name == "args":
                envelope["args"], envelope["kwargs"] = read_words(given)
            elif given not in (None, "", []) or field.required:
                where = body if field.place == "body" else envelope
                where[field.name] = _read_value(field, given)
        return envelope | ({"body": body} if body else {})

    async def request(
        self, verb: str = "", on_event: Listener | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Send a request, this verb's own one if nothing else is said, and return the answer."""
        return await self.kernel.request(
            verb or self.options.verb,
            timeout=VERBS[self.options.verb].seconds,
            on_event=on_event,
            **(fields or ({} if verb else self.fields())),
        )


def is_interactive() -> bool:
    """Return True if a person reads and types."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()


def opened(file: str) -> AbstractContextManager[TextIO]:
    """Return a file to write text to; ``-`` is standard output."""
    return nullcontext(sys.stdout) if file == "-" else Path(file).open("w", encoding="utf-8")


async def _send_request(ask: Ask) -> Mapping[str, Any]:
    return await ask.request()


def _show_json(body: Mapping[str, Any], screen: Screen) -> None:
    screen.data(body)


@dataclass(frozen=True, slots=True)
class Command:
    """What a verb of the command line does beyond what the table of verbs says."""

    # writes the body for people; ``--json`` writes it as it is
    show: Callable[[Mapping[str, Any], Screen], None] = _show_json
    run: Callable[[Ask], Awaitable[Mapping[str, Any]]] = _send_request  # returns the body to show


def _read_value(field: Field, given: Any) -> Any:
    """Return what a request has for the words of one field."""
    readers: Mapping[str, Callable[[Any], Any]] = {
        "words": " ".join,
        "examples": lambda given: [read_example(text) for text in given],
        "map": read_pairs,
        "file": read_text,
        "path": str,
        "paths": lambda given: [str(path) for path in given],
    }
    return readers.get(field.kind, lambda given: given)(given)


def read_pairs(given: Sequence[str]) -> dict[str, Any]:
    """Return ``KEY=VALUE`` texts as a map; a key that comes again has a list."""
    values: dict[str, list[str]] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise ArgumentsError(f"{text!r} is not KEY=VALUE")
        values.setdefault(key, []).append(value)
    return {key: texts[0] if len(texts) == 1 else texts for key, texts in values.items()}


def read_words(words: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """Return (args, kwargs) of a message, from JSON or from plain words.

    A list and a map as JSON are all arguments; else each word is one: JSON where it is JSON,
    text where it is not, and ``name=value`` by name.

    >>> read_words(["[1, 2]", '{"by": 3}'])
    ([1, 2], {'by': 3})
    >>> read_words(["Ann", "5", "loud=true", "[1, 2]"])
    (['Ann', 5, [1, 2]], {'loud': True})
    """
    whole = [_read_word(word) for word in words]
    if words and isinstance(whole[0], list) and len(words) <= 2:
        if len(words) == 1:
            return whole[0], {}
        if isinstance(whole[1], dict):
            return whole[0], whole[1]
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for word, value in zip(words, whole, strict=True):
        name, equals, rest = word.partition("=")
        if equals and name.isidentifier():
            kwargs[name] = read_json(rest)
        else:
            args.append(value)
    return args, kwargs


def _read_word(word: str) -> Any:
    """Return one argument; a word that begins like a list or map of JSON has to be one.

    Raises:
        ArgumentsError: A list or map is not closed.
    """
    value = read_json(word)
    end = {"[": "]", "{": "}"}.get(word[:1], "")
    if end and isinstance(value, str) and not word.rstrip().endswith(end):
        raise ArgumentsError(f"{word[:60]!r} begins like JSON, and the {end} is missing")
    return value


def read_json(text: str) -> Any:
    """Return the JSON value in ``text``, or the text itself if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def read_input(read: Callable[[], T]) -> T:
    """Return what ``read`` takes from standard input, where Ctrl-C ends the waiting at once.

    In the event loop's thread: nothing else runs, and asyncio's own handler of Ctrl-C would only
    run when the input has ended. A loop whose handler is the default one already has had its
    Ctrl-C (``run_interruptible``) and waits for the next step to cancel: that step would be this.

    Raises:
        KeyboardInterrupt: Ctrl-C.
        asyncio.CancelledError: Ctrl-C just before.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if before is signal.default_int_handler and _in_loop():
            raise asyncio.CancelledError
        return read()
    finally:
        signal.signal(signal.SIGINT, before)


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def read_line(prompt: str) -> str:
    """Return what a person types, "" at the end of the input; Ctrl-C cancels this task."""
    sys.stdout.write(prompt)
    sys.stdout.flush()
    if sys.platform == "win32":  # its loop cannot wait for a console
        return read_input(sys.stdin.readline)
    loop, stdin = asyncio.get_running_loop(), sys.stdin.fileno()
    typed = asyncio.Event()
    loop.add_reader(stdin, typed.set)
    try:
        await typed.wait()
    finally:
        loop.remove_reader(stdin)
    return sys.stdin.readline()


def read_text(file: str) -> str:
    """Return the text of a file, or of standard input for ``-``.

    Raises:
        ArgumentsError: It cannot be read.
    """
    if file == "-":
        text: str = read_input(sys.stdin.read)
        return text
    try:
        return Path(file).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ArgumentsError(f"there is no file {file}") from error
    except UnicodeDecodeError as error:
        raise ArgumentsError(f"{file} is not a text in UTF-8") from error
    except OSError as error:
        raise ArgumentsError(f"{file} cannot be read: {error.strerror}") from error


_CALL: Final = re.compile(r"\s*[A-Za-z_]\w*\(.*\)\s*\Z", re.DOTALL)


def read_example(text: str) -> dict[str, Any]:
    """Return an example from ``ARGS gives RESULT``, as people write it in sentences.

    ``and does OBJECT.MESSAGE(ARGS)`` states an effect, ``and does nothing`` that there is none.

    >>> read_example("5 gives 120")
    {'args': [5], 'kwargs': {}, 'result': 120}
    >>> read_example('"a", [1, 2] -> "b"')
    {'args': ['a', [1, 2]], 'kwargs': {}, 'result': 'b'}
    >>> read_example("'Ann' gives 'Hello, Ann!'")
    {'args': ['Ann'], 'kwargs': {}, 'result': 'Hello, Ann!'}
    >>> read_example("'milk' gives 4 and does notes_obj.append('a.txt', 'milk')")["effects"]
    [{'target': 'notes_obj', 'selector': 'append', 'args': ['a.txt', 'milk']}]
    """
    text, does, said = text.partition(" and does ")
    if does:
        return read_example(text) | {"effects": [*_read_effects(said)]}
    for word in (" gives ", " -> ", " => "):
        given, middle, result = text.partition(word)
        if middle:
            if _CALL.match(given):
                shown = given.strip()[given.index("(") + 1 : -1]
                raise ArgumentsError(f'an example is written "{shown} gives {result.strip()}"')
            listed = _read_quoted(f"[{given.strip()}]")
            args = listed if isinstance(listed, list) else [given.strip()]
            return {"args": args, "kwargs": {}, "result": _read_quoted(result.strip())}
    raise ArgumentsError(
        f"{text!r} is not an example; write it as: 5 gives 120 (or: 10, 50 gives 5)"
    )


def _read_effects(text: str) -> Iterator[dict[str, Any]]:
    """Yield what an example does, from ``OBJECT.MESSAGE(ARGS)`` with ``;`` between them."""
    wrong = f"{text[:80]!r} is not done; write it as: notes_obj.append('a.txt', 'milk'), or nothing"
    if text.strip() == "nothing":
        return
    try:
        for line in syntax.parse(text.strip()).body:
            match line:
                case ast.Expr(
                    ast.Call(ast.Attribute(ast.Name(target), selector), args, keywords=[])
                ):
                    said = [ast.literal_eval(arg) for arg in args]
                    yield {"target": target, "selector": selector, "args": said}
                case _:
                    raise ArgumentsError(wrong)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise ArgumentsError(wrong) from error


def _read_quoted(text: str) -> Any:
    """Return the JSON value in ``text``, texts in single quotes too, or the text itself."""
    value = read_json(text)
    if value != text or "'" not in text or len(text) > MAX_LITERAL:
        return value
    try:
        literal = syntax.parse_literal(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text
    # A tuple, say, is not what JSON has: it stays the text that it is.
    return literal if read_json(json.dumps(literal, default=repr)) == literal else text


def rows_of(records: Iterable[Mapping[str, Any]], columns: Columns) -> list[list[Any]]:
    """Return the cells of records; a column is a field, or what a function makes of a record."""
    return [
        [record[column] if isinstance(column, str) else column(record)
         for column in columns.values()]
        for record in records
    ]  # fmt: skip


def table_of(
    field: str, columns: Columns, empty: str = ""
) -> Callable[[Mapping[str, Any], Screen], None]:
    """Return what writes the records in ``field`` of a body as a table, or notes ``empty``."""

    def show(body: Mapping[str, Any], screen: Screen) -> None:
        screen.table(rows_of(body[field], columns), tuple(columns))
        if empty and not body[field]:
            screen.note(empty)

    return show


def show_time(moment: Any, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Return Unix time as local time, for people; "" for none."""
    if not moment:
        return ""
    try:
        return dt.datetime.fromtimestamp(moment, dt.UTC).astimezone().strftime(form)
    except (TypeError, ValueError, OverflowError, OSError):
        return ""


def cut(text: Any, most: int | None = 100) -> str:
    """Return a text as one line of at most ``most`` characters; None leaves it whole."""
    line = " ".join(str(text).split())
    return line if most is None or len(line) <= most else line[: most - 1] + "…"


def show_states(screen: Screen) -> Listener:
    """Return what writes each state of a mission, and how long after now it came."""
    started = time.monotonic()
    return lambda kind, body: screen.event(kind, body, time.monotonic() - started)


def show_result(body: Mapping[str, Any], screen: Screen) -> None:
    """Write an answer to a message, and how it came about."""
    screen.result(body)
