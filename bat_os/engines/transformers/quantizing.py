"""Packs a model to NF4 once, so that it is stored, and later loaded, in that form.

    python -m bat_os.engines.transformers.quantizing SOURCE FOLDER WANTED KIND

The child process looks at the device, asks ``core/forms.py`` whether packing suits model
and device, and does it; its memory, on the GPU too, goes back when it ends. bitsandbytes packs on
the CPU as well: 6 s for 135M parameters. Same source, same bytes.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from safetensors import SafetensorError

from bat_os.core.forms import NF4, SPARE_BYTES, Form, form_to_store
from bat_os.engines.gguf import run_module, say_line
from bat_os.engines.offline import default_threads, prepare
from bat_os.engines.transformers.forms import inspect_device, measure_stored
from bat_os.errors import BatError, ModelError, ModelMemoryError

if TYPE_CHECKING:
    from collections.abc import Callable

# Taken over as they are: tokenizer, template, licence. Not the weights, nor what describes them.
_TAKEN: Final = (".json", ".jinja", ".model", ".txt", ".md", "")
_MADE: Final = ("config.json", "model.safetensors.index.json")


async def pack_in_child(
    source: Path,
    folder: Path,
    progress: Callable[[str], None],
    *,
    wanted: str = "",
    kind: str = "",
) -> bool:
    """Pack the model in ``source`` where that suits; return whether ``folder`` has it now.

    Args:
        source: Folder of a model in 16 or 32 bits.
        folder: Replaced.
        progress: Told what is being done.
        wanted: The form that the model's profile counts on; "" for none.
        kind: Pack on a device of this kind, ``"cpu"`` or ``"cuda"``, suit it or not; "" decides
            by the device that is there.

    Raises:
        ModelError: The child failed; the message has its last words. ``source`` is whole.
    """
    last = ""

    def hear(line: str) -> None:
        nonlocal last
        last = line
        progress(line)

    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    arguments = [str(path.absolute()) for path in (source, folder)]
    module = "bat_os.engines.transformers.quantizing"
    if status := await run_module(module, [*arguments, wanted, kind], hear):
        raise ModelError(last or f"packing {source.name} ended with status {status}")
    return await asyncio.to_thread(folder.is_dir)


def quantize_folder(
    source: Path, folder: Path, progress: Callable[[str], None], kind: str = ""
) -> None:
    """Write the model in ``source`` as NF4 into ``folder``, which appears whole or not at all.

    Double quantization, bfloat16 arithmetic. Blocks; reads the whole model into memory.

    Args:
        source: Folder of a model in 16 or 32 bits.
        folder: Replaced.
        progress: Told what is being done.
        kind: ``"cpu"`` or ``"cuda"``; "" takes a GPU where there is one. The two round
            differently now and then.

    Raises:
        ModelError: ``source`` cannot be read, is packed already, or bitsandbytes cannot be had.
        ModelMemoryError: There is no room to do it.
    """
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        _quantize(source, partial, progress, kind)
    except MemoryError as error:
        raise ModelMemoryError(f"there is no room to quantize {source.name}: {error}") from error
    except (OSError, ValueError, RuntimeError, KeyError, ImportError, SafetensorError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{source.name} cannot be quantized: {reason}; fetch it again or use it as it is"
        ) from error
    else:
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


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
