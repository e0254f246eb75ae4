"""In which form a model is stored in the image, and in which one it runs.

One rule for both: what is packed at intake is what would have been packed at every load.

    CUDA, its profile counts on NF4   NF4 by bitsandbytes, on the GPU
    CUDA, fits in 16 bits             16 bits, on the GPU
    CUDA, fits packed                 NF4, on the GPU
    CUDA, does not fit                16 bits, spread over GPU and main memory by accelerate
    CPU                               as stored; 16 bits become 32 where the CPU is slow with them
    CPU, fits packed only             NF4

Pure functions of facts, which ``engines/transformers/forms.py`` collects.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

NF4: Final = "nf4"
# What drawing needs beside the weights: attention states, scratch space of the kernels.
SPARE_BYTES: Final = 1 << 30
# Of 16 bits, in NF4 with double quantization: 4.13 of 16, and the embeddings stay as they are.
PACKED_SHARE: Final = 0.35
_NARROW: Final = ("float16", "bfloat16")


@dataclass(frozen=True, slots=True)
class Device:
    """What there is to compute with."""

    kind: str  # ``"cuda"`` or ``"cpu"``
    name: str  # for people
    memory: int  # bytes that it has
    free: int  # bytes of those that are free
    main_free: int  # bytes of main memory that are free
    bf16: bool  # it computes with bfloat16 at full speed
    packs: bool  # bitsandbytes can compute with NF4 here


@dataclass(frozen=True, slots=True)
class Stored:
    """The weights of a model as they lie on disk."""

    bytes: int  # of all files
    dtype: str  # ``"float32"``, ``"bfloat16"`` or ``"float16"``, of most of them; "" for another
    packed: bool  # they were quantized before they were stored

    @property
    def narrow_bytes(self) -> int:
        """Bytes in 16 bits; of packed weights, as they are."""
        return self.bytes // 2 if self.dtype == "float32" and not self.packed else self.bytes

    @property
    def packed_bytes(self) -> int:
        """Bytes in NF4, roughly."""
        return self.bytes if self.packed else int(self.narrow_bytes * PACKED_SHARE)


@dataclass(frozen=True, slots=True)
class Form:
    """How to load a model."""

    dtype: str  # of the weights; ``"auto"`` leaves them as stored, and then they are mapped
    device_map: str  # ``"cpu"``, ``"cuda:0"``, or ``"auto"``: spread over all there is
    quantize: bool  # pack to NF4 while loading
    why: str  # one sentence for people


def plan_form(device: Device, stored: Stored, wanted: str = "") -> Form:
    """Return the form in which to load this model on this device.

    Args:
        device: Where it is to run.
        stored: Its weights.
        wanted: The form that its profile counts on, one of ``profiles.FORMS``; "" for none.
            Only ``"nf4"`` changes anything, and only on a GPU.

    Raises:
        MemoryError: It fits in none.
        ValueError: It is packed, and nothing here computes with that.
    """
    if stored.packed and not device.packs:
        raise ValueError(
            "its weights are packed to NF4, which takes a bitsandbytes that works on this "
            f"{'GPU' if device.kind == 'cuda' else 'processor'}; install that of requirements.txt"
        )
    return (
        _plan_cuda(device, stored, wanted) if device.kind == "cuda" else _plan_cpu(device, stored)
    )


def form_to_store(device: Device, stored: Stored, wanted: str = "") -> str:
    """Return the form to keep a new model in: ``"nf4"``, or "" for the one that it comes in.

    As ``plan_form``, with the whole device for this model alone: what is busy now does not
    decide for good. Packing is for GPUs; on a processor NF4 is slower than what came (13
    tokens a second against 23 for SmolLM2-135M), and stays a way out at loading.

    >>> gpu = Device("cuda", "a GPU", 8 << 30, 1 << 30, 16 << 30, bf16=True, packs=True)
    >>> form_to_store(gpu, Stored(15 << 30, "bfloat16", packed=False))
    'nf4'
    >>> form_to_store(gpu, Stored(3 << 30, "bfloat16", packed=False))
    ''
    >>> form_to_store(gpu, Stored(3 << 30, "bfloat16", packed=False), wanted="nf4")
    'nf4'
    """
    if device.kind != "cuda" or stored.packed:
        return ""
    try:
        form = plan_form(replace(device, free=device.memory), stored, wanted)
    except MemoryError:
        return ""  # it runs nowhere here; another machine may run it as it is
    return NF4 if form.quantize else ""


def _plan_cpu(device: Device, stored: Stored) -> Form:
    free = device.main_free
    slow = stored.dtype in _NARROW and not (stored.packed or device.bf16)
    if slow and stored.bytes * 2 + SPARE_BYTES <= free:
        return Form("float32", "cpu", False, "this CPU is slow with 16 bits; widened to 32")
    if stored.bytes <= free:
        room = "; there is no room to widen it" if slow else ""
        return Form("auto", "cpu", False, f"as stored, mapped{room}")
    if device.packs and not stored.packed and stored.packed_bytes + SPARE_BYTES <= free:
        return Form("bfloat16", "cpu", True, "fits into memory only when packed to NF4")
    raise MemoryError(f"{stored.bytes} bytes of weights, {free} free")


def _plan_cuda(device: Device, stored: Stored, wanted: str) -> Form:
    room = device.free - SPARE_BYTES
    narrow, size = "bfloat16" if device.bf16 else "float16", stored.narrow_bytes
    if stored.packed:
        if size <= room:
            return Form("auto", "cuda:0", False, "stored packed; on the GPU as it is")
        raise MemoryError(f"{size} bytes of packed weights, {device.free} free on {device.name}")
    packs = device.packs and stored.packed_bytes <= room
    if packs and wanted == NF4:
        return Form(narrow, "cuda:0", True, "packed to NF4, as its profile counts on")
    if size <= room:
        return Form(narrow, "cuda:0", False, "fits on the GPU in 16 bits")
    if packs:
        return Form(narrow, "cuda:0", True, "fits on the GPU only when packed to NF4")
    if size <= max(room, 0) + device.main_free:
        return Form(narrow, "auto", False, "spread over the GPU and main memory; slow")
    raise MemoryError(f"{size} bytes of weights, {device.free} free on {device.name}")
