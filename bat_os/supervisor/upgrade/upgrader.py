"""Carries out ``update_instructions.json``, step by step, as the table of stages says.

    poll     beside the kernel, in a thread: received > verified > staged
    apply    with no kernel there: stopped > backed up > switched > proven > done

Everything that decides what follows what is in ``bat_os.supervisor.upgrade.journal``; this
module says what each step does. A step may be killed anywhere and is repeated from its start.
What cannot be done is an UpgradeError.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import BatError, UpgradeError
from bat_os.failpoints import cross
from bat_os.supervisor.home import Home, read_json, write_json
from bat_os.supervisor.program import Program, from_plain, point_to, read_program
from bat_os.supervisor.upgrade import journal, staging
from bat_os.supervisor.upgrade.instructions import LARGEST, Instructions, check_signature, parse
from bat_os.supervisor.upgrade.journal import STEPS, Journal, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    Show = Callable[[str, int | None], None]
    Trial = Callable[[Program, Callable[[int], None]], None]

log = logging.getLogger(__name__)

AGAIN: Final = 60.0  # seconds until what failed for lack of room or rights is retried
_TAKEN: Final = "instructions.json"
_BACKUP: Final = "backup"
_SIDE: Final = "restored"


@dataclass(frozen=True, slots=True)
class Site:
    """What is upgraded."""

    home: Home  # home directory of the image
    root: Path  # the checkout that the watchdog was started from
    version: str  # of the program in it
    # returns the image's file; raises a BatError if it is not a file
    locate_image: Callable[[], Path]
    # returns the command that starts a kernel of a program
    command: Callable[[Program], Sequence[str]]
    trial: Trial  # tries a program on the image; reports its process; raises UpgradeError


@dataclass(frozen=True, slots=True)
class Plan:
    """What the instructions mean on this machine, now."""

    instructions: Instructions  # as they were read
    signer: str  # who signed them
    running: Program  # the program that serves now


def examine(site: Site, text: bytes) -> Plan:
    """Return what the instructions in ``text`` mean here; nothing is changed."""
    instructions = parse(text)
    signer = check_signature(instructions, site.home.upgrade_keys)
    ended = read_json(journal.ended_path(site.home, instructions.id))
    if ended.get("stage") == Stage.DONE.value:
        raise UpgradeError(f"the upgrade {instructions.id} was already carried out")
    running = read_program(site.home, site.root, site.version)
    if instructions.before != running.version:
        raise UpgradeError(
            f"the upgrade is for version {instructions.before}, but {running.version} is running"
        )
    try:
        staging.check_room(site.locate_image())
    except BatError as error:
        raise UpgradeError(str(error)) from error
    staging.check_commit(site.root, running, instructions.commit)
    return Plan(instructions, signer, running)


class Upgrader:
    """At most one upgrade at a time, of one site; the caller holds the watchdog's lock."""

    def __init__(self, site: Site) -> None:
        """Read whether an upgrade was in progress."""
        self._site = site
        self._home = site.home
        self._thread: threading.Thread | None = None
        self._not_before = 0.0
        self._show: Show = lambda _step, _pid: None
        entry = journal.read(self._home)
        if entry is not None and not entry.stage.is_final:
            resumes = STEPS[entry.stage].resumes
            if resumes is not None:
                entry = entry.move(resumes, time.time(), "the watchdog ended during the trial")
        self._journal = entry

    def command(self) -> Sequence[str]:
        """Return the command that starts the kernel now."""
        site = self._site
        return site.command(read_program(self._home, site.root, site.version))

    def poll(self) -> bool:
        """Begin what can be done beside a running kernel; return True when the rest is due."""
        if self._thread is not None:
            if self._thread.is_alive():
                return False
            self._thread = None
        if self._is_at(Stage.STAGED):
            return True
        if time.monotonic() < self._not_before:
            return False
        if self._is_open() or self._home.instructions.exists() or self._taken.exists():
            self._thread = threading.Thread(target=self._prepare, name="stage", daemon=True)
            self._thread.start()
        return False

    def is_due(self) -> bool:
        """Return True if an upgrade in progress must end before a kernel may start."""
        entry = self._journal
        return entry is not None and (entry.stage is Stage.STAGED or entry.stage.holds_kernel)

    def apply(self, show: Show) -> None:
        """Do the rest, with no kernel there.

        ``show`` gets each step, and the process of the kernel on trial.
        """
        self._show = show
        while self._is_open():
            self._step()

    def prepare(self) -> None:
        """Take the instructions and do what can be done beside a running kernel."""
        self._take()
        while self._is_open() and not self.is_due():
            self._step()

    @property
    def outcome(self) -> Journal | None:
        """The journal of the last upgrade."""
        return self._journal

    @property
    def _taken(self) -> Path:
        return self._home.upgrade / _TAKEN

    def _is_at(self, stage: Stage) -> bool:
        return self._journal is not None and self._journal.stage is stage

    def _is_open(self) -> bool:
        return self._journal is not None and not self._journal.stage.is_final

    def _prepare(self) -> None:
        try:
            self.prepare()
        except (UpgradeError, OSError) as error:
            self._not_before = time.monotonic() + AGAIN
            log.error("the upgrade cannot continue: %s", error)  # noqa: TRY400 - the text is for people

    def _take(self) -> None:
        """Move the instructions away and open a journal for them."""
        if self._is_open():
            return
        self._home.upgrade.mkdir(mode=0o700, exist_ok=True)
        if not self._taken.exists():
            if not self._home.instructions.exists():
                return
            self._home.instructions.replace(self._taken)
        with self._taken.open("rb") as stream:
            text = stream.read(LARGEST + 1).decode("utf-8", "replace")
        before = from_plain(read_json(self._home.program))
        self._write(Journal(Stage.RECEIVED, text, before=before), Stage.RECEIVED)
        self._taken.unlink()

    def _step(self) -> None:
        entry = self._journal
        assert entry is not None  # noqa: S101 - for the type checker; the callers looked
        step = STEPS[entry.stage]
        self._show(step.does, None)
        try:
            entry = _ACTIONS[entry.stage](self, entry)
        except (BatError, OSError) as error:
            log.warning("upgrade, %s: %s", entry.stage.value, error)
            if step.fails is entry.stage:
                raise UpgradeError(f"the upgrade cannot be undone: {error}") from error
            self._write(entry, step.fails, str(error))
        else:
            self._write(entry, step.then)

    def _write(self, entry: Journal, stage: Stage, reason: str = "") -> None:
        cross(f"upgrade.{stage.value}.before")
        entry = entry.move(stage, time.time(), reason)
        if stage.is_final and entry.id:
            path = journal.ended_path(self._home, entry.id)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            write_json(path, entry.to_plain(), durable=True)
        journal.write(self._home, entry)
        self._journal = entry
        log.info("upgrade: %s%s", stage.value, f" ({entry.reason})" if entry.reason else "")
        cross(f"upgrade.{stage.value}")
        if stage in (Stage.REFUSED, Stage.ROLLED_BACK) and entry.after is not None:
            staging.discard(entry.after, self._site.root)

    def _verify(self, entry: Journal) -> Journal:
        text = entry.text.encode()
        entry = replace(entry, id=_read_id(text))
        self._journal = entry
        plan = examine(self._site, text)
        return replace(entry, signer=plan.signer)

    def _stage(self, entry: Journal) -> Journal:
        site = self._site
        running = read_program(self._home, site.root, site.version)
        after = staging.stage(self._home, site.root, running, parse(entry.text.encode()))
        return replace(entry, after=after)

    def _stop(self, entry: Journal) -> Journal:
        return entry  # ``apply`` is called only once the supervisor has stopped it

    def _back_up(self, entry: Journal) -> Journal:
        path = self._site.locate_image()
        staging.check_room(path)
        staging.back_up_cold(path, self._home.upgrade / _BACKUP)
        return entry

    def _switch(self, entry: Journal) -> Journal:
        if entry.after is None or not entry.after.is_there:
            raise UpgradeError("the staged program is no longer there")
        point_to(self._home, entry.after)
        return entry

    def _try_out(self, entry: Journal) -> Journal:
        if entry.after is None:
            raise UpgradeError("no program was staged")
        self._site.trial(entry.after, lambda pid: self._show(STEPS[entry.stage].does, pid))
        return entry

    def _keep(self, entry: Journal) -> Journal:
        if entry.after is not None:
            staging.keep(entry.after)
        return entry

    def _roll_back(self, entry: Journal) -> Journal:
        point_to(self._home, entry.before)
        upgrade = self._home.upgrade
        staging.put_back(upgrade / _BACKUP, self._site.locate_image(), upgrade / _SIDE)
        return entry


def _read_id(text: bytes) -> str:
    """Return the id of instructions that can be read; "" of others."""
    try:
        return parse(text).id
    except UpgradeError:
        return ""


_ACTIONS: Final[Mapping[Stage, Callable[[Upgrader, Journal], Any]]] = {
    Stage.RECEIVED: Upgrader._verify,
    Stage.VERIFIED: Upgrader._stage,
    Stage.STAGED: Upgrader._stop,
    Stage.STOPPED: Upgrader._back_up,
    Stage.BACKED_UP: Upgrader._switch,
    Stage.SWITCHED: Upgrader._try_out,
    Stage.PROVEN: Upgrader._keep,
    Stage.ROLLING_BACK: Upgrader._roll_back,
}
