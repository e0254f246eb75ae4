"""Put a method into an object: a new version, and its entry in the catalog.

Works on the root inside ``ImageStore.transact``, so the caller decides what else happens
in the same transaction: the mission's COMPLETE, its answer, the effects of the first call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bat_os.image.history import citations, entries, marks
from bat_os.image.objects import Method, ref_of

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from bat_os.image.objects import UvmObject


@dataclass(frozen=True, slots=True)
class Skill:
    """A method to install.

    Attributes:
        selector: Its message.
        source: Audited module text.
        status: ``verified``, ``provisional`` or ``taught``.
        provenance: Where it comes from; plain data.
        summary: What it is found by: wish, signature, docstring.
        vector: Embedding of ``summary``, float32 ``(1, d)``, or None where no embedder is.
        kinds: Of the arguments that it was made for (``bat_os.core.brief.kinds``), or None.
    """

    selector: str
    source: str
    status: str
    provenance: Mapping[str, Any]
    summary: str
    vector: NDArray[np.float32] | None = None
    kinds: Sequence[str] | None = None


def install(root: MutableMapping[str, Any], target: UvmObject, skill: Skill) -> int:
    """Make ``skill`` the current version of its selector in ``target``; return its number.

    Raises:
        ArgumentsError: The method is pinned to another version.
    """
    method = target.slots.get(skill.selector)
    if not isinstance(method, Method):
        method = Method(skill.selector)
        target.set_slot(skill.selector, method)
    marks.refuse_pinned(root, method)
    version = method.add_version(skill.source, skill.status, skill.provenance)
    citations.note(root, method, version)
    if skill.vector is not None:
        listed = dict.fromkeys([*entries.remove_entries(root, method), ref_of(target).oid])
        kinds = None if skill.kinds is None else tuple(skill.kinds)
        found_by = entries.Summary(skill.summary, kinds), skill.vector
        entries.put_entries(root, method, listed, found_by)
    return version.number
