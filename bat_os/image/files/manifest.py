"""What a backup holds: files in parts, blobs, and the SHA-256 of each.

    manifest.json   this list; whoever replaces it switches to the next backup in one step
    parts/          pieces of image files, oldest first: an image file only ever grows
    blobs/          OID-TID.blob, as they are

A manifest may come from anywhere. ``read`` takes nothing from it that could name a file
outside, and nothing that does not add up.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import StorageError
from bat_os.image.files.storage import check_fork

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME: Final = "manifest.json"
FORMAT: Final = 1
MAX_BYTES: Final = 64 << 20
MAX_SIZE: Final = 1 << 44
_HEX16: Final = re.compile(r"[0-9a-f]{16}\Z")
_SHA: Final = re.compile(r"[0-9a-f]{64}\Z")
_FILE: Final = re.compile(r"image\.fs\Z|image\.fs\.fork/[0-9]{1,2}\.fs\Z")
_PART: Final = re.compile(r"[0-9a-f]{32}\.part\Z")


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of an image file.

    Attributes:
        name: In the folder ``parts``.
        size: In bytes.
        sha256: Of the piece.
    """

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image file, whole up to a transaction.

    Attributes:
        name: ``image.fs``, or ``image.fs.fork/N.fs`` of a fork.
        tid: Of the last transaction, in hexadecimal.
        inode: Device and number of the file that was read; one that only grows keeps them.
        parts: In order.
    """

    name: str
    tid: str
    inode: tuple[int, int]
    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(part.size for part in self.parts)


@dataclass(frozen=True, slots=True)
class BlobFile:
    """A blob.

    Attributes:
        of: Name of the image file it belongs to.
        oid: In hexadecimal.
        tid: Of the transaction that stored it.
        size: In bytes.
        sha256: Of its content.
    """

    of: str
    oid: str
    tid: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """In the folder ``blobs``."""
        return f"{self.oid}-{self.tid}.blob"


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that a backup holds.

    Attributes:
        made: Unix time.
        image_id: Of the image.
        reason: Why an archive was made, in words.
        files: The image file, last; before it, what a fork began with.
        blobs: All blobs.
        fork: The fork's record, or an empty map.
    """

    made: float
    image_id: str
    reason: str
    files: tuple[ImageFile, ...]
    blobs: tuple[BlobFile, ...]
    fork: dict[str, Any]

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

    def to_plain(self) -> dict[str, Any]:
        """Return it as what JSON holds."""
        return {"format": FORMAT} | asdict(self)


def read(folder: Path) -> Manifest | None:
    """Return the manifest in ``folder``, or None where there is none.

    Raises:
        StorageError: It cannot be used.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    if path.stat().st_size > MAX_BYTES:
        raise StorageError(f"{path} is too long for a manifest")
    return parse(path.read_bytes())


def parse(text: bytes) -> Manifest:
    """Return the manifest in ``text``.

    Raises:
        StorageError: It is none, or has names, sizes or digests that cannot be.
    """
    try:
        told = json.loads(text)
        if told["format"] != FORMAT:
            raise StorageError("the backup is of another format than this program reads")
        files = tuple(_file(one) for one in told["files"])
        blobs = tuple(
            BlobFile(_name(one["of"], _FILE), _name(one["oid"], _HEX16), _name(one["tid"], _HEX16),
                     _size(one["size"]), _name(one["sha256"], _SHA))
            for one in told["blobs"]
        )  # fmt: skip
        fork = dict(told["fork"])
        about = float(told["made"]), str(told["image_id"])[:200], str(told["reason"])[:10_000]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StorageError(f"the manifest of the backup cannot be read: {error!r}") from error
    _check_whole(files, blobs, fork)
    return Manifest(*about, files, blobs, fork)


def _check_whole(
    files: tuple[ImageFile, ...], blobs: tuple[BlobFile, ...], fork: dict[str, Any]
) -> None:
    if fork:
        check_fork(fork)
    layers = [f"image.fs.fork/{number}.fs" for number in range(len(fork.get("layers", ())))]
    if [file.name for file in files] != [*layers, "image.fs"]:
        raise StorageError("the backup does not hold the files of one image")
    names = [part.name for file in files for part in file.parts]
    names += [blob.name for blob in blobs]
    if len(set(names)) != len(names) or not {blob.of for blob in blobs} <= {f.name for f in files}:
        raise StorageError("the manifest of the backup contradicts itself")


def _file(one: Any) -> ImageFile:
    device, number = one["inode"]
    parts = tuple(
        Part(_name(part["name"], _PART), _size(part["size"]), _name(part["sha256"], _SHA))
        for part in one["parts"]
    )
    inode = (int(device), int(number))
    return ImageFile(_name(one["name"], _FILE), _name(one["tid"], _HEX16), inode, parts)


def _name(value: Any, rule: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not rule.match(value):
        raise ValueError(f"{str(value)[:60]!r} is not possible there")
    return value


def _size(value: Any) -> int:
    if type(value) is not int or not 0 <= value < MAX_SIZE:
        raise ValueError(f"{str(value)[:60]!r} is no size")
    return value
