"""What the routes share: a request's body and words, the caller's session and key, the reply.

Everything that a route raises becomes a problem here, also what the framework raises itself.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from bat_os.core.protocol import MAX_DEPTH
from bat_os.core.scopes import covers
from bat_os.errors import (
    ArgumentsError,
    BatError,
    FrameError,
    HttpError,
    NotFoundError,
    UnauthorizedError,
    UnknownTypeError,
)
from bat_os.gateway.problems import JSON, describe, openai_error, problem, read_bytes, to_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from bat_os.client.tokens import Caller

log = logging.getLogger(__name__)

MAX_KEY: Final = 120  # characters of an Idempotency-Key
MAX_WAIT: Final = 60.0  # seconds of a ``Prefer: wait=N``
BIG: Final = "big=text"
_FRAMEWORK: Final[Mapping[int, type[BatError]]] = {
    401: UnauthorizedError, 403: UnauthorizedError, 404: NotFoundError, 405: UnknownTypeError,
}  # fmt: skip


def caller_of(request: Request) -> Caller:
    """Return who asks, as the guard found."""
    caller: Caller = request.scope["state"]["caller"]
    return caller


def demand(request: Request, scope: str) -> Caller:
    """Return who asks, if they may do what needs ``scope``.

    Raises:
        HttpError: They may not.
    """
    caller = caller_of(request)
    if not covers(caller.scope, scope):
        needs = "the owner: say it in the chat, or on the page" if scope == "person" else scope
        raise HttpError(
            403, UnauthorizedError(f"{caller.name} may {caller.scope}; this needs {needs}")
        )
    return caller


def identity_of(request: Request) -> dict[str, Any]:
    """Return how the kernel knows who asks: session, author, and what they may.

    A caller may have several sessions: each is a conversation of its own. The page is the owner's.
    """
    caller, named = caller_of(request), request.headers.get("batos-session", "")[:60]
    session = f"http:{caller.name}" + (f":{named}" if named else "")
    author = {} if caller.is_page else {"by": f"http:{caller.name}"}
    return {"session": session, "may": caller.scope, **author}


def key_of(request: Request) -> str:
    """Return the idempotency key for the wire, "" without one; two callers' keys do not meet.

    Raises:
        HttpError: It is too long.
    """
    key = request.headers.get("idempotency-key", "").strip().strip('"')
    if len(key) > MAX_KEY:
        raise HttpError(400, ArgumentsError(f"a key has at most {MAX_KEY} characters"))
    return f"http:{caller_of(request).name}:{key}" if key else ""


async def body_of(request: Request) -> dict[str, Any]:
    """Return the JSON object that a request carries.

    Raises:
        HttpError: It is not JSON, or not said to be.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:  # a form of another site cannot say that it is
        raise HttpError(415, ArgumentsError("send content-type: application/json"))
    try:
        raw = await request.body()
        body = msgspec.json.decode(raw) if raw else {}
        if b'"$bytes"' in raw:
            body = read_bytes(body)
    except ClientDisconnect:
        raise HttpError(400, FrameError("the body was not sent")) from None
    except (ValueError, RecursionError) as error:
        raise HttpError(400, FrameError(f"this is not JSON: {error}"[:200])) from None
    if type(body) is not dict:
        raise HttpError(400, FrameError("this is not a JSON object"))
    _check_depth(body)
    return body


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            part
            for each in level
            for part in (each.values() if isinstance(each, dict) else each)
            if isinstance(part, (dict, list))
        ]
        if not level:
            return
    raise HttpError(400, FrameError(f"nested deeper than {MAX_DEPTH}"))


def whole(request: Request, name: str, default: int, *, least: int = 0, most: int = 1 << 31) -> int:
    """Return a number of the query.

    Raises:
        ArgumentsError: It is not one, or not within the bounds.
    """
    text = request.query_params.get(name, "")
    if not text:
        return default
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 12 else -1
    if not least <= number <= most:
        raise ArgumentsError(f"{name} must be a whole number from {least} to {most}")
    return number


def moment_of(request: Request) -> dict[str, Any]:
    """Return the ``at`` of the query as part of a request's body."""
    at = request.query_params.get("at")
    return {} if at is None else {"at": at}


def serial_of(request: Request) -> str:
    """Return the serial that ``If-Match`` names; "" for ``*``.

    What follows a dot tells answers apart, not versions of the object.

    Raises:
        HttpError: It is missing, or names none.
    """
    seen = request.headers.get("if-match")
    if seen is None:
        raise HttpError(
            428, ArgumentsError("say with If-Match which version you have seen (its ETag), or *")
        )
    serial = seen.strip().removeprefix("W/").strip('"').partition(".")[0]
    if serial != "*" and not (len(serial) == 16 and set(serial) <= set("0123456789abcdef")):
        raise HttpError(412, ArgumentsError("If-Match names no version of an object"))
    return "" if serial == "*" else serial


def wait_of(request: Request) -> float:
    """Return the seconds of ``Prefer: wait=N``; 0 without it (RFC 7240)."""
    for part in request.headers.get("prefer", "").replace(";", ",").split(","):
        name, _, value = part.strip().partition("=")
        value = value.strip().strip('"')
        if name.strip().lower() == "wait" and value.isascii() and value.isdigit():
            return min(float(value[:6]), MAX_WAIT)
    return 0.0


def reply(
    request: Request, body: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return plain data as the reply."""
    big = BIG in request.headers.get("accept", "").replace(" ", "")
    raw = to_json(body, big_as_text=big)
    return Response(raw, status, dict(headers or {}), JSON)


def tagged(request: Request, body: Any, tag: str) -> Response:
    """Return plain data with its version; 304 if the asker has that one."""
    quoted = f'"{tag}"'
    known = [part.strip().removeprefix("W/") for part in
             request.headers.get("if-none-match", "").split(",")]  # fmt: skip
    if quoted in known:
        return Response(None, 304, {"etag": quoted})
    return reply(request, body, headers={"etag": quoted})


async def answer_error(request: Request, error: Exception) -> Response:
    """Return the problem for whatever a route, or the framework, has raised."""
    headers: Mapping[str, str] = {}
    if isinstance(error, HTTPException):
        kind = _FRAMEWORK.get(error.status_code, ArgumentsError)
        headers = error.headers or {}
        shown = f"{request.method} {request.url.path[:200]}"
        error = HttpError(error.status_code, kind(f"{shown}: {error.detail}"))
    elif isinstance(error, ClientDisconnect):
        error = HttpError(400, FrameError("the body was not sent"))
    elif not isinstance(error, BatError):
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        error = BatError("internal error; the gateway's log has the details")
    status, more, body = describe(error)
    if request.url.path.startswith("/v1/"):
        status = 400 if status == 422 else status  # as OpenAI has it
        # Its clients ask again by themselves: one wish would be learned three times.
        more["x-should-retry"] = "true" if body["retryable"] else "false"
        return Response(openai_error(status, body), status, {**headers, **more}, JSON)
    raw = problem(status, body)
    return Response(raw, status, {**headers, **more}, "application/problem+json")
