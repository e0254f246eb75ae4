"""What the zygote has in memory before it forks: all that a method may import, and no more.

A fork costs by the page and by the mapping, and so does every page that a child then writes to,
so the rules here are about size: modules that nothing may import are kept out, time zones stay
bytes until one is asked for, and no hook of a library runs in each new process.
"""

from __future__ import annotations

import codecs
import importlib
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

# Libraries import these where they are there, and do without them where they are not.
_KEPT_OUT: Final = ("bz2", "lzma", "ssl", "_sysconfigdata")
_CODECS: Final = (
    *("ascii", "latin-1", "iso8859-15", "cp1252", "cp437", "mac-roman", "idna", "punycode"),
    *("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "hex", "base64", "rot13"),
    *("unicode-escape", "raw-unicode-escape"),
)
_LAZY: Final = (
    "_strptime",
    "asyncio.runners",
    "ctypes",
    "inspect",
    "locale",
    "socket",
    "traceback",
)


def forget_fork_hooks() -> None:
    """Have the libraries that come now run nothing in a forked child.

    Their hooks make new locks and a new seed, and write to a hundred pages doing it. Here no
    lock is ever held at a fork, since there is one thread, and the seed is drawn by hand
    (world.py).
    """
    os.register_at_fork = lambda **hooks: None


def preload(modules: Sequence[str], zones: Sequence[str]) -> int:
    """Load ``modules`` and what they need at work; return how many time zones there are.

    After this, ordinary code opens no file.

    Args:
        modules: What methods may import.
        zones: Folders of time zone files.
    """
    for name in _KEPT_OUT:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # how import is told that there is none
    known = _load_zones(zones)
    for name in (*_LAZY, *modules):
        importlib.import_module(name)
    for name in _CODECS:
        codecs.lookup(name)
    _warm_up_libraries()
    for name in _KEPT_OUT:
        if sys.modules.get(name) is None:
            sys.modules.pop(name, None)
    return known


def _load_zones(folders: Sequence[str]) -> int:
    """Have ``ZoneInfo`` read its files from memory; return how many there are."""
    os.environ["PYTHONTZPATH"] = ""  # else a table of build settings is loaded to find the path
    import zoneinfo
    from zoneinfo import _common

    del os.environ["PYTHONTZPATH"]
    known: dict[str, bytes] = {}
    same: dict[bytes, bytes] = {}
    for folder in reversed(folders):
        root = Path(folder)
        for path in root.rglob("*"):
            name = path.relative_to(root).as_posix()
            if path.is_file() and not name.startswith(("posix/", "right/", "posixrules")):
                data = path.read_bytes()
                if data.startswith(b"TZif"):
                    known[name] = same.setdefault(data, data)

    def load_zone(key: str) -> io.BytesIO:
        if key not in known:
            raise zoneinfo.ZoneInfoNotFoundError(f"No time zone found with key {key}")
        return io.BytesIO(known[key])

    _common.load_tzdata = load_zone  # type: ignore[assignment]  # another stream of bytes
    zoneinfo.available_timezones = lambda: set(known)
    return len(known)


def _warm_up_libraries() -> None:
    """Call once what loads something at its first call."""
    import asyncio
    import hashlib
    import random
    import time
    import uuid
    from datetime import datetime

    datetime.strptime("2024", "%Y").astimezone().strftime("%c")
    time.tzset()
    hashlib.sha256(b"").hexdigest()
    random.seed()
    uuid.uuid4()
    asyncio.run(asyncio.sleep(0))
