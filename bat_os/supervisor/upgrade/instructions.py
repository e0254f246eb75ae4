"""``update_instructions.json``: read strictly, for it decides which program will run.

    {"schema": 1, "id": "2026-11-21", "from": "0.1.0", "to": "0.2.0",
     "actions": [{"git_ff": {"commit": "40 hexadecimal digits"}},
                 {"pip_sync": {"requirements": "requirements.txt", "hash": "its SHA-256"}},
                 {"migrate": {"module": "bat_os.image.migrations.format_4"}}],
     "sha256": "of the rest, written canonically", "sig": "Ed25519, in base64"}

``git_ff`` always; the others where libraries or the image's format change, each once, in this
order. Nothing else may stand there, and nothing in it is ever given to a shell.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import UpgradeError

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA: Final = 1
LARGEST: Final = 64 << 10
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VERSION: Final = re.compile(r"[0-9]+(\.[0-9]+){0,3}([a-z0-9.+-]{0,20})")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_SHA: Final = re.compile(r"[0-9a-f]{64}")
_FILE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,60}\.txt")
_MODULE: Final = re.compile(r"bat_os\.image\.migrations\.format_([1-9][0-9]{0,5})")
_KEYS: Final = frozenset({"schema", "id", "from", "to", "actions", "sha256", "sig"})
_ACTIONS: Final[Mapping[str, Mapping[str, re.Pattern[str]]]] = {
    "git_ff": {"commit": _COMMIT},
    "pip_sync": {"requirements": _FILE, "hash": _SHA},
    "migrate": {"module": _MODULE},
}


@dataclass(frozen=True, slots=True)
class Instructions:
    """One upgrade.

    Attributes:
        id: The same one is carried out once.
        before: Version of the program that it is for.
        after: Version of the program that it brings.
        commit: Of the program; a descendant of the one that runs.
        requirements: File of that program whose libraries are to be there, or "".
        requirements_sha256: Of that file.
        image_format: Format of the image afterwards, or 0 when it stays.
        signature: In base64, or "".
        signed: What the signature is of.
    """

    id: str
    before: str
    after: str
    commit: str
    requirements: str = ""
    requirements_sha256: str = ""
    image_format: int = 0
    signature: str = ""
    signed: bytes = field(default=b"", repr=False)


def parse(text: bytes) -> Instructions:
    """Return the instructions in ``text``.

    Raises:
        UpgradeError: They are not of the schema; the message says where.
    """
    if len(text) > LARGEST:
        raise UpgradeError(f"the instructions are longer than {LARGEST} bytes")
    try:
        told = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise UpgradeError(f"the instructions are no JSON: {error}") from error
    _check_keys(told, _KEYS, "the instructions", optional={"sig"})
    if told["schema"] != SCHEMA or type(told["schema"]) is not int:
        raise UpgradeError(f"schema {told['schema']!r:.40}; this program reads {SCHEMA}")
    signed = canonical(told)
    if told["sha256"] != hashlib.sha256(signed).hexdigest():
        raise UpgradeError("sha256 is not that of the instructions; they were changed")
    actions = _read_actions(told["actions"])
    module = _MODULE.fullmatch(actions.get("migrate", {}).get("module", ""))
    sync = actions.get("pip_sync", {})
    return Instructions(
        id=_text(told, "id", _ID),
        before=_text(told, "from", _VERSION),
        after=_text(told, "to", _VERSION),
        commit=actions["git_ff"]["commit"],
        requirements=sync.get("requirements", ""),
        requirements_sha256=sync.get("hash", ""),
        image_format=int(module[1]) if module else 0,
        signature=_text(told, "sig", re.compile(r"[A-Za-z0-9+/=]{0,200}")) if "sig" in told else "",
        signed=signed,
    )


def canonical(told: Mapping[str, Any]) -> bytes:
    """Return what digest and signature are of: all but those two, written in one way only.

    >>> canonical({"sig": "x", "id": "a", "schema": 1, "sha256": "y"})
    b'{"id":"a","schema":1}'
    """
    rest = {key: value for key, value in told.items() if key not in ("sha256", "sig")}
    try:
        return json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    except ValueError as error:
        raise UpgradeError(f"the instructions hold what JSON cannot: {error}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; one that says a key twice could be read in two ways."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands there twice")
    return made


def _read_actions(told: Any) -> dict[str, dict[str, str]]:
    if not isinstance(told, list) or not 1 <= len(told) <= len(_ACTIONS):
        raise UpgradeError(f"actions is not a list of 1 to {len(_ACTIONS)}")
    found: dict[str, dict[str, str]] = {}
    for one in told:
        if not isinstance(one, dict) or len(one) != 1 or not set(one) <= set(_ACTIONS):
            raise UpgradeError(f"an action is none of {', '.join(_ACTIONS)}: {one!r:.80}")
        name, fields = next(iter(one.items()))
        _check_keys(fields, _ACTIONS[name].keys(), name)
        found[name] = {key: _text(fields, key, rule) for key, rule in _ACTIONS[name].items()}
    if list(found) != [name for name in _ACTIONS if name in found] or len(found) != len(told):
        raise UpgradeError(f"actions stand there once each, in this order: {', '.join(_ACTIONS)}")
    if "git_ff" not in found:
        raise UpgradeError("actions lacks git_ff: which program is it to be?")
    return found


def _check_keys(told: Any, wanted: Any, where: str, optional: Any = frozenset()) -> None:
    if not isinstance(told, dict):
        raise UpgradeError(f"{where}: not an object")
    strange, missing = sorted(set(told) - set(wanted)), sorted(set(wanted) - set(told) - optional)
    if strange or missing:
        problem = f"unknown {strange[0]!r:.60}" if strange else f"{missing[0]} is missing"
        raise UpgradeError(f"{where}: {problem}")


def _text(told: Mapping[str, Any], key: str, rule: re.Pattern[str]) -> str:
    value = told[key]
    if not isinstance(value, str) or not rule.fullmatch(value):
        raise UpgradeError(f"{key}: {value!r:.80} cannot be")
    return value
