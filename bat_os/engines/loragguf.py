"""LoRA adapters for llama.cpp: what peft saved, written as one GGUF file.

    adapter_config.json + adapter_model.safetensors  ->  adapter.gguf, for one base in GGUF

Needs numpy and gguf only. What differs between the two forms:

- the names: ``model.layers.3.self_attn.q_proj`` is ``blk.3.attn_q``
- the rows of q and k: llama.cpp turns neighbours where transformers turns halves, so a base in GGUF
  has them in another order. Those of B move as those of the base did; A stays as it is
- alpha is one number for the whole file, and the rank is read from the shapes

Same adapter, same base, same bytes.
"""

from __future__ import annotations

import json
import logging
import os
import struct
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from safetensors import SafetensorError, safe_open

from bat_os.engines.adapters import ADAPTER_GGUF, fits
from bat_os.engines.gguf import LAYERS, read_header
from bat_os.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from gguf import GGUFWriter
    from numpy.typing import NDArray

    from bat_os.engines.adapters import AdapterFiles
    from bat_os.engines.gguf import Header

# Whether a base of this architecture has the rows of q and k in llama.cpp's own order.
_PERMUTED: Final = {"llama": True, "qwen2": False, "qwen3": False}
_HEADS: Final = {"self_attn.q_proj": "head_count", "self_attn.k_proj": "head_count_kv"}
_TYPES: Final = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def convert_adapter(adapter: AdapterFiles, base: Path, file: Path) -> None:
    """Write ``adapter`` for the model in the GGUF file ``base``; ``file`` appears whole or not.

    Raises:
        ModelError: It does not fit the base, has what llama.cpp cannot use, or has values that
            are no finite numbers; the message names the adapter and says why.
    """
    partial = file.with_name(file.name + ".partial")
    try:
        _write(adapter, base, partial)
        with partial.open("rb+") as written:
            os.fsync(written.fileno())
        partial.replace(file)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError, ModelError) as error:
        raise ModelError(
            f"adapter {adapter.name} cannot be used in llama.cpp: {error}", adapter=adapter.name
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def check_adapter(name: str, file: Path) -> None:
    """Refuse a file that ``convert_adapter`` cannot have written; reads its header only.

    Raises:
        ModelError: There is none, or it is damaged or of another kind.
    """
    reason = f"there is no {ADAPTER_GGUF}"
    if file.is_file():
        try:
            facts = read_header(file).facts
            what = facts.get("general.type"), facts.get("adapter.type")
            reason = "" if what == ("adapter", "lora") else f"{file.name} is not a LoRA adapter"
        except ModelError as error:
            reason = str(error)
    if reason:
        raise ModelError(
            f"adapter {name} cannot be used in llama.cpp: {reason}; add it again from its source",
            adapter=name,
        )


def permute(rows: NDArray[Any], heads: int) -> NDArray[Any]:
    """Return the rows of q or k, ``(outputs, ...)``, in the order of llama.cpp.

    Within each head the first half of the rows and the second half are interleaved.
    """
    half = rows.shape[0] // heads // 2
    split = rows.reshape(heads, 2, half, *rows.shape[1:])
    return split.swapaxes(1, 2).reshape(rows.shape)


def _write(adapter: AdapterFiles, base_file: Path, file: Path) -> None:
    from gguf import GGUFWriter  # a third of a second

    logging.getLogger("gguf.gguf_writer").setLevel(logging.WARNING)  # it logs each step
    if reason := fits(adapter, base_file):
        raise ValueError(f"not for {base_file.name}: {reason}")
    base, config = read_header(base_file), adapter.config
    for setting in ("use_rslora", "alpha_pattern"):
        if config.get(setting):
            raise ValueError(f"{setting} in its configuration: llama.cpp scales all layers alike")
    if base.architecture not in _PERMUTED:
        known = ", ".join(_PERMUTED)
        raise ValueError(f"its base is of the architecture {base.architecture}; known are {known}")
    stored = _map(adapter.weights)
    writer = GGUFWriter(file, base.architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(config["lora_alpha"]))
    parts = [
        (f"base_model.model.{module}.lora_{side}.weight", _name_in_gguf(module, side), module)
        for module in adapter.modules
        for side in "AB"
    ]
    for key, name, _module in parts:
        shape = adapter.tensors[key]
        size = 4 * shape[0] * shape[1]
        writer.add_tensor_info(name, shape, np.dtype(np.float32), size)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        # One after the other: an adapter may take half a gigabyte.
        for key, _name, module in parts:
            _write_tensor(writer, key, stored, adapter, _heads(base, module))
    finally:
        writer.close()


def _write_tensor(
    writer: GGUFWriter,
    key: str,
    stored: dict[str, tuple[str, NDArray[Any]]],
    adapter: AdapterFiles,
    heads: int,
) -> None:
    kind, values = stored[key]
    if values.shape != adapter.tensors[key]:
        raise ValueError(f"{key} has changed since it was checked")
    if kind == "BF16":  # the upper half of a float32
        values = (values.astype("<u4") << 16).view("<f4")
    values = np.ascontiguousarray(values, np.float32)
    if not np.isfinite(values).all():
        raise ValueError(f"{key} has values that are no finite numbers")
    if heads and ".lora_B." in key:
        if values.shape[0] % (2 * heads):
            raise ValueError(f"{key} has {values.shape[0]} rows, its base {heads} heads")
        values = np.ascontiguousarray(permute(values, heads))
    writer.write_tensor_data(values)


def _name_in_gguf(module: str, side: str) -> str:
    """Return the name of a tensor in llama.cpp; ``module`` is a layer that ``fits`` has found."""
    _model, _layers, number, kind = module.split(".", 3)
    names = {path: name for name, path in LAYERS.items()}
    return f"blk.{number}.{names[kind]}.weight.lora_{side.lower()}"


def _heads(base: Header, module: str) -> int:
    """Return how many heads the rows of ``module`` belong to; 0 where they stay in order."""
    count = _HEADS.get(module.split(".", 3)[3])
    if count is None or not _PERMUTED[base.architecture]:
        return 0
    above = f"{base.architecture}.attention"
    heads = base.facts.get(f"{above}.{count}", base.facts.get(f"{above}.head_count"))
    if type(heads) is not int or heads < 1:
        raise ValueError(f"its base does not say its {count}")
    return heads


def _map(path: Path) -> dict[str, tuple[str, NDArray[Any]]]:
    """Return name -> (type, values) of the tensors of a safetensors file, mapped, not loaded.

    safetensors itself reads no bfloat16 without torch.
    """
    with safe_open(path, framework="np"):
        pass  # refuses a header that names places outside the file
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(length))
    data: NDArray[np.uint8] = np.memmap(path, np.uint8, "r", offset=8 + length)
    tensors = {}
    for name, facts in header.items():
        if name == "__metadata__":
            continue
        kind = facts["dtype"]
        if kind not in _TYPES:
            raise ValueError(f"{name} has values of the type {kind}; known are {', '.join(_TYPES)}")
        raw = data[slice(*facts["data_offsets"])]
        tensors[name] = kind, raw.view(_TYPES[kind]).reshape(facts["shape"])
    return tensors
