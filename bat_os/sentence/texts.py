"""What is said to a person: texts as data, one file per language.

    text("en", "lists.added", items=["milk", "eggs"], list="shopping")
    -> "I added milk and eggs to the shopping list."

``languages/texts.<code>.toml`` has a text for each key, or one for each plural form, chosen by
``count``. A number is written as the language writes it, a date in its own words, a list with its
"and". A language without a file, or without a key, falls back to English.
"""

from __future__ import annotations

import datetime
import functools
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.sentence.wording import read_wording

if TYPE_CHECKING:
    from collections.abc import Mapping

LANGUAGES: Final = Path(__file__).with_name("languages")
_FALLBACK: Final = "en"
_SLOT: Final = re.compile(r"\{(\w+)\}")
_EXACT: Final = 15  # digits that a float holds
_SHOWN: Final = 10  # of a fraction, unless its whole part has more


def text(language: str, key: str, **values: Any) -> str:
    """Return the text of ``key`` in a language, its slots filled.

    >>> text("en", "lists.added", items=["milk", "eggs"], list="shopping")
    'I added milk and eggs to the shopping list.'

    Raises:
        KeyError: English has no such key, or a slot has no value.
    """
    known = read_texts(language)
    if key not in known["text"]:
        language, known = _FALLBACK, read_texts(_FALLBACK)
    wording = known["text"][key]
    if isinstance(wording, dict):
        wording = wording["one" if values["count"] in known["one"] else "many"]
    if "error" in values:  # said in English, as errors are
        values["error"] = read_wording(language).translate(str(values["error"]))
    return _SLOT.sub(lambda found: say_value(language, values[found[1]]), wording)


def say_value(language: str, value: Any) -> str:
    """Return plain data as the language writes it; a text is left as it is.

    >>> say_value("en", 1234567.5), say_value("en", datetime.date(2026, 5, 3))
    ('1,234,567.5', '3 May 2026')
    """
    known = read_texts(language)
    if value is None or isinstance(value, bool):
        return str(known["words"][str(value).lower()])
    if isinstance(value, int | float):
        return _say_number(known["number"], value)
    if isinstance(value, datetime.date | datetime.datetime):
        return _say_date(known["date"], value)
    if isinstance(value, list | tuple):
        return _say_list(language, known["words"], [say_value(language, each) for each in value])
    return str(value)


def _say_number(form: Mapping[str, str], value: float) -> str:
    """Return a number with the marks of the language; a year-like one without groups."""
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 10**_EXACT:
            value = int(value)
        elif not 1e-6 <= abs(value) < 10**_EXACT:
            return str(value).replace(".", form["decimal"])
    grouped = abs(value) >= 10_000 or (abs(value) >= 1_000 and isinstance(value, float))
    if isinstance(value, int):
        said = f"{value:,}" if grouped and value.bit_length() < 1_000 else str(value)
    else:
        whole, _, part = f"{value:.{_SHOWN if abs(value) < 10**8 else _EXACT}g}".partition(".")
        said = f"{int(whole):,}" if grouped else whole
        said += f".{part}" if part else ""
    marks = str.maketrans({",": form["group"], ".": form["decimal"]})
    return said.translate(marks)


def _say_date(form: Mapping[str, Any], value: datetime.date) -> str:
    said = form["day"].format(day=value.day, month=form["months"][value.month - 1], year=value.year)
    if isinstance(value, datetime.datetime):
        said += form["time"].format(hour=value.hour, minute=value.minute)
    return str(said)


def _say_list(language: str, words: Mapping[str, str], said: list[str]) -> str:
    if len(said) < 2:
        return "".join(said)
    last = said[-1]
    joiner = words["and"]
    if language == "es" and re.match(r"h?i(?![ae])", last, re.IGNORECASE):
        joiner = "e"
    return f"{', '.join(said[:-1])} {joiner} {last}"


@functools.cache
def read_texts(language: str) -> Mapping[str, Any]:
    """Return the texts and the forms of numbers and dates of a language, or the English ones."""
    file = LANGUAGES / f"texts.{language}.toml"
    if not re.fullmatch(r"[a-z]{2,3}", language) or not file.is_file():
        return read_texts(_FALLBACK)
    data = tomllib.loads(file.read_text(encoding="utf-8"))
    data["text"] = {
        f"{theme}.{key}": wording
        for theme, keys in data["text"].items()
        for key, wording in keys.items()
    }
    return data
