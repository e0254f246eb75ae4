"""Where methods come from: why one is what it is, and all that have one origin.

    root["recalls"]  id of a recall -> when it was, by which origin, and what it unlearned

Provenance is kept with the version; what it cost with the mission; pins, taint, moves and uses
beside the method. The catalog lists every learned method, so a search by origin costs what
their number does, and one by document what the number of those that cite it does. All functions
work on the root inside ``ImageStore.transact``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.mission import PassagesFound
from bat_os.core.values import to_wire
from bat_os.errors import ArgumentsError, BatError, NotFoundError
from bat_os.image import missions
from bat_os.image.catalog import catalog_in
from bat_os.image.history import basis, entries, marks, taint, versions
from bat_os.image.history.faults import failing, faults_of
from bat_os.image.history.golden import grade_of
from bat_os.image.history.uses import uses_of
from bat_os.image.history.versions import locate, version_of
from bat_os.image.objects import Method, UvmObject, examples_of, object_of, ref_of, tree_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, MutableMapping

    from bat_os.image.objects import MethodVersion

    Root = MutableMapping[str, Any]

ROOT_NAME: Final = "recalls"
MIN_DIGEST: Final = 8


@dataclass(frozen=True, slots=True)
class Origin:
    """What methods are looked for by."""

    kind: str  # one of ORIGINS
    value: str  # name or digest of a model, name of an adapter, id of a document or mission

    def matches(self, version: MethodVersion) -> bool:
        """Return whether ``version`` comes from there."""
        return ORIGINS[self.kind](version.provenance, self.value)


def read_origin(body: Mapping[str, Any]) -> Origin:
    """Return the one origin that a request names."""
    named = [(kind, body[kind]) for kind in ORIGINS if body.get(kind)]
    if len(named) != 1:
        raise ArgumentsError(f"name one of {', '.join(ORIGINS)}")
    kind, value = named[0]
    if type(value) is not str or not value.strip():
        raise ArgumentsError(f"{kind} is not a name")
    return Origin(kind, value.strip())


def find(root: Root, origin: Origin) -> list[dict[str, Any]]:
    """Return the current methods that come from ``origin``, as plain data."""
    return [_row(root, holder, method) for holder, method in _matching(root, origin)]


def withdraw(root: Root, origin: Origin, *, recall_id: str, at: float) -> list[dict[str, Any]]:
    """Unlearn all methods from ``origin``, pinned ones too; return what ``find`` would have.

    Nothing is written where there are none.
    """
    chosen = list(_matching(root, origin))
    rows = [_row(root, holder, method) for holder, method in chosen]
    for (holder, method), row in zip(chosen, rows, strict=True):
        if row["pinned"]:
            marks.set_mark(root, "pinned", method, 0)
        versions.unlearn(root, holder, method.selector, at=at, what=f"recall {recall_id}")
    if rows:
        record = {"at": at, "kind": origin.kind, "value": origin.value, "methods": rows}
        tree_of(root, ROOT_NAME)[recall_id] = {**record, "undone": None}
    return rows


def recalls(root: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return all recalls, oldest first.

    Each has ``id``, ``at``, ``kind``, ``value``, ``methods``, and ``undone`` (Unix time or None).
    """
    return [{"id": key, **record} for key, record in root.get(ROOT_NAME, {}).items()]


def withdrawn(root: Root, recall_id: str) -> tuple[list[versions.Picked], list[dict[str, Any]]]:
    """Return (versions that a recall withdrew and that may come back, the rest with a reason).

    What is back already is in neither.
    """
    record = root.get(ROOT_NAME, {}).get(recall_id)
    if record is None:
        raise NotFoundError(f"found no recall {recall_id[:60]!r}; batos recall lists them")
    if record["undone"] is not None:
        raise ArgumentsError(f"the recall {recall_id} was undone before")
    back, left = [], []
    for row in record["methods"]:
        method = _method(root, row)
        if method is not None and method.current + 1 == row["version"]:
            continue
        try:
            back.append(_pick_again(root, row))
        except (ArgumentsError, NotFoundError) as error:
            left.append({**row, "reason": str(error)})
    return back, left


def note_undone(root: Root, recall_id: str, at: float, back: list[versions.Picked]) -> None:
    """Pin again what a recall had unpinned; it is undone once all its methods answer again."""
    record = root[ROOT_NAME][recall_id]
    came = {(picked.oid, picked.selector) for picked in back}
    answering = 0
    for row in record["methods"]:
        method = _method(root, row)
        if method is None or method.current < 0:
            continue
        answering += 1
        if row["pinned"] and (row["oid"], row["selector"]) in came:
            marks.set_mark(root, "pinned", method, row["pinned"])
    if answering == len(record["methods"]):
        root[ROOT_NAME][recall_id] = {**record, "undone": at}


def mark_dependants(
    root: Root, doc_id: str, *, at: float, what: str = "changed"
) -> list[dict[str, Any]]:
    """Mark all current methods that a document reached as to be verified again; return them.

    To be called in the transaction that changes or forgets the document, before it does: as
    ``taint.spread``, which says what is reached.
    """
    marked = taint.spread(root, doc_id, at=at, what=what)
    found = ((entries.holder_of(root, method), method) for method in marked)
    return [_row(root, holder, method) for holder, method in found if holder is not None]


def tainted(root: Root) -> list[dict[str, Any]]:
    """Return the current methods that have to be verified again."""
    found = ((h, m) for h, m in entries.learned(root, copies=True) if marks.taint(root, m))
    return [_row(root, holder, method) for holder, method in found]


def _matching(root: Root, origin: Origin) -> Iterator[tuple[UvmObject, Method]]:
    if origin.kind == "document" and entries.is_indexed(origin.value):
        for method in list(entries.citing(root, origin.value)):
            if (found := entries.holder_of(root, method)) is not None:
                yield found, method
        return
    for holder, method in entries.learned(root, copies=True):
        if origin.matches(method.versions[method.current]):
            yield holder, method


def _row(root: Root, holder: UvmObject, method: Method) -> dict[str, Any]:
    version = method.versions[method.current]
    return _facts(root, holder, method, version) | {"oid": ref_of(holder).oid}


def _facts(root: Root, holder: UvmObject, method: Method, version: MethodVersion) -> dict[str, Any]:
    return {
        "object": holder.name or ref_of(holder).oid,
        "selector": method.selector,
        "version": version.number,
        "status": method.status_of(version),
        "pinned": marks.pinned(root, method),
        "tainted": marks.taint(root, method),
        "sha256": version.sha256,
    }


def _pick_again(root: Root, row: Mapping[str, Any]) -> versions.Picked:
    holder = object_of(root, row["oid"])
    if holder is None:
        raise NotFoundError(f"{row['object']} is not in the image any more")
    method = versions.own(holder, row["selector"])
    if method.current >= 0:
        raise ArgumentsError(f"{method.selector} has version {method.current + 1} by now")
    return versions.pick(root, holder, row["selector"], row["version"])


def _method(root: Root, row: Mapping[str, Any]) -> Method | None:
    holder = object_of(root, row["oid"])
    method = None if holder is None else holder.slots.get(row["selector"])
    return method if isinstance(method, Method) else None


def _is_model(origin: Mapping[str, Any], value: str) -> bool:
    digest = str(origin.get("model_digest", ""))
    begins = len(value) >= MIN_DIGEST and digest.startswith(value.lower())
    return begins or origin.get("model") == value


ORIGINS: Final[Mapping[str, Callable[[Mapping[str, Any], str], bool]]] = {
    "model": _is_model,
    "adapter": lambda origin, value: origin.get("adapter") == value,
    "document": lambda origin, value: value in origin.get("passages", ()),
    "mission": lambda origin, value: origin.get("mission") == value,
}


_ORIGIN: Final = (
    "goal", "persona", "model", "model_digest", "adapter", "adapted_from", "prompt_sha256",
    "temperature", "seed", "why", "effects", "cell", "fixups", "draft", "created", "mission",
    "rehearsed", "asks",
)  # fmt: skip
_VERDICT: Final = ("draft", "problem", "preview", "effects", "passed", "agree", "fixups")


def explain(
    root: Root,
    obj: UvmObject,
    selector: str,
    number: int = 0,
    waiting: Mapping[tuple[str, str, str], Any] | None = None,
) -> dict[str, Any]:
    """Return all that is known about a version of a method.

    Number 0 is the current version, or the latest where none is. ``waiting`` are calls that are
    counted and not yet written (``CallCounter.waiting``).

    Of what comes back, ``waiting`` is the version that waits for approval, or 0; ``faults`` are
    of this version and ``failing`` of the current one, once they are many; ``drawn`` has prompts,
    batch and sampling as ``replay`` needs them.
    """
    holder, method = locate(obj, selector)
    version = version_of(method, number)
    origin = version.provenance
    about = _facts(root, holder, method, version) | {
        "versions": len(method.versions),
        "current": version.number == method.current + 1,
        "waiting": marks.waiting(root, method).get("version", 0),
        "source": version.source,
        "whole": version.is_whole,
        "origin": {key: origin[key] for key in _ORIGIN if key in origin},
        "drawn": origin.get("drawn", {}),
        "brief": origin.get("brief"),
        "candidates": _candidates(origin),
        "through": list(origin.get("through", ())),
        "examples": [
            {key: value for key, value in one.items() if key != "world"}
            for one in examples_of(method, version)
        ],
        "approval": dict(method.approvals.get(version.number, {})),
        "moves": list(marks.moves(root, method)),
        "faults": list(faults_of(root, method, version.number)),
        "failing": failing(root, method),
        "changes": basis.changes(root, holder, method),
        "grade": grade_of(root, method, version),
        "uses": uses_of(root, method, waiting),
    }
    plain: dict[str, Any] = to_wire(about | _spent_and_cited(root, version))
    return plain


def _candidates(origin: Mapping[str, Any]) -> list[dict[str, Any]]:
    chosen = origin.get("draft")
    return [
        {key: one[key] for key in _VERDICT if key in one} | {"chosen": one.get("draft") == chosen}
        for one in origin.get("candidates", ())
    ]


def _spent_and_cited(root: Root, version: MethodVersion) -> dict[str, Any]:
    """Return ``mission`` (what it cost) and ``passages``; the mission knows their titles."""
    origin = version.provenance
    cited = list(origin.get("passages", ()))
    try:
        if origin.get("through"):  # a mission of another mind, whatever its id is
            raise NotFoundError("the mission is not of this image")
        record = missions.read(root, origin.get("mission", ""))
    except BatError:  # taught by hand, or the record is of a newer program
        return {"mission": {}, "passages": _passages(root, cited, {})}
    done, body = record.mission, (record.answer or {}).get("body", {})
    found = done.last(PassagesFound)
    titles = {p["doc_id"]: p["title"] for p in found.passages} if found else {}
    mission = {
        "id": record.id,
        "accepted": record.accepted,
        "seconds": body.get("seconds", 0.0),
        "model_calls": done.model_calls,
        "tokens": done.tokens,
        "rounds": done.rounds,
    }
    return {"mission": mission, "passages": _passages(root, cited, titles)}


def _passages(root: Root, cited: list[str], titles: Mapping[str, str]) -> list[dict[str, Any]]:
    catalog, rows = catalog_in(root), []
    for doc_id in dict.fromkeys(cited):
        document = catalog.document(doc_id)
        title = titles.get(doc_id) or (document.title if document is not None else "")
        rows.append({"doc_id": doc_id, "title": title, "known": document is not None})
    return rows
