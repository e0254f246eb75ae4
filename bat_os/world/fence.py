"""What no grant reaches, and what a grant reaches only if it names it.

    ~/notes/a.txt        in a grant of ~       yes
    ~/.bashrc            in a grant of ~       no: programs start from it. In one of ~/.bashrc, yes
    the home of BAT OS   in any grant          no

The list is data, ``guarded.toml``. BAT OS's own places are known by device and inode, and by
the files in them, wherever they lie; the others by their names, and by where links among them lead.
"""

from __future__ import annotations

import os
import re
import stat
import time
import tomllib
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from fnmatch import translate
from functools import cache, lru_cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final

from bat_os.errors import NotGrantedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Key = tuple[int, int]  # device and inode

# Only a person makes links to or from such places: neither drivers nor caged programs can.
LINKS_SECONDS: Final = 1.0
MAX_SEEN: Final = 200_000  # names in folders that a program is to have
MAX_LISTED: Final = 2_000  # names of one guarded folder whose links are followed
STARTS, KEYS = "starts", "keys"
_LIST: Final = Path(__file__).with_name("guarded.toml")


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of guarded place."""

    said: str  # as it stands in the list
    names: tuple[str, ...]  # folded; ``*`` and ``?`` stand for parts of a name
    start: str  # "~" in a home folder, "/" at the root of a disk, "" anywhere
    holds_keys: bool

    def __str__(self) -> str:
        """Return the row as it stands in the list."""
        return self.said


@dataclass(frozen=True, slots=True)
class Sight:
    """What is known at one moment, by device and inode."""

    own: frozenset[Key]  # BAT OS's own places, and other names of their files
    links: frozenset[Key]  # where links among the guarded places lead, and other names of them

    def check(
        self, facts: os.stat_result, folder: int | Path | None, shown: str, *, below: bool = False
    ) -> None:
        """Refuse what was opened on the way to a path, or is about to be changed.

        Args:
            facts: Of what was opened.
            folder: The open folder, or its path; None if it is none.
            shown: Its name, for a person.
            below: Whether it lies below the root of the grant.

        Raises:
            NotGrantedError: It belongs to BAT OS, or is another name of a guarded place.
        """
        is_folder = folder is not None and stat.S_ISDIR(facts.st_mode)
        if _key(facts) in self.own or (is_folder and has_marks(folder)):
            raise NotGrantedError(f"{shown} belongs to BAT OS itself, which no grant reaches")
        if facts.st_dev in _machine_devices():
            raise NotGrantedError(f"{shown} is a part of this machine, which no grant reaches")
        if below and _key(facts) in self.links:
            raise NotGrantedError(
                f"{shown} is another name of a guarded place; only a grant that names it reaches it"
            )

    def knows(self, path: Path) -> bool:
        """Return whether a path is one of them."""
        facts = _facts(path)
        return facts is not None and _key(facts) in self.own | self.links


class Fence:
    """Says how far a grant reaches.

    Attributes:
        own: BAT OS's own places that are known: the home, and the others of this user.
        program: Where the program lies.
    """

    def __init__(self, own: Iterable[Path] = (), program: Iterable[Path] = ()) -> None:
        self.own, self.program = tuple(own), tuple(program)
        self._links: tuple[float, frozenset[Key], frozenset[Key]] = (0.0, frozenset(), frozenset())

    def check_root(self, path: PurePath) -> None:
        """Refuse a path that nobody can grant, whatever lies there.

        Raises:
            NotGrantedError: It is a whole disk, or a part of the machine.
        """
        names = _folded(path)
        if not names:
            raise NotGrantedError(f"{path} is a whole disk, which cannot be granted; name a folder")
        if str(path).startswith(("\\\\.\\", "\\\\?\\")) or _is_machine(names):
            raise NotGrantedError(f"{path} is a part of this machine, which cannot be granted")

    def check_grant(self, path: Path) -> None:
        """Refuse a path that nobody can grant, as it is now. Blocks.

        Args:
            path: Resolved.

        Raises:
            NotGrantedError: It is a whole disk, a part of the machine, or BAT OS itself.
        """
        self.check_root(path)
        sight = self.look()
        for place in (path, *path.parents):
            if facts := _facts(place):
                sight.check(facts, place, str(path))

    def may_offer(self, path: PurePath) -> bool:
        """Return whether a question may offer a path for good to a person.

        Not a home folder, what is above one or beside it, a top folder of a disk, or what is
        guarded.
        """
        names = _folded(path)
        return not (len(names) < 2 or _holds_home(names) or guarded(PurePath(path.anchor), path))

    def check_names(self, root: PurePath, path: PurePath) -> None:
        """Refuse a path below the root of a grant that leads through a guarded place.

        Raises:
            NotGrantedError: It does.
        """
        if row := guarded(root, path):
            why = "keys or passwords lie there" if row.holds_keys else "programs start from there"
            raise NotGrantedError(
                f"{path} is guarded ({row}): {why}, and only a grant that names it reaches it"
            )

    def check_whole(self, folder: PurePath) -> None:
        """Refuse a folder for a program to change in which it could make guarded places.

        Raises:
            NotGrantedError: It is a home folder or above one, or leads to such places.
        """
        names = _folded(folder)
        if _holds_home(names) or any(_fit(names[-len(row) :], row) for row in _table().above):
            raise NotGrantedError(
                f"{folder} reaches too far for a program: others start from what lies in it; "
                "name a folder in it"
            )

    def look(self) -> Sight:
        """Return BAT OS's own places and other names of guarded ones, as they are now. Blocks."""
        found = (_facts(path) for path in (*self.own, *self.program))
        known = frozenset(_key(facts) for facts in found if facts)
        looked, own, links = self._links
        if time.monotonic() - looked > LINKS_SECONDS or not looked:
            own = frozenset(key for home in self.own for key in _shared_files(home, deep=2))
            links = frozenset(key for place in _places(Path.home()) for key in _linked(place))
            self._links = time.monotonic(), own, links
        return Sight(known | own, links)

    def inside(self, folders: Iterable[str], code: Sequence[str] = ()) -> dict[str, bool]:
        """Return the guarded places in folders that a program is to have. Blocks.

        Each with whether it is to be hidden, for it holds keys or is BAT OS's own; the others must
        not be changed.

        Args:
            folders: Whole paths, without links.
            code: Where the program itself lies: what holds it stays visible.

        Raises:
            NotGrantedError: They hold more names than can be looked at.
        """
        sight = self.look()
        numbers = {number for _, number in sight.own | sight.links}
        found, left = dict[str, bool](), MAX_SEEN
        for root in map(Path, folders):
            waiting = [root] if root.is_dir() else []
            while waiting:
                here = waiting.pop()
                entries = list(_entries(here, left))
                left -= len(entries)
                if left <= 0:
                    text = f"{root} holds more than {MAX_SEEN} names; name a folder in it"
                    raise NotGrantedError(text)
                if _carries({entry.name for entry in entries}) and here != root:
                    found[str(here)] = True
                    continue
                for entry in entries:
                    path, is_folder = here / entry.name, entry.is_dir(follow_symlinks=False)
                    if entry.inode() in numbers and sight.knows(path):
                        found[str(path)] = not any(Path(each).is_relative_to(path) for each in code)
                    elif row := guarded(here, path):
                        found[str(path)] = row.holds_keys
                    elif is_folder:
                        waiting.append(path)
        return found


def guarded(root: PurePath, path: PurePath) -> Row | None:
    """Return the row of the first guarded place on the way from a root to a path; None if none."""
    if not path.is_relative_to(root):
        return None
    names, first, homes = _folded(path), len(_folded(root)), _homes(str(Path.home()))
    return next((row for many in range(first + 1, len(names) + 1)
                 if (row := _row_of(names[:many], homes))), None)  # fmt: skip


def has_marks(folder: int | Path | None) -> bool:
    """Return whether a folder holds what BAT OS's homes, forks and backups hold."""
    return any(all(_holds(folder, name) for name in row) for row in _table().marks)


@dataclass(frozen=True)
class _Table:
    """The list, read."""

    homes: tuple[tuple[str, ...], ...]
    marks: tuple[tuple[str, ...], ...]
    machine: tuple[str, ...]
    rows: tuple[Row, ...]
    by_last: Mapping[str, tuple[Row, ...]]  # those whose last name has no * and no ?
    patterns: tuple[Row, ...]  # the others
    likely: re.Pattern[str]  # names that one of the others may fit
    above: tuple[tuple[str, ...], ...]  # the beginnings of rows of several names


@cache
def _table() -> _Table:
    read = tomllib.loads(_LIST.read_text(encoding="utf-8"))
    rows, by_last = list[Row](), defaultdict[str, list[Row]](list)
    for group in (STARTS, KEYS):
        for said in (row for kind in read[group].values() for row in kind):
            start = said[0] if said[0] in "~/" else ""
            names = _folded(PurePath(said.removeprefix("~").lstrip("/")), whole=False)
            rows.append(Row(said, names, start, group == KEYS))
    patterns = tuple(row for row in rows if _is_pattern(row.names[-1]))
    for row in rows:
        by_last[row.names[-1]].append(row)
    above = {row.names[:many] for row in rows if not row.start for many in range(1, len(row.names))}
    return _Table(
        homes=tuple(_folded(PurePath(each)) for each in read["homes"]),
        marks=tuple(map(tuple, read["marks"])),
        machine=tuple(each.strip("/") for each in read["machine"]),
        rows=tuple(rows),
        by_last={name: tuple(held) for name, held in by_last.items()},
        patterns=patterns,
        likely=re.compile("|".join(translate(row.names[-1]) for row in patterns)),
        above=tuple(sorted(above)),
    )


@lru_cache(maxsize=8_192)
def _row_of(names: tuple[str, ...], homes: tuple[tuple[str, ...], ...]) -> Row | None:
    """Return the row that a whole path, folded, is a place of."""
    table = _table()
    likely = table.by_last.get(names[-1], ())
    if table.likely.match(names[-1]):
        likely = (*likely, *table.patterns)
    for row in likely:
        before = names[: -len(row.names)]
        starts = {"": True, "/": not before, "~": any(_fit(before, home) for home in homes)}
        if starts[row.start] and _fit(names[-len(row.names) :], row.names):
            return row
    return None


@lru_cache(maxsize=16)
def _homes(home: str) -> tuple[tuple[str, ...], ...]:
    """Return the home folders of people, folded: this one's, which may be a link, and others."""
    own = {_folded(PurePath(home)), _folded(PurePath(os.path.realpath(home)))}
    return (*own, *_table().homes)


def _holds_home(names: tuple[str, ...]) -> bool:
    """Return whether a folder is a home folder, or above one."""
    return any(_fit(names, home[: len(names)]) for home in _homes(str(Path.home())))


def _fit(names: tuple[str, ...], row: tuple[str, ...]) -> bool:
    """Return whether names are those of a row, one by one."""
    return len(names) == len(row) and all(
        one == each or (_is_pattern(each) and re.match(translate(each), one) is not None)
        for one, each in zip(names, row, strict=True)
    )


def _is_pattern(name: str) -> bool:
    return "*" in name or "?" in name


def _folded(path: PurePath, *, whole: bool = True) -> tuple[str, ...]:
    """Return the names of a path, below its disk, as systems that mind little compare them."""
    parts = path.parts[1:] if whole and path.anchor else path.parts
    return tuple(map(_fold, parts))


@lru_cache(maxsize=16_384)
def _fold(name: str) -> str:
    plain = unicodedata.normalize("NFKC", name).casefold()
    seen = "".join(char for char in plain if unicodedata.category(char) not in ("Cf", "Cc"))
    # Windows: "x.", "x " and "x::$DATA" are x.
    return (seen.partition(":")[0] or seen).rstrip(". ") or seen


def _is_machine(names: tuple[str, ...]) -> bool:
    return os.name == "posix" and names[0] in _table().machine


@cache
def _machine_devices() -> frozenset[int]:
    """Return the devices of the machine's own folders, which may be mounted anywhere."""
    root, found = _facts(Path("/")), set[int]()
    for name in _table().machine if os.name == "posix" else ():
        if (facts := _facts(Path("/", name))) and root and facts.st_dev != root.st_dev:
            found.add(facts.st_dev)
    return frozenset(found)


def _holds(folder: int | Path | None, name: str) -> bool:
    try:
        if isinstance(folder, int):
            os.stat(name, dir_fd=folder, follow_symlinks=False)
        elif folder is not None:
            (folder / name).lstat()
    except OSError:
        return False
    return True


def _carries(names: set[str]) -> bool:
    return any(names.issuperset(row) for row in _table().marks)


def _facts(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _key(facts: os.stat_result) -> Key:
    return facts.st_dev, facts.st_ino


def _entries(folder: Path, most: int) -> Iterator[os.DirEntry[str]]:
    """Yield what is in a folder, up to a number; nothing of one that cannot be read."""
    try:
        with os.scandir(folder) as entries:
            for count, entry in enumerate(entries):
                if count >= most:
                    return
                yield entry
    except OSError:
        return


def _shared_files(folder: Path, deep: int) -> Iterator[Key]:
    """Yield the files in a folder that have another name somewhere (a hard link)."""
    for entry in _entries(folder, MAX_LISTED):
        try:
            if entry.is_dir(follow_symlinks=False):
                if deep > 1:
                    yield from _shared_files(folder / entry.name, deep - 1)
                continue
            facts = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        if stat.S_ISREG(facts.st_mode) and facts.st_nlink > 1:
            yield _key(facts)


def _places(home: Path) -> set[Path]:
    """Return the guarded places of a home that can be named without a look at the whole of it."""
    there = {entry.name for entry in _entries(home, MAX_LISTED)}
    places = {home / name for name in there if guarded(home, home / name)}
    for row in _table().rows:
        inner = PurePath(row.said.removeprefix("~/"))
        if row.start != "/" and inner.parts[0] in there and not _is_pattern(row.said):
            places.add(home / inner)
    return places


def _linked(place: Path) -> Iterator[Key]:
    """Yield what else a guarded place is: where it or links in it lead, files of two names."""
    try:
        facts = place.lstat()
    except OSError:
        return
    if stat.S_ISLNK(facts.st_mode):
        if target := _facts(place):
            yield _key(target)
    elif stat.S_ISDIR(facts.st_mode):
        yield from _shared_files(place, 1)
        for link in (each for each in _entries(place, MAX_LISTED) if each.is_symlink()):
            if (target := _facts(Path(link.path))) and stat.S_ISREG(target.st_mode):
                yield _key(target)
    elif facts.st_nlink > 1:
        yield _key(facts)
