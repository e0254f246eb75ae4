"""A directory of minds: which there are, by name, and where a client finds each.

    minds.json:  {"minds": {"work": {"home": "/srv/work"},
                            "ann": {"connect": "tcp://10.0.0.7:5556", "key_file": "/home/a/key"}}}

One mind is one image with a home on this machine, or behind a door for keys. Many of them share a
machine, or a PostgreSQL server with a database each. The file may be one that a room of machines
shares (``BATOS_MINDS``); it holds no secret, a key file is only named.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from bat_os.core.schema import Record, convert, field, read_json, text
from bat_os.errors import ArgumentsError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

PLACE: Final = "BATOS_MINDS"
MOST: Final = 10_000
MAX_BYTES: Final = 4 << 20
_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}"
_DOOR: Final = r"(tcp://[^\s/]{1,200}:\d{1,5})?"


class Mind(Record, frozen=True):
    """Where one mind is: a home on this machine, or a door and the key to it."""

    home: Annotated[str, text(1000)] = ""
    connect: Annotated[str, text(250, pattern=_DOOR, takes="tcp://HOST:PORT")] = ""
    key_file: Annotated[str, text(1000)] = ""

    def __post_init__(self) -> None:
        if bool(self.home) == bool(self.key_file):
            raise ValueError("a mind has a home, or a key_file of a daemon elsewhere")
        if self.connect and not self.key_file:
            raise ValueError("connect needs a key_file; batos keys make NAME writes one")
        if not all(Path(place).is_absolute() for place in (self.home, self.key_file) if place):
            raise ValueError("home and key_file are whole paths")


class _File(Record, frozen=True):
    minds: dict[Annotated[str, text(63, pattern=_NAME)], Mind] = field(default_factory=dict)


def directory(environ: Mapping[str, str]) -> Path:
    """Return the file of the directory; one that an earlier program made stays where it is."""
    if named := environ.get(PLACE):
        return Path(named).absolute()
    base = Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    place, older = (base / folder / "minds.json" for folder in ("batos", "bat-os"))
    return older if older.exists() and not place.exists() else place


def read_minds(path: Path) -> dict[str, Mind]:
    """Return the minds by name; none where there is no file.

    Raises:
        SettingsError: The file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"the directory of minds cannot be read: {error}") from error
    if len(raw) > MAX_BYTES:
        raise SettingsError(f"{path} is longer than {MAX_BYTES} bytes")
    data = read_json(raw, SettingsError, str(path))
    return convert(data, _File, SettingsError, str(path)).minds


def find_mind(environ: Mapping[str, str], name: str) -> Mind:
    """Return the mind of that name.

    Raises:
        SettingsError: The directory has none, or cannot be read.
    """
    minds = read_minds(directory(environ))
    if name not in minds:
        known = ", ".join(sorted(minds)[:8]) or "none"
        raise SettingsError(
            f"there is no mind {name[:60]!r}; there are: {known}; batos minds add NAME enters one"
        )
    return minds[name]


def add_mind(path: Path, name: str, mind: Mind) -> None:
    """Enter a mind; one of the same name is replaced.

    Raises:
        ArgumentsError: The name cannot be used, or there are MOST minds.
    """
    if not re.fullmatch(_NAME, name):
        raise ArgumentsError(
            f"{name[:60]!r} cannot name a mind; use at most 63 letters, digits, . _ and -"
        )
    minds = read_minds(path)
    if len(minds) >= MOST and name not in minds:
        raise ArgumentsError(f"the directory has {MOST} minds; keep another one in BATOS_MINDS")
    _write(path, minds | {name: mind})


def remove_mind(path: Path, name: str) -> Mind:
    """Take a mind out of the directory; what it knows stays where it is.

    Raises:
        ArgumentsError: There is none of that name.
    """
    minds = read_minds(path)
    if name not in minds:
        raise ArgumentsError(f"there is no mind {name[:60]!r}; batos minds lists them")
    gone = minds.pop(name)
    _write(path, minds)
    return gone


def _write(path: Path, minds: Mapping[str, Mind]) -> None:
    keys = "home", "connect", "key_file"
    rows = {
        name: {key: value for key in keys if (value := getattr(one, key))}
        for name, one in sorted(minds.items())
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(json.dumps({"minds": rows}, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)
