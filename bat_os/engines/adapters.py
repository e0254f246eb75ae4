"""LoRA adapters: read and checked on the disk, matched to a base, put on a loaded model by peft.

    lora_adapters/NAME/adapter_config.json + adapter_model.safetensors     as peft saves it
    lora_adapters/NAME.safetensors   with its configuration beside it (NAME.json), or as JSON
                                     in its metadata under ``adapter_config``

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
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from safetensors import SafetensorError, safe_open

from bat_os.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

log = logging.getLogger(__name__)

CONFIG: Final = "adapter_config.json"
WEIGHTS: Final = "adapter_model.safetensors"
MAX_BYTES: Final = 512 << 20
MAX_CONFIG: Final = 1 << 20
MAX_RANK: Final = 256
# peft writes "all-linear" as the full path of every layer.
MAX_TARGETS: Final = 5_000
_PLAIN: Final = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*\Z", re.ASCII)
_TENSOR: Final = re.compile(
    r"base_model\.model\.([A-Za-z0-9_.]{1,300})\.lora_([AB])\.weight\Z", re.ASCII
)
_QUANTIZED: Final = re.compile(r"(.+\.weight)\.quant_state\.bitsandbytes__\w+\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class AdapterFiles:
    """A LoRA adapter that was read and found sound.

    Attributes:
        name: Of its folder or file.
        weights: The safetensors file.
        config: As in adapter_config.json.
        rank: ``r``; with a ``rank_pattern`` single modules may have another.
        alpha: Scale; the adapter's part counts ``alpha / rank``.
        targets: Names of the linear layers that it changes, sorted.
        base: The model it was trained on, as the trainer called it; "" where unknown.
        tensors: Name of each tensor -> shape.
        modules: Path of each changed layer -> (inputs, outputs).
        bytes: Size of the weights file.
    """

    name: str
    weights: Path
    config: Mapping[str, Any]
    rank: int
    alpha: float
    targets: tuple[str, ...]
    base: str
    tensors: Mapping[str, tuple[int, ...]]
    modules: Mapping[str, tuple[int, int]]
    bytes: int


def scan_adapters(root: Path) -> list[tuple[str, Path]]:
    """Return (name, path) of everything in ``root`` that looks like an adapter, by name.

    Sub-folders with an adapter_config.json and single safetensors files; hidden ones are
    left alone. Nothing is read: ``read_adapter`` says what is wrong with one.
    """
    found: dict[str, Path] = {}
    entries = [] if not root.is_dir() else [e for e in root.iterdir() if e.name[0] != "."]
    for path in sorted(entries, key=lambda entry: (entry.is_file(), entry.name)):
        single = path.is_file() and path.suffix == ".safetensors"
        if not single and not (path / CONFIG).is_file():
            continue
        name = path.stem if single else path.name
        if name in found:
            log.warning("adapter %s: %s is skipped; its folder is used", name, path.name)
        else:
            found[name] = path
    return sorted(found.items())


def read_adapter(path: Path) -> AdapterFiles:
    """Return the adapter in a folder or in a single safetensors file, checked.

    Raises:
        ModelError: It is not a plain LoRA adapter; the message names it and says why.
    """
    single = not path.is_dir()
    name = path.stem if single else path.name
    weights = path if single else path / WEIGHTS
    with _sound(name):
        if not weights.is_file():
            raise ValueError(f"there is no {weights.name}; only safetensors are read")
        size = weights.stat().st_size
        if size > MAX_BYTES:
            raise ValueError(f"{size} bytes are more than {MAX_BYTES}")
        tensors, metadata = _read_header(weights)
        beside = path.with_suffix(".json") if single else path / CONFIG
        config = _read_config(beside, metadata if single else {})
        _check_config(config)
        modules = _modules(tensors, config)
    return AdapterFiles(
        name=name,
        weights=weights,
        config=config,
        rank=config["r"],
        alpha=float(config["lora_alpha"]),
        targets=tuple(sorted(config["target_modules"])),
        base=config.get("base_model_name_or_path") or "",
        tensors=tensors,
        modules=modules,
        bytes=size,
    )


def as_folder(adapter: AdapterFiles, scratch: Path) -> Path:
    """Return a folder with the adapter as peft saves it; a single file is copied to ``scratch``."""
    if adapter.weights.name == WEIGHTS and (adapter.weights.parent / CONFIG).is_file():
        return adapter.weights.parent
    folder = scratch / adapter.name
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(adapter.weights, folder / WEIGHTS)
    text = json.dumps(dict(adapter.config), indent=2, sort_keys=True)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")
    return folder


def fits(adapter: AdapterFiles, base_folder: Path) -> str:
    """Return "" when every layer that the adapter changes is in the base with that shape.

    Otherwise the reason, in words. Reads the headers of the base's safetensors only.
    """
    try:
        shapes = _base_shapes(base_folder)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
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
    fits by shapes.

    Args:
        adapter: What ``read_adapter`` gave.
        bases: Name of each model -> its folder.
    """
    named = [name for name, folder in bases.items() if _is_named(adapter.base, name, folder)]
    reasons = {name: fits(adapter, bases[name]) for name in named or bases}
    fitting = [name for name, reason in reasons.items() if not reason]
    if len(fitting) == 1:
        return fitting[0], ""
    if fitting:
        text = ", ".join(sorted(fitting))
        return "", f"it fits {text} alike; name one as base_model_name_or_path in its {CONFIG}"
    if not reasons:
        return "", "there is no model that it could belong to"
    return "", "; ".join(f"not for {name}: {reason}" for name, reason in sorted(reasons.items()))


def _is_named(base: str, name: str, folder: Path) -> bool:
    """Return True when an adapter for ``base`` means this model; the owner's part is left out."""
    wanted = base.rstrip("/").rpartition("/")[2].casefold()
    if not wanted:
        return False
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        own = str(config.get("_name_or_path", "")).rpartition("/")[2].casefold()
    except (OSError, ValueError, RecursionError, AttributeError):
        own = ""
    return wanted in (name.casefold(), own)


@contextmanager
def _sound(name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise ModelError(f"adapter {name} cannot be used: {error}", adapter=name) from error


def _read_header(path: Path) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """Return name -> shape of all tensors, and the metadata; loads no tensor."""
    with safe_open(path, framework="np") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping
        return shapes, dict(file.metadata() or {})


def _read_config(beside: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    text = metadata.get("adapter_config", "")
    if beside.is_file():
        if beside.stat().st_size > MAX_CONFIG:
            raise ValueError(f"{beside.name} is larger than {MAX_CONFIG} bytes")
        text = beside.read_text(encoding="utf-8")
    if not text:
        raise ValueError(f"there is no {beside.name} with its configuration")
    config = json.loads(text)
    if not isinstance(config, dict):
        raise ValueError("its configuration is not a JSON object")  # noqa: TRY004 - bad content
    return config


def _check_config(config: Mapping[str, Any]) -> None:
    for key in ("peft_type", "r", "lora_alpha", "target_modules"):
        if key not in config:
            raise ValueError(f"its configuration lacks {key}")
    for key, value in config.items():
        allowed = _KEYS.get(key)
        if not (value in (None, False, {}, [], "") if allowed is None else allowed(value)):
            shown = json.dumps(value)[:60]
            raise ValueError(f"its configuration has {key[:60]!r} = {shown}, which is not taken")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1e6


def _is_text(value: Any) -> bool:
    return value is None or (type(value) is str and len(value) <= 300)


def _is_plain(value: Any) -> bool:
    return type(value) is str and len(value) <= 200 and bool(_PLAIN.match(value))


def _is_pattern(value: Any) -> bool:
    """Peft takes the keys for regular expressions, so only plain names are let through."""
    if value is None:
        return True
    return (
        type(value) is dict and all(map(_is_plain, value)) and all(map(_is_number, value.values()))
    )


# What a configuration may say. Any other key must be null, false or empty: then it does nothing.
_KEYS: Final[dict[str, Callable[[Any], bool]]] = {
    "peft_type": lambda value: value == "LORA",
    "task_type": lambda value: value in (None, "CAUSAL_LM"),
    "r": lambda value: type(value) is int and 1 <= value <= MAX_RANK,
    "lora_alpha": lambda value: _is_number(value) and value > 0,
    "target_modules": lambda value: (
        type(value) is list and 0 < len(value) <= MAX_TARGETS and all(map(_is_plain, value))
    ),
    "lora_dropout": lambda value: _is_number(value) and value < 1,
    "rank_pattern": _is_pattern,
    "alpha_pattern": _is_pattern,
    "bias": lambda value: value == "none",
    # Others change the weights of the base when the adapter is put on.
    "init_lora_weights": lambda value: value in (True, False, "gaussian"),
    "use_rslora": lambda value: type(value) is bool,
    "inference_mode": lambda value: type(value) is bool,
    "base_model_name_or_path": _is_text,
    "revision": _is_text,
    "peft_version": _is_text,
    "megatron_core": lambda value: value in (None, "megatron.core"),  # peft writes it always
    "qalora_group_size": lambda value: value is None or _is_number(value),
}


def _modules(
    tensors: Mapping[str, tuple[int, ...]], config: Mapping[str, Any]
) -> dict[str, tuple[int, int]]:
    """Return path of each changed layer -> (inputs, outputs)."""
    pairs: dict[str, dict[str, tuple[int, ...]]] = {}
    for tensor, shape in tensors.items():
        match = _TENSOR.match(tensor)
        if not match or len(shape) != 2:
            raise ValueError(f"{tensor[:100]!r} is not a tensor of LoRA on a linear layer")
        pairs.setdefault(match[1], {})[match[2]] = shape
    wanted = set(config["target_modules"])
    left = set(wanted)
    ranks = {config["r"], *(config.get("rank_pattern") or {}).values()}
    modules = {}
    for module, sides in pairs.items():
        if len(sides) != 2:
            raise ValueError(f"{module} has only one of its two tensors")
        (rank, inputs), (outputs, other) = sides["A"], sides["B"]
        if rank != other or rank not in ranks or rank > MAX_RANK:
            raise ValueError(f"{module} has rank {rank}, and its configuration {config['r']}")
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


def _shape_of(module: str, shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...] | None:
    names = [f"{module}.weight", f"{module.removeprefix('model.')}.weight"]
    if module == "lm_head":  # tied to the embeddings, it is stored once
        names.append("model.embed_tokens.weight")
    return next((shapes[name] for name in names if name in shapes), None)


# What peft gets of the configuration.
_SETTINGS = ("r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora")


def attach_adapter(net: Any, handle: str, adapter: AdapterFiles) -> None:
    """Put ``adapter`` on ``net``; only ``use_adapter`` says whether it is used.

    Args:
        net: The model, its weights in place.
        handle: What peft is to know the adapter by; fit to be the name of a module.
        adapter: Its files.
    """
    reason = misfit(net, adapter)
    if reason:
        raise ModelError(
            f"adapter {adapter.name} does not fit the model: {reason}; "
            "use one that was trained on this model"
        )
    from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict  # heavy

    settings = {key: adapter.config[key] for key in _SETTINGS if adapter.config.get(key)}
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
