"""The process that trains an adapter from a mind's own experience; the daemon starts and stops it.

    python -m bat_os.training.forge RUN_FOLDER

    order.json      what to train: ``Order``
    records.jsonl   what to learn from, beside the shipped examples: lines of ``batos golden``
      ──→ base/     the base, unpacked where it is a GGUF file
      ──→ checkpoint-000120/   every ten steps, and each minute: where the next start goes on
      ──→ adapter/  the adapter, once all steps are done

It prints one JSON object a line: ``step``, ``of``, ``loss``, ``each`` and ``left`` (seconds of a
step and to the end, as fast as it has gone so far). A byte on its standard input, or the end of it,
has it end the step, write a checkpoint, and exit with PAUSED; before the first step, while it
unpacks and loads, it exits at once. It may be stopped and killed anywhere: the next start goes on
from the last checkpoint, and with one thread the adapter is the same, bit for bit.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from bat_os.core.digest import digest
from bat_os.core.schema import Meta, Record, number, parse_json, text
from bat_os.engines.base import prepare, weight_files
from bat_os.engines.gguf import convert_gguf
from bat_os.errors import ArgumentsError, BatError, ModelError
from bat_os.image.files.disk import hash_file
from bat_os.kernel.forge.child import ADAPTER, ORDER, PAUSED, RECORDS
from bat_os.training.examples import make_lessons, parse_examples, read_golden
from bat_os.training.training import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bat_os.training.examples import Example, Lesson
    from bat_os.training.learning import Apprentice

BASE: Final = "base"
STEPS_APART, SECONDS_APART = 10, 60.0  # between two checkpoints, whichever comes first
MAX_STEPS: Final = 250
NICE: Final = 19
OWN_WEIGHT: Final = 2  # a gold record comes twice as often as a shipped example
_Path = Annotated[str, text(4_000, filled=True)]


class Order(Record, frozen=True):
    """What to train."""

    base: _Path  # a GGUF file, or a folder with safetensors
    base_name: _Path  # what the adapter says that it is for
    rank: Annotated[int, number(1, 256)] = 16
    rate: Annotated[float, Meta(gt=0, le=1)] = 5e-4
    epochs: Annotated[int, number(1, 100)] = 4
    batch: Annotated[int, number(1, 1_000)] = 8
    seed: int = 1
    threads: Annotated[int, number(1, 1_000)] = 1  # with others the bits may differ
    precision: Literal["float32", "bfloat16", "nf4"] = "float32"
    device: Literal["cpu", "cuda"] = "cpu"
    shipped: bool = True  # learn from the shipped examples, too


def main(argv: Sequence[str] | None = None) -> int:
    """Train as RUN_FOLDER says; return the exit status."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if len(arguments) != 1:
        sys.stdout.write("usage: python -m bat_os.training.forge RUN_FOLDER\n")
        return 2
    pause = _Pause()
    if hasattr(os, "nice"):
        os.nice(NICE)
    try:
        return _run(Path(arguments[0]), pause)
    except (BatError, OSError) as error:
        _say(error=str(error))
        return 1


class _Pause:
    """Whether the daemon wants a pause, or has gone.

    Attributes:
        can_wait: It trains, and ends by itself; before that there is nothing to keep.
    """

    def __init__(self) -> None:
        self.can_wait = False
        self._wanted = threading.Event()
        threading.Thread(target=self._listen, name="pause", daemon=True).start()

    def is_set(self) -> bool:
        return self._wanted.is_set()

    def _listen(self) -> None:
        os.read(0, 1)  # not sys.stdin, whose lock would be held while the process ends
        self._wanted.set()
        if not self.can_wait:
            os._exit(PAUSED)  # a base that is half unpacked is unpacked anew


def _run(folder: Path, pause: _Pause) -> int:
    order = parse_json((folder / ORDER).read_bytes(), Order, ArgumentsError, ORDER)
    records = (folder / RECORDS).read_text(encoding="utf-8")
    shipped, own = _examples(order, records)
    prepare(order.threads)
    base = _unpack(Path(order.base), folder)
    once = [*shipped, *(OWN_WEIGHT * own)]
    if not once:
        raise ArgumentsError("no examples to learn from")
    steps = min(-(-len(once) * order.epochs // order.batch), MAX_STEPS)
    lessons = make_lessons(once, count=steps * order.batch, seed=order.seed)
    from bat_os.training import checkpoints  # heavy, and after prepare()
    from bat_os.training.learning import Apprentice, Recipe

    recipe = Recipe(
        steps, order.batch, order.rank, order.rate, order.seed, order.precision, order.device
    )
    facts = {
        "base": _digest_base(base),
        "recipe": digest(repr(recipe)),
        "lessons": digest(repr(lessons)),
    }
    apprentice = Apprentice(base, recipe)
    if found := checkpoints.read(folder, facts):
        apprentice.take_up(*found)
    done = _train(apprentice, lessons, folder, facts, pause, steps)
    if not done:
        return PAUSED
    apprentice.save(folder / ADAPTER, base=order.base_name, card=_card(order, len(own), steps))
    return 0


def _train(
    apprentice: Apprentice,
    lessons: Sequence[Lesson],
    folder: Path,
    facts: dict[str, str],
    pause: _Pause,
    steps: int,
) -> bool:
    """Train to the end; return False if a pause was wanted before."""
    from bat_os.training import checkpoints

    pause.can_wait = True
    begun, first = time.monotonic(), apprentice.step
    kept = [apprentice.step, time.monotonic()]

    def tell(step: int, loss: float) -> None:
        each = (time.monotonic() - begun) / (step - first)
        left = round(each * (steps - step))
        _say(step=step, of=steps, loss=round(loss, 4), each=round(each, 1), left=left)

    def goes_on() -> bool:
        due = apprentice.step - kept[0] >= STEPS_APART
        if due or pause.is_set() or time.monotonic() - kept[1] >= SECONDS_APART:
            checkpoints.write(folder, apprentice.step, facts, apprentice.tensors())
            kept[:] = apprentice.step, time.monotonic()
        return not pause.is_set()

    return apprentice.learn(lessons, tell, goes_on)


def _unpack(base: Path, folder: Path) -> Path:
    """Return the folder of the base; a GGUF file is unpacked into the run's own folder, once."""
    if not base.is_file():
        return base
    target = folder / BASE
    if not (target / "config.json").is_file():
        convert_gguf(base, target, lambda line: _say(does=line))
        prepare(1)
    return target


def _examples(order: Order, records: str) -> tuple[list[Example], list[Example]]:
    """Return (shipped examples, own ones)."""
    shipped = list(parse_examples(EXAMPLES.read_text(encoding="utf-8"))) if order.shipped else []
    try:
        own = [read_golden(json.loads(line)) for line in records.splitlines() if line]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArgumentsError(f"{RECORDS} cannot be read: {error}") from error
    return shipped, own


def _digest_base(base: Path) -> str:
    try:
        return digest("\n".join(hash_file(path) for path in weight_files(base)))
    except (OSError, ValueError) as error:
        raise ModelError(f"{base} is not a model that can be trained: {error}") from error


def _card(order: Order, own: int, steps: int) -> str:
    source = "the shipped examples and " if order.shipped else ""
    return f"""# {ADAPTER}

A LoRA adapter (rank {order.rank}) for {order.base_name}, trained on this machine on {source}
{own} methods that this mind has learned: {steps} steps of {order.batch}, seed {order.seed}.
"""


def _say(**facts: Any) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
