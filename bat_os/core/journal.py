"""What the journal of thought says of a mission's event, in the words of its schema.

    one event ──> STATE_TRANSITION, and what came of it: ARTIFACT_GENERATED, RESEARCH_COMPLETE,
                  VALIDATION_SUCCESS, VALIDATION_FAILURE, FINAL_OUTCOME
    what is due ──> DUE

Each line has ``timestamp``, ``cycle_id``, ``mission_brief_hash``, ``event_type`` and
``current_state``, and data of its type; docs/operations.md has the table. The line of the
transition also has all that clients hear of it.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

from bat_os.core.digest import digest
from bat_os.core.mission import (
    MethodDrafted,
    MethodRejected,
    MethodVerified,
    MissionFailed,
    PassagesFound,
    QueriesPlanned,
    State,
)
from bat_os.core.values import to_wire

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bat_os.core.mission import Mission


def write_journal(event: Mapping[str, Any], mission: Mission) -> list[dict[str, Any]]:
    """Return the lines about an event: what clients hear of it, and the mission after it."""
    moment = dt.datetime.fromtimestamp(event["at"], dt.UTC)
    brief = json.dumps(to_wire(mission.brief.to_plain()), sort_keys=True, default=repr)
    common = {
        "timestamp": moment.isoformat(timespec="milliseconds"),
        "cycle_id": event["brief_id"],
        "mission_brief_hash": digest(brief),
        "current_state": str(mission.state).upper(),
    }
    moved = {**event, **common, "event_type": "STATE_TRANSITION"}
    moved["transition_to"] = common["current_state"]
    return [moved, *({**common, **line} for line in _came_of_it(mission))]


def write_due(event: Mapping[str, Any], line: str) -> dict[str, Any]:
    """Return the line about a moment that was due: what clients hear of it, and its words."""
    moment = dt.datetime.fromtimestamp(event["at"], dt.UTC)
    about = {"cycle_id": "", "mission_brief_hash": "", "current_state": str(State.IDLE).upper()}
    told = {"timestamp": moment.isoformat(timespec="milliseconds"), "event_type": "DUE"}
    return {**event, **about, **told, "text": line}


def _came_of_it(mission: Mission) -> Iterator[dict[str, Any]]:
    last = mission.events[-1] if mission.events else None
    if isinstance(last, QueriesPlanned):
        about = {"artifact_type": "research_plan", "queries": list(last.queries)}
        yield {"event_type": "ARTIFACT_GENERATED", **about}
    elif isinstance(last, PassagesFound):
        yield {"event_type": "RESEARCH_COMPLETE", "context_snippets": len(last.passages)}
    elif isinstance(last, MethodDrafted):
        found = [event for event in mission.events if isinstance(event, PassagesFound)]
        used = bool(found and found[-1].passages)
        yield {"event_type": "ARTIFACT_GENERATED", "artifact_type": "code", "context_used": used}
    elif isinstance(last, MethodVerified):
        yield {"event_type": "VALIDATION_SUCCESS", "guardian": "passed"}
    elif isinstance(last, MethodRejected | MissionFailed):
        yield {"event_type": "VALIDATION_FAILURE", "error": last.reason}
    if mission.state.is_final:
        outcome = "COMPLETE" if mission.state is State.COMPLETE else "FAILED"
        yield {"event_type": "FINAL_OUTCOME", "outcome": outcome}
