"""One run of learned code, as values: what its cell is given, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.core.values import Ref


@dataclass(frozen=True, slots=True)
class ObjectView:
    """What learned code sees of its receiver."""

    ref: Ref  # who the receiver is
    slots: Mapping[str, Any]  # name -> plain data or Ref, inherited ones included; no methods
    # messages the receiver understands; ``self.area()`` is a send of ``area``
    selectors: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Delta:
    """What a call changed on its receiver: plain data."""

    # slots whose value differs from what the call was given, with the new value
    changed: Mapping[str, Any] = field(default_factory=dict)
    removed: tuple[str, ...] = ()  # names of slots that were deleted


@dataclass(frozen=True, slots=True)
class Call:
    """One run of one learned method."""

    source: str  # module text whose top level defines ``selector``
    selector: str  # name of the function, whose first parameter is ``self``
    view: ObjectView  # the receiver
    args: tuple[Any, ...] = ()  # positional arguments after ``self``; plain data or Refs
    kwargs: Mapping[str, Any] = field(default_factory=dict)  # keyword arguments; plain data or Refs
    seed: int | None = None  # seeds ``random`` in the child when given; for comparing candidates
    # Unix time that ``datetime.now()`` and ``time.time()`` start from, when given
    now: float | None = None
    deadline: float = 3.0  # seconds of wall clock, pauses excluded, before the child is killed


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a call ended."""

    value: Any  # what the method returned, as plain data
    delta: Delta  # what it changed, since the last nested send or since the start
    printed: str = ""  # what it printed, at most 64 kB


@dataclass(frozen=True, slots=True)
class Nested:
    """A message that learned code sends while it runs.

    Attributes:
        target: A Ref that the call was given, or a text: the name of a slot that holds a
            Ref, or the name of an object that it may reach. The kernel decides.
        selector: The message.
        args: Positional arguments.
        kwargs: Keyword arguments.
        delta: What the call had changed before the send; the kernel applies it first.
    """

    target: Ref | str
    selector: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    delta: Delta


@dataclass(frozen=True, slots=True)
class NestedReply:
    """The answer to a ``Nested``: the value, and the receiver's slots as they are now."""

    value: Any  # plain data or Refs
    # only the slots that differ from what the child holds
    slots: Mapping[str, Any] = field(default_factory=dict)
    removed: tuple[str, ...] = ()  # slots that are gone
