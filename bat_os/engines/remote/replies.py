"""What a model server answers, checked: bytes in, pieces of text out.

A server is foreign: its reply may be endless, malformed or not what was asked for. Sizes
are capped, every field is checked, and what cannot be read is a ``ModelOutputError``.

    bytes -> lines (capped) -> JSON (checked) -> Piece
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import ModelError, ModelOutputError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

MAX_COUNT: Final = 10**9
MAX_TOLD: Final = 200  # characters of a server's own words in a message
_DONE: Final = b"[DONE]"


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a reply.

    Attributes:
        index: Which of the answers to one prompt; -1 is none of them.
        text: New text.
        reason: Why it ended (``stop``, ``length``, ...), or "" while it goes on.
        drawn: Tokens of the answer so far, when the server says it.
        read: Tokens of the prompt, when it says it.
        reused: Those of them that it had in its cache.
        counted: Tokens of all answers together, when it says it.
    """

    index: int
    text: str = ""
    reason: str = ""
    drawn: int | None = None
    read: int | None = None
    reused: int | None = None
    counted: int | None = None


class Echo:
    """Drops ``prefill`` from the start of an answer that repeats it."""

    def __init__(self, prefill: str) -> None:
        self._prefill = prefill
        self._held = ""
        self._open = bool(prefill)

    def pass_on(self, text: str) -> str:
        """Return what of the text so far is certainly no echo and was not returned yet."""
        if not self._open:
            return text
        self._held += text
        if self._prefill.startswith(self._held) and self._held != self._prefill:
            return ""
        return self.rest().removeprefix(self._prefill)

    def rest(self) -> str:
        """Return what is held back still; the answer is over, or no echo."""
        held, self._held, self._open = self._held, "", False
        return held


async def read_body(chunks: AsyncIterator[bytes], most: int) -> bytes:
    """Return a whole body.

    Raises:
        ModelOutputError: It has more than ``most`` bytes.
    """
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > most:
            raise ModelOutputError(f"the model server sent more than {most} bytes")
    return bytes(body)


async def read_events(
    chunks: AsyncIterator[bytes], most: int, scrub: Callable[[bytes], bytes]
) -> AsyncIterator[list[Piece]]:
    """Yield the pieces of each event of a stream, up to the end mark or the end.

    Args:
        chunks: The stream.
        most: Bytes that it may have.
        scrub: Takes the key out of a line.

    Raises:
        ModelOutputError: More than ``most`` bytes, or an event that cannot be read.
        ModelError: The server reports an error.
    """
    left, total = b"", 0
    async for chunk in chunks:
        total += len(chunk)
        if total > most:
            raise ModelOutputError(f"the model server sent more than {most} bytes")
        *lines, left = (left + chunk).split(b"\n")
        for line in lines:
            name, _, value = line.strip().partition(b":")
            if name not in {b"data", b"error"}:
                continue
            if value.strip() == _DONE:
                return
            yield read_pieces(parse(scrub(value)))


def parse(body: bytes) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        ModelOutputError: It is none.
    """
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ModelOutputError(f"the model server sent no JSON: {told(repr(body))}") from error
    if type(data) is not dict:
        raise ModelOutputError("the model server sent JSON that is no object")
    return data


def read_pieces(data: dict[str, Any]) -> list[Piece]:
    """Return the parts of an event, or of a whole reply.

    Raises:
        ModelOutputError: A field is missing or of another type.
        ModelError: The server reports an error.
    """
    if "error" in data or ("message" in data and "choices" not in data):
        raise ModelError(f"the model server failed: {error_text(data)}; ask again")
    choices = data.get("choices", [])
    if type(choices) is not list:
        raise ModelOutputError("the model server's choices are no list")
    timings, progress = _object(data, "timings"), _object(data, "prompt_progress")
    drawn = _count(timings, "predicted_n")
    pieces = [
        Piece(*_read_choice(choice), drawn, _count(progress, "total"), _count(progress, "cache"))
        for choice in choices
    ]
    usage = _object(data, "usage")
    if usage:
        reused = _count(_object(usage, "prompt_tokens_details"), "cached_tokens")
        read, counted = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
        pieces.append(Piece(-1, read=read, reused=reused, counted=counted))
    return pieces


def _read_choice(choice: Any) -> tuple[int, str, str]:
    """Return index, new text and reason."""
    if type(choice) is not dict:
        raise ModelOutputError("the model server sent a choice that is no object")
    index = _count(choice, "index") or 0
    inner = _object(choice, "delta") or _object(choice, "message") or choice
    text = inner.get("content", inner.get("text"))
    reason = choice.get("finish_reason")
    if not isinstance(text, str | None) or not isinstance(reason, str | None):
        raise ModelOutputError("the model server sent an answer that is no text")
    # JSON can escape half of a surrogate pair, which no file and no frame can carry.
    return index, (text or "").encode(errors="replace").decode(), reason or ""


def error_text(data: dict[str, Any]) -> str:
    """Return a server's words on what is wrong, short and printable."""
    error = data.get("error", data)
    text = error.get("message", error) if type(error) is dict else error
    return told(text if isinstance(text, str) else json.dumps(text))


def told(text: str) -> str:
    """Return foreign text so that it can stand in a message."""
    return "".join(c if c.isprintable() else " " for c in text[:MAX_TOLD]).strip()


def _object(data: dict[str, Any], name: str) -> dict[str, Any]:
    value = data.get(name)
    if value is None:
        return {}
    if type(value) is not dict:
        raise ModelOutputError(f"the model server's {name} is no object")
    return value


def _count(data: dict[str, Any], name: str) -> int | None:
    value = data.get(name)
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        raise ModelOutputError(f"the model server's {name} is no count")
    return value
