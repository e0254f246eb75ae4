"""The blob folder of an image file: which files are in it, and where one belongs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from ZODB.blob import LAYOUT_MARKER, BushyLayout
from ZODB.FileStorage import FileStorage

from bat_os.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TOP: Final = "0x00"  # in the bushy layout, of every object below 2**56


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


def link_blob_folder(path: Path, folder: Path) -> None:
    """Have the blobs of the image file at ``path`` lie in ``folder``, which is made if need be.

    What is at the usual place is then a link, so that all else finds them there.

    Raises:
        SettingsError: Blobs lie elsewhere already, or the folder has those of another image.
        OSError: The folder or the link cannot be made.
    """
    place = Path(f"{path}.blob")
    if place.is_symlink() and place.resolve() == folder.resolve():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return
    if place.is_symlink() or place.exists():
        raise SettingsError(
            f"blob_dir is {folder}, but the blobs of this image are in {place.resolve()}: stop the "
            f"daemon, move that folder to {folder}, remove {place}, and start again"
        )
    if not path.exists() and (folder / LAYOUT_MARKER).exists():
        raise SettingsError(f"blob_dir: {folder} has the blobs of another image; name another one")
    if not path.exists():  # ZODB removes a blob folder that is there before its file
        FileStorage(str(path)).close()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    place.symlink_to(folder.resolve(), target_is_directory=True)


def make_blob_folder(path: Path) -> Path:
    """Return the blob folder of the new image file at ``path``, as ZODB would make it."""
    folder = Path(f"{path}.blob")
    (folder / "tmp").mkdir(mode=0o700, parents=True)
    (folder / LAYOUT_MARKER).write_text("bushy", encoding="ascii")
    return folder


def mend_layout(path: Path) -> None:
    """Complete the mark of a blob folder whose maker was killed; to be called before ZODB opens it.

    ZODB refuses an empty mark, and takes a folder without one for its older layout.
    """
    folder = Path(f"{path}.blob")
    mark = folder / LAYOUT_MARKER
    if not (path.exists() and folder.is_dir()) or (mark.exists() and mark.stat().st_size):
        return
    names = {place.name for place in folder.iterdir() if not place.name.startswith(".")}
    if names <= {"tmp", _TOP}:
        draft = folder / f"{LAYOUT_MARKER}.new"
        draft.write_text("bushy", encoding="ascii")
        draft.replace(mark)


def place_blob(folder: Path, oid: bytes, tid: bytes) -> Path:
    """Return where a blob belongs in a blob folder; the folders above it are made."""
    place: Path = folder / BushyLayout().getBlobFilePath(oid, tid)
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return place
