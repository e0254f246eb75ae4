"""The driver of folders and files: everything below one path, and nothing beside it.

What it reads stands in ``bat_os.world.reading``. What it changes, once the turn that wants it is
committed, in ``bat_os.world.writing``.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.printable import show_on_one_line
from bat_os.errors import ArgumentsError, BatError, NotFoundError
from bat_os.ports import READ, STAGE, Deed, Operation, Survey
from bat_os.world import writing
from bat_os.world.fence import Fence, guarded
from bat_os.world.paths import MAX_PATH, Root
from bat_os.world.reading import MAX_BYTES as MAX_BYTES
from bat_os.world.reading import facts, find, load, names, read, search, survey

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Scope = Mapping[str, Any]

MAX_NAME: Final = 255  # bytes
_READS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {"read": read, "names": names, "facts": facts, "find": find, "search": search}
)
_OPERATIONS: Final = MappingProxyType(
    {
        **dict.fromkeys(_READS, Operation(READ)),
        "write": Operation(STAGE, repeatable=True),
        "append": Operation(STAGE),  # twice is twice: after a kill the driver looks what is there
        "remove": Operation(STAGE, repeatable=True),
    }
)


class Files:
    """What is below one path. A scope is ``{"path": absolute path}``."""

    name = "files"

    def __init__(self, fence: Fence | None = None) -> None:
        self._fence = fence or Fence()

    def claims(self, what: str) -> bool:
        """Return True: what no other driver claims is a path."""
        return True

    def scope(self, what: str) -> dict[str, Any]:
        """Return the scope of a path that a person named.

        Raises:
            ArgumentsError: It is not a path.
            NotFoundError: It is neither a file nor a folder.
            NotGrantedError: Nobody can grant it.
        """
        return self._granted(self._find(what))

    def _find(self, what: str) -> Path:
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
        return found

    def _granted(self, path: Path) -> dict[str, Any]:
        self._fence.check_grant(path)
        return {"path": str(path)}

    def _root(self, scope: Scope) -> Root:
        path = Path(scope["path"])
        self._fence.check_root(path)  # an older program let more be granted
        return Root(path, self._fence)

    def describe(self, scope: Scope) -> str:
        """Return what a grant of the scope lets in, for a person."""
        path = PurePath(scope["path"])
        with contextlib.suppress(ValueError, RuntimeError):
            below = show_on_one_line(str(path.relative_to(Path.home())))
            return f"~/{below}".removesuffix("/.")
        return show_on_one_line(str(path))

    def short_name(self, scope: Scope) -> str:
        """Return the last part of the path."""
        return PurePath(scope["path"]).name

    def operations(self, scope: Scope) -> Mapping[str, Operation]:
        """Return what can be done, by selector."""
        return _OPERATIONS

    def contains(self, outer: Scope, inner: Scope) -> bool:
        """Return whether a scope is a part of another one, and not guarded there."""
        root, path = PurePath(outer["path"]), PurePath(inner["path"])
        return path.is_relative_to(root) and guarded(root, path) is None

    def may_offer(self, what: str) -> bool:
        """Return whether a question may offer a grant of a path for good."""
        try:
            return self._fence.may_offer(PurePath(os.path.realpath(Path(what).expanduser())))
        except (OSError, RuntimeError, ValueError):
            return False

    def reaches(self, scope: Scope, what: str) -> bool:
        """Return whether a path leads into the scope; one without a beginning, to what is there."""
        try:
            path = Path(what).expanduser()
            if path.is_absolute():
                return self.contains(scope, {"path": str(path)})
            return bool(what) and bool(self.perform(scope, "facts", (what,)))
        except (BatError, OSError, RuntimeError, ValueError):
            return False

    def perform(self, scope: Scope, operation: str, args: Sequence[Any], key: str = "") -> Any:
        """Do it, and return its answer. Blocks: to be called in a thread.

        Raises:
            NotGrantedError: A path leads out of the scope.
            NotFoundError: The file does not exist.
            ArgumentsError: The arguments do not fit, or the answer is too long.
        """
        root = self._root(scope)
        if operation in writing.DEEDS:
            return writing.perform(root, operation, args, key)
        return _READS[operation](root, *args)

    def scope_to_change(self, what: str) -> dict[str, Any]:
        """Return the scope of a path whose last part may be missing. Raises as ``scope``."""
        try:
            return self.scope(what)
        except NotFoundError:
            name = PurePath(what).name
            if not name or name in (".", "..") or len(os.fsencode(name)) > MAX_NAME:
                raise
            folder = self._find(str(PurePath(what).parent))
            if not folder.is_dir() or os.path.lexists(folder / name):
                raise  # a link to nothing, a pipe
            return self._granted(folder / name)

    def survey(self, scope: Scope) -> Survey:
        """Return the version of each file in the scope. Blocks. Raises as ``perform``."""
        return survey(self._root(scope))

    def load(self, scope: Scope, path: str, most: int) -> bytes:
        """Return all bytes of a file in the scope. Blocks. Raises as ``perform``.

        Raises:
            TooLargeError: It has more than ``most``.
        """
        return load(self._root(scope), path, most)

    def pretend(self, deed: Deed) -> Any:
        """Return the answer to a deed; raises as the deed, as far as that is known before."""
        return writing.pretend(self._root(deed.scope), deed.operation, deed.args)

    def preview(self, deed: Deed) -> str:
        """Return what a deed does, for a person."""
        full = self._root(deed.scope).full(deed.args[0])
        return writing.preview(self.describe({"path": str(full)}), deed.operation, deed.args)

    def canonical(self, deed: Deed) -> tuple[str, Any]:
        """Return the full path of the file, and what a deed does to it."""
        path = str(self._root(deed.scope).full(deed.args[0]))
        return path, writing.canonical(deed.operation, deed.args)

    def overlay(
        self, scope: Scope, operation: str, args: Sequence[Any], staged: Sequence[Deed]
    ) -> Any:
        """Return what a read would answer if the deeds were done."""
        later = writing.Later([(self._root(each.scope), each) for each in staged])
        return later.answer(self._root(scope), operation, args)

    def look(self, deed: Deed) -> dict[str, Any]:
        """Return what the file of a deed holds."""
        return writing.look(self._root(deed.scope), deed.args)

    def was_done(self, deed: Deed, before: Mapping[str, Any]) -> bool | None:
        """Return whether the file is as a deed leaves it."""
        return writing.was_done(self._root(deed.scope), deed.operation, deed.args, before)

    def undoing(self, deed: Deed, before: Mapping[str, Any]) -> Deed | None:
        """Return the deed that gives the file back what it held."""
        args = writing.undoing(deed.operation, deed.args, before)
        return None if args is None else Deed(deed.scope, writing.PUT_BACK, args)
