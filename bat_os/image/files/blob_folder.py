"""The blob folder of an image file: which files are in it, and where one belongs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ZODB.blob import BushyLayout

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ZODB.FileStorage import FileStorage


def blob_files(layers: Sequence[FileStorage]) -> Iterator[tuple[FileStorage, bytes, bytes, Path]]:
    """Yield (layer, oid, tid, path) of each committed blob file, old revisions included."""
    for layer in layers:
        end = layer.lastTransaction()
        helper = layer.fshelper
        for oid, folder in helper.listOIDs():
            for path in sorted(Path(folder).iterdir()):
                _, tid = helper.splitBlobFilename(str(path))
                if tid is not None and tid <= end:
                    yield layer, oid, tid, path


def make_blob_folder(path: Path) -> Path:
    """Return the blob folder of the new image file at ``path``, as ZODB would make it."""
    folder = Path(f"{path}.blob")
    (folder / "tmp").mkdir(mode=0o700, parents=True)
    (folder / ".layout").write_text("bushy", encoding="ascii")
    return folder


def place_blob(folder: Path, oid: bytes, tid: bytes) -> Path:
    """Return where a blob belongs in a blob folder; the folders above it are made."""
    place: Path = folder / BushyLayout().getBlobFilePath(oid, tid)
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return place
