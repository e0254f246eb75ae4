"""What this machine has, and the profiles to choose from; loads no heavy library."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from importlib import metadata, resources
from typing import TYPE_CHECKING, Any, Final

import psutil

from bat_os.errors import SettingsError
from bat_os.models.profiles import FILE, Machine, parse

if TYPE_CHECKING:
    from pathlib import Path

    from bat_os.models.profiles import ProfileBook

# Bytes of 4-bit weights that one thread of llama.cpp gets through in a second: 83 tokens of a file
# of 98 MB were measured, with AVX2.
PER_THREAD: Final = 8e9
MAX_FILE: Final = 256 << 10  # bytes of a home's own profiles
_QUERY: Final = (
    "nvidia-smi",
    "--query-gpu=memory.total,memory.free",
    "--format=csv,noheader,nounits",
)


def read_book(home: Path | None = None) -> ProfileBook:
    """Return the shipped profiles, with what a home has of its own laid over them.

    Raises:
        SettingsError: The file of the home cannot be read, or something in it cannot be used.
    """
    return check_own("" if home is None else read_own(home), home)


def check_own(own: str, home: Path | None) -> ProfileBook:
    """Return the shipped profiles with the text of a home's ``profiles.toml`` laid over them."""
    shipped = (resources.files("bat_os") / FILE).read_text(encoding="utf-8")
    return parse(shipped, own, path=str(home / FILE) if home else FILE)


def read_own(home: Path) -> str:
    """Return the text of a home's ``profiles.toml``; "" without one.

    Raises:
        SettingsError: It cannot be read.
    """
    path = home / FILE
    try:
        with path.open("rb") as stream:
            own = stream.read(MAX_FILE + 1)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    if len(own) > MAX_FILE:
        raise SettingsError(f"{path} has more than {MAX_FILE} bytes; profiles need far fewer")
    try:
        return own.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 text") from error


def look_at_machine(home: Path) -> Machine:
    """Return memory, disk, cores and GPU; the disk is the one that ``home`` is or will be on."""
    place = next(folder for folder in (home, *home.parents) if folder.is_dir())
    memory = psutil.virtual_memory()
    vram, _ = find_gpu()
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    return Machine(
        ram=memory.total,
        free_ram=memory.available,
        free_disk=shutil.disk_usage(place).free,
        cores=cores,
        vram=vram,
        cuda=vram > 0 and _torch_has_cuda(),
    )


def find_gpu() -> tuple[int, int]:
    """Return bytes and free bytes of the largest NVIDIA GPU; zeros without one or its driver."""
    try:
        answer = subprocess.run(  # noqa: S603 - fixed words
            _QUERY, capture_output=True, text=True, timeout=10, check=True
        )
        rows = [line.split(",") for line in answer.stdout.splitlines() if line.strip()]
        return max((int(total) << 20, int(free) << 20) for total, free in rows)
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0, 0


def measure_bandwidth(threads: int) -> float:
    """Return about how many bytes of weights per second can be read here; takes 0.1 s.

    What one thread copies in memory, but no more than the threads can compute with.
    """
    import numpy as np  # only here: most commands look at the machine without this

    size = 64 << 20  # more than any cache
    source, target = np.ones(size, np.uint8), np.zeros(size, np.uint8)
    fastest = min(_time_copy(source, target) for _ in range(3))
    return min(2 * size / fastest, max(threads, 1) * PER_THREAD)  # a copy reads and writes


def _time_copy(source: Any, target: Any) -> float:
    started = time.perf_counter()
    target[:] = source
    return max(time.perf_counter() - started, 1e-6)


def is_on_mains() -> bool:
    """Return False for a laptop that runs on its battery."""
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    return battery is None or battery.power_plugged is not False


def has_cuda_gpu() -> bool:
    """Return whether there is a GPU that the installed torch may be able to use."""
    return _torch_has_cuda() and find_gpu()[0] > 0


def _torch_has_cuda() -> bool:
    """Return False for a torch that was built for processors only; asks its version, not it."""
    try:
        return not metadata.version("torch").endswith("+cpu")
    except metadata.PackageNotFoundError:
        return False
