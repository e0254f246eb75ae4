"""PDF and HTML to text, in a child process with limits: both are written by strangers.

    extract > a child of this module, bytes on its standard input > JSON > Extract

A PDF is a program in disguise, and Python's HTML parser needs hours for some pages. The
child may use a gigabyte of memory and a minute of one core, where the system can limit
that; the parent kills it after its deadline everywhere.

HTML becomes Markdown: headings, lists, code and tables stay; scripts and styles go. Python's own
parser does it; docs/dependencies.md says why no library.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re
import subprocess
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import bat_os
from bat_os.errors import ArgumentsError, ResourceError
from bat_os.method.text import words

SECONDS: Final = 60
MEMORY_BYTES: Final = 1 << 30
MAX_TEXT: Final = 20_000_000
MAX_PAGES: Final = 5_000
_NO_PYPDF: Final = "reading PDF needs the package pypdf: pip install pypdf"
_DROPPED: Final = words("script style noscript template svg math iframe object nav button select")
_BLOCKS: Final = words(
    "p div section article main header footer aside ul ol dl dt dd table figure figcaption "
    "blockquote form fieldset hr address details summary"
)
_MAIN: Final = frozenset({"main", "article"})
_MIN_MAIN: Final = 200  # characters; a page with less in its main part says it elsewhere
_MAX_LINKS: Final = 2_000
MAX_TAGS: Final = 200_000  # of a page; Python's parser takes a second for so many
MAX_OPEN: Final = 1_000  # "<" without a ">": the parser looks for it to the end, from each
_HEADINGS: Final = {f"h{level}": "#" * level for level in range(1, 7)}
_BLANK: Final = re.compile(r"\s+")
_GAP: Final = re.compile(r"\n\s*\n\s*")
# The package need not be installed, only importable from where this one is.
_CHILD: Final = (
    f"import sys; sys.path.insert(0, {str(Path(bat_os.__file__).parent.parent)!r}); "
    "from bat_os.documents.extract import main; sys.exit(main(sys.argv[1:]))"
)


@dataclass(frozen=True, slots=True)
class Extract:
    """What a file says."""

    title: str  # from its own description; often ""
    text: str  # plain text of a PDF, Markdown of a page
    pages: int = 0  # of a PDF; 0 for HTML
    links: tuple[tuple[str, str], ...] = ()  # of the form "page": where they lead, and their words


def extract(data: bytes, form: str, name: str, *, seconds: float = SECONDS) -> Extract:
    """Return the text of a file; blocks until the child has read it.

    Args:
        data: What is in it; UTF-8 if it is HTML.
        form: ``pdf``; ``html``, all that a file says; or ``page``: the main part of a page of the
            web alone, and its links.
        name: How errors call it.
        seconds: How long that may take.

    Raises:
        ArgumentsError: It is encrypted, scanned (it holds pictures of text), damaged, holds
            no text, or takes more time or memory than a document may.
        ResourceError: pypdf is not installed.
    """
    command = [sys.executable, "-I", "-c", _CHILD, form]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            command, capture_output=True, timeout=seconds, check=False, input=data
        )
    except subprocess.TimeoutExpired as error:
        text = f"{name}: reading it took more than {seconds:g} s; save it in a simpler form"
        raise ArgumentsError(text) from error
    try:
        answer = json.loads(done.stdout)
        problem, kind = str(answer.get("problem", "")), str(answer.get("kind", ""))
        title, text = str(answer.get("title", "")), str(answer.get("text", ""))
        links = tuple((str(where), str(said)) for where, said in answer.get("links", ()))
        extracted = Extract(title, text, int(answer.get("pages", 0)), links)
    except (ValueError, AttributeError, TypeError) as error:
        raise ArgumentsError(
            f"{name}: reading it needs too much memory or time, or it is damaged "
            f"(status {done.returncode})"
        ) from error
    if kind == "missing":
        raise ResourceError(problem)
    if problem:
        raise ArgumentsError(f"{name}: {problem}")
    return extracted


def main(argv: list[str]) -> int:
    """Write the text of standard input, a file of the form ``argv[0]``, as JSON."""
    _limit()
    logging.disable(logging.CRITICAL)  # pypdf logs every oddity
    with contextlib.redirect_stdout(sys.stderr):
        answer = _extract(argv[0], sys.stdin.buffer.read())
    sys.stdout.write(json.dumps(answer))
    return 0


def _extract(form: str, data: bytes) -> dict[str, Any]:
    try:
        if form == "page":
            return _read_site(data)
        return _read_page(data) if form == "html" else _read_pdf(data)
    except ImportError:
        return {"problem": _NO_PYPDF, "kind": "missing"}
    except MemoryError:
        return {"problem": "reading it needs more than a gigabyte of memory"}
    except Exception as error:  # noqa: BLE001 - foreign code on hostile bytes; the child's only job
        reason = "".join(str(error).splitlines()[:1]) or "no reason is given"
        return {"problem": f"it cannot be read as {form.upper()} ({reason[:200]})"}


def _refuse_endless(text: str) -> None:
    """Refuse what the parser would need minutes for.

    Raises:
        ValueError: It has too many tags, or too many that never end.
    """
    tags = text.count("<")
    if tags > MAX_TAGS:
        raise ValueError(f"it has {tags:,} tags; at most {MAX_TAGS:,}")
    if tags - text.count(">") > MAX_OPEN:
        raise ValueError(f"{tags - text.count('>'):,} of its tags never end")


def _read_page(data: bytes) -> dict[str, Any]:
    page = data.decode("utf-8", "replace")
    _refuse_endless(page)
    title, text = read_html(page)
    if not text:
        return {"problem": "there is no text in this page"}
    return {"title": title, "text": text}


def _read_site(data: bytes) -> dict[str, Any]:
    page, reader = data.decode("utf-8", "replace"), _Reader()
    _refuse_endless(page)
    reader.feed(page)
    reader.close()
    title = _BLANK.sub(" ", "".join(reader.title)).strip()
    links = [(where, _BLANK.sub(" ", "".join(said)).strip()[:500]) for where, said in reader.links]
    return {"title": title, "text": reader.main_text(), "links": links}


def _read_pdf(data: bytes) -> dict[str, Any]:
    # Only the child needs it, and only for PDF.
    import pypdf

    reader = pypdf.PdfReader(io.BytesIO(data))
    # Many PDFs are encrypted with an empty password, only to forbid printing.
    if reader.is_encrypted and not reader.decrypt(""):
        return {"problem": "it is encrypted; save a copy without a password"}
    if len(reader.pages) > MAX_PAGES:
        return {"problem": f"it has {len(reader.pages)} pages; at most {MAX_PAGES}"}
    pages, total = [], 0
    for page in reader.pages:
        text = page.extract_text() or ""
        total += len(text)
        if total > MAX_TEXT:
            return {"problem": f"it holds more than {MAX_TEXT} characters"}
        pages.append(text.encode("utf-8", "replace").decode("utf-8"))
    text = "\n\n".join(pages)
    if not text.strip():
        return {"problem": "it holds pictures of text only (a scan); run OCR on it first"}
    described: Any = reader.metadata or {}
    title = str(described.get("/Title") or "").strip()
    return {"title": title, "text": text, "pages": len(pages)}


def _limit() -> None:
    try:
        import resource  # Unix only
    except ImportError:
        return
    for limit, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, SECONDS),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(limit, (most, most))


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
        self.links: list[tuple[str, list[str]]] = []
        self._in_link = False
        self._mains: list[int] = []  # where the main parts begin and end, among the texts
        self._depth = 0  # of main parts in one another

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin an element."""
        if tag == "a" and len(self.links) < _MAX_LINKS:
            where = next((value for name, value in attrs if name == "href" and value), "")
            self._in_link = bool(where)
            self.links += [(where[:2_000].strip(), [])] if where else []
        if tag in _MAIN:
            self._mains += [] if self._depth else [len(self.text)]
            self._depth += 1
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
        if tag == "a":
            self._in_link = False
        if tag in _MAIN and self._depth:
            self._depth -= 1
            self._mains += [] if self._depth else [len(self.text)]
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
        if self._in_link:
            self.links[-1][1].append(data)
        if self._in_title:
            self.title.append(data)
        elif not self._dropped:
            self.text.append(data if self._code else _BLANK.sub(" ", data))

    def main_text(self) -> str:
        """Return the Markdown of the main part, or of all if the page marks none."""
        ends = [*self._mains, len(self.text)]
        pairs = zip(ends[::2], ends[1::2], strict=False)
        main = _tidy("".join(text for start, end in pairs for text in self.text[start:end]))
        return main if len(main) >= _MIN_MAIN else _tidy("".join(self.text))


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
    return _BLANK.sub(" ", "".join(reader.title)).strip(), _tidy("".join(reader.text))


def _tidy(text: str) -> str:
    parts = re.split(r"(```\n.*?\n```)", text, flags=re.DOTALL)
    # Blank lines within code are its own.
    for place in range(0, len(parts), 2):
        lines = "\n".join(line.strip() for line in parts[place].split("\n"))
        parts[place] = _GAP.sub("\n\n", lines)
    return "".join(parts).strip()
