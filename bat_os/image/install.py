"""Put a method into an object: a new version, and its entry in the catalog.

Works on the root inside ``ImageStore.transact``, so the caller decides what else happens
in the same transaction: the mission's COMPLETE, its answer, the effects of the first call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bat_os.core.source.names import is_pure
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
    """Make ``skill`` the current version of its selector in ``target``; return its number."""
    method = target.slots.get(skill.selector)
    if not isinstance(method, Method):
        method = Method(skill.selector)
        target.set_slot(skill.selector, method)
    version = method.add_version(skill.source, skill.status, skill.provenance)
    if skill.vector is not None:
        doc_id = f"method:{ref_of(target).oid}:{skill.selector}"
        catalog = root["knowledge_catalog"]
        if doc_id in catalog:
            catalog.remove(doc_id)
        title = f"{target.name or 'object'}.{skill.selector}"
        meta = {
            "object": target.name,
            "selector": skill.selector,
            "source": skill.source,
            "kinds": None if skill.kinds is None else list(skill.kinds),
            "pure": is_pure(skill.source, skill.selector),
        }
        catalog.add(doc_id, title, [skill.summary], skill.vector, kind="method", meta=meta)
    return version.number
