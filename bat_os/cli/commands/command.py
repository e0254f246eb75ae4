"""What one verb of the command line is, and how its words become values."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from bat_os.errors import ArgumentsError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from bat_os.cli.console import Screen
    from bat_os.client.client import KernelClient

T = TypeVar("T")

LONG: Final = 3600.0  # seconds; for verbs that read whole folders or fetch models


@dataclass(frozen=True, slots=True)
class Ask:
    """What a verb has in hand.

    Attributes:
        kernel: Connects on first use, so a verb that needs none works without.
        home: The home directory.
        options: The parsed command line.
        screen: Where notes go while it runs.
    """

    kernel: KernelClient
    home: Path
    options: argparse.Namespace
    screen: Screen


def _show_json(body: Mapping[str, Any], screen: Screen) -> None:
    screen.data(body)


@dataclass(frozen=True, slots=True)
class Command:
    """One verb.

    Attributes:
        help: One line for ``--help``.
        arguments: Adds the verb's own arguments to its parser.
        run: Returns the body to show.
        show: Writes the body for people; ``--json`` writes it as it is.
    """

    help: str
    run: Callable[[Ask], Awaitable[Mapping[str, Any]]]
    arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None
    show: Callable[[Mapping[str, Any], Screen], None] = _show_json


def simple(verb: str, **fields: Any) -> Callable[[Ask], Awaitable[Mapping[str, Any]]]:
    """Return a ``run`` that sends the request ``verb`` and shows its answer."""

    async def run(ask: Ask) -> Mapping[str, Any]:
        return await ask.kernel.request(verb, **fields)

    return run


def read_words(words: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """Return (args, kwargs) of a message, from JSON or from plain words.

    A list and a map as JSON are all arguments; else each word is one: JSON where it is JSON,
    text where it is not, and ``name=value`` by name.

    >>> read_words(["[1, 2]", '{"by": 3}'])
    ([1, 2], {'by': 3})
    >>> read_words(["Ann", "5", "loud=true", "[1, 2]"])
    (['Ann', 5, [1, 2]], {'loud': True})
    """
    whole = [read_json(word) for word in words]
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


def read_json(text: str) -> Any:
    """Return the JSON value in ``text``, or the text itself where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def read_input(read: Callable[[], T]) -> T:
    """Return what ``read`` takes from standard input, where Ctrl-C ends the waiting at once.

    In the event loop's thread: nothing else is going on, and asyncio's own handler of Ctrl-C
    would only come to it when the input has ended.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return read()
    finally:
        signal.signal(signal.SIGINT, before)


def read_text(file: str, stdin: Callable[[], str]) -> str:
    """Return the text of a file, or of standard input for ``-``.

    Raises:
        ArgumentsError: It cannot be read.
    """
    if file == "-":
        return read_input(stdin)
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ArgumentsError(f"{file} cannot be read: {error}") from error


def read_example(text: str) -> dict[str, Any]:
    """Return an example from ``ARGS gives RESULT``, as people write it in sentences.

    >>> read_example("5 gives 120")
    {'args': [5], 'kwargs': {}, 'result': 120}
    >>> read_example('"a", [1, 2] -> "b"')
    {'args': ['a', [1, 2]], 'kwargs': {}, 'result': 'b'}

    Raises:
        ArgumentsError: It is not of that form.
    """
    for word in (" gives ", " -> ", " => "):
        given, found, result = text.partition(word)
        if found:
            listed = read_json(f"[{given.strip()}]")
            args = listed if isinstance(listed, list) else [given.strip()]
            return {"args": args, "kwargs": {}, "result": read_json(result.strip())}
    raise ArgumentsError(f"{text!r} is no example; write it as: 5 gives 120")
