"""A clock that starts where the caller says, for one confined child.

``start_clock`` replaces, in the child's own modules, what tells the present: ``time.time`` and
its like, and the classes ``datetime.datetime`` and ``datetime.date``. The replaced classes make
instances of the real ones, and count them as their own, so values look the same to everybody.
Durations (``time.monotonic``, ``time.perf_counter``) stay real.
"""

from __future__ import annotations

import datetime as dt
import time
from datetime import date as _date
from datetime import datetime as _datetime
from typing import Any

_monotonic = time.monotonic


class _Posing(type):
    """A class that passes for the one it derives from."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, cls.__mro__[1])

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, cls.__mro__[1])


def start_clock(now: float) -> None:
    """Make ``now`` the present, in seconds of Unix time; it goes on from there."""
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
    vars(dt).update(date=_make_date(read), datetime=_make_datetime(read))


def _make_date(read: Any) -> type:
    class Date(_date, metaclass=_Posing):
        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            return _date.__new__(_real(cls, Date, _date), *args, **kwargs)

        @classmethod
        def today(cls) -> Any:
            return cls.fromtimestamp(read())

    return _rename(Date, "date")


def _make_datetime(read: Any) -> type:
    class Datetime(_datetime, metaclass=_Posing):
        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            return _datetime.__new__(_real(cls, Datetime, _datetime), *args, **kwargs)

        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            return cls.fromtimestamp(read(), tz)

        @classmethod
        def today(cls) -> Any:
            return cls.fromtimestamp(read())

        @classmethod
        def utcnow(cls) -> Any:
            return cls.fromtimestamp(read(), dt.UTC).replace(tzinfo=None)

    return _rename(Datetime, "datetime")


def _real(kind: type, posing: type, real: type) -> Any:
    """Return the class to make an instance of: a learned subclass stays what it is."""
    return real if kind is posing else kind


def _rename(kind: type, name: str) -> type:
    kind.__name__ = kind.__qualname__ = name
    kind.__module__ = "datetime"
    return kind
