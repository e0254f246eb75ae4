"""The handlers of the wire's verbs, a module per theme; ``VERBS`` has them by name.

``bat_os.core.verbs`` says what each takes and answers. ``models``, whose verbs need the engines'
intake, is bound by ``bat_os.app``; ``missions`` and the dispatcher have the verbs that need the
scheduler. A handler gets a checked request and returns the body of the result, or it raises:

    NotFoundError     no such object, method, version, document, mission or recall
    ArgumentsError    it does not fit what is stored: it is so already, or something is pinned
    AuditError, DraftsError, CellError
                      a source is refused, does not reproduce an example, or fails on one
    ConflictError     what was checked changed before the commit
    ModelError        a model is not available
    LockedError       a backup, fork or pack is at work
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from bat_os.kernel.idle import curator
from bat_os.kernel.verbs import (
    effects,
    erase,
    family,
    files,
    grants,
    history,
    idle,
    knowledge,
    moments,
    moving,
    objects,
    personas,
    programs,
    schedules,
    servers,
    talk,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.kernel.context import Handler

VERBS: Final[Mapping[str, Handler]] = MappingProxyType(
    {
        name: moments.in_time(name, handler)
        for module in (
            curator,
            effects,
            erase,
            family,
            files,
            grants,
            history,
            idle,
            knowledge,
            moments,
            moving,
            objects,
            personas,
            programs,
            schedules,
            servers,
            talk,
        )
        for name, handler in module.VERBS.items()
    }
)
