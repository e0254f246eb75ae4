"""Text to passages: blocks by form, sentences, then runs of sentences that belong together.

    text > split_blocks > split_sentences > (the caller embeds them) > assemble > chunks
                        > code, tables: whole, up to a limit           > assemble > chunks

What the blocks of a form are is in ``bat_os.documents.blocks``.
Sentences come from nltk's Punkt with parameters that are installed as a Python module, so
nothing is downloaded and no file is read. This module knows no embedding model: vectors
are handed in, and the same sentences and vectors always give the same passages.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

# nltk gives up on text that keeps its expressions busy for five seconds, so it never sees
# more than this at once.
BLOCK_CHARS: Final = 8_000
# A blank line ends a sentence, and so does the start of a list item or a heading.
_BLOCK_END: Final = re.compile(r"\n[ \t]*\n\s*|\n(?=[ \t]*(?:[-*•]|\d{1,3}[.)]|#{1,6})[ \t])")


# Code and tables stay whole up to here; the embedding model reads about half of it.
WHOLE_CHARS: Final = 2_000


class Chunk(NamedTuple):
    """A passage before it has a place: its text and the headings above it."""

    text: str
    section: str = ""

    def embedded(self) -> str:
        """Return what its vector is made from."""
        return f"{self.section}\n{self.text}" if self.section else self.text


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a document that is treated as one."""

    text: str  # as in the document
    section: str = ""  # the headings above it, ``"Install > Linux"``
    whole: bool = False  # code or a table: not taken apart into sentences


def assemble(
    blocks: Sequence[Block],
    sentences: Sequence[Sequence[str]],
    embeddings: NDArray[np.float32],
    *,
    max_chars: int = 1000,
) -> list[Chunk]:
    """Return the passages of a document, in order.

    Prose is cut by subject, each block for itself. Code and tables stay whole up to
    WHOLE_CHARS and are cut at the ends of lines beyond; a short one goes to the passage
    before it, if that is of the same section and not full.

    Args:
        blocks: Of the document.
        sentences: Of each block, as ``split_sentences`` returns them; none for a whole one.
        embeddings: One row per sentence of all blocks, in order.
        max_chars: No passage of prose is longer.
    """
    chunks: list[Chunk] = []
    row = 0
    for block, parts in zip(blocks, sentences, strict=True):
        if block.whole:
            texts = list(cut_lines(block.text, WHOLE_CHARS))
            last = chunks[-1] if chunks else None
            if last and texts and last.section == block.section:
                joined = f"{last.text}\n{texts[0]}"
                if len(joined) <= max_chars:
                    chunks[-1] = Chunk(joined, block.section)
                    texts = texts[1:]
        else:
            rows = embeddings[row : row + len(parts)]
            texts = semantic_chunks(parts, rows, max_chars=max_chars)
            row += len(parts)
        chunks.extend(Chunk(text, block.section) for text in texts)
    return chunks


def cut_lines(text: str, size: int) -> Iterator[str]:
    """Yield ``text`` in pieces of at most ``size`` characters, cut at the ends of lines."""
    current = ""
    for line in text.strip("\n").splitlines():
        for piece in _pieces(line, size) if len(line) > size else (line,):
            if current and len(current) + 1 + len(piece) > size:
                yield current
                current = piece
            else:
                current = f"{current}\n{piece}" if current else piece
    if current.strip():
        yield current


def split_sentences(text: str) -> list[str]:
    """Return the sentences of ``text`` in order, as slices without surrounding blanks.

    Only blanks between sentences are lost. The first call imports nltk (over a second):
    call it off the event loop.
    """
    tokenizer, before_number = _punkt()
    sentences: list[str] = []
    for block in _blocks(text):
        joined: list[tuple[int, int]] = []
        for start, end in tokenizer.span_tokenize(block):
            if joined and _goes_on(block[slice(*joined[-1])], block[start:end], before_number):
                joined[-1] = (joined[-1][0], end)
            else:
                joined.append((start, end))
        sentences.extend(block[start:end].strip() for start, end in joined)
    return [sentence for sentence in sentences if sentence]


def semantic_chunks(
    sentences: Sequence[str],
    embeddings: NDArray[np.float32],
    *,
    percentile: float = 25,
    max_chars: int = 1000,
    min_chars: int = 200,
) -> list[str]:
    """Return passages: runs of sentences, cut where the subject changes.

    A run ends where the similarity to the next sentence is under the given percentile of
    all neighbours' similarities and the run has ``min_chars``, and always before it would
    pass ``max_chars``. A sentence longer than that is cut at blanks.

    Args:
        sentences: n texts, as ``split_sentences`` returns them.
        embeddings: ``(n, d)``, rows of length 1; row i belongs to ``sentences[i]``.
        percentile: 0 never cuts by subject; 100 cuts almost everywhere.
        max_chars: No passage is longer.
        min_chars: No passage is cut by subject before it is this long; the last passage
            may still be shorter.
    """
    if len(embeddings) != len(sentences):
        raise ValueError(f"{len(embeddings)} embeddings for {len(sentences)} sentences")
    similar = np.einsum("nd,nd->n", embeddings[:-1], embeddings[1:])
    limit = np.percentile(similar, percentile) if len(similar) else 0.0
    chunks: list[str] = []
    current = ""
    for i, sentence in enumerate(sentences):
        turns = i > 0 and similar[i - 1] < limit and len(current) >= min_chars
        for piece in _pieces(sentence, max_chars):
            if current and (turns or len(current) + 1 + len(piece) > max_chars):
                chunks.append(current)
                current = ""
            current = f"{current} {piece}" if current else piece
            turns = False
    return [*chunks, current] if current else chunks


def _goes_on(before: str, after: str, before_number: frozenset[str]) -> bool:
    """Return True for "see Fig." + "5 shows", and for the "2." that numbers a list item."""
    word = before.rpartition(" ")[2]
    if after[:1].isdigit() and word.endswith(".") and word[:-1].lower() in before_number:
        return True
    return before.rstrip(".)").isdecimal()


def _blocks(text: str) -> Iterator[str]:
    for block in _BLOCK_END.split(text):
        yield from _pieces(block, BLOCK_CHARS)


def _pieces(text: str, size: int) -> Iterator[str]:
    """Yield ``text`` in pieces of at most ``size`` characters, cut at blanks if there are."""
    text = text.strip()
    while len(text) > size:
        cut = max(text.rfind(" ", 0, size + 1), text.rfind("\n", 0, size + 1))
        cut = cut if cut > 0 else size
        yield text[:cut].rstrip()
        text = text[cut:].lstrip()
    if text:
        yield text


@functools.cache
def _punkt() -> tuple[Any, frozenset[str]]:
    """Return the tokenizer, and the abbreviations that only stand before numbers."""
    # Imported here: nltk brings scipy, and a kernel that reads no documents needs neither.
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer
    from punkt.data import english
    from punkt.model.prefixes import curated_abbreviations

    always, before_number = curated_abbreviations("english")
    parameters = PunktParameters()
    parameters.abbrev_types = set(english.ABBREV_TYPES) | always
    parameters.collocations = set(english.COLLOCATIONS)
    parameters.sent_starters = set(english.SENT_STARTERS)
    parameters.ortho_context.update(english.ORTHO_CONTEXT)
    return PunktSentenceTokenizer(parameters), before_number
