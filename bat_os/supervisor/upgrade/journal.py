"""How far an upgrade is: the table of its stages, and the journal that survives a kill.

    received > verified > staged > stopped > backed up > switched > proven > done
        |         |          |        |           |          |         |
        +---------+-- refused --------+           +--- rolling back ---+ > rolled back

A stage is what has been done and is on the disk. Up to ``staged`` the kernel serves; up to
``stopped`` nothing has changed that a start would see. A watchdog that was killed finds the stage
in the journal and repeats the step, since each step may be repeated. There is one exception: a
program that was on trial when the watchdog was killed gets no second trial.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import UpgradeError
from bat_os.supervisor.home import Home, write_json
from bat_os.supervisor.program import Program, from_plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAME: Final = "journal.json"
ENDED: Final = "ended"  # folder: one file per upgrade that has ended


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
    """What is done at a stage."""

    does: str  # for people
    then: Stage  # the next stage
    fails: Stage  # the stage after a failure
    # the stage at which a restarted watchdog resumes; None repeats this step
    resumes: Stage | None = None
    serving: bool = False  # the kernel serves during the step


STEPS: Final[Mapping[Stage, Step]] = MappingProxyType(
    {
        Stage.RECEIVED: Step(
            "check the instructions, the signature and the room on the disk",
            *(Stage.VERIFIED, Stage.REFUSED),
            serving=True,
        ),
        Stage.VERIFIED: Step(
            "stage program and libraries beside those that run",
            *(Stage.STAGED, Stage.REFUSED),
            serving=True,
        ),
        Stage.STAGED: Step("stop the kernel", Stage.STOPPED, Stage.REFUSED, serving=True),
        Stage.STOPPED: Step(
            "back up the image and verify the backup", Stage.BACKED_UP, Stage.REFUSED
        ),
        Stage.BACKED_UP: Step("switch to the new program", Stage.SWITCHED, Stage.ROLLING_BACK),
        Stage.SWITCHED: Step(
            "try it: a kernel that no client can reach, its health, a message",
            *(Stage.PROVEN, Stage.ROLLING_BACK),
            resumes=Stage.ROLLING_BACK,
        ),
        Stage.PROVEN: Step("keep it", Stage.DONE, Stage.ROLLING_BACK),
        Stage.ROLLING_BACK: Step(
            "put the program and the image back", Stage.ROLLED_BACK, Stage.ROLLING_BACK
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Journal:
    """Where an upgrade is."""

    stage: Stage  # what has been done
    text: str  # the instructions as they came
    id: str = ""  # of the instructions, once they were read
    signer: str = ""  # who signed them
    before: Program | None = None  # the program that served, None for the checkout
    after: Program | None = None  # the program that was staged
    reason: str = ""  # of the last failure
    times: tuple[tuple[str, float], ...] = field(default=())  # (stage, Unix time) in order

    def move(self, stage: Stage, now: float, reason: str = "") -> Journal:
        """Return the journal at its next stage."""
        times = (*self.times, (stage.value, round(now, 3)))
        return replace(self, stage=stage, reason=reason or self.reason, times=times)

    def to_plain(self) -> dict[str, Any]:
        """Return it as what JSON holds."""
        programs = {
            name: None if program is None else program.to_plain()
            for name, program in (("before", self.before), ("after", self.after))
        }
        return asdict(self) | programs | {"stage": self.stage.value}


def read(home: Home) -> Journal | None:
    """Return the journal of the last upgrade; None when there has been none.

    Raises:
        UpgradeError: It cannot be read, so it is unknown which program belongs to the image.
    """
    path = home.upgrade / NAME
    try:
        return _from_plain(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UpgradeError(
            f"{path} cannot be read ({error!r}); if no upgrade was in progress, remove it"
        ) from error


def write(home: Home, journal: Journal) -> None:
    """Replace the journal; when this returns it is on the disk."""
    write_json(home.upgrade / NAME, journal.to_plain(), durable=True)


def ended_path(home: Home, upgrade_id: str) -> Path:
    """Return the file that records an upgrade that has ended."""
    return home.upgrade / ENDED / f"{upgrade_id}.json"


def _from_plain(data: Any) -> Journal:
    texts = {name: str(data[name]) for name in ("text", "id", "signer", "reason")}
    return Journal(
        stage=Stage(data["stage"]),
        before=from_plain(data["before"]),
        after=from_plain(data["after"]),
        times=tuple((str(stage), float(at)) for stage, at in data["times"]),
        **texts,
    )
