"""Run every gate; ``python tests/check.py [--quick] [options for pytest]``.

The gates run side by side. If one fails, this stops with its exit status. The last line is that of
pytest, after the ten slowest tests; mypy, which takes longest, looks at the types meanwhile, and
ends pytest if it finds something. Without a test file in the options, several processes share all
tests, and begin with the files that took longest (tests/seconds.json).

``--quick`` runs what the change reaches, the nearest first, as far as it fits into two minutes,
and a smoke test of the main job; it says what it left out.
"""

from __future__ import annotations

import compileall
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.nearest import SMOKE, choose, find_changes, rank, read_seconds  # noqa: E402 - the path

TOOLS = Path(sys.executable).parent  # of the virtual environment; not resolved
SHELLCHECK = str(TOOLS / ("shellcheck.exe" if sys.platform == "win32" else "shellcheck"))
# That share the tests, and so many for a core: half of the time a test waits for a process. Six
# took no less time.
PROCESSES, A_CORE = 4, 2
EACH = 2 << 30  # bytes of memory that one may need
QUICK = (
    75.0  # seconds of each of two processes; the gates and the start take the rest of two minutes
)
# import-linter has no ``python -m`` form that reads its settings.
LINT_IMPORTS = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"

GATES = {
    "ruff format": [sys.executable, "-m", "ruff", "format", "--quiet", "--check", "."],
    "ruff check": [sys.executable, "-m", "ruff", "check", "--quiet", "."],
    "shellcheck": [SHELLCHECK, "run.sh", ".ci/run"],
    "import-linter": [sys.executable, "-c", LINT_IMPORTS],
}
MYPY = [sys.executable, "-m", "mypy", "--no-error-summary"]
PYTEST = [sys.executable, "-m", "pytest", "-q", "--durations=10"]


def main() -> int:
    """Return the first exit status that is not zero, or pytest's."""
    options = sys.argv[1:]
    quick = "--quick" in options
    with begin(MYPY) as typing:
        for name, gate in GATES.items():
            started = time.monotonic()
            with begin(gate) as running:
                said, _ = running.communicate()
            say(f"{name:<14}{tell(running)}  {time.monotonic() - started:.1f} s")
            if running.returncode:
                typing.kill()
                say(said)
                return running.returncode
        compile_package()
        say("mypy          goes on beside pytest")
        options = [one for one in options if one != "--quick"]
        words = [*choose_quick(), *options] if quick else [*share(options), *options]
        with subprocess.Popen([*PYTEST, *words], cwd=ROOT, env=keep_bytecode()) as pytest:
            said, _ = typing.communicate()
            if not typing.returncode:
                return pytest.wait()
            pytest.send_signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGINT)
    say(f"mypy          {tell(typing)}\n{said}")
    return typing.returncode


def begin(gate: list[str]) -> subprocess.Popen[str]:
    """Start a gate; what it prints is read at its end."""
    return subprocess.Popen(
        gate, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
    )


def tell(gate: subprocess.Popen[str]) -> str:
    """Return how a gate ended."""
    return "failed" if gate.returncode else "passed"


def share(options: list[str]) -> list[str]:
    """Return the options by which processes share the tests, unless some were chosen.

    A file stays in one process, with the kernel that its tests share. The longest begin, so that
    no process is alone with one in the end.
    """
    if any(not one.startswith("--times") for one in options):
        return []
    room = psutil.virtual_memory().total // EACH
    processes = max(1, min(PROCESSES, A_CORE * (os.cpu_count() or 1), room))
    return ["-n", str(processes), "--dist", "loadfile", "--no-loadscope-reorder"]


def choose_quick() -> list[str]:
    """Return the tests that are nearest to the change, and say what is left out."""
    changed, where = find_changes()
    ranked = rank(changed)
    processes = min(2, os.cpu_count() or 1)
    chosen, left = choose(ranked, QUICK * processes)
    seconds = read_seconds()
    say(f"{len(changed)} changed files ({where}) reach {len(ranked)} files of tests")
    say(f"  these run: {len(chosen)}, the nearest, and {len(SMOKE)} tests of the main job")
    if left:
        minutes = sum(seconds.get(name, 0.0) for name in left) / 60
        farthest = ", ".join(left[:5]) + (", ..." if len(left) > 5 else "")
        say(f"  left out: {len(left)}, about {minutes:.0f} minutes of one process ({farthest})")
    say("  ./run.sh test runs all")
    smoke = [test for test in SMOKE if test.partition("::")[0] not in chosen]
    return ["-n", str(processes), "--dist", "loadfile", *chosen, *smoke]


def compile_package() -> None:
    """Write the bytecode: the tests start a thousand processes, and each would compile it all."""
    compileall.compile_dir(ROOT / "bat_os", quiet=2)


def keep_bytecode() -> dict[str, str]:
    """Return the environment without a ban on bytecode files."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def say(text: str) -> None:
    """Print at once, for pytest writes to the same place."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
