"""Opening what lies below one path, and nothing beside it: step by step, over no link.

    open /home -> ann -> notes -> a.txt

Each step is opened in the folder before it (``dir_fd``) with ``O_NOFOLLOW``. So neither ``..``, nor
a link, nor a folder that is renamed meanwhile leads out of what was granted. What was opened is
looked at before the next step: BAT OS itself is refused, and what is guarded (``fence``). A system
without ``dir_fd`` (Windows) compares resolved paths instead, which a rename at the right moment
could beat.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass
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

    from bat_os.world.fence import Fence, Sight

MAX_PATH: Final = 4_096  # characters
_READ: Final = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)
_FOLDER: Final = _NO_LINK | getattr(os, "O_DIRECTORY", 0)
_FILE: Final = _NO_LINK | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_BY_STEPS: Final = os.open in os.supports_dir_fd and bool(_NO_LINK)
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_PASSING: Final = frozenset({errno.EIO, errno.EBUSY, errno.EAGAIN, errno.EMFILE, errno.ENFILE})


@dataclass(frozen=True, slots=True)
class Root:
    """What was granted: a path, and the fence around what it does not reach."""

    path: Path
    fence: Fence

    def __str__(self) -> str:
        """Return the path."""
        return str(self.path)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.name

    def full(self, path: Any) -> Path:
        """Return the whole path of one below it; raises as ``parts_of``."""
        return self.path.joinpath(*parts_of(self, path))


def parts_of(root: Root, path: Any) -> tuple[str, ...]:
    """Return the steps from the root to a path, which may be said in full.

    Raises:
        NotGrantedError: It leads out of the root, or through a guarded place.
    """
    if type(path) is not str or "\0" in path or len(path) > MAX_PATH:
        raise ArgumentsError(f"a path is a text of at most {MAX_PATH} characters")
    said = Path(path).expanduser() if path.startswith("~") else PurePath(path)
    outside = NotGrantedError(f"{path} is not in {root}")
    if said.is_absolute():
        if not said.is_relative_to(root.path):
            raise outside
        said = said.relative_to(root.path)
    if ".." in said.parts:
        raise outside
    root.fence.check_names(root.path, root.path / said)
    return said.parts


@contextlib.contextmanager
def open_below(root: Root, path: str) -> Iterator[int]:
    """Open a file or folder below the root, over no link."""
    parts = parts_of(root, path)
    with _coded(path or root.name, root):
        walk = _Walk(root, parts)
        handle = walk.open() if _BY_STEPS else walk.open_resolved()
    try:
        with _coded(path or root.name, root):
            yield handle
    finally:
        os.close(handle)


@contextlib.contextmanager
def open_inside(folder: int, name: str, root: Root, path: str) -> Iterator[int]:
    """Open a folder in an open one, over no link; ``path`` leads to it from the root."""
    parts_of(root, path)
    with _coded(name, root):
        handle = os.open(name, _READ | _FOLDER, dir_fd=folder)
    try:
        root.fence.look().check(os.fstat(handle), handle, name, below=True)
        with _coded(name, root):
            yield handle
    finally:
        os.close(handle)


@contextlib.contextmanager
def open_parent(root: Root, path: str) -> Iterator[tuple[int | None, str]]:
    """Open the folder of a path below the root, which may be missing itself.

    Yields:
        The folder, and the name in it; without ``dir_fd`` None, and the whole path.
    """
    parts = parts_of(root, path)
    with _coded(path or root.name, root):
        walk = _Walk(root, parts)
        if not walk.steps:
            raise ArgumentsError("name a file in it")
        if not _BY_STEPS:
            yield None, walk.resolve()
            return
        here = walk.open(short=True)
        try:
            walk.check_target(here)
            yield here, walk.steps[-1]
        finally:
            os.close(here)


class _Walk:
    """The way to one path, step by step; each is looked at before the next one."""

    def __init__(self, root: Root, parts: Sequence[str]) -> None:
        self.steps = (*root.path.parts[1:], *parts)
        self._anchor = Path(root.path.anchor)
        self._depth = len(root.path.parts) - 1  # steps to the root itself
        self._sight: Sight = root.fence.look()

    def open(self, *, short: bool = False) -> int:
        """Return the open file or folder; of a ``short`` walk the folder that it stands in."""
        steps = self.steps[:-1] if short else self.steps
        here = os.open(self._anchor, _READ | _FOLDER)
        for number, step in enumerate(steps, 1):
            kind = _FOLDER if short or number < len(steps) else _FILE
            try:
                there = _open_step(here, step, kind)
            finally:
                os.close(here)
            here = there
            try:
                self._check(os.fstat(here), here, step, number)
            except BaseException:
                os.close(here)
                raise
        return here

    def check_target(self, folder: int) -> None:
        """Refuse to change what stands under the last name in an open folder."""
        with contextlib.suppress(FileNotFoundError):
            facts = os.stat(self.steps[-1], dir_fd=folder, follow_symlinks=False)
            self._check(facts, None, self.steps[-1], len(self.steps))

    def resolve(self) -> str:
        """Return the whole path, compared with where it leads."""
        full = self._anchor.joinpath(*self.steps)
        if full.resolve() != full:
            raise OSError(0, "links are not followed")
        for number in range(1, len(self.steps) + 1):
            place = self._anchor.joinpath(*self.steps[:number])
            with contextlib.suppress(FileNotFoundError):
                self._check(place.stat(), place, place.name, number)
        return str(full)

    def open_resolved(self) -> int:
        """Return the open file or folder of a system that cannot walk."""
        handle = os.open(self.resolve(), _READ | _FILE)
        try:
            self._check(os.fstat(handle), None, self.steps[-1], len(self.steps))
        except BaseException:
            os.close(handle)
            raise
        return handle

    def _check(
        self, facts: os.stat_result, folder: int | Path | None, step: str, number: int
    ) -> None:
        self._sight.check(facts, folder, step, below=number > self._depth)


@contextlib.contextmanager
def _coded(path: str, root: Root) -> Iterator[None]:
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


def _open_step(here: int, step: str, kind: int) -> int:
    try:
        return os.open(step, _READ | kind, dir_fd=here)
    except NotADirectoryError:
        # With O_DIRECTORY a link is "not a directory": say that it is there and not followed.
        if stat.S_ISLNK(os.stat(step, dir_fd=here, follow_symlinks=False).st_mode):
            raise OSError(0, "links are not followed") from None
        raise
