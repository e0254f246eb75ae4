"""Prototypal awakening: the root objects of a new image, made in one transaction.

    traits_obj <- everything; genesis_obj is where a message goes that names no object

Models and the codex follow later, each resumably; an image is a living one from here on.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from BTrees.OOBTree import OOBTree
from persistent.mapping import PersistentMapping

from bat_os.core.personas import PERSONAS
from bat_os.errors import DamagedError
from bat_os.image.catalog import ROOT_NAME as CATALOG
from bat_os.image.catalog import catalog_in
from bat_os.image.migrations import FORMAT as FORMAT
from bat_os.image.migrations import migrate
from bat_os.image.missions import WHO, state_name
from bat_os.image.objects import Method, UvmObject

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping

    from bat_os.core.personas import Persona

_TREES: Final = ("objects", "missions", "keys", "unfinished", "models", "files_by_sha256")
_OLDEST: Final = ("objects", "missions", "keys", "unfinished", CATALOG)  # of every format


def awaken(
    root: MutableMapping[str, Any],
    *,
    image_id: str,
    created: float,
    personas: Mapping[str, Persona],
    primitives: Iterable[str],
) -> bool:
    """Make what is missing of the root; return True when the image was empty before.

    An image of an older format is migrated to the present one.

    Each of ``personas``, which are by name, becomes a prototype; ``primitives`` are the selectors
    of the trusted methods.

    Raises:
        DamagedError: The image has some of its root and not the rest.
        FormatError: This program does not read the image's format.
        StorageError: The image does not say which format it has.
    """
    is_root = isinstance(root, PersistentMapping | dict)
    there = [name for name in ("about", *_OLDEST) if is_root and name in root]
    if not is_root or 0 < len(there) <= len(_OLDEST):
        raise DamagedError("the root of the image is damaged; restore a backup (batos restore)")
    if there:
        migrate(root)
        traits = root["objects"].get("traits_obj")
        if not isinstance(traits, UvmObject):
            raise DamagedError("the image has lost traits_obj; restore a backup (batos restore)")
        _grant(traits, primitives)
        for state in _make_states(traits):  # an older program knew fewer
            if state.name not in root["objects"]:
                root["objects"][state.name] = state
        return False
    root["about"] = {"format": FORMAT, "id": image_id, "created": created}
    for name in _TREES:
        if name not in root:
            root[name] = OOBTree()
    catalog_in(root)
    for obj in _prototypes(personas, primitives):
        root["objects"][obj.name] = obj
    return True


@cache
def awakened_names() -> frozenset[str]:
    """Return the names of the objects that an awakening makes."""
    return frozenset(obj.name for obj in _prototypes(PERSONAS, ()))


def _prototypes(personas: Mapping[str, Persona], primitives: Iterable[str]) -> list[UvmObject]:
    traits = UvmObject("traits_obj")
    traits.set_slot("persona", "ALFRED")
    _grant(traits, primitives)
    model = UvmObject("pLLM_obj", (traits,))
    genesis = UvmObject("genesis_obj", (traits, model))
    orchestrator = UvmObject("orchestrator_obj", (traits,))
    catalog = UvmObject("knowledge_catalog_obj", (traits,))
    for obj, about in (
        (model, "persona language models; batos models lists what the image holds"),
        (genesis, "the first object; messages that name no other come here"),
        (orchestrator, "makes mission records and answers for them"),
        (catalog, "the fractal memory: documents, passages, learned methods"),
    ):
        obj.set_slot("about", about)
    prototypes = [traits, model, genesis, orchestrator, catalog, *_make_states(traits)]
    for persona in personas.values():
        obj = UvmObject(f"{persona.name.lower()}_obj", (model, traits))
        obj.set_slot("persona", persona.name)
        obj.set_slot("role", persona.role)
        prototypes.append(obj)
    return prototypes


def _grant(traits: UvmObject, primitives: Iterable[str]) -> None:
    for selector in primitives:
        if selector not in traits.slots:
            traits.set_slot(selector, Method(selector, primitive=selector))


def _make_states(traits: UvmObject) -> list[UvmObject]:
    """Return the prototypes, one for each state."""
    prototypes = []
    for state, (who, does) in WHO.items():
        prototype = UvmObject(state_name(state), (traits,))
        prototype.set_slot("state", str(state))
        prototype.set_slot("persona", who)
        prototype.set_slot("does", does)
        prototypes.append(prototype)
    return prototypes
