"""Packs a model to NF4 once, so that it is stored, and later loaded, in that form.

bitsandbytes packs on the CPU too: 6 s for 135M parameters. Same source, same bytes.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from safetensors import SafetensorError

from bat_os.engines.local.forms import SPARE_BYTES, measure_stored
from bat_os.engines.offline import default_threads, prepare
from bat_os.errors import ModelError, ModelMemoryError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Taken over as they are: tokenizer, template, licence. Not the weights, nor what describes them.
_TAKEN: Final = (".json", ".jinja", ".model", ".txt", ".md")
_MADE: Final = ("config.json", "model.safetensors.index.json")


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

    from bat_os.engines.local.forms import Form, inspect_device
    from bat_os.engines.local.loading import load_model

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
        if file.suffix in _TAKEN and file.name not in _MADE:
            shutil.copyfile(file, folder / file.name)
