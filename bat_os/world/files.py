"""The driver of folders and files: everything below one path, and nothing beside it.

    open /home -> ann -> notes -> a.txt     one step after the other, over no link

Each step is opened in the folder before it (``dir_fd``) with ``O_NOFOLLOW``. So neither ``..``, nor
a link, nor a folder that is renamed meanwhile leads out of what was granted. A system without
``dir_fd`` (Windows) compares resolved paths instead, which a rename at the right moment could beat.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fnmatch
import os
import stat
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import ArgumentsError, NotFoundError, NotGrantedError
from bat_os.ports import READ, Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Scope = Mapping[str, Any]

MAX_BYTES: Final = 1 << 20  # of one answer
MAX_NAMES: Final = 10_000  # of one folder
MAX_WALKED: Final = 20_000  # names that one search looks at
MAX_FOUND: Final = 200
MAX_PATH: Final = 4_096  # characters
_READ: Final = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)
_FOLDER: Final = _NO_LINK | getattr(os, "O_DIRECTORY", 0)
_FILE: Final = _NO_LINK | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_BY_STEPS: Final = os.open in os.supports_dir_fd and bool(_NO_LINK)


class Files:
    """Reads what is below one path. A scope is ``{"path": absolute path}``."""

    name = "files"

    def claims(self, what: str) -> bool:
        """Return True: what no other driver claims is a path."""
        return True

    def scope(self, what: str) -> dict[str, Any]:
        """Return the scope of a path that a person named.

        Raises:
            ArgumentsError: It is not a path.
            NotFoundError: It is neither a file nor a folder.
        """
        if not what or "\0" in what or len(what) > MAX_PATH:
            raise ArgumentsError("name a folder or a file")
        try:
            path = Path(what).expanduser()
            found = path.resolve()
            is_there = found.is_dir() or found.is_file()
        except (OSError, RuntimeError) as error:  # too long a name, a loop of links, nobody's home
            raise NotFoundError(f"{what} is neither a folder nor a file") from error
        if not path.is_absolute():
            raise ArgumentsError(f"{what!r} is not an absolute path")
        if not is_there:
            raise NotFoundError(f"{what} is neither a folder nor a file")
        return {"path": str(found)}

    def describe(self, scope: Scope) -> str:
        """Return what a grant of the scope lets in, for a person."""
        path = PurePath(scope["path"])
        with contextlib.suppress(ValueError, RuntimeError):
            return f"~/{path.relative_to(Path.home())}".removesuffix("/.")
        return str(path)

    def short_name(self, scope: Scope) -> str:
        """Return the last part of the path."""
        return PurePath(scope["path"]).name

    def operations(self, scope: Scope) -> Mapping[str, Operation]:
        """Return what can be done, by selector."""
        return _OPERATIONS

    def contains(self, outer: Scope, inner: Scope) -> bool:
        """Return whether a scope is a part of another one."""
        return PurePath(inner["path"]).is_relative_to(outer["path"])

    def perform(self, scope: Scope, operation: str, args: Sequence[Any], key: str = "") -> Any:
        """Do it, and return its answer. Blocks: to be called in a thread.

        Raises:
            NotGrantedError: A path leads out of the scope.
            NotFoundError: The file does not exist.
            ArgumentsError: The arguments do not fit, or the answer is too long.
        """
        return _PERFORM[operation](Path(scope["path"]), *args)


def read(root: Path, path: str = "", start: int = 0) -> str:
    """Return the text of a file, from the byte ``start``: at most 1 MB."""
    if type(start) is not int or start < 0:
        raise ArgumentsError("start is a number of bytes")
    with _open(root, path) as handle:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            raise ArgumentsError(f"{path or root.name} is not a file")
        os.lseek(handle, start, os.SEEK_SET)
        with open(handle, "rb", closefd=False) as stream:
            data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES and not start:
        text = f"{path or root.name} has {facts.st_size} bytes; read(path, start) reads 1 MB of it"
        raise ArgumentsError(text)
    return data[:MAX_BYTES].decode("utf-8", "replace").removeprefix("\ufeff")


def names(root: Path, path: str = "") -> list[str]:
    """Return the names in a folder, sorted; those of folders end in "/"."""
    with _open(root, path) as handle:
        found = [name + "/" * is_folder for name, is_folder in _entries(handle, path or root.name)]
    return sorted(found, key=lambda name: (name.casefold(), name))


def facts(root: Path, path: str = "") -> dict[str, Any]:
    """Return ``kind`` (file, folder or other), ``bytes`` and ``changed``, a moment in UTC."""
    with _open(root, path) as handle:
        found = os.fstat(handle)
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "folder"}
    return {
        "kind": kinds.get(stat.S_IFMT(found.st_mode), "other"),
        "bytes": found.st_size,
        "changed": dt.datetime.fromtimestamp(int(found.st_mtime), dt.UTC),
    }


def find(root: Path, pattern: str, path: str = "") -> list[str]:
    """Return the paths whose last part fits a pattern such as ``*.txt``; 200 at most."""
    wanted = _text(pattern, "pattern").casefold()
    return [
        shown for shown, _ in _walk(root, path) if fnmatch.fnmatch(_last(shown).casefold(), wanted)
    ][:MAX_FOUND]


def search(root: Path, text: str, path: str = "") -> list[dict[str, Any]]:
    """Return ``path``, ``line`` and ``text`` of the lines that contain a text; 200 at most."""
    wanted, found = _text(text, "text").casefold(), list[dict[str, Any]]()
    for shown, is_folder in _walk(root, path):
        if is_folder or len(found) >= MAX_FOUND:
            continue
        with contextlib.suppress(ArgumentsError, NotFoundError, NotGrantedError):
            lines = read(root, shown).splitlines()
            found += [
                {"path": shown, "line": number, "text": line.strip()[:500]}
                for number, line in enumerate(lines, 1)
                if wanted in line.casefold()
            ]
    return found[:MAX_FOUND]


_PERFORM: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {"read": read, "names": names, "facts": facts, "find": find, "search": search}
)
_OPERATIONS: Final = MappingProxyType(dict.fromkeys(_PERFORM, Operation(READ)))


def _text(value: Any, name: str) -> str:
    if type(value) is not str or not value or "\0" in value or len(value) > MAX_PATH:
        raise ArgumentsError(f"{name} is a text of 1 to {MAX_PATH} characters")
    return value


def _last(path: str) -> str:
    return PurePath(path).name


def _parts(root: Path, path: Any) -> tuple[str, ...]:
    """Return the steps from the root to a path, which may be said in full.

    Raises:
        NotGrantedError: It leads out of the root.
    """
    if type(path) is not str or "\0" in path or len(path) > MAX_PATH:
        raise ArgumentsError(f"a path is a text of at most {MAX_PATH} characters")
    said = Path(path).expanduser() if path.startswith("~") else PurePath(path)
    outside = NotGrantedError(f"{path} is not in {root}")
    if said.is_absolute():
        if not said.is_relative_to(root):
            raise outside
        said = said.relative_to(root)
    if ".." in said.parts:
        raise outside
    return said.parts


@contextlib.contextmanager
def _open(root: Path, path: str) -> Iterator[int]:
    """Open a file or folder below the root, over no link."""
    steps = (*root.parts[1:], *_parts(root, path))
    with _coded(path or root.name, root):
        handle = _open_by_steps(root.anchor, steps) if _BY_STEPS else _open_resolved(root, path)
    try:
        with _coded(path or root.name, root):
            yield handle
    finally:
        os.close(handle)


@contextlib.contextmanager
def _coded(path: str, root: Path) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"{root} has no {path}") from error
    except ValueError as error:  # half of a surrogate pair
        raise ArgumentsError(f"{path!r} is not a path") from error
    except OSError as error:  # a link, a loop of links, no leave to read, a name that is too long
        raise NotGrantedError(f"{path} cannot be opened: {error.strerror}") from error


def _open_by_steps(anchor: str, steps: Sequence[str]) -> int:
    here = os.open(anchor, _READ | _FOLDER)
    for number, step in enumerate(steps, 1):
        kind = _FILE if number == len(steps) else _FOLDER
        try:
            there = os.open(step, _READ | kind, dir_fd=here)
        except NotADirectoryError:
            # With O_DIRECTORY a link is "not a directory": say that it is there and not followed.
            if stat.S_ISLNK(os.stat(step, dir_fd=here, follow_symlinks=False).st_mode):
                raise OSError(0, "links are not followed") from None
            raise
        finally:
            os.close(here)
        here = there
    return here


def _open_resolved(root: Path, path: str) -> int:
    full = root.joinpath(*_parts(root, path))
    if full.resolve() != full:
        raise OSError(0, "links are not followed")
    return os.open(full, _READ | _FILE)


def _entries(handle: int, path: str) -> Iterator[tuple[str, bool]]:
    """Yield the names in an open folder, and whether each is a folder."""
    if not stat.S_ISDIR(os.fstat(handle).st_mode):
        raise ArgumentsError(f"{path} is not a folder")
    with os.scandir(handle) as entries:
        for count, entry in enumerate(entries):
            if count >= MAX_NAMES:
                raise ArgumentsError(f"{path} has more than {MAX_NAMES} names")
            yield entry.name, entry.is_dir(follow_symlinks=False)


def _walk(root: Path, path: str) -> Iterator[tuple[str, bool]]:
    """Yield all paths below a folder, relative to the root, and whether each is a folder."""
    waiting, seen = [PurePath(*_parts(root, path))], 0
    while waiting:
        here = waiting.pop()
        inside = []
        with contextlib.suppress(NotFoundError, NotGrantedError), _open(root, str(here)) as handle:
            inside = sorted(_entries(handle, str(here)))
        for name, is_folder in inside:
            seen += 1
            if seen > MAX_WALKED:
                raise ArgumentsError(f"more than {MAX_WALKED} names; search in one folder")
            yield str(here / name), is_folder
            if is_folder:
                waiting.append(here / name)
