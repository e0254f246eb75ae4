"""Processor time and memory of a process, for figures that hold on a busy machine."""

from __future__ import annotations

import psutil


def processor_seconds(pid: int | None = None) -> float:
    """Return what a process, this one without ``pid``, and its children have used so far."""
    root = psutil.Process(pid)
    total = 0.0
    for process in (root, *root.children(recursive=True)):
        try:
            total += sum(process.cpu_times()[:4])  # the last two are of children that ended
        except psutil.NoSuchProcess:  # its parent counts it from now on
            continue
    return total


def resident_mb(pid: int | None = None) -> float:
    """Return the resident memory of a process in MB of a million bytes, without its children."""
    return psutil.Process(pid).memory_info().rss / 1e6
