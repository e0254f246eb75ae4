"""``POST /uploads?name=NAME``: the bytes of a document, which become passages of the catalog.

    bytes, counted by the guard > extracted by a confined child > the verb ``learn``

Nothing is written to a file, and no path or address of the caller's is opened. One upload is read
at a time: it may take as much memory as all the rest.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from starlette.requests import ClientDisconnect

from bat_os.core.permissions import SCOPE_OF
from bat_os.errors import ArgumentsError, BusyError, FrameError, HttpError
from bat_os.gateway.requests import demand, identity_of, key_of, reply

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from bat_os.gateway.link import KernelLink

KIND: Final = "application/octet-stream"  # no form of another site can say so
MAX_NAME: Final = 200


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
            # Two callers may have files of one name.
            body = {"title": found.title, "text": found.text, "meta": dict(found.meta),
                    "source": f"upload:{caller.name}/{name}"}  # fmt: skip
            who = identity_of(request) | ({"ik": key} if (key := key_of(request)) else {})
            kept = await self._link.request("learn", body=body, **who)
        return reply(request, {"title": found.title, **kept})
