"""How tests name servers to the driver: a hostile one of our own, and real ones of the registry."""

import shutil
import sys
from pathlib import Path

HOSTILE = Path(__file__).with_name("hostile.py")
NOTHING = {
    "read": [], "write": [], "net": [], "environment": [], "reads": [], "token": "",
    "trusted": False,
}  # fmt: skip


def hostile(mode="", file="", **more):
    """Return what a person grants who lets our own server in."""
    program = [sys.executable, str(HOSTILE), mode, *([str(file)] if file else [])]
    read = [str(HOSTILE.parent), *more.pop("read", [])]
    return NOTHING | {"program": program, "read": read} | more


def installed(name):
    """Return the path of a program beside this Python, or on the PATH; "" without it."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name) or ""
