"""What the checks of ``batos doctor`` start from, and what each of them finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bat_os.supervisor.home import Home

OK: Final = "ok"
WARNING: Final = "warning"
BROKEN: Final = "broken"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One line of the doctor."""

    name: str  # what was checked; programs rely on it
    state: str  # ``ok``, ``warning`` or ``broken``
    found: str  # the finding, for people
    advice: str = ""  # what to do, if possible as a command; "" for ``ok``


@dataclass(frozen=True, slots=True)
class KernelFacts:
    """How the kernel answers."""

    # its answer to ``health``; empty if there is none
    health: Mapping[str, Any] = field(default_factory=dict)
    pid: int = 0  # of the kernel in ``run/endpoint.json``; 0 if there is none
    alive: bool = False  # A process with this pid has run since before the file was written
    trouble: str = ""  # why an expected kernel does not answer, or ""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What was found inside the image; read without its lock, and never written."""

    # the image's own facts: ``format``, ``id``, ``created``; empty for an image that no kernel has
    # started yet
    about: Mapping[str, Any] = field(default_factory=dict)
    objects: int = 0  # number of root objects
    # as ``image.models.list_models`` returns them; empty if the blobs are missing
    models: tuple[Mapping[str, Any], ...] = ()
    has_blobs: bool = False  # whether its folder of blobs exists
    cut_off: int = 0  # bytes at its end that are part of an unfinished transaction
    lost: tuple[str, ...] = ()  # ends that it once had, in words
    damaged: tuple[str, ...] = ()  # ids of objects whose record has a damaged head
    # what is yet to be done outside of it: number, state, Unix time, words
    effects: tuple[tuple[int, str, float, str], ...] = ()
    trouble: str = ""  # why it cannot be read, or ""
    advice: str = ""  # what to do about that


@dataclass(frozen=True, slots=True)
class Facts:
    """What every check may use."""

    home: Home  # home directory; it may be missing
    root: Path  # the folder of requirements.txt
    environ: Mapping[str, str]  # the environment of this process
    # the settings of the home; the defaults if those are invalid
    settings: Settings = field(default_factory=Settings)
    kernel: KernelFacts = field(default_factory=KernelFacts)  # how the kernel answers
    image: ImageFacts | None = None  # what is inside the image; None without a readable file
    quick: bool = False  # skip what takes seconds


def ok(name: str, found: str) -> Outcome:
    """Return that a part is fine."""
    return Outcome(name, OK, found)


def warning(name: str, found: str, advice: str) -> Outcome:
    """Return that a part works, but not as it should."""
    return Outcome(name, WARNING, found, advice)


def broken(name: str, found: str, advice: str) -> Outcome:
    """Return that a part does not work."""
    return Outcome(name, BROKEN, found, advice)


def join(names: list[str], most: int = 8) -> str:
    """Return names as a list in words, shortened to ``most``.

    >>> join(["a", "b"]), join(list("abcd"), most=2)
    ('a, b', 'a, b and 2 more')
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
