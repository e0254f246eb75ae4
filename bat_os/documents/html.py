"""HTML to Markdown: headings, lists, code and tables stay; scripts and styles go.

Python's own parser does it. beautifulsoup4 on top of the same parser would add a tree that
nothing here needs, and one more dependency that reads hostile bytes.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final

from bat_os.method.text import words

_DROPPED: Final = words("script style noscript template svg math iframe object nav button select")
_BLOCKS: Final = words(
    "p div section article main header footer aside ul ol dl dt dd table figure figcaption "
    "blockquote form fieldset hr address details summary"
)
_HEADINGS: Final = {f"h{level}": "#" * level for level in range(1, 7)}
_BLANK: Final = re.compile(r"\s+")
_GAP: Final = re.compile(r"\n\s*\n\s*")


class _Reader(HTMLParser):
    """Collects Markdown; attributes and unknown tags are ignored."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title: list[str] = []
        self.text: list[str] = []
        self._dropped: list[str] = []
        self._in_title = False
        self._code = False
        self._cells = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin an element."""
        del attrs
        if tag in _DROPPED:
            self._dropped.append(tag)
        elif tag == "title":
            self._in_title = True
        elif tag == "pre":
            self._code = True
            self.text.append("\n\n```\n")
        elif tag in _HEADINGS:
            self.text.append(f"\n\n{_HEADINGS[tag]} ")
        else:
            self._begin_part(tag)

    def _begin_part(self, tag: str) -> None:
        if tag == "li":
            self.text.append("\n- ")
        elif tag == "br":
            self.text.append("\n")
        elif tag == "tr":
            self.text.append("\n|")
            self._cells += 1
        elif tag in _BLOCKS and not self._cells:
            self.text.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        """End an element; what was never begun is ignored."""
        if tag in self._dropped:
            # What a dropped element did not close ends with it.
            del self._dropped[self._dropped.index(tag) :]
        elif tag == "title":
            self._in_title = False
        elif tag == "pre" and self._code:
            self._code = False
            self.text.append("\n```\n\n")
        elif tag in {"td", "th"} and self._cells:
            self.text.append(" |")
        elif tag == "tr":
            self._cells = 0
        elif tag in _HEADINGS or tag in _BLOCKS:
            self.text.append("\n\n")

    def handle_data(self, data: str) -> None:
        """Keep a text, unless it is in an element that is dropped."""
        if self._in_title:
            self.title.append(data)
        elif not self._dropped:
            self.text.append(data if self._code else _BLANK.sub(" ", data))


def read_html(text: str) -> tuple[str, str]:
    r"""Return (title, Markdown) of an HTML page; broken pages give what they hold.

    The parser needs quadratic time for some pages, and asserts on others: call it where a
    deadline holds, as in ``bat_os.documents.extract``.

    >>> read_html("<title>T</title><h2>Head</h2><p>a <b>b</b><script>x()</script></p>")
    ('T', '## Head\n\na b')
    """
    reader = _Reader()
    reader.feed(text)
    reader.close()
    parts = re.split(r"(```\n.*?\n```)", "".join(reader.text), flags=re.DOTALL)
    # Blank lines within code are its own.
    for place in range(0, len(parts), 2):
        lines = "\n".join(line.strip() for line in parts[place].split("\n"))
        parts[place] = _GAP.sub("\n\n", lines)
    return _BLANK.sub(" ", "".join(reader.title)).strip(), "".join(parts).strip()
