"""The trusted functions that are methods of shipped objects.

    NATIVES["units_obj"].selectors       ("convert", ...)
    run("units_obj.convert", [5, "mile", "km"], {}, now)

The modules are imported when a method is first called. A message cannot set the parameters that are
by keyword only: ``now`` gets the present moment, ``memory`` the facts of the image, ``world`` what
the receiver was granted, ``kernel`` its other subsystems. A function that takes one of the last
three is a coroutine function, which belongs on the kernel's loop.
"""

from __future__ import annotations

import importlib
import inspect
import math
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import ArgumentsError, BatError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping, Sequence

_GIVEN: Final = ("now", "memory", "world", "kernel")  # by the kernel, and never by a message
SERVERS: Final = "mcp_obj"  # its messages are those of servers: ``mcp_obj.add(a, by=None)``


@dataclass(frozen=True, slots=True)
class NativeObject:
    """An object whose methods are functions of modules of this package."""

    about: str  # one line, for people
    modules: Mapping[str, tuple[str, ...]]  # module -> the functions of it that are methods
    aliases: Mapping[str, str] = field(default_factory=dict)  # other selector -> function

    @property
    def selectors(self) -> tuple[str, ...]:
        """The methods, module by module, then their other names."""
        own = [each for held in self.modules.values() for each in held if each not in _ALIASED]
        return (*own, *self.aliases)


NATIVES: Final[Mapping[str, NativeObject]] = MappingProxyType(
    {
        "calculator_obj": NativeObject(
            "arithmetic in exact decimals: expressions, percentages, roots",
            {
                "calculator": (
                    "evaluate", "add", "subtract", "multiply", "divide", "percent_of",
                    "what_percent", "percent_change", "increase_by_percent", "decrease_by_percent",
                    "whole_from_percent", "divide_with_remainder", "root", "power", "round_to",
                ),
            },
        ),
        "calendar_obj": NativeObject(
            "dates, weekdays, holidays, ages, times of day and time zones",
            {
                "calendar": (
                    "today", "tomorrow", "yesterday", "weekday_name", "current_month",
                    "current_year", "date_of", "weekday", "days_between", "days_until",
                    "days_since", "time_until", "time_since", "time_between", "difference", "age",
                    "age_on", "birth_year", "days_until_birthday", "shift", "shift_back",
                    "from_now", "ago", "workdays_between", "week_number", "day_of_year",
                    "quarter_of", "is_weekend", "holiday",
                ),
                "almanac": (
                    "is_leap_year", "next_leap_year", "days_in_year", "days_left_in_year",
                    "days_in_month", "last_day_of_month", "month_calendar", "nth_weekday",
                    "next_friday_13th", "century_of", "zodiac_sign", "holidays_in", "next_holiday",
                    "is_holiday",
                ),
                "clock": (
                    "current_time", "greeting_of_the_hour", "until_time", "since_time", "from_to",
                    "minutes_between", "time_after", "time_before", "to_twelve_hours",
                    "to_twenty_four_hours", "time_in", "convert_time", "hours_between",
                ),
            },
        ),
        "number_obj": NativeObject(
            "whole numbers, primes, sequences and number systems",
            {
                "integers": (
                    "check_prime", "factorial", "write_roman", "read_roman", "write_base",
                    "read_base", "number_in_words",
                ),
            },
        ),
        "random_obj": NativeObject(
            "dice, coins and other draws",
            {"secret": ("new_password", "roll_dice", "random_hex_colour")},
        ),
        "statistics_obj": NativeObject(
            "averages, spread and frequencies", {"integers": ("mean",)}
        ),
        "units_obj": NativeObject(
            "quantities: converts, adds and compares units of every kind",
            {
                "units": (
                    "convert", "add", "subtract", "compare", "split_unit", "price_for",
                    "units_like",
                ),
            },
        ),
        "memory_obj": NativeObject(
            "what you have asked BAT OS to remember, found again by its meaning",
            {"memory": ("remember", "recall", "recall_when", "forget", "facts")},
        ),
        "files_obj": NativeObject(
            "files and folders that you granted: batos grant FOLDER",
            {
                "files": (
                    "read", "names", "facts", "find", "search", "write", "append", "remove",
                ),
            },
        ),
        "web_obj": NativeObject(
            "pages of the web that you granted: batos grant https://example.org",
            {"web": ("fetch", "links", "json", "facts", "post")},
        ),
        "mcp_obj": NativeObject(
            "servers of tools that you granted: batos grant-mcp NAME -- PROGRAM", {}
        ),
        "context_obj": NativeObject(
            "where you are: the time there, and its public holidays",
            {"context": ("facts", "local_time", "next_holiday", "holidays_in", "is_holiday")},
        ),
        "shell_obj": NativeObject(
            "programs that you granted: batos grant 'shell:git,wc FOLDER'",
            {"shell": ("run",)},
        ),
    }
)  # fmt: skip


# Objects that awakening makes: the kernel itself, as messages. The names that end in an underscore
# are those of the first clients.
SUBSYSTEMS: Final[Mapping[str, NativeObject]] = MappingProxyType(
    {
        "traits_obj": NativeObject(
            "what every object understands",
            {"subsystems": ("does_not_understand",)},
            {"_doesNotUnderstand_": "does_not_understand"},
        ),
        "pLLM_obj": NativeObject(
            "persona language models; batos models lists what the image holds",
            {"subsystems": ("infer",)},
            {"infer_": "infer"},
        ),
        "knowledge_catalog_obj": NativeObject(
            "the fractal memory: documents, passages, learned methods",
            {"subsystems": ("search", "index_document", "forget")},
            {"search_": "search", "index_document_": "index_document"},
        ),
        "orchestrator_obj": NativeObject(
            "makes mission records and answers for them",
            {"subsystems": ("start_cognitive_cycle_for", "missions", "cancel")},
            {"start_cognitive_cycle_for_": "start_cognitive_cycle_for"},
        ),
    }
)
_REACHING: Final = frozenset(
    {"memory_obj", "files_obj", "web_obj", "shell_obj", "context_obj", SERVERS}
)
_ALIASED: Final = frozenset({"does_not_understand"})  # known by another name only


def describe(name: str) -> dict[str, Any]:
    """Return the signature and the first line about a method, ``OBJECT.SELECTOR``.

    >>> describe("units_obj.convert")["signature"]
    'convert(number, unit, to)'
    """
    function, signature, _ = _find(name)
    shown = ", ".join(map(_shown, signature.parameters.values()))
    return {
        "signature": f"{function.__name__}({shown})",
        "about": (inspect.getdoc(function) or "").partition("\n")[0],
    }


def reaches(name: str) -> bool:
    """Return whether a method works on the facts of the image, the world or the kernel itself."""
    owner = name.partition(".")[0]
    return owner in _REACHING or owner in SUBSYSTEMS


def run(
    name: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    now: dt.datetime,
    given: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    """Return what a method answers; ``now`` is the present moment with the person's zone.

    May take a fifth of a second when a library is first needed, so call it off the event loop.
    One that ``reaches`` further answers with a coroutine, at once; ``given`` has what it takes.

    Raises:
        ArgumentsError: The arguments do not fit, or it cannot compute them.
    """
    function, signature, takes = _find(name)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise ArgumentsError(f"{describe(name)['signature']}: {error}") from error
    all_given = {"now": now, **given}
    if any(all_given.get(key) is None for key in takes):
        raise ArgumentsError(f"{name}: {' and '.join(takes)} cannot be reached from here")
    try:
        answer = function(*bound.args, **bound.kwargs, **{key: all_given[key] for key in takes})
    except BatError:
        raise
    except (ArithmeticError, ValueError, TypeError, LookupError) as error:
        # The libraries below have rules of their own: no year 10000, no sum of decibels.
        raise ArgumentsError(f"{name}: {str(error)[:200] or 'it cannot be done'}") from error
    if type(answer) is float and not math.isfinite(answer):
        raise ArgumentsError(f"{name}: the answer is too large")
    return answer


def signature_of(name: str) -> inspect.Signature:
    """Return the signature of a method, without the moment that a message cannot set."""
    return _find(name)[1]


@cache
def _find(name: str) -> tuple[Callable[..., Any], inspect.Signature, tuple[str, ...]]:
    """Return the function of a method, what a message fills, and what the kernel gives it."""
    owner, _, selector = name.partition(".")
    native = NATIVES.get(owner) or SUBSYSTEMS.get(owner)
    held = native.modules.items() if native else ()
    if owner == SERVERS:
        return (*_forward(selector), ("world",))
    selector = native.aliases.get(selector, selector) if native else selector
    where = next((module for module, selectors in held if selector in selectors), None)
    if where is None:
        raise ArgumentsError(f"this program has no {name[:100]}; its image was made by another one")
    function = getattr(importlib.import_module(f"bat_os.natives.{where}"), selector)
    every = inspect.signature(function).parameters
    filled = [each for each in every.values() if each.name not in _GIVEN]
    takes = tuple(name for name in _GIVEN if name in every)
    return function, inspect.Signature(filled), takes


def _forward(call: str) -> tuple[Callable[..., Any], inspect.Signature]:
    """Return the function and signature of a message that goes on to a server, as it is called.

    >>> function, signature = _forward("add(a, by=None)")
    >>> function.__name__, str(signature)
    ('add', '(a, by=None)')
    """
    selector, _, listed = call.rstrip(")").partition("(")
    parts = [each.partition("=") for each in listed.split(", ") if each]
    kind, empty = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.empty
    signature = inspect.Signature(
        [inspect.Parameter(name, kind, default=None if said else empty) for name, said, _ in parts]
    )

    async def send(*args: Any, world: Any, **kwargs: Any) -> Any:
        """Send a message to a server that a person granted."""
        return await world.perform(selector, dict(signature.bind(*args, **kwargs).arguments))

    send.__name__ = selector
    return send, signature


def _shown(parameter: inspect.Parameter) -> str:
    default = parameter.default
    return parameter.name if default is parameter.empty else f"{parameter.name}={default!r}"
