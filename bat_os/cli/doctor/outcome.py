"""What the checks of ``batos doctor`` start from, and what each of them finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.settings import Settings
from bat_os.models.profiles import show_size

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bat_os.supervisor.home import Home

OK: Final = "ok"
WARNING: Final = "warning"
BROKEN: Final = "broken"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One line of the doctor.

    Attributes:
        name: What was looked at; stays the same for programs that read it.
        state: ``ok``, ``warning`` (it works, but) or ``broken``.
        found: What there is, for people.
        advice: What to do, a command where there is one; "" for ``ok``.
    """

    name: str
    state: str
    found: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class KernelFacts:
    """How the kernel answers.

    Attributes:
        health: Its answer to ``health``; empty without one.
        pid: Of the kernel that ``run/endpoint.json`` names; 0 where it names none.
        alive: A process of that number has been there since the file was written.
        trouble: Why there is no answer though a kernel should be there; "" else.
    """

    health: Mapping[str, Any] = field(default_factory=dict)
    pid: int = 0
    alive: bool = False
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What was found inside the image; read without its lock, and never written.

    Attributes:
        about: The image's own facts: ``format``, ``id``, ``created``; empty for an image
            that has not awoken.
        objects: How many root objects it has.
        models: As of ``image.models.list_models``; none where its blobs are missing.
        has_blobs: Its folder of blobs is there.
        cut_off: Bytes at its end that belong to no finished transaction.
        trouble: Why it cannot be read; "" else.
        advice: What to do about that.
    """

    about: Mapping[str, Any] = field(default_factory=dict)
    objects: int = 0
    models: tuple[Mapping[str, Any], ...] = ()
    has_blobs: bool = False
    cut_off: int = 0
    trouble: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What every check may look at.

    Attributes:
        home: Home directory; it may be missing.
        root: The folder of run.sh and requirements.txt.
        environ: The environment of this process.
        settings: What the environment sets; the defaults where that cannot be used.
        kernel: How the kernel answers.
        image: What is inside the image; None where there is no file to be read.
        quick: Leave out what takes seconds.
    """

    home: Home
    root: Path
    environ: Mapping[str, str]
    settings: Settings = field(default_factory=Settings)
    kernel: KernelFacts = field(default_factory=KernelFacts)
    image: ImageFacts | None = None
    quick: bool = False


def ok(name: str, found: str) -> Outcome:
    """Return that all is well."""
    return Outcome(name, OK, found)


def warning(name: str, found: str, advice: str) -> Outcome:
    """Return that something works, but is not as it should be."""
    return Outcome(name, WARNING, found, advice)


def broken(name: str, found: str, advice: str) -> Outcome:
    """Return that something does not work."""
    return Outcome(name, BROKEN, found, advice)


def join(names: list[str], most: int = 8) -> str:
    """Return names as a clause, cut short.

    >>> join(["a", "b"]), join(list("abcd"), most=2)
    ('a, b', 'a, b and 2 more')
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def show_bytes(size: int) -> str:
    """Return bytes for people, small files too.

    >>> show_bytes(2_500), show_bytes(20_000_000)
    ('3 kB', '20 MB')
    """
    return show_size(size) if size >= 10**6 else f"{-(-size // 1000)} kB"
