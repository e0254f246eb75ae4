"""Sentences about files that are watched: a path, what happens to it, and what is to be done then.

    "when a PDF appears in ~/in, count its words"   Watching("do", path, ("appear",), "*.pdf", ...)
    "tell me when ~/notes/todo.md changes"          Watching("tell", path, ("change", ...))
    "what do you watch?"                            Watching("list")

What is to be done is a sentence for each file: ``steps_of`` puts the file in the place of "it".
What people say is data, ``languages/watching.toml``. Pure.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bat_os.sentence.reading import Sentence
    from bat_os.sentence.values import Value

MAX_CHARS: Final = 1_000  # of such a sentence
MAX_STEPS: Final = 5
SHORT: Final = 8  # words of a sentence that names no path
ALL: Final = ("appear", "change", "go")
EVENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "in_appear": ("appear",), "in_change": ("change",), "in_go": ("go",),
    "of_appear": ("appear",), "of_change": ALL, "of_go": ("go",),
}  # fmt: skip
NAME: Final = "(name of the file)"  # stands for it in a step
_ACTS: Final = ("stop", "list", "learn", "watch")
_RULE: Final = re.compile(r"(?<!\?P)<(\w+)>")
_EDGES: Final = " \t\r\n,;:.!?\u00a1\u00bf"
_ASKS: Final = re.compile(r"\?\s*\Z")


@dataclass(frozen=True, slots=True)
class Watching:
    """What a sentence wants of a watch."""

    act: str  # tell, remind, do, learn, stop, list; "" where only an event is said
    path: Value | None = None  # what is watched
    on: tuple[str, ...] = ALL
    pattern: str = ""  # names of the files that count: "*.pdf"; "" for all
    words: str = ""  # of the reminder, or what is to be done
    language: str = "en"


def read_watching(sentence: Sentence) -> Watching | None:
    """Return what a sentence wants of a watch; None if it wants nothing of the kind."""
    text = sentence.text
    paths = [value for value in sentence.values if _is_path(value)]
    if len(text) > MAX_CHARS or not (paths or len(text.split()) <= SHORT):
        return None
    for language in _languages(sentence.language):
        for at in range(max(1, len(paths))):
            masked, places = _mask(text, paths[at : at + 1])
            if (found := _read(masked, language)) is None:
                continue
            wish, span, has_path = found
            path = paths[at] if paths and has_path else None
            return replace(wish, path=path, words=_in_text(text, places, span), language=language)
    return None


def read_event(sentence: Sentence) -> Watching | None:
    """Return the event of "when a file appears in ~/inbox", if a text says nothing else."""
    paths = [value for value in sentence.values if _is_path(value)]
    if len(paths) != 1 or len(sentence.text) > MAX_CHARS:
        return None
    said = _plain(_mask(sentence.text, paths)[0]).strip(_EDGES)
    for language in _languages(sentence.language):
        for on, pattern in _events(language):
            if match := pattern.fullmatch(said):
                return Watching("", paths[0], on, _pattern_of(match), language=language)
    return None


def _is_path(value: Value) -> bool:
    """Return whether a value names a file or folder; one with blanks is quoted."""
    quoted = value.kind == "text" and str(value.value).startswith(("~/", "/"))
    return value.kind == "path" or quoted


def _languages(first: str) -> list[str]:
    """Return the languages, that of the sentence first: a few words may be of another one."""
    known = [name for name in _all() if name != "types"]
    return sorted(known, key=lambda name: (name != first, name))


def _read(masked: str, language: str) -> tuple[Watching, tuple[int, int], bool] | None:
    """Return the wish, where its words stand in the masked text, and whether it has the path."""
    plain = _plain(masked)
    start = len(plain) - len(plain.lstrip(_EDGES))
    said = plain[start:].rstrip(_EDGES)
    for act in _ACTS:
        for pattern in _patterns(language, act):
            if pattern.fullmatch(said):
                has_path = "\0" in said
                if act == "watch":
                    return Watching("tell"), (0, 0), has_path
                return Watching(act), (0, 0), has_path
    data = _data(language)
    for on, pattern in _events(language) if "\0" in said else ():
        for match in pattern.finditer(said):
            before, after = said[: match.start()].rstrip(_EDGES), said[match.end() :]
            if before and (after.strip(_EDGES) or _ASKS.search(plain)):
                continue
            behind = start + match.end() + len(after) - len(after.lstrip(_EDGES))
            span = (start, start + len(before)) if before else (behind, start + len(said))
            then = re.match(data["then"], plain[span[0] : span[1]])
            span = (span[0] + (then.end() if then else 0), span[1])
            act, span = _act_of(plain, span, data)
            return Watching(act, on=on, pattern=_pattern_of(match)), span, True
    return None


def _act_of(
    plain: str, span: tuple[int, int], data: Mapping[str, Any]
) -> tuple[str, tuple[int, int]]:
    """Return what is to be done, and where the words for it stand."""
    words = plain[span[0] : span[1]]
    if not words or re.fullmatch(data["tell"], words):
        return "tell", (0, 0)
    if (match := re.match(rf"(?:{data['remind']}) ?", words)) is not None:
        return "remind", (span[0] + match.end(), span[1])
    return "do", span


def steps_of(words: str, file: str, language: str) -> list[str]:
    """Return what is to be done with a file as sentences, one after the other.

    >>> steps_of("count its lines and append that to ~/log.txt", "~/a.txt", "en")
    ['count the lines of ~/a.txt', 'append that to ~/log.txt']
    """
    data = _data(language)
    said = list(_split(words, data))[:MAX_STEPS]
    return [_with_file(each, file, data, first=at == 0) for at, each in enumerate(said)]


def speaks_of_file(words: str, language: str) -> bool:
    """Return whether something is to be done with each file by itself."""
    return steps_of(words, "\0", language) != steps_of(words, "\1", language)


def _split(words: str, data: Mapping[str, Any]) -> Iterator[str]:
    """Yield the orders of a sentence: it is parted before a verb that orders something."""
    plain, at = _plain(words), 0
    for match in re.finditer(data["parts"], plain):
        behind, is_free = plain[match.end() :], not _is_quoted(plain, match.start())
        if is_free and match.start() > at and re.match(rf"(?:{data['orders']})\b", behind):
            yield words[at : match.start()].strip(_EDGES)
            at = match.end()
    yield words[at:].strip(_EDGES)


def _is_quoted(plain: str, at: int) -> bool:
    """Return whether a place of a text stands between quotation marks."""
    before = plain[:at]
    return bool(before.count('"') % 2 or len(re.findall(r"(?<!\w)'|'(?!\w)", before)) % 2)


def _with_file(step: str, file: str, data: Mapping[str, Any], *, first: bool) -> str:
    """Return an order with the file in the place of the words for it."""
    plain = _plain(step)
    if not first and re.search(data["that"], plain):
        return step  # what the order before has answered
    if match := re.search(data["name"], plain):
        return f'{step[: match.start()]}"{NAME}"{step[match.end() :]}'
    if match := re.search(data["its"], plain):
        what = step[match.start("what") : match.end("what")].strip()
        said = data["of_its"].format(what=what, file=file)
        rest = step[match.end() :].lstrip()
        return f"{step[: match.start()]}{said}{' ' if rest else ''}{rest}"
    if (match := re.search(data["it"], plain)) and not _is_quoted(plain, match.start()):
        return f"{step[: match.start()]}{file}{step[match.end() :]}"
    return step


def _mask(text: str, paths: Sequence[Value]) -> tuple[str, list[int]]:
    """Return a text with a mark for each path, and where each of its characters stands."""
    masked, places, at = "", list[int](), 0
    for value in paths:
        masked += text[at : value.start] + "\0"
        places += [*range(at, value.start), value.start]
        at = value.end
    return masked + text[at:], [*places, *range(at, len(text) + 1)]


def _in_text(text: str, places: Sequence[int], span: tuple[int, int]) -> str:
    start, end = (places[min(at, len(places) - 1)] for at in span)
    return text[start:end].strip(_EDGES)


def _plain(text: str) -> str:
    """Return a text in lower case and without accents, each character in its place."""
    low = (unicodedata.normalize("NFKD", char)[:1].lower() or char for char in text)
    return "".join(low).replace("\u2019", "'")


def _pattern_of(match: re.Match[str]) -> str:
    """Return the names of the files that an event is about; "" for all."""
    known = match.groupdict()
    said = known.get("type") or known.get("type2") or ""
    types: Mapping[str, str] = _all()["types"]
    return next((names for word, names in types.items() if re.fullmatch(word, said)), "")


def _data(language: str) -> Mapping[str, Any]:
    known = _all()
    found: Mapping[str, Any] = known.get(language) or known["en"]
    return found


@cache
def _all() -> Mapping[str, Any]:
    file = resources.files("bat_os.sentence") / "languages" / "watching.toml"
    data = tomllib.loads(file.read_text(encoding="utf-8"))
    types = "|".join(data["types"])
    for language in data.keys() - {"types"}:
        own = data[language]
        own["it"] = own["it"].replace("{types}", types)
        own["types"] = types
    return data


@cache
def _patterns(language: str, name: str) -> tuple[re.Pattern[str], ...]:
    """Return the expressions of one name, with what they refer to written out."""
    data = _data(language)

    def written_out(text: str) -> str:
        while (match := _RULE.search(text)) is not None:
            text = f"{text[: match.start()]}(?:{data[match[1]]}){text[match.end() :]}"
        return text.replace("{types}", data["types"]).replace("{0}", "\0")

    return tuple(re.compile(written_out(each)) for each in data[name])


@cache
def _events(language: str) -> tuple[tuple[tuple[str, ...], re.Pattern[str]], ...]:
    return tuple((on, each) for name, on in EVENTS.items() for each in _patterns(language, name))
