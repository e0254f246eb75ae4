"""One run of learned code, as values: what its cell is given, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.core.values import Ref


@dataclass(frozen=True, slots=True)
class ObjectView:
    """What learned code sees of its receiver.

    Attributes:
        ref: Who the receiver is.
        slots: Name -> plain data or Ref, inherited ones included; no methods.
        selectors: Messages the receiver understands; ``self.area()`` is a send of ``area``.
    """

    ref: Ref
    slots: Mapping[str, Any]
    selectors: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Delta:
    """What a call changed on its receiver: plain data.

    Attributes:
        changed: Slots whose value differs from what the call was given, with the new value.
        removed: Names of slots that were deleted.
    """

    changed: Mapping[str, Any] = field(default_factory=dict)
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """One run of one learned method.

    Attributes:
        source: Module text whose top level defines ``selector``.
        selector: Name of the function, whose first parameter is ``self``.
        view: The receiver.
        args: Positional arguments after ``self``; plain data or Refs.
        kwargs: Keyword arguments; plain data or Refs.
        seed: Seeds ``random`` in the child when given; for comparing candidates.
        now: Unix time that ``datetime.now()`` and ``time.time()`` start from, when given.
        deadline: Seconds of wall clock, pauses excluded, before the child is killed.
    """

    source: str
    selector: str
    view: ObjectView
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    now: float | None = None
    deadline: float = 3.0


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a call ended.

    Attributes:
        value: What the method returned, as plain data.
        delta: What it changed, since the last nested send or since the start.
        printed: What it printed, at most 64 kB.
    """

    value: Any
    delta: Delta
    printed: str = ""


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
    """The answer to a ``Nested``: the value, and the receiver's slots as they are now.

    Attributes:
        value: Plain data or Refs.
        slots: Only the slots that differ from what the child holds.
        removed: Slots that are gone.
    """

    value: Any
    slots: Mapping[str, Any] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
