"""Reads the text of ``bat_os/profiles.toml``: strict, by one table of rules per kind of table.

The text is hostile until it is read: every complaint is a SettingsError that names the line or
the key and says what it takes. What the values mean: ``bat_os.models.profiles``.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.limits import Limits
from bat_os.core.personas import PERSONAS
from bat_os.errors import SettingsError
from bat_os.models.profiles import (
    ENGINES,
    FALLBACK,
    FORMS,
    Assignment,
    ModelSource,
    Needs,
    Profile,
    ProfileBook,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    # What reads a value, and what it takes, in words; ValueError and TypeError refuse.
    Rule = tuple[Callable[[Any], Any], str]

MAX_TEXT: Final = 200
MAX_TOKENS: Final = 32_768
MAX_COUNT: Final = 50  # of passages, functions and the like; a search gives 100 at most
_LENGTHS: Final = ("_tokens", "_chars")
_UNITS: Final = {"MB": 10**6, "GB": 10**9}
_SIZE: Final = re.compile(r"(\d{1,6}(?:\.\d{1,3})?) (MB|GB)")
_HUB_ID: Final = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)
_PACKAGE: Final = re.compile(r"package:[\w-]+", re.ASCII)
_URL: Final = re.compile(r"https?://[^\s/]+(/\S*)?")
_NAME: Final = re.compile(r"[\w][\w.-]{0,99}", re.ASCII)
_MODEL: Final = ("source", "licence", "engine", "context")
_STORED: Final = ("revision", "parameters", "download", "form", "memory")


def parse(text: str) -> ProfileBook:
    """Return the profiles in a text like ``bat_os/profiles.toml``.

    Raises:
        SettingsError: Something in it cannot be used; names the line or the key.
    """
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"the profiles are not TOML: {error}") from error
    tables = dict.fromkeys(("models", "profiles", "defaults"), _TABLE)
    data = _read(data, "", tables, ("models", "profiles"))
    models = {name: _model(name, table) for name, table in data["models"].items()}
    rules = {**_PERSONA, "model": (_among(models), _either(models))}
    defaults = _read(data.get("defaults", {}), "defaults", _PERSONA)
    profiles = {
        name: _profile(name, table, rules, defaults) for name, table in data["profiles"].items()
    }
    if FALLBACK not in profiles:
        raise SettingsError(f"profiles.{FALLBACK} is missing; it is what always fits")
    return ProfileBook(MappingProxyType(models), MappingProxyType(profiles))


def _model(name: str, table: Any) -> ModelSource:
    where = _place("models", name)
    data = _read(table, where, _MODEL_RULES, _MODEL)
    memory = _read(data.get("memory", {}), f"{where}.memory", dict.fromkeys(FORMS, _SIZE_RULE))
    data["memory"] = MappingProxyType(memory)
    model = ModelSource(name=name, **data)
    served, from_hub = model.engine == "openai", _HUB_ID.fullmatch(model.source)
    packaged = _PACKAGE.fullmatch(model.source)
    checks = (
        ("source", served or bool(from_hub or packaged), "OWNER/NAME of a hub, or package:NAME"),
        ("source", not served or bool(_URL.fullmatch(model.source)), "a URL, http://HOST:PORT/v1"),
        ("file", not served or bool(model.file), "the model's name on the server"),
        ("file", model.engine != "llama.cpp" or model.file.endswith(".gguf"), "a .gguf file"),
        ("form", served or model.form in memory, f"one of the forms in memory, {_either(memory)}"),
    )
    if not served:
        _read(table, where, _MODEL_RULES, _STORED)
    for key, holds, allowed in checks:
        if not holds:
            raise _wrong(f"{where}.{key}", allowed, getattr(model, key))
    return model


def _profile(
    name: str, table: Any, rules: Mapping[str, Rule], defaults: Mapping[str, Any]
) -> Profile:
    where = _place("profiles", name)
    data = {"limits": {}} | _read(table, where, _PROFILE, tuple(_PROFILE)[:-1])
    needs = {"vram": 0, "cores": 1} | _read(
        data["needs"], f"{where}.needs", _NEEDS, ("ram", "disk")
    )
    given = dict.fromkeys(PERSONAS, _TABLE)
    personas = _read(data["personas"], f"{where}.personas", given, tuple(PERSONAS))
    assignments = {
        persona: Assignment(
            **dict(defaults) | _read(one, f"{where}.personas.{persona}", rules, ("model",))
        )
        for persona, one in personas.items()
    }
    return Profile(
        name=name,
        purpose=data["purpose"],
        needs=Needs(**needs),
        automatic=data["automatic"],
        personas=MappingProxyType(assignments),
        limits=Limits(**_read(data["limits"], f"{where}.limits", _LIMITS)),
    )


def _place(table: str, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise _wrong(table, "names of letters, digits, dots and hyphens", name)
    return f"{table}.{name}"


def _read(
    table: Any, where: str, rules: Mapping[str, Rule], needed: Collection[str] = ()
) -> dict[str, Any]:
    """Return the values of a table, each read by the rule for its key."""
    if not isinstance(table, dict):
        raise _wrong(where, "a table", table)
    dot = f"{where}." if where else ""
    for key in table:
        if key not in rules:
            raise SettingsError(
                f"{dot}{key} is not known; {where or 'the file'} takes {_either(rules)}"
            )
    for key in needed:
        if key not in table:
            raise SettingsError(f"{dot}{key} is missing; it takes {rules[key][1]}")
    values: dict[str, Any] = {}
    for key, value in table.items():
        reader, allowed = rules[key]
        try:
            values[key] = reader(value)
        except (ValueError, TypeError):
            raise _wrong(f"{dot}{key}", allowed, value) from None
    return values


def _of_type(value: Any, *kinds: type) -> Any:
    if type(value) not in kinds:
        raise TypeError
    return value


def _text(value: Any) -> str:
    if not _of_type(value, str).strip() or len(value) > MAX_TEXT:
        raise ValueError
    return str(value)


def _size(value: Any) -> int:
    match = _SIZE.fullmatch(_text(value))
    if match is None:
        raise ValueError
    return round(float(match[1]) * _UNITS[match[2]])


def _number(low: float, high: float, *kinds: type) -> Rule:
    def read(value: Any) -> Any:
        if not low <= _of_type(value, *kinds) <= high:
            raise ValueError
        return value

    what = "a number" if float in kinds else "a whole number"
    return read, f"{what} from {low:,} to {high:,}"


def _among(known: Collection[str]) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in known:
            raise ValueError
        return str(value)

    return read


def _either(names: Collection[str]) -> str:
    return ", ".join(names)


def _wrong(where: str, allowed: str, value: Any) -> SettingsError:
    # Python refuses to write integers of thousands of digits, which a file may hold.
    huge = isinstance(value, int) and value.bit_length() > MAX_TEXT
    shown = "a huge number" if huge else repr(value)[:60]
    return SettingsError(f"{where} = {shown} cannot be used; it takes {allowed}")


_TABLE: Final[Rule] = (lambda value: _of_type(value, dict), "a table")
_TEXT_RULE: Final[Rule] = (_text, f"a text of at most {MAX_TEXT} characters")
_SIZE_RULE: Final[Rule] = (_size, 'a size like "1.5 GB" or "300 MB"')
_FLAG: Final[Rule] = (lambda value: _of_type(value, bool), "true or false")
_MODEL_RULES: Final[Mapping[str, Rule]] = {
    **dict.fromkeys(("source", "file", "revision", "licence"), _TEXT_RULE),
    "engine": (_among(ENGINES), _either(ENGINES)),
    "form": (_among(FORMS), _either(FORMS)),
    "parameters": _number(1, 10**13, int),
    "context": _number(1, 10**8, int),
    "download": _SIZE_RULE,
    "gated": _FLAG,
    "memory": _TABLE,
}
_PERSONA: Final[Mapping[str, Rule]] = {
    **dict.fromkeys(("adapter", "writing"), _TEXT_RULE),
    "temperature": _number(0.1, 2, int, float),
    "top_p": _number(0, 1, int, float),
    "top_k": _number(1, 1000, int),
    "max_tokens": _number(1, MAX_TOKENS, int),
    "keep_alive": _number(-1, 10**9, int, float),
    "pinned": _FLAG,
}
_PROFILE: Final[Mapping[str, Rule]] = {
    "purpose": _TEXT_RULE,
    "needs": _TABLE,
    "automatic": _FLAG,
    "personas": _TABLE,
    "limits": _TABLE,
}
_LIMITS: Final[Mapping[str, Rule]] = {
    field.name: _number(1, MAX_TOKENS if field.name.endswith(_LENGTHS) else MAX_COUNT, int)
    for field in fields(Limits)
}
_NEEDS: Final[Mapping[str, Rule]] = {
    **dict.fromkeys(("ram", "vram", "disk"), _SIZE_RULE),
    "cores": _number(1, 1024, int),
}
