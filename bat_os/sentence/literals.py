"""What stands in a sentence as it is: quoted text, JSON, addresses, paths, text after a colon.

No rule reads inside of these. The work is linear in the length of the sentence.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from bat_os.sentence.tokens import APOSTROPHES, QUOTES, read_bracketed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Literal = tuple[str, Any, int, int]  # kind, value, start, end

_BRACKET_TRIES: Final = 3
_BRACKET_CHARS: Final = 1_000  # of a literal of Python; JSON may be as long as the sentence
_GROUPED: Final = r"[0-9]{1,3}(?:\.[0-9]{3}){2,9}(?![\w.])"  # 1.000.000
_ADDRESS: Final = re.compile(
    r"(?P<address>(?:https?|ftp)://[^\s<>\"'\u201c\u201d]{1,2000}"
    r"|(?<![\w.+@-])[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64}){1,8}"
    r"|(?<![\w.@/-])[\w-]{1,63}\.(?:com|org|net|io|edu|gov)(?![\w.-]*\w)"
    r"|(?<![\w.@-])www\.[\w-]{1,64}(?:\.[\w-]{1,64}){1,8}(?:/[^\s<>\"']{0,500})?)"
    r"|(?P<path>(?<![\w/.~:])(?:~|\.{1,2})?/(?:[\w.+@-]{1,255}/?){1,40}"
    r"|(?<!\w)[A-Za-z]:\\[^\s\"'<>|]{1,255}"
    r"|(?<![\w/.~@-])[\w-]{1,100}\.(?:txt|md|csv|json|pdf|py|toml|yaml|yml|html|xml|log|docx?|xlsx?"
    r"|png|jpe?g|zip)(?!\w))"
    rf"|(?P<text>(?<![\w.])(?!{_GROUPED})v?[0-9]{{1,9}}(?:\.[0-9]{{1,9}}){{2,9}}(?![\w.]*\w)"
    r"|(?<!\w)\#[0-9A-Fa-f]{3,8}\b"
    r"|(?<![\w-])\+[0-9]{1,3}[ -]?(?:\(0\))?[0-9](?:[ /-]?[0-9]){5,14}(?!\w)"
    r"|(?<![\w-])[0-9]{3}-[0-9]{4}(?![\w-])|(?<![\w-])[0-9]{3}-[0-9]{3}-[0-9]{4}(?![\w-])"
    r"|\([0-9]{3}\) ?[0-9]{3}-[0-9]{4}(?![\w-]))"
)
_END_MARKS: Final = ".,;:!?)"
_INNER: Final = " \u00a0\u202f"  # blanks that French puts inside of the marks
FENCE: Final = "```"
MAX_TABLE: Final = 20_000  # characters
# The names of two columns or more, on a line of their own or behind a colon.
_HEADER: Final = re.compile(
    r"(?:^|:[ \t]*)(?P<cells>[^\W\d]\w{0,40}(?P<sign>[,;\t])[ ]?[^\W\d]\w{0,40}"
    r"(?:(?P=sign)[ ]?[^\W\d]\w{0,40}){0,30})[ ]*(?=\n)",
    re.MULTILINE,
)
# A name and a figure, on a line of their own: two such lines are a table without a header.
_ROW: Final = re.compile(
    r"(?:^|:[ \t]*)(?P<cells>[^\W\d][^,;\t\n]{0,60}(?P<sign>[,;\t])[ ]?[-+]?[0-9][0-9.]*)"
    r"[ ]*(?=\n)",
    re.MULTILINE,
)
_FIGURE: Final = re.compile(r"(?:^|[,;\t])[ ]?[-+]?[0-9]")
_DECIMAL: Final = re.compile(r"(?<=[0-9]),(?=[0-9])")


def find_literals(text: str, limit: int) -> list[Literal]:
    """Return the literals that begin before ``limit``, in order; they do not overlap."""
    found: list[Literal] = []
    behind = 0
    if (table := _table(text, limit)) is not None:
        before, after = (
            find_literals(text[: table[2]], limit),
            find_literals(text[table[3] :], limit),
        )
        moved = [(*each[:2], each[2] + table[3], each[3] + table[3]) for each in after]
        return [*before, table, *(each for each in moved if each[2] < limit)]
    for literal in _quoted(text, limit):
        found.extend(_addresses(text, behind, literal[2]))
        found.append(literal)
        behind = literal[3]
    found.extend(_addresses(text, behind, max(behind, min(limit, len(text)))))
    return found


def _table(text: str, limit: int) -> Literal | None:
    """Return lines of cells as CSV text: "item;price", "tea;3.20"; the header may be missing."""
    ends = min(limit, len(text))
    for match in (*_HEADER.finditer(text, 0, ends), *_ROW.finditer(text, 0, ends)):
        sign = match["sign"]
        wanted, end, rows = match["cells"].count(sign), match.end(), []
        for line in text[match.end() + 1 : match.end() + MAX_TABLE].split("\n"):
            if line.count(sign) != wanted or not line.strip():
                break
            rows.append(line)
            end += 1 + len(line)
        if any(_FIGURE.search(row) for row in rows):
            lines = [match["cells"], *rows]
            if sign != ",":
                lines = [_DECIMAL.sub(".", line).replace(sign, ",") for line in lines]
            return "text", "\n".join(lines), match.start("cells"), end
    return None


def _quoted(text: str, limit: int) -> Iterator[Literal]:
    """Yield quoted texts and lists or maps in brackets."""
    at, tries = 0, _BRACKET_TRIES
    unclosed: set[str] = set()
    while at < min(limit, len(text)):
        char = text[at]
        literal: Literal | None = None
        if text.startswith(FENCE, at) and (end := text.find(FENCE, at + 3)) > 0:
            literal = "text", text[at + 3 : end].strip("\n"), at, end + 3
        elif char in QUOTES and char not in unclosed and _opens(text, at):
            end = _closing(text, at)
            if end > 0:
                literal = (
                    "text",
                    text[at + 1 : end].strip(_INNER if char in "\u00ab\u00bb" else ""),
                    at,
                    end + 1,
                )
            else:
                unclosed.add(char)
        elif char in "[{" and tries:
            bracketed = read_bracketed(text, at, _BRACKET_CHARS)
            tries -= bracketed is None
            if bracketed:
                kind = "list" if isinstance(bracketed[0], list) else "map"
                literal = kind, bracketed[0], at, bracketed[1]
        if literal:
            yield literal
            at = literal[3]
        else:
            at += 1


def _opens(text: str, at: int) -> bool:
    if at + 1 >= len(text):
        return False
    if text[at] in "\u00ab\u00bb":
        return True
    return not (at and text[at - 1].isalnum()) and not (
        text[at] in APOSTROPHES and text[at + 1].isspace()
    )


def _closing(text: str, start: int) -> int:
    """Return where the quote at ``start`` closes, or -1; ``it's`` closes nothing."""
    closers = QUOTES[text[start]]
    pattern = rf"[{re.escape(closers)}]" + (r"(?!\w)" if set(closers) & set(APOSTROPHES) else "")
    match = re.compile(pattern).search(text, start + 1)
    return match.start() if match else -1


def _addresses(text: str, start: int, stop: int) -> Iterator[Literal]:
    for match in _ADDRESS.finditer(text, start, stop):
        kind, value = str(match.lastgroup), match.group().rstrip(_END_MARKS)
        if kind != "text":
            end = match.start() + len(value)
            if end > match.start():
                yield kind, value, match.start(), end
        else:
            yield kind, match.group(), match.start(), match.end()


_COLON: Final = re.compile(r"(?<=[\w)\]\"'\u201d\u00bb])[ \u00a0]?:[ \u00a0]*(?=\s|\S)|\n")
_ITEMS: Final = re.compile(r"\n|;|,(?=\s|$)")


def find_rest(text: str, limit: int, spans: list[tuple[int, int]]) -> tuple[int, int] | None:
    """Return where the text after a colon, or after the first line, begins and ends.

    A colon inside of a literal, of a time or of a word (``a:b``) is none.
    """
    for match in _COLON.finditer(text, 0, min(limit, len(text))):
        inside = any(start <= match.start() < end for start, end in spans)
        behind = match.end()
        glued = behind < len(text) and match.group() == ":" and not text[behind].isspace()
        if inside or not text[: match.start()].strip() or (glued and text[behind] not in QUOTES):
            continue
        rest = text[behind:]
        start = behind + len(rest) - len(rest.lstrip())
        end = len(text.rstrip())
        return (start, end) if start < end else None
    return None


def split_items(rest: str, joiners: Iterable[str]) -> list[str] | None:
    """Return the items of a text that is a list: lines, or parts between commas.

    The last comma may be one of ``joiners``, such as "and", or have it behind it.
    """
    lines = [line for line in rest.splitlines() if line.strip()]
    parts = lines if len(lines) > 1 else _ITEMS.split(rest)
    if len(lines) == 1 and len(parts) > 1:
        last = re.split(
            rf"(?:^|\s)\s*(?:{'|'.join(map(re.escape, joiners))})\s", parts[-1], maxsplit=1
        )
        parts = [*parts[:-1], *last]
    items = [part.strip().lstrip("-*\u2022").strip() for part in parts]
    return [item for item in items if item] if len(parts) > 1 else None
