"""What a caller from outside may ask for: scopes, from reading to what the owner may do.

    read < send < learn < teach < own < person

A token has one of the first five. ``person`` is the owner in front of the chat,
the one-shot client or the page, and the only one whose yes lets BAT OS reach or forget something.
A verb that is missing here cannot be asked for from outside at all.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from bat_os.core.verbs import REQUESTS

if TYPE_CHECKING:
    from collections.abc import Mapping

SCOPES: Final = ("read", "send", "learn", "teach", "own")
PERSON: Final = "person"
_ORDER: Final = {name: rank for rank, name in enumerate((*SCOPES, PERSON))}
# Verbs that read have the scope ``read``, but for those that hold a place as long as they last
# or write where the kernel is.
_WRITING: Final[Mapping[str, str]] = {
    "send": "send say due",
    "learn": "brief rehearse missions.resume cancel discuss",
    "teach": "teach approve unlearn redo pin unpin verify-method replay bisect derive parents "
    "rename undo import entry learn reindex schedule schedules unschedule",
    "own": "delete recall models.pin models.unpin models.cancel models.exam revoke disallow "
    "effects.drop verify",
    PERSON: "grant grant-mcp narrow allow effects.redo effects.undo missions.leave forget erase",
}
_CLOSED: Final = frozenset({"subscribe", "unsubscribe"})


def _table() -> dict[str, str]:
    known = {name: scope for scope, names in _WRITING.items() for name in names.split()}
    for verb in REQUESTS.values():
        if verb.access != "writes" and verb.name not in _CLOSED:
            known.setdefault(verb.name, "read")
    return known


SCOPE_OF: Final[Mapping[str, str]] = MappingProxyType(_table())


def covers(has: str, needs: str) -> bool:
    """Return whether a caller with the scope ``has`` may do what ``needs`` another one.

    >>> covers("teach", "send"), covers("own", "person")
    (True, False)
    """
    return _ORDER[has] >= _ORDER[needs]
