"""What is changed below one path: a file is replaced as a whole, or not at all.

    .shopping.txt.1f3a.batos (written, synced) > shopping.txt     one rename in the same folder

The new text lies in a draft beside the file, whose name has the key of the effect: a kernel that
was killed and begins again uses the same one. A rename follows no link, so what a link of that name
points to is never written. The mode of a file that was there is kept.

What a file held is looked at before, up to 1 MB. From that ``was_done`` knows after a kill whether
an appended line is there, and ``put_back`` undoes, unless the file was changed since.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import stat
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.digest import digest
from bat_os.core.printable import show_asked
from bat_os.errors import ArgumentsError, BatError, NotFoundError, NotGrantedError
from bat_os.failpoints import cross
from bat_os.world import reading
from bat_os.world.paths import open_below, open_parent, parts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from bat_os.ports import Deed
    from bat_os.world.paths import Root

WRITE, APPEND, REMOVE, PUT_BACK = "write", "append", "remove", "put_back"
DEEDS: Final = frozenset({WRITE, APPEND, REMOVE, PUT_BACK})
MAX_TEXT: Final = 1 << 20  # bytes
_BINARY: Final = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | _BINARY
_SAYS: Final = {WRITE: "writes", APPEND: "adds to", REMOVE: "deletes", PUT_BACK: "puts back"}


def pretend(root: Root, operation: str, args: Sequence[Any]) -> Any:
    """Return what a deed answers: how many bytes the text has, or True. Touches nothing.

    Raises:
        NotGrantedError: The path leads out of the root.
        ArgumentsError: The arguments do not fit.
    """
    if len(args) != 1 + (operation != REMOVE):
        raise ArgumentsError(f"{operation} takes a path{' and a text' * (operation != REMOVE)}")
    parts_of(root, args[0])
    return True if operation == REMOVE else len(_bytes(args[1]))


def preview(path: str, operation: str, args: Sequence[Any]) -> str:
    """Return what a deed does, for a person: ``adds to ~/notes/shopping.txt: milk``."""
    if operation not in (WRITE, APPEND):
        return f"{_SAYS[operation]} {path}"
    text = show_asked(str(args[1]))[1:-1]  # without its quotation marks
    return f"{_SAYS[operation]} {path}: {text}"


def canonical(operation: str, args: Sequence[Any]) -> list[str]:
    """Return what a deed does to its file, in a form that deeds share which leave it the same."""
    if operation not in (WRITE, APPEND):
        return [operation, *map(str, args[1:])]
    content = _bytes(args[1])
    if operation == APPEND:  # it ends its line, whether or not the text does
        content = content.removesuffix(b"\n")
    return [operation, digest(content)]


def perform(root: Root, operation: str, args: Sequence[Any], key: str) -> Any:
    """Do a deed and return its answer.

    Raises:
        NotGrantedError: A path leads out of the root, or over a link; or it may not be written.
        NotFoundError: The file, or its folder, is not there.
        ArgumentsError: It is a folder, or too long; what was to be put back was changed since.
        StorageFullError: The disk is full; the file is as it was.
    """
    path = args[0]
    if operation == REMOVE:
        return _remove(root, path)
    if operation == PUT_BACK:
        return _put_back(root, path, args[1], args[2], key)
    content = _bytes(args[1])
    if operation == APPEND:
        content = _joined(_read(root, path) or b"", content)
    _replace(root, path, content, key)
    return len(_bytes(args[1]))


def look(root: Root, args: Sequence[Any]) -> dict[str, Any]:
    """Return what a file holds: ``there``, ``content`` up to 1 MB, ``sha256``; {} if unknown."""
    try:
        content = _read(root, args[0])
    except BatError:
        return {}
    return {"there": content is not None, "content": content}


def was_done(
    root: Root, operation: str, args: Sequence[Any], before: Mapping[str, Any]
) -> bool | None:
    """Return whether a deed was done, by what its file holds now; None if that is something else.

    A deed that changes nothing was done and was not: True.
    """
    now = look(root, args)
    if not now or not before:
        return None
    if now["content"] == after(operation, args, before):
        return True
    return False if now["content"] == before["content"] else None


def undoing(operation: str, args: Sequence[Any], before: Mapping[str, Any]) -> list[Any] | None:
    """Return the arguments of ``put_back``: path, what it held, the SHA-256 of what it holds."""
    if not before:
        return None
    left = after(operation, args, before)
    return [args[0], before["content"], None if left is None else digest(left)]


def after(operation: str, args: Sequence[Any], before: Mapping[str, Any]) -> bytes | None:
    """Return what a file holds after a deed; None if there is no file."""
    if operation == REMOVE:
        return None
    if operation == PUT_BACK:
        held: bytes | None = args[1]
        return held
    text = _bytes(args[1])
    return text if operation == WRITE else _joined(before["content"] or b"", text)


class Later:
    """The files below some paths, as they will be once deeds are done that wait for a commit."""

    def __init__(self, deeds: Iterable[tuple[Root, Deed]]) -> None:
        self._held: dict[Path, bytes | None] = {}  # what each will hold; None: it is removed
        for root, deed in deeds:
            path = root.full(deed.args[0])
            now = self._held[path] if path in self._held else _read(root, deed.args[0])
            self._held[path] = after(deed.operation, deed.args, {"content": now})

    def answer(self, root: Root, operation: str, args: Sequence[Any]) -> Any:
        """Return what a reading operation would answer."""
        answers: dict[str, Callable[..., Any]] = {
            "read": self._read, "facts": self._facts, "names": self._names,
            "find": self._find, "search": self._search,
        }  # fmt: skip
        return answers[operation](root, *args)

    def _read(self, root: Root, path: str = "", start: int = 0) -> str:
        full = root.full(path)
        if full not in self._held:
            return reading.read(root, path, start)
        if type(start) is not int or start < 0:
            raise ArgumentsError("start is a number of bytes")
        return reading.shown(self._there(full, path, root)[start:])

    def _facts(self, root: Root, path: str = "") -> dict[str, Any]:
        full = root.full(path)
        if full not in self._held:
            return reading.facts(root, path)
        size = len(self._there(full, path, root))
        moment = dt.datetime.now(dt.UTC).replace(microsecond=0)
        return {"kind": "file", "bytes": size, "changed": moment}

    def _names(self, root: Root, path: str = "") -> list[str]:
        folder = root.full(path)
        there = {full.name: held for full, held in self._held.items() if full.parent == folder}
        found = {name for name in reading.names(root, path) if name not in there}
        return reading.in_order(found | {name for name, held in there.items() if held is not None})

    def _find(self, root: Root, pattern: str, path: str = "") -> list[str]:
        below = self._below(root, path)
        found = [each for each in reading.find(root, pattern, path) if each not in below]
        new = [
            each for each, held in below.items() if held is not None and reading.fits(each, pattern)
        ]
        return sorted([*found, *new])[: reading.MAX_FOUND]

    def _search(self, root: Root, text: str, path: str = "") -> list[dict[str, Any]]:
        below = self._below(root, path)
        found = [each for each in reading.search(root, text, path) if each["path"] not in below]
        for each, held in below.items():
            if held is not None:
                found += reading.lines_with(text, each, reading.shown(held))
        return sorted(found, key=lambda each: (each["path"], each["line"]))[: reading.MAX_FOUND]

    def _below(self, root: Root, path: str) -> dict[str, bytes | None]:
        folder = root.full(path)
        return {
            str(full.relative_to(root.path)): held
            for full, held in self._held.items()
            if full.is_relative_to(folder)
        }

    def _there(self, full: Path, path: str, root: Root) -> bytes:
        held = self._held[full]
        if held is None:
            raise NotFoundError(f"{root} has no {path}")
        return held


def _bytes(text: Any) -> bytes:
    if type(text) is bytes:
        data = text
    elif type(text) is str:
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            raise ArgumentsError("the text has half of a character in it") from error
    else:
        raise ArgumentsError("what is written is a text")
    if len(data) > MAX_TEXT:
        raise ArgumentsError(f"a text of {len(data)} bytes is too long: 1 MB at most")
    return data


def _joined(held: bytes, more: bytes) -> bytes:
    """Return a file with more at its end, on a line of its own."""
    between = b"\n" if held and not held.endswith(b"\n") else b""
    behind = b"" if more.endswith(b"\n") else b"\n"
    return held + between + more + behind


def _read(root: Root, path: str) -> bytes | None:
    """Return what a file holds; None if it is not there.

    Raises:
        ArgumentsError: It is not a file, or longer than 1 MB.
    """
    try:
        with open_below(root, path) as handle:
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode):
                raise ArgumentsError(f"{path or root.name} is not a file")
            if facts.st_size > MAX_TEXT:
                raise ArgumentsError(f"{path or root.name} has {facts.st_size} bytes: too many")
            with open(handle, "rb", closefd=False) as stream:
                return stream.read(MAX_TEXT + 1)
    except NotFoundError:
        return None


def _remove(root: Root, path: str) -> bool:
    with open_parent(root, path) as (folder, name):
        if not _is_file(name, folder):
            raise NotFoundError(f"{root} has no {path}")
        os.unlink(name, dir_fd=folder)
        _sync(folder)
    cross("effect.written")
    return True


def _put_back(root: Root, path: str, content: bytes | None, left: str | None, key: str) -> bool:
    now = _read(root, path)
    if (None if now is None else digest(now)) != left:
        raise ArgumentsError(f"{path} was changed since")
    if content is None:
        return _remove(root, path)
    _replace(root, path, content, key)
    return True


def _is_file(name: str, folder: int | None) -> os.stat_result | None:
    """Return the facts of the file that is to be changed; None if it is not there."""
    try:
        facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(facts.st_mode):
        raise NotGrantedError("links are not followed")
    if not stat.S_ISREG(facts.st_mode):
        raise ArgumentsError(f"{PurePath(name).name} is not a file")
    return facts


def _replace(root: Root, path: str, content: bytes, key: str) -> None:
    if len(content) > MAX_TEXT:
        raise ArgumentsError(f"{path} would have {len(content)} bytes: 1 MB at most")
    with open_parent(root, path) as (folder, name):
        facts = _is_file(name, folder)
        place = PurePath(name)
        draft = str(place.with_name(f".{place.name[:100]}.{(key or 'new')[:12]}.batos"))
        with contextlib.suppress(FileNotFoundError):  # of a kernel that was killed
            os.unlink(draft, dir_fd=folder)
        descriptor = os.open(draft, _NEW, 0o666, dir_fd=folder)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                if facts is not None and os.name != "nt":
                    os.fchmod(descriptor, stat.S_IMODE(facts.st_mode))
                stream.write(content)
                stream.flush()
                os.fsync(descriptor)
            cross("effect.written")
            os.replace(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(draft, dir_fd=folder)
            raise
        _sync(folder)


def _sync(folder: int | None) -> None:
    if folder is not None:  # Windows cannot sync a folder
        os.fsync(folder)
