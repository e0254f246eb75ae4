"""What is read below one path: files, names, facts; and what is found there."""

from __future__ import annotations

import contextlib
import datetime as dt
import fnmatch
import os
import stat
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import ArgumentsError, NotFoundError, NotGrantedError, TooLargeError
from bat_os.ports import Survey
from bat_os.world.paths import MAX_PATH, open_below, open_inside, parts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bat_os.world.paths import Root

MAX_BYTES: Final = 1 << 20  # of one answer
MAX_NAMES: Final = 10_000  # of one folder
MAX_WALKED: Final = 20_000  # names that one search looks at
MAX_FOUND: Final = 200
MAX_WATCHED: Final = 10_000  # files below one path whose changes are noticed
MAX_DEEP: Final = 40  # folders inside of one another
# What programs write beside a file until it is whole.
_DRAFTS: Final = (".part", ".partial", ".crdownload", ".download", ".tmp", ".swp", "~")


def read(root: Root, path: str = "", start: int = 0) -> str:
    """Return the text of a file, from the byte ``start``: at most 1 MB."""
    if type(start) is not int or not 0 <= start < 1 << 62:
        raise ArgumentsError("start is a number of bytes")
    with open_below(root, path) as handle:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            raise ArgumentsError(f"{path or root.name} is not a file")
        os.lseek(handle, start, os.SEEK_SET)
        with open(handle, "rb", closefd=False) as stream:
            data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES and not start:
        text = f"{path or root.name} has {facts.st_size} bytes; read(path, start) reads 1 MB of it"
        raise ArgumentsError(text)
    return shown(data)


def shown(data: bytes) -> str:
    """Return the text of a file's bytes: at most 1 MB of it."""
    return data[:MAX_BYTES].decode("utf-8", "replace").removeprefix("\ufeff")


def names(root: Root, path: str = "") -> list[str]:
    """Return the names in a folder, sorted; those of folders end in "/"."""
    with open_below(root, path) as handle:
        found = [name + "/" * is_folder for name, is_folder in _entries(handle, path or root.name)]
    return in_order(found)


def in_order(found: Iterable[str]) -> list[str]:
    """Return names as they are listed."""
    return sorted(found, key=lambda name: (name.casefold(), name))


def facts(root: Root, path: str = "") -> dict[str, Any]:
    """Return ``kind`` (file, folder or other), ``bytes`` and ``changed``, a moment in UTC."""
    with open_below(root, path) as handle:
        found = os.fstat(handle)
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "folder"}
    return {
        "kind": kinds.get(stat.S_IFMT(found.st_mode), "other"),
        "bytes": found.st_size,
        "changed": dt.datetime.fromtimestamp(int(found.st_mtime), dt.UTC),
    }


def find(root: Root, pattern: str, path: str = "") -> list[str]:
    """Return the paths whose last part fits a pattern such as ``*.txt``; 200 at most."""
    check_text(pattern, "pattern")
    return [each for each, _ in _walk(root, path) if fits(each, pattern)][:MAX_FOUND]


def fits(path: str, pattern: str) -> bool:
    """Return whether the last part of a path fits a pattern."""
    return fnmatch.fnmatch(PurePath(path).name.casefold(), pattern.casefold())


def search(root: Root, text: str, path: str = "") -> list[dict[str, Any]]:
    """Return ``path``, ``line`` and ``text`` of the lines that contain a text; 200 at most."""
    check_text(text, "text")
    found = list[dict[str, Any]]()
    for each, is_folder in _walk(root, path):
        if is_folder or len(found) >= MAX_FOUND:
            continue
        with contextlib.suppress(ArgumentsError, NotFoundError, NotGrantedError):
            found += lines_with(text, each, read(root, each))
    return found[:MAX_FOUND]


def lines_with(text: str, path: str, content: str) -> list[dict[str, Any]]:
    """Return ``path``, ``line`` and ``text`` of the lines of one file that contain a text."""
    return [
        {"path": path, "line": number, "text": line.strip()[:500]}
        for number, line in enumerate(content.splitlines(), 1)
        if text.casefold() in line.casefold()
    ]


def load(root: Root, path: str, most: int) -> bytes:
    """Return all bytes of a file.

    Raises:
        TooLargeError: It has more than ``most``.
    """
    with open_below(root, path) as handle:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ArgumentsError(f"{path or root.name} is not a file")
        with open(handle, "rb", closefd=False) as stream:
            data = stream.read(most + 1)
    if len(data) > most:
        raise TooLargeError(f"{path or root.name} has more than {most / 1e6:.0f} MB")
    return data


def survey(root: Root) -> Survey:
    """Return the version of each file below a folder, or of the one file, over no link.

    Hidden files and drafts are left out, unless the root itself is one. A file that is missing
    while its folder is there has no version.

    Raises:
        ArgumentsError: There are more than MAX_WATCHED.
        NotFoundError: The folder is not there now; its disk may be away.
        NotGrantedError: It cannot be looked at.
    """
    try:
        with open_below(root, "") as handle:
            facts = os.fstat(handle)
            if not stat.S_ISDIR(facts.st_mode):
                return Survey({"": _version(facts)} if stat.S_ISREG(facts.st_mode) else {})
            found, unseen = dict[str, tuple[int, int, int]](), list[str]()
            _survey(root, handle, "", found, unseen)
            return Survey(found, tuple(unseen), (facts.st_dev, facts.st_ino))
    except NotFoundError:
        with open_below(replace(root, path=root.path.parent), ""):
            return Survey({})


def _survey(
    root: Root, handle: int, above: str, found: dict[str, tuple[int, int, int]], unseen: list[str]
) -> None:
    """Add what is in an open folder to ``found``, and folders that cannot be read to ``unseen``."""
    folders = list[str]()
    with os.scandir(handle) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith(".") or name.endswith(_DRAFTS):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(name)
            elif entry.is_file(follow_symlinks=False):
                with contextlib.suppress(FileNotFoundError):  # it went meanwhile
                    found[above + name] = _version(entry.stat(follow_symlinks=False))
            if len(found) + len(folders) > MAX_WATCHED:
                raise ArgumentsError(f"more than {MAX_WATCHED} files; watch its parts")
    for name in folders:
        inner = f"{above}{name}/"
        if inner.count("/") > MAX_DEEP:
            continue
        try:
            with open_inside(handle, name, root, inner) as there:
                _survey(root, there, inner, found, unseen)
        except NotFoundError:
            continue
        except NotGrantedError:
            unseen.append(inner)


def _version(facts: os.stat_result) -> tuple[int, int, int]:
    return facts.st_size, facts.st_mtime_ns, facts.st_ino


def check_text(value: Any, name: str) -> None:
    """Refuse anything but a short text.

    Raises:
        ArgumentsError: It is not.
    """
    if type(value) is not str or not value or "\0" in value or len(value) > MAX_PATH:
        raise ArgumentsError(f"{name} is a text of 1 to {MAX_PATH} characters")


def _entries(handle: int, path: str) -> Iterator[tuple[str, bool]]:
    """Yield the names in an open folder, and whether each is a folder."""
    if not stat.S_ISDIR(os.fstat(handle).st_mode):
        raise ArgumentsError(f"{path} is not a folder")
    with os.scandir(handle) as entries:
        for count, entry in enumerate(entries):
            if count >= MAX_NAMES:
                raise ArgumentsError(f"{path} has more than {MAX_NAMES} names")
            yield entry.name, entry.is_dir(follow_symlinks=False)


def _walk(root: Root, path: str) -> Iterator[tuple[str, bool]]:
    """Yield all paths below a folder, relative to the root, and whether each is a folder."""
    waiting, seen = [PurePath(*parts_of(root, path))], 0
    while waiting:
        here = waiting.pop()
        inside = []
        with (
            contextlib.suppress(NotFoundError, NotGrantedError),
            open_below(root, str(here)) as handle,
        ):
            inside = sorted(_entries(handle, str(here)))
        for name, is_folder in inside:
            seen += 1
            if seen > MAX_WALKED:
                raise ArgumentsError(f"more than {MAX_WALKED} names; search in one folder")
            yield str(here / name), is_folder
            if is_folder:
                waiting.append(here / name)
