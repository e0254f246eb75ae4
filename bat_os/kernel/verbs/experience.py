"""What missions went through, for people and for whoever trains on it."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import ArgumentsError
from bat_os.image.history import experience

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bat_os.core.protocol import Request
    from bat_os.kernel.context import KernelContext

    Say = Callable[[Mapping[str, Any]], None]

MAX_LISTED: Final = 200


async def list_experience(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return records of missions, the oldest first: ``{"experience": [...], "after": id}``.

    ``body.after`` goes on behind a mission, ``body.limit`` says how many records at most; a page
    of long ones may have fewer. ``after`` of the answer is "" once nothing is left.

    Raises:
        ArgumentsError: They are no id and no such number.
    """
    after, limit = request.body.get("after", ""), request.body.get("limit", 50)
    if type(after) is not str or len(after) > MAX_LISTED:
        raise ArgumentsError("after is not the id of a mission")
    if type(limit) is not int or not 1 <= limit <= MAX_LISTED:
        raise ArgumentsError(f"limit is not a number from 1 to {MAX_LISTED}")
    waiting = mind.image.uses.waiting()
    told, last = await mind.image.transact(
        lambda root: experience.page(root, after, limit, waiting), note="read experience"
    )
    return {"experience": told, "after": last}


VERBS: Final[Mapping[str, Callable[[KernelContext, Request, Say], Awaitable[dict[str, Any]]]]] = (
    MappingProxyType({"experience": list_experience})
)
