"""The mission state machine: events in, a new mission out.

Which state follows which is decided by TRANSITIONS and ``Mission.advance`` alone. This module does
no I/O, reads no clock and knows no model: the same events always give the same mission, so a
restart replays the stored ones.

    IDLE > DECOMPOSING > DELEGATING > SYNTHESIZING > VALIDATING > COMPLETE
      |                                     ^______________|  rejected, tries left
      |---------- understood after all, or a known skill ----> COMPLETE
      '---------- with tools ----> ACTING (a step, a step, an answer) > VALIDATING

Any state that is not final goes to FAILED on ``MissionFailed``. From there a person may have it go
on (``MissionResumed``): in the state in which it failed, as RESUMPTIONS says.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.core import steps
from bat_os.core.brief import Brief
from bat_os.core.steps import Event as Event
from bat_os.errors import TransitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Draft:
    """One candidate for a method: a text that a model wrote, or a known function in a new form."""

    persona: str  # who wrote it, or speaks for it
    text: str = ""  # what the model wrote behind the forced opening
    source: str = ""  # the whole source of a known function; "" if a model wrote it
    finished: bool = True  # the model came to an end by itself
    temperature: float = 0.0  # of the sampling
    seed: int = 0  # of the batch
    prompt: str = ""  # SHA-256 of the prompt
    model: str = ""  # its name
    digest: str = ""  # SHA-256 of the model
    server: str = ""  # that drew it, where several have the model
    adapter: str = ""  # name of the adapter, or ""
    batch: str = ""  # drafts of one batch, which is drawn as a whole, have this in common
    sampling: Mapping[str, Any] | None = None  # all of the sampling; None for a known function
    asked: Mapping[str, Any] | None = None  # the prompt, long: with the first draft that has it
    known: str = ""  # document of the known function that it is; "" if a model wrote it
    weight: float = 0.0  # what a known function counts for, as a share of the written candidates

    def to_plain(self) -> dict[str, Any]:
        """Return plain data that ``from_plain`` reads back; records have had this form always."""
        data = {_STORED.get(f.name, f.name): getattr(self, f.name) for f in fields(self)}
        absent = _OF_WRITTEN if self.known else _OF_KNOWN
        return {k: v for k, v in data.items() if k not in absent and (k != "asked" or v)}

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> Draft:
        """Return the draft that ``to_plain`` wrote."""
        return cls(**{_FIELDS.get(name, name): value for name, value in data.items()})


_STORED: Final = {"known": "from"}
_FIELDS: Final = {"from": "known"}
_OF_WRITTEN: Final = frozenset({"batch", "sampling", "asked"})
_OF_KNOWN: Final = frozenset({"source", "from", "weight"})


@dataclass(frozen=True, slots=True)
class BriefAccepted(Event):
    """The message is not understood; the cycle begins."""


@dataclass(frozen=True, slots=True)
class MessageUnderstood(Event):
    """The receiver had a method for it; nothing needs to be written."""


@dataclass(frozen=True, slots=True)
class SkillReused(Event):
    """A known method serves the wish, under another name; nothing needs to be written."""

    holder: str  # name of the object that has it
    selector: str  # its message
    similarity: float  # of the two wishes, a cosine


@dataclass(frozen=True, slots=True)
class QueriesPlanned(Event):
    """BRICK named what to look up; ``plan`` holds all of its plan (``core.prompts.Plan``)."""

    queries: tuple[str, ...]
    plan: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PassagesFound(Event):
    """The catalog answered, best first: maps with doc_id, title, kind, text and score."""

    passages: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class MethodDrafted(Event):
    """There are candidates.

    ``packet`` is the cognitive state packet of a cascade (``bat_os.core.packet``).
    """

    drafts: tuple[Draft, ...]
    packet: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MethodVerified(Event):
    """One candidate was chosen."""

    chosen: int  # its index among the drafts
    status: str  # ``verified`` or ``provisional``
    verdicts: tuple[Mapping[str, Any], ...]  # one map per draft: what was found, in order


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


@dataclass(frozen=True, slots=True)
class MissionResumed(Event):
    """A person has a mission go on that failed; what was drawn is kept."""

    more: bool = False  # as many batches as before may be drawn in addition


@dataclass(frozen=True, slots=True)
class LeaveGiven(MissionResumed):
    """A person lets a mission do what it had to ask for, for its own runs or for all."""

    once: tuple[tuple[str, str, str], ...] = ()  # as ``Brief.once``


_EVENTS: Final[dict[str, Callable[..., Event]]] = {
    kind.__name__: kind
    for kind in (
        *steps.EVENTS, BriefAccepted, MessageUnderstood, SkillReused, QueriesPlanned, PassagesFound,
        MethodDrafted, MethodVerified, MethodRejected, MissionFailed, MissionResumed, LeaveGiven,
    )
}  # fmt: skip


def event_to_plain(event: Event) -> dict[str, Any]:
    """Return plain data that ``event_from_plain`` reads back."""
    data = {f.name: getattr(event, f.name) for f in fields(event)}
    if isinstance(event, MethodDrafted):
        data["drafts"] = tuple(draft.to_plain() for draft in event.drafts)
    return {"event": type(event).__name__} | data


def event_from_plain(data: Mapping[str, Any]) -> Event:
    """Return the event that ``event_to_plain`` wrote."""
    values: dict[str, Any] = dict(data)
    kind = _EVENTS.get(values.pop("event", ""))
    if kind is None:
        raise TransitionError(f"unknown event {data.get('event')!r}")
    if "drafts" in values:
        values["drafts"] = tuple(map(Draft.from_plain, values["drafts"]))
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


MAX_DRAFTS: Final = 3


class State(StrEnum):
    """The states of a mission."""

    IDLE = "idle"
    DECOMPOSING = "decomposing"
    DELEGATING = "delegating"
    SYNTHESIZING = "synthesizing"
    ACTING = "acting"
    VALIDATING = "validating"
    COMPLETE = "complete"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """True when nothing but a person can move the mission any more."""
        return self in (State.COMPLETE, State.FAILED)


TRANSITIONS: Final[Mapping[State, Mapping[type[Event], State]]] = MappingProxyType(
    {
        State.IDLE: {
            BriefAccepted: State.DECOMPOSING,
            MessageUnderstood: State.COMPLETE,
            SkillReused: State.COMPLETE,
            steps.ToolsOffered: State.ACTING,
        },
        State.DECOMPOSING: {QueriesPlanned: State.DELEGATING},
        State.DELEGATING: {PassagesFound: State.SYNTHESIZING},
        State.SYNTHESIZING: {MethodDrafted: State.VALIDATING},
        State.ACTING: {
            steps.ToolChosen: State.ACTING,
            steps.StepTaken: State.ACTING,
            steps.AnswerGiven: State.VALIDATING,
        },
        State.VALIDATING: {
            MethodVerified: State.COMPLETE,
            steps.MethodDistilled: State.COMPLETE,
            steps.AnswerKept: State.COMPLETE,
            MethodRejected: State.SYNTHESIZING,
            steps.ToolsOffered: State.ACTING,  # no method could be written
            MessageUnderstood: State.COMPLETE,
        },
        State.COMPLETE: {},
        State.FAILED: {},  # but for RESUMPTIONS
    }
)
# The state in which a mission failed -> where it goes on, without more batches and with them.
_HERE: Final = (State.IDLE, State.DECOMPOSING, State.DELEGATING, State.SYNTHESIZING, State.ACTING)
RESUMPTIONS: Final[Mapping[State, tuple[State, State]]] = MappingProxyType(
    {state: (state, state) for state in _HERE}
    | {State.VALIDATING: (State.VALIDATING, State.SYNTHESIZING)}
)


@dataclass(frozen=True, slots=True)
class Mission:
    """One brief and how far it has come. Immutable: ``advance`` returns the next."""

    brief: Brief
    state: State = State.IDLE
    events: tuple[Event, ...] = ()

    @property
    def rounds(self) -> int:
        """How many batches of candidates have been written so far."""
        return sum(isinstance(event, MethodDrafted) for event in self.events)

    @property
    def model_calls(self) -> int:
        """How many batches language models have run for it."""
        return sum(event.model_calls for event in self.events)

    @property
    def tokens(self) -> int:
        """How many tokens they drew."""
        return sum(event.tokens for event in self.events)

    @property
    def rounds_allowed(self) -> int:
        """How many batches may be written before the mission fails."""
        more = sum(isinstance(event, MissionResumed) and event.more for event in self.events)
        return MAX_DRAFTS * (1 + more)

    def last(self, kind: type[Event]) -> Any:
        """Return the latest event of this kind, or None."""
        return next((e for e in reversed(self.events) if isinstance(e, kind)), None)

    def advance(self, event: Event) -> Mission:
        """Return the mission after ``event``.

        Raises:
            TransitionError: The current state does not accept the event.
        """
        state, brief = self._next_state(event), self.brief
        if isinstance(event, LeaveGiven):
            brief = replace(brief, once=(*brief.once, *((a, b, c) for a, b, c in event.once)))
        return replace(self, brief=brief, state=state, events=(*self.events, event))

    def _next_state(self, event: Event) -> State:
        if isinstance(event, MissionFailed) and not self.state.is_final:
            return State.FAILED
        if isinstance(event, MissionResumed):
            return self._resumed_in(more=event.more)
        try:
            following = TRANSITIONS[self.state][type(event)]
        except KeyError:
            name = type(event).__name__
            raise TransitionError(f"{name} is not accepted in {self.state}") from None
        if isinstance(event, MethodRejected) and self.rounds >= self.rounds_allowed:
            return State.FAILED
        return following

    def _resumed_in(self, *, more: bool) -> State:
        if self.state is not State.FAILED:
            raise TransitionError(
                f"only a mission that failed can be resumed, and it is {self.state}"
            )
        if isinstance(self.events[-1], MethodRejected) and not more:
            raise TransitionError(
                f"all {self.rounds} batches were rejected; with more, others are drawn"
            )
        before = Mission(self.brief)
        for event in self.events[:-1]:
            before = before.advance(event)
        return RESUMPTIONS[before.state][more]

    def to_plain(self) -> dict[str, Any]:
        """Return plain data: the brief and the events, from which the rest follows."""
        return {"brief": self.brief.to_plain(), "events": [event_to_plain(e) for e in self.events]}

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> Mission:
        """Return the mission that ``to_plain`` wrote, by replaying its events.

        Raises:
            TransitionError: The events do not follow TRANSITIONS.
        """
        mission = cls(Brief.from_plain(data["brief"]))
        for event in data["events"]:
            mission = mission.advance(event_from_plain(event))
        return mission
