"""What people call things, and what the libraries call them: ``names.toml``."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@cache
def names(table: str) -> Mapping[str, Any]:
    """Return a table of ``names.toml``: what people say -> what the libraries call it."""
    text = (resources.files("bat_os.natives") / "names.toml").read_text(encoding="utf-8")
    found: dict[str, Any] = tomllib.loads(text)[table]
    return MappingProxyType(found)
