"""Words in the files beside an image: blanked in those that BAT OS writes, named in all others.

    logs, the journal, reports of crashes,    every letter becomes an ``x``, in its place, so that
    the chat's history, status files          who writes to the file goes on undisturbed
    forks, backups, archives, other files     named, with the command that removes them

Nothing is removed here but ends of the image that were set aside after a crash.
"""

from __future__ import annotations

import contextlib
import glob
import gzip
import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.image.files import manifest
from bat_os.image.files.disk import coded
from bat_os.image.files.fork import FOLDER, list_forks
from bat_os.image.files.opening import frozen_folder
from bat_os.image.server_care import DUMP

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bat_os.core.erasing import Words

# Of a home directory: what BAT OS itself writes as text.
OURS: Final = (
    "metacognition.jsonl*", "chat_history*", "log/**/*", "run/*.json", "run/*.json.new",
    "upgrade/*.json", "status.json",
)  # fmt: skip
COPIES: Final = frozenset({"archive", "backup", "export"})  # of the chronicle
_GZIP: Final = b"\x1f\x8b"
# A text that is shorter stands in the weights of a model by chance.
MIN_IN_BLOBS: Final = 10
_WEIGHTS: Final = frozenset({".bin", ".blob", ".gguf", ".npz", ".safetensors", ".so"})
# Ends of the image that ZODB set aside, and what a pack leaves.
_LEFT: Final = re.compile(r"\.(tr[0-9]+|old|pack)")


def list_held(home: Path, image: Path, words: Words, also: Sequence[Path] = ()) -> list[str]:
    """Return the files of ours in ``home``, and of those ``also``, that hold the words."""
    with coded("erase"):
        return [str(path) for path in (*_ours(home, also), *_ends(image)) if holds(path, words)]


def blank(home: Path, image: Path, words: Words, also: Sequence[Path] = ()) -> list[str]:
    """Blank the words in the files of ours; return which held them."""
    with coded("erase"):
        held = [path for path in _ours(home, also) if holds(path, words)]
        for path in held:
            _blank(path, words)
        ends = [path for path in _ends(image) if holds(path, words)]
        for path in ends:
            path.unlink()
        return [str(path) for path in (*held, *ends)]


def list_elsewhere(
    home: Path,
    image: Path,
    words: Words,
    chronicle: Sequence[Mapping[str, Any]],
    also: Sequence[Path] = (),
) -> list[dict[str, str]]:
    """Return what else holds the words: ``what`` it is and ``remove``, the command for that.

    That are the forks, backups and other files in the home, homes that a restore set aside, and
    the archives, backups and exports of the chronicle. One that cannot be looked at is named, too.
    """
    with coded("erase"):
        known = {*_ours(home, also), *_ends(image)}
        return list(_elsewhere(home, image, words, chronicle, known))


def holds(path: Path, words: Words) -> bool:
    """Return True if a file holds the words, as it is or unpacked; False if it is gone."""
    try:
        with path.open("rb") as stream:
            is_packed = stream.read(2) == _GZIP
            stream.seek(0)
            if path.suffix in _WEIGHTS:
                return _in_blob(path, words)
            if not is_packed:
                return words.in_chunks(stream.read)
            with contextlib.suppress(EOFError, OSError), gzip.open(stream) as plain:
                return words.in_chunks(plain.read)
    except FileNotFoundError:
        pass
    return False


def _in_blob(path: Path, words: Words) -> bool:
    texts = [text.encode() for text in words.texts if len(text.encode()) >= MIN_IN_BLOBS]
    kept = b""
    with path.open("rb") as stream:
        while texts and (chunk := stream.read(1 << 22)):
            kept += chunk
            if any(text in kept for text in texts):
                return True
            kept = kept[-max(map(len, texts)) :]
    return False


def _ours(home: Path, also: Sequence[Path]) -> Iterator[Path]:
    found = {path for pattern in OURS for path in home.glob(pattern)}
    for path in also:  # and its older parts
        found.update(path.parent.glob(f"{glob.escape(path.name)}*"))
    return iter(sorted(path for path in found if path.is_file() and not path.is_symlink()))


def _ends(image: Path) -> list[Path]:
    beside = image.parent.glob(f"{image.name}.*")
    return sorted(path for path in beside if _LEFT.fullmatch(path.name.removeprefix(image.name)))


def _blank(path: Path, words: Words) -> None:
    """Overwrite the words where they stand; others may append to the file meanwhile."""
    with path.open("r+b") as stream:
        at = 0
        for line in iter(stream.readline, b""):
            if words.hold(line.decode("utf-8", "surrogateescape")):
                stream.seek(at)
                stream.write(words.blank(line))
            at += len(line)
            stream.seek(at)
        stream.flush()
        os.fsync(stream.fileno())


def _elsewhere(
    home: Path, image: Path, words: Words, chronicle: Sequence[Mapping[str, Any]], known: set[Path]
) -> Iterator[dict[str, str]]:
    for fork in list_forks(image):
        if _in_folder(Path(fork["home"]), words):
            yield {"what": f"fork {fork['name']}", "remove": f"batos fork {fork['name']} --drop"}
    if _in_folder(frozen_folder(image), words):
        yield {
            "what": "what this fork began with",
            "remove": f"of the image that it comes from, batos fork {home.name} --drop",
        }
    skipped = (image.name, FOLDER, "versions")
    inside = (path for path in sorted(home.iterdir()) if not path.name.startswith(skipped))
    copies = {
        Path(entry.get("file") or entry["folder"]): entry["kind"]
        for entry in chronicle
        if entry["kind"] in COPIES
    }
    outside = [path for path in sorted(copies) if not path.is_relative_to(home)]
    for path in (*inside, *sorted(home.parent.glob(f"{home.name}.before-*")), *outside):
        if path in copies and not _can_look(path):
            what = f"{copies[path]} {path}, which may hold them: it cannot be looked at from here"
            yield {"what": what, "remove": f"rm -r {shlex.quote(str(path))}"}
        else:
            yield from _named(path, words, known, copies.get(path, ""))
    for path in Path(f"{image}.blob").rglob("*.blob"):
        if holds(path, words):
            yield {"what": f"stored file {path.name}", "remove": "batos models remove NAME"}


def _can_look(path: Path) -> bool:
    """Return False for what is not here, on a disk that is away say, or what PostgreSQL packed."""
    return path.exists() and not (path / DUMP).exists()


def _named(path: Path, words: Words, known: set[Path], kind: str = "") -> Iterator[dict[str, str]]:
    """Yield what a file or folder is, if it holds the words and is none of ours."""
    place = shlex.quote(str(path))
    if path.is_dir() and _in_folder(path, words, known):
        kind = kind or ("backup" if (path / manifest.NAME).is_file() else "folder")
        yield {"what": f"{kind} {path}", "remove": f"rm -r {place}"}
    elif path.is_file() and path not in known and holds(path, words):
        yield {"what": f"file {path}", "remove": f"rm {place}"}


def _in_folder(
    folder: Path, words: Words, known: set[Path] | frozenset[Path] = frozenset()
) -> bool:
    return any(
        holds(path, words)
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and path not in known
    )
