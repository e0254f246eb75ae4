"""Fix-ups of layout: what stands around a method, its indentation, and an end that is missing.

Text to text, as ``fixups`` describes; most of these work on text that is not Python yet.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

from bat_os.method.allowed import is_top_level
from bat_os.method.rules.places import Wanted, read
from bat_os.method.text import find_method, parse, parses, split_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MAX_PIECES: Final = 300
_WINDOW: Final = 4  # a def may hold this many lines that look like top-level ones
_MAX_TAIL: Final = 40  # lines of an unfinished statement
_MAX_CLOSERS: Final = 3
_PAIRS: Final = {"(": ")", "[": "]", "{": "}"}
_STRINGS: Final = re.compile(
    r"#[^\n]*|\"\"\".*?\"\"\"|'''.*?'''|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL
)


def expand_tabs(source: str, wanted: Wanted) -> str:
    """Return the source indented by spaces, where tabs and spaces are mixed wrongly."""
    if parses(source):
        return source
    lines = []
    for line in split_lines(source):
        body = line.lstrip(" \t")
        lines.append(line[: len(line) - len(body)].expandtabs(4) + body)
    return "".join(lines)


def drop_fences(source: str, wanted: Wanted) -> str:
    """Return the source without Markdown fences inside its method."""
    return _mend_piece(source, wanted, _without_fences)


def align_body(source: str, wanted: Wanted) -> str:
    """Return the source with the first line of the body indented like its docstring."""
    return _mend_piece(source, wanted, _align)


def drop_unfinished(source: str, wanted: Wanted) -> str:
    """Return the source without an incomplete last statement that would never be reached."""
    return _mend_piece(source, wanted, lambda piece: _drop_tail(piece, wanted))


def close_brackets(source: str, wanted: Wanted) -> str:
    """Return the source with brackets that are missing at its end, or without surplus ones."""
    return _mend_piece(source, wanted, _close)


def _mend_piece(source: str, wanted: Wanted, mend: Callable[[str], str]) -> str:
    """Return the source with the text of its method mended, if that then is Python."""
    lines = split_lines(source)
    head = re.compile(rf"def\s+{re.escape(wanted.selector)}\s*\(")
    start = next((i for i, line in enumerate(lines) if head.match(line)), None)
    if start is None or parses(source):
        return source
    end = start + 1
    while end < len(lines) and lines[end].startswith((*" \t\r\n)]}",)):
        end += 1
    piece = "".join(lines[start:end])
    if parses(piece):
        return source
    mended = mend(piece)
    return "".join((*lines[:start], mended, *lines[end:])) if parses(mended) else source


def _without_fences(piece: str) -> str:
    return "".join(line for line in split_lines(piece) if not line.lstrip().startswith("```"))


def _align(piece: str) -> str:
    lines = split_lines(piece)
    at = next((i for i, line in enumerate(lines) if i and line.strip()), len(lines))
    indent = 4
    if at < len(lines) and re.match(r'\s*""".*"""\s*\Z', lines[at]):
        indent = _indent(lines[at])
        at = next((i for i, line in enumerate(lines) if i > at and line.strip()), len(lines))
    if at == len(lines) or _indent(lines[at]) == indent:
        return piece
    off = indent - _indent(lines[at])
    first = [*lines[:at], _shift(lines[at], off), *lines[at + 1 :]]
    if parses("".join(first)):
        return "".join(first)
    return "".join((*lines[:at], *(_shift(line, off) for line in lines[at:])))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _shift(line: str, off: int) -> str:
    return " " * max(0, _indent(line) + off) + line.lstrip(" ") if line.strip() else line


def _drop_tail(piece: str, wanted: Wanted) -> str:
    lines = split_lines(piece)
    for end in range(len(lines) - 1, max(0, len(lines) - 1 - _MAX_TAIL), -1):
        rest = "".join(lines[:end])
        found = read(rest, wanted)
        if found is not None:
            return rest if _leaves(found[1].body) else piece
    return piece


def _leaves(body: list[ast.stmt]) -> bool:
    """Return whether what follows ``body`` is never reached."""
    last = body[-1]
    if isinstance(last, ast.If):
        return bool(last.orelse) and _leaves(last.body) and _leaves(last.orelse)
    if isinstance(last, ast.With):
        return _leaves(last.body)
    return isinstance(last, ast.Return | ast.Raise)


def _close(piece: str) -> str:
    text = piece.rstrip()
    end = piece[len(text) :]
    for surplus in range(1, _MAX_CLOSERS + 1):
        if text[-surplus] in ")]}" and parses(text[:-surplus] + end):
            return text[:-surplus] + end
        if text[-surplus] not in ")]}":
            break
    stack: list[str] = []
    for char in _STRINGS.sub("", text):
        if char in _PAIRS:
            stack.append(_PAIRS[char])
        elif stack and char == stack[-1]:
            stack.pop()
    whole = len(stack) <= _MAX_CLOSERS and (text[-1].isalnum() or text[-1] in "_)]}'\"")
    return text + "".join(reversed(stack)) + end if whole else piece


def cut_rest(source: str, wanted: Wanted) -> str:
    """Return imports, constants, classes and functions only; the first ``selector`` counts."""
    text, tree = source, parse(source)
    if not isinstance(tree, ast.Module):
        text = "".join(_keep_python(split_lines(source)))
        tree = parse(text)
    method = find_method(tree, wanted.selector) if isinstance(tree, ast.Module) else None
    if not isinstance(tree, ast.Module) or method is None:
        return source
    lines = split_lines(text)
    for node in reversed(tree.body):
        again = getattr(node, "name", "") == wanted.selector and node is not method
        if again or not is_top_level(node):
            first = min(part.lineno for part in (node, *getattr(node, "decorator_list", [])))
            del lines[first - 1 : node.end_lineno]
    return "".join(lines)


def _keep_python(lines: list[str]) -> Iterator[str]:
    """Yield the top-level pieces that are Python by themselves."""
    starts = [i for i, line in enumerate(lines) if not line.startswith((*" \t\r\n)]}",))]
    starts.append(len(lines))
    if len(starts) > _MAX_PIECES:
        return
    at = 0
    while at < len(starts) - 1:
        for end in range(at + 1, min(at + _WINDOW, len(starts) - 1) + 1):
            piece = "".join(lines[starts[at] : starts[end]])
            if parses(piece):
                yield piece
                at = end
                break
        else:
            at += 1
