"""Trains what tells which skill a sentence means: ``bat_os/sentence/scorer.npz``.

    python -m bat_os.training.scorer [--report] [--sample N --out FILE]

    wordings of the library with values filled in, each left out of the book       ┐
    sentences/*.jsonl: sentences of several writers, and the skill that is meant   ┼> cases
    wishes of tests/cases/skills.jsonl, each set a mind of its own                 ┘
    cases > matches and their features > bat_os.training.listwise

Of some cases the skill that is meant is hidden as well: then none is right, and its nearest
neighbours are the near misses. Folds are by skill, so every figure is of skills that the model has
not seen. The same data give the same weights.
"""

from __future__ import annotations

import argparse
import datetime as dt
import io
import json
import re
import sys
import zlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

import bat_os
from bat_os.kernel.say.book import FIRST, list_languages, read_book
from bat_os.method.shelf import Parameter
from bat_os.sentence import scoring
from bat_os.sentence.matching import FEATURES, Skill, Wording
from bat_os.sentence.phrasebook import Phrasebook, as_embedded
from bat_os.sentence.reading import Sentence, Value
from bat_os.sentence.spelling import read_spelt
from bat_os.sentence.triage import KINDS, Triage
from bat_os.sentence.wishes import kind_of_name, word_wish
from bat_os.training import triage
from bat_os.training.answers import answers_of, make_embed
from bat_os.training.listwise import Lists, fit_lists

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from bat_os.sentence.matching import Match

    Floats = NDArray[np.float64]
    Embed = Callable[[Sequence[str]], NDArray[np.float32]]

FOLDS: Final = 5
HIDDEN: Final = 8  # of every so many cases, one is asked again without the skill that is meant
EVERY: Final = 6  # one of so many wordings is a case
HIDDEN_SHARE: Final = 0.1  # what a case counts whose skill was hidden
MADE: Final = 0.5  # what a case counts that is a wording with values filled in
EXACT: Final = 5  # of every so many, one is asked with its own words in the book
FREELY: Final = 2  # of every so many with a text, one has it without quotes
BLIND: Final = 7  # of every so many, one is looked at without vectors
NOW: Final = dt.datetime(2026, 5, 18, 12, tzinfo=dt.UTC)
FRESH: Final = (4, 7)  # sets of skills.jsonl that only measure
_SETS: Final = Path(bat_os.__file__).parents[1] / "tests" / "cases" / "skills.jsonl"
COMPARED: Final = 8  # matches whose answers are compared
_COSINE: Final = FEATURES.index("cosine")
_MISSING: Final = FEATURES.index("missing")
_SLOT: Final = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
_VALUES: Final[Mapping[str, tuple[Any, str]]] = {
    "number": (7, "7"), "percent": (12, "12%"), "unit": ("mile", "miles"),
    "money": ({"amount": 40, "currency": "USD"}, "$40"), "date": ("2026-05-03", "3 May"),
    "time": ("15:30", "15:30"), "text": ("Red Apple tree", '"Red Apple tree"'),
    "list": ([3, 1, 2], "[3, 1, 2]"),
    "map": ({"a": 1}, '{"a": 1}'), "expression": ("2 + 3", "2 + 3"),
    "path": ("~/a.txt", "~/a.txt"),
    "address": ("https://example.org", "https://example.org"), "name": ("Berlin", "Berlin"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """A sentence, the matches that were found for it, and which skill is meant."""

    group: str  # folds keep groups together
    writer: str
    meant: str  # "object.selector", or "" where no skill is
    text: str
    names: tuple[str, ...]  # of each match that is looked at, whose skill it is
    calls: tuple[str, ...]  # the values that it gets
    rows: Floats  # their features
    right: tuple[bool, ...]  # the skill is the one that is meant, and it gets the values
    only: str = ""  # the one skill that is known to be wrong, where the others are open


def make_case(
    origin: tuple[str, str],
    meant: str,
    text: str,
    found: Sequence[Match],
    only: str = "",
    keys: tuple[str, ...] = (),
) -> Case:
    """Return a case, of a group and a writer, with the features of its matches.

    A match is right if it answers as the skill that is meant does with the values that are meant:
    ``keys`` are what ``answers_of`` returned for those, also if that skill is hidden. Without them,
    as where chance decides, it has to be that skill.
    """
    rows = np.array([match.features for match in found]).reshape(len(found), len(FEATURES))
    looked = scoring.look_at(rows)
    found, rows = [found[at] for at in looked], rows[looked]
    names = tuple(map(name_of, found))
    calls = tuple(repr(match.call()) for match in found)
    right = [bool(meant) and name == meant for name in names]
    if keys:
        # What lies far from the sentence does not win, so its answer need not be known.
        near = sorted(range(len(found)), key=lambda at: -found[at].features[_COSINE])[:COMPARED]
        tried = {*near, *(at for at, name in enumerate(names) if name == meant)}
        right = [
            at in tried and not match.features[_MISSING] and _answers_alike(match, keys)
            for at, match in enumerate(found)
        ]
    if any(right) and not meant:
        meant = names[right.index(True)]
    return Case(*origin, meant, text, names, calls, rows, tuple(right), only)


def _answers_alike(match: Match, keys: tuple[str, ...]) -> bool:
    args, kwargs = match.call()
    return answers_of(name_of(match), args, kwargs) == keys


def name_of(match: Match) -> str:
    """Return ``object.selector``."""
    return _name(match.wording.skill)


def fill(text: str, slots: Mapping[str, str], language: str, *, free: bool = False) -> Sentence:
    """Return a wording as a sentence with a value in each slot; ``free`` texts have no quotes."""
    said, values, at, masked = "", [], 0, ""
    for slot in _SLOT.finditer(text):
        said, masked = said + text[at : slot.start()], masked + text[at : slot.start()]
        kind = slots[slot[1]]
        value, shown = _VALUES[kind]
        if kind == "text" and free:
            said, masked, at = said + str(value), masked + str(value).lower(), slot.end()
            continue
        values.append(Value(kind, value, len(said), len(said) + len(shown), shown))
        said, masked, at = said + shown, f"{masked}{{{kind}}}", slot.end()
    return Sentence(said + text[at:], language, tuple(values), masked + text[at:])


def _plain(kind: str) -> Any:
    """Return the value of a kind as a method gets it."""
    value = _VALUES[kind][0]
    return value["amount"] if kind == "money" else value


def cases_of_book(book: Phrasebook, writer: str, embed: Embed, sample: int = 1) -> Iterator[Case]:
    """Yield each wording of a book as a sentence, without itself in the book."""
    of_skill: dict[str, set[int]] = {}
    of_text: dict[str, set[int]] = {}
    for at, wording in enumerate(book.wordings):
        of_skill.setdefault(_name(wording.skill), set()).add(at)
        of_text.setdefault(wording.masked, set()).add(at)
    for at, wording in enumerate(book.wordings):
        if at % (EVERY * sample):
            continue
        name = _name(wording.skill)
        free = at // EVERY % FREELY == 0 and "text" in wording.slots.values()
        sentence = fill(wording.text, wording.slots, book.language, free=free)
        vector = None if at // EVERY % BLIND == 3 else book.vectors[at]
        if free and vector is not None:
            vector = embed([as_embedded(sentence.masked)])[0]
        asked = book.ask(sentence, vector)
        same = of_text[wording.masked]
        alone = of_skill[name] <= same  # no other wording of the skill is left to be found by
        skips = [(frozenset(same), "" if alone else name)]
        if at // EVERY % HIDDEN == 0:
            skips.append((frozenset(of_skill[name]), ""))
        if at // EVERY % EXACT == 1:
            skips.append((frozenset(same - {at}), name))
        plain = {slot: _plain(kind) for slot, kind in wording.slots.items()}
        keys = answers_of(name, (), plain | dict(wording.fixed))
        for skip, meant in skips:
            found = book.find(asked, skip)
            yield make_case((name, writer), meant, wording.text, found, keys=keys)


@cache
def read_rows() -> tuple[Mapping[str, Any], ...]:
    """Return the labelled sentences: text, lang, target, kind, args, and who wrote them."""
    rows = []
    folder = resources.files("bat_os.training") / "sentences"
    for file in sorted(folder.iterdir(), key=lambda each: each.name) if folder.is_dir() else ():
        if file.name.endswith(".jsonl"):
            lines = file.read_text(encoding="utf-8").splitlines()
            writer = file.name.removesuffix(".jsonl")
            rows += [json.loads(line) | {"writer": writer} for line in lines]
    return tuple(rows)


def cases_of_rows(embed: Embed, sample: int = 1) -> Iterator[Case]:
    """Yield the labelled sentences."""
    rows = read_rows()[::sample]
    sentences = [read_spelt(row["text"], NOW, row.get("lang", ""))[0] for row in rows]
    vectors = embed([as_embedded(sentence.masked) for sentence in sentences])
    for at, (row, sentence, vector) in enumerate(zip(rows, sentences, vectors, strict=True)):
        meant = f"{row['target']}.{row['selector']}" if row["target"] else ""
        found: list[Match] = []
        for language in dict.fromkeys((sentence.language, FIRST)):
            book = read_book(language)
            found += book.find(book.ask(sentence, None if at % BLIND == 3 else vector))
        group = meant or f"none {zlib.crc32(row['text'].encode()) % 50}"
        args = row.get("args") or []
        given = ((), args) if isinstance(args, dict) else (args, {})
        keys = answers_of(meant, *given) if meant else ()
        yield make_case((group, row["writer"]), meant, row["text"], found, keys=keys)
        if meant and at % HIDDEN == 0:
            left = [match for match in found if name_of(match) != meant]
            yield make_case((group, row["writer"]), "", row["text"], left, keys=keys)


def cases_of_sets(embed: Embed, wanted: Sequence[int] | None = None) -> Iterator[Case]:
    """Yield the sentences of tests/cases/skills.jsonl; each set is a mind of its own."""
    rows = [json.loads(line) for line in _SETS.read_text(encoding="utf-8").splitlines()]
    for number in sorted({row["set"] for row in rows}):
        if number in FRESH if wanted is None else number not in wanted:
            continue
        own = [row for row in rows if row["set"] == number]
        wordings = [wording_of_row(row) for row in own if "wish" in row]
        vectors = embed([as_embedded(wording.masked) for wording in wordings])
        book = Phrasebook(wordings, vectors, "en", base=read_book("en").lexicon)
        said = []
        for row in own:
            if "wish" in row:
                again = [row["again"]] if "again" in row else []
                said += [
                    (text, f"genesis_obj.{row['selector']}", "") for text in again + row["repeats"]
                ]
            else:
                of = f"genesis_obj.{row['of']}" if "of" in row else ""
                said.append((row["other"], "", of))
        sentences = [read_spelt(text, NOW, "en")[0] for text, _, _ in said]
        rows_of = embed([as_embedded(sentence.masked) for sentence in sentences])
        for (text, meant, of), sentence, vector in zip(said, sentences, rows_of, strict=True):
            found = book.find(book.ask(sentence, vector))
            group = meant or of or f"none {number}"
            yield make_case((group, f"set {number}"), meant, text, found, of)


def wording_of_row(row: Mapping[str, Any]) -> Wording:
    """Return the wish of a learned skill as its wording."""
    kinds = {name: kind_of_name(name) for name in row["params"]}
    text = word_wish(row["wish"], [*kinds.items()])
    slots = {name: kind or "number" for name, kind in kinds.items()}
    parameters = tuple(Parameter(name, kind) for name, kind in slots.items())
    skill = Skill("genesis_obj", row["selector"], parameters, "verified")
    return Wording.make(skill, text, "en", slots, {})


def _name(skill: Skill) -> str:
    return f"{skill.target}.{skill.selector}"


def share_of(case: Case) -> float:
    """Return how much a case counts.

    Near misses that were made to mislead, and sentences whose skill was hidden, are far more
    frequent here than among what people say, and would make every probability too low.
    """
    hidden = not case.meant and not case.group.startswith("none")
    return (HIDDEN_SHARE if hidden else 1.0) * (MADE if case.writer.startswith("wordings") else 1.0)


def is_natural(case: Case) -> bool:
    """Return whether a sentence was written by a person and is asked as it was meant."""
    made = case.writer.startswith(("set", "wordings"))
    return not made and (bool(case.meant) or case.group.startswith("none"))


def fold_of(case: Case) -> int:
    """Return the fold of a case."""
    return zlib.crc32(case.group.encode()) % FOLDS


def fit(cases: Sequence[Case]) -> scoring.Scorer:
    """Return the weights for some cases."""
    own = [case for case in cases if case.names]
    known = [not case.only or name == case.only for case in own for name in case.names]
    return fit_lists(
        Lists(
            rows=np.concatenate([scoring.relative(case.rows) for case in own]).astype(np.float32),
            starts=np.cumsum([0, *(len(case.names) for case in own[:-1])]),
            right=np.array([right for case in own for right in case.right]),
            known=np.array(known),
            shares=np.array([share_of(case) for case in own], np.float32),
        )
    )


def judge_unseen(cases: Sequence[Case], part_of: Callable[[Case], Any]) -> list[Outcome]:
    """Return what each case comes to by weights that have not seen its part.

    Args:
        cases: All of them.
        part_of: What is kept together when a part is left out: skills, or writers.
    """
    outcomes: list[Outcome] = []
    for part in sorted({part_of(case) for case in cases}):
        made = fit([case for case in cases if part_of(case) != part])
        outcomes += judge(made, [case for case in cases if part_of(case) == part])
    return outcomes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one case."""

    case: Case
    decision: str
    chance: float  # of the first candidate
    names: tuple[str, ...]  # the first choices
    right: tuple[bool, ...]  # for each of them

    @property
    def verdict(self) -> str:
        """One of VERDICTS."""
        if self.decision == "act":
            return "right" if self.right[0] else "wrong"
        if self.decision == "ask":
            return "offered" if any(self.right) else "asked in vain"
        return "missed" if self.case.meant else "left"


VERDICTS: Final = ("right", "offered", "missed", "left", "asked in vain", "wrong")


def judge(made: scoring.Scorer, cases: Iterable[Case]) -> Iterator[Outcome]:
    """Yield what each case comes to."""
    for case in cases:
        chances = made.chances(scoring.relative(case.rows)) if case.names else np.zeros(0)
        ranked = [
            (at, chance)
            for at, chance in scoring.rank_calls(case.names, case.calls, case.rows, chances)
            if not case.only or case.names[at] == case.only
        ]
        decision = scoring.decide([(chance, False) for _, chance in ranked])
        names = tuple(case.names[at] for at, _ in ranked)
        right = tuple(case.right[at] for at, _ in ranked)
        first = ranked[0][1] if ranked else 0.0
        yield Outcome(case, decision, first, names[: scoring.CHOICES], right[: scoring.CHOICES])


def tell(outcomes: Sequence[Outcome]) -> str:
    """Return a table of the outcomes per writer."""
    lines = [f"| {'writer':16} | cases | {' | '.join(VERDICTS)} |"]
    writers = sorted({one.case.writer for one in outcomes})
    for writer in [*writers, "all"]:
        own = [one for one in outcomes if writer in ("all", one.case.writer)]
        counts = [sum(one.verdict == verdict for one in own) for verdict in VERDICTS]
        shares = " | ".join(f"{count / len(own):6.1%}" for count in counts)
        lines.append(f"| {writer:16} | {len(own):5} | {shares} |")
    return "\n".join(lines)


def tell_reliability(outcomes: Sequence[Outcome]) -> str:
    """Return how often the first candidate was right, by its probability."""
    lines = []
    edges = (0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 1.01)
    for low, high in pairwise(edges):
        own = [one for one in outcomes if low <= one.chance < high and not one.case.only]
        if own:
            said = sum(one.chance for one in own) / len(own)
            right = sum(one.right[:1] == (True,) for one in own) / len(own)
            bar = "#" * round(40 * right)
            lines.append(f"{said:5.2f} {right:5.2f} {len(own):6} |{bar:40}|")
    return "\n".join(lines)


def read_cases(embed: Embed, sample: int = 1) -> list[Case]:
    """Return all cases, or about one in ``sample`` of them."""
    books = [(read_book(language), f"wordings {language}") for language in list_languages()]
    cases = [case for book, writer in books for case in cases_of_book(book, writer, embed, sample)]
    sets = cases_of_sets(embed, None if sample == 1 else ())
    return [*cases, *cases_of_rows(embed, sample), *sets]


def main() -> int:
    """Write the weights into the package; return an exit status."""
    parser = argparse.ArgumentParser(description="Train what tells which skill a sentence means.")
    parser.add_argument("--report", action="store_true", help="measure on unseen skills, too")
    parser.add_argument("--sample", type=int, default=1, help="use one case in so many, for a test")
    place = Path(str(resources.files("bat_os.sentence") / scoring.FILE))
    parser.add_argument("--out", type=Path, default=place, help="where the weights are written")
    options = parser.parse_args()
    if options.sample > 1 and options.out == place:
        parser.error("the weights of a sample are not shipped: --out FILE")
    embed = make_embed()
    cases = read_cases(embed, options.sample)
    sorted_out, right = triage.fit(read_requests(embed, options.sample))
    made = fit(cases)
    options.out.write_bytes(pack(made, sorted_out))
    sys.stdout.write(f"kind of request right for {right:.1%} of unseen sentences\n")
    if options.report:
        outcomes = judge_unseen(cases, fold_of)
        show("unseen skills", outcomes)
        show("unseen skills, as people ask", [one for one in outcomes if is_natural(one.case)])
        show("unseen writers", judge_unseen(cases, _writer))
        show("sets that only measure", [*judge(made, cases_of_sets(embed, FRESH))])
    sys.stdout.write(f"{len(cases)} cases\n")
    return 0


def show(title: str, outcomes: Sequence[Outcome]) -> None:
    """Print the tables of some outcomes."""
    sys.stdout.write(f"{title}\n{tell(outcomes)}\n{tell_reliability(outcomes)}\n")


def _writer(case: Case) -> str:
    return case.writer


def read_requests(embed: Embed, sample: int = 1) -> list[tuple[Sentence, NDArray[np.float32], str]]:
    """Return the labelled sentences with their vectors and kinds."""
    rows = [row for row in read_rows()[::sample] if row["target"] or row["kind"] in KINDS]
    sentences = [read_spelt(row["text"], NOW, row.get("lang", ""))[0] for row in rows]
    vectors = embed([as_embedded(sentence.masked) for sentence in sentences])
    kinds = ["function" if row["target"] else row["kind"] for row in rows]
    return [*zip(sentences, vectors, kinds, strict=True)]


def pack(made: scoring.Scorer, sorted_out: Triage) -> bytes:
    """Return the file; the same weights give the same bytes."""
    stream = io.BytesIO()
    np.savez(stream, **made.as_arrays(), **sorted_out.as_arrays())
    return stream.getvalue()


if __name__ == "__main__":
    raise SystemExit(main())
