"""Memory: what a person said to remember, kept in one transaction and found by words and meaning.

    remember > one embedding > one transaction: the fact, its passage, its links
    recall   > one embedding > one read: the catalog's facts, by cosine and by words

Nothing that a model says is ever returned as a memory: an answer is a fact as it was said, or a
passage of a document.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import secrets
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final, Protocol

from bat_os.documents.chunking import PAIRS, split_sentences
from bat_os.documents.readers import line_of
from bat_os.errors import ArgumentsError
from bat_os.image import memory
from bat_os.image.facts import (
    Fact,
    describe,
    is_same,
    replaces,
    says_now,
    shorten,
    subject_of,
    words_of,
)
from bat_os.image.quotes import (
    SAME,
    Question,
    ask,
    covers,
    has_answer,
    is_answer,
    lines_of,
    match,
    weigh,
)
from bat_os.kernel.naming import find_named, words_told
from bat_os.sentence.reading import read_sentence

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from bat_os.image.catalog_service import CatalogService
    from bat_os.image.memory import Recalled
    from bat_os.image.store import ImageStore

    Root = MutableMapping[str, Any]
    Vector = NDArray[np.float32]

SIMILAR: Final = 0.85  # cosine from which a new fact may be said instead of an old one
SAME_SUBJECT: Final = 0.6  # the same for one that says "now"
PASSAGES: Final = 8  # of documents that are looked at for one question
SENTENCES: Final = 200
EMBEDDED: Final = 12  # sentences of them whose meaning is looked at
FORGET: Final = 0.75  # score from which a text may mean the fact to forget
STEMS: Final = "en"  # facts of all languages lie together: their words are cut alike
SHOWN: Final = 5


class Mind(Protocol):
    """What memory needs of the kernel."""

    @property
    def image(self) -> ImageStore:
        """Where the facts are."""

    @property
    def catalog(self) -> CatalogService:
        """What finds them."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What became of a fact that was said."""

    fact: Fact
    is_new: bool  # False: it was said before, in the same words
    rivals: tuple[Fact, ...] = ()  # facts that it may be said instead of, the likeliest first


async def remember(
    mind: Mind, text: str, *, now: dt.datetime, source: str = "", label: str = ""
) -> Remembered:
    """Keep a fact as it was said; one that was said in the same words is not kept twice."""
    fact, vector = await _prepare(mind, text, now, source, label)

    def work(root: Root) -> Remembered:
        return _keep(root, fact, vector)

    return await mind.image.transact(work, note="remember a fact")


def _keep(root: Root, fact: Fact, vector: Vector, bar: float = SIMILAR) -> Remembered:
    near = memory.rank_facts(root, fact.text, vector)
    same = next((one.fact for one in near if is_same(one.fact.text, fact.text)), None)
    if same is not None:
        return Remembered(same, is_new=False)
    rivals = tuple(one.fact for one in near if _is_rival(fact.text, one, bar))
    return Remembered(memory.keep(root, fact, vector), is_new=True, rivals=rivals)


def _is_rival(text: str, one: Recalled, bar: float) -> bool:
    if says_now(text) or len(words_of(subject_of(text))) > 1:  # "my wifi password", not "Anna"
        bar = SAME_SUBJECT
    return one.cosine >= bar and replaces(text, one.fact.text)


async def change(
    mind: Mind, text: str, *, now: dt.datetime, instead: str = "", source: str = ""
) -> tuple[Remembered, Fact | None]:
    """Keep a fact instead of an older one; return both.

    ``instead`` is the id of that one; without it, it is the one with the same subject. The older
    one stays in the history of the fact; None if there was none. One that is only near is a rival.
    """
    fact, vector = await _prepare(mind, text, now, source, "")

    def work(root: Root) -> tuple[Remembered, Fact | None]:
        kept = _keep(root, fact, vector, SAME_SUBJECT)
        named = (one for one in kept.rivals if _has_subject_of(text, one.text))
        old = memory.fact_of(root, instead) if instead else next(named, None)
        if old is None or old.id == kept.fact.id or not memory.is_live(old):
            return kept, None
        memory.supersede(root, old.id, kept.fact.id)
        return kept, old

    return await mind.image.transact(work, note="change a fact")


def _has_subject_of(text: str, other: str) -> bool:
    """Return whether two texts say something of one subject: "Ann's room" is not "Bob's room"."""
    subjects = [{*words_told(subject_of(each), STEMS)} for each in (text, other)]
    return bool(subjects[0]) and subjects[0] == subjects[1]


async def recall(mind: Mind, question: str, *, now: dt.datetime) -> list[Recalled]:
    """Return the facts that answer a question or are near, best first."""
    vector = await mind.catalog.embed([question])
    cache = mind.catalog.cache

    def work(root: Root) -> list[Recalled]:
        return memory.rank_facts(root, question, vector, cache)

    found = (await mind.image.transact(work, note="recall"))[:SHOWN]
    return [replace(one, short=_short(question, one)) for one in found]


def _short(question: str, one: Recalled) -> str:
    if not one.certain:
        return ""
    fact = one.fact
    told = dt.datetime.fromtimestamp(fact.told_at, dt.UTC).astimezone()
    return shorten(question, fact.text, read_sentence(fact.text, told).values)


async def recall_when(mind: Mind, start: dt.date, end: dt.date) -> list[Fact]:
    """Return the facts about the days from ``start`` to ``end``, the last included."""
    return await mind.image.transact(
        lambda root: memory.facts_on(root, start, end), note="recall days"
    )


async def recall_told(mind: Mind, since: dt.datetime, until: dt.datetime) -> list[Fact]:
    """Return the facts that were kept from ``since`` to before ``until``."""
    return await mind.image.transact(
        lambda root: memory.facts_told(root, since.timestamp(), until.timestamp()),
        note="recall what was said",
    )


async def forget(mind: Mind, text: str, *, now: dt.datetime, fact_id: str = "") -> list[Fact]:
    """Hide the fact that a text names, or the one with an id.

    Returns that one alone, hidden; or, if none or several are named, the facts that may be meant.
    """
    vector = await mind.catalog.embed([text])

    def work(root: Root) -> list[Fact]:
        chosen = memory.fact_of(root, fact_id) if fact_id else None
        found, sure = ([chosen], True) if chosen is not None else _meant(root, text, vector)
        if sure:
            memory.change(root, found[0].id, None, hidden=True)
            return [replace(found[0], hidden=True)]
        return found

    return await mind.image.transact(work, note="forget a fact")


def _meant(root: Root, text: str, vector: Vector) -> tuple[list[Fact], bool]:
    """Return the facts that a text names or comes to by its meaning, and if it surely is the one.

    What only comes to the same is asked about.
    """
    found = {one.fact.id: one for one in memory.rank_facts(root, text, vector)[:SHOWN]}
    texts = {fact_id: one.fact.text for fact_id, one in found.items()}
    named = find_named(text, texts, STEMS, in_part=True)
    if named.one is not None:
        return [found[named.one].fact], True
    near = [key for key, one in found.items() if one.certain or one.score >= FORGET]
    return [found[fact_id].fact for fact_id in named.found or near], False


async def newest(mind: Mind, limit: int) -> list[Fact]:
    """Return the newest facts that are true now, the newest first."""

    def work(root: Root) -> list[Fact]:
        return [fact for fact, _ in zip(memory.facts_in(root), range(limit), strict=False)]

    return await mind.image.transact(work, note="list facts")


async def _prepare(
    mind: Mind, text: str, now: dt.datetime, source: str, label: str
) -> tuple[Fact, Vector]:
    values = read_sentence(text, now).values
    fact_id = f"{int(now.timestamp() * 1000):012x}{secrets.token_hex(2)}"
    fact = replace(
        describe(fact_id, text, now.timestamp(), values), source=source[:300], label=label
    )
    return fact, await mind.catalog.embed([text])


@dataclass(frozen=True, slots=True)
class Found:
    """A sentence of a document, or the answer of a pair, that answers a question."""

    sentence: str
    passage: str
    title: str
    doc_id: str
    score: float
    line: int = 0  # of the file; 0 if it is not known
    label: tuple[str, ...] = ()  # oids of the grants that it was read through

    @property
    def is_codex(self) -> bool:
        """Whether the program itself brought it."""
        return self.doc_id.startswith("codex:")

    @property
    def path(self) -> str:
        """The file that it stands in; "" if it is not from one."""
        path = PurePath(self.doc_id.removeprefix("document:"))
        if not path.is_absolute():
            return ""
        with contextlib.suppress(ValueError, RuntimeError):
            path = PurePath("~", path.relative_to(Path.home()))
        return str(path)


async def recall_documents(mind: Mind, question: str, *, language: str = "en") -> Found | None:
    """Return the best answer in the taught documents, else in the codex; or None.

    None if nothing surely does: most questions have no answer in what was taught.
    """
    asked = ask(question, language)
    if not asked.words:
        return None
    return (
        await _recall_pair(mind, question, asked, kind="document", filters={"form": PAIRS})
        or await _recall_sentence(mind, question, asked)
        or await _recall_pair(mind, question, asked, kind="codex")
    )


async def _recall_pair(mind: Mind, question: str, asked: Question, **where: Any) -> Found | None:
    """Return the answer of the pair whose question is this one."""
    found = await mind.catalog.search([question], top_k=PASSAGES, **where)
    hits = [hit for hit in found if covers(asked, " ".join(hit.pair))]
    if not hits:
        return None
    rows = await mind.catalog.embed([question, *(hit.pair[0] for hit in hits)])
    near = (rows[1:] @ rows[0]).tolist()
    cosine, hit = max(zip(near, hits, strict=True), key=lambda one: one[0])
    if cosine < SAME:
        return None
    at = line_of(hit.lines, hit.text, hit.text)
    answer = hit.pair[1]
    return Found(answer, answer, hit.title, hit.doc_id, round(cosine, 4), at, hit.label)


async def _recall_sentence(mind: Mind, question: str, asked: Question) -> Found | None:
    hits = await mind.catalog.search([question], top_k=PASSAGES, kind="document")
    lines = [
        (line, hit)
        for hit in hits
        for line in lines_of(hit.title, hit.text, split_sentences(hit.text))
    ][:SENTENCES]
    weights = weigh(asked, [line for line, _ in lines])
    matched = [(line, hit, found) for line, hit in lines if (found := match(asked, line, weights))]
    matched = sorted(matched, key=lambda one: -one[2].whole - one[2].own)[:EMBEDDED]
    if not matched:
        return None
    rows = await mind.catalog.embed([question, *(line.text for line, _, _ in matched)])
    now = dt.datetime.now().astimezone()
    best: Found | None = None
    for (line, hit, found), cosine in zip(matched, (rows[1:] @ rows[0]).tolist(), strict=True):
        if not is_answer(found, cosine):
            continue
        if not has_answer(asked, line, now):
            continue
        score = cosine + 2 * found.whole + found.own / 2
        if best is None or score > best.score:
            at = line_of(hit.lines, hit.text, line.text)
            found_at = hit.doc_id, round(score, 4), at, hit.label
            best = Found(line.text, hit.text, hit.title, *found_at)
    return best


class TurnMemory:
    """What memory_obj reaches in one turn; what it writes comes with the turn's one commit.

    It reads the facts as they are now, without what the turn itself has written.
    """

    def __init__(
        self,
        image: ImageStore,
        catalog: CatalogService,
        moment: Callable[[], dt.datetime],
        label: set[str],
    ) -> None:
        self.image = image
        self.catalog = catalog
        self._moment = moment
        self._label = label  # of the turn: facts keep it, and bring it
        self._works: list[Callable[[Root], Any]] = []

    @property
    def has_writes(self) -> bool:
        """Return whether the turn changes memory."""
        return bool(self._works)

    def apply(self, root: Root) -> None:
        """Write what the turn has kept, inside its transaction."""
        for work in self._works:
            work(root)

    async def remember(self, text: str) -> dict[str, Any]:
        """Return the fact that comes with the commit."""
        fact, vector = await _prepare(self, text, self._moment(), "", "")
        self._works.append(
            lambda root: _keep(root, replace(fact, label=" ".join(sorted(self._label))), vector)
        )
        return as_value(fact)

    def _told(self, facts: Sequence[Fact]) -> list[dict[str, Any]]:
        self._label.update(*(fact.label.split() for fact in facts))
        return [as_value(fact) for fact in facts]

    async def recall(self, question: str) -> list[dict[str, Any]]:
        """Return what was found, each with ``certain`` and ``short``."""
        found = await recall(self, question, now=self._moment())
        told = self._told([one.fact for one in found])
        return [
            {**fact, "certain": one.certain, "short": one.short}
            for fact, one in zip(told, found, strict=True)
        ]

    async def recall_when(self, start: str, end: str) -> list[dict[str, Any]]:
        """Return the facts about some days."""
        days = _day(start), _day(end)
        return self._told(await recall_when(self, *days))

    async def forget(self, text: str) -> list[dict[str, Any]]:
        """Return the fact that is hidden with the commit, or those that may be meant."""
        vector = await self.catalog.embed([text])
        found, sure = await self.image.transact(
            lambda root: _meant(root, text, vector), note="find a fact"
        )
        if sure:
            hidden = found[0].id
            self._works.append(lambda root: memory.change(root, hidden, None, hidden=True))
        return self._told(found)

    async def facts(self, limit: int) -> list[dict[str, Any]]:
        """Return the newest facts."""
        return self._told(await newest(self, limit))


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise ArgumentsError(f"{text[:40]!r} is not a date; write 2026-05-03") from None


def as_value(fact: Fact) -> dict[str, Any]:
    """Return what a message gets of a fact."""
    told = dt.datetime.fromtimestamp(fact.told_at, dt.UTC).isoformat(timespec="seconds")
    value = {"text": fact.text, "told_at": told, "when": list(fact.when), "where": fact.where}
    more = {"about": fact.about, "source": fact.source, "label": fact.label}
    return {**value, **{key: each for key, each in more.items() if each}}
