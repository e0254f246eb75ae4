"""What a Monty session holds before a method runs: ``self``, references, sends.

Written in the Python that Monty speaks, and run there, never here; the kernel only reads this
file. Learned code shares its names, so they all begin with ``_bat_``, and it may break any of
them: nothing here is a boundary. The kernel looks at no value that leaves a session, only at
text, because a small graph of shared lists would become gigabytes in its own memory. Values
leave as tagged JSON (session.py) on standard error, after ``_BAT_MARK``.

    done, refused    how the call ended
    send             a message; ``_bat_ask()``, which is not defined here, then waits for the reply
"""

from __future__ import annotations

import collections as _bat_collections
import datetime as _bat_datetime
import decimal as _bat_decimal
import json as _bat_json
import re as _bat_re
import sys as _bat_sys
from typing import Any

_BAT_MARK = "\x1e"
_BAT_DEPTH = 64
_BAT_WIDE = 1 << 63
_bat_get, _bat_set = getattr, setattr
_BAT_GONE = ["no such slot"]
_BAT_VIEWS: tuple[Any, ...] = (
    *(range, _bat_collections.deque),
    *(type({}.keys()), type({}.values()), type({}.items())),
)


class _bat_Ref:  # noqa: N801 - out of the way of learned names
    """Another object; its messages are set as attributes, Monty has no ``__getattr__``."""

    def __init__(self, index: int, name: str) -> None:
        self._bat_index = index
        self._bat_name = name

    def __repr__(self) -> str:
        return "<" + self._bat_name + ">"

    def send(self, selector: str, *args: Any, **kwargs: Any) -> Any:
        """Return the object's answer to ``selector``."""
        return _bat_send(self, selector, args, kwargs)


class _bat_Self:  # noqa: N801 - out of the way of learned names
    """The receiver; its slots are attributes."""

    def __init__(self, index: int, name: str) -> None:
        self._bat_index = index
        self._bat_name = name

    def __repr__(self) -> str:
        return "<" + self._bat_name + ">"

    def send(self, target: Any, selector: str, *args: Any, **kwargs: Any) -> Any:
        """Return what ``target`` answers to ``selector``."""
        return _bat_send(target, selector, args, kwargs)


_bat_refs: list[Any] = []  # by the number that the kernel knows them by; the first is self
_bat_words: list[str] = []  # attributes that the source reads: perhaps messages to others
_bat_names: list[str] = []  # attributes of self that may be slots
_bat_held: set[str] = set()  # slots that the kernel holds
_bat_given: dict[str, str] = {}  # slots without references, as text, as the kernel gave them
_bat_bound: dict[str, Any] = {}  # messages to self, set as attributes
_bat_left = [0]  # parts that may still be encoded
_bat_live: dict[str, Any] = {}  # what self._slots gives
_bat_shown: dict[str, Any] = {}  # what was in it when it was given


def _bat_encode(value: Any, where: str, friendly: bool, depth: int = 0) -> Any:
    """Return ``value`` as what JSON carries."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    write = _BAT_WRITERS.get(kind)
    if write is not None:
        return write(value)
    if depth > _BAT_DEPTH:
        raise TypeError(f"{where}: nested deeper than {_BAT_DEPTH}, or contains itself")
    if kind in _BAT_PARTS:
        return _bat_encode_parts(value, where, friendly, depth + 1)
    plain = _bat_befriend(value, kind) if friendly else None
    if plain is None:
        raise TypeError(f"{where} cannot be a {kind.__name__}; use plain data or a reference")
    return _bat_encode_parts(plain, where, friendly, depth + 1)


def _bat_encode_parts(value: Any, where: str, friendly: bool, depth: int) -> Any:
    _bat_left[0] -= len(value)
    if _bat_left[0] < 0:
        raise TypeError(f"{where}: too many parts")
    tag = _BAT_PARTS[type(value)]
    if tag == "d":
        if all(type(key) is str for key in value):
            row = {k: _bat_encode(v, where, friendly, depth) for k, v in value.items()}
            return {"d": row}
        tag, value = "m", [part for pair in value.items() for part in pair]
    items = [_bat_encode(item, where, friendly, depth) for item in value]
    return {tag: items} if tag else items


def _bat_befriend(value: Any, kind: Any) -> Any:
    """Return the plain form of a value that has an obvious one, one level deep."""
    if isinstance(value, dict):
        return dict(value.items())
    if isinstance(value, tuple):
        return tuple(value)
    if kind in _BAT_VIEWS:
        return list(value)
    fields = _bat_get(kind, "__dataclass_fields__", None)
    return None if fields is None else {name: _bat_get(value, name) for name in fields}


def _bat_encode_int(value: int) -> Any:
    return value if -_BAT_WIDE <= value < _BAT_WIDE else {"i": hex(value)}


def _bat_encode_float(value: float) -> Any:
    return value if value - value == 0.0 else {"f": str(value)}


def _bat_day(value: Any) -> list[Any]:
    return [value.year, value.month, value.day]


def _bat_clock(value: Any) -> list[Any]:
    zone = value.tzinfo
    if zone is not None:
        # A fixed offset needs no date; time has no utcoffset() here.
        offset = zone.utcoffset(None if type(value) is _bat_datetime.time else value)
        zone = [offset.days, offset.seconds, 0]
    fold = 0  # not known here
    return [value.hour, value.minute, value.second, value.microsecond, fold, zone]


_BAT_PARTS: dict[Any, str] = {list: "", tuple: "t", set: "s", frozenset: "z", dict: "d"}
_BAT_WRITERS: dict[Any, Any] = {
    int: _bat_encode_int,
    float: _bat_encode_float,
    bytes: lambda value: {"b": value.hex()},
    _bat_Ref: lambda value: {"r": value._bat_index},
    _bat_Self: lambda value: {"r": value._bat_index},
    _bat_datetime.datetime: lambda value: {"dt": _bat_day(value) + _bat_clock(value)},
    _bat_datetime.date: lambda value: {"da": _bat_day(value)},
    _bat_datetime.time: lambda value: {"ti": _bat_clock(value)},
    _bat_datetime.timedelta: lambda value: {"td": [value.days, value.seconds, value.microseconds]},
    _bat_decimal.Decimal: lambda value: {"n": str(value)},
}


def _bat_decode(value: Any) -> Any:
    """Return ``value`` with objects for their numbers; numbers are complex, no plain data is."""
    kind = type(value)
    if kind is complex:
        return _bat_refs[int(value.real)]
    if kind is dict:
        return {_bat_decode(k): _bat_decode(v) for k, v in value.items()}
    if kind is list or kind is tuple or kind is set or kind is frozenset:
        return kind([_bat_decode(item) for item in value])
    return value


def _bat_report(parts: list[Any]) -> None:
    print(_BAT_MARK + _bat_json.dumps(parts), file=_bat_sys.stderr)  # noqa: T201 - the way out


def _bat_bind(receiver: Any, name: str) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        return _bat_send(receiver, name, args, kwargs)

    return call


def _bat_meet(names: list[str]) -> None:
    """Make the objects behind references that the kernel gives for the first time."""
    for name in names:
        if not _bat_refs:
            _bat_refs.append(_bat_Self(0, name))
            continue
        ref = _bat_Ref(len(_bat_refs), name)
        for word in _bat_words:
            _bat_set(ref, word, _bat_bind(ref, word))
        _bat_refs.append(ref)


def _bat_take(slots: dict[str, Any], removed: list[str], marked: bool) -> None:
    """Set the slots that the kernel sends."""
    for name, value in slots.items():
        _bat_put(name, _bat_decode(value) if marked else value)
        _bat_held.add(name)
        _bat_given[name] = "" if marked else repr(value)
    for name in removed:
        _bat_put(name, _BAT_GONE)
        _bat_held.discard(name)


def _bat_put(name: str, value: Any) -> None:
    if name not in _bat_names:
        _bat_names.append(name)
    _bat_set(_bat_refs[0], name, value)


def _bat_flush() -> list[Any]:
    """Return [slots that may have changed, slots that are gone] since the last flush."""
    _bat_merge()
    there, gone = {}, []
    for name in _bat_names:
        value = _bat_get(_bat_refs[0], name, _BAT_GONE)
        if value is _BAT_GONE:
            if name in _bat_held:
                gone.append(name)
                _bat_held.discard(name)
        elif name != "_p_changed" and value is not _bat_bound.get(name, _BAT_GONE):
            if name == "send" or name.startswith(("__", "_p_")):
                raise TypeError(f"a slot cannot be named {name!r}")
            # Comparing texts takes a tenth of the time that encoding does.
            if name in _bat_held and _bat_given.get(name) == repr(value):
                continue
            _bat_given[name] = ""
            there[name] = _bat_encode(value, f"slot {name!r}", False)
            _bat_held.add(name)
    return [there, gone]


def _bat_send(target: Any, selector: str, args: Any, kwargs: Any) -> Any:
    kind = type(target)
    if kind is not str and kind is not _bat_Ref and kind is not _bat_Self:
        raise TypeError(f"cannot send to a {kind.__name__}; use an object or a name")
    to = _bat_encode(target, "target", False)
    row = _bat_encode(list(args), "argument", True)
    named = {key: _bat_encode(value, "argument", True) for key, value in kwargs.items()}
    _bat_report(["send", to, str(selector), row, named, *_bat_flush()])
    value, marked, slots, removed, names = _bat_ask()  # type: ignore[name-defined]  # noqa: F821 - the kernel answers it
    _bat_meet(names)
    _bat_take(slots, removed, marked)
    return _bat_decode(value) if marked else value


def _bat_run(method: Any, call: dict[str, Any]) -> None:
    """Call the method and report how it ended."""
    _bat_words.extend(call["words"])
    _bat_names.extend(call["names"])
    _bat_left[0] = call["parts"]
    _bat_meet(call["refs"])
    receiver, args, kwargs = _bat_refs[0], call["args"], call["kwargs"]
    for name in call["selectors"]:
        _bat_bound[name] = _bat_bind(receiver, name)
        _bat_set(receiver, name, _bat_bound[name])
    _bat_take(call["slots"], [], call["marked"])
    if call["marked"]:
        args, kwargs = _bat_decode(args), _bat_decode(kwargs)
    value = method(receiver, *args, **kwargs)
    try:
        answer = _bat_encode(value, "the answer", True)
        parts = ["done", answer, *_bat_flush()]
    except TypeError as error:
        parts = ["refused", str(error)]
    _bat_report(parts)


def _bat_same(one: Any, two: Any) -> bool:
    plain = type(one) in (str, int, float, bool, bytes)
    return one is two or (plain and type(one) is type(two) and one == two)


def _bat_merge() -> None:
    """Carry over to self what was changed in ``self._slots``."""
    for name, value in _bat_live.items():
        if name not in _bat_shown or not _bat_same(value, _bat_shown[name]):
            if type(name) is not str:
                raise TypeError(f"a slot cannot be named {name!r}")
            _bat_put(name, value)
            _bat_shown[name] = value
    for name in list(_bat_shown):
        if name not in _bat_live:
            _bat_put(name, _BAT_GONE)
            _bat_shown.pop(name)


def _bat_view(owner: Any) -> Any:
    """Return ``owner._slots``: for self a dict whose changes count."""
    if owner is not _bat_refs[0]:
        return owner._slots
    _bat_merge()
    _bat_live.clear()
    for name in _bat_names:
        value = _bat_get(owner, name, _BAT_GONE)
        wanted = value is not _BAT_GONE and value is not _bat_bound.get(name, _BAT_GONE)
        if wanted and name != "_p_changed":
            _bat_live[name] = value
    _bat_shown.clear()
    _bat_shown.update(_bat_live)
    return _bat_live


def _bat_delete(owner: Any, name: str) -> None:
    """Do ``del owner.name``."""
    if not hasattr(owner, name):
        raise AttributeError(f"no slot {name!r} to delete")
    _bat_put(name, _BAT_GONE)


def _bat_sub(pattern: Any, write: Any, text: str, count: int = 0, flags: int = 0) -> str:
    """Do ``re.sub`` with a function."""
    parts, at, left = [], 0, count
    for found in _bat_re.compile(pattern, flags).finditer(text):
        parts += [text[at : found.start()], write(found)]
        at, left = found.end(), left - 1
        if left == 0:
            break
    return "".join([*parts, text[at:]])


def setattr(owner: Any, name: str, value: Any) -> None:
    """As the built-in; notes which slots there may be."""
    if _bat_refs and owner is _bat_refs[0]:
        _bat_put(name, value)
    else:
        _bat_set(owner, name, value)


def hasattr(owner: Any, name: str) -> bool:
    """As the built-in; a deleted slot is not there."""
    return _bat_get(owner, name, _BAT_GONE) is not _BAT_GONE


def getattr(owner: Any, name: str, *default: Any) -> Any:
    """As the built-in; a deleted slot is not there."""
    value = _bat_get(owner, name, *default)
    if value is _BAT_GONE:
        if default:
            return default[0]
        raise AttributeError(f"no slot {name!r}")
    return value
