"""Builds a model out of a folder of plain files, and takes its weights back from there.

Nothing in the folder is run: no code of the model's own, no pickles.

A model that is not needed for a while keeps its skeleton (modules, tokenizer, buffers) and
gives its parameters back. They return as maps of the same files, in milliseconds, and are not
copied unless the device or the type is another one.

    resident --detach--> parked: every parameter on "meta", no bytes
             <--attach-- safetensors, mapped

Only ``_parameters`` are touched: ``net.to("meta")`` would also destroy buffers that are in no
file. Adapters are small and in other files; they wait in main memory.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import psutil
import torch
from safetensors import safe_open

from bat_os.core.digest import digest
from bat_os.engines.base import SUMS_NAME, weight_files
from bat_os.engines.transformers.decoding import LoadedModel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bat_os.core.forms import Device, Form

# Explicitly False: None may ask on the terminal whether to run the model's own code.
SAFE: Final = {"trust_remote_code": False, "local_files_only": True}
# Tokens read between two looks at the flag: about 0.3 s for 600 MB of weights on one core.
PIECE_TOKENS: Final = 128
PIECE_BYTES: Final = 600_000_000
CUDA_PIECE_TOKENS: Final = 2048
# Of what is free, for a model that is spread; the rest is for what it computes.
SPREAD_SHARE: Final = 0.85


def load_model(folder: Path, form: Form, device: Device) -> LoadedModel:
    """Return the model in ``folder``, in this form."""
    # Heavy, and after base.prepare.
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    usual = torch.get_default_dtype()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **SAFE)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            use_safetensors=True,
            output_loading_info=True,
            **_arguments(form, device),
            **SAFE,
        )
    except torch.OutOfMemoryError as error:
        raise MemoryError(str(error)) from error
    finally:
        torch.set_default_dtype(usual)  # a load that fails leaves its own behind
    net, info = loaded
    lacking = sorted(map(str, info.get("missing_keys") or info.get("mismatched_keys") or ()))
    if lacking:
        raise ValueError(f"{len(lacking)} weights are missing or of another size, {lacking[0]} one")
    net.eval()
    named = net.generation_config.eos_token_id
    named = {*(named if isinstance(named, list) else [named]), tokenizer.eos_token_id}
    ends = sorted(token for token in named if token is not None)
    # Nothing of what the folder says about drawing: ``Sampling`` says it all.
    net.generation_config = GenerationConfig(eos_token_id=ends or None, pad_token_id=0)  # type: ignore[no-untyped-call]  # theirs has no types
    return LoadedModel(
        net=net,
        tokenizer=tokenizer,
        ends=frozenset(ends),
        context=int(getattr(net.config, "max_position_embeddings", 0) or 2048),
        device=torch.device("cuda:0" if device.kind == "cuda" else "cpu"),
        piece=_piece(net, device),
    )


def find_weights(model: LoadedModel, folder: Path) -> StoredWeights | None:
    """Return where the model can take its weights back from; None when it has to be loaded."""
    if len(set(getattr(model.net, "hf_device_map", {}).values())) > 1:
        return None  # accelerate moves the weights about by itself
    stored = StoredWeights(folder, model.device)
    return stored if stored.holds(model.net) else None


def digest_of(folder: Path) -> str:
    """Return the SHA-256 of the list of the files' SHA-256."""
    sums = folder / SUMS_NAME
    if sums.is_file():
        return digest(sums.read_bytes())
    lines = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        with file.open("rb") as stream:
            of_file = hashlib.file_digest(stream, "sha256").hexdigest()
        lines.append(f"{of_file}  {file.relative_to(folder).as_posix()}\n")
    return digest("".join(lines))


def used_bytes(kind: str) -> int:
    """Return the memory that this process holds now, on the device of this kind."""
    if kind == "cuda":
        return int(torch.cuda.memory_allocated())
    return int(psutil.Process().memory_info().rss)


def measure(model: LoadedModel, before: int) -> int:
    """Return the bytes that a model holds, when ``used_bytes`` was ``before`` it was loaded.

    Maps count in full, though the system brings them in only when they are read.
    """
    return max(held_bytes(model.net), used_bytes(model.device.type) - before)


def _arguments(form: Form, device: Device) -> dict[str, Any]:
    # "auto" is the type of the stored weights, and only then are they mapped, not copied.
    dtype = "auto" if form.dtype == "auto" else getattr(torch, form.dtype)
    arguments: dict[str, Any] = {"dtype": dtype}
    if form.device_map == "auto":
        arguments["device_map"] = "auto"
        places: dict[int | str, int] = {"cpu": int(device.main_free * SPREAD_SHARE)}
        if device.kind == "cuda":
            places[0] = int(device.free * SPREAD_SHARE)
        arguments["max_memory"] = places
    elif form.device_map != "cpu":
        arguments["device_map"] = {"": form.device_map}
    if form.quantize:
        from transformers import BitsAndBytesConfig  # heavy, after base.prepare

        arguments["quantization_config"] = BitsAndBytesConfig(  # type: ignore[no-untyped-call]  # theirs has no types
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    return arguments


def _piece(net: Any, device: Device) -> int:
    if device.kind == "cuda":
        return CUDA_PIECE_TOKENS
    return max(1, min(PIECE_TOKENS, PIECE_TOKENS * PIECE_BYTES // max(1, held_bytes(net))))


# What follows the name of a weight that bitsandbytes packed to four bits.
PACKED: Final = ".quant_state."


class StoredWeights:
    """The files in ``folder`` behind the parameters of one model, which is all on ``device``."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self._files = weight_files(folder)
        self._device = device
        self._marks = self._look()
        self._where: dict[str, Path] = {}
        for file in self._files:
            with safe_open(file, "pt") as stored:
                self._where.update(dict.fromkeys(stored.keys(), file))
        # Name of a packed weight -> the names of what unpacks it.
        self._parts: dict[str, list[str]] = {
            key.split(PACKED)[0]: [] for key in self._where if PACKED in key
        }
        for key in self._where:
            owner = key.split(".weight.")[0] + ".weight"
            if owner in self._parts and owner != key:
                self._parts[owner].append(key)

    def holds(self, net: Any) -> bool:
        """Return True when every parameter of ``net`` is in the files under its own name."""
        with ExitStack() as opened:
            stored = {file: opened.enter_context(safe_open(file, "pt")) for file in self._files}
            for keys, parameter, _ in _parameters(net):
                key = next((key for key in keys if key in self._where), None)
                if key is None:
                    return False
                if key in self._parts:
                    continue
                # Some layouts are converted while they are loaded, and so are other packings.
                shape = tuple(stored[self._where[key]].get_slice(key).get_shape())
                if type(parameter) is not torch.nn.Parameter or shape != tuple(parameter.shape):
                    return False
        return True

    def unchanged(self) -> bool:
        """Return True while the files are those that were there at first."""
        try:
            return self._look() == self._marks
        except OSError:
            return False

    def detach(self, net: Any) -> None:
        """Let go of all parameters of ``net``; of adapters, move them to main memory."""
        for _, parameter, places in _parameters(net):
            empty = torch.nn.Parameter(
                torch.empty(parameter.shape, dtype=parameter.dtype, device="meta"),
                requires_grad=False,
            )
            for module, name in places:
                module._parameters[name] = empty
                if hasattr(module, "quant_state"):
                    module.quant_state = None
        _move_adapters(net, torch.device("cpu"))

    def attach(self, net: Any) -> None:
        """Take the parameters back."""
        with ExitStack() as opened:
            stored = {
                file: opened.enter_context(safe_open(file, "pt", device=str(self._device)))
                for file in self._files
            }
            for keys, parameter, places in _parameters(net):
                key = next(key for key in keys if key in self._where)
                tensor = stored[self._where[key]].get_tensor(key)
                if key in self._parts:
                    state = {
                        part[len(key) + 1 :]: stored[self._where[part]].get_tensor(part)
                        for part in self._parts[key]
                    }
                    from bitsandbytes.nn.modules import Params4bit  # heavy, only for its own

                    new: Any = Params4bit.from_prequantized(
                        tensor, state, device=self._device, module=places[0][0]
                    )
                else:
                    new = torch.nn.Parameter(tensor.to(parameter.dtype), requires_grad=False)
                for module, name in places:
                    module._parameters[name] = new
        _move_adapters(net, self._device)

    def _look(self) -> list[tuple[int, ...]]:
        marks = [file.stat() for file in self._files]
        return [(mark.st_dev, mark.st_ino, mark.st_size, mark.st_mtime_ns) for mark in marks]


def held_bytes(net: Any) -> int:
    """Return the bytes that the parameters and buffers of ``net`` hold, adapters included."""
    tensors = [t for t in (*net.parameters(), *net.buffers()) if t.device.type != "meta"]
    return sum({tensor.data_ptr(): tensor.nbytes for tensor in tensors}.values())


def _is_adapter(name: str) -> bool:
    return ".lora_" in name


def _parameters(net: Any) -> Iterator[tuple[list[str], Any, list[tuple[Any, str]]]]:
    """Yield each parameter of the model itself once: names in the files, itself, places."""
    found: dict[int, tuple[list[str], Any, list[tuple[Any, str]]]] = {}
    for path, module in net.named_modules():
        if _is_adapter(path + "."):
            continue
        for name, parameter in module._parameters.items():
            if parameter is not None:
                entry = found.setdefault(id(parameter), ([], parameter, []))
                entry[0].append(f"{path}.{name}".replace(".base_layer.", "."))
                entry[2].append((module, name))
    yield from found.values()


def _move_adapters(net: Any, device: torch.device) -> None:
    for name, parameter in net.named_parameters():
        if _is_adapter(name):
            parameter.data = parameter.data.to(device)
