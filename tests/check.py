"""Run every gate, the quickest first; ``python tests/check.py [options for pytest]``.

Stops at the first gate that fails, with its exit status. Says which one runs and how long it
took. pytest is the last, and the last line is its own, after the ten slowest tests. Without options
two processes share the tests.
"""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOOLS = Path(sys.executable).parent  # of the virtual environment; not resolved
SHELLCHECK = str(TOOLS / ("shellcheck.exe" if sys.platform == "win32" else "shellcheck"))
PROCESSES = 2  # that share the tests; a model may be loaded in each
# import-linter has no ``python -m`` form that reads its settings.
LINT_IMPORTS = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"

GATES = {
    "ruff format": [sys.executable, "-m", "ruff", "format", "--quiet", "--check", "."],
    "ruff check": [sys.executable, "-m", "ruff", "check", "--quiet", "."],
    "shellcheck": [SHELLCHECK, "run.sh", ".ci/run"],
    "import-linter": [sys.executable, "-c", LINT_IMPORTS],
    "mypy": [sys.executable, "-m", "mypy", "--no-error-summary"],
}


def main() -> int:
    """Return the first exit status that is not zero, or pytest's."""
    for name, command in GATES.items():
        started = time.monotonic()
        gate = subprocess.run(
            command, cwd=ROOT, check=False, capture_output=True, text=True, encoding="utf-8"
        )
        verdict = "failed" if gate.returncode else "passed"
        say(f"{name:<14}{verdict}  {time.monotonic() - started:.1f} s")
        if gate.returncode:
            say(gate.stdout + gate.stderr)
            return gate.returncode
    say("pytest")
    # A file stays in one process, with the kernel that its tests share.
    share = ["-n", str(min(PROCESSES, os.cpu_count() or 1)), "--dist", "loadfile"]
    pytest = [sys.executable, "-m", "pytest", "-q", "--durations=10", *(sys.argv[1:] or share)]
    return subprocess.run(pytest, cwd=ROOT, env=keep_bytecode(), check=False).returncode


def keep_bytecode() -> dict[str, str]:
    """Return the environment without a ban on bytecode files, once they are written.

    The tests start some thousand processes; without these files each compiles the whole package.
    """
    compileall.compile_dir(ROOT / "bat_os", quiet=2)
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def say(text: str) -> None:
    """Print at once, for pytest writes to the same place."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
