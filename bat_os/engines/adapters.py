"""LoRA adapters: read and checked on the disk, matched to a base, put on a loaded model by peft.

    lora_adapters/NAME/adapter_config.json + adapter_model.safetensors     as peft saves it
    lora_adapters/NAME.safetensors   with its configuration beside it (NAME.json), or as JSON
                                     in its metadata under ``adapter_config``; without one,
                                     what the shapes of its tensors say, at a scale of 1

An adapter may come from a stranger. Only safetensors are read, no tensor is loaded before its shape
is compared with the model, and a configuration that asks for more than plain LoRA on linear layers
is refused by name. peft gets the full names of the modules and the few settings that were checked,
not the configuration as it came.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from safetensors import SafetensorError, safe_open

from bat_os.core.schema import Meta, Record, convert, number, text
from bat_os.engines.gguf import LAYERS, read_header
from bat_os.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

log = logging.getLogger(__name__)

CONFIG: Final = "adapter_config.json"
WEIGHTS: Final = "adapter_model.safetensors"
# Beside them: the same adapter for llama.cpp, which ``loragguf`` derives.
ADAPTER_GGUF: Final = "adapter.gguf"
MAX_BYTES: Final = 512 << 20
MAX_CONFIG: Final = 1 << 20
MAX_RANK: Final = 256
# peft writes "all-linear" as the full path of every layer.
MAX_TARGETS: Final = 5_000
_TENSOR: Final = re.compile(
    r"base_model\.model\.([A-Za-z0-9_.]{1,300})\.lora_([AB])\.weight\Z", re.ASCII
)
# What the name of a GGUF model has on top of that of the model: SmolLM2-135M-Instruct-Q4_1.
_FORM: Final = re.compile(r"[-.](i?q\d\w*|bf16|f16|f32)\Z", re.ASCII)
_QUANTIZED: Final = re.compile(r"(.+\.weight)\.quant_state\.bitsandbytes__\w+\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class AdapterFiles:
    """A LoRA adapter that was read and is sound."""

    name: str  # of its folder or file
    weights: Path  # the safetensors file
    config: Mapping[str, Any]  # as in adapter_config.json; ``_Config`` has accepted it
    base: str  # the model it was trained on, as the trainer called it; "" where unknown
    tensors: Mapping[str, tuple[int, ...]]  # name of each tensor -> shape
    modules: Mapping[str, tuple[int, int]]  # path of each changed layer -> (inputs, outputs)


_Name = Annotated[str, text(200, pattern=r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")]
_Positive = Annotated[float, Meta(gt=0, le=1e6, description="a number above 0, at most 1,000,000")]
_Number = Annotated[float, number(0, 1e6)]
_Label = Annotated[str, text(300)] | None
# peft takes the keys for regular expressions, so only plain names are accepted.
_Pattern = dict[_Name, _Number] | None


class _Config(Record, frozen=True):
    """What a configuration may say. Any other key must be null, false or empty: it does nothing."""

    peft_type: Literal["LORA"]
    r: Annotated[int, number(1, MAX_RANK)]
    lora_alpha: _Positive
    target_modules: Annotated[list[_Name], Meta(min_length=1, max_length=MAX_TARGETS)]
    task_type: Literal["CAUSAL_LM"] | None = None
    lora_dropout: Annotated[float, Meta(ge=0, lt=1, description="a number from 0 to below 1")] = 0
    rank_pattern: _Pattern = None
    alpha_pattern: _Pattern = None
    bias: Literal["none"] = "none"
    # Others change the weights of the base when the adapter is put on.
    init_lora_weights: bool | Literal["gaussian"] = True
    use_rslora: bool = False
    inference_mode: bool = False
    base_model_name_or_path: _Label = None
    revision: _Label = None
    peft_version: _Label = None
    megatron_core: Literal["megatron.core"] | None = None  # peft writes it always
    qalora_group_size: _Number | None = None


def scan_adapters(root: Path) -> list[tuple[str, Path]]:
    """Return (name, path) of everything in ``root`` that looks like an adapter, by name.

    Sub-folders with an adapter_config.json and single safetensors files; hidden ones are
    left alone. Nothing is read: ``read_adapter`` says what is wrong with one.
    """
    adapters: dict[str, Path] = {}
    entries = [] if not root.is_dir() else [e for e in root.iterdir() if e.name[0] != "."]
    for path in sorted(entries, key=lambda entry: (entry.is_file(), entry.name)):
        single = path.is_file() and path.suffix == ".safetensors"
        if not single and not (path / CONFIG).is_file():
            continue
        name = path.stem if single else path.name
        if name in adapters:
            log.warning("adapter %s: %s is skipped; its folder is used", name, path.name)
        else:
            adapters[name] = path
    return sorted(adapters.items())


def read_adapter(path: Path) -> AdapterFiles:
    """Return the adapter in a folder or in a single safetensors file, checked.

    Raises:
        ModelError: It is not a plain LoRA adapter; the message names it and says why.
    """
    single = not path.is_dir()
    name = path.stem if single else path.name
    try:
        return _read(path, name, single=single)
    except (OSError, SafetensorError, ValueError, RecursionError, ModelError) as error:
        raise ModelError(f"adapter {name} cannot be used: {error}", adapter=name) from error


def _read(path: Path, name: str, *, single: bool) -> AdapterFiles:
    weights = path if single else path / WEIGHTS
    if not weights.is_file():
        raise ValueError(f"there is no {weights.name}; only safetensors are read")
    if (size := weights.stat().st_size) > MAX_BYTES:
        raise ValueError(f"{size} bytes are more than {MAX_BYTES}")
    tensors, metadata = _read_header(weights)
    beside = path.with_suffix(".json") if single else path / CONFIG
    written = _read_text(beside, metadata if single else {})
    if not written and not single:
        raise ValueError(f"there is no {beside.name} with its configuration")
    config = json.loads(written) if written else _configure(tensors)
    said = config
    if isinstance(config, dict):
        known = _Config.__struct_fields__
        empty: tuple[Any, ...] = (None, False, {}, [], "")
        said = {key: value for key, value in config.items() if key in known or value not in empty}
    checked = convert(said, _Config, ModelError, "its configuration")
    base = checked.base_model_name_or_path or ""
    return AdapterFiles(name, weights, config, base, tensors, _modules(tensors, checked))


def as_folder(adapter: AdapterFiles, scratch: Path) -> Path:
    """Return a folder with the adapter as peft saves it; a single file is copied to ``scratch``."""
    if adapter.weights.name == WEIGHTS and (adapter.weights.parent / CONFIG).is_file():
        return adapter.weights.parent
    folder = scratch / adapter.name
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(adapter.weights, folder / WEIGHTS)
    config = json.dumps(adapter.config, indent=2, sort_keys=True)
    (folder / CONFIG).write_text(config + "\n", encoding="utf-8")
    return folder


def fits(adapter: AdapterFiles, base: Path) -> str:
    """Return "" when every layer that the adapter changes is in the base with that shape.

    Otherwise the reason, in words. ``base`` is a GGUF file, or a folder with safetensors; only
    headers are read.
    """
    try:
        shapes = _gguf_shapes(base) if base.is_file() else _base_shapes(base)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError,
            ModelError) as error:  # fmt: skip
        return f"its weights cannot be read: {error}"
    if not shapes:
        return "it has no safetensors weights, and other forms take no adapter"
    for module, (inputs, outputs) in adapter.modules.items():
        shape = _shape_of(module, shapes)
        if shape is None:
            return f"it has no layer {module}"
        if shape != (outputs, inputs):
            is_ = f"{shape[1]} in and {shape[0]} out" if len(shape) == 2 else f"shape {shape}"
            return f"{module} has {is_}, the adapter {inputs} and {outputs}"
    return ""


def find_base(adapter: AdapterFiles, bases: Mapping[str, Path]) -> tuple[str, str]:
    """Return (name of the base, "") or ("", why there is none).

    The base that the adapter names, if it is there; it has to fit. Else the only one that
    fits by shapes. ``bases`` has each model's name, and its folder or GGUF file.
    """
    named = [name for name, folder in bases.items() if _is_named(adapter.base, name, folder)]
    reasons = {name: fits(adapter, bases[name]) for name in named or bases}
    fitting = [name for name, reason in reasons.items() if not reason]
    if len(fitting) == 1:
        return fitting[0], ""
    if fitting:
        names = ", ".join(sorted(fitting))
        return "", f"it fits {names} alike; name one as base_model_name_or_path in its {CONFIG}"
    if not reasons:
        return "", "there is no model that it could belong to"
    return "", "; ".join(f"not for {name}: {reason}" for name, reason in sorted(reasons.items()))


def _is_named(base: str, name: str, folder: Path) -> bool:
    """Return True when an adapter for ``base`` means this model; the owner's part is left out."""
    wanted = base.rstrip("/").rpartition("/")[2].casefold()
    if not wanted:
        return False
    if folder.is_file():
        return wanted in (name.casefold(), _FORM.sub("", name.casefold()))
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        own = str(config.get("_name_or_path", "")).rpartition("/")[2].casefold()
    except (OSError, ValueError, RecursionError, AttributeError):
        own = ""
    return wanted in (name.casefold(), own)


def _read_header(path: Path) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """Return name -> shape of all tensors, and the metadata; loads no tensor."""
    with safe_open(path, framework="np") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping
        return shapes, dict(file.metadata() or {})


def _read_text(beside: Path, metadata: Mapping[str, str]) -> str:
    """Return the configuration's JSON; "" if there is none."""
    config = metadata.get("adapter_config", "")
    if beside.is_file():
        if beside.stat().st_size > MAX_CONFIG:
            raise ValueError(f"{beside.name} is larger than {MAX_CONFIG} bytes")
        config = beside.read_text(encoding="utf-8")
    return config


def _configure(tensors: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Return the configuration of an adapter that came without one: its rank as alpha."""
    found = {tensor: _TENSOR.match(tensor) for tensor in tensors}
    ranks = {
        match[1]: tensors[name][0]
        for name, match in found.items()
        if match and match[2] == "A" and tensors[name]
    }
    ((common, _),) = Counter(ranks.values()).most_common(1) or [(1, 0)]
    others = {module: rank for module, rank in ranks.items() if rank != common}
    return {
        "peft_type": "LORA", "r": common, "lora_alpha": common, "target_modules": sorted(ranks),
        "rank_pattern": others, "alpha_pattern": others,
    }  # fmt: skip


def _modules(tensors: Mapping[str, tuple[int, ...]], config: _Config) -> dict[str, tuple[int, int]]:
    """Return path of each changed layer -> (inputs, outputs)."""
    pairs: dict[str, dict[str, tuple[int, ...]]] = {}
    for tensor, shape in tensors.items():
        match = _TENSOR.match(tensor)
        if not match or len(shape) != 2:
            raise ValueError(f"{tensor[:100]!r} is not a tensor of LoRA on a linear layer")
        pairs.setdefault(match[1], {})[match[2]] = shape
    wanted = set(config.target_modules)
    left = set(wanted)
    ranks = {config.r, *(config.rank_pattern or {}).values()}
    modules = {}
    for module, sides in pairs.items():
        if len(sides) != 2:
            raise ValueError(f"{module} has only one of its two tensors")
        (rank, inputs), (outputs, other) = sides["A"], sides["B"]
        if rank != other or rank not in ranks or rank > MAX_RANK:
            raise ValueError(f"{module} has rank {rank}, and its configuration {config.r}")
        parts = module.split(".")
        targets = wanted & {".".join(parts[start:]) for start in range(len(parts))}
        if not targets:
            raise ValueError(f"{module} is not among its target_modules")
        left -= targets
        modules[module] = (inputs, outputs)
    if left or not modules:
        raise ValueError(f"there are no tensors for {', '.join(sorted(left)) or 'any layer'}")
    return dict(sorted(modules.items()))


def _base_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of the base's tensors, as they were before any quantization."""
    shapes: dict[str, tuple[int, ...]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="np") as file:
            for name in file.keys():  # noqa: SIM118 - it is no mapping
                if match := _QUANTIZED.match(name):
                    # bitsandbytes packs two weights into a byte and keeps the shape as JSON.
                    state = json.loads(bytes(file.get_tensor(name)))
                    shapes[match[1]] = tuple(int(side) for side in state["shape"])
                else:
                    shapes.setdefault(name, tuple(file.get_slice(name).get_shape()))
    return shapes


def _gguf_shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a GGUF file's linear layers, under the names of transformers."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, sides in read_header(file).shapes.items():
        block, _, layer = name.removesuffix(".weight").rpartition(".")
        if layer in LAYERS and len(sides) == 2 and block.startswith("blk."):
            shapes[f"model.layers.{block[4:]}.{LAYERS[layer]}.weight"] = (sides[1], sides[0])
    if not shapes:
        raise ValueError("it has no layers that an adapter could change")
    return shapes


def _shape_of(module: str, shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...] | None:
    names = [f"{module}.weight", f"{module.removeprefix('model.')}.weight"]
    if module == "lm_head":  # tied to the embeddings, it is stored once
        names.append("model.embed_tokens.weight")
    return next((shapes[name] for name in names if name in shapes), None)


def attach_adapter(net: Any, handle: str, adapter: AdapterFiles) -> None:
    """Put ``adapter`` on ``net``; only ``use_adapter`` says whether it is used.

    ``handle`` is what peft knows the adapter by; it has to be fit for the name of a module.
    """
    if reason := misfit(net, adapter):
        raise ModelError(
            f"adapter {adapter.name} does not fit the model: {reason}; "
            "use one that was trained on this model"
        )
    from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict  # heavy

    keys = ("r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora")
    settings = {key: adapter.config[key] for key in keys if adapter.config.get(key)}
    config = LoraConfig(target_modules=sorted(adapter.modules), **settings)
    try:
        state = _read_weights(adapter, net.dtype)
        inject_adapter_in_model(config, net, handle, low_cpu_mem_usage=True)
        set_peft_model_state_dict(net, state, handle, low_cpu_mem_usage=True)
        _place(net, handle)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        detach_adapter(net, handle)
        raise ModelError(
            f"adapter {adapter.name} cannot be used: {error}; add it again from its source"
        ) from error
    finally:
        # The layers know all that is needed; peft would warn of the adapters that are there.
        vars(net).pop("peft_config", None)


def misfit(net: Any, adapter: AdapterFiles) -> str:
    """Return "" when each layer that ``adapter`` changes is in ``net`` at its size, or why not."""
    from torch.nn import Linear  # heavy

    modules = dict(net.named_modules())
    for path, sizes in adapter.modules.items():
        layer = modules.get(path)
        layer = getattr(layer, "base_layer", layer)
        if not isinstance(layer, Linear):
            return f"it has no linear layer {path}"
        if (layer.in_features, layer.out_features) != tuple(sizes):
            return (
                f"{path} has {layer.in_features} inputs and {layer.out_features} outputs, "
                f"in the adapter {sizes[0]} and {sizes[1]}"
            )
    return ""


def detach_adapter(net: Any, handle: str) -> None:
    """Take the adapter off, if it is on; the layers that held it stay wrapped."""
    for layer in _layers(net):
        if handle in layer.lora_A:
            layer.delete_adapter(handle)


def use_adapter(net: Any, handle: str) -> None:
    """Switch ``net`` to this adapter; to none for ""."""
    for layer in _layers(net):
        layer.enable_adapters(enabled=bool(handle))
        if handle:
            layer.set_adapter(handle)


def _layers(net: Any) -> list[Any]:
    return [module for module in net.modules() if hasattr(module, "lora_A")]


def _read_weights(adapter: AdapterFiles, dtype: Any) -> dict[str, Any]:
    state = {}
    with safe_open(adapter.weights, "pt") as stored:
        for key, shape in adapter.tensors.items():
            tensor = stored.get_tensor(key)
            if tuple(tensor.shape) != tuple(shape):
                raise ValueError(f"{key} has changed since it was checked")
            if not tensor.is_floating_point() or not bool(tensor.isfinite().all()):
                raise ValueError(f"{key} has values that are no finite numbers")
            # A copy: the file may be replaced while the adapter is in use.
            state[key] = tensor.to(dtype, copy=True)
    return state


def _place(net: Any, handle: str) -> None:
    """Put the adapter's weights where those are that they add to."""
    for layer in _layers(net):
        if handle not in layer.lora_A:
            continue
        device = layer.get_base_layer().weight.device
        for side in (layer.lora_A, layer.lora_B):
            parameter = side[handle].weight
            if parameter.device.type == "meta":
                raise ValueError("a part of it is missing")
            if device.type == "meta":
                raise ValueError("the model is spread over several places, and takes no adapter")
            parameter.data = parameter.data.to(device)
