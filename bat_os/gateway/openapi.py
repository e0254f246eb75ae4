"""The OpenAPI document, made of the table of verbs and the routes' own words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import bat_os
from bat_os.core.fields import schema_of
from bat_os.core.protocol import MAX_FRAME
from bat_os.core.verbs import REQUESTS, SCOPE_OF
from bat_os.gateway.problems import JSON, STATUS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.routing import Route

    from bat_os.core.fields import Verb

_PLAIN: Final = {"type": "object"}
_ENVELOPE: Final = {
    "target": {"type": "string", "maxLength": 200},
    "selector": {"type": "string", "maxLength": 200},
    "args": {"type": "array"},
    "kwargs": {"type": "object"},
}
# What a route answers and takes: the verb whose reply it is, and its body.
_ROUTES: Final[dict[str, tuple[str, dict[str, Any] | None]]] = {
    "message": ("send", {
        "type": "object", "required": ["method_name"],
        "properties": {
            "target_object_id": {"type": "string", "default": "genesis_obj"},
            "method_name": {"type": "string"}, "payload": {},
            "args": _ENVELOPE["args"], "kwargs": _ENVELOPE["kwargs"],
        },
    }),
    "missions": ("missions", None),
    "mission": ("brief.get", None),
    "cancel": ("cancel", None),
    "objects": ("list", None),
    "graph": ("graph", None),
    "moments": ("moments", None),
    "object": ("inspect", None),
    "why": ("why", None),
    "slot": ("send", {"type": "object", "properties": {"value": {}}}),
    "send": ("send", {"type": "object", "properties": {
        "args": _ENVELOPE["args"], "kwargs": _ENVELOPE["kwargs"]}}),
    "health": ("health", None),
    "uploads": ("learn", None),
}  # fmt: skip
_QUERY: Final = {
    "missions": ("limit", "state", "before"), "objects": ("after", "limit", "at"),
    "graph": ("after", "limit", "at"), "moments": ("before", "limit"), "object": ("at",),
    "why": ("version", "at"), "uploads": ("name",),
}  # fmt: skip
_HEADERS: Final = {
    "message": ("Idempotency-Key", "Prefer"), "send": ("Idempotency-Key", "Batos-Session"),
    "slot": ("If-Match", "Idempotency-Key"), "uploads": ("Idempotency-Key",),
    "mission": ("If-None-Match",), "object": ("If-None-Match",),
    "mission_events": ("Last-Event-ID",), "events": ("Last-Event-ID",),
}  # fmt: skip
_OPENAI_ERROR: Final[dict[str, Any]] = {
    "type": "object", "required": ["error"],
    "properties": {"error": {
        "type": "object", "required": ["message", "type", "param", "code"],
        "properties": {"message": {"type": "string"}, "type": {"type": "string"}},
    }},
}  # fmt: skip
_HIDDEN: Final = frozenset(
    {"page", "asset", "login", "logout", "verb", "openapi", "errors", "owner", "metrics"}
)


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of these routes, and of every verb that can be asked for."""
    paths: dict[str, Any] = {}
    for route in routes:
        if route.name in _HIDDEN:
            continue
        methods = sorted((route.methods or set()) - {"HEAD"})
        paths.setdefault(_plain_path(route), {}).update(
            {method.lower(): _operation(route, method) for method in methods}
        )
    for name in sorted(SCOPE_OF):
        paths[f"/verbs/{name}"] = {"post": _verb(REQUESTS[name])}
    return {
        "openapi": "3.1.0",
        "info": {"title": "BAT OS", "version": bat_os.__version__},
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Problem": _problem()},
        },
        "x-errors": {code: {"status": status} for code, status in sorted(STATUS.items())},
        "x-max-bytes": MAX_FRAME,
    }


def _operation(route: Route, method: str) -> dict[str, Any]:
    name = route.name
    verb, body = _ROUTES.get(name, ("", None))
    words = (route.endpoint.__doc__ or "").strip().splitlines()
    named = [part[1:-1] for part in _plain_path(route).split("/") if part.startswith("{")]
    parameters = [_parameter(each, "path") for each in named]
    parameters += [_parameter(each, "query") for each in _QUERY.get(name, ())]
    parameters += [_parameter(each, "header") for each in _HEADERS.get(name, ())]
    made: dict[str, Any] = {
        "operationId": name if len(route.methods or ()) < 2 or method == "GET"
        else f"{method.lower()}_{name}",
        "summary": words[0] if words else name,
        "parameters": parameters,
        "responses": _answers(schema_of(REQUESTS[verb].reply) if verb else _PLAIN),
    }  # fmt: skip
    if route.path.startswith("/v1/"):  # whose clients read OpenAI's errors, and no others
        made["responses"]["default"] = {
            "description": "what is wrong", "content": {JSON: {"schema": _OPENAI_ERROR}},
        }  # fmt: skip
    if name == "message":
        made["responses"]["202"] = {
            "description": "stored; its mission is at Location",
            "headers": {"Location": {"schema": {"type": "string"}}},
            "content": {JSON: {"schema": _PLAIN}},
        }
    if name.endswith("events"):
        stream = {"text/event-stream": {"schema": {"type": "string"}}}
        made["responses"]["200"] = {"description": "events", "content": stream}
    if name == "uploads":
        made["parameters"][0]["required"] = True
        made["requestBody"] = {"required": True, "content": {"application/octet-stream": {}}}
    if body is not None and method != "DELETE":
        made["requestBody"] = {"required": True, "content": {JSON: {"schema": body}}}
    return made


def _plain_path(route: Route) -> str:
    """Return a route's path as the document has it: ``{id}`` for ``{id:path}``."""
    return route.path.replace(":path}", "}")


def _verb(verb: Verb) -> dict[str, Any]:
    fields = {name: field.schema() | _about(field.help) for name, field in verb.body.items()}
    wanted = [name for name, field in verb.body.items() if field.required]
    body: dict[str, Any] = {
        "type": "object", "properties": fields, "additionalProperties": False,
    }  # fmt: skip
    body |= {"required": wanted} if wanted else {}
    own = {field.name for field in verb.fields if field.place == "envelope"}
    properties = {name: schema for name, schema in _ENVELOPE.items() if name in own}
    schema: dict[str, Any] = {"type": "object", "properties": properties | {"body": body}}
    if wanted:
        schema["required"] = ["body"]
    return {
        "operationId": f"verb_{verb.name.replace('.', '_').replace('-', '_')}",
        "summary": verb.help,
        "description": f"Needs the scope {SCOPE_OF[verb.name]}. {verb.note}".strip(),
        "requestBody": {"required": True, "content": {JSON: {"schema": schema}}},
        "responses": _answers(schema_of(verb.reply)),
    }


def _about(text: str) -> dict[str, str]:
    return {"description": text} if text else {}


def _parameter(name: str, place: str) -> dict[str, Any]:
    return {
        "name": name, "in": place, "required": place == "path", "schema": {"type": "string"},
    }  # fmt: skip


def _answers(schema: dict[str, Any]) -> dict[str, Any]:
    refused = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        "200": {"description": "the answer", "content": {JSON: {"schema": schema}}},
        "default": {"description": "what is wrong (RFC 9457)", "content": refused},
    }


def _problem() -> dict[str, Any]:
    texts = {name: {"type": "string"} for name in ("type", "title", "detail")}
    return {
        "type": "object",
        "required": ["type", "title", "status", "detail", "code", "retryable"],
        "properties": {
            **texts, "status": {"type": "integer"}, "code": {"enum": sorted(STATUS)},
            "retryable": {"type": "boolean"}, "details": {"type": "object"},
            "retry_after_ms": {"type": "integer"},
        },
    }  # fmt: skip
