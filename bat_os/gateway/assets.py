"""The files of the page: a fixed table of them, their kinds, and what a browser may keep.

    GET /            index.html
    GET /page/PATH   a module, a library, a style, a text or an image; any other path is not there

A browser asks each time and mostly gets 304, so that an upgrade shows at once. Text is compressed
for those who take it.
"""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from bat_os.core.digest import digest
from bat_os.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

PAGE: Final = Path(__file__).parent / "page"
KINDS: Final[Mapping[str, str]] = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
}  # fmt: skip
SMALL: Final = 800  # bytes that are not worth compressing


class Assets:
    """The files of the page, each read and compressed when it is first asked for.

    Attributes:
        files: Their paths by name, as in ``vendor/force.js``.
    """

    def __init__(self, folder: Path = PAGE) -> None:
        found = [path for path in sorted(folder.rglob("*")) if path.suffix in KINDS]
        self.files: dict[str, Path] = {path.relative_to(folder).as_posix(): path for path in found}
        self._read: dict[str, tuple[int, str, bytes, bytes]] = {}

    async def page(self, request: Request) -> Response:
        """Return the page."""
        return await self._answer(request, "index.html")

    async def asset(self, request: Request) -> Response:
        """Return a file of the page."""
        return await self._answer(request, request.path_params["name"])

    async def _answer(self, request: Request, name: str) -> Response:
        path = self.files.get(name)
        if path is None:
            raise NotFoundError(f"no file {name[:60]!r}")
        tag, raw, small = await asyncio.to_thread(self._load, name, path)
        headers = {"etag": tag, "cache-control": "no-cache", "vary": "accept-encoding"}
        if tag in request.headers.get("if-none-match", ""):
            return Response(None, 304, headers)
        if small and "gzip" in request.headers.get("accept-encoding", ""):
            raw, headers = small, headers | {"content-encoding": "gzip"}
        return Response(raw, headers=headers, media_type=KINDS[path.suffix])

    def _load(self, name: str, path: Path) -> tuple[str, bytes, bytes]:
        """Return a file's tag, its bytes, and those compressed; b"" where that gains nothing."""
        changed = path.stat().st_mtime_ns
        kept = self._read.get(name)
        if kept is None or kept[0] != changed:
            raw = path.read_bytes()
            small = gzip.compress(raw, 9, mtime=0) if len(raw) > SMALL else b""
            kept = self._read[name] = changed, f'"{digest(raw)[:16]}"', raw, small
        return kept[1:]
