"""In which form a model runs and is stored: the facts, and packing to NF4.

    python -m bat_os.engines.transformers.forms SOURCE FOLDER WANTED KIND

The rule is ``core/forms.py``; this module collects the facts about the device and the weights on
the disk. Packing is done once, in a child process, which asks the same rule whether it suits model
and device. Its memory, on the GPU too, goes back when it ends. bitsandbytes packs on the CPU as
well: 6 s for 135M parameters. Same source, same bytes.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil
from safetensors import SafetensorError, safe_open

from bat_os.core.forms import NF4, SPARE_BYTES, Device, Form, Stored, form_to_store
from bat_os.engines.base import default_threads, first_line, prepare, weight_files, written_whole
from bat_os.engines.child_module import run_step, say_line
from bat_os.errors import BatError, ModelError, ModelMemoryError

if TYPE_CHECKING:
    from collections.abc import Callable

CONFIG: Final = "config.json"
_TYPES: Final = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def measure_stored(folder: Path) -> Stored:
    """Return the facts about the weights in ``folder``; reads headers only."""
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

    Imports torch: call ``base.prepare`` first.
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
    facts = torch.cpu.get_capabilities()
    return Device(
        kind="cpu",
        name=torch.backends.cpu.get_cpu_capability(),
        memory=memory.total,
        free=memory.available,
        main_free=memory.available,
        bf16=any(facts.get(key) for key in ("avx512_bf16", "amx_bf16", "bf16")),
        packs=_packs("cpu"),
    )


def describe_device(kind: str = "") -> dict[str, Any]:
    """Return plain facts for people: the device, and what torch and bitsandbytes do on it."""
    import torch

    facts = asdict(inspect_device(kind))
    return facts | {"torch": torch.__version__, "bitsandbytes": _bitsandbytes_version()}


def held_on_gpu() -> int:
    """Return the bytes of GPU memory that models of this process hold; imports nothing."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    allocated = getattr(cuda, "memory_allocated", None)  # missing while torch is being imported
    return int(allocated()) if allocated is not None else 0


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


# Taken over as they are: tokenizer, template, licence. Not the weights, nor what describes them.
_TAKEN: Final = (".json", ".jinja", ".model", ".txt", ".md", "")
_MADE: Final = ("config.json", "model.safetensors.index.json")


async def pack_in_child(
    source: Path, folder: Path, progress: Callable[[str], None], *, wanted: str = "", kind: str = ""
) -> bool:
    """Pack the model in ``source`` where that suits; return whether ``folder`` has it now.

    Args:
        source: Folder of a model in 16 or 32 bits.
        folder: Replaced.
        progress: Called with each line for people.
        wanted: The form that the model's profile counts on; "" for none.
        kind: Pack on a device of this kind, ``"cpu"`` or ``"cuda"``, suit it or not; "" decides
            by the device that is there.

    Raises:
        ModelError: The child failed; the message has its last words. ``source`` is whole.
    """
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    places = [str(path.absolute()) for path in (source, folder)]
    module = "bat_os.engines.transformers.forms"
    await run_step(module, [*places, wanted, kind], progress, f"packing {source.name} ended")
    return await asyncio.to_thread(folder.is_dir)


def quantize_folder(
    source: Path, folder: Path, progress: Callable[[str], None], kind: str = ""
) -> None:
    """Write the model in ``source`` as NF4 into ``folder``, which appears whole or not at all.

    Double quantization, bfloat16 arithmetic. Blocks; reads the whole model into memory.

    ``kind`` is that of ``inspect_device``; a GPU and a CPU round differently now and then.
    """
    try:
        with written_whole(folder) as partial:
            _quantize(source, partial, progress, kind)
    except MemoryError as error:
        raise ModelMemoryError(f"there is no room to quantize {source.name}: {error}") from error
    except (OSError, ValueError, RuntimeError, KeyError, ImportError, SafetensorError) as error:
        raise ModelError(
            f"{source.name} cannot be quantized: {first_line(error)}; "
            "fetch it again or use it as it is"
        ) from error


def _quantize(source: Path, folder: Path, progress: Callable[[str], None], kind: str) -> None:
    progress("loading the libraries")
    prepare(default_threads())
    import torch  # heavy, and after the switches are set

    from bat_os.engines.transformers.loading import load_model

    stored = measure_stored(source)
    if stored.packed:
        raise ValueError("it is packed already")
    device = inspect_device(kind)
    # On its way, every weight goes through main memory; on a GPU, only the result stays.
    if device.kind == "cpu" and stored.bytes + SPARE_BYTES > device.main_free:
        raise MemoryError(f"{stored.bytes} bytes of weights, {device.main_free} free")
    place = "cuda:0" if device.kind == "cuda" else "cpu"
    progress("packing the weights")
    model = load_model(source, Form("bfloat16", place, True, "to be stored packed"), device)
    progress("writing the weights")
    with torch.inference_mode():
        model.net.save_pretrained(folder)
    for file in sorted(source.iterdir()):
        if file.is_file() and file.suffix in _TAKEN and file.name not in _MADE:
            shutil.copyfile(file, folder / file.name)


def main(argv: list[str] | None = None) -> int:
    """Pack ``SOURCE`` into ``FOLDER`` where that suits ``WANTED`` and the device."""
    source, folder, wanted, kind = sys.argv[1:] if argv is None else argv
    try:
        if not kind:
            prepare(default_threads())
            device, stored = inspect_device(), measure_stored(Path(source))
            if form_to_store(device, stored, wanted) != NF4:
                return 0
        quantize_folder(Path(source), Path(folder), say_line, kind)
    except (BatError, OSError, ValueError, SafetensorError) as error:
        say_line(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
