"""Carries out ``update_instructions.json``, step by step, as the table of stages says.

    poll     beside the kernel, in a thread: received > verified > staged
    apply    with no kernel there: stopped > backed up > switched > proven > done

Everything that decides what follows what is in ``bat_os.supervisor.upgrade.stages``; here is
what each step does. A step may be killed anywhere and is done again from its beginning.
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
from bat_os.supervisor.upgrade import copies, journal, staging, trust
from bat_os.supervisor.upgrade.instructions import LARGEST, Instructions, parse
from bat_os.supervisor.upgrade.journal import Journal
from bat_os.supervisor.upgrade.stages import STEPS, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    Show = Callable[[str, int | None], None]
    Trial = Callable[[Program, Callable[[int], None]], None]

log = logging.getLogger(__name__)

AGAIN: Final = 60.0  # seconds until what failed for lack of room or rights is tried again
_TAKEN: Final = "instructions.json"
_BACKUP: Final = "backup"
_SIDE: Final = "restored"


@dataclass(frozen=True, slots=True)
class Site:
    """What is upgraded.

    Attributes:
        home: Home directory of the image.
        root: The checkout that the watchdog was started from.
        version: Of the program in it.
        locate_image: Returns the image's file; raises a BatError where it is not a file.
        command: Returns how a kernel of a program is started.
        trial: Tries a program on the image; is told of its process; raises UpgradeError.
    """

    home: Home
    root: Path
    version: str
    locate_image: Callable[[], Path]
    command: Callable[[Program], Sequence[str]]
    trial: Trial


@dataclass(frozen=True, slots=True)
class Plan:
    """What instructions come to, here and now.

    Attributes:
        instructions: As they were read.
        signer: Who vouches for them.
        running: The program that serves now.
        free: Bytes on the disk of the image.
    """

    instructions: Instructions
    signer: str
    running: Program
    free: int


def examine(site: Site, text: bytes) -> Plan:
    """Return what the instructions in ``text`` come to; nothing is changed.

    Raises:
        UpgradeError: They cannot be carried out to a good end.
    """
    instructions = parse(text)
    signer = trust.check_signature(instructions, site.home.upgrade_keys)
    ended = read_json(journal.ended_path(site.home, instructions.id))
    if ended.get("stage") == Stage.DONE.value:
        raise UpgradeError(f"the upgrade {instructions.id} was carried out already")
    running = read_program(site.home, site.root, site.version)
    if instructions.before != running.version:
        raise UpgradeError(
            f"the upgrade is for version {instructions.before}, and {running.version} runs"
        )
    try:
        free = copies.check_room(site.locate_image())
    except UpgradeError:
        raise
    except BatError as error:
        raise UpgradeError(str(error)) from error
    staging.check_commit(site.root, running, instructions.commit)
    return Plan(instructions, signer, running, free)


class Upgrader:
    """At most one upgrade at a time, of one site; the caller holds the watchdog's lock."""

    def __init__(self, site: Site) -> None:
        """Find out whether an upgrade was going on.

        Raises:
            UpgradeError: The journal cannot be read.
        """
        self._site = site
        self._home = site.home
        self._thread: threading.Thread | None = None
        self._not_before = 0.0
        self._show: Show = lambda _step, _pid: None
        found = journal.read(self._home)
        if found is not None and not found.stage.is_final:
            resumes = STEPS[found.stage].resumes
            if resumes is not found.stage:
                found = found.move(resumes, time.time(), "the watchdog ended during the trial")
        self._journal = found

    def command(self) -> Sequence[str]:
        """Return how the kernel is started now."""
        site = self._site
        return site.command(read_program(self._home, site.root, site.version))

    def poll(self) -> bool:
        """Begin what can be done beside a running kernel; True when the rest is to be done."""
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
        """Return True when one was begun that has to be ended before a kernel may start."""
        found = self._journal
        return found is not None and (found.stage is Stage.STAGED or found.stage.holds_kernel)

    def apply(self, show: Show) -> None:
        """Do the rest, with no kernel there.

        Args:
            show: Told each step, and the process of the kernel on trial.

        Raises:
            UpgradeError: The program and the image that were there cannot be put back.
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
            log.error("the upgrade cannot go on: %s", error)  # noqa: TRY400 - the text is for people

    def _take(self) -> None:
        """Take the instructions away and open a journal for them."""
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
        found = self._journal
        assert found is not None  # noqa: S101 - for the type checker; the callers looked
        step = STEPS[found.stage]
        self._show(step.does, None)
        try:
            found = _ACTIONS[found.stage](self, found)
        except (BatError, OSError) as error:
            log.warning("upgrade, %s: %s", found.stage.value, error)
            if step.fails is found.stage:
                raise UpgradeError(f"the upgrade cannot be undone: {error}") from error
            self._write(found, step.fails, str(error))
        else:
            self._write(found, step.then)

    def _write(self, found: Journal, stage: Stage, reason: str = "") -> None:
        cross(f"upgrade.{stage.value}.before")
        found = found.move(stage, time.time(), reason)
        if stage.is_final and found.id:
            path = journal.ended_path(self._home, found.id)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            write_json(path, found.to_plain(), durable=True)
        journal.write(self._home, found)
        self._journal = found
        log.info("upgrade: %s%s", stage.value, f" ({found.reason})" if found.reason else "")
        cross(f"upgrade.{stage.value}")
        if stage in (Stage.REFUSED, Stage.ROLLED_BACK) and found.after is not None:
            staging.discard(found.after, self._site.root)

    def _verify(self, found: Journal) -> Journal:
        text = found.text.encode()
        found = replace(found, id=_read_id(text))
        self._journal = found
        plan = examine(self._site, text)
        return replace(found, signer=plan.signer)

    def _stage(self, found: Journal) -> Journal:
        site = self._site
        running = read_program(self._home, site.root, site.version)
        after = staging.stage(self._home, site.root, running, parse(found.text.encode()))
        return replace(found, after=after)

    def _stop(self, found: Journal) -> Journal:
        return found  # the supervisor has stopped it; whoever calls ``apply`` says so

    def _back_up(self, found: Journal) -> Journal:
        path = self._site.locate_image()
        copies.check_room(path)
        copies.back_up_cold(path, self._home.upgrade / _BACKUP)
        return found

    def _switch(self, found: Journal) -> Journal:
        if found.after is None or not found.after.is_there:
            raise UpgradeError("the staged program is no longer there")
        point_to(self._home, found.after)
        return found

    def _try_out(self, found: Journal) -> Journal:
        if found.after is None:
            raise UpgradeError("no program was staged")
        self._site.trial(found.after, lambda pid: self._show(STEPS[found.stage].does, pid))
        return found

    def _keep(self, found: Journal) -> Journal:
        if found.after is not None:
            staging.keep(found.after)
        return found

    def _roll_back(self, found: Journal) -> Journal:
        point_to(self._home, found.before)
        upgrade = self._home.upgrade
        copies.put_back(upgrade / _BACKUP, self._site.locate_image(), upgrade / _SIDE)
        return found


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
