"""Is there a skill for the wish already, under another name? Then it answers, and none is written.

Meaning alone is not enough to decide: "celsius to fahrenheit" and "fahrenheit to celsius" lie
close together. So nothing may set the words of the two wishes apart
(``bat_os.sentence.sameness``), and the arguments have to be of the same kinds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import goal, kinds
from bat_os.kernel.snapshot import find
from bat_os.sentence.sameness import REUSE, is_same_request

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from bat_os.core.brief import Brief
    from bat_os.image.catalog import Passage
    from bat_os.kernel.context import KernelContext

NEAREST: Final = 3


@dataclass(frozen=True, slots=True)
class Known:
    """A learned method that serves the wish."""

    holder: str  # name of the object that has it
    selector: str  # its message
    wish: str  # what it was learned for
    similarity: float  # of the two wishes, a cosine


async def find_known(context: KernelContext, brief: Brief) -> Known | None:
    """Return the learned method that serves the wish of ``brief``, or None."""
    wish = goal(brief)
    hits = await context.catalog.search((wish,), top_k=NEAREST, kind="method")
    if not hits:
        return None
    wishes = [hit.wish for hit in hits]
    vectors = await context.catalog.embed([wish, *wishes])
    values = len(brief.args) + len(brief.kwargs)
    likeness = [float(vectors[0] @ vector) for vector in vectors[1:]]
    likely = [
        (similarity, hit)
        for similarity, hit, known in sorted(
            zip(likeness, hits, wishes, strict=True), key=lambda one: -one[0]
        )
        if similarity >= REUSE and is_same_request(wish, known, values=values)
    ]
    return await context.image.transact(
        lambda root: _first_that_fits(root, brief, likely), note="look for a known skill"
    )


def _first_that_fits(
    root: MutableMapping[str, Any], brief: Brief, likely: Sequence[tuple[float, Passage]]
) -> Known | None:
    target = find(root, brief.target)
    for similarity, hit in likely:
        meta: dict[str, Any] = root["knowledge_catalog"].meta(hit.doc_id)
        holder, selector = meta.get("object", ""), meta.get("selector", "")
        found = root["objects"].get(holder)
        if found is None or found.lookup(selector) is None or meta.get("kinds") != kinds(brief):
            continue
        reached = target.lookup(selector)
        if meta.get("pure") or (reached is not None and reached == found.lookup(selector)):
            return Known(holder, selector, hit.wish, round(similarity, 4))
    return None
