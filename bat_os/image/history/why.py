"""Why a method is what it is: everything that is known of one version, as plain data.

Provenance stands with the version; what it cost stands with the mission; pins, taint, moves
and uses stand beside the method. Reads only; inside ``ImageStore.transact``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bat_os.core.events import PassagesFound
from bat_os.core.values import to_wire
from bat_os.errors import BatError
from bat_os.image import missions
from bat_os.image.catalog import catalog_in
from bat_os.image.history import faults, marks
from bat_os.image.history.uses import uses_of
from bat_os.image.history.versions import is_whole, locate, status_of, version_of
from bat_os.image.objects import ref_of

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from bat_os.image.objects import MethodVersion, UvmObject

    Root = MutableMapping[str, Any]

_ORIGIN: Final = (
    "goal",
    "persona",
    "model",
    "model_digest",
    "adapter",
    "adapted_from",
    "prompt_sha256",
    "temperature",
    "seed",
    "why",
    "cell",
    "fixups",
    "draft",
    "created",
)
_VERDICT: Final = ("draft", "problem", "preview", "passed", "agree", "fixups")


def explain(
    root: Root,
    obj: UvmObject,
    selector: str,
    number: int = 0,
    waiting: Mapping[tuple[str, str, str], Any] | None = None,
) -> dict[str, Any]:
    """Return all that is known about a version of a method.

    Args:
        root: The image root.
        obj: Who understands the message, itself or by a parent.
        selector: The message.
        number: Of the version; 0 is the current one, or the latest where none is.
        waiting: Calls that are counted and not yet written (``UseCounter.waiting``).

    Returns:
        ``object`` (who has the method), ``selector``, ``version``, ``versions`` (how many),
        ``current`` (this one answers), ``status``, ``pinned``, ``tainted``, ``source``,
        ``sha256``, ``whole`` (the source has that hash), ``origin``, ``brief``, ``mission``,
        ``candidates``, ``examples``, ``passages``, ``approval``, ``uses``, ``moves``, ``waiting``
        (the version that waits for approval, or 0), ``faults`` (of this version, in use),
        ``failing`` (the current one's, once they are many), and ``drawn``: prompts, batch and
        sampling as ``replay`` needs them.

    Raises:
        NotFoundError: No such learned method or version.
    """
    holder, method = locate(obj, selector)
    version = version_of(method, number)
    told = version.provenance
    about = {
        "object": holder.name or ref_of(holder).oid,
        "selector": selector,
        "version": version.number,
        "versions": len(method.versions),
        "current": version.number == method.current + 1,
        "status": status_of(method, version),
        "pinned": marks.pinned(root, method),
        "tainted": marks.taint(root, method),
        "waiting": marks.waiting(root, method).get("version", 0),
        "source": version.source,
        "sha256": version.sha256,
        "whole": is_whole(version),
        "origin": {key: told[key] for key in _ORIGIN if key in told},
        "drawn": told.get("drawn", {}),
        "brief": told.get("brief"),
        "candidates": _candidates(told),
        "examples": list(told.get("examples", ())),
        "approval": dict(method.approvals.get(version.number, {})),
        "moves": list(marks.moves(root, method)),
        "faults": list(faults.faults_of(root, method, version.number)),
        "failing": faults.failing(root, method),
        "uses": uses_of(root, method, waiting),
    }
    plain: dict[str, Any] = to_wire(about | _spent_and_cited(root, version))
    return plain


def _candidates(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    chosen = told.get("draft")
    return [
        {key: one[key] for key in _VERDICT if key in one} | {"chosen": one.get("draft") == chosen}
        for one in told.get("candidates", ())
    ]


def _spent_and_cited(root: Root, version: MethodVersion) -> dict[str, Any]:
    """Return ``mission`` (what it cost) and ``passages``; the mission knows their titles."""
    told = version.provenance
    cited = list(told.get("passages", ()))
    try:
        record = missions.read(root, told.get("mission", ""))
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
