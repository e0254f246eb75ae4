"""A fresh brief for what is understood already: which version would a new one replace?

The new one has to be another text, and to reproduce every example that was kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from bat_os.image.history import marks
from bat_os.image.objects import Method
from bat_os.kernel.snapshot import find

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.core.brief import Brief
    from bat_os.kernel.context import KernelContext


class Replaced(NamedTuple):
    """The version that is to be replaced: number, 0 for none, and source."""

    number: int = 0
    source: str = ""


def find_replaced(root: Mapping[str, Any], brief: Brief) -> Replaced:
    """Return what a brief is to replace; nothing unless it is fresh.

    Only a learned method of the receiver's own is replaced: a fresh brief for what is
    inherited, built in or a slot is answered as any other.

    Raises:
        NotFoundError: No such target.
        ArgumentsError: The method is pinned.
    """
    method = find(root, brief.target).slots.get(brief.selector) if brief.fresh else None
    if not isinstance(method, Method) or method.current < 0:
        return Replaced()
    marks.refuse_pinned(root, method)
    return Replaced(method.version.number, method.version.source)


async def replaced_by(mind: KernelContext, brief: Brief) -> Replaced:
    """Return ``find_replaced`` of the image as it is."""
    return await mind.image.transact(lambda root: find_replaced(root, brief), note="read a version")
