"""What a caller from outside may ask for: scopes, from reading to what the owner may do.

    read < send < learn < teach < own < person

A token has one of the first five. ``person`` is the owner in front of the chat, the one-shot client
or the page, and the only one whose yes lets BAT OS reach or forget something. A client that asks
for others says in ``may`` what they may; it can only lower what it may itself.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

from bat_os.errors import CellError, UnauthorizedError

if TYPE_CHECKING:
    from collections.abc import Mapping

Scope = Literal["read", "send", "learn", "teach", "own", "person"]

SCOPES: Final = ("read", "send", "learn", "teach", "own")
PERSON: Final = "person"
OTHERS: Final = "http:"  # how the names of callers begin that a gateway lets in
_ORDER: Final = {name: rank for rank, name in enumerate((*SCOPES, PERSON))}
# Messages that do the work of a verb, to any receiver.
_MESSAGES: Final[Mapping[str, str]] = {
    "learn": "start_cognitive_cycle_for start_cognitive_cycle_for_ _doesNotUnderstand_ cancel",
    "teach": "setSlot removeSlot clone derive addParent removeParent setParents rename "
    "index_document index_document_",
    "own": "delete",
    PERSON: "forget",
}
_SCOPE_OF_MESSAGE: Final[Mapping[str, str]] = MappingProxyType(
    {name: scope for scope, names in _MESSAGES.items() for name in names.split()}
)


def covers(has: str, needs: str) -> bool:
    """Return whether a caller with the scope ``has`` may do what ``needs`` another one.

    >>> covers("teach", "send"), covers("own", "person")
    (True, False)
    """
    return _ORDER[has] >= _ORDER[needs]


def demand(has: str, needs: str, what: str) -> None:
    """Refuse ``what`` for a caller whose scope does not cover what it needs.

    Raises:
        UnauthorizedError: Its ``details`` have the scope that is missing, as ``needs``.
    """
    if not covers(has, needs):
        missing = "the owner's own word" if needs == PERSON else f"the scope {needs}"
        raise UnauthorizedError(f"{what} needs {missing}", needs=needs)


def demand_message(has: str, selector: str) -> None:
    """Refuse a message for a caller who may not send it.

    Raises:
        UnauthorizedError: They may not.
    """
    if has != PERSON:
        demand(has, _SCOPE_OF_MESSAGE.get(selector, "send"), f"the message {selector[:60]}")


def demand_by_method(has: str, selector: str) -> None:
    """Refuse a message that a method sends, if who asked for the method may not send it.

    What only the owner may, no method does. What a method does to slots is what it is for.

    Raises:
        CellError: They may not.
    """
    needs = _SCOPE_OF_MESSAGE.get(selector, "send")
    if needs == PERSON:
        raise CellError(f"a method cannot send {selector}; a person can", kind="refused")
    if needs != "teach" and not covers(has, needs):
        raise CellError(f"{selector} needs the scope {needs}", kind="refused")
