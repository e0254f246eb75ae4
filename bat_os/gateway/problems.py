"""What goes wrong, as HTTP says it: a status for every code, and RFC 9457's problem as the body.

    RemoteError(code, message, ...)  >  422 application/problem+json

Values are JSON here: bytes as ``{"$bytes": base64}``, no NaN, and on demand no number that a
browser would round.
"""

from __future__ import annotations

import base64
import json
import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.protocol import error_body
from bat_os.errors import BatError, HttpError, RemoteError

if TYPE_CHECKING:
    from collections.abc import Mapping

STATUS: Final[Mapping[str, int]] = MappingProxyType(
    {
        code: status
        for status, codes in {
            400: "BAD_FRAME BAD_VERSION",
            401: "UNAUTHORIZED",
            403: "NOT_GRANTED",
            404: "NOT_FOUND NOT_UNDERSTOOD UNKNOWN_TYPE",
            409: "CONFLICT CANCELLED APPROVAL_WANTED GRANT_WANTED EFFECT_WANTED EFFECT_UNKNOWN",
            413: "TOO_LARGE",
            422: "INVALID_ARGS NOT_SERIALIZABLE KEY_REUSED AUDIT_REJECTED SANDBOX_FAILED "
            "EXAMPLE_WANTED",
            429: "BUSY",
            502: "SERVER_FAILED LIMIT_EXCEEDED",
            500: "DAMAGED INTERNAL",
            503: "MODEL_UNAVAILABLE MODEL_OOM WORLD_UNAVAILABLE SHUTTING_DOWN UNREACHABLE "
            "STORAGE_ERROR FENCED",
            504: "DEADLINE",
            507: "STORAGE_FULL",
        }.items()
        for code in codes.split()
    }
)
_BIG: Final = 1 << 53  # from here on JavaScript rounds integers
JSON: Final = "application/json"


def describe(error: BatError) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Return status and headers for an error, and the body that the wire has for it."""
    status = error.status if isinstance(error, HttpError) else 0
    error = error.error if isinstance(error, HttpError) else error
    body = dict(error.body) if isinstance(error, RemoteError) else error_body(error)
    if "serial" in (body.get("details") or {}) and body["code"] == "CONFLICT":
        status = 412  # an ``if_serial`` that is out of date
    headers = {}
    if wait := body.get("retry_after_ms"):
        headers["retry-after"] = str(math.ceil(wait / 1000))
    if "needs" in (body.get("details") or {}) and body["code"] == "UNAUTHORIZED":
        status = 403  # the token is good, and its scope is too small
    status = status or status_of(body["code"])
    if status == 401:
        headers["www-authenticate"] = 'Bearer realm="batos"'
    return status, headers, body


def problem(status: int, body: Mapping[str, Any]) -> bytes:
    """Return RFC 9457's problem for the body of an error, with the wire's own members beside."""
    code = body["code"]
    about = {
        "type": f"/errors#{code}", "title": code.replace("_", " ").lower(), "status": status,
        "detail": body["message"],
    }  # fmt: skip
    return to_json(about | {key: value for key, value in body.items() if key != "message"})


def openai_error(status: int, body: Mapping[str, Any]) -> bytes:
    """Return the error that clients of OpenAI's interface read."""
    kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
    kind = kinds.get(status, "invalid_request_error" if status < 500 else "server_error")
    about = {"message": body["message"], "type": kind, "param": None, "code": body["code"]}
    return to_json({"error": about})


def status_of(code: str) -> int:
    """Return the HTTP status for a code of the wire; 500 for one that is not known."""
    return STATUS.get(code, 500)


def to_json(value: Any, *, big_as_text: bool = False) -> bytes:
    """Return plain data as JSON that every reader takes.

    >>> to_json({"a": b"x", "n": float("nan")})
    b'{"a":{"$bytes":"eA=="},"n":"NaN"}'
    >>> to_json(2**60, big_as_text=True)
    b'"1152921504606846976"'
    """
    if big_as_text:
        value = _spell(value, big=True)
    try:
        text = json.dumps(
            value, ensure_ascii=False, separators=(",", ":"), default=_bytes, allow_nan=False
        )
    except ValueError:  # NaN or infinity, which no browser reads
        spelt = _spell(value, big=big_as_text)
        text = json.dumps(spelt, ensure_ascii=False, separators=(",", ":"), default=_bytes)
    return text.encode("utf-8", "replace")


def _bytes(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode("ascii")}
    return str(value)


def _spell(value: Any, *, big: bool) -> Any:
    """Return data in which no float is other than finite, and big integers are texts."""
    if isinstance(value, dict):
        return {key: _spell(each, big=big) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_spell(each, big=big) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if big and type(value) is int and abs(value) >= _BIG:
        return str(value)
    return value


def read_bytes(value: Any) -> Any:
    """Return data from JSON, with every ``{"$bytes": base64}`` as bytes.

    Raises:
        ValueError: It is not base64.
    """
    if isinstance(value, dict):
        if value.keys() == {"$bytes"} and isinstance(value["$bytes"], str):
            return base64.b64decode(value["$bytes"], validate=True)
        return {key: read_bytes(each) for key, each in value.items()}
    return [read_bytes(each) for each in value] if isinstance(value, list) else value
