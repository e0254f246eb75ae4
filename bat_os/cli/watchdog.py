"""The watchdog's command line: run, start, restart, stop, status.

``run`` is the watchdog. ``start`` spawns a ``run`` that outlives its terminal. They communicate
through the home directory: the lock says whether a watchdog runs, ``status.json`` what it does.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.environment import (
    ROOT,
    as_coded,
    find_home,
    find_name,
    kernel_command,
    kernel_environ,
    list_unread,
    load,
    prefer_sockets,
    require,
    watchdog_command,
)
from bat_os.cli.gateway import LAST_WORDS, make_keeper, read_http
from bat_os.cli.language import HelpParser, RawFormatter, translate
from bat_os.cli.progress import Progress
from bat_os.cli.terminal import begin_log, run_guarded
from bat_os.errors import BatError, LockedError, SettingsError, UpgradeError
from bat_os.failpoints import VARIABLE as FAILPOINT
from bat_os.failpoints import arm
from bat_os.supervisor.home import FileLock, is_held
from bat_os.supervisor.report import Status, read_status, rotate, tail
from bat_os.supervisor.restart import EXIT_FAILED, EXIT_PERMANENT, RestartPolicy

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from types import FrameType

    from bat_os.supervisor.home import Home

EXIT_NOT_RUNNING: Final = 3
START_LIMIT: Final = 300.0  # seconds without any answer from the kernel
WAIT_LIMIT: Final = 15.0  # seconds in which what the daemon waits for is not there
STOP_LIMIT: Final = 60.0  # seconds; the watchdog kills the kernel after 30
LOOK: Final = 0.1

VERBS: Final = """
verbs:
  run     watch the daemon in the foreground, until Ctrl+C or SIGTERM (the default)
  start   the same in the background; does nothing if it runs already
  restart start the daemon anew, and wait until it is ready; starts it if it does not run
  stop    stop the daemon and the watchdog
  status  say whether they run; exit status 0 if they do, 3 if not

The watchdog restarts the daemon if it ends, or if its loop is silent for 15 s. Exit status of run:
0 stopped, 1 gave up, 78 a person must act. To start it with the machine: batos service install.
To upgrade the program: batos upgrade --help.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit status of one command."""
    return run_guarded(lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    prefer_sockets()
    options = _parser().parse_args(argv)
    home = find_home(options.home)
    if options.profile:  # for the watchdog that this starts, and its daemons
        os.environ["BATOS_PROFILE"] = options.profile
    try:
        require(home.path)
        return _carry_out(home, options)
    except SettingsError as error:
        print(translate(f"BAT OS cannot be used: {error}."), file=sys.stderr)
        return EXIT_PERMANENT
    except OSError as error:
        print(translate(f"BAT OS cannot continue: {as_coded(error)}."), file=sys.stderr)
        return EXIT_FAILED


def _carry_out(home: Home, options: argparse.Namespace) -> int:
    if options.verb == "start":
        return start(home, options.max_restarts, wait=options.wait)
    if options.verb == "restart":
        return restart(home, options.max_restarts)
    if options.verb == "stop":
        return stop(home)
    if options.verb == "status":
        return show_status(home)
    return run(home, options.max_restarts)


def _parser() -> argparse.ArgumentParser:
    parser = HelpParser(
        prog="min_watchdog_service.py",
        description="Start, watch, restart and stop the daemon.",
        epilog=VERBS,
        formatter_class=RawFormatter,
    )
    parser.add_argument(
        "verb",
        nargs="?",
        default="run",
        choices=("run", "start", "restart", "stop", "status"),
        metavar="run|start|restart|stop|status",
        help="what to do",
    )
    parser.add_argument("--home", type=Path, help="home directory (default: $BATOS_HOME, or data)")
    parser.add_argument("--wait", action="store_true", help="start: wait until the daemon is ready")
    parser.add_argument(
        "--profile", help="run, start: what the personas think with (BATOS_PROFILE)"
    )
    parser.add_argument(
        "--max-restarts",
        type=int,
        default=RestartPolicy().limit,
        metavar="N",
        help="give up after N restarts in 300 s (default: %(default)s)",
    )
    return parser


def run(home: Home, max_restarts: int) -> int:
    """Watch the kernel until it is stopped or given up; return the exit status."""
    from bat_os.cli.background import Background, Worker  # psutil; only here
    from bat_os.cli.upgrade import make_site
    from bat_os.supervisor.notify import Notifier
    from bat_os.supervisor.supervisor import Supervisor
    from bat_os.supervisor.upgrade.upgrader import Upgrader

    begin_log("%(asctime)s %(levelname)s %(message)s", _read_level(home))
    home.prepare()
    try:
        lock = FileLock(home.lock).acquire()
    except LockedError:
        print(translate("The watchdog is already running."), file=sys.stderr)
        return EXIT_FAILED
    with lock, Worker(Background(ROOT, home, os.environ)), make_keeper(home, os.environ):
        environ = kernel_environ(os.environ)
        supervisor = Supervisor(
            home, kernel_command(home), environ=environ, policy=RestartPolicy(limit=max_restarts)
        )
        supervisor.notifier = Notifier.from_environ(os.environ, os.getpid())
        try:
            arm(os.environ.get(FAILPOINT, ""))
            supervisor.upgrade = Upgrader(make_site(home, os.environ))
        except (SettingsError, UpgradeError) as error:
            print(translate(f"The watchdog cannot start: {error}"), file=sys.stderr)
            return EXIT_PERMANENT

        def ask_to_stop(_number: int, _frame: FrameType | None) -> None:
            supervisor.stop()

        for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), ask_to_stop)
        return supervisor.run()


def _read_level(home: Home) -> str:
    """Return the setting of the logs; settings that are wrong end the kernel, which says so."""
    try:
        return load(home.path, os.environ).settings.log_level
    except SettingsError:
        return "info"


def start(home: Home, max_restarts: int, *, wait: bool) -> int:
    """Start the watchdog in the background unless it runs; return 0 when it is up.

    With ``wait``, show progress and return only when the kernel is ready.
    """
    home.prepare()
    for key, meant in list_unread(os.environ):
        guess = f"; did you mean {meant}?" if meant else ""
        print(translate(f"{key} is set, and nothing reads it{guess}"), file=sys.stderr)
    is_running = is_held(home.lock)
    if is_running:
        print(translate("BAT OS is running already."), file=sys.stderr)
    watchdog = None if is_running else _spawn(home, max_restarts)
    try:
        code = asyncio.run(_await_kernel(home, watchdog, wait=wait))
    except KeyboardInterrupt:
        print(translate("\nStopped waiting; the watchdog still runs."), file=sys.stderr)
        return 130
    if wait and not code:
        _tell_of_setup(home)
    return code


def _tell_of_setup(home: Home) -> None:
    """Say what goes on in the background, how large it is and how to stop it."""
    from bat_os.cli.background import Background  # psutil; only here

    about = Background(ROOT, home, os.environ).describe()
    if about["state"] in ("waiting", "installing"):
        text = f"What GPUs, safetensors and training need is installed meanwhile: {about['size']}."
        print(
            f"{translate(text)} {translate(f'To stop that: {find_name()} setup --later')}",
            file=sys.stderr,
        )


def _spawn(home: Home, max_restarts: int) -> subprocess.Popen[bytes]:
    rotate(home.watchdog_log)
    command = watchdog_command(home)
    with home.watchdog_log.open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - our own command, no shell
            [*command, "--max-restarts", str(max_restarts)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
            | getattr(subprocess, "DETACHED_PROCESS", 0),
        )


async def _await_kernel(
    home: Home, watchdog: subprocess.Popen[bytes] | None, *, wait: bool, ended: str = ""
) -> int:
    """Return 0 when the kernel is ready (or without ``wait`` the watchdog up), else 1.

    The kernel of the boot ``ended`` does not count: another one follows it.
    """
    progress = Progress()
    answered = moved = time.monotonic()
    while not _has_ended(home, watchdog):
        status = _read_current(home, watchdog)
        if not wait and status is not None:
            progress.say(f"The watchdog is running (process {status.watchdog_pid}).")
            return 0
        health = await _ask_health(home) if wait else {}
        if ended and health.get("boot") == ended:
            health = {}
        if health.get("ready") or health.get("problem"):
            problem = health.get("problem")
            doubt = f" but limited: {problem}" if problem else "."
            progress.done(f"BAT OS {health.get('version', '')} is ready{doubt}")
            return 0
        if health:
            answered = time.monotonic()
        elif time.monotonic() - answered > START_LIMIT:
            reason = f"the daemon has not answered for {START_LIMIT:.0f} s"
            return _explain(progress, reason, home.kernel_log)
        if status is None or status.state != "waiting":
            moved = time.monotonic()
        elif time.monotonic() - moved > WAIT_LIMIT:
            progress.say(f"BAT OS waits: {status.reason}. It starts by itself as soon as it can.")
            return EXIT_FAILED
        progress.show(_describe_progress(health, status))
        await asyncio.sleep(LOOK)
    status = read_status(home)
    why = ("the watchdog ended", home.watchdog_log)
    if status is not None and status.state in ("stopped", "failed"):
        why = (status.reason, home.kernel_log)
    return _explain(progress, *why)


def _read_current(home: Home, watchdog: subprocess.Popen[bytes] | None) -> Status | None:
    """Return the status of the watchdog that runs now, not of an earlier one."""
    status = read_status(home)
    if status is None or not is_held(home.lock):
        return None
    if watchdog is not None and watchdog.poll() is None and watchdog.pid != status.watchdog_pid:
        return None
    return status


def _has_ended(home: Home, watchdog: subprocess.Popen[bytes] | None) -> bool:
    """Return True if no watchdog runs and none is starting."""
    if watchdog is not None and watchdog.poll() is None:
        return False
    return not is_held(home.lock)


async def _ask_health(home: Home) -> dict[str, Any]:
    """Return the kernel's report of itself; {} while it does not answer."""
    if not home.endpoint.exists():
        return {}
    from bat_os.client.client import KernelClient  # zmq takes 60 ms

    try:
        async with KernelClient.at(home.path) as kernel:
            health: dict[str, Any] = await kernel.request("health", timeout=2.0)
    except BatError:
        return {}
    return health


def _describe_progress(health: dict[str, Any], status: Status | None) -> str:
    if health:
        return str(health.get("awakening") or "The daemon is waking up.")
    if status is not None and status.state == "waiting":
        return f"Waiting: {status.reason}."
    if status is not None and status.state == "upgrading":
        return f"Upgrading: {status.reason}."
    if status is not None and status.restarts and status.reason:
        return f"Restarting: {status.reason} (restart {status.restarts})."
    return "Starting the daemon."


def _explain(progress: Progress, reason: str, log: Path) -> int:
    """Say why there is no kernel: by its own message, or by the end of a log; return 1."""
    if last := _last_words(log):
        progress.say(f"BAT OS did not start: {last}")
        return EXIT_FAILED
    progress.say(f"BAT OS did not start: {reason}. The end of {log}:")
    for line in tail(log, lines=15):
        progress.say(f"  {line}")
    return EXIT_FAILED


def _last_words(log: Path) -> str:
    """Return the reason that the last line of the log gives for the end of the daemon, or ""."""
    last = "".join(tail(log, lines=1))
    return last.removeprefix(LAST_WORDS) if last.startswith(LAST_WORDS) else ""


def stop(home: Home) -> int:
    """Stop kernel and watchdog; return 0 when both are gone."""
    if not is_held(home.lock):
        print(translate("BAT OS is not running."), file=sys.stderr)
        return 0
    progress = Progress()
    progress.show("Stopping BAT OS.")
    patience = 10.0 if asyncio.run(_ask_shutdown(home)) else 0.0
    if not _await_end(home, patience):
        status = read_status(home)
        if status is not None and status.state not in ("stopped", "failed"):
            os.kill(status.watchdog_pid, signal.SIGTERM)
        if not _await_end(home, STOP_LIMIT):
            progress.say(f"The watchdog does not stop; see {home.watchdog_log}.")
            return EXIT_FAILED
    progress.done("BAT OS has stopped.")
    return 0


def restart(home: Home, max_restarts: int) -> int:
    """Start the kernel anew; return 0 when it is ready. The watchdog stays, where it can.

    So one that a service manager watches stays its child. A kernel that does not answer is stopped
    with its watchdog.
    """
    if not is_held(home.lock):
        return start(home, max_restarts, wait=True)
    before = str(asyncio.run(_ask_health(home)).get("boot", ""))
    if before and asyncio.run(_ask_shutdown(home, restart=True)):
        try:
            return asyncio.run(_await_kernel(home, None, wait=True, ended=before))
        except KeyboardInterrupt:
            print(translate("\nStopped waiting; the watchdog still runs."), file=sys.stderr)
            return 130
    return stop(home) or start(home, max_restarts, wait=True)


async def _ask_shutdown(home: Home, *, restart: bool = False) -> bool:
    """Return True if the kernel accepted the request to stop, or to be started anew.

    Its answer may be lost if it stops at once, so the lock is watched too.
    """
    if not home.endpoint.exists():
        return False
    from bat_os.client.client import KernelClient  # zmq takes 60 ms

    try:
        async with KernelClient.at(home.path) as kernel:
            body = {"restart": restart}
            request = asyncio.create_task(kernel.request("shutdown", timeout=2.0, body=body))
            while not request.done() and is_held(home.lock):
                await asyncio.wait((request,), timeout=LOOK)
            if not request.done():
                request.cancel()
            await request
    except BatError:
        return False
    except asyncio.CancelledError:
        return True
    return True


def _await_end(home: Home, patience: float) -> bool:
    give_up = time.monotonic() + patience
    while is_held(home.lock):
        if time.monotonic() >= give_up:
            return False
        time.sleep(LOOK)
    return True


def _local(moment: str) -> str:
    """Return an ISO time as the clock of this machine shows it."""
    try:
        return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M:%S}"
    except ValueError:
        return moment


def show_status(home: Home) -> int:
    """Print what runs; return 0 if the watchdog does, else 3."""
    status = read_status(home)
    running = is_held(home.lock)
    if status is None or not running:
        print(translate("BAT OS is not running."))
        if status is not None and status.reason:
            print(translate(f"  last     {status.reason}, {_local(status.since)}"))
        if why := _last_words(home.kernel_log):
            print(translate(f"  because  {why}"))
    else:
        state, since = translate(status.state), _local(status.since)
        print(translate(f"BAT OS {status.version} is {state} since {since}."))
        print(
            translate(
                f"  daemon   {f'process {status.pid}' if status.pid else 'none at the moment'}"
            )
        )
        print(translate(f"  watchdog process {status.watchdog_pid}, {status.restarts} restarts"))
        if status.reason:
            kind = {"waiting": "waits", "running": "trouble", "suspect": "trouble"}
            print(translate(f"  {kind.get(status.state, 'last'):<8} {status.reason}"))
    if running and load(home.path, os.environ).settings.cluster:
        from bat_os.cli.doctor.running import show_cluster  # not for every command

        for line in show_cluster(asyncio.run(_ask_health(home)).get("cluster", {})):
            print(translate(f"  cluster  {line}"))
    http = read_http(home) if running else {}
    if http.get("problem"):
        print(translate(f"  http     closed: {http['problem']}"))
    elif http.get("url"):
        print(translate(f"  http     {http['url']}"))
    print(translate(f"  home     {home.path}"))
    print(translate(f"  log      {home.kernel_log}"))
    from bat_os.cli.background import Background, describe  # psutil; not for every command

    about = Background(ROOT, home, os.environ).describe()
    if about["state"] not in ("complete", "absent"):
        print(translate(f"  set-up   second stage {describe(about)}"))
    return 0 if running else EXIT_NOT_RUNNING
