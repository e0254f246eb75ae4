"""What the library holds: its objects, the seeds that become their methods, and the parameters.

    SHELF["money_obj"]                           its line for people, and its files of seeds
    parameters_of("money_obj")["split_bill"]     (Parameter("a", "number"), ...)

The trusted functions of ``bat_os/natives`` come first: a seed of the same name is an example for
writers only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.method.seeds import parse_seeds
from bat_os.natives.table import NATIVES, signature_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.method.seeds import Seed

# Objects of the library: what each is about, and the files of seeds that become its methods. The
# seeds that keep something in slots (memory*.toml) are shown to writers only: which object keeps
# what is a person's choice.
SHELF: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "calendar_obj": (NATIVES["calendar_obj"].about, ("dates",)),
    "check_obj": ("yes or no: whether a text or a number is of a kind", ("checks",)),
    "code_obj": ("ciphers, encodings and check digits", ("codes",)),
    "drawing_obj": ("pictures made of characters", ("drawing",)),
    "game_obj": ("small games and puzzles", ("games",)),
    "geometry_obj": ("lengths, areas and volumes", ("geometry",)),
    "health_obj": ("body mass, calories, pulse and other figures of the body", ("health",)),
    "kitchen_obj": ("amounts and times of cooking", ("kitchen",)),
    "list_obj": ("sorting, searching and changing lists", ("algorithms", "lists")),
    "money_obj": ("interest, tips, taxes and shares; no exchange rates", ("money",)),
    "number_obj": (NATIVES["number_obj"].about, ("numbers",)),
    "physics_obj": ("force, energy, electricity, falling and waves", ("physics",)),
    "random_obj": (NATIVES["random_obj"].about, ("chance",)),
    "statistics_obj": (NATIVES["statistics_obj"].about, ("statistics",)),
    "table_obj": ("maps, and lists of maps", ("dictionaries", "tables")),
    "text_obj": (
        "counting, changing and formatting text",
        ("formats", "formatting", "text", "words"),
    ),
    "travel_obj": ("speed, time and distance; fuel and its cost", ("travel",)),
    "units_obj": (NATIVES["units_obj"].about, ("units",)),
}
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIME: Final = re.compile(r"\d{1,2}:\d{2}")
# How a trusted function annotates a parameter -> the kind of value of a sentence.
_ANNOTATED: Final[Mapping[str, str]] = {
    "Date": "date", "Number": "number", "Time": "time", "float": "number", "int": "number",
    "int | None": "number", "int | str": "text", "int | str | None": "text", "list[Any]": "list",
    "str": "text",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a method takes."""

    name: str
    kind: str  # of bat_os/sentence/reading.py, as far as examples or annotations say
    required: bool = True


def seeds_of(name: str) -> tuple[Seed, ...]:
    """Return the seeds in the files of an object."""
    folder = resources.files("bat_os") / "seeds"
    _, files = SHELF.get(name, ("", ()))
    return tuple(
        seed
        for file in files
        for seed in parse_seeds((folder / f"{file}.toml").read_text(encoding="utf-8"))
    )


@cache
def parameters_of(name: str) -> Mapping[str, tuple[Parameter, ...]]:
    """Return the parameters of every method of an object, in the order of its signature."""
    found = {seed.selector: _of_seed(seed) for seed in seeds_of(name)}
    if name in NATIVES:
        found |= {each: _of_native(f"{name}.{each}") for each in NATIVES[name].selectors}
    return MappingProxyType(found)


def _of_native(name: str) -> tuple[Parameter, ...]:
    return tuple(
        Parameter(
            each.name, _ANNOTATED.get(str(each.annotation), "text"), each.default is each.empty
        )
        for each in signature_of(name).parameters.values()
    )


def _of_seed(seed: Seed) -> tuple[Parameter, ...]:
    example = seed.examples[0]
    given = dict(zip(seed.params, example.args, strict=False)) | example.kwargs
    return tuple(Parameter(name, kind_of(given.get(name))) for name in seed.params)


def kind_of(value: Any) -> str:
    """Return the kind of a sentence's value that fills a parameter, from an example of it.

    >>> [kind_of(value) for value in (2.5, "2024-05-03", "14:30", "a", [1], {"a": 1})]
    ['number', 'date', 'time', 'text', 'list', 'map']
    """
    if isinstance(value, str):
        return "date" if _DATE.fullmatch(value) else "time" if _TIME.fullmatch(value) else "text"
    kinds: tuple[tuple[tuple[type, ...], str], ...] = (
        ((int, float), "number"),
        ((list, tuple), "list"),
        ((dict,), "map"),
    )
    return next((kind for types, kind in kinds if isinstance(value, types)), "text")
