"""What a backup holds: files in parts, blobs, and the SHA-256 of each.

    manifest.json   this list; replacing it switches to the next backup in one step
    parts/          pieces of image files, oldest first: an image file only ever grows
    blobs/          OID-TID.blob, as they are

A manifest may come from anywhere. ``parse`` refuses one that names a file outside, or that
contradicts itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from bat_os.core.schema import Record, convert, number, read_json, text
from bat_os.errors import StorageError
from bat_os.image.files.opening import check_fork

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

NAME: Final = "manifest.json"
FORMAT: Final = 1
MAX_BYTES: Final = 64 << 20
MAX_SIZE: Final = 1 << 44
_WHERE: Final = "the manifest of the backup"
_IMAGE: Final = "image.fs"
_FILE: Final = r"image\.fs|image\.fs\.fork/[0-9]{1,2}\.fs"
_Id = Annotated[str, text(16, pattern="[0-9a-f]{16}", takes="16 hexadecimal digits")]
_Sha = Annotated[str, text(64, pattern="[0-9a-f]{64}", takes="64 hexadecimal digits")]
_Size = Annotated[int, number(0, MAX_SIZE - 1)]
_FileName = Annotated[str, text(22, pattern=_FILE, takes="the name of an image file")]


class Part(Record, frozen=True):
    """A piece of an image file."""

    # in the folder ``parts``
    name: Annotated[str, text(37, pattern=r"[0-9a-f]{32}\.part", takes="the name of a part")]
    size: _Size
    sha256: _Sha


class ImageFile(Record, frozen=True):
    """An image file, whole up to a transaction."""

    name: _FileName  # ``image.fs``, or ``image.fs.fork/N.fs`` of a fork
    tid: _Id  # of the last transaction, in hexadecimal
    # device and number of the file that was read; one that only grows keeps them
    inode: tuple[int, int]
    parts: tuple[Part, ...]  # in order

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(part.size for part in self.parts)


class BlobFile(Record, frozen=True):
    """A blob."""

    of: _FileName  # name of the image file it belongs to
    oid: _Id
    tid: _Id  # of the transaction that stored it
    size: _Size
    sha256: _Sha

    @property
    def name(self) -> str:
        """In the folder ``blobs``."""
        return f"{self.oid}-{self.tid}.blob"


class Manifest(Record, frozen=True, omit_defaults=True):
    """All that a backup holds."""

    made: Annotated[float, number(0, 1e11)]
    image_id: Annotated[str, text(200)]
    reason: Annotated[str, text(10_000)]
    files: tuple[ImageFile, ...]  # the image file, last; before it, what a fork began with
    blobs: tuple[BlobFile, ...]
    fork: dict[str, Any]  # the fork's record, or an empty map
    format: Literal[1]
    # SHA-256 of the stored files that the image refers to and the backup does not hold whole
    damaged: tuple[_Sha, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a manifest that contradicts itself."""
        if self.fork:
            check_fork(self.fork)
        frozen = range(len(self.fork.get("layers", ())))
        names = [file.name for file in self.files]
        if names != [*(f"{_IMAGE}.fork/{number}.fs" for number in frozen), _IMAGE]:
            raise ValueError("it does not hold the files of one image")
        members = [name for name, _, _ in self.members()]
        if len(set(members)) != len(members) or not {blob.of for blob in self.blobs} <= {*names}:
            raise ValueError("it contradicts itself")

    @property
    def size(self) -> int:
        """Bytes of everything."""
        return sum(file.size for file in self.files) + sum(blob.size for blob in self.blobs)

    def members(self) -> Iterator[tuple[str, int, str]]:
        """Yield (path in the backup, size, SHA-256) of every file."""
        for file in self.files:
            for part in file.parts:
                yield f"parts/{part.name}", part.size, part.sha256
        for blob in self.blobs:
            yield f"blobs/{blob.name}", blob.size, blob.sha256

    def lacks(self, sums: Mapping[str, str]) -> tuple[str, ...]:
        """Return which of the SHA-256 in ``sums`` (by oid) no blob of that oid has."""
        held = {(blob.oid, blob.sha256) for blob in self.blobs}
        return tuple(sha256 for oid, sha256 in sums.items() if (oid, sha256) not in held)

    def to_plain(self) -> dict[str, Any]:
        """Return it as what JSON holds."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


def read(folder: Path) -> Manifest | None:
    """Return the manifest in ``folder``, or None where there is none; raises as ``parse``."""
    path = folder / NAME
    if not path.is_file():
        return None
    if path.stat().st_size > MAX_BYTES:
        raise StorageError(f"{path} is too long for a manifest")
    return parse(path.read_bytes())


def parse(data: bytes) -> Manifest:
    """Return the manifest in ``data``, or raise ``StorageError``."""
    return convert(read_json(data, StorageError, _WHERE), Manifest, StorageError, _WHERE)
