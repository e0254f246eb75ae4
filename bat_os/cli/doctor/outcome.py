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
    """One line of the doctor.

    Attributes:
        name: What was checked; programs rely on it.
        state: ``ok``, ``warning`` or ``broken``.
        found: The finding, for people.
        advice: What to do, if possible as a command; "" for ``ok``.
    """

    name: str
    state: str
    found: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class KernelFacts:
    """How the kernel answers.

    Attributes:
        health: Its answer to ``health``; empty if there is none.
        pid: Of the kernel in ``run/endpoint.json``; 0 if there is none.
        alive: A process with this pid has run since before the file was written.
        trouble: Why an expected kernel does not answer, or "".
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
            that no kernel has started yet.
        objects: Number of root objects.
        models: As ``image.models.list_models`` returns them; empty if the blobs are missing.
        has_blobs: Whether its folder of blobs exists.
        cut_off: Bytes at its end that are part of an unfinished transaction.
        trouble: Why it cannot be read, or "".
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
    """What every check may use.

    Attributes:
        home: Home directory; it may be missing.
        root: The folder of run.sh and requirements.txt.
        environ: The environment of this process.
        settings: The settings of the home; the defaults if those are invalid.
        kernel: How the kernel answers.
        image: What is inside the image; None without a readable file.
        quick: Skip what takes seconds.
    """

    home: Home
    root: Path
    environ: Mapping[str, str]
    settings: Settings = field(default_factory=Settings)
    kernel: KernelFacts = field(default_factory=KernelFacts)
    image: ImageFacts | None = None
    quick: bool = False


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
