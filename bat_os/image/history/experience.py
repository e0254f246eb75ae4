"""What missions and discussions leave behind, as plain records that training can read.

    root["experience"]  id of the mission -> zlib of the msgpack of its record; at most MAX_KEPT
    root["talks"]       id of the discussion, which begins with the time -> PersistentMapping

docs/personas.md describes the fields. A message that was understood at once leaves no record.
All functions work on the root inside ``ImageStore.transact``.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import heapq
import zlib
from collections import Counter
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, Final

from persistent.mapping import PersistentMapping

from bat_os.core.brief import goal, signature
from bat_os.core.mission import (
    MethodDrafted,
    MethodRejected,
    MethodVerified,
    Mission,
    MissionFailed,
    PassagesFound,
    QueriesPlanned,
    SkillReused,
)
from bat_os.core.protocol import MAX_FRAME, pack, unpack
from bat_os.core.steps import MethodDistilled
from bat_os.core.values import to_wire
from bat_os.errors import BatError, CancelledError, NotPlainError, TooLargeError
from bat_os.image import missions
from bat_os.image.history import marks
from bat_os.image.history.faults import faults_of
from bat_os.image.history.uses import uses_of
from bat_os.image.objects import Method, UvmObject, object_of, tree_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, MutableMapping

    from BTrees.OOBTree import OOBTree

    from bat_os.image.missions import Record

    Root = MutableMapping[str, Any]

ROOT_NAME: Final = "experience"
TALKS: Final = "talks"
MAX_TALKS: Final = 1_000
FORMAT: Final = 1
MAX_KEPT: Final = 10_000
MAX_RECORD: Final = 400_000  # bytes; two of them fit into a message
WEEKS: Final = 12
MAX_COUNTED: Final = 500  # missions, the newest
CAME: Final = ("kept", "corrected", "asked", "failed")
MAX_PAGE: Final = 500_000
_LOOKED_AT: Final = 2_000  # missions that one page goes through
_DRAFT: Final = ("persona", "model", "digest", "adapter", "temperature", "seed", "prompt", "text",
                 "from", "weight")  # fmt: skip
_VERDICT: Final = (
    "source", "fixups", "problem", "preview", "effects", "passed", "agree", "votes", "dull",
)  # fmt: skip


def tell(root: Root, mission_id: str, waiting: Mapping[Any, Any] | None = None) -> dict[str, Any]:
    """Return the record of a mission, or {} if it has not ended or leaves no record.

    The mission is kept whole, or as a record. Calls that are counted and not yet written are in
    ``waiting`` (``CallCounter.waiting``).
    """
    if mission_id in root["missions"]:
        entry = _describe(root, mission_id)
    else:
        packed = root[ROOT_NAME][mission_id]
        entry = unpack(zlib.decompressobj().decompress(packed, MAX_FRAME))
    return entry | {"later": to_wire(_later(root, entry, waiting))} if entry else {}


def count_weeks(root: Root, now: float) -> list[dict[str, Any]]:
    """Return how the missions of the last WEEKS weeks ended, the oldest week first.

    A row has ``week`` (its Monday, in UTC) and how many of its missions, of the newest MAX_COUNTED,
    were ``kept`` (answered, and nothing speaks against it), ``corrected`` (what was learned was
    taken back or replaced since, or failed in use), ``asked`` (ended with a question) and
    ``failed``. What was understood at once leaves no record, and what was cancelled counts nowhere.
    """
    today = dt.datetime.fromtimestamp(now, dt.UTC).date()
    this = today - dt.timedelta(days=today.weekday())
    mondays = [this - dt.timedelta(weeks=back) for back in reversed(range(WEEKS))]
    counts = {monday.isoformat(): Counter[str]() for monday in mondays}
    trees = (root.get(ROOT_NAME, {}), root["missions"])
    newest = heapq.merge(*(reversed(tree.keys()) for tree in trees if tree), reverse=True)
    for mission_id in islice(newest, MAX_COUNTED):
        with contextlib.suppress(BatError, ValueError):
            if entry := tell(root, mission_id):
                day = dt.datetime.fromtimestamp(entry["accepted"], dt.UTC).date()
                monday = (day - dt.timedelta(days=day.weekday())).isoformat()
                if monday not in counts:
                    break
                counts[monday][_came_of(entry)] += 1
    return [
        {"week": monday, **{one: found[one] for one in CAME}} for monday, found in counts.items()
    ]


def _came_of(entry: Mapping[str, Any]) -> str:
    """Return one of CAME, or "" for what was cancelled."""
    outcome, later = entry["outcome"], entry["later"]
    if outcome["kind"] == "failed":
        asked = "asked" if outcome["code"].endswith("_WANTED") else "failed"
        return "" if outcome["code"] == CancelledError.code else asked
    if outcome["kind"] == "waiting":
        return "asked"
    holds = not later or (later["current"] and not later["tainted"] and not later["faults"])
    return "kept" if holds else "corrected"


def keep(root: Root, mission_id: str) -> None:
    """Keep the record of a mission that is to be forgotten; the oldest go where they are many."""
    try:
        entry = _describe(root, mission_id)
    except BatError:  # it could not be read before, either
        return
    if not entry:
        return
    _keep_newest(tree_of(root, ROOT_NAME), mission_id, zlib.compress(pack(entry)), MAX_KEPT)


def page(
    root: Root, after: str, limit: int, waiting: Mapping[Any, Any] | None = None
) -> tuple[list[dict[str, Any]], str]:
    """Return up to ``limit`` records behind the mission ``after``, and where to go on.

    The second is "" once nothing is left. One that cannot be read is ``mission`` and ``problem``.
    """
    records: list[dict[str, Any]] = []
    size, last = 0, ""
    for last in islice(_ids(root, after), _LOOKED_AT):
        try:
            one = tell(root, last, waiting)
        except BatError as error:
            one = {"format": FORMAT, "mission": last, "problem": str(error)}
        if one:
            records.append(one)
            size += len(pack(one))
        if len(records) == limit or size > MAX_PAGE:
            return records, last
    return records, last if next(_ids(root, last), "") and last else ""


def _ids(root: Root, after: str) -> Iterator[str]:
    trees = (root.get(ROOT_NAME, {}), root["missions"])
    found = heapq.merge(*(tree.keys(after, excludemin=bool(after)) for tree in trees if tree))
    return iter(found)


def _describe(root: Root, mission_id: str) -> dict[str, Any]:
    record = missions.read(root, mission_id)
    mission, brief = record.mission, record.mission.brief
    nothing_done = len(mission.events) < 2 and not mission.last(SkillReused)
    if record.answer is None or nothing_done:
        return {}
    planned, found = mission.last(QueriesPlanned), mission.last(PassagesFound)
    candidates, prompts = _candidates(record)
    times = root["missions"][mission_id].slots.get("times", [])
    drafted = (event for event in mission.events if isinstance(event, MethodDrafted))
    packets = (dict(event.packet) for event in drafted if event.packet)  # of the cascade
    entry = {
        "format": FORMAT,
        "mission": mission_id,
        "accepted": record.accepted,
        "seconds": record.answer["body"].get("seconds", 0.0),
        "state": str(mission.state),
        "object": brief.target,
        "selector": brief.selector,
        "brief": brief.to_plain() | {"goal": goal(brief), "signature": signature(brief)},
        "plan": dict(planned.plan) or {"queries": list(planned.queries)} if planned else {},
        "passages": list(found.passages) if found else [],
        "prompts": prompts,
        "packet": next(packets, {}),
        "candidates": candidates,
        "steps": _steps(mission, record.accepted, times),
        "outcome": _outcome(record),
        "model_calls": mission.model_calls,
        "tokens": mission.tokens,
    }
    return _fitting(to_wire(entry))


def _candidates(record: Record) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return a row per candidate, with what was found about it, and the prompts by SHA-256."""
    rows: list[dict[str, Any]] = []
    prompts: dict[str, Any] = {}
    rounds = 0
    for event in record.mission.events:
        if isinstance(event, MethodDrafted):
            rounds += 1
            prompts |= {draft.prompt: draft.asked for draft in event.drafts if draft.asked}
            drafts = [draft.to_plain() for draft in event.drafts]
            about = {"round": rounds, "chosen": False}
            rows += [{k: draft[k] for k in _DRAFT if k in draft} | about for draft in drafts]
        elif isinstance(event, MethodRejected | MethodVerified):
            judged = rows[len(rows) - len(event.verdicts) :]
            _judge(judged, event.verdicts)
            if isinstance(event, MethodVerified):
                judged[event.chosen]["chosen"] = True
    asked = (record.answer or {}).get("body", {}).get("details", {}).get("candidates", ())
    if isinstance(record.mission.events[-1], MissionFailed):
        _judge(rows[len(rows) - len(asked) :], asked)
    return rows, prompts


def _judge(judged: list[dict[str, Any]], verdicts: Iterable[Mapping[str, Any]]) -> None:
    for verdict in verdicts:
        if verdict["draft"] < len(judged):
            judged[verdict["draft"]] |= {key: verdict[key] for key in _VERDICT if key in verdict}


def _steps(mission: Mission, accepted: float, times: list[float]) -> list[dict[str, Any]]:
    """Return what happened, in order, and how long each took where that is known."""
    now, rows = Mission(mission.brief), []
    known = len(times) == len(mission.events)
    spans = pairwise([accepted, *times]) if known else ((0.0, 0.0) for _ in mission.events)
    for event, (begun, ended) in zip(mission.events, spans, strict=True):
        now = now.advance(event)
        rows.append(
            {
                "event": type(event).__name__,
                "state": str(now.state),
                "seconds": round(ended - begun, 3),
                "model_calls": event.model_calls,
                "tokens": event.tokens,
            }
        )
    return rows


def _outcome(record: Record) -> dict[str, Any]:
    mission, answer = record.mission, record.answer or {}
    body, last = answer.get("body", {}), mission.events[-1]
    if isinstance(last, MissionFailed | MethodRejected):
        code = last.code if isinstance(last, MissionFailed) else body.get("code", "")
        return {"kind": "failed", "code": code, "reason": last.reason}
    if isinstance(last, SkillReused):
        return {"kind": "reused", "object": last.holder, "selector": last.selector}
    if isinstance(last, MethodVerified | MethodDistilled):
        kind = "learned" if answer.get("type") == "result" else "waiting"
        return {"kind": kind, "status": last.status, "reason": body.get("why", "")}
    return {"kind": "understood"}


def _later(
    root: Root, entry: Mapping[str, Any], waiting: Mapping[Any, Any] | None
) -> dict[str, Any]:
    """Return what became of the version that the mission wrote; {} where it wrote none."""
    if entry["outcome"]["kind"] not in ("learned", "waiting"):
        return {}
    obj = root["objects"].get(entry["object"]) or object_of(root, entry["object"])
    method = obj.slots.get(entry["selector"]) if isinstance(obj, UvmObject) else None
    if not isinstance(method, Method):
        return {}
    mission = entry["mission"]  # what came through another mind only says that it wrote it
    written = (
        version
        for version in method.versions
        if version.provenance.get("mission") == mission and not version.provenance.get("through")
    )
    if (version := next(written, None)) is None:
        return {}
    number = version.number
    return {
        "version": number,
        "sha256": version.sha256,
        "current": number == method.current + 1,
        "approved": number in method.approvals,
        "tainted": marks.taint(root, method).get("version") == number,
        "uses": uses_of(root, method, waiting)["versions"].get(number, 0),
        "faults": list(faults_of(root, method, number)),
    }


def _fitting(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the record, without its longest parts where it is too big; ``trimmed`` names them."""
    trimmed: list[str] = []
    for part in ("", "passages", "prompts", "candidates", "brief", "plan"):
        if part:
            trimmed.append(part)
            entry = entry | {part: type(entry[part])(), "trimmed": trimmed}
        with contextlib.suppress(TooLargeError, NotPlainError):
            if len(pack(entry)) <= MAX_RECORD:
                break
    return entry


def keep_talk(root: Root, talk_id: str, talk: Mapping[str, Any]) -> None:
    """Store a talk, and drop the oldest beyond MAX_TALKS."""
    _keep_newest(tree_of(root, TALKS), talk_id, PersistentMapping(talk), MAX_TALKS)


def newest_talks(root: Mapping[str, Any], limit: int) -> list[dict[str, Any]]:
    """Return up to ``limit`` talks, the newest first."""
    talks = root.get(TALKS, {})
    return [dict(talks[talk_id]) for talk_id in islice(reversed(list(talks.keys())), limit)]


def _keep_newest(tree: OOBTree, key: str, value: Any, limit: int) -> None:
    tree[key] = value
    while len(tree) > limit:
        del tree[tree.minKey()]
