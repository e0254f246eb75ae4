"""Texts of commands and errors in the language of a person, from gettext catalogs.

    read_wording("de").translate("no object named 'ann'")
    -> "kein Objekt heißt 'ann'"

The code writes English, with its values in it: so errors cross the wire, so logs and ``--json``
have them. A catalog, ``languages/wording.<code>.po``, has the templates, ``no object named
{name}``, which ``deploy/words.py`` takes out of the code. Here the template of a text is found
again, by everything in it that is not a value. What has none is shown in English.

    {name}      a value: it is put into the translation unchanged
    {error_}    a text of ours: it is translated too

A program never decides anything by what is found here.
"""

from __future__ import annotations

import functools
import re
import string
from gettext import c2py
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

LANGUAGES: Final = Path(__file__).with_name("languages")
SOURCE: Final = "en"
LEAST: Final = 4  # letters of ours in a text with values; with fewer it could be any text
LONGEST: Final = 4_000  # characters of a text that is looked up; longer ones are data
EDGES: Final = " \n\t;,"  # around a text that is part of a line
DEEPEST: Final = 4  # texts within texts
# One message of a catalog: its flags, what is said, its plural, and its translations.
_MESSAGE: Final = re.compile(
    r"^(#,.*\n)?"
    r'msgid ((?:"[^\n]*"\n)+)'
    r'(?:msgid_plural ((?:"[^\n]*"\n)+))?'
    r'((?:msgstr(?:\[\d\])? (?:"[^\n]*"\n?)+)+)',
    re.MULTILINE,
)
_FORM: Final = re.compile(r"^msgstr(?:\[\d\])? ", re.MULTILINE)
_QUOTED: Final = re.compile(r'^"(.*)"$', re.MULTILINE)
_ESCAPE: Final = re.compile(r'\\([nt"\\])')
_ESCAPES: Final = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}
_PLURAL: Final = re.compile(r"plural=([^;\n]+)")
_FIRST: Final = re.compile(r"[^\s{}]+(?=\s)")
_NUMBER: Final = re.compile(r"\d+")
_LETTER: Final = re.compile(r"[^\W\d_]")
_FORMATTER: Final = string.Formatter()


class _Template:
    """One message with values: what the code says, and what a person reads, by plural form."""

    def __init__(self, said: str, forms: Sequence[str]) -> None:
        self.forms = forms
        self._names = [name for _, name in split(said) if name is not None]
        self._literals = [text for text, _ in split(said)]
        made = [re.escape(text) + "(.*?)" * (name is not None) for text, name in split(said)]
        self._made = "".join(made)

    @functools.cached_property
    def weight(self) -> int:
        """How many characters are ours: the template with most of them is the right one."""
        return sum(map(len, self._literals))

    @functools.cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(self._made, re.DOTALL)

    def match(self, text: str) -> dict[str, str] | None:
        """Return the values in a text, by their names; None if it was not made from this."""
        if not all(literal in text for literal in self._literals):
            return None
        found = self._pattern.fullmatch(text)
        return None if found is None else dict(zip(self._names, found.groups(), strict=True))


def split(template: str) -> list[tuple[str, str | None]]:
    """Return the parts of a template: a text, and the name of the value that follows.

    >>> split("no object {name}")
    [('no object ', 'name')]
    """
    return [(text, name) for text, name, _, _ in _FORMATTER.parse(template)]


def is_findable(template: str) -> bool:
    """Return whether the template of a text can be found again.

    >>> is_findable("erased"), is_findable("no object {name}"), is_findable("to {name}")
    (True, True, False)
    """
    parts = split(template)
    has_values = any(name is not None for _, name in parts)
    letters = sum(len(_LETTER.findall(text)) for text, _ in parts)
    return letters >= LEAST if has_values else letters > 1


class Wording:
    """The texts of one language.

    Args:
        catalog: What each message says in the language, by plural form.
        plural: Which form a number takes.
    """

    def __init__(
        self, catalog: Iterable[tuple[tuple[str, ...], Sequence[str]]], plural: Callable[[int], int]
    ) -> None:
        """Sort the messages by the word with which they begin; what a text needs is made then."""
        self._plural = plural
        self._whole: dict[str, str] = {}
        self._raw: dict[str, list[tuple[str, Sequence[str]]]] = {}
        self._made: dict[str, list[_Template]] = {}
        for said, forms in catalog:
            for text in said:
                if "{" not in text.replace("{{", ""):
                    self._whole[text.replace("{{", "{").replace("}}", "}")] = forms[0]
                elif is_findable(text):
                    first = _FIRST.match(text)
                    self._raw.setdefault(first[0] if first else "", []).append((text, forms))

    def translate(self, text: str) -> str:
        """Return what a person reads for a text of ours; one that is unknown unchanged."""
        return self._say(text, DEEPEST)

    def _say(self, text: str, depth: int) -> str:
        bare = text.strip(EDGES)
        if not bare or len(text) > LONGEST:
            return text
        begins = bare.partition("\n")[0].strip(EDGES)
        by_line = begins != bare and begins in self._whole  # else a template could span the lines
        said = None if by_line else self._find(bare, depth)
        if said is None and "\n" in bare:
            said = "\n".join(self._say(line, depth) for line in bare.split("\n"))
        elif said is None and "; " in bare:  # two texts, one after the other
            said = "; ".join(self._say(each, depth) for each in bare.split("; "))
        elif said is None and ": " in bare:  # what it is about, and a text
            about, _, rest = bare.partition(": ")
            said = f"{about}: {self._find(rest, depth) or rest}"
        return text.replace(bare, said, 1) if said is not None else text

    def _find(self, text: str, depth: int) -> str | None:
        if (whole := self._whole.get(text)) is not None:
            return whole.replace("{{", "{").replace("}}", "}")
        if not self._raw or not depth:
            return None
        first = _FIRST.match(text)
        near = [*(self._templates(first[0]) if first else ()), *self._templates("")]
        for template in sorted(near, key=lambda each: -each.weight):
            if (values := template.match(text)) is not None and (
                len(template.forms) == 1 or any(map(_NUMBER.fullmatch, values.values()))
            ):
                return self._fill(template, values, depth - 1)
        return None

    def _templates(self, first: str) -> list[_Template]:
        """Return the templates that begin with a word, or with a value."""
        if first not in self._made and first in self._raw:
            self._made[first] = [_Template(said, forms) for said, forms in self._raw[first]]
        return self._made.get(first, [])

    def _fill(self, template: _Template, values: Mapping[str, str], depth: int) -> str:
        form = 0
        if len(template.forms) > 1:
            count = next(int(each) for each in values.values() if _NUMBER.fullmatch(each))
            form = min(self._plural(count), len(template.forms) - 1)
        known = {
            name: self._say(value, depth) if name.endswith("_") else value
            for name, value in values.items()
        }
        return template.forms[form].format_map(known)


def find_file(language: str, folder: Path | None = None) -> Path | None:
    """Return the catalog of a language: one in ``folder`` counts more than the program's."""
    if not re.fullmatch(r"[a-z]{2,3}", language):
        return None
    files = [place / f"wording.{language}.po" for place in (folder, LANGUAGES) if place]
    return next((file for file in files if file.is_file()), None)


@functools.cache
def read_wording(language: str, folder: Path | None = None) -> Wording:
    """Return the texts of a language, of the program or of a file in ``folder``; else English."""
    found = find_file(language, folder)
    if found is None:
        return Wording((), lambda _: 0)
    text = found.read_text(encoding="utf-8")
    plural = _PLURAL.search(text)
    return Wording(read_catalog(text), c2py(plural[1] if plural else "n != 1"))


def read_catalog(text: str) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    r"""Yield the messages of a catalog that are translated, from its text, as gettext reads it.

    >>> list(read_catalog('msgid "yes"\nmsgstr "ja"\n'))
    [(('yes',), ['ja'])]
    """
    for flags, said, plural, forms in _MESSAGE.findall(text):
        read = [_read_string(form) for form in _FORM.split(forms)[1:]]
        if all(read) and said != '""\n' and "fuzzy" not in flags:
            yield tuple(_read_string(each) for each in (said, plural) if each), read


def _read_string(quoted: str) -> str:
    text = "".join(_QUOTED.findall(quoted))
    return _ESCAPE.sub(lambda found: _ESCAPES[found[1]], text) if "\\" in text else text
