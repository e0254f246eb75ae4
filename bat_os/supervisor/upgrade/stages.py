"""The upgrade as a table of stages: what comes next, and where a killed watchdog goes on.

    received > verified > staged > stopped > backed up > switched > proven > done
        |         |          |        |           |          |         |
        +---------+-- refused --------+           +--- rolling back ---+ > rolled back

A stage is what has been done and is on the disk. Up to ``staged`` the kernel serves; up to
``stopped`` nothing has changed that a start would see. Whoever is killed finds the stage in the
journal and goes on as ``resumes`` says: the same step again, for each of them can be done
twice, except that a program that was on trial when everything died gets no second one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class Stage(Enum):
    """How far an upgrade is."""

    RECEIVED = "received"
    VERIFIED = "verified"
    STAGED = "staged"
    STOPPED = "stopped"
    BACKED_UP = "backed_up"
    SWITCHED = "switched"
    PROVEN = "proven"
    ROLLING_BACK = "rolling_back"
    DONE = "done"
    REFUSED = "refused"
    ROLLED_BACK = "rolled_back"

    @property
    def is_final(self) -> bool:
        """True when nothing is left to do."""
        return self not in STEPS

    @property
    def holds_kernel(self) -> bool:
        """True when no kernel may run until the upgrade has ended."""
        return not self.is_final and not STEPS[self].serving


@dataclass(frozen=True, slots=True)
class Step:
    """What is done at a stage.

    Attributes:
        does: For people.
        then: The next stage.
        fails: The stage after a failure.
        resumes: Where a watchdog goes on that finds this stage in the journal at its start.
        serving: The kernel serves meanwhile.
    """

    does: str
    then: Stage
    fails: Stage
    resumes: Stage
    serving: bool = False


STEPS: Final[Mapping[Stage, Step]] = MappingProxyType(
    {
        Stage.RECEIVED: Step(
            "check the instructions, the signature, the room on the disk",
            Stage.VERIFIED,
            Stage.REFUSED,
            Stage.RECEIVED,
            serving=True,
        ),
        Stage.VERIFIED: Step(
            "stage program and libraries beside those that run",
            Stage.STAGED,
            Stage.REFUSED,
            Stage.VERIFIED,
            serving=True,
        ),
        Stage.STAGED: Step(
            "stop the kernel", Stage.STOPPED, Stage.REFUSED, Stage.STAGED, serving=True
        ),
        Stage.STOPPED: Step(
            "back the image up and read the backup again",
            Stage.BACKED_UP,
            Stage.REFUSED,
            Stage.STOPPED,
        ),
        Stage.BACKED_UP: Step(
            "switch to the new program", Stage.SWITCHED, Stage.ROLLING_BACK, Stage.BACKED_UP
        ),
        Stage.SWITCHED: Step(
            "try it: a kernel behind closed doors, its health, a message",
            Stage.PROVEN,
            Stage.ROLLING_BACK,
            Stage.ROLLING_BACK,
        ),
        Stage.PROVEN: Step("keep it", Stage.DONE, Stage.ROLLING_BACK, Stage.PROVEN),
        Stage.ROLLING_BACK: Step(
            "put the program and the image back",
            Stage.ROLLED_BACK,
            Stage.ROLLING_BACK,
            Stage.ROLLING_BACK,
        ),
    }
)
