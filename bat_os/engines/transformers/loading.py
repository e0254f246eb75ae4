"""Builds a model out of a folder of plain files: configuration, tokenizer, safetensors.

Nothing in the folder is run: no code of the model's own, no pickles.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import psutil
import torch

from bat_os.engines.transformers.decoding import LoadedModel
from bat_os.engines.transformers.weights import StoredWeights, held_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from bat_os.core.forms import Device, Form

# Written by the image beside the links, in the format of sha256sum; sorted by file name.
SUMS_NAME: Final = "SHA256SUMS"
# Explicitly False: None may ask on the terminal whether to run the model's own code.
SAFE: Final = {"trust_remote_code": False, "local_files_only": True}
# Tokens read between two looks at the flag: about 0.3 s for 600 MB of weights on one core.
PIECE_TOKENS: Final = 128
PIECE_BYTES: Final = 600_000_000
CUDA_PIECE_TOKENS: Final = 2048
# Of what is free, for a model that is spread; the rest is for what it computes.
SPREAD_SHARE: Final = 0.85


def load_model(folder: Path, form: Form, device: Device) -> LoadedModel:
    """Return the model in ``folder``, in this form.

    Raises:
        OSError: A file is missing.
        ValueError: A file is not what it should be, or weights are missing.
        MemoryError: It does not fit.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer  # heavy, after offline.prepare

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
    ends = net.generation_config.eos_token_id
    ends = set(ends if isinstance(ends, list) else [ends]) | {tokenizer.eos_token_id}
    return LoadedModel(
        net=net,
        tokenizer=tokenizer,
        ends=frozenset(token for token in ends if token is not None),
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
        return hashlib.sha256(sums.read_bytes()).hexdigest()
    lines = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        lines.append(f"{digest}  {file.relative_to(folder).as_posix()}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


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
        arguments["max_memory"] = spread(device)
    elif form.device_map != "cpu":
        arguments["device_map"] = {"": form.device_map}
    if form.quantize:
        arguments["quantization_config"] = packing()
    return arguments


def spread(device: Device) -> dict[int | str, int]:
    """Return how much accelerate may place where."""
    places: dict[int | str, int] = {"cpu": int(device.main_free * SPREAD_SHARE)}
    if device.kind == "cuda":
        places[0] = int(device.free * SPREAD_SHARE)
    return places


def packing() -> Any:
    """Return how bitsandbytes packs: NF4, double quantization, bfloat16 arithmetic."""
    from transformers import BitsAndBytesConfig  # heavy, after offline.prepare

    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]  # theirs has no types
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def _piece(net: Any, device: Device) -> int:
    if device.kind == "cuda":
        return CUDA_PIECE_TOKENS
    return max(1, min(PIECE_TOKENS, PIECE_TOKENS * PIECE_BYTES // max(1, held_bytes(net))))
