"""Text from anywhere, made safe for a terminal, a log or a reader's eye.

A terminal obeys control characters, shows letters in another order than they have if a text
overrides their direction, and shows nothing for characters that are invisible. ``show_control``
spells all of them out. It is the only function that decides what is safe; ``bat_os.cli.terminal``
sees to it that nothing reaches a terminal without it, and the page's filter (``safe.js``) knows the
same characters.

``show_asked`` is how a question for leave shows what it asks for: what is shown is what is agreed
to.
"""

from __future__ import annotations

import re
from typing import Any, Final

from bat_os.core.digest import digest

CONTROL: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and line end, delete, C1
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction of text
    r"\u2028\u2029"  # line ends that only some programs see
    r"\ud800-\udfff"  # halves of a pair: no stream can write them
    # Invisible: what Unicode calls ignorable, and fillers. But U+FE0E and U+FE0F, which say how
    # the sign before them is drawn, stand in many a plain text.
    r"\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d\u2060-\u2065\u206a-\u206f"
    r"\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
SHORT: Final = 2_000  # characters of one value that a question shows whole
ON_A_LINE: Final = 4_096  # without a line end: a path, an address and a recipient are no longer
END: Final = 800  # characters of the head, and of the tail, of what is longer


def show_control(text: str) -> str:
    r"""Return ``text`` with its control characters spelt out, all but tabs and line ends.

    JSON stays JSON: it spells those below U+0020 itself, and the others are spelt as it does.

    >>> show_control("a" + chr(27) + "[2J" + chr(0x202E))
    'a\\x1b[2J\\u202e'
    """
    return CONTROL.sub(_spell, text)


def show_on_one_line(text: str) -> str:
    r"""Return ``text`` as ``show_control`` does, with tabs and line ends spelt out too.

    >>> show_on_one_line("a" + chr(10) + "b" + chr(9))
    'a\\nb\\t'
    """
    return show_control(text).replace("\n", "\\n").replace("\t", "\\t")


def show_asked(value: Any) -> str:
    r"""Return a value as a question for leave shows it, on one line.

    No two values that are shown whole look the same, and no path, address or recipient is cut. Of
    a long text the head and the tail are shown, with its size and its SHA-256 between them.

    >>> show_asked(["~/a.txt", "a" + chr(0x202E) + chr(10), 1])
    "['~/a.txt', 'a\\u202e\\n', 1]"
    """
    if isinstance(value, dict):
        pairs = (f"{show_asked(key)}: {show_asked(each)}" for key, each in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(show_asked, value))}]"
    shown = show_on_one_line(repr(value))
    if not isinstance(value, str | bytes):
        return shown
    text = value if isinstance(value, str) else value.decode("latin-1")
    is_line = "\n" not in text and "\r" not in text
    if len(shown) <= SHORT or (is_line and len(text) <= ON_A_LINE):
        return shown
    size = len(value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value)
    return f"{shown[:END]} … ({size:,} B, SHA-256 {digest(value)}) … {shown[-END:]}"


def _spell(match: re.Match[str]) -> str:
    number = ord(match[0])
    if number > 0xFFFF:  # as JSON spells it
        number -= 0x10000
        return f"\\u{0xD800 + (number >> 10):04x}\\u{0xDC00 + (number & 0x3FF):04x}"
    return f"\\x{number:02x}" if number < 0x20 else f"\\u{number:04x}"


def show_count(count: int, noun: str) -> str:
    """Return a number with its noun, which takes an s unless it is one.

    >>> show_count(1, "passage"), show_count(1200, "passage")
    ('1 passage', '1,200 passages')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
