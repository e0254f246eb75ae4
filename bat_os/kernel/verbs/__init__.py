"""The handlers of the wire's verbs, a module per theme; ``VERBS`` has them by name.

``bat_os.core.verbs`` says what each takes and answers. ``models``, whose verbs need the engines'
intake, is bound by ``bat_os.app``; ``missions`` and the dispatcher have the verbs that need the
scheduler. A handler gets a checked request and returns the body of the result.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from bat_os.kernel.verbs import files, history, knowledge, moments, objects, talk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.kernel.context import Handler

VERBS: Final[Mapping[str, Handler]] = MappingProxyType(
    {
        name: moments.in_time(name, handler)
        for module in (files, history, knowledge, moments, objects, talk)
        for name, handler in module.VERBS.items()
    }
)
