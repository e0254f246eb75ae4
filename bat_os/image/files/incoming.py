"""The folder of an export, as an import reads it: nothing that lies in it is trusted."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any, Final, TextIO

from bat_os.core.schema import read_json
from bat_os.errors import ArgumentsError
from bat_os.image.files.belongings import FORMAT, MANIFEST, MARK
from bat_os.image.files.disk import check_absolute

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_FILE: Final = 64 << 20  # bytes of one file that is read
MAX_LINE: Final = 16 << 20  # characters of one line of a file that is read line by line
MAX_FILES: Final = 100_000


class Folder:
    """Reads the files of an export: none outside of it, none that is too big, no links.

    ArgumentsError: a file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        check_absolute(path, "the folder of an import")
        self._path = path
        manifest = self.json(MANIFEST, {})
        if not isinstance(manifest, dict) or manifest.get(MARK) != FORMAT:
            raise ArgumentsError(f"{path} was not written by batos export --all of this format")
        mind = manifest.get("mind")
        self.mind = str(mind.get("id", "?"))[:100] if isinstance(mind, dict) else "?"

    def text(self, name: str, default: str | None = None) -> str:
        """Return the text of a file; the default, or an error, where it is missing."""
        try:
            with self._open(name) as stream:
                if os.fstat(stream.fileno()).st_size > MAX_FILE:
                    raise ArgumentsError(f"{name} has more than {MAX_FILE} bytes")
                return stream.read(MAX_FILE)
        except FileNotFoundError as error:
            if default is not None:
                return default
            raise ArgumentsError(f"{name} is missing") from error
        except (OSError, UnicodeDecodeError) as error:
            raise ArgumentsError(f"{name} cannot be read: {error}") from error

    def lines(self, name: str) -> Iterator[str]:
        """Yield the lines of a file, however long it is; none where it is missing."""
        try:
            with self._open(name) as stream:
                while line := stream.readline(MAX_LINE + 1):
                    if len(line) > MAX_LINE:
                        raise ArgumentsError(f"{name} has a line of over {MAX_LINE} characters")
                    yield line
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError) as error:
            raise ArgumentsError(f"{name} cannot be read: {error}") from error

    def _open(self, name: str) -> TextIO:
        """Open a file of the folder; anything else that may lie there could lead or block us."""
        path = self._path / name
        if path.resolve() != self._path.resolve() / name:
            raise ArgumentsError(f"{name} is a link")
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        handle = os.open(path, flags)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise ArgumentsError(f"{name} is not a file")
        return os.fdopen(handle, encoding="utf-8", newline="\n")

    def json(self, name: str, default: Any) -> Any:
        """Return what a file of JSON holds."""
        return read_json(self.text(name, json.dumps(default)), ArgumentsError, name)

    def names(self, pattern: str) -> list[str]:
        """Return the files of a pattern, in order."""
        found = [path for _, path in zip(range(MAX_FILES), self._path.glob(pattern), strict=False)]
        return sorted(path.relative_to(self._path).as_posix() for path in found)

    def label(self, oids: Iterator[str] | list[str], here: str) -> list[str]:
        """Return a label of there as one of here, where its grants let nothing through."""
        home = "" if self.mind == here else f"{self.mind}/"
        return [f"{home}{oid}" for oid in oids]
