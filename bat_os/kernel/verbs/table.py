"""The verbs by name. Each gets the mind and the request and returns the body of the result.

``say`` tells the asker how far a long one has come, as an event.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.kernel.verbs import (
    experience,
    history,
    integrity,
    moments,
)
from bat_os.kernel.verbs import (
    files as carry,
)
from bat_os.kernel.verbs import (
    talk as asking,
)
from bat_os.kernel.verbs.knowledge import documents, forget, learn, reindex, search
from bat_os.kernel.verbs.objects import approve, find_skills, inspect, list_objects
from bat_os.kernel.verbs.teaching import teach

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bat_os.core.protocol import Request
    from bat_os.kernel.context import KernelContext

    Say = Callable[[Mapping[str, Any]], None]
    Verb = Callable[[KernelContext, Request, Say], Awaitable[dict[str, Any]]]

_VERBS: Final[Mapping[str, Verb]] = MappingProxyType(
    {
        "approve": approve,
        "documents": documents,
        "find": find_skills,
        "forget": forget,
        "inspect": inspect,
        "learn": learn,
        "list": list_objects,
        "reindex": reindex,
        "search": search,
        "teach": teach,
        **asking.VERBS,
        **carry.VERBS,
        **experience.VERBS,
        **history.VERBS,
        **moments.VERBS,
        **integrity.VERBS,
    }
)
VERBS: Final[Mapping[str, Verb]] = MappingProxyType(
    {name: moments.in_time(name, verb) for name, verb in _VERBS.items()}
)
