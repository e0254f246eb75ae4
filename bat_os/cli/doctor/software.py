"""What BAT OS runs on: Python, packages, settings, machine, profiles that fit it, and the cell."""

from __future__ import annotations

import platform
import shlex
import sys
import time
from dataclasses import fields, replace
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from packaging.requirements import InvalidRequirement, Requirement

from bat_os.app.cells import CELLS
from bat_os.app.models import probe_device, probe_llamacpp
from bat_os.cli.doctor.outcome import Outcome, broken, join, ok, warning
from bat_os.cli.environment import find_fault, list_unread, load
from bat_os.core.settings import FILE, PREFIX, Settings
from bat_os.errors import CellUnavailableError, ModelError, SettingsError
from bat_os.models.machine import look_at_machine, read_book
from bat_os.models.profiles import FALLBACK, advise_removal, choose, fit, show_size

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bat_os.cli.doctor.outcome import Facts
    from bat_os.models.profiles import Machine, ProfileBook

OLDEST: Final = (3, 11)
# Read by run.sh and puter.bat, not by the kernel.
LIBRARIES: Final = "requirements-first.txt"
LATER: Final = "requirements.txt"
MODELS: Final = "requirements-models.txt"
LITTLE_MEMORY: Final = 10**9  # what the smallest profile needs
LITTLE_DISK: Final = 10**9
NO_DISK: Final = 50 * 10**6
_MEND: Final = {
    "zygote": "use Linux 5.13 or newer with Landlock and seccomp (in a container: allow both)",
    "monty": "install pydantic-monty as requirements-first.txt pins it",
}


def check_python(_facts: Facts) -> list[Outcome]:
    """Return whether this Python is new enough and in a virtual environment."""
    text = f"Python {platform.python_version()}, {sys.executable}"
    if sys.version_info < OLDEST:
        return [broken("python", text, "install Python 3.11 or newer, then: ./run.sh")]
    if sys.prefix == sys.base_prefix:
        return [
            warning(
                "python",
                f"{text}, outside a virtual environment",
                "./run.sh makes one in .venv; from then on: .venv/bin/python batos.py doctor",
            )
        ]
    return [ok("python", text)]


def check_packages(facts: Facts) -> list[Outcome]:
    """Return whether the packages that a start needs are installed, at the pinned versions."""
    listed = _read_list(facts.root / LIBRARIES)
    wanted = [text for text in listed or metadata.requires("bat-os") or () if "extra" not in text]
    missing, other, count = _compare(wanted)
    advice = _install(facts.root / LIBRARIES)
    if missing:
        return [broken("packages", f"not installed: {join(missing)}", advice)]
    try:
        probe_llamacpp()
    except ModelError as error:
        advice = "the daemon needs no restart after that"
        return [broken("packages", str(error), advice)]
    if other:
        return [warning("packages", f"not as pinned: {join(other)}", advice)]
    return [ok("packages", f"all {count} of {LIBRARIES}, as pinned"), *_check_later(facts)]


def _check_later(facts: Facts) -> list[Outcome]:
    """Return whether the packages of GPUs, other models and training are installed."""
    name, path = "later packages", facts.root / LATER
    missing, other, count = _compare(_read_list(path))
    if other:
        return [warning(name, f"not as pinned: {join(other)}", _install(path))]
    if missing and facts.settings.lean:
        return [ok(name, f"left out: {join(missing)} (setting lean)")]
    if missing:
        text = f"not installed yet: {join(missing)}; GPUs, safetensors and training need them"
        return [warning(name, text, "batos setup says why; batos setup --all installs them")]
    return [ok(name, f"all {count} of {LATER}, as pinned")] if count else []


def check_model_packages(facts: Facts) -> list[Outcome]:
    """Return whether the packages with model files are installed, if they are needed."""
    name, path = "model packages", facts.root / MODELS
    missing, other, count = _compare(_read_list(path))
    if not missing and not other:
        return [ok(name, f"all {count} of {MODELS}, as pinned")]
    advice = _install(path, "--no-deps")
    if other and not missing:
        return [warning(name, f"not as pinned: {join(other)}", advice)]
    text = f"not installed: {join(missing)}"
    if facts.image is not None and facts.image.models:
        return [warning(name, f"{text}; the image has its own models", advice)]
    if facts.settings.engine == "scripted":
        return [warning(name, f"{text}; the scripted engine needs none", advice)]
    return [broken(name, f"{text}, and the image has no model yet", advice)]


def check_settings(facts: Facts) -> list[Outcome]:
    """Return which BATOS_* variables are invalid, and which nothing reads."""
    given = {key: text for key, text in facts.environ.items() if key.startswith(PREFIX)}
    known = [PREFIX + field.name.upper() for field in fields(Settings)]
    outcomes = []
    for key, near in list_unread(given):
        meant = f"did you mean {near}? " if near else ""
        text = f"{key} is set, and nothing reads it"
        outcomes.append(warning("settings", text, f"{meant}unset {key}"))
    for key in known:
        try:
            Settings.from_mapping({key: given.get(key, "")})
        except SettingsError as error:
            advice = f"set it to one of those, or: unset {key}"
            outcomes.append(broken("settings", str(error), advice))
    if not find_fault(facts.home.path):  # else check_permissions says it
        try:
            load(facts.home.path, {})
        except SettingsError as error:
            advice = f"correct it in {facts.home.path / FILE}"
            outcomes.append(broken("settings", str(error), advice))
    if outcomes:
        return outcomes
    used = [f"{key}={text}" for key, text in sorted(given.items()) if text]
    return [ok("settings", join(used) if used else "all at their defaults")]


def _read_list(path: Path) -> list[str]:
    """Return the requirements in a file; [] without a file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    texts = (line.partition("#")[0].strip() for line in lines)
    return [text for text in texts if text and not text.startswith("-")]


def _compare(wanted: list[str]) -> tuple[list[str], list[str], int]:
    """Return (missing packages, packages with another version, how many are required here)."""
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


def check_machine(facts: Facts) -> list[Outcome]:
    """Return what the machine has in cores and memory, and how much room the home has."""
    machine = look_at_machine(facts.home.path)
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    sizes = f"{show_size(machine.ram)} of memory, {show_size(machine.free_ram)} free"
    text = f"{system}; {machine.cores} cores; {sizes}"
    if machine.free_ram < LITTLE_MEMORY:
        advice = "close other programs, or use a model on a server"
        outcome = warning("machine", f"{text}: little for a language model", advice)
    else:
        outcome = ok("machine", text)
    text = f"{show_size(machine.free_disk)} free for {facts.home.path}"
    if machine.free_disk < NO_DISK:
        return [outcome, broken("disk", text, "free some space: nothing can be stored")]
    if machine.free_disk < LITTLE_DISK:
        advice = "free some space: the first start needs about 1 GB"
        return [outcome, warning("disk", text, advice)]
    return [outcome, ok("disk", text)]


def check_device(facts: Facts) -> list[Outcome]:
    """Return what device computes, and which model profiles fit it."""
    try:
        # Of a home that cannot be read, check_permissions says it.
        book = read_book(None if find_fault(facts.home.path) else facts.home.path)
    except SettingsError as error:
        fault = broken("profiles", str(error), "mend the file, or move it away")
        # Where the home itself is at fault, check_permissions says it.
        return [] if find_fault(facts.home.path) else [fault]
    try:
        book.profile(facts.settings.profile)
    except SettingsError as error:
        advice = "set it to one of those, or unset it"
        return [broken("profiles", f"BATOS_PROFILE: {error}", advice)]
    if facts.quick:
        return [ok("device", "not checked (--quick)")]
    machine = look_at_machine(facts.home.path)
    try:
        device = probe_device()
    except ModelError as error:  # llama.cpp needs none of that
        text = f"processor; {error}"
        return [ok("device", text), *_judge_profiles(facts, book, replace(machine, cuda=False))]
    gpu = device["kind"] == "cuda"
    machine = replace(machine, vram=device["memory"] if gpu else 0, cuda=gpu)
    return [_judge_device(device), *_judge_profiles(facts, book, machine)]


def _judge_device(device: Mapping[str, Any]) -> Outcome:
    sizes = f"{show_size(device['memory'])}, {show_size(device['free'])} free"
    kind = f"GPU {device['name']} ({sizes})" if device["kind"] == "cuda" else "no GPU; processor"
    if device["kind"] != "cuda":
        kind += f" with {device['name']}"
    bits = "16 bits at full speed" if device["bf16"] else "16 bits are slow here, 32 are used"
    version = device["bitsandbytes"]
    if not version:
        packs = "no bitsandbytes: models are stored unpacked"
    elif device["packs"]:
        packs = f"bitsandbytes {version} packs models to NF4"
    else:
        packs = f"bitsandbytes {version} cannot pack here: models are stored unpacked"
    text = f"{kind}; {bits}; torch {device['torch']}; {packs}"
    if device["kind"] == "cuda" and not device["packs"]:
        advice = "large models will not fit; install the bitsandbytes of requirements.txt"
        return warning("device", text, advice)
    return ok("device", text)


def _judge_profiles(facts: Facts, book: ProfileBook, machine: Machine) -> list[Outcome]:
    models = facts.image.models if facts.image else ()
    stored = {
        name: sum(int(model["size"]) for model in models if model["name"] in profile.models)
        for name, profile in book.profiles.items()
    }
    fits = {
        name: fit(profile, machine, stored=stored[name]) for name, profile in book.profiles.items()
    }
    fitting = [name for name in book.profiles if fits[name].ok]
    if not fitting:
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
    text = f"used: {chosen.name}; fits: {', '.join(fitting)}; best: {best}{rest}"
    if facts.settings.engine != "scripted" and not fits[chosen.name].ok:
        return [warning("profiles", text, f"use one that fits: BATOS_PROFILE={best}")]
    lines = [*book.conditions(chosen), *advise_removal(chosen, models)]
    return [ok("profiles", text), *(ok("profiles", line) for line in lines)]


async def check_cell(facts: Facts) -> list[Outcome]:
    """Return how the cells withstood the attacks, up to the first that did; it is used."""
    wanted = facts.settings.cell
    kinds = list(CELLS) if wanted == "auto" else [wanted]
    if facts.quick:
        return [_judge_by_kernel(facts.kernel.health)]
    outcomes: list[Outcome] = []
    refused: list[str] = []
    reasons = {"zygote": "the first that passes", "monty": "the fallback, a smaller Python"}
    for kind in kinds:
        text, stats = await _attack(kind)
        if stats:
            why = reasons[kind] if wanted == "auto" else f"BATOS_CELL={wanted}"
            outcomes.append(ok("cell", f"{kind}: {text}; chosen: {why}"))
            outcomes.append(_judge_confinement(kind, stats["confinement"]))
            return [*outcomes, *_compare_cells(facts, kind)]
        refused.append(f"{kind}: {text}")
        if kind == "zygote" and sys.platform != "linux":
            continue  # not a fault: that cell is for Linux
        if kind != kinds[-1]:
            outcomes.append(warning("cell", refused[-1], _MEND[kind]))
    text = f"learned methods are refused: {'; '.join(refused)}"
    mend = "; or ".join(_MEND[kind] for kind in kinds)
    if wanted != "auto":
        mend += f"; or let another cell serve: unset BATOS_CELL (now {wanted})"
    return [*outcomes, broken("cell", text, mend)]


async def _attack(kind: str) -> tuple[str, dict[str, Any]]:
    """Return how the attacks went, and the facts of the cell; {} if it failed."""
    cell, started = CELLS[kind](), time.monotonic()
    try:
        outcome = await cell.self_test()
        stats = cell.stats()
    except (CellUnavailableError, OSError) as error:
        return str(error), {}
    finally:
        await cell.close()
    held, through = outcome["held"], outcome["through"]
    if not outcome["ok"]:
        return f"failed: {', '.join(through) or 'ordinary code does not run in it'}", {}
    took = time.monotonic() - started
    return f"all {len(held)} attacks repelled in {took:.1f} s ({', '.join(held)})", stats


def _judge_confinement(kind: str, facts: Mapping[str, Any]) -> Outcome:
    """Return what confines learned code on this machine."""
    if kind != "zygote":
        return ok("confinement", f"{facts['interpreter']}, {facts['process']}")
    spaces = facts["namespaces"] or "none"
    text = f"Landlock {facts['landlock']}, seccomp, namespaces: {spaces}"
    if not facts["unprivileged"]:
        advice = "start BAT OS as an ordinary user"
        return warning("confinement", f"{text}, as root", advice)
    return ok("confinement", f"{text}, an unprivileged user")


def _compare_cells(facts: Facts, kind: str) -> list[Outcome]:
    """Return a warning if the running kernel uses another cell than it would choose now."""
    used = facts.kernel.health.get("cell", {})
    if not used.get("self_test") or used.get("kind") == kind:
        return []
    text = f"the daemon uses {used.get('kind')}, but the settings of this terminal choose {kind}"
    return [warning("cell", text, "./run.sh restart: it chooses again when it starts")]


def _judge_by_kernel(health: Mapping[str, Any]) -> Outcome:
    cell = health.get("cell", {})
    test = cell.get("self_test", {})
    if not test:
        return ok("cell", "not tested (--quick)")
    if not test.get("ok"):
        text = f"learned methods are refused: {cell.get('kind')} failed its self-test"
        return broken("cell", text, "run batos doctor without --quick for details")
    return ok("cell", f"{cell.get('kind')}: {len(test['held'])} attacks repelled at its start")
