"""The kernel: awaken or resume, serve, think, shut down in order.

awaken > bind endpoints (known messages are answered) > prepare models > run missions
                                                          > load ahead what the next will need
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import zmq

from bat_os import __version__
from bat_os.core import protocol
from bat_os.errors import BatError, DamagedError, StorageFullError
from bat_os.image import desks, grants, missions
from bat_os.image.awakening import awaken
from bat_os.image.files import rotation
from bat_os.image.files.ability import EVERY, keep_trying
from bat_os.image.files.layers import when_lost
from bat_os.image.files.verify import lost_ends
from bat_os.image.history.uses import keep_flushing
from bat_os.image.preferences import lay_defaults
from bat_os.image.server_care import mark_blobs
from bat_os.kernel.curve import start_authenticator
from bat_os.kernel.dispatcher import Dispatcher
from bat_os.kernel.effects.performer import Performer
from bat_os.kernel.exam.examiner import Examiner
from bat_os.kernel.heap import keep_trimming
from bat_os.kernel.idle.heartbeat import Heartbeat
from bat_os.kernel.listeners import Endpoint
from bat_os.kernel.missions.alarm import Alarm
from bat_os.kernel.missions.feed import MAX_SUBSCRIPTIONS
from bat_os.kernel.missions.retention import keep_backing_up, keep_packing, keep_pruning
from bat_os.kernel.missions.scheduler import MAX_PER_SESSION, MAX_QUEUED, RUNNING, Scheduler
from bat_os.kernel.missions.tending import Tending
from bat_os.kernel.missions.watcher import Watcher
from bat_os.kernel.primitives import PRIMITIVES
from bat_os.kernel.say.reminders import say_due
from bat_os.kernel.server import Server
from bat_os.kernel.verbs import VERBS
from bat_os.kernel.verbs.idle import install
from bat_os.kernel.verbs.missions import MissionVerbs
from bat_os.ports import ServerDriver

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence

    from bat_os.image.store import ImageStore
    from bat_os.kernel.context import Handler, KernelContext
    from bat_os.kernel.forge.smithy import Smithy
    from bat_os.kernel.missions.ledger import Ledger

    Step = Callable[[Callable[[str], None]], Awaitable[None]]

log = logging.getLogger(__name__)

LIMITS: Final = {
    "max_frame": protocol.MAX_FRAME,
    "max_brief": protocol.MAX_BRIEF,
    "max_depth": protocol.MAX_DEPTH,
    "queued": MAX_QUEUED,
    "queued_per_session": MAX_PER_SESSION,
    "running": RUNNING,
    "subscriptions": MAX_SUBSCRIPTIONS,
    "answer_seconds": missions.KEEP_SECONDS,
}


class Kernel:
    """One process that serves a living image.

    Attributes:
        endpoints: Where to listen: address, token, keys. One at least has to be free; ``health``
            names those that are not.
        steps: What has to be done before missions can run: models into the image, the codex into
            the catalog. Each gets a function to report progress with.
        ahead: What the next requests will need, done once missions can run; no request waits
            for it that does not need it. ``health`` says what is ``loading``.
        journal: Gets every event of every mission; may count those that it ``dropped``.
        verbs: Requests besides messages, by name.
        wants_restart: A new kernel has to follow it: the image file failed, or a client asked.
        alarm: Rings when a schedule is due.
        watcher: Notices when files change that a schedule is due for.
        examiner: Measures what the models can do, while nothing else is wanted.
        heartbeat: Works for the mind itself, while nothing else is wanted.
        smithy: Trains adapters, while nothing else is wanted.
        asked: Set once it has to go down.
        on_trouble: Hears why nothing can be stored, and "" once it can again.
    """

    wants_restart = False
    ahead: Sequence[Step] = ()
    smithy: Smithy | None = None

    def __init__(
        self,
        context: KernelContext,
        endpoints: Sequence[Endpoint],
        steps: Sequence[Step],
        journal: Callable[[Mapping[str, Any]], None],
        verbs: Mapping[str, Handler] = VERBS,
        examiner: Examiner | None = None,
    ) -> None:
        self.context = context
        self.endpoints = [Endpoint(*endpoint) for endpoint in endpoints]
        self.steps = steps
        self.verbs = verbs
        self.examiner = examiner or Examiner(context)
        self.heartbeat = Heartbeat(context, install)
        self.examiner.politeness = self.heartbeat.politeness
        self._journal = journal
        self._scheduler = Scheduler(context, journal)
        self._tending: Tending | None = None
        if context.cluster is not None:
            context.image.database.kernel = context.kernel_id
            self._tending = Tending(context, context.cluster, self._scheduler)
        self.alarm = Alarm(context, self._scheduler, say_due)
        self.watcher = Watcher(context, self.alarm)
        self._boot = secrets.token_hex(8)
        self._started = time.monotonic()
        self.asked = asyncio.Event()
        self.on_trouble: Callable[[str], object] = lambda trouble: None
        self._awake = asyncio.Event()
        self._problem = ""
        self._trouble = ""
        self._full = ""
        self._image_id = ""
        self._addresses: list[str] = []
        self._not_bound: list[str] = []
        self._lost: list[str] = []

    def stop(self, restart: bool = False) -> None:
        """Ask the kernel to shut down; from the loop's own thread."""
        self.wants_restart |= restart
        self.asked.set()

    def keep_ledger(self, ledger: Ledger) -> None:
        """Note in ``ledger`` what runs, and read there what ran before; not once it serves."""
        self._scheduler.ledger = ledger

    def _lose(self) -> None:
        log.critical("the image file has failed; a new kernel has to open it again")
        self.wants_restart = True
        self.asked.set()

    async def run(self, on_serving: Callable[[Mapping[str, Any]], None]) -> None:
        """Serve until ``stop``; ``on_serving`` gets the facts a client needs to find us.

        Raises:
            BatError: The image cannot be used, or no endpoint is free.
        """
        loop, context = asyncio.get_running_loop(), self.context
        image = context.image
        when_lost(image.storage, lambda: loop.call_soon_threadsafe(self._lose))
        tell: Callable[..., object] = loop.call_soon_threadsafe
        image.on_commit = partial(tell, self._scheduler.changes.put)
        self._lost = [damage.why for damage in await asyncio.to_thread(lost_ends, image.storage)]
        self._image_id = await self._awaken()
        zmq_context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        dispatcher = Dispatcher(context, self._scheduler, self.about, self.stop, self.verbs)
        performer = self._introduce(dispatcher)
        authenticator = start_authenticator(zmq_context, self.endpoints)
        servers: list[Server] = []
        try:
            self._bind(zmq_context, servers)
            if self._tending is not None:
                blobs = await asyncio.to_thread(mark_blobs, image.storage)
                await self._tending.join(self._introduction() | {"blobs": blobs})
            await self._scheduler.resume()
            for server in servers:
                server.serve(dispatcher)
            on_serving(_facts_to_find(self._boot, servers))
            background = self._begin(performer, dispatcher)
            await self.asked.wait()
            log.info("shutting down")
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
        finally:
            await dispatcher.room.close()
            image.on_commit = None
            await self._close(servers)
            if authenticator is not None:
                authenticator.stop()
            zmq_context.term()

    async def _close(self, servers: Sequence[Server]) -> None:
        """Close all that the kernel works with, in order."""
        context = self.context
        await self._scheduler.close()
        if self._tending is not None:
            await self._tending.leave()
        for server in servers:
            await server.close()
        for driver in self._servers():
            await asyncio.to_thread(driver.close)
        for port in (context.cell, context.roster, context.embedder, context.image):
            await port.close()

    def _begin(self, performer: Performer, dispatcher: Dispatcher) -> list[asyncio.Task[None]]:
        """Begin what goes on while it serves."""
        self.examiner.is_quiet = lambda seconds: self._is_quiet(dispatcher, seconds)
        self.heartbeat.around.is_quiet = lambda seconds: (
            self.examiner.is_quiet(seconds) and time.monotonic() - dispatcher.last_look >= seconds
        )
        image, tending = self.context.image, self._tending
        kept = self._backups if self.context.options.backups else None
        work: dict[str, Coroutine[Any, Any, None]] = {
            "prepare": self._prepare(),
            "try commits": keep_trying(image, self._note_trouble),
            "count uses": keep_flushing(image),
            "trim the heap": keep_trimming(),
            "examine the models": self._examine(),
            "be polite": self.heartbeat.politeness.keep(self.context.roster.unload_unused),
            "forge": self._forge(),
        }
        for_all: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "ring": self.alarm.keep,
            "watch files": self.watcher.keep,
            "perform effects": performer.keep,
            "pack the image": partial(keep_packing, image),
            "back the image up": partial(keep_backing_up, image, kept),
            "prune answers": partial(keep_pruning, image),
            "index lessons": self.context.catalog.keep_folding,
            "idle work": self._idle,
        }
        for name, keep in for_all.items():  # of several kernels, one does these
            work[name] = keep() if tending is None else tending.while_leading(keep)
        if tending is not None:
            tending.wakes += [self._wake, performer.wake]
            performer.others = tending.others
            work["tend missions"] = tending.keep()
        return [asyncio.create_task(each, name=name) for name, each in work.items()]

    def _introduce(self, dispatcher: Dispatcher) -> Performer:
        """Let those know of the dispatcher who were there before it; return who performs."""
        context, orchestrator = self.context, self.context.orchestrator
        orchestrator.scheduler = self._scheduler
        orchestrator.heartbeat = self.heartbeat
        orchestrator.performer = performer = Performer(context, self._journal)
        if self._tending is None:
            performer.expect()
        orchestrator.verbs = MissionVerbs(context, self._scheduler).table()
        orchestrator.wake = self._wake
        self.alarm.say_it = dispatcher.room.say_it
        return performer

    def _wake(self) -> None:
        self.alarm.wake()
        self.watcher.wake()

    def about(self) -> dict[str, Any]:
        """Return the facts of ``health``."""
        return {
            "ready": not (self._scheduler.awakening or self._problem or self._trouble),
            "awakening": self._scheduler.awakening,
            "loading": self._scheduler.loading,
            "problem": self._problem or self._trouble or self._full,
            "version": __version__,
            "protocol": [protocol.VERSION, protocol.VERSION],
            "boot": self._boot,
            "pid": os.getpid(),
            "uptime": round(time.monotonic() - self._started, 3),
            "image_id": self._image_id,
            "endpoints": self._addresses,
            "closed_doors": self._not_bound,
            "lost": self._lost,
            "queued": self._scheduler.queued,
            "less": self.heartbeat.politeness.reason,
            "events_lost": getattr(self._journal, "dropped", 0),
            "limits": LIMITS,
            "image": _describe(self.context.image) | {"inbox_seconds": self._inbox_seconds()},
            "profile": self.context.profile.name,
            "models": self.context.roster.stats(),
            "cell": self.context.cell.stats(),
            "servers": [each for driver in self._servers() for each in driver.stats()],
            "cluster": {"engine": type(self.context.image.storage).__name__}
            | (self._tending.facts() if self._tending is not None else {}),
        }

    def _inbox_seconds(self) -> float:
        since = self.context.catalog.waits_since
        return round(time.monotonic() - since, 3) if since else 0.0

    def _introduction(self) -> dict[str, Any]:
        """Return what this kernel says of itself to the others."""
        doors = sorted(self._addresses, key=lambda one: one.startswith("ipc:"))
        return {
            "endpoint": next(iter(doors), ""),
            "host": socket.gethostname(),
            "home": str(Path(self.context.options.home).absolute()),
            "pid": os.getpid(),
            "version": __version__,
        }

    def _servers(self) -> list[ServerDriver]:
        drivers = self.context.drivers.values()
        return [driver for driver in drivers if isinstance(driver, ServerDriver)]

    @property
    def _backups(self) -> Path | None:
        """The folder of backups; None where the image is not in the home."""
        options = self.context.options
        return None if options.image else Path(options.home, rotation.FOLDER)

    async def _awaken(self) -> str:
        if self._tending is not None:
            await self._tending.check_alone()
        fresh, now = secrets.token_hex(8), time.time()

        def work(root: Any) -> tuple[bool, str, int]:
            if self._lost and "about" not in root:  # a new mind has no place beside the old blobs
                raise DamagedError(
                    f"nothing is left of the image: {self._lost[-1]}; restore a backup: batos "
                    f"restore BACKUP {self.context.options.home} --replace"
                )
            new = awaken(
                root,
                image_id=fresh,
                created=now,
                personas=self.context.personas,
                primitives=PRIMITIVES,
            )
            if self._tending is None:  # what kernels of a cluster left is the lone one's
                for kernel in list(root["unfinished"]):
                    desks.take_over(root, kernel)
            lay_defaults(root, self.context.cast.defaults)
            asleep = grants.settle(root, home) if (home := self.context.home_id) else 0
            return new, root["about"]["id"], asleep

        if self._backups is not None:
            made = await rotation.back_up_before_migration(self.context.image, self._backups)
            if made:
                log.info("backed up before the image is converted: %s", made["folder"])
        new, image_id, asleep = await self.context.image.transact(work, note="awaken")
        log.info("%s image %s", "awakened" if new else "resumed", image_id)
        if asleep:
            log.warning("%d grants of another home sleep: batos grants", asleep)
        await self.context.refresh()
        return image_id

    def _bind(self, zmq_context: zmq.Context[zmq.Socket[bytes]], servers: list[Server]) -> None:
        for endpoint in self.endpoints:
            try:
                servers.append(Server(zmq_context, endpoint))
            except zmq.ZMQError as error:
                log.warning("cannot listen on %s: %s", endpoint.address, error)
                self._not_bound.append(f"{endpoint.address}: {error}")
        if not servers:
            raise BatError("no endpoint is free: " + "; ".join(self._not_bound))
        self._addresses = [server.address for server in servers]

    async def _prepare(self) -> None:
        tending = self._tending
        async with tending.preparing(self._report) if tending else contextlib.nullcontext():
            for step in self.steps:
                fault = await _take(step, self._report, self._note_full)
                self._problem = self._problem or fault
        try:
            await self.examiner.recall()
        except BatError as error:
            log.warning("what the models can do is not known: %s", error)
        self._scheduler.awakening = ""
        self._scheduler.open()
        self.alarm.open()
        for step in self.ahead:  # the request that needs it will say what is wrong
            await _take(step, self._note_loading, self._note_full)
            self._scheduler.loading = ""
        self._awake.set()

    async def _examine(self) -> None:
        await self._awake.wait()
        await self.examiner.keep()

    async def _idle(self) -> None:
        await self._awake.wait()
        await self.heartbeat.keep()

    async def _forge(self) -> None:
        await self._awake.wait()
        if self.smithy is not None:
            self.heartbeat.forge = self.smithy
            await self.smithy.keep()

    def _is_quiet(self, dispatcher: Dispatcher, seconds: float) -> bool:
        """Return True if no mission runs, no model is waited for, and no message came lately."""
        is_wanted = self._scheduler.queued or self.context.roster.waiting
        return not is_wanted and time.monotonic() - dispatcher.last_message >= seconds

    def _report(self, text: str) -> None:
        if text != self._scheduler.awakening:
            log.info("%s", text)
        self._scheduler.awakening = str(text)  # plain: numbers beside it do not go over the wire

    def _note_trouble(self, trouble: str) -> None:
        """Note why nothing can be stored; once it can, run the missions that stopped over it."""
        log.warning("%s", f"nothing can be stored: {trouble}" if trouble else "it can store again")
        self._trouble = f"nothing can be stored: {trouble}" if trouble else ""
        self.on_trouble(self._trouble)
        if not trouble:
            self._resuming = asyncio.create_task(self._resume(), name="resume missions")

    async def _resume(self) -> None:
        try:
            await self._scheduler.resume()
        except BatError as error:  # it fails again; the next recovery tries anew
            log.warning("missions are not resumed: %s", error)

    def _note_full(self, text: str) -> None:
        self._full = text

    def _note_loading(self, text: str) -> None:
        log.info("%s", text)
        self._scheduler.loading = str(text)


def _facts_to_find(boot: str, servers: Sequence[Server]) -> dict[str, Any]:
    """Return what a client needs to find a kernel."""
    return {
        "boot": boot,
        "endpoints": [s.address for s in servers if not s.endpoint.is_remote],
        "remote": [s.address for s in servers if s.endpoint.is_remote],
        "keys": {
            s.address: s.endpoint.curve.public.decode()
            for s in servers
            if s.endpoint.curve is not None
        },
    }


async def _take(step: Step, report: Callable[[str], None], note_full: Callable[[str], None]) -> str:
    """Return what went wrong; "" if nothing did.

    Where the disk is full it waits for room, for ever, and says so: ``note_full`` gets why, and ""
    once there is room.
    """
    try:
        while True:
            try:
                await step(report)
            except StorageFullError as error:
                report(str(error))
                note_full(str(error))
                await asyncio.sleep(EVERY)
            else:
                note_full("")
                return ""
    except BatError as error:
        log.error("awakening: %s", error)  # noqa: TRY400 - the text is for people
        return str(error)
    except Exception:  # one request: known messages must still be answered
        log.exception("awakening")
        return "preparing the models failed; the daemon's log has the details"


def _describe(image: ImageStore) -> dict[str, Any]:
    """Return what monitors ask of the image; its size where no server has to be asked for it."""
    storage, counted = image.storage, image.database.counted
    facts: dict[str, Any] = {name: counted[name] for name in ("commits", "conflicts")}
    if (ahead := getattr(image.database, "clock_ahead", None)) is not None:
        facts["clock_ahead"] = round(ahead, 3)
    return facts if hasattr(storage, "poll_invalidations") else facts | {"bytes": storage.getSize()}
