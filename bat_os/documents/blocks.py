"""Documents to blocks, by their form: plain text, Markdown, source code.

    Markdown     prose between headings, each fenced code block, each table
    Python       each top-level function and class, and what is between them
    other code   runs of lines that begin at the left margin after a blank line

Nothing but blank lines between blocks and the headings themselves is lost; headings become
the section of what follows them.
"""

from __future__ import annotations

import ast
import re
import warnings
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from bat_os.documents.chunking import WHOLE_CHARS, Block

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
        form: ``markdown``, ``code``, or anything else for plain text.
        language: Of code, ``"python"``.
    """
    if form == "markdown":
        blocks = _markdown(text)
    elif form == "code":
        blocks = _code(text, language)
    else:
        blocks = iter((Block(text),))
    return [block for block in blocks if block.text.strip()]


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
            return ast.parse(text)
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
