"""One prototype per state of a mission: the prototypal state machine.

A mission is an object of the image whose parent is the prototype of its state, so what a
state has to say (who acts, what it does) is inherited, and a transition is a change of
parent. Which state follows which is decided in ``bat_os.core.mission`` and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bat_os.core.mission import State
from bat_os.image.objects import UvmObject

if TYPE_CHECKING:
    from collections.abc import Mapping

WHO: Final[dict[State, tuple[str, str]]] = {
    State.IDLE: ("ORCHESTRATOR", "makes the mission record"),
    State.DECOMPOSING: ("BRICK", "takes the brief apart into one to three search queries"),
    State.DELEGATING: ("BABS", "searches the knowledge catalog and the learned methods"),
    State.SYNTHESIZING: ("TARGET", "the target's persona writes candidates for the method"),
    State.VALIDATING: ("ALFRED", "audits every candidate and tries it in the cell"),
    State.COMPLETE: ("ORCHESTRATOR", "installed the method and answered, in one transaction"),
    State.FAILED: ("ORCHESTRATOR", "kept the record; the target is as it was"),
}


def state_name(state: State) -> str:
    """Return the root name of the prototype of ``state``."""
    return f"state_{state}_obj"


def make_states(traits: UvmObject) -> dict[str, UvmObject]:
    """Return the seven prototypes by root name."""
    made = {}
    for state, (who, does) in WHO.items():
        prototype = UvmObject(state_name(state), (traits,))
        prototype.set_slot("state", str(state))
        prototype.set_slot("persona", who)
        prototype.set_slot("does", does)
        made[prototype.name] = prototype
    return made


def enter(objects: Mapping[str, Any], mission: UvmObject, state: State) -> None:
    """Let ``mission`` delegate to the prototype of ``state``."""
    mission.parents = (objects[state_name(state)],)
