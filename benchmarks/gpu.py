"""Swaps and speed of the model engine on a CUDA device, for llama shapes of 1B to 8B.

    python -m benchmarks.gpu [--shapes 1B,3B,8B] [--tokens 128] [--scratch FOLDER]
    python -m benchmarks.gpu --tiny        the same code on a CPU, with toy shapes

The weights are random and made on the spot, so nothing is downloaded; 8B takes 16 GB of disk for
bfloat16 and 6 GB more for NF4. Prints one table. Without CUDA it says so, and that is all.

    load          from a folder that is in the page cache, libraries imported already
    back / res.   first token of a parked model / of one that stayed, the prompt not cached
    limit         tokens a second if reading the weights once per token were all there is to do,
                  at the measured speed of a copy on the device
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bat_os.engines.base import default_threads, prepare
from bat_os.engines.transformers.engine import LocalModel
from bat_os.engines.transformers.forms import describe_device, quantize_folder
from bat_os.errors import ModelError, ModelMemoryError
from bat_os.ports import Prompt, Sampling

ROWS = 8
REPEATS = 3
PROMPT = Prompt((("user", "Write a method that reports the current system time as text."),))
OTHER = Prompt((("user", "Answer in one word."),))
END = "<end>"


@dataclass(frozen=True)
class Shape:
    """Sizes of a llama."""

    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    tied: bool


SHAPES = {
    "1B": Shape(2048, 8192, 16, 32, 8, 128_256, tied=True),
    "3B": Shape(3072, 8192, 28, 24, 8, 128_256, tied=True),
    "8B": Shape(4096, 14_336, 32, 32, 8, 128_256, tied=False),
}
TOYS = {
    "toy-1": Shape(128, 256, 2, 4, 2, 1000, tied=True),
    "toy-2": Shape(256, 512, 3, 4, 2, 1000, tied=False),
}


def make_model(shape: Shape, folder: Path, device: str) -> None:
    """Write a model of this shape with random weights in bfloat16 (float32 on a CPU)."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    _make_tokenizer(folder)
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=8192,
        tie_word_embeddings=shape.tied,
        # Beyond the tokenizer: a text of random tokens does not end before it is full.
        eos_token_id=shape.vocabulary - 1,
        bos_token_id=None,
    )
    torch.manual_seed(0)
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16 if device == "cuda" else torch.float32)
    try:
        with torch.device(device):
            net = LlamaForCausalLM(config)
    finally:
        torch.set_default_dtype(usual)
    net.save_pretrained(folder)
    del net
    torch.cuda.empty_cache()  # does nothing where there is no CUDA


def _make_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    symbols = [*sorted(pre_tokenizers.ByteLevel.alphabet()), END]
    vocabulary = {symbol: number for number, symbol in enumerate(symbols)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END).save_pretrained(folder)


def make_adapter(shape: Shape, folder: Path) -> None:
    """Write a random LoRA adapter of rank 16 for the attention of a model of this shape."""
    import torch
    from safetensors.torch import save_file

    outputs = {"q_proj": shape.hidden, "v_proj": shape.hidden // shape.heads * shape.kv_heads}
    state = {}
    for layer in range(shape.layers):
        for name, size in outputs.items():
            path = f"base_model.model.model.layers.{layer}.self_attn.{name}"
            state[f"{path}.lora_A.weight"] = torch.randn(16, shape.hidden) * 0.01
            state[f"{path}.lora_B.weight"] = torch.randn(size, 16) * 0.01
    folder.mkdir()
    save_file(state, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {"peft_type": "LORA", "r": 16, "lora_alpha": 32, "target_modules": list(outputs)}
    (folder / "adapter_config.json").write_text(json.dumps(config))


def wait_for_device() -> None:
    """Return when the device has done what it was given."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def seconds(job: Any, repeats: int = 1) -> float:
    """Return the best time of ``job``, device included."""
    times = []
    for _ in range(repeats):
        wait_for_device()
        started = time.perf_counter()
        job()
        wait_for_device()
        times.append(time.perf_counter() - started)
    return min(times)


def copy_speed(kind: str) -> float:
    """Return bytes a second that a copy on the device reads and writes."""
    import torch

    size = 1 << 30 if kind == "cuda" else 1 << 26
    source = torch.ones(size, dtype=torch.uint8, device=kind)
    target = torch.empty_like(source)
    target.copy_(source)
    return 2 * size / seconds(lambda: target.copy_(source), 5)


def draw(model: LocalModel, rows: int, tokens: int, adapter: str = "", seed: int = 0) -> int:
    """Return how many tokens came, the prompt read anew."""
    sampling = Sampling(temperature=0.7 if rows > 1 else 0.0, max_tokens=tokens, seed=seed)
    answers = model.draw([PROMPT] * rows, sampling, lambda: False, adapter=adapter)
    return sum(answer.tokens for answer in answers)


def generate(model: LocalModel, rows: int, tokens: int) -> None:
    """Draw as many with transformers' own ``generate``."""
    import torch

    loaded = model.model
    assert loaded is not None
    ids = torch.tensor([loaded.encode(PROMPT)] * rows, device=loaded.device)
    choice: dict[str, Any] = {"do_sample": False}
    if rows > 1:
        choice = {"do_sample": True, "temperature": 0.7, "top_k": 40, "top_p": 0.95}
    with torch.inference_mode():
        loaded.net.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            min_new_tokens=tokens,
            max_new_tokens=tokens,
            pad_token_id=0,
            **choice,
        )


def measure(folder: Path, adapter: Path, tokens: int, speed: float) -> list[str]:
    """Return one row of the table for the model in ``folder``, or why there is none."""
    model = LocalModel(folder.name, default_threads())
    try:
        model.load(folder)
    except (ModelError, ModelMemoryError) as error:
        return [f"skipped: {error}"]
    assert model.form is not None
    if model.form.quantize or model.form.device_map == "auto":
        model.drop()  # it would be measured under a name that is not its own
        return [f"skipped: {model.form.why}"]
    try:
        return measure_loaded(model, adapter, tokens, speed)
    finally:
        model.drop()


def measure_loaded(model: LocalModel, adapter: Path, tokens: int, speed: float) -> list[str]:
    """Return one row of the table for a model in memory."""
    load, held = model.load_seconds, model.bytes
    draw(model, 1, 2)
    resident = seconds(lambda: draw(model, 1, 1), REPEATS)
    parking, back = [], []
    for _ in range(REPEATS):
        parking.append(seconds(model.park))
        back.append(seconds(lambda: draw(model, 1, 1)))
    rates = []
    for rows in (1, ROWS):
        drawn = draw(model, rows, tokens)
        ours = drawn / seconds(lambda rows=rows: draw(model, rows, tokens), REPEATS)
        generate(model, rows, tokens)
        theirs = rows * tokens / seconds(lambda rows=rows: generate(model, rows, tokens), REPEATS)
        rates += [f"{ours:.1f}", f"{ours / theirs:.2f}"]
        if rows == 1:
            rates += [f"{speed / held:.0f}", f"{ours * held / speed:.2f}"]
    model.add_adapter("expert", adapter)
    draw(model, 1, 1, adapter="expert")
    switch = seconds(lambda: model._use(model.model, ""))  # type: ignore[arg-type]
    return [
        f"{held / 1e9:.2f}",
        f"{load:.2f}",
        f"{min(parking) * 1e3:.0f}",
        f"{resident * 1e3:.0f}",
        f"{min(back) * 1e3:.0f}",
        f"{min(back) / resident:.2f}",
        f"{switch * 1e3:.1f}",
        *rates,
    ]


COLUMNS = [
    "shape", "form", "GB", "load s", "park ms", "res. ms", "back ms", "back/res.", "LoRA ms",
    "tok/s", "/generate", "limit", "of limit", f"tok/s x{ROWS}", "/generate",
]  # fmt: skip


def measure_shape(name: str, shape: Shape, scratch: Path, tokens: int, speed: float) -> None:
    """Print the rows of one shape; its files are gone afterwards."""
    import torch

    kind = "cuda" if torch.cuda.is_available() else "cpu"
    with tempfile.TemporaryDirectory(dir=scratch) as made:
        plain, packed, adapter = (Path(made, part) for part in ("plain", "nf4", "adapter"))
        make_model(shape, plain, kind)
        make_adapter(shape, adapter)
        quantize_folder(plain, packed, lambda _line: None)
        torch.cuda.empty_cache()
        for form, folder in (("bf16" if kind == "cuda" else "fp32", plain), ("NF4", packed)):
            print_row([name, form, *measure(folder, adapter, tokens, speed)])


def room_for(shape: Shape, scratch: Path) -> bool:
    """Return whether the disk has room for the files of one shape."""
    per_layer = 3 * shape.hidden * shape.inner + 4 * shape.hidden * shape.hidden
    weights = shape.layers * per_layer + 2 * shape.vocabulary * shape.hidden
    return shutil.disk_usage(scratch).free > 3 * weights


def print_row(cells: list[str]) -> None:
    """Print one line of the table."""
    print("| " + " | ".join(cells) + " |", flush=True)


def run(shapes: dict[str, Shape], scratch: Path, tokens: int) -> None:
    """Print the device and the table."""
    facts = describe_device()
    speed = copy_speed(facts["kind"])
    print(
        f"{facts['name']} ({facts['kind']}), {facts['memory'] / 1e9:.0f} GB, copies at "
        f"{speed / 1e9:.0f} GB/s; torch {facts['torch']}, bitsandbytes {facts['bitsandbytes']}\n"
    )
    print_row(COLUMNS)
    print_row(["---"] * len(COLUMNS))
    for name, shape in shapes.items():
        if room_for(shape, scratch):
            measure_shape(name, shape, scratch, tokens, speed)
        else:
            print_row([name, "skipped: too little room in " + str(scratch)])


def main() -> None:
    """Read the arguments and run, or say why not."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", default=",".join(SHAPES), help="some of " + ", ".join(SHAPES))
    parser.add_argument("--tokens", type=int, default=128, help="drawn per text")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--tiny", action="store_true", help="toy shapes, on any machine")
    arguments = parser.parse_args()
    prepare(default_threads())
    import torch

    if not (arguments.tiny or torch.cuda.is_available()):
        print("Skipped: this machine has no CUDA device that torch can use.")
        return
    names = list(TOYS) if arguments.tiny else arguments.shapes.split(",")
    known = TOYS if arguments.tiny else SHAPES
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"there is no shape {unknown[0]}; choose among {', '.join(known)}")
    run({name: known[name] for name in names}, arguments.scratch, arguments.tokens)


if __name__ == "__main__":
    main()
