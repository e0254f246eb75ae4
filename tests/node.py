"""Programs of node that are installed on this machine, for tests against what others wrote."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def node_program(package, *path):
    """Return the command of a program in a package; skip the test where it is not installed."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    asked = [os.environ.get("NODE_PATH", "")]
    if npm := shutil.which("npm"):
        asked.append(subprocess.run(
            [npm, "root", "-g"], capture_output=True, text=True, check=False
        ).stdout.strip())  # fmt: skip
    for folder in filter(None, asked):
        script = Path(folder, package, *path)
        if script.exists():
            return [node, str(script)]
    return pytest.skip(f"not installed: npm install -g {package}")
