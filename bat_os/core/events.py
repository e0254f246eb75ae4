"""What can happen to a mission, as values that are stored and replayed."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import TransitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Event:
    """Base of the things that can happen to a mission.

    Attributes:
        model_calls: Batches that a language model ran to bring this about.
        tokens: New tokens that it drew.
    """

    model_calls: int = field(default=0, kw_only=True)
    tokens: int = field(default=0, kw_only=True)


@dataclass(frozen=True, slots=True)
class BriefAccepted(Event):
    """The message is not understood; the cycle begins."""


@dataclass(frozen=True, slots=True)
class MessageUnderstood(Event):
    """The receiver had a method for it; nothing needs to be written."""


@dataclass(frozen=True, slots=True)
class SkillReused(Event):
    """A known method serves the wish, under another name; nothing needs to be written.

    Attributes:
        holder: Name of the object that has it.
        selector: Its message.
        similarity: Of the two wishes, a cosine.
    """

    holder: str
    selector: str
    similarity: float


@dataclass(frozen=True, slots=True)
class QueriesPlanned(Event):
    """BRICK named what to look up; ``plan`` holds all of its plan (``core.plan.Plan``)."""

    queries: tuple[str, ...]
    plan: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PassagesFound(Event):
    """The catalog answered, best first: maps with doc_id, title, kind, text and score."""

    passages: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class MethodDrafted(Event):
    """A persona wrote candidates: maps with source, temperature, seed and prompt hash.

    ``packet`` is the cognitive state packet of a cascade (``bat_os.core.packet``).
    """

    drafts: tuple[Mapping[str, Any], ...]
    packet: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MethodVerified(Event):
    """One candidate was chosen.

    Attributes:
        chosen: Its index among the drafts.
        status: ``verified`` or ``provisional``.
        verdicts: One map per draft: what was found, in order.
    """

    chosen: int
    status: str
    verdicts: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class MethodRejected(Event):
    """No candidate was good enough; ``reason`` sums up the verdicts."""

    reason: str
    verdicts: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class MissionFailed(Event):
    """Nothing more can be done; ``code`` is a wire code."""

    code: str
    reason: str


_EVENTS: Final[dict[str, Callable[..., Event]]] = {
    kind.__name__: kind
    for kind in (
        BriefAccepted,
        MessageUnderstood,
        SkillReused,
        QueriesPlanned,
        PassagesFound,
        MethodDrafted,
        MethodVerified,
        MethodRejected,
        MissionFailed,
    )
}


def event_to_plain(event: Event) -> dict[str, Any]:
    """Return plain data that ``event_from_plain`` reads back."""
    data = {f.name: getattr(event, f.name) for f in fields(event)}
    return {"event": type(event).__name__} | data


def event_from_plain(data: Mapping[str, Any]) -> Event:
    """Return the event that ``event_to_plain`` wrote.

    Raises:
        TransitionError: No event has that name.
    """
    values = dict(data)
    kind = _EVENTS.get(values.pop("event", ""))
    if kind is None:
        raise TransitionError(f"unknown event {data.get('event')!r}")
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
