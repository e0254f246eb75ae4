"""Which files hold a model's weights; loads no library for it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_FILE: Final = re.compile(r"[\w-][\w.-]*\.safetensors\Z", re.ASCII)
ONE_FILE: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files that transformers would load from ``folder``.

    Raises:
        OSError: There are none, or the index cannot be read.
        ValueError: The index is not what it should be.
    """
    if (folder / ONE_FILE).is_file():
        return [folder / ONE_FILE]
    if not (folder / INDEX).is_file():
        raise OSError(f"{ONE_FILE} is missing")
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    table = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(table, dict) or not all(isinstance(name, str) for name in table.values()):
        raise ValueError(f"{INDEX} has no table of files")
    names = sorted(set(table.values()))
    if not names or not all(map(_FILE.match, names)):
        raise ValueError(f"{INDEX} names no file, or one that is not beside it")
    return [folder / name for name in names]
