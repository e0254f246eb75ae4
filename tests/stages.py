"""A virtual environment as the first stage of set-up leaves it: what is installed here, less some.

Its packages are links to those of this one, so making it takes a tenth of a second.
"""

import re
import site
import venv
from pathlib import Path

# What the second stage installs, and what only that uses.
SECOND = ("torch", "transformers", "accelerate", "peft", "bitsandbytes", "sentence-transformers")


def make_first_stage(folder, *, without=SECOND):
    """Return the Python of a new environment in ``folder`` that lacks some packages."""
    venv.create(folder, symlinks=True)
    [packages] = folder.glob("lib/python*/site-packages")
    names = {_plain(name) for name in without}
    for place in reversed(site.getsitepackages()):
        for entry in Path(place).iterdir():
            target = packages / entry.name
            if _plain(re.split(r"-\d", entry.name)[0]) not in names and not target.exists():
                target.symlink_to(entry)
    return folder / "bin" / "python"


def _plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()
