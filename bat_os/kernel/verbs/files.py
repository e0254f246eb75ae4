"""Verbs about the image as a whole, all while it serves: backup, archive, fork, pack, space.

Each needs the image and nothing else of a mind, so it can be done without a kernel too.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.moments import parse_when
from bat_os.errors import ArgumentsError
from bat_os.image.files import archive as tarball
from bat_os.image.files import fork as forks
from bat_os.image.files import pack as housekeeping
from bat_os.image.files.backup import back_up
from bat_os.image.files.storage import chronicle, path_of
from bat_os.image.history.moments import resolve
from bat_os.kernel.verbs import exchange, rehearsal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bat_os.core.protocol import Request
    from bat_os.image.store import ImageStore
    from bat_os.kernel.context import KernelContext

    Body = Mapping[str, Any]
    Say = Callable[[Mapping[str, Any]], None]
    Verb = Callable[[KernelContext, Request, Say], Awaitable[dict[str, Any]]]


async def backup(image: ImageStore, body: Body) -> dict[str, Any]:
    """Bring the backup in ``body.folder`` up to date; see ``back_up``."""
    full, copy = _flag(body, "full"), _flag(body, "copy")
    return await back_up(image, Path(_text(body, "folder")), full=full, copy=copy)


async def archive(image: ImageStore, body: Body) -> dict[str, Any]:
    """Write the image to ``body.file``, and ``body.reason`` into the chronicle."""
    target, reason = Path(_text(body, "file")), _text(body, "reason")
    return await tarball.archive(image, target, reason)


async def tell_chronicle(image: ImageStore, body: Body) -> dict[str, Any]:
    """Return ``{"chronicle": [...]}``: what was done to the image as a whole, oldest first."""
    return {"chronicle": await image.transact(chronicle, note="read the chronicle")}


async def fork(image: ImageStore, body: Body) -> dict[str, Any]:
    """Make the fork ``body.name``, of now or of the moment ``body.at``.

    Raises:
        ArgumentsError: The name or the moment cannot be used.
        NotFoundError: No such mission.
    """
    name, when = _text(body, "name"), body.get("at") or "now"
    if type(when) is not str:
        raise ArgumentsError("at is not a text")
    if when == "now":
        return await forks.fork(image, name)
    moment = parse_when(when, dt.datetime.now().astimezone())
    tid = await image.transact(lambda root: resolve(root, moment), note="find a moment")
    return await forks.fork(image, name, at=bytes.fromhex(tid))


async def list_forks(image: ImageStore, body: Body) -> dict[str, Any]:
    """Return ``{"forks": [...]}``: the forks of this image."""
    path = path_of(image.storage)
    return {"forks": await asyncio.to_thread(forks.list_forks, path)}


async def drop_fork(image: ImageStore, body: Body) -> dict[str, Any]:
    """Remove the fork ``body.name`` and all that it learned."""
    path = path_of(image.storage)
    return await asyncio.to_thread(forks.drop_fork, path, _text(body, "name"))


async def pack(image: ImageStore, body: Body) -> dict[str, Any]:
    """Forget what was superseded more than ``body.days`` ago.

    With ``body.policy`` (a map: auto, days, floor) nothing is packed now: it says when the
    kernel does it unasked.
    """
    if "policy" in body:
        return await housekeeping.set_policy(image, body["policy"])
    days = body.get("days", housekeeping.KEEP_DAYS)
    if type(days) not in (int, float):
        raise ArgumentsError("days is not a number")
    return await housekeeping.pack(image, days=days)


async def space(image: ImageStore, body: Body) -> dict[str, Any]:
    """Return what takes the room."""
    return await housekeeping.space(image)


def _text(body: Body, name: str) -> str:
    value = body.get(name)
    if type(value) is not str or not value:
        raise ArgumentsError(f"a body with {name}, a text, is needed")
    return value


def _flag(body: Body, name: str) -> bool:
    value = body.get(name, False)
    if type(value) is not bool:
        raise ArgumentsError(f"{name} is neither true nor false")
    return value


WORKS: Final[Mapping[str, Callable[[ImageStore, Body], Awaitable[dict[str, Any]]]]] = (
    MappingProxyType(
        {
            "archive": archive,
            "backup": backup,
            "chronicle": tell_chronicle,
            "fork": fork,
            "fork.drop": drop_fork,
            "forks": list_forks,
            "pack": pack,
            "space": space,
        }
    )
)


def _serve(work: Callable[[ImageStore, Body], Awaitable[dict[str, Any]]]) -> Verb:
    async def verb(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
        return await work(mind.image, request.body)

    return verb


VERBS: Final[Mapping[str, Verb]] = MappingProxyType(
    {
        **{name: _serve(work) for name, work in WORKS.items()},
        "export": exchange.give,
        "import": exchange.take,
        "rehearse": rehearsal.rehearse,
    }
)
