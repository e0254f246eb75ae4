"""Reads the text of ``bat_os/profiles.toml`` into the classes of ``bat_os.models.profiles``.

The text is hostile until it is read: every complaint is a SettingsError that names the line or
the key and says what it takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from bat_os.core.personas import PERSONAS
from bat_os.core.schema import Record, convert, field, read_toml
from bat_os.errors import SettingsError
from bat_os.models.profiles import FALLBACK, Assignment, ModelSource, Profile, ProfileBook

_Table = Mapping[str, Any]


class _File(Record, frozen=True):
    models: Mapping[str, _Table]
    profiles: Mapping[str, _Table]
    defaults: _Table = field(default_factory=dict)


def parse(text: str) -> ProfileBook:
    """Return the profiles in a text like ``bat_os/profiles.toml``.

    Raises:
        SettingsError: Something in it cannot be used; names the line or the key.
    """
    file = convert(read_toml(text, SettingsError, "profiles.toml"), _File, SettingsError)
    models = {name: _read_model(name, table) for name, table in file.models.items()}
    _refuse_key(file.defaults, "model", "defaults")
    convert({"model": "any", **file.defaults}, Assignment, SettingsError, path="defaults")
    profiles = {
        name: _read_profile(name, table, file.defaults) for name, table in file.profiles.items()
    }
    if FALLBACK not in profiles:
        raise SettingsError(f"profiles.{FALLBACK} is missing; it is what always fits")
    for profile in profiles.values():
        _check_personas(profile, models)
    return ProfileBook(MappingProxyType(models), MappingProxyType(profiles))


def _read_model(name: str, table: _Table) -> ModelSource:
    path = f"models.{name}"
    _refuse_key(table, "name", path)
    return convert({"name": name, **table}, ModelSource, SettingsError, path=path)


def _read_profile(name: str, table: _Table, defaults: _Table) -> Profile:
    path = f"profiles.{name}"
    _refuse_key(table, "name", path)
    personas = table.get("personas")
    if isinstance(personas, dict):
        tables = {
            persona: {**defaults, **part} if isinstance(part, dict) else part
            for persona, part in personas.items()
        }
        table = {**table, "personas": tables}
    return convert({"name": name, **table}, Profile, SettingsError, path=path)


def _check_personas(profile: Profile, models: Mapping[str, ModelSource]) -> None:
    for persona in PERSONAS:
        path = f"profiles.{profile.name}.personas.{persona}"
        assignment = profile.personas.get(persona)
        if assignment is None:
            raise SettingsError(f"{path} is missing")
        if assignment.model not in models:
            raise SettingsError(
                f"{path}.model must be {', '.join(models)}, not {assignment.model[:60]!r}"
            )


def _refuse_key(table: _Table, key: str, path: str) -> None:
    """Raise SettingsError if a table sets what does not come from it."""
    if key in table:
        raise SettingsError(f"{path}.{key} is not known")
