"""The journal of an upgrade: one file, replaced and brought onto the disk at each stage."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import UpgradeError
from bat_os.supervisor.home import Home, write_json
from bat_os.supervisor.program import Program, from_plain
from bat_os.supervisor.upgrade.stages import Stage

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = "journal.json"
ENDED: Final = "ended"  # folder: one file per upgrade that has ended


@dataclass(frozen=True, slots=True)
class Journal:
    """Where an upgrade is.

    Attributes:
        stage: What has been done.
        text: The instructions as they came.
        id: Of the instructions, once they were read.
        signer: Who vouches for them.
        before: The program that served, None for the checkout.
        after: The program that was staged.
        reason: Of the last failure.
        times: (stage, Unix time) in order.
    """

    stage: Stage
    text: str
    id: str = ""
    signer: str = ""
    before: Program | None = None
    after: Program | None = None
    reason: str = ""
    times: tuple[tuple[str, float], ...] = field(default=())

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
        UpgradeError: It cannot be read, so nobody knows which program belongs to the image.
    """
    path = home.upgrade / NAME
    try:
        told = json.loads(path.read_bytes())
        return _from_plain(told)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UpgradeError(
            f"{path} cannot be read ({error!r}); if no upgrade was going on, remove it"
        ) from error


def write(home: Home, journal: Journal) -> None:
    """Replace the journal; when this returns it is on the disk."""
    write_json(home.upgrade / NAME, journal.to_plain(), durable=True)


def ended_path(home: Home, upgrade_id: str) -> Path:
    """Return where an upgrade stands that has ended."""
    return home.upgrade / ENDED / f"{upgrade_id}.json"


def _from_plain(told: Any) -> Journal:
    return Journal(
        stage=Stage(told["stage"]),
        text=str(told["text"]),
        id=str(told["id"]),
        signer=str(told["signer"]),
        before=from_plain(told["before"]),
        after=from_plain(told["after"]),
        reason=str(told["reason"]),
        times=tuple((str(stage), float(at)) for stage, at in told["times"]),
    )
