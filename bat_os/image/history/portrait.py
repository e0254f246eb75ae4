"""What two minds differ in: objects, methods, memory and documents, whatever image each is in.

    image --portrait--> plain data by name ┐
    image --portrait--> plain data by name ┴> compare

Two images share no ids, so everything goes by what people call it: an object by its name, one
without a name by the slot that leads to it, a method by its object and message, a fact by its
words. The whole image is read, once.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final

from ZODB.POSException import POSError

from bat_os.core.values import Ref
from bat_os.errors import StorageError
from bat_os.image import memory
from bat_os.image.allowlist import AllowListDB
from bat_os.image.files.lineage import mind_of
from bat_os.image.files.opening import open_to_read
from bat_os.image.files.tail import TORN
from bat_os.image.history.moments import MAX_ROWS, differences, object_rows, what_became
from bat_os.image.objects import Method, UvmObject, connection_of, freeze, thaw
from bat_os.image.store import ImageStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    Root = Mapping[str, Any]

MAX_OBJECTS: Final = 100_000
_KINDS: Final = ("document", "codex")
_LINES: Final = 200  # of the difference of two sources


def open_image_to_read(path: Path) -> ImageStore:
    """Return the store of the image file at ``path`` as it is now, also of one in use.

    Nothing is written and nothing locked: a transaction that changes something is refused. Files
    that are stored in the image cannot be read.

    Raises:
        StorageError: The file cannot be read as an image.
    """
    try:
        return ImageStore(AllowListDB(open_to_read(path, blobs=False)))
    except (POSError, OSError, KeyError, *TORN) as error:
        raise StorageError(f"the image {path} cannot be read: {error}") from error


def portrait(root: Root) -> dict[str, Any]:
    """Return what is in a mind, as plain data: ``mind``, and four maps by name.

    Of a method: ``version``, ``status``, ``sha256``, ``source``, ``persona``, ``model``.
    """
    names = _name_objects(root)
    jar = connection_of(root)
    objects, methods = {}, {}

    def rename(ref: Ref) -> Any:
        return Ref("0" * 16, names.get(bytes.fromhex(ref.oid), ref.name))

    for oid, name in names.items():
        obj = jar.get(oid)
        slots = {key: held for key, held in obj.slots.items() if not isinstance(held, Method)}
        plain = thaw(freeze(slots), rename)
        parents = [names.get(parent._p_oid, parent.name) for parent in obj.parents]
        objects[name] = {"slots": plain, "parents": parents}
        for selector, method in obj.slots.items():
            if isinstance(method, Method) and method.current >= 0:
                methods[name, selector] = _describe(method)
    catalog = root.get("knowledge_catalog")
    documents = [] if catalog is None else [d for k in _KINDS for d in catalog.documents(k)]
    return {
        "mind": mind_of(root),
        "objects": objects,
        "methods": methods,
        "memory": {fact.text: True for fact in memory.facts_in(root)},
        "documents": {each.doc_id: each.digest for each in documents},
    }


def compare(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return what differs between two portraits; each list has at most MAX_ROWS.

    Returns:
        ``minds`` (as each portrait has it), ``objects`` as in
        ``moments.changes``, ``methods`` (object, selector, ``what``, ``before`` and ``after``
        without the source, ``diff`` of the sources), ``memory`` (``fact``, ``what``),
        ``documents`` (``document``, ``what``), and ``more``: how many rows are left out.
    """
    rows = {
        "objects": object_rows(one["objects"], other["objects"]),
        "methods": [
            _method_row(key, before, after)
            for key, before, after in differences(one["methods"], other["methods"])
            if _is_other(before, after)
        ],
        "memory": [
            {"fact": text, "what": what_became(before, after)}
            for text, before, after in differences(one["memory"], other["memory"])
        ],
        "documents": [
            {"document": doc_id, "what": what_became(before, after)}
            for doc_id, before, after in differences(one["documents"], other["documents"])
        ],
    }
    more = sum(max(len(listed) - MAX_ROWS, 0) for listed in rows.values())
    cut = {kind: listed[:MAX_ROWS] for kind, listed in rows.items()}
    return {"minds": [one["mind"], other["mind"]], **cut, "more": more}


def _name_objects(root: Root) -> dict[bytes, str]:
    """Return a name for each object that can be reached from one with a name, by its oid."""
    named = {
        name: obj for name, obj in root.get("objects", {}).items() if isinstance(obj, UvmObject)
    }
    names = {obj._p_oid: name for name, obj in named.items()}
    waiting = list(named.values())
    for obj in waiting:
        for key, held in sorted(obj.slots.items()):
            for number, part in enumerate(_objects_in(held)):
                if part._p_oid not in names and len(names) < MAX_OBJECTS:
                    place = f"{names[obj._p_oid]}.{key}"
                    names[part._p_oid] = f"{place}[{number}]" if number else place
                    waiting.append(part)
    return names


def _objects_in(value: Any) -> Iterator[UvmObject]:
    if isinstance(value, UvmObject):
        yield value
    elif isinstance(value, dict):
        for key, held in value.items():
            yield from _objects_in(key)
            yield from _objects_in(held)
    elif isinstance(value, list | tuple):
        for held in value:
            yield from _objects_in(held)


def _describe(method: Method) -> dict[str, Any]:
    version = method.versions[method.current]
    origin = version.provenance
    return {
        "version": version.number,
        "status": method.status_of(version),
        "sha256": version.sha256,
        "source": version.source,
        "persona": origin.get("persona", ""),
        "model": origin.get("model", ""),
    }


def _method_row(
    key: tuple[str, str], before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> dict[str, Any]:
    lines = difflib.unified_diff(
        (before or {}).get("source", "").splitlines(),
        (after or {}).get("source", "").splitlines(),
        lineterm="",
        n=1,
    )
    told = [line for line in lines if not line.startswith(("---", "+++"))]
    return {
        "object": key[0],
        "selector": key[1],
        "what": what_became(before, after),
        "before": _without_source(before),
        "after": _without_source(after),
        "diff": "\n".join(told[:_LINES]),
    }


def _is_other(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> bool:
    """Return whether two methods differ in more than the number of their version."""
    if before is None or after is None:
        return True
    return {**before, "version": 0} != {**after, "version": 0}


def _without_source(method: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (method or {}).items() if key != "source"}
