"""The verbs about what the mind learns from, and does, while nobody needs it."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.image.history import golden as facts
from bat_os.kernel.idle.curator import curate, key_of
from bat_os.method import golden

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.core.protocol import Request
    from bat_os.kernel.context import Handler, KernelContext, Say


async def list_golden(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return a page of records of ``body.grade``, or of gold and silver.

    ``after`` is "" once nothing is left; ``counts`` and ``digest`` are of the whole view.
    """
    records = await curate(mind)
    body = request.body
    wanted = facts.by_grade(records, body["grade"])
    left = [record for record in wanted if key_of(record) > body["after"]]
    page = left[: body["limit"]]
    return {
        "golden": page,
        "after": key_of(page[-1]) if len(left) > len(page) else "",
        "counts": golden.count_grades(records),
        "digest": golden.digest_of(facts.by_grade(records, golden.GOLD)),
    }


VERBS: Final[Mapping[str, Handler]] = MappingProxyType({"golden": list_golden})
