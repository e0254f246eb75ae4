"""Examples stay with the method: what earlier versions reproduced, a new one has to reproduce."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bat_os.image.objects import Method

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bat_os.image.objects import UvmObject


def kept_examples(target: UvmObject, selector: str) -> tuple[Mapping[str, Any], ...]:
    """Return the examples that the versions of a method came with, oldest first.

    A new version has to reproduce them too, also where the method was unlearned meanwhile.
    """
    method = target.slots.get(selector)
    if not isinstance(method, Method):
        return ()
    told = [version.provenance for version in method.versions]
    return merge_examples(*(one.get("examples", ()) for one in (*told, *method.approvals.values())))


def merge_examples(*lots: Iterable[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """Return all examples, each once; of two for the same arguments, the first counts."""
    found: dict[str, Mapping[str, Any]] = {}
    for example in (one for lot in lots for one in lot):
        found.setdefault(repr((example["args"], example["kwargs"])), example)
    return tuple(found.values())
