"""The machine: cores, memory, disk, device, and which model profiles suit it."""

from __future__ import annotations

import os
import platform
import shutil
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import psutil

from bat_os.cli.checks.outcome import Outcome, broken, join, ok, warning
from bat_os.errors import SettingsError
from bat_os.models.profilefile import parse
from bat_os.models.profiles import FALLBACK, Machine, choose, fit, show_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from bat_os.cli.checks.outcome import Facts
    from bat_os.models.profiles import Profile, ProfileBook

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
