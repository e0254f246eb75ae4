"""What this machine has, and the profiles to choose from; loads no heavy library."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib import resources
from typing import TYPE_CHECKING

import psutil

from bat_os.core.models.profilefile import parse
from bat_os.core.models.profiles import Machine

if TYPE_CHECKING:
    from pathlib import Path

    from bat_os.core.models.profiles import ProfileBook

_QUERY = ("nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits")


def read_book() -> ProfileBook:
    """Return the shipped profiles."""
    return parse((resources.files("bat_os") / "profiles.toml").read_text(encoding="utf-8"))


def look_at_machine(home: Path) -> Machine:
    """Return memory, disk, cores and GPU; the disk is the one that ``home`` is or will be on."""
    place = next(folder for folder in (home, *home.parents) if folder.is_dir())
    memory = psutil.virtual_memory()
    vram = _gpu_memory()
    return Machine(
        ram=memory.total,
        free_ram=memory.available,
        free_disk=shutil.disk_usage(place).free,
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else _cores(),
        vram=vram,
        cuda=vram > 0,
    )


def _cores() -> int:
    return os.cpu_count() or 1


def _gpu_memory() -> int:
    """Return the bytes of the largest NVIDIA GPU, 0 without one or without its driver."""
    try:
        told = subprocess.run(  # noqa: S603 - fixed words
            _QUERY, capture_output=True, text=True, timeout=10, check=True
        )
        return max(int(line) for line in told.stdout.split()) << 20
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0
