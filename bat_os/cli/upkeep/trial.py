"""What an upgrade needs of the command line's world: settings, the trial, the way to wait.

The trial starts a kernel of the new program on the real image, behind doors that no client
knows, so that nothing it acknowledges can be lost when it is taken back.
"""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import bat_os
from bat_os.cli.watchdog import ROOT, kernel_command, kernel_environ
from bat_os.core.settings import IMAGE
from bat_os.errors import BatError, KernelUnreachableError, UpgradeError
from bat_os.supervisor.home import Home, read_json
from bat_os.supervisor.logfile import tail
from bat_os.supervisor.process import KernelProcess, Launch, StopTimes
from bat_os.supervisor.upgrade.upgrader import Site, Upgrader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bat_os.client.client import KernelClient
    from bat_os.supervisor.program import Program

TRIAL_SECONDS: Final = 60.0
ANSWER: Final = 2.0  # seconds for one answer
LOOK: Final = 0.05
NO_TCP: Final = "-1"
ANY_TCP: Final = "0"


def make_upgrader(home: Home, environ: Mapping[str, str]) -> Upgrader:
    """Return what carries out upgrades of ``home``.

    Raises:
        UpgradeError: An upgrade was going on, and its journal cannot be read.
    """
    return Upgrader(make_site(home, environ))


def make_site(home: Home, environ: Mapping[str, str]) -> Site:
    """Return what is upgraded."""
    return Site(
        home=home,
        root=ROOT,
        version=bat_os.__version__,
        locate_image=lambda: _locate_image(home, environ),
        command=lambda program: kernel_command(home, program),
        trial=lambda program, show: try_out(home, program, kernel_environ(environ), show),
    )


def _locate_image(home: Home, environ: Mapping[str, str]) -> Path:
    from bat_os.cli.shell.config import load  # the console's libraries; only an upgrade needs it

    location = load(home.path, environ).settings.image
    if "://" in location:
        raise UpgradeError(
            f"the image is at {location.partition('://')[0]}://..., not a file here; back it up "
            "with the tools of its storage and start the new program by hand"
        )
    return Path(location).absolute() if location else home.path / IMAGE


def try_out(
    home: Home, program: Program, environ: Mapping[str, str], show: Callable[[int], None]
) -> None:
    """Return when a kernel of ``program`` serves the image well and has gone down in order.

    Raises:
        UpgradeError: It does not, within TRIAL_SECONDS.
    """
    trial = Home(home.path, trial=True)
    trial.endpoint.unlink(missing_ok=True)
    ended = threading.Event()
    tcp = NO_TCP if hasattr(asyncio, "open_unix_connection") else ANY_TCP
    command = [*kernel_command(home, program), "--trial", "--tcp-port", tcp]
    try:
        process = KernelProcess(
            Launch(command, home.kernel_log, environ), lambda _code, _at: ended.set()
        )
    except OSError as error:
        raise UpgradeError(f"the new program cannot be started: {error}") from error
    show(process.pid)
    trouble = ""
    try:
        asyncio.run(_examine(trial, process.pid, program, ended))
    except BatError as error:
        trouble = str(error)
    finally:
        code = process.stop(StopTimes())
        trial.endpoint.unlink(missing_ok=True)
    if code and not trouble:
        trouble = f"it went down with status {code}"
    if trouble:
        last = " | ".join(tail(home.kernel_log, lines=3))
        raise UpgradeError(f"the new program does not serve: {trouble}. Its last words: {last}")


async def _examine(trial: Home, pid: int, program: Program, ended: threading.Event) -> None:
    """Wait until the kernel is ready, and send it a message."""
    from bat_os.client.client import KernelClient  # zmq takes 60 ms

    give_up = time.monotonic() + TRIAL_SECONDS
    while (told := read_json(trial.endpoint)).get("pid") != pid:
        _check(ended, give_up)
        await asyncio.sleep(LOOK)
    endpoint = str(told.get("ipc") or told.get("tcp"))
    token = _read_token(Path(str(told.get("token_file")))) if not told.get("ipc") else ""
    async with KernelClient(endpoint, token) as kernel:
        while not (health := await _ask_health(kernel)).get("ready"):
            if health.get("problem"):
                raise UpgradeError(str(health["problem"]))
            _check(ended, give_up)
            await asyncio.sleep(LOOK)
        if health.get("version") != program.version:
            raise UpgradeError(f"it is version {health.get('version')}, not {program.version}")
        await _smoke(kernel, _left(give_up))


async def _ask_health(kernel: KernelClient) -> dict[str, Any]:
    """Return what it says of itself; nothing while it does not answer."""
    try:
        return await kernel.request("health", timeout=ANSWER)
    except KernelUnreachableError:
        return {}


async def _smoke(kernel: KernelClient, patience: float) -> None:
    """Send a message that every image answers, through dispatcher, turn and image."""
    answer = await kernel.request(
        "send", timeout=patience, target="genesis_obj", selector="respondsTo", args=["clone"]
    )
    if answer.get("result") is not True:
        raise UpgradeError(f"genesis_obj.respondsTo('clone') gave {answer.get('result')!r:.80}")


def _left(give_up: float) -> float:
    return max(0.1, give_up - time.monotonic())


def _check(ended: threading.Event, give_up: float) -> None:
    if ended.is_set():
        raise UpgradeError("it has ended")
    if time.monotonic() > give_up:
        raise UpgradeError(f"it was not ready within {TRIAL_SECONDS:.0f} s")


def _read_token(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise UpgradeError(f"the token {path} cannot be read: {error}") from error
