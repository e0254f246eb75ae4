"""Files and folders to documents: what ``learn`` sends to the catalog.

    read_all(path) > walk > read_file > Document, or Skipped with the reason

Nothing that a file holds can raise anything but a coded error, and one bad file does not end
a folder. Text of any encoding is read: UTF-8, UTF-16 by its mark, else Latin-1.
"""

from __future__ import annotations

import codecs
import fnmatch
import os
import sys
from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass, field
from itertools import accumulate, chain
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final

from bat_os.documents.chunking import PAIRS, read_pairs
from bat_os.documents.extract import extract
from bat_os.errors import ArgumentsError, BatError, NotFoundError, TooLargeError
from bat_os.method.text import words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MAX_BYTES: Final = 10_000_000
MAX_FILES: Final = 100_000
LINED_CHARS: Final = 2_000_000  # of a text whose lines are kept
STDIN: Final = "-"
# Folders that hold what others made; hidden ones are left out anyway.
IGNORED_FOLDERS: Final = words(
    "node_modules __pycache__ venv env site-packages dist build target vendor htmlcov"
)
IGNORED_FILES: Final = ("*.min.js", "*.min.css", "*.lock", "package-lock.json", "*.map")
LANGUAGES: Final = {
    ".py": "python", ".pyi": "python", ".js": "javascript", ".mjs": "javascript",
    ".jsx": "javascript", ".ts": "typescript", ".tsx": "typescript", ".c": "c", ".h": "c",
    ".cc": "c++", ".cpp": "c++", ".hpp": "c++", ".cs": "c#", ".java": "java",
    ".kt": "kotlin", ".swift": "swift", ".go": "go", ".rs": "rust", ".rb": "ruby",
    ".php": "php", ".pl": "perl", ".lua": "lua", ".r": "r", ".jl": "julia", ".hs": "haskell",
    ".ml": "ocaml", ".scala": "scala", ".clj": "clojure", ".el": "lisp", ".lisp": "lisp",
    ".scm": "scheme", ".erl": "erlang", ".ex": "elixir", ".self": "self", ".st": "smalltalk",
    ".sh": "shell", ".bash": "shell", ".bat": "batch", ".ps1": "powershell", ".sql": "sql",
    ".css": "css", ".toml": "toml", ".yaml": "yaml", ".yml": "yaml", ".json": "json",
    ".xml": "xml", ".ini": "ini", ".cfg": "ini", ".proto": "protobuf", ".zig": "zig",
}  # fmt: skip
_MARKDOWN: Final = frozenset({".md", ".markdown", ".mdown"})
_HTML: Final = frozenset({".html", ".htm", ".xhtml"})
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_HEAD: Final = 8_192


@dataclass(frozen=True, slots=True)
class Document:
    """A text to learn."""

    title: str  # for people
    text: str  # all of it; Markdown where the file had headings
    # the file's path from the root on, so that a file is the same one from every folder; "" for
    # standard input, where each text is a document of its own
    source: str
    kind: str = "document"  # of the catalog's kinds; always ``document`` here
    # ``form`` (``text``, ``markdown``, ``code``, ``pairs``), ``format`` (what the file was), and
    # ``language`` of code or ``pages`` of a PDF
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that was not read, or ``count`` files of a folder, and why."""

    source: str
    reason: str
    count: int = 1


def read_all(path: str | Path) -> Iterator[Document | Skipped]:
    """Yield what a file, a folder or standard input (``-``) holds, one file after the other.

    A single file that cannot be read raises; in a folder it is ``Skipped``.

    Raises:
        NotFoundError: There is no such file or folder.
        ArgumentsError: The one file cannot be read; the message says why.
        TooLargeError: It is too large.
    """
    if str(path) == STDIN:
        yield read_stdin()
        return
    place = resolve(path)
    if not place.is_dir():
        yield from read_file(place)
        return
    for item in walk(place):
        if isinstance(item, Skipped):
            yield item
            continue
        try:
            yield from read_file(item)
        except BatError as error:
            yield Skipped(str(item), str(error))


def resolve(path: str | Path) -> Path:
    """Return a path from the root on, without ``..`` and links."""
    try:
        return Path(path).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle; a zero in it
        raise ArgumentsError(f"{str(path)[:200]!r} is not a path ({error})") from error


def read_file(path: Path) -> list[Document]:
    """Return the documents in a file; all formats of today give one."""
    try:
        if not path.is_file():
            gone = NotFoundError if not path.exists() else ArgumentsError
            raise gone(f"{path}: no such file")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise TooLargeError(f"{path}: {size / 1e6:.1f} MB; at most {MAX_BYTES / 1e6:.0f} MB")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ArgumentsError(f"{path}: it cannot be read ({reason})") from error
    return [read_bytes(data, str(path))]


def read_bytes(data: bytes, path: str) -> Document:
    """Return the document that the bytes of a file are.

    Raises:
        ArgumentsError: It cannot be learned as text.
    """
    if PurePath(path).suffix.lower() == ".pdf":
        extracted = extract(data, "pdf", path)
        meta = {"form": "text", "format": "pdf", "pages": extracted.pages}
        title = extracted.title or PurePath(path).name
        return Document(title, extracted.text, path, meta=meta)
    return _document(_decoded(data, path), PurePath(path))


def is_learned(path: str) -> bool:
    """Return whether a folder that is learned includes a file, by its relative path."""
    *folders, name = PurePath(path).parts or ("",)
    if any(_folder_reason(folder, ()) for folder in folders):
        return False
    return not name.startswith(".") and not _matches(name, IGNORED_FILES)


def read_stdin() -> Document:
    """Return what comes on standard input, as plain text or Markdown."""
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise TooLargeError(f"standard input: more than {MAX_BYTES / 1e6:.0f} MB")
    text = _decoded(data, "standard input")
    form = PAIRS if read_pairs(text) else "markdown"
    return Document(_first_line(text), text, "", meta={"form": form, "format": "text"})


def walk(folder: Path) -> Iterator[Path | Skipped]:
    """Yield the files of a folder to read, in order; at the end what was left out, by reason.

    Left out are hidden files and folders, IGNORED_FOLDERS, IGNORED_FILES, what a
    ``.gitignore`` on the way names (names and patterns without a slash inside), files that
    look binary, links to folders, and files over MAX_BYTES.
    """
    left_out: Counter[str] = Counter()
    count = 0
    patterns: dict[str, tuple[str, ...]] = {}
    for place, folders, files in os.walk(folder):
        above = patterns.get(os.path.dirname(place), ())  # noqa: PTH120 - os.walk's own text
        patterns[place] = (*above, *_gitignore(Path(place)))
        for name in list(folders):
            if reason := _folder_reason(name, patterns[place]):
                left_out[reason] += 1
                folders.remove(name)
        folders.sort()
        for name in sorted(files):
            path = Path(place) / name
            if reason := _file_reason(path, patterns[place]):
                left_out[reason] += 1
                continue
            count += 1
            if count > MAX_FILES:
                raise TooLargeError(f"{folder}: more than {MAX_FILES} files; learn its parts")
            yield path
    for reason, number in sorted(left_out.items()):
        yield Skipped(str(folder), reason, number)


def find_lines(text: str, passages: Sequence[str]) -> list[tuple[int, ...]]:
    """Return for each passage of a text where its lines begin; () for one that is not found.

    A passage has (offset, line, offset, line, ...): from that offset on, blanks not counted, it is
    from that line of the text, the first being 1.
    """
    if len(text) > LINED_CHARS:
        return [()] * len(passages)
    lines = ["".join(line.split()) for line in text.splitlines()]
    starts = [0, *accumulate(map(len, lines))]
    whole, cursor, found = "".join(lines), 0, list[tuple[int, ...]]()
    for passage in passages:
        bare = "".join(passage.split())
        at = whole.find(bare, cursor)
        if at < 0 or not bare:
            found.append(())
            continue
        cursor = at + len(bare)
        first, last = bisect_right(starts, at) - 1, bisect_left(starts, cursor)
        pairs = ((max(starts[n] - at, 0), n + 1) for n in range(first, last) if lines[n])
        found.append(tuple(chain.from_iterable(pairs)))
    return found


def line_of(lines: Sequence[int], passage: str, part: str) -> int:
    """Return the line on which a part of a passage begins, as ``find_lines`` has it; 0 if unknown.

    >>> line_of((0, 3, 5, 4), "first second", "second")
    4
    """
    bare = "".join(part.split())
    at = "".join(passage.split()).find(bare)
    return next((lines[n + 1] for n in range(len(lines) - 2, -1, -2) if 0 <= lines[n] <= at), 0)


def _document(text: str, path: PurePath) -> Document:
    suffix, source = path.suffix.lower(), str(path)
    if read_pairs(text):
        return Document(path.name, text, source, meta={"form": PAIRS, "format": "text"})
    if suffix in _HTML:
        extracted = extract(text.encode("utf-8", "replace"), "html", source)
        meta = {"form": "markdown", "format": "html"}
        return Document(extracted.title or path.name, extracted.text, source, meta=meta)
    if suffix in _MARKDOWN:
        meta = {"form": "markdown", "format": "markdown"}
        return Document(_heading(text) or path.name, text, source, meta=meta)
    if suffix in LANGUAGES or text.startswith("#!"):
        language = LANGUAGES.get(suffix, "shell")
        meta = {"form": "code", "format": "code", "language": language}
        return Document(path.name, text, source, meta=meta)
    return Document(path.name, text, source, meta={"form": "text", "format": "text"})


def _decoded(data: bytes, name: str) -> str:
    if not data.strip():
        raise ArgumentsError(f"{name}: it is empty")
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                return data.decode(encoding)
            except UnicodeDecodeError as error:
                raise ArgumentsError(f"{name}: it is not the {encoding} it says") from error
    if _is_binary(data[:_HEAD]):
        raise ArgumentsError(f"{name}: it is not text")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _is_binary(head: bytes) -> bool:
    """Return True for bytes that no text has: zeros, or many control characters."""
    if any(head.startswith(mark) for mark, _ in _MARKS):
        return False
    control = sum(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head)
    return b"\0" in head or control * 20 > len(head)


def _folder_reason(name: str, patterns: tuple[str, ...]) -> str:
    if name.startswith("."):
        return "hidden folders"
    if name in IGNORED_FOLDERS:
        return f"folders named {name}"
    return "named by .gitignore" if _matches(name, patterns) else ""


def _file_reason(path: Path, patterns: tuple[str, ...]) -> str:
    name = path.name
    if name.startswith("."):
        return "hidden files"
    if _matches(name, IGNORED_FILES):
        return "made by tools"
    if _matches(name, patterns):
        return "named by .gitignore"
    return _content_reason(path)


def _content_reason(path: Path) -> str:
    try:
        if not path.is_file():
            return "not regular files"
        if path.stat().st_size > MAX_BYTES:
            return f"larger than {MAX_BYTES / 1e6:.0f} MB"
        with path.open("rb") as stream:
            binary = path.suffix.lower() != ".pdf" and _is_binary(stream.read(_HEAD))
    except OSError:
        return "must not be read"
    return "not text" if binary else ""


def _gitignore(folder: Path) -> list[str]:
    try:
        lines = (folder / ".gitignore").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    names = [line.strip().removeprefix("/").rstrip("/") for line in lines.splitlines()]
    return [name for name in names if name and name[0] not in "#!" and "/" not in name]


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _heading(text: str) -> str:
    """Return the first Markdown heading of the first level, or ""."""
    lines = (line for line in text.splitlines()[:200] if line.startswith("# "))
    return next(lines, "").lstrip("# ").strip()


def _first_line(text: str) -> str:
    line = next(filter(str.strip, text.splitlines()), "").lstrip("# ").strip()
    return line[:80] or "standard input"
