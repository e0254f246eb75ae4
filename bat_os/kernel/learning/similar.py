"""Known functions that are near a wish: to be shown to the writer, and to be candidates themselves.

A function of the seed library, or one that was learned, serves under the new name where its
parameters fit. How near its own wish is decides what it counts for (``Similar.weight``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import goal, parameters
from bat_os.core.mission import PassagesFound
from bat_os.image.objects import Method
from bat_os.kernel.snapshot import find
from bat_os.method.adapt import Form, adapt
from bat_os.sentence.sameness import weigh_known

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from bat_os.core.brief import Brief
    from bat_os.image.missions import Record
    from bat_os.kernel.context import KernelContext

ADAPTED: Final = 3
STEWARD: Final = "ALFRED"  # who speaks for what no model wrote


@dataclass(frozen=True, slots=True)
class Similar:
    """A known function.

    Attributes:
        doc_id: Its document in the knowledge catalog.
        wish: What it was written for.
        selector: Its name.
        source: Of the function alone, with its imports.
        pure: It uses nothing of its object; only such ones are shown to a writer.
        likeness: Cosine of the two wishes.
    """

    doc_id: str
    wish: str
    selector: str
    source: str
    pure: bool
    likeness: float


async def find_similar(mind: KernelContext, record: Record) -> list[Similar]:
    """Return the functions among the passages found, the nearest wish first.

    Raises:
        ModelError: The embedding model cannot be had.
    """
    found = record.mission.last(PassagesFound).passages
    known = [passage for passage in found if passage["kind"] in ("method", "seed")]
    return await read_functions(mind, goal(record.mission.brief), known)


async def read_functions(
    mind: KernelContext, wish: str, known: Sequence[Mapping[str, Any]]
) -> list[Similar]:
    """Return the functions in passages of the kinds ``method`` and ``seed``, the nearest first.

    Raises:
        ModelError: The embedding model cannot be had.
    """
    if not known:
        return []
    metas = await mind.image.transact(
        lambda root: [root["knowledge_catalog"].meta(p["doc_id"]) for p in known],
        note="read similar methods",
    )
    wishes = [passage["text"].partition("\n")[0] for passage in known]
    vectors = await mind.catalog.embed([wish, *wishes])
    similar = [
        Similar(passage["doc_id"], own, meta["selector"], meta["source"].rstrip(),
                bool(meta.get("pure")), round(float(vectors[0] @ vector), 4))
        for passage, own, meta, vector in zip(known, wishes, metas, vectors[1:], strict=True)
        if len(meta["source"]) <= mind.profile.limits.shot_chars
    ]  # fmt: skip
    nearest: dict[str, Similar] = {}
    for one in sorted(similar, key=lambda one: -one.likeness):
        nearest.setdefault(one.doc_id, one)  # a seed may come up by several of its wishes
    return [*nearest.values()]


async def adapt_to(
    mind: KernelContext, brief: Brief, similar: Sequence[Similar]
) -> list[dict[str, Any]]:
    """Return the nearest functions that fit as drafts; no model wrote them."""
    form = await form_of(mind, brief)
    drafts: list[dict[str, Any]] = []
    for one in similar:
        weight = weigh_known(one.likeness, form.wish, one.wish)
        text = adapt(one.source, one.selector, form) if weight is not None else ""
        if text and len(drafts) < ADAPTED:
            drafts.append(as_draft(one, text, weight))
    return drafts


async def form_of(mind: KernelContext, brief: Brief) -> Form:
    """Return what a method for this brief is to look like."""

    def work(root: MutableMapping[str, Any]) -> list[str]:
        slots = find(root, brief.target).slots
        return [name for name, value in slots.items() if not isinstance(value, Method)]

    slots = await mind.image.transact(work, note="look at the target")
    return Form(brief.selector, (*parameters(brief), *brief.kwargs), goal(brief), slots)


def as_draft(one: Similar, source: str, weight: float | None) -> dict[str, Any]:
    """Return a known function in its new form as a candidate."""
    draft = {"source": source, "text": "", "finished": True, "temperature": 0.0, "seed": 0}
    told = {"prompt": "", "persona": STEWARD, "model": "", "digest": "", "adapter": ""}
    return draft | told | {"from": one.doc_id, "weight": weight or 0.0}
