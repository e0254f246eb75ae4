"""Which classes a pickle of the image may name: loading any other could run foreign code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import ZODB

from bat_os.errors import ForbiddenClassError

if TYPE_CHECKING:
    from pathlib import Path

ALLOWED: Final[dict[str, frozenset[str]]] = {
    "bat_os.image.blobs": frozenset({"StoredFile", "StoredModel"}),
    "bat_os.image.catalog": frozenset({"Document", "KnowledgeCatalog"}),
    "bat_os.image.objects": frozenset({"Method", "MethodVersion", "UvmObject"}),
    "bat_os.image.segments": frozenset({"VectorSegment"}),
    "builtins": frozenset({"bytearray", "frozenset", "object", "set"}),
    "__builtin__": frozenset({"bytearray", "frozenset", "object", "set"}),
    "copyreg": frozenset({"_reconstructor"}),
    "copy_reg": frozenset({"_reconstructor"}),
    "datetime": frozenset({"date", "datetime", "time", "timedelta", "timezone"}),
    "decimal": frozenset({"Decimal"}),
    "persistent.list": frozenset({"PersistentList"}),
    "persistent.mapping": frozenset({"PersistentMapping"}),
    "uuid": frozenset({"SafeUUID", "UUID"}),
    "BTrees": frozenset({"_family64"}),
    "BTrees.Length": frozenset({"Length"}),
    "ZODB.blob": frozenset({"Blob"}),
    "zope.index.text.lexicon": frozenset({"Lexicon", "Splitter"}),
    "zope.index.text.okapiindex": frozenset({"OkapiIndex"}),
}
# BTrees names its classes by key and value family (IO, LL, OO, ...), four of each.
_TREES: Final = ("BTree", "Bucket", "Set", "TreeSet")


class AllowListDB(ZODB.DB):
    """A database that loads no class outside the allow-list."""

    def classFactory(self, connection: Any, modulename: str, globalname: str) -> Any:  # noqa: N802 - ZODB's name
        """Return the class ``modulename.globalname``.

        Raises:
            ForbiddenClassError: It does not stand in the allow-list.
        """
        if not is_allowed(modulename, globalname):
            raise ForbiddenClassError(
                f"the image names the class {modulename}.{globalname}, which BAT OS never "
                "stores; loading it could run foreign code, so the image is refused",
                module=modulename,
                name=globalname,
            )
        return super().classFactory(connection, modulename, globalname)


def is_allowed(module: str, name: str) -> bool:
    """Return True when an image may hold instances of ``module.name``.

    >>> is_allowed("bat_os.image.objects", "UvmObject"), is_allowed("os", "system")
    (True, False)
    """
    if module.startswith("BTrees.") and module.endswith("BTree"):
        return name.endswith(_TREES)
    return name in ALLOWED.get(module, ())


def looks_like_image(path: Path) -> bool:
    """Return True when the file begins as a FileStorage does."""
    with path.open("rb") as stream:
        return stream.read(4) == b"FS30"
