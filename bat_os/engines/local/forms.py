"""In which form a model is brought into memory: what the device is, what suits it.

``plan_form`` is a pure function of facts; the rest of the module collects the facts.

    CUDA, fits in 16 bits         16 bits, on the GPU
    CUDA, fits packed             NF4 by bitsandbytes, on the GPU
    CUDA, does not fit            16 bits, spread over GPU and main memory by accelerate
    CPU                           as stored; 16 bits become 32 where the CPU is slow with them
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import psutil
from safetensors import safe_open

from bat_os.engines.local.weights import weight_files

if TYPE_CHECKING:
    from pathlib import Path

# What drawing needs beside the weights: attention states, scratch space of the kernels.
SPARE_BYTES: Final = 1 << 30
# Of 16 bits, in NF4 with double quantization: 4.13 of 16, and the embeddings stay as they are.
PACKED_SHARE: Final = 0.35
CONFIG: Final = "config.json"
_TYPES: Final = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


@dataclass(frozen=True, slots=True)
class Device:
    """What there is to compute with.

    Attributes:
        kind: ``"cuda"`` or ``"cpu"``.
        name: For people.
        memory: Bytes that it has.
        free: Bytes of those that are free.
        main_free: Bytes of main memory that are free.
        bf16: It computes with bfloat16 at full speed.
        packs: bitsandbytes can compute with NF4 here.
    """

    kind: str
    name: str
    memory: int
    free: int
    main_free: int
    bf16: bool
    packs: bool


@dataclass(frozen=True, slots=True)
class Stored:
    """The weights of a model as they lie on disk.

    Attributes:
        bytes: Of all files.
        dtype: ``"float32"``, ``"bfloat16"`` or ``"float16"``, of most of them; "" for another.
        packed: They were quantized before they were stored.
    """

    bytes: int
    dtype: str
    packed: bool


@dataclass(frozen=True, slots=True)
class Form:
    """How to load a model.

    Attributes:
        dtype: Of the weights; ``"auto"`` leaves them as stored, and then they are mapped.
        device_map: ``"cpu"``, ``"cuda:0"``, or ``"auto"``: spread over all there is.
        quantize: Pack to NF4 while loading.
        why: One sentence for people.
    """

    dtype: str
    device_map: str
    quantize: bool
    why: str


def plan_form(device: Device, stored: Stored) -> Form:
    """Return the form for this model on this device.

    Raises:
        MemoryError: It fits in none.
    """
    if device.kind == "cuda":
        return _plan_cuda(device, stored)
    widened = stored.bytes * 2
    if stored.dtype in ("float16", "bfloat16") and not (stored.packed or device.bf16):
        if widened + SPARE_BYTES <= device.main_free:
            return Form("float32", "cpu", False, "this CPU is slow with 16 bits; widened to 32")
    elif stored.bytes <= device.main_free:
        return Form("auto", "cpu", False, "as stored, mapped")
    if stored.bytes <= device.main_free:
        return Form("auto", "cpu", False, "as stored, mapped; there is no room to widen it")
    raise MemoryError(f"{stored.bytes} bytes of weights, {device.main_free} free")


def _plan_cuda(device: Device, stored: Stored) -> Form:
    room = device.free - SPARE_BYTES
    narrow = "bfloat16" if device.bf16 else "float16"
    size = stored.bytes // 2 if stored.dtype == "float32" and not stored.packed else stored.bytes
    if stored.packed:
        if device.packs and size <= room:
            return Form("auto", "cuda:0", False, "stored packed; on the GPU as it is")
        raise MemoryError(f"{size} bytes of packed weights, {device.free} free on {device.name}")
    if size <= room:
        return Form(narrow, "cuda:0", False, "fits on the GPU in 16 bits")
    if device.packs and int(size * PACKED_SHARE) <= room:
        return Form(narrow, "cuda:0", True, "fits on the GPU only when packed to NF4")
    if size <= max(room, 0) + device.main_free:
        return Form(narrow, "auto", False, "spread over the GPU and main memory; slow")
    raise MemoryError(f"{size} bytes of weights, {device.free} free on {device.name}")


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
        with safe_open(file, "pt") as stored:
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
