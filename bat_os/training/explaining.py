"""Counts which words go with which code, in the function library and the writer's examples.

    python -m bat_os.training.explaining      writes bat_os/kernel/idle/explaining.json

Each word of a wish has one piece of its method's code as its reason, and which one is not known:
expectation and maximization, as in the first of IBM's models of translation.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.kernel.idle import explaining
from bat_os.kernel.idle.explaining import ANY, Pairs, call_of, code_of, words_of
from bat_os.method.seeds import parse_seeds
from bat_os.training.examples import parse_examples
from bat_os.training.training import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ROUNDS: Final = 10
CHANCE: Final = 0.1  # words that each piece of code is the reason of by chance
LEAST: Final = 0.05  # what was counted less often is left out

Pair = tuple["Sequence[str]", "Sequence[str]"]  # words, code


def read_lessons() -> Iterator[Pair]:
    """Yield the words and the code of every wish of the library and of the examples."""
    files = sorted((resources.files("bat_os") / "seeds").iterdir(), key=lambda file: file.name)
    texts = [file.read_text(encoding="utf-8") for file in files if file.name.endswith(".toml")]
    for seed in parse_seeds("\n".join(texts)):
        first = seed.examples[0]
        answer = first.one_of[0] if first.one_of else first.value
        yield from _pairs(seed.wishes, seed.source, seed.selector, first.args, answer)
    for one in parse_examples(EXAMPLES.read_text(encoding="utf-8")):
        case = one.cases[0]
        yield from _pairs([one.wish], one.to_source(), one.selector, case.args, case.value)


def _pairs(
    wishes: Iterable[str], source: str, selector: str, args: Sequence[Any], answer: Any
) -> Iterator[Pair]:
    code = sorted(code_of(source, selector) | call_of(args, answer) | {ANY})
    return ((words_of(wish), code) for wish in wishes)


def count(lessons: Sequence[Pair]) -> Pairs:
    """Return how often each word has each piece of code as its reason."""
    heard = Counter(word for words, _ in lessons for word in words)
    share = {word: number / heard.total() for word, number in heard.items()}
    likely: dict[tuple[str, str], float] = {}
    seen: dict[tuple[str, str], float] = {}
    code_seen: dict[str, float] = {}
    for _ in range(ROUNDS):
        seen, code_seen = defaultdict(float), defaultdict(float)
        for words, code in lessons:
            for word in words:
                parts = [likely.get((word, piece), 1.0) for piece in code]
                whole = sum(parts)
                for piece, part in zip(code, parts, strict=True):
                    seen[word, piece] += part / whole
                    code_seen[piece] += part / whole
        likely = {
            (word, piece): (number + CHANCE * share[word]) / (code_seen[piece] + CHANCE)
            for (word, piece), number in seen.items()
        }
    kept: dict[str, dict[str, float]] = {word: {} for word in share}
    for (word, piece), number in sorted(seen.items()):
        if number >= LEAST:
            kept[word][piece] = round(number, 2)
    return Pairs(
        {word: round(number, 7) for word, number in sorted(share.items())},
        {piece: round(number, 2) for piece, number in sorted(code_seen.items())},
        dict(sorted(kept.items())),
    )


def main() -> int:
    """Count, and write the file."""
    pairs = count(list(read_lessons()))
    told = {"words": pairs.words, "code": pairs.code, "seen": pairs.seen}
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    file = Path(explaining.__file__).with_name(explaining.FILE)
    file.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
