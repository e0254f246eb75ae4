"""Which scope each verb of the wire needs; see ``bat_os.core.scopes``.

A verb that is missing here cannot be asked for from outside at all: what opens a path or an address
of the caller's, what ends the daemon, what copies the image.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from bat_os.core.scopes import PERSON
from bat_os.core.verbs import REQUESTS

if TYPE_CHECKING:
    from collections.abc import Mapping

# Verbs that read need ``read``, but for those that run code, or that last as long as they like.
_NEEDED: Final[Mapping[str, str]] = {
    "send": "send say due generate embed discuss",
    "learn": "brief rehearse canary missions.resume cancel",
    "teach": "teach approve unlearn redo pin unpin verify-method replay bisect derive parents "
    "rename import entry learn reindex schedule schedules unschedule accept dismiss since",
    "own": "delete recall models.pin models.unpin models.cancel models.exam revoke disallow "
    "effects.drop verify forge",
    # ``undo`` takes back whatever was committed, a revoked grant, too.
    PERSON: "grant grant-mcp narrow allow effects.redo effects.undo missions.leave forget erase "
    "undo",
}
# Streams, which have routes of their own.
_STREAMS: Final = frozenset({"subscribe", "unsubscribe"})


def _table() -> dict[str, str]:
    known = {name: scope for scope, names in _NEEDED.items() for name in names.split()}
    for verb in REQUESTS.values():
        if verb.access != "writes" and verb.name not in _STREAMS:
            known.setdefault(verb.name, "read")
    return known


SCOPE_OF: Final[Mapping[str, str]] = MappingProxyType(_table())


def list_routed() -> list[str]:
    """Return the verbs that can be asked for from outside, in order.

    >>> "say" in list_routed(), "shutdown" in list_routed()
    (True, False)
    """
    return sorted(name for name in SCOPE_OF if name in REQUESTS and REQUESTS[name].name == name)
