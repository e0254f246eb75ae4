"""What BAT OS runs on: Python, packages, settings, the machine, and the profiles that suit it."""

from __future__ import annotations

import difflib
import os
import platform
import shlex
import shutil
import sys
from dataclasses import fields
from importlib import metadata, resources
from typing import TYPE_CHECKING, Any, Final

import psutil
from packaging.requirements import InvalidRequirement, Requirement

from bat_os.cli.doctor.outcome import Outcome, broken, join, ok, warning
from bat_os.cli.environment import find_fault, load
from bat_os.core.settings import FILE, PREFIX, Settings
from bat_os.errors import SettingsError
from bat_os.models.profilefile import parse
from bat_os.models.profiles import FALLBACK, Machine, choose, fit, show_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from bat_os.cli.doctor.outcome import Facts
    from bat_os.models.profiles import Profile, ProfileBook

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


LITTLE_MEMORY: Final = 2 * 10**9  # what the smallest profile needs
LITTLE_DISK: Final = 10**9
NO_DISK: Final = 50 * 10**6


def check_machine(_facts: Facts) -> list[Outcome]:
    """Return what the machine has in cores and memory."""
    memory = psutil.virtual_memory()
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    sizes = f"{show_size(memory.total)} of memory, {show_size(memory.available)} free"
    found = f"{system}; {_count_cores()} cores; {sizes}"
    if memory.available < LITTLE_MEMORY:
        text = f"{found}: little for a language model"
        return [warning("machine", text, "close other programs, or use a model on a server")]
    return [ok("machine", found)]


def check_disk(facts: Facts) -> list[Outcome]:
    """Return how much room there is where the home directory lies."""
    free = _free_disk(facts.home.path)
    found = f"{show_size(free)} free for {facts.home.path}"
    if free < NO_DISK:
        return [broken("disk", found, "free some space: nothing can be stored")]
    if free < LITTLE_DISK:
        return [warning("disk", found, "free some space: the first start takes about 1 GB")]
    return [ok("disk", found)]


def check_device(facts: Facts) -> list[Outcome]:
    """Return what there is to compute with, and which model profiles suit it."""
    book = parse(resources.files("bat_os").joinpath("profiles.toml").read_text(encoding="utf-8"))
    try:
        book.profile(facts.settings.profile)
    except SettingsError as error:
        return [
            broken("profiles", f"BATOS_PROFILE: {error}", "set it to one of those, or unset it")
        ]
    if facts.quick:
        return [ok("device", "not looked at (--quick)")]
    device = _describe_device()
    gpu = device["kind"] == "cuda"
    machine = Machine(
        ram=psutil.virtual_memory().total,
        free_ram=psutil.virtual_memory().available,
        free_disk=_free_disk(facts.home.path),
        cores=_count_cores(),
        vram=device["memory"] if gpu else 0,
        cuda=gpu,
    )
    return [_judge_device(device), *_judge_profiles(facts, book, machine)]


def _describe_device() -> dict[str, Any]:
    # torch takes seconds, and the switches come before it: without them the libraries talk.
    from bat_os.engines.offline import prepare

    prepare(1)
    from bat_os.engines.transformers.forms import describe_device

    return describe_device()


def _judge_device(device: Mapping[str, Any]) -> Outcome:
    sizes = f"{show_size(device['memory'])}, {show_size(device['free'])} free"
    kind = f"GPU {device['name']} ({sizes})" if device["kind"] == "cuda" else "no GPU; processor"
    if device["kind"] != "cuda":
        kind += f" with {device['name']}"
    bits = "16 bits at full speed" if device["bf16"] else "16 bits are slow here, 32 are used"
    version = device["bitsandbytes"]
    if not version:
        packs = "no bitsandbytes: models are stored as they come"
    elif device["packs"]:
        packs = f"bitsandbytes {version} packs models to NF4"
    else:
        packs = f"bitsandbytes {version} cannot pack here: models are stored as they come"
    found = f"{kind}; {bits}; torch {device['torch']}; {packs}"
    if device["kind"] == "cuda" and not device["packs"]:
        advice = "large models will not fit; install the bitsandbytes of requirements.txt"
        return warning("device", found, advice)
    return ok("device", found)


def _judge_profiles(facts: Facts, book: ProfileBook, machine: Machine) -> list[Outcome]:
    models = facts.image.models if facts.image else ()
    stored = {name: _stored_bytes(profile, models) for name, profile in book.profiles.items()}
    fits = {name: fit(one, machine, stored=stored[name]) for name, one in book.profiles.items()}
    suits = [name for name in book.profiles if fits[name].ok]
    if not suits:
        return [
            broken(
                "profiles", f"none fits; {FALLBACK} {join(list(fits[FALLBACK].reasons))}",
                "close other programs or free some disk space",
            )
        ]  # fmt: skip
    best = choose(book, machine, stored=stored).name
    others = [f"{name} ({'; '.join(one.reasons)})" for name, one in fits.items() if not one.ok]
    rest = f". Not: {', '.join(others)}" if others else ""
    chosen = book.profiles[facts.settings.profile]
    found = f"used: {chosen.name}; suited: {', '.join(suits)}; best: {best}{rest}"
    if facts.settings.engine != "scripted" and not fits[chosen.name].ok:
        return [warning("profiles", found, f"use one that suits: BATOS_PROFILE={best}")]
    return [ok("profiles", found), *(ok("profiles", line) for line in book.conditions(chosen))]


def _stored_bytes(profile: Profile, models: Iterable[Mapping[str, Any]]) -> int:
    return sum(int(one["size"]) for one in models if one["name"] in profile.models)


def _free_disk(path: Path) -> int:
    """Return the free bytes where ``path`` lies, or would lie."""
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    return shutil.disk_usage(there).free


def _count_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
