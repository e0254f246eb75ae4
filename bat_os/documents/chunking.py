"""Text to passages: blocks by form, sentences, then runs of sentences that belong together.

    text > split_blocks > split_sentences > (the caller embeds them) > assemble > chunks
                        > code, tables: whole, up to a limit           > assemble > chunks

    Markdown     prose between headings, each fenced code block, each table
    pairs        each answer whole, under its question as a heading
    Python       each top-level function and class, and what is between them
    other code   runs of lines that begin at the left margin after a blank line

Only blank lines between blocks are lost, and headings become the section of what follows them.
Sentences come from nltk's Punkt with parameters that are installed as a Python module, so
nothing is downloaded and no file is read. This module knows no embedding model: vectors
are handed in, and the same sentences and vectors always give the same passages.
"""

from __future__ import annotations

import ast
import functools
import re
import warnings
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import numpy as np

from bat_os.core import schema, syntax
from bat_os.core.schema import Record
from bat_os.errors import ArgumentsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

# nltk gives up on text that keeps its expressions busy for five seconds, so it never sees
# more than this at once.
BLOCK_CHARS: Final = 8_000
# A blank line ends a sentence, and so does the start of a list item or a heading.
_BLOCK_END: Final = re.compile(r"\n[ \t]*\n\s*|\n(?=[ \t]*(?:[-*•]|\d{1,3}[.)]|#{1,6})[ \t])")


_SENTENCE_END: Final = re.compile(r"[.!?:;\u2026][\"')\]\u201d\u00bb]*\Z")

# Code and tables stay whole up to here; the embedding model reads about half of it.
WHOLE_CHARS: Final = 2_000


# Form of a document whose lines are JSON with a prompt and its response.
PAIRS: Final = "pairs"
MAX_ANSWER: Final = 100_000  # characters


class _Pair(Record, frozen=True, forbid_unknown_fields=False):
    prompt: Annotated[str, schema.text(WHOLE_CHARS, filled=True)]
    response: Annotated[str, schema.text(MAX_ANSWER, filled=True)]


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


def join_sentences(parts: Sequence[Sequence[str]], most: int) -> list[list[str]]:
    """Return the sentences of each block, neighbours joined, so that there are about ``most``.

    A text of a million full stops has half a million sentences; each would cost a vector.

    >>> join_sentences([["a.", "b.", "c."], ["d."]], 2)
    [['a. b.', 'c.'], ['d.']]
    """
    step = max(1, -(-sum(map(len, parts)) // most))
    return [
        [" ".join(block[at : at + step]) for at in range(0, len(block), step)] for block in parts
    ]


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
            ends = _SENTENCE_END.search(current) is not None  # a heading goes with what follows
            if current and ((turns and ends) or len(current) + 1 + len(piece) > max_chars):
                chunks.append(current)
                current = ""
            joined = " " if ends or i == 0 else "\n"
            current = f"{current}{joined}{piece}" if current else piece
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


# Longer or deeper text can cost Python's parser seconds and gigabytes; its lines do instead.
MAX_PYTHON_CHARS: Final = 200_000
_DEEP: Final = re.compile(r"(?:[-+~(\[{]\s*){60}|(?:\b(?:not|await|lambda)\b[\s:]*){40}")
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
# Small definitions share a passage up to here.
_GATHER_CHARS: Final = 600
_HEADING: Final = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)[ \t#]*\Z")
_UNDERLINE: Final = re.compile(r" {0,3}(=+|-{3,})[ \t]*\Z")
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})([^`]*)\Z")
_TABLE: Final = re.compile(r"[ \t]*\|")
_LEFT: Final = re.compile(r"\S")


def split_blocks(text: str, form: str = "text", language: str = "") -> list[Block]:
    """Return the blocks of a document in order.

    Args:
        text: The whole document.
        form: ``markdown``, ``code``, PAIRS, or anything else for plain text.
        language: Of code, ``"python"``.
    """
    pairs = read_pairs(text) if form == PAIRS else []
    if pairs:
        blocks = iter([Block(answer, question, whole=True) for question, answer in pairs])
    elif form == "markdown":
        blocks = _markdown(text)
    elif form == "code":
        blocks = _code(text, language)
    else:
        blocks = iter((Block(text),))
    return [block for block in blocks if block.text.strip()]


def read_pairs(text: str) -> list[tuple[str, str]]:
    """Return the questions and answers of a text whose lines are pairs; [] of any other text.

    >>> read_pairs('{"prompt": "Who is Ann?", "response": "The baker."}')
    [('Who is Ann?', 'The baker.')]
    """
    pairs = []
    for line in filter(str.strip, text.split("\n")):
        try:
            pair = schema.parse_json(line, _Pair, ArgumentsError, "a pair")
        except ArgumentsError:
            return []
        pairs.append((" ".join(pair.prompt.split()), pair.response.strip()))
    return pairs


def _markdown(text: str) -> Iterator[Block]:
    lines = text.splitlines()
    headings: list[tuple[int, str]] = []
    prose: list[str] = []
    at = 0
    while at < len(lines):
        section = " > ".join(name for _, name in headings)
        end = _fenced(lines, at) or _run(lines, at, _TABLE.match)
        heading = _heading(lines, at)
        if end or heading:
            yield Block("\n".join(prose), section)
            prose = []
        if heading:
            level, name, at = heading
            headings = [item for item in headings if item[0] < level]
            headings.append((level, name))
        elif end:
            yield Block("\n".join(lines[at:end]), section, whole=True)
            at = end
        else:
            prose.append(lines[at])
            at += 1
    yield Block("\n".join(prose), " > ".join(name for _, name in headings))


def _heading(lines: list[str], at: int) -> tuple[int, str, int] | None:
    """Return (level, text, next line) when a heading begins at a line."""
    if match := _HEADING.match(lines[at]):
        return len(match[1]), match[2], at + 1
    if at + 1 < len(lines) and lines[at].strip() and not lines[at].startswith((" ", "\t")):
        under = _UNDERLINE.match(lines[at + 1])
        alone = at == 0 or not lines[at - 1].strip()
        if under and alone and not _UNDERLINE.match(lines[at]):
            return (1 if under[1][0] == "=" else 2), lines[at].strip(), at + 2
    return None


def _fenced(lines: list[str], at: int) -> int:
    """Return where the fenced code block that begins at a line ends, or 0."""
    opening = _FENCE.match(lines[at])
    if not opening:
        return 0
    mark = opening[1]
    for end in range(at + 1, len(lines)):
        line = lines[end].strip()
        if line.startswith(mark) and not line.strip(mark[0]):
            return end + 1
    return len(lines)


def _run(lines: list[str], at: int, belongs: Callable[[str], object]) -> int:
    """Return where the run of at least two such lines ends that begins at a line, or 0."""
    end = at
    while end < len(lines) and belongs(lines[end]):
        end += 1
    return end if end - at > 1 else 0


def _code(text: str, language: str) -> Iterator[Block]:
    tree = _parse(text) if language == "python" else None
    if tree is not None:
        # Lines as Python counts them: a form feed ends none.
        yield from _python(_LINE_END.split(text), tree.body)
        return
    yield from _gather(Block(part, whole=True) for part in _left_margins(text))


def _parse(text: str) -> ast.Module | None:
    """Return the tree, or None for another version of Python, or none at all."""
    if len(text) > MAX_PYTHON_CHARS or _DEEP.search(text):
        return None
    try:
        with warnings.catch_warnings():  # "\\d" in a text is odd, not wrong
            warnings.simplefilter("ignore")
            return syntax.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _python(lines: list[str], body: list[ast.stmt]) -> Iterator[Block]:
    marks = [(0, "")]
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            kind = "class" if isinstance(node, ast.ClassDef) else "def"
            marks += [(_start(lines, node), f"{kind} {node.name}"), (node.end_lineno or 0, "")]
    blocks: list[Block] = []
    nodes = {f"class {node.name}": node for node in body if isinstance(node, ast.ClassDef)}
    for (start, name), (stop, _) in pairwise([*marks, (len(lines), "")]):
        part = "\n".join(lines[start:stop])
        if len(part) > WHOLE_CHARS and name in nodes:
            blocks += _class(lines, nodes[name], start)
        else:
            blocks.append(Block(part, name, whole=True))
    yield from _gather(iter(blocks))


def _class(lines: list[str], node: ast.ClassDef, start: int) -> Iterator[Block]:
    """Yield a long class: its head with what is not a method, then method by method."""
    name = f"class {node.name}"
    at = start
    for item in node.body:
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
            begin = max(_start(lines, item), at)
            yield Block("\n".join(lines[at:begin]), name, whole=True)
            at = item.end_lineno or begin
            yield Block("\n".join(lines[begin:at]), f"{name} > def {item.name}", whole=True)
    yield Block("\n".join(lines[at : node.end_lineno]), name, whole=True)


def _start(lines: list[str], node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> int:
    """Return the first line, from 0, with decorators and the comment right above."""
    start = min([node.lineno, *(item.lineno for item in node.decorator_list)]) - 1
    while start and lines[start - 1].lstrip().startswith("#"):
        start -= 1
    return start


def _left_margins(text: str) -> Iterator[str]:
    """Yield code in parts that begin at the left margin after a blank line."""
    part: list[str] = []
    for line in text.splitlines():
        if part and not part[-1].strip() and _LEFT.match(line) and line[0] not in ")]}":
            yield "\n".join(part)
            part = []
        part.append(line)
    yield "\n".join(part)


def _gather(blocks: Iterator[Block]) -> Iterator[Block]:
    """Yield the blocks with small neighbours as one, which names all of them."""
    held: Block | None = None
    for block in blocks:
        if not block.text.strip():
            continue
        if held and len(held.text) + len(block.text) <= _GATHER_CHARS:
            sections = dict.fromkeys(filter(None, (held.section, block.section)))
            held = Block(f"{held.text}\n{block.text}", ", ".join(sections), whole=True)
            continue
        if held:
            yield held
        held = block
    if held:
        yield held
