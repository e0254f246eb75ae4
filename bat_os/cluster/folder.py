"""Kernels of one machine: a locked file each, in a folder that they share.

    KERNEL.lock   held by the kernel's process, and let go by the system when that ends
    KERNEL.json   what it says of itself
    NAME.held     what only one may do at a time
    id            made by the first

A kernel that is only stopped lives: its watchdog ends it, not the others. The files stay: removing
a lock that another process is about to take would let two hold it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import time
from typing import TYPE_CHECKING, Any, Final

from zc.lockfile import LockError, LockFile

from bat_os.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PATIENCE: Final = 2.0  # seconds for a lock that another process only looks at
LARGEST: Final = 10_000  # bytes of what a kernel says of itself
MOST: Final = 1_000  # kernels
_NAME: Final = re.compile(r"[0-9a-f]{1,40}", re.ASCII)


class FolderCluster:
    """``bat_os.ports.Cluster`` over locked files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kernel = ""
        self._alive: LockFile | None = None
        self._held: dict[str, LockFile] = {}
        self._id = ""

    def read_id(self) -> str:
        """Return what is in the file ``id``; made if missing."""
        if not self._id:
            path = self._folder / "id"
            with _coded(self._folder):
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                with contextlib.suppress(FileExistsError):
                    draft = path.with_name(f"{secrets.token_hex(8)}.new")
                    draft.write_text(secrets.token_hex(16), encoding="ascii")
                    try:
                        os.link(draft, path)  # whole, or not at all; the first wins
                    finally:
                        draft.unlink()
                self._id = path.read_text(encoding="ascii")
        return self._id

    def join(self, kernel: str, about: Mapping[str, Any]) -> None:
        """Hold the kernel's file from now on."""
        assert _NAME.fullmatch(kernel), kernel  # noqa: S101 - it names a file
        self.read_id()  # the folder is there
        with _coded(self._folder):
            path = self._folder / f"{kernel}.json"
            path.with_suffix(".new").write_text(json.dumps(dict(about)), encoding="utf-8")
            path.with_suffix(".new").replace(path)
            give_up = time.monotonic() + PATIENCE
            while self._alive is None:
                try:
                    self._alive = LockFile(str(self._folder / f"{kernel}.lock"))
                except LockError as error:
                    if time.monotonic() >= give_up:
                        text = f"another process is the kernel {kernel} in {self._folder}"
                        raise StorageError(text) from error
                    time.sleep(0.02)
        self._kernel = kernel

    def look(self) -> dict[str, dict[str, Any]]:
        """Return the kernels whose files are held."""
        living = {}
        with _coded(self._folder):
            paths = sorted(self._folder.glob("*.lock"))[:MOST]
            for path in paths:
                if path.stem == self._kernel or _is_held(path):
                    living[path.stem] = _read(path.with_suffix(".json"))
        return living

    def hold(self, name: str) -> bool:
        """Return True if this process holds the file of that name."""
        if name not in self._held:
            with _coded(self._folder):
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                try:
                    self._held[name] = LockFile(str(self._folder / f"{name}.held"))
                except LockError:
                    return False
        return True

    def release(self, name: str) -> None:
        """Let the file of that name go."""
        if held := self._held.pop(name, None):
            held.close()

    def leave(self) -> None:
        """Let all files go."""
        for name in list(self._held):
            self.release(name)
        if self._alive is not None:
            self._alive.close()
            self._alive = None


def _is_held(path: Path) -> bool:
    try:
        LockFile(str(path)).close()
    except LockError:
        return True
    return False


def _read(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError, RecursionError), path.open("rb") as stream:
        data = json.loads(stream.read(LARGEST))
        return data if isinstance(data, dict) else {}
    return {}


@contextlib.contextmanager
def _coded(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"the folder of the cluster, {folder}, fails: {error}") from error
