"""Opening what lies below one path, and nothing beside it: step by step, over no link.

    open /home -> ann -> notes -> a.txt

Each step is opened in the folder before it (``dir_fd``) with ``O_NOFOLLOW``. So neither ``..``, nor
a link, nor a folder that is renamed meanwhile leads out of what was granted. A system without
``dir_fd`` (Windows) compares resolved paths instead, which a rename at the right moment could beat.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import (
    ArgumentsError,
    NotFoundError,
    NotGrantedError,
    StorageError,
    StorageFullError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_PATH: Final = 4_096  # characters
_READ: Final = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)
_FOLDER: Final = _NO_LINK | getattr(os, "O_DIRECTORY", 0)
_FILE: Final = _NO_LINK | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_BY_STEPS: Final = os.open in os.supports_dir_fd and bool(_NO_LINK)
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_PASSING: Final = frozenset({errno.EIO, errno.EBUSY, errno.EAGAIN, errno.EMFILE, errno.ENFILE})


def parts_of(root: Path, path: Any) -> tuple[str, ...]:
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
def open_below(root: Path, path: str) -> Iterator[int]:
    """Open a file or folder below the root, over no link."""
    steps = (*root.parts[1:], *parts_of(root, path))
    with _coded(path or root.name, root):
        handle = _open_by_steps(root.anchor, steps) if _BY_STEPS else _open_resolved(root, path)
    try:
        with _coded(path or root.name, root):
            yield handle
    finally:
        os.close(handle)


@contextlib.contextmanager
def open_inside(folder: int, name: str) -> Iterator[int]:
    """Open a folder that stands in an open one, over no link."""
    with _coded(name, Path(name)):
        handle = os.open(name, _READ | _FOLDER, dir_fd=folder)
    try:
        with _coded(name, Path(name)):
            yield handle
    finally:
        os.close(handle)


@contextlib.contextmanager
def open_parent(root: Path, path: str) -> Iterator[tuple[int | None, str]]:
    """Open the folder of a path below the root, which may be missing itself.

    Yields:
        The folder, and the name in it; without ``dir_fd`` None, and the whole path.
    """
    steps = (*root.parts[1:], *parts_of(root, path))
    with _coded(path or root.name, root):
        if not steps:
            raise ArgumentsError("name a file in it")
        if not _BY_STEPS:
            full = root.joinpath(*parts_of(root, path))
            if full.parent.resolve() != full.parent:
                raise OSError(0, "links are not followed")
            yield None, str(full)
            return
        here = _open_by_steps(root.anchor, steps[:-1], last=_FOLDER)
        try:
            yield here, steps[-1]
        finally:
            os.close(here)


@contextlib.contextmanager
def _coded(path: str, root: Path) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"{root} has no {path}") from error
    except ValueError as error:  # half of a surrogate pair
        raise ArgumentsError(f"{path!r} is not a path") from error
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFullError(f"{path} cannot be written: the disk is full") from error
        if error.errno in _PASSING:
            raise StorageError(f"{path}: {error.strerror}") from error
        # a link, a loop of links, no leave to read, a name that is too long
        raise NotGrantedError(f"{path} cannot be opened: {error.strerror}") from error


def _open_by_steps(anchor: str, steps: Sequence[str], last: int = _FILE) -> int:
    here = os.open(anchor, _READ | _FOLDER)
    for number, step in enumerate(steps, 1):
        kind = last if number == len(steps) else _FOLDER
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
    full = root.joinpath(*parts_of(root, path))
    if full.resolve() != full:
        raise OSError(0, "links are not followed")
    return os.open(full, _READ | _FILE)
