"""The table of verbs: what can be asked for, on the wire and on the command line.

A verb of the wire has its handler in ``bat_os.kernel.verbs``. What the command line does beyond
sending the request, and how it shows the answer, is in ``bat_os.cli.show``. All else comes from
here: argparse and completion, the checks of requests, the slash verbs of the chat, docs/cli.md,
the verb table of docs/protocol.md and docs/schemas.json.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from bat_os.core.idle_verbs import IDLE_VERBS
from bat_os.core.object_verbs import HISTORY_VERBS, OBJECT_VERBS
from bat_os.core.program_verbs import PROGRAM_VERBS
from bat_os.core.schedule_verbs import SCHEDULE_VERBS
from bat_os.core.system_verbs import FAMILY_VERBS, KNOWLEDGE_VERBS, MISSION_VERBS, SYSTEM_VERBS
from bat_os.core.world_verbs import WORLD_VERBS
from bat_os.errors import UnknownTypeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.core.fields import Verb
    from bat_os.core.protocol import Request

VERBS: Final[tuple[Verb, ...]] = (
    *(*OBJECT_VERBS, *FAMILY_VERBS, *HISTORY_VERBS, *KNOWLEDGE_VERBS, *MISSION_VERBS, *WORLD_VERBS),
    *SCHEDULE_VERBS,
    *PROGRAM_VERBS,
    *IDLE_VERBS,
    *SYSTEM_VERBS,
)
COMMANDS: Final[Mapping[str, Verb]] = MappingProxyType(
    {verb.name: verb for verb in VERBS if verb.on != "wire"}
)
REQUESTS: Final[Mapping[str, Verb]] = MappingProxyType(
    {
        name: verb
        for verb in VERBS
        if verb.on != "command line"
        for name in (verb.name, *verb.aliases)
    }
)
# What can be asked for from outside, and the scope that it needs; see ``bat_os.core.scopes``.
SCOPE_OF: Final[Mapping[str, str]] = MappingProxyType(
    {verb.name: verb.needs for verb in VERBS if verb.on != "command line" and verb.needs}
)


def check(request: Request) -> Request:
    """Return a request with the verb's own name and a body that its handler can rely on.

    Raises:
        UnknownTypeError: The verb is unknown.
        ArgumentsError: A field of its body is unknown, missing or wrong.
    """
    verb = REQUESTS.get(request.type)
    if verb is None:
        known = ", ".join(sorted(REQUESTS))
        raise UnknownTypeError(f"unknown type {request.type[:60]!r}; known are: {known}")
    return request.checked(verb.name, verb.read_body(request.body))
