"""Is the image what was committed? ``verify`` looks, names what is damaged, sets it aside."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.image.files.verify import verify as verify_image
from bat_os.kernel import views

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bat_os.core.protocol import Request
    from bat_os.kernel.context import KernelContext

    Say = Callable[[Mapping[str, Any]], None]


async def verify(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return what was checked, what is damaged and what stands in the quarantine."""
    return await verify_image(mind.image, mind.catalog, lambda line: say(views.progress(line)))


VERBS: Final[Mapping[str, Callable[[KernelContext, Request, Say], Awaitable[dict[str, Any]]]]] = (
    MappingProxyType({"verify": verify})
)
