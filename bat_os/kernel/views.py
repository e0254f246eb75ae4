"""Objects and missions as plain data for people and clients. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bat_os.core.protocol import Reply
from bat_os.core.values import to_wire
from bat_os.image.objects import Method, freeze

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from bat_os.core.protocol import Request
    from bat_os.image.missions import Record
    from bat_os.image.objects import UvmObject


def objects(root: MutableMapping[str, Any]) -> list[dict[str, Any]]:
    """Return one map per root object: name, parents, how many slots, own selectors."""
    return [_summary(obj) for obj in root["objects"].values()]


def inspect(obj: UvmObject) -> dict[str, Any]:
    """Return an object's own slots and methods, and whom it delegates to."""
    methods = {n: _method(m) for n, m in obj.slots.items() if isinstance(m, Method)}
    slots = {n: to_wire(freeze(v)) for n, v in obj.slots.items() if n not in methods}
    inherited = {
        name: holder.name
        for holder in list(obj.lineage())[1:]
        for name in holder.slots
        if name not in obj.slots
    }
    return _summary(obj) | {"slots": slots, "methods": methods, "inherited": inherited}


def mission(record: Record) -> dict[str, Any]:
    """Return where a mission stands, and its answer once there is one."""
    done = record.mission
    return {
        "brief_id": record.id,
        "state": str(done.state),
        "seq": len(done.events),
        "target": done.brief.target,
        "selector": done.brief.selector,
        "accepted": record.accepted,
        "attempts": record.attempts,
        "model_calls": done.model_calls,
        "tokens": done.tokens,
        "answer": record.answer,
    }


def final_reply(request: Request, answer: Mapping[str, Any]) -> Reply:
    """Return the last reply to a brief, in the form in which it was asked."""
    body = dict(answer["body"])
    if request.plain and answer["type"] == "error":
        body = {"status": "error", "message": body["message"], "error": body}
    elif request.plain:
        message = f"{body['target']}.{body['selector']} answered"
        body |= {"status": "success", "message": message, "method_status": body["status"]}
    return Reply(answer["type"], request.id, body, plain=request.plain)


def _summary(obj: UvmObject) -> dict[str, Any]:
    own = [n for n, m in obj.slots.items() if isinstance(m, Method) and m.is_understood]
    return {
        "name": obj.name,
        "oid": obj._p_oid.hex(),
        "parents": [parent.name for parent in obj.parents],
        "slots": len(obj.slots) - len(own),
        "selectors": sorted(own),
    }


def _method(method: Method) -> dict[str, Any]:
    if method.primitive:
        return {"status": "primitive"}
    if not method.is_understood:
        return {"status": "unlearned", "versions": len(method.versions)}
    version = method.version
    return {
        "status": version.status,
        "version": version.number,
        "versions": len(method.versions),
        "source": version.source,
        "sha256": version.sha256,
        "provenance": to_wire(version.provenance),
    }
