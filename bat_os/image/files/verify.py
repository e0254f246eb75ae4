"""``verify``: look at everything, name what is damaged, and set it aside.

    a method    its version is taken out of use; a message finds nothing and may learn anew
    a mission   is not run any more
    a document  is found no more; what is left of it is kept in the quarantine
    a file      takes down the models that need it, and no other
    a record    is named; where it is part of something needed, restore a backup

What is set aside stands in ``root["quarantine"]``, until it is whole again.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from BTrees.OOBTree import OOBTree

from bat_os.core.values import Counted
from bat_os.image import missions
from bat_os.image.catalog import catalog_in
from bat_os.image.files import checksums as look
from bat_os.image.knowledge.document import Document
from bat_os.image.objects import Method, UvmObject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping, Sequence

    from bat_os.image.catalog_service import CatalogService
    from bat_os.image.files.checksums import Damage
    from bat_os.image.store import ImageStore

    Root = MutableMapping[str, Any]

QUARANTINE: Final = "quarantine"
AT_ONCE: Final = 500
_ADVICE: Final = {
    "record": "restore a backup if something does not work: batos restore --help",
    "method": "ask for it again, and it is learned anew; or teach it",
    "mission": "ask again, with another key",
    "document": "learn it again: batos learn FILE",
    "index": "batos documents still lists all; learn one of them again to rebuild it",
    "file": "take the model in again: batos models add NAME SOURCE",
}


async def verify(
    image: ImageStore, catalog: CatalogService, say: Callable[[str], None]
) -> dict[str, Any]:
    """Compare all that is stored with its SHA-256, and quarantine what is damaged.

    Every step is a short transaction, and files are read outside of any, so the kernel goes
    on answering.

    Returns:
        ``checked``: kind -> how many; ``damaged``: maps with ``kind``, ``key``, ``what``,
        ``why``, ``advice``; ``quarantined``: what stands in the quarantine now.

    Raises:
        BatError: The image itself cannot be read.
    """
    checked: dict[str, int] = {}
    damaged: list[Damage] = []
    say("loading every object")
    checked["record"], found = await _walk(image, look.look_at_records, 0)
    if found:
        suspects = found
        found = await image.transact(lambda root: look.look_again(root, suspects), note="verify")
    damaged += found
    say("comparing briefs")
    checked["mission"], found = await _walk(image, look.look_at_missions, "")
    damaged += found
    checked["document"], found = await _look_at_catalog(catalog, say)
    damaged += found
    files = await image.transact(look.list_files, note="list stored files")
    checked["file"] = len(files)
    for number, file in enumerate(files, start=1):
        say(Counted(f"reading stored files: {number} of {len(files)}", number, len(files)))
        if bad := await asyncio.to_thread(look.damaged_file, *file):
            damaged.append(bad)
    set_aside = await _quarantine(image, damaged)
    listed = [one.to_plain() | {"advice": _ADVICE[one.kind]} for one in damaged]
    return {"checked": checked, "damaged": listed, "quarantined": set_aside}


async def _look_at_catalog(
    catalog: CatalogService, say: Callable[[str], None]
) -> tuple[int, list[Damage]]:
    try:
        told = await catalog.verify(say)
    except look.BROKEN as error:
        return 0, [look.Damage("index", "catalog", "index of the catalog", look.reason(error))]
    why = "its text is not what was learned"
    documents = [look.Damage("document", one, f"document {one}", why) for one in told["damaged"]]
    return told["documents"], documents + [
        look.Damage("index", one, f"index of {one}", "it is not what was written")
        for one in told["indexes"]
    ]


async def _walk(
    image: ImageStore, step: Callable[..., tuple[int, list[Damage], Any]], first: Any
) -> tuple[int, list[Damage]]:
    total, after = 0, first
    damaged: list[Damage] = []
    while after is not None:
        start = after

        def run(root: Root, start: Any = start) -> tuple[int, list[Damage], Any]:
            return step(root, start, AT_ONCE)

        count, found, after = await image.transact(run, note="verify")
        total += count
        damaged += found
    return total, damaged


async def _quarantine(image: ImageStore, damaged: Sequence[Damage]) -> list[dict[str, Any]]:
    now = time.time()

    def work(root: Root) -> list[dict[str, Any]]:
        known: Mapping[str, Any] = root.get(QUARANTINE, {})
        stale = [key for key, told in known.items() if _is_whole(key, told, damaged)]
        if (damaged or stale) and QUARANTINE not in root:
            root[QUARANTINE] = OOBTree()
        for key in stale:
            del root[QUARANTINE][key]
        for one in damaged:
            kept = _set_aside(root, one)
            key = f"{one.kind}:{one.key}"
            if key not in root[QUARANTINE]:
                root[QUARANTINE][key] = {**one.to_plain(), "at": now, "kept": kept}
        return [_listed(told) for told in root.get(QUARANTINE, {}).values()]

    note = f"quarantine {len(damaged)} damaged" if damaged else "look at the quarantine"
    return await image.transact(work, note=note)


def _is_whole(key: str, told: Mapping[str, Any], damaged: Sequence[Damage]) -> bool:
    """Return True for what is left where it was, and is not damaged any more."""
    found = {f"{one.kind}:{one.key}" for one in damaged}
    return told["kind"] in ("file", "index", "record") and key not in found


def _listed(told: Mapping[str, Any]) -> dict[str, Any]:
    return {key: told[key] for key in ("kind", "key", "what", "why", "at")}


def _set_aside(root: Root, one: Damage) -> Any:
    """Take what is damaged out of use; return what is to be kept of it."""
    if one.kind == "method":
        return _set_method_aside(root, *one.key.split(":"))
    if one.kind == "mission":
        missions.let_go(root, one.key)
    if one.kind == "document":
        catalog = catalog_in(root)
        kept = catalog.document(one.key)
        # Else a reference leads elsewhere, and it stays as it is.
        if isinstance(kept, Document) and catalog._starts.get(kept.first) is kept:
            catalog.remove(one.key)
            return kept
    return None


def _set_method_aside(root: Root, oid: str, selector: str, place: str) -> None:
    holder = root._p_jar.get(bytes.fromhex(oid))  # type: ignore[attr-defined]  # ZODB: the root's connection
    if not isinstance(holder, UvmObject):
        return
    method = holder.slots.get(selector)
    if int(place) == look.WHOLE_METHOD:
        del holder.slots[selector]
        holder._p_changed = True
    elif isinstance(method, Method) and method.current == int(place):
        method.current = -1
