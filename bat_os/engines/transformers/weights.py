"""Where the parameters of a loaded model lie on disk, to let go of them and to take them back.

A model that is not needed for a while keeps its skeleton (modules, tokenizer, buffers) and
gives its parameters back. They return as maps of the same files, in milliseconds, and are not
copied unless the device or the type is another one.

    resident --detach--> parked: every parameter on "meta", no bytes
             <--attach-- safetensors, mapped

Only ``_parameters`` are touched: ``net.to("meta")`` would also destroy buffers that are in no
file. Adapters are small and in other files; they wait in main memory.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import torch
from safetensors import safe_open

from bat_os.engines.transformers.files import weight_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What follows the name of a weight that bitsandbytes packed to four bits.
PACKED: Final = ".quant_state."


class StoredWeights:
    """The files behind the parameters of one model.

    Args:
        folder: What ``net`` was loaded from.
        device: Where the parameters go; the whole model on one device.
    """

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
        """Take the parameters back.

        Raises:
            OSError: A file is gone.
            SafetensorError: A file is damaged.
            KeyError: A parameter is no longer in it.
        """
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
                    new = _unpack(tensor, state, self._device, places[0][0])
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


def _unpack(tensor: torch.Tensor, state: dict[str, Any], device: torch.device, module: Any) -> Any:
    from bitsandbytes.nn.modules import Params4bit  # heavy, only for what it has packed

    return Params4bit.from_prequantized(tensor, state, device=device, module=module)


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
