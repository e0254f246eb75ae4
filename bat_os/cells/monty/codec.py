"""Values between the kernel and a Monty session; prelude.py is the other end.

Values go in as what Monty takes, with a number for each reference: complex, which no plain
data is. They come out as JSON, and a dict in it is a tag with its content. What comes out is
hostile: its parts are counted before they are built, references are numbers of those given.

    {"t": [1, 2]} (1, 2)   {"r": 0} self   {"d": {...}} dict   {"m": [k, v, ...]} other keys
"""

from __future__ import annotations

import datetime as dt
import json
import re
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from bat_os.cells.codec import check_keys
from bat_os.cells.frame import MAX_PARTS
from bat_os.core.values import MAX_INT_BITS, Ref
from bat_os.errors import CellError, FrameError

if TYPE_CHECKING:
    from collections.abc import Callable

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
        self._told = 0
        self.marked = False

    def news(self) -> list[str]:
        """Return the names of the references that were not told yet."""
        fresh = [ref.name or ref.oid for ref in self._refs[self._told :]]
        self._told = len(self._refs)
        return fresh

    def lower(self, value: Any) -> Any:
        """Return plain data as what Monty takes.

        Raises:
            CellError: Monty has nothing that would come back as the same value.
        """
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
        """Return the value of what ``load`` gave.

        Raises:
            FrameError: It is not what the prelude makes.
        """
        try:
            return self._read(data)
        except (ValueError, TypeError, ArithmeticError, LookupError, RecursionError) as error:
            raise FrameError(type(error).__name__) from error

    def _read(self, data: Any) -> Any:
        if type(data) is list:
            return [self._read(item) for item in data]
        if type(data) is not dict:
            return data
        ((tag, content),) = data.items()
        if tag == "d":
            return {key: self._read(item) for key, item in content.items()}
        if tag in _ROWS:
            return _ROWS[tag](self._read(list(content)))
        return self._refs[content] if tag == "r" else _ATOMS[tag](content)


def load(text: str) -> list[Any]:
    """Return the JSON list that ``text`` is.

    Raises:
        FrameError: It is no JSON list, or has more than MAX_PARTS parts.
    """
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


def _moment(kind: Any, parts: list[Any]) -> Any:
    *numbers, zone = parts
    if zone is not None:
        days, seconds = zone
        zone = dt.timezone(dt.timedelta(days, seconds))
    return kind(*numbers, tzinfo=zone)


def _integer(text: str) -> int:
    if len(text) > MAX_INT_BITS or not _HEX.match(text):
        raise ValueError("not an integer, or a very large one")
    return int(text, 16)


def _decimal(text: str) -> Decimal:
    if type(text) is not str or len(text) > MAX_INT_BITS:
        raise ValueError("not a decimal")
    return Decimal(text)


_ROWS: Final[dict[str, Callable[[list[Any]], Any]]] = {
    "t": tuple,
    "s": lambda row: set(check_keys(row)),
    "z": lambda row: frozenset(check_keys(row)),
    "m": lambda flat: dict(zip(check_keys(flat[::2]), flat[1::2], strict=True)),
}
_ATOMS: Final[dict[str, Callable[[Any], Any]]] = {
    "i": _integer,
    "f": lambda text: {"inf": float("inf"), "-inf": float("-inf"), "nan": float("nan")}[text],
    "b": bytes.fromhex,
    "n": _decimal,
    "dt": lambda parts: _moment(dt.datetime, parts),
    "da": lambda parts: dt.date(*parts),
    "ti": lambda parts: _moment(dt.time, parts),
    "td": lambda parts: dt.timedelta(*parts),
}
