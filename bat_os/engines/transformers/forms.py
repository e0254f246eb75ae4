"""The facts that decide in which form a model runs: the device, the weights on the disk.

The rule itself is ``core/forms.py``.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import psutil
from safetensors import safe_open

from bat_os.core.forms import Device, Stored
from bat_os.engines.transformers.files import weight_files

if TYPE_CHECKING:
    from pathlib import Path

CONFIG: Final = "config.json"
_TYPES: Final = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def measure_stored(folder: Path) -> Stored:
    """Return the facts about the weights in ``folder``; reads headers only.

    Raises:
        OSError: A file is missing.
        ValueError: A file is not what it should be.
        SafetensorError: A file is damaged.
    """
    if not (folder / CONFIG).is_file():
        raise OSError(f"{CONFIG} is missing")
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    if not isinstance(config, dict):
        raise ValueError(f"{CONFIG} is not that of a model")  # noqa: TRY004 - what a file says
    files = weight_files(folder)
    counts: Counter[str] = Counter()
    for file in files:
        with safe_open(file, "np") as stored:
            counts.update(
                stored.get_slice(key).get_dtype()
                for key in stored.keys()  # noqa: SIM118 - no mapping
            )
    return Stored(
        bytes=sum(file.stat().st_size for file in files),
        dtype=_TYPES.get(counts.most_common(1)[0][0] if counts else "", ""),
        packed="quantization_config" in config,
    )


def inspect_device(kind: str = "") -> Device:
    """Return what there is to compute with; ``kind`` "" takes a GPU where there is one.

    Imports torch: call ``offline.prepare`` first.
    """
    import torch

    memory = psutil.virtual_memory()
    if kind != "cpu" and torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info(0)
        return Device(
            kind="cuda",
            name=torch.cuda.get_device_name(0),
            memory=total,
            free=free,
            main_free=memory.available,
            # Older ones emulate it, slowly.
            bf16=torch.cuda.get_device_capability(0) >= (8, 0),
            packs=_packs("cuda"),
        )
    return Device(
        kind="cpu",
        name=torch.backends.cpu.get_cpu_capability(),
        memory=memory.total,
        free=memory.available,
        main_free=memory.available,
        bf16=_cpu_bf16(),
        packs=_packs("cpu"),
    )


def describe_device(kind: str = "") -> dict[str, Any]:
    """Return plain facts for people: the device, and what torch and bitsandbytes do on it."""
    import torch

    facts = asdict(inspect_device(kind))
    facts["torch"] = torch.__version__
    facts["bitsandbytes"] = _bitsandbytes_version()
    return facts


def held_on_gpu() -> int:
    """Return the bytes of GPU memory that models of this process hold; imports nothing."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    allocated = getattr(cuda, "memory_allocated", None)  # missing while torch is being imported
    return int(allocated()) if allocated is not None else 0


def _cpu_bf16() -> bool:
    import torch

    facts = torch.cpu.get_capabilities()
    return bool(facts.get("avx512_bf16") or facts.get("amx_bf16") or facts.get("bf16"))


def _packs(kind: str) -> bool:
    if not _bitsandbytes_version():
        return False
    from bitsandbytes import cextension, supported_torch_devices

    compiled = getattr(cextension.lib, "compiled_with_cuda", False)
    return kind in supported_torch_devices and (kind != "cuda" or bool(compiled))


def _bitsandbytes_version() -> str:
    try:
        import bitsandbytes  # heavy, and not for every machine
    except (ImportError, OSError, RuntimeError):  # no wheel here, or one without this device
        return ""
    return str(bitsandbytes.__version__)
