"""The wordings of the library: how people ask for a method, per language.

    ["calculator_obj.percent_of"]
    takes = { percent = "percent" }
    say = ["what is {percent} of {number}", { say = "half of {number}", with = { percent = 50 } }]

A slot is named as the parameter that it fills, so the order of the words is free. ``takes`` says
the kind of value (``bat_os/sentence/reading.py``) where an example of the method does not; the
English file says it for all languages. An amount of money fills a slot of kind number: the
method gets no currency. A quantity is a number followed by its unit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

from bat_os.core.schema import Meta, Record, convert, field, read_toml
from bat_os.errors import ArgumentsError
from bat_os.method.shelf import parameters_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bat_os.method.shelf import Parameter

KINDS: Final = frozenset(
    {
        "expression", "number", "percent", "unit", "money", "date", "time", "text", "list", "map",
        "path", "address", "name",
    }
)  # fmt: skip
FIRST: Final = "en"  # the language whose files say what a slot takes
_SLOT: Final = re.compile(r"\{([a-z0-9_]+)\}")


@dataclass(frozen=True, slots=True)
class Wording:
    """One way to ask for a method."""

    target: str
    selector: str
    text: str  # lower case, without an end mark: "what is {percent} of {number}"
    slots: tuple[tuple[str, str], ...]  # parameter and kind, in the order of the text
    fixed: Mapping[str, Any]  # parameters that the words themselves give a value

    @property
    def masked(self) -> str:
        """The text with the kinds for the slots, as ``Sentence.masked`` is written."""
        kinds = dict(self.slots)
        return _SLOT.sub(lambda slot: f"{{{kinds[slot[1]]}}}", self.text)


class _Said(Record, frozen=True):
    say: str
    fixed: dict[str, Any] = field(default_factory=dict, name="with")


class _Entry(Record, frozen=True):
    say: Annotated[list[str | _Said], Meta(min_length=1)]
    takes: dict[str, str] = field(default_factory=dict)


@cache
def read_wordings(language: str) -> tuple[Wording, ...]:
    """Return the wordings of a language; none if the program has no file of it.

    Raises:
        ArgumentsError: A file is not as it should be, or names what the library does not have.
    """
    takes = {name: entry.takes for name, entry in _entries(FIRST)}
    found: list[Wording] = []
    for name, entry in _entries(language):
        target, _, selector = name.partition(".")
        parameters = parameters_of(target).get(selector)
        if parameters is None:
            _complain(name, "the library has no such method")
        kinds = {each.name: each.kind for each in parameters} | takes.get(name, {})
        if extra := [each for each in kinds.values() if each not in KINDS]:
            _complain(name, f"{extra[0]!r} is not a kind of value")
        for said in (_Said(each) if isinstance(each, str) else each for each in entry.say):
            slots = _SLOT.findall(said.say)
            _check(name, said, slots, parameters)
            typed = tuple((slot, kinds[slot]) for slot in slots)
            found.append(Wording(target, selector, said.say, typed, MappingProxyType(said.fixed)))
    return tuple(found)


def _entries(language: str) -> Iterator[tuple[str, _Entry]]:
    """Yield the methods in the files of a language; one may have entries in several files."""
    folders = (resources.files("bat_os") / "seeds" / "wordings").iterdir()
    folder = next((each for each in folders if each.name == language and each.is_dir()), None)
    for file in sorted(folder.iterdir(), key=lambda each: each.name) if folder else ():
        if not file.name.endswith(".toml"):
            continue
        where = f"wordings {language}/{file.name}"
        table = read_toml(file.read_text(encoding="utf-8"), ArgumentsError, where)
        yield from convert(table, dict[str, _Entry], ArgumentsError, where).items()


def _check(name: str, said: _Said, slots: list[str], parameters: tuple[Parameter, ...]) -> None:
    known = {each.name for each in parameters}
    needed = {each.name for each in parameters if each.required}
    filled = [*slots, *said.fixed]
    if unknown := sorted(set(filled) - known):
        _complain(name, f"{said.say!r} names {unknown[0]}, which is not a parameter")
    if missing := sorted(needed - set(filled)):
        _complain(name, f"{said.say!r} does not say {missing[0]}")
    if len(filled) > len(set(filled)):
        _complain(name, f"{said.say!r} fills a parameter twice")
    if set("{}") & set(_SLOT.sub("", said.say)):
        _complain(name, f"{said.say!r} has a brace that is not of a slot")


def _complain(name: str, what: str) -> NoReturn:
    raise ArgumentsError(f"wordings of {name}: {what}")
