"""``POST /uploads?name=NAME``: the bytes of a document, which become passages of the catalog.

    bytes, counted by the guard > extracted by a confined child > the verb ``learn``, in parts

Nothing is written to a file, and no path or address of the caller's is opened. One upload is read
at a time: it may take as much memory as all the rest.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from starlette.requests import ClientDisconnect

from bat_os.core.verbs import SCOPE_OF
from bat_os.errors import ArgumentsError, BusyError, FrameError, HttpError
from bat_os.gateway.requests import demand, identity_of, key_of, reply

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from bat_os.gateway.link import KernelLink

KIND: Final = "application/octet-stream"  # no form of another site can say so
MAX_NAME: Final = 200
MAX_PART: Final = 600_000  # bytes of one document: a message to the kernel has at most a megabyte


class Uploads:
    """The route of documents."""

    def __init__(self, link: KernelLink) -> None:
        self._link = link
        self._reading = asyncio.Lock()

    async def take(self, request: Request) -> Response:
        """Store a document: text, Markdown, HTML, PDF or source, as its name ends."""
        caller = demand(request, SCOPE_OF["learn"])
        name = request.query_params.get("name", "")
        if not 0 < len(name) <= MAX_NAME or not name.isprintable() or {"/", "\\"} & set(name):
            raise ArgumentsError(f"?name= is that of a file, of at most {MAX_NAME} characters")
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != KIND:
            raise HttpError(415, ArgumentsError(f"send content-type: {KIND}"))
        if self._reading.locked():
            raise BusyError("another document is being read; wait a moment", 1000)
        async with self._reading:
            from bat_os.documents.readers import read_bytes  # few send documents

            try:
                data = await request.body()
            except ClientDisconnect:
                raise HttpError(400, FrameError("the body was not sent")) from None
            found = await asyncio.to_thread(read_bytes, data, name)
            source = f"upload:{caller.name}/{name}"  # two callers may have files of one name
            who, key = identity_of(request), key_of(request)
            kept, parts = [], cut(found.text, MAX_PART)
            for number, text in enumerate(parts, 1):
                more = "" if len(parts) == 1 else f" ({number} of {len(parts)})"
                body = {"title": f"{found.title}{more}", "text": text, "meta": dict(found.meta),
                        "source": f"{source}{more}"}  # fmt: skip
                asked = who | ({"ik": f"{key}{more}"} if key else {})
                kept.append(await self._link.request("learn", body=body, **asked))
        whole = {
            "title": found.title, "doc_id": kept[0]["doc_id"],
            "doc_ids": [part["doc_id"] for part in kept],
            "passages": sum(part["passages"] for part in kept),
            "changed": any(part["changed"] for part in kept),
        }  # fmt: skip
        return reply(request, whole)


def cut(text: str, most: int) -> list[str]:
    """Return a text in parts of at most ``most`` bytes, cut between lines or words if possible.

    >>> cut("one two three", 8)
    ['one two ', 'three']
    """
    data, parts, start = text.encode("utf-8", "replace"), [], 0
    while len(data) - start > most:
        end = start + most
        for mark in (b"\n\n", b"\n", b" "):
            if (found := data.rfind(mark, start + most // 2, end)) >= 0:
                end = found + len(mark)
                break
        while end > start + 1 and data[end] & 0xC0 == 0x80:  # not within a character
            end -= 1
        parts.append(data[start:end].decode())
        start = end
    return [*parts, data[start:].decode()]
