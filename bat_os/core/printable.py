"""Text from anywhere, made safe for a terminal, a log or a reader's eye.

A terminal obeys control characters, and shows letters in another order than they have if a text
overrides their direction. ``show_control`` spells both out. It is the only function that decides
what is safe; ``bat_os.cli.terminal`` sees to it that nothing reaches a terminal without it.
"""

from __future__ import annotations

import re
from typing import Final

CONTROL: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and line end, delete, C1
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction of text
    r"\u2028\u2029"  # line ends that only some programs see
    r"\ud800-\udfff]"  # halves of a pair: no stream can write them
)


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


def _spell(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f"\\x{number:02x}" if number < 0x20 else f"\\u{number:04x}"


def show_count(count: int, noun: str) -> str:
    """Return a number with its noun, which takes an s unless it is one.

    >>> show_count(1, "passage"), show_count(1200, "passage")
    ('1 passage', '1,200 passages')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
