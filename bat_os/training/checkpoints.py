"""Checkpoints of a training: written whole or not at all, two kept, the newest sound one taken up.

    checkpoint-000120/tensors.safetensors    the adapter's weights and AdamW's moments, float32
    checkpoint-000120/state.json             the step, what was trained on, SHA-256 of the tensors

A checkpoint is taken up only by a training of the same base, recipe and lessons. Nothing in it is
a pickle.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any, Final

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from bat_os.engines.base import written_whole
from bat_os.errors import BatError
from bat_os.image.files.disk import hash_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

KEPT: Final = 2
_NAME: Final = "checkpoint-"
_TENSORS, _STATE = "tensors.safetensors", "state.json"


def write(
    folder: Path, step: int, facts: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]
) -> None:
    """Write the checkpoint of ``step`` into ``folder``, and remove those before the last two."""
    with written_whole(folder / f"{_NAME}{step:06d}") as partial:
        save_file(dict(tensors), partial / _TENSORS)
        state = {**facts, "step": step, "sha256": hash_file(partial / _TENSORS)}
        (partial / _STATE).write_text(json.dumps(state, sort_keys=True) + "\n", encoding="utf-8")
        for name in (_TENSORS, _STATE):
            with (partial / name).open("rb+") as stream:
                os.fsync(stream.fileno())
    for older in _names(folder)[KEPT:]:
        shutil.rmtree(folder / older)


def read(folder: Path, facts: Mapping[str, Any]) -> tuple[int, dict[str, torch.Tensor]] | None:
    """Return (step, tensors) of the newest sound checkpoint for these facts; None if none is."""
    for name in _names(folder):
        try:
            state = json.loads((folder / name / _STATE).read_text(encoding="utf-8"))
            step, sha256 = int(state.pop("step")), state.pop("sha256")
            if state == dict(facts) and hash_file(folder / name / _TENSORS) == sha256:
                return step, load_file(folder / name / _TENSORS)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, SafetensorError,
                BatError):  # fmt: skip
            continue  # damaged: the one before it may be sound
    return None


def _names(folder: Path) -> list[str]:
    found = (path.name for path in folder.glob(f"{_NAME}*") if path.is_dir())
    return sorted((name for name in found if "." not in name), reverse=True)
