"""What a daemon costs that nobody asks anything: processor time, and how often it wakes up.

    python benchmarks/resting.py [--minutes 60] [--settle 5]

Starts watchdog and daemon on a new home, waits until what begins at a start has ended, then
measures. A wake-up is a voluntary context switch of any thread: the thread had slept, and something
woke it (Linux).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.processor import processor_seconds, resident_mb  # noqa: E402 - the path is above


def wake_ups(pid: int) -> int:
    """Return how often the threads of a process have gone to sleep so far."""
    count = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        count += next(int(one.split()[1]) for one in lines if one.startswith("voluntary"))
    return count


def processes(home: Path) -> dict[str, list[int]]:
    """Return the processes of a home: the watchdog, the daemon, and what the daemon started."""
    found: dict[str, list[int]] = {"watchdog": [], "daemon": [], "its children": []}
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if str(home) in words and "serve" in words:
            found["daemon"].append(process.pid)
            children = process.children(recursive=True)
            found["its children"] += [child.pid for child in children]
        elif str(home) in words and any("watchdog" in word for word in words):
            found["watchdog"].append(process.pid)
    return found


def main() -> None:
    """Print the figures as rows of a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--settle", type=float, default=5.0, help="minutes before it is measured")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="batos-idle-") as folder:
        home = Path(folder) / "home"
        environ = os.environ | {"BATOS_HOME": str(home), "BATOS_TCP_PORT": "0"}
        watchdog = [sys.executable, str(ROOT / "min_watchdog_service.py")]
        words = [*watchdog, "start", "--home", str(home)]
        subprocess.run(words, env=environ, check=True)
        try:
            time.sleep(60 * options.settle)
            _measure(processes(home), 60 * options.minutes)
        finally:
            subprocess.run([*watchdog, "stop", "--home", str(home)], env=environ, check=False)


def _measure(found: dict[str, list[int]], seconds: float) -> None:
    def look() -> dict[int, tuple[float, int]]:
        return {
            pid: (sum(psutil.Process(pid).cpu_times()[:2]), wake_ups(pid))
            for pids in found.values() for pid in pids if psutil.pid_exists(pid)
        }  # fmt: skip

    before, began = look(), time.monotonic()
    time.sleep(seconds)
    after, took = look(), time.monotonic() - began
    print(f"over {took / 60:.0f} minutes; load of the machine {os.getloadavg()[1]:.1f}")
    print("| process | of a core | wake-ups a second | memory |")
    print("|---|---|---|---|")
    for name, pids in found.items():
        there = [pid for pid in pids if pid in after and pid in before]
        used = sum(after[pid][0] - before[pid][0] for pid in there) / took
        woken = sum(after[pid][1] - before[pid][1] for pid in there) / took
        memory = sum(resident_mb(pid) for pid in there)
        print(f"| {name} ({len(there)}) | {used:.2%} | {woken:.1f} | {memory:.0f} MB |")
    whole = sum(processor_seconds(pid) for pid in found["daemon"])
    print(f"the daemon and its children since their start: {whole:.1f} s")


if __name__ == "__main__":
    main()
