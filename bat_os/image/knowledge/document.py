"""A document of the catalog, its passages, their ids, and what a search can be limited by.

meta data > facets_of > KeywordIndex (zope.index), by the document's first passage
filters > ranges > the indexes rank those ids only, so a filter never empties top_k

ArgumentsError: a kind is unknown, or a filter's value cannot be looked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import BTrees
import numpy as np
from persistent import Persistent

from bat_os.core.digest import digest
from bat_os.documents.chunking import Chunk
from bat_os.errors import ArgumentsError
from bat_os.image.allowlist import BROKEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

Kind = Literal["document", "method", "codex", "seed", "fact"]
# The order is part of the file format: a kind's place stands in its passages' ids.
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
_KIND_SHIFT: Final = 48


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a document that a search found.

    Attributes:
        doc_id, title, kind: Of its document; the title goes on with the headings above it.
        score: Sum of reciprocal ranks; compares passages of one search only.
        similarity: Best cosine to any of the queries, -1 to 1; compares across searches.
        position: Which passage of its document, from 0.
        heading: What stands above it; of a pair its question.
    """

    doc_id: str
    title: str
    kind: Kind
    text: str
    score: float
    similarity: float
    position: int
    label: tuple[str, ...] = ()  # of its document
    lines: tuple[int, ...] = ()  # as ``bat_os.documents.readers.find_lines`` has them
    heading: str = ""

    @property
    def pair(self) -> tuple[str, str]:
        """Of a line of the codex, or of a document of pairs: the question and its answer."""
        if self.heading:
            return self.heading, self.text
        question, _, answer = self.text.partition("\n")
        return question, answer

    @property
    def wish(self) -> str:
        """Of a method or seed: what it was made for, in words."""
        return self.text.partition("\n")[0]

    @property
    def signature(self) -> str:
        """Of a method or seed: its ``def`` line."""
        return self.text.partition("\n")[2]


class Document(Persistent):
    """A document and its passages; only the documents of found passages are loaded.

    Attributes:
        first: Id of passage 0; the others follow without a gap.
        passages: Texts, in order.
        sections: The headings above each passage, ``"Install > Linux"``; empty when no
            passage has any.
        meta: Plain data; ``words`` of a method are indexed, and in no passage.
        digest: SHA-256 of title, sections and passages.
        label: Oids of the grants that had a say in it.
        lines: Of each passage, where the lines of the file begin in it; () if that is not known.
    """

    sections: tuple[str, ...] = ()
    label: tuple[str, ...] = ()
    lines: tuple[tuple[int, ...], ...] = ()

    def __init__(
        self, doc_id: str, title: str, kind: Kind, passages: Sequence[str | Chunk], first: int
    ) -> None:
        chunks = [Chunk(item) if isinstance(item, str) else item for item in passages]
        self.doc_id = doc_id
        self.title = title
        self.kind = kind
        self.passages = tuple(chunk.text for chunk in chunks)
        if any(chunk.section for chunk in chunks):
            self.sections = tuple(chunk.section for chunk in chunks)
        self.first = first
        self.meta: dict[str, Any] = {}
        self.digest = self.sha256()

    def reword(self, change: Callable[[Any], Any]) -> None:
        """Pass title, headings, passages and meta data through ``change``."""
        self.title = change(self.title)
        self.sections = change(self.sections)
        self.passages, self.lines = change(self.passages), ()
        # What it was learned from is no longer what it holds: learned again, it is another one.
        self.meta = {key: item for key, item in change(self.meta).items() if key != "sha256"}
        self.digest = self.sha256()

    def rename(self, doc_id: str, title: str, meta: Mapping[str, Any]) -> None:
        """Take another id, title and meta data."""
        self.doc_id, self.title, self.meta = doc_id, title, dict(meta)
        self.digest = self.sha256()

    @property
    def stop(self) -> int:
        """The id after the last passage's."""
        return int(self.first + len(self.passages))

    def sha256(self) -> str:
        """Return the digest of what the document holds now."""
        whole = "\0".join((self.title, *self.sections, "\0", *self.passages))
        return digest(whole)

    def section(self, position: int) -> str:
        """Return the headings above a passage."""
        return self.sections[position] if self.sections else ""

    def indexed(self) -> list[str]:
        """Return what each passage is found by: title, headings, text; a method's more words."""
        more = f"\n{self.meta.get('words', '')}" if self.kind == "method" else ""
        pairs = enumerate(self.passages)
        return [f"{self.title} {self.section(i)}\n{text}{more}" for i, text in pairs]

    def embedded(self) -> list[str]:
        """Return what each passage's vector is made from: headings and text."""
        pairs = enumerate(self.passages)
        return [Chunk(text, self.section(i)).embedded() for i, text in pairs]

    def passage(self, number: int, score: float, similarity: float) -> Passage:
        """Return the passage with an id, as a search found it."""
        position = number - self.first
        section = self.section(position)
        repeats = section == self.title or section.startswith(f"{self.title} > ")
        title = " > ".join(filter(None, ("" if repeats else self.title, section)))
        text = self.passages[position]
        found = self.doc_id, title, self.kind, text, score, similarity, position
        lines = self.lines[position] if self.lines else ()
        return Passage(*found, self.label, lines, section)

    def about(self) -> dict[str, Any]:
        """Return plain facts for people and clients."""
        return {
            "doc_id": self.doc_id,
            "title": self.title,
            "kind": self.kind,
            "passages": len(self.passages),
            "meta": dict(self.meta),
        }


def is_readable(document: Document) -> bool:
    """Return False if the record of a document is damaged."""
    try:
        document._p_activate()
    except BROKEN:
        return False
    return True


# What a person said to remember is looked for by its kind only: no writer of methods sees it.
_TOLD: Final[Kind] = "fact"


def id_range(kind: Kind | None) -> tuple[int, int]:
    """Return [start, stop) of the passage ids of a kind, or of all kinds but facts."""
    if kind is None:
        return 0, KINDS.index(_TOLD) << _KIND_SHIFT
    if kind not in KINDS:
        raise ArgumentsError(f"kind {kind!r} is none of {', '.join(KINDS)}")
    code = KINDS.index(kind)
    return code << _KIND_SHIFT, (code + 1) << _KIND_SHIFT


MAX_FACET: Final = 200


def ranges(
    index: Any, starts: Any, kind: Kind | None, filters: Mapping[str, Any]
) -> NDArray[np.int64] | None:
    """Return the ``(m, 2)`` ranges [start, stop) of passage ids to rank, or None for all.

    Keys of the tree ``starts`` are the first passage ids of all documents.
    """
    if not filters:
        bounds = id_range(kind)
        whole = kind is None and (not starts or starts.maxKey() < bounds[1])
        return None if whole else np.array([bounds], np.int64)
    chosen = np.array(firsts(index, kind, filters), np.int64)
    every = np.fromiter(starts.keys(), np.int64, len(starts))
    after = np.append(every[1:], len(KINDS) << _KIND_SHIFT)
    return np.stack([chosen, after[np.searchsorted(every, chosen)]], axis=1)


def firsts(index: Any, kind: Kind | None, filters: Mapping[str, Any]) -> list[int]:
    """Return the first passage ids of the documents that ``filters`` let through, ascending."""
    start, stop = id_range(kind)
    found = None
    for row in wanted_facets(filters):
        found = BTrees.family64.IF.intersection(found, index.search(row, "or"))
    return [first for first in found or () if start <= first < stop]


def facets_of(meta: Mapping[str, Any]) -> list[str]:
    """Return what a document is indexed by besides its text: ``key=value``, sorted.

    Texts, whole numbers and truth values count, each item of a list for itself; a text of
    more than MAX_FACET characters does not.

    >>> facets_of({"tags": ["zodb", "image"], "pages": 3, "score": 0.5})
    ['pages=3', 'tags=image', 'tags=zodb']
    """
    return sorted({facet for key, value in meta.items() for facet in facets(key, value)})


def wanted_facets(filters: Mapping[str, Any]) -> list[list[str]]:
    """Return for each key of ``filters`` its facets; a document needs one of them."""
    wanted = []
    for key, value in filters.items():
        found = list(facets(key, value))
        count = len(value) if isinstance(value, list | tuple | set | frozenset) else 1
        if not found or len(found) != count:
            raise ArgumentsError(
                f"filter {key!r}: give a text of at most {MAX_FACET} characters, a whole "
                "number, true or false, or a list of these; one item of a list has to match"
            )
        wanted.append(found)
    return wanted


def facets(key: str, value: Any) -> Iterator[str]:
    """Yield what one item of meta data is indexed by."""
    items = value if isinstance(value, list | tuple | set | frozenset) else (value,)
    for item in items:
        if isinstance(item, bool | int) or (isinstance(item, str) and len(item) <= MAX_FACET):
            yield f"{key}={item}"
