"""The Curator: which of its own methods the mind may learn from, as a view over its experience.

    image > what is known of each method > wishes as vectors > a few calls where wishes are alike
                                         > ``method.golden``: grade, one of each, clusters, split

Nothing of the view is kept: it is computed when it is asked for, and what is unlearned, tainted or
at fault by then is not in it. The image is read in one short transaction; the rest runs outside.
"""

from __future__ import annotations

import asyncio
import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bat_os.core.choosing import meaning
from bat_os.core.digest import digest
from bat_os.core.syntax import parse_literal
from bat_os.core.values import Ref
from bat_os.errors import CellError, NotFoundError, ProtocolError
from bat_os.image.history import golden as facts
from bat_os.image.history.moments import survey
from bat_os.method import golden
from bat_os.method.plausibility import perturb
from bat_os.method.text import is_pure
from bat_os.ports import Call, ObjectView

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bat_os.core.protocol import Request
    from bat_os.kernel.context import Handler, KernelContext, Say
    from bat_os.ports import Nested, NestedReply

MAX_PROBED: Final = 200  # methods that are called to see whether they are the same
SECONDS: Final = 0.5  # for one of those calls
_NAMED: Final = ("object", "selector", "version")
_NOBODY: Final = ObjectView(Ref("0" * 16), {})


async def curate(mind: KernelContext) -> list[dict[str, Any]]:
    """Return a record per learned method, graded; the oldest mission first.

    docs/self-improvement.md has the form. What may not be learned from has the grade ``none``,
    and says why.
    """
    rows = await survey(mind.image, facts.read_known, note="look for golden examples")
    if not rows:
        return []
    all_known = [row["known"] for row in rows]
    alike = alike_wishes(await mind.catalog.embed([row["wish"] or row["call"] for row in rows]))
    answers = await _probe(mind, rows, alike)

    def write() -> list[dict[str, Any]]:
        placed = golden.arrange(all_known, lambda a, b: bool(alike[a, b]), answers)
        records = [facts.write_record(*pair) for pair in zip(rows, placed, strict=True)]
        for record, place in zip(records, placed, strict=True):
            if place.twin >= 0:
                lineage = rows[place.twin]["lineage"]
                record["same_as"] = {key: lineage[key] for key in _NAMED}
            text = json.dumps(record, sort_keys=True, ensure_ascii=False)
            record["digest"] = digest(text)
        return sorted(records, key=_key)

    return await asyncio.to_thread(write)


def _key(record: Mapping[str, Any]) -> str:
    lineage = record["lineage"]
    return f"{lineage['mission']} {lineage['object']} {lineage['selector']}"


def alike_wishes(
    vectors: NDArray[np.float32], others: NDArray[np.float32] | None = None
) -> NDArray[np.bool_]:
    """Return for each wish and each other one (default: the same) whether they are much alike."""
    rows = _unit(vectors)
    return np.asarray(rows @ (rows if others is None else _unit(others)).T >= golden.LIKE)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths == 0, 1, lengths))


async def _probe(
    mind: KernelContext, rows: Sequence[Mapping[str, Any]], alike: NDArray[np.bool_]
) -> dict[int, str]:
    """Return, by place, a key of what a method answers to a few calls.

    Only where another wish is much alike, of methods that use nothing but their arguments. All
    get the calls of the first that is like them.
    """
    answers: dict[int, str] = {}
    able = [at for at, row in enumerate(rows) if row["cases"] and _is_free(row)]
    for at in able[:MAX_PROBED]:
        others = [other for other in able if alike[at, other]]
        if len(others) > 1:
            given = parse_literal(f"[{rows[others[0]]['cases'][0]['args']}]")
            answers[at] = await _answer(mind, rows[at]["known"], given)
    return {at: key for at, key in answers.items() if key}


def _is_free(row: Mapping[str, Any]) -> bool:
    return is_pure(row["known"].source, row["known"].selector)


async def _answer(mind: KernelContext, known: golden.Known, given: Sequence[Any]) -> str:
    """Return a key of the answers to ``given`` and to calls near it; "" if it fails on one."""
    found = []
    for args in [tuple(given), *perturb(given)]:
        call = Call(known.source, known.selector, _NOBODY, args, seed=1, deadline=SECONDS)
        try:
            result = await mind.cell.run(call, _refuse)
        except (CellError, ProtocolError) as error:
            found.append(error.code)
        else:
            found.append(meaning(result.value))
    return digest("\n".join(found))


async def _refuse(nested: Nested) -> NestedReply:
    raise NotFoundError(f"a method that is compared cannot reach {nested.target}")


async def list_golden(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return a page of records of ``body.grade``, or of gold and silver.

    ``after`` is "" once nothing is left; ``counts`` and ``digest`` are of the whole view.
    """
    records = await curate(mind)
    body = request.body
    wanted = facts.by_grade(records, body["grade"])
    left = [record for record in wanted if _key(record) > body["after"]]
    page = left[: body["limit"]]
    return {
        "golden": page,
        "after": _key(page[-1]) if len(left) > len(page) else "",
        "counts": golden.count_grades(records),
        "digest": golden.digest_of(facts.by_grade(records, golden.GOLD)),
    }


VERBS: Final[Mapping[str, Handler]] = MappingProxyType({"golden": list_golden})
