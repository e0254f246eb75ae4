"""Does what was typed go on in the next line? Only what is in the text counts."""

from __future__ import annotations

import re
from typing import Final

_OPENING: Final = {"(": ")", "[": "]", "{": "}"}
_CLOSING: Final = frozenset(_OPENING.values())
_SMILEY: Final = re.compile(r"(?<!\S)[:;]-?[()\[\]]")


def is_whole(text: str) -> bool:
    r"""Return True when ``text`` can be sent: no bracket and no quote is open.

    An apostrophe is no quote. An empty last line ends whatever is open.

    >>> is_whole("what's 2 + 2?"), is_whole("f([1,"), is_whole("greet 'Ann"), is_whole("f([1,\n")
    (True, False, False, True)
    """
    first, newline, rest = text.rpartition("\n")
    if newline and first.strip() and not rest.strip():
        return True
    depth, quote = 0, ""
    told = _SMILEY.sub("", text)
    for at, char in enumerate(told):
        if char in "'\"":
            quote = _quote_after(told, at, quote)
        elif not quote:
            depth += (char in _OPENING) - (char in _CLOSING)
    return depth <= 0 and not quote


def _quote_after(text: str, at: int, quote: str) -> str:
    """Return which quote is open after the quote character at ``at``."""
    char, before, after = text[at], text[:at][-1:], text[at + 1 :][:1]
    if before == "\\":
        return quote
    inside_word = char == "'" and before.isalnum()
    if quote:
        return "" if char == quote and not (inside_word and after.isalnum()) else quote
    return "" if inside_word else char
