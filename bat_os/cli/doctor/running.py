"""The running system: kernel, watchdog, crash reports, logs, and who can get in."""

from __future__ import annotations

import datetime as dt
import os
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil

from bat_os import __version__
from bat_os.cli.doctor.outcome import KernelFacts, Outcome, broken, join, ok, warning
from bat_os.cli.environment import find_fault
from bat_os.cli.gateway import read_http
from bat_os.errors import BatError
from bat_os.models.profiles import show_size
from bat_os.supervisor.home import is_held, read_json
from bat_os.supervisor.report import read_status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.cli.doctor.outcome import Facts
    from bat_os.client.client import KernelClient
    from bat_os.supervisor.home import Home
    from bat_os.supervisor.report import Status


PATIENCE: Final = 5.0  # seconds; even a busy kernel answers within 0.1
SLACK: Final = 5.0  # seconds by which the clocks of processes and files may differ
# Of spread objects it is 0.02; several kernels that write one object have 2 to 12.
MANY_COMMITS, MUCH_CONFLICT = 100, 1.0
MUCH_SKEW: Final = 2.0  # seconds
MUCH_LOG: Final = 200 * 10**6
DAY: Final = dt.timedelta(days=1)
_AGAIN: Final = "./run.sh stop, then ./run.sh"
_SEEN_AGAIN: Final = "look at the folder or database that the setting cluster names"
_SET_CLOCKS: Final = "set the clocks of both machines by NTP"
_WHY: Final = f"batos logs says more; after fixing it: {_AGAIN}"


async def ask_kernel(kernel: KernelClient, home: Home) -> KernelFacts:
    """Return how the kernel answers: at once if there is none, after PATIENCE if it hangs."""
    endpoint = read_json(home.endpoint)
    if not endpoint:
        return KernelFacts()
    pid = endpoint.get("pid")
    if not isinstance(pid, int) or isinstance(pid, bool) or pid < 1:
        pid = 0
    alive = _was_there(pid, home.endpoint)
    if pid and not alive:
        return KernelFacts(pid=pid, trouble=f"process {pid} was killed")
    try:
        health = await kernel.request("health", timeout=PATIENCE)
    except BatError as error:
        return KernelFacts(pid=pid, alive=alive, trouble=str(error))
    return KernelFacts(health, pid, alive=True)


def check_kernel(facts: Facts) -> list[Outcome]:
    """Return whether a kernel answers, and what it reports."""
    health = facts.kernel.health
    if not health:
        return [_judge_silence(facts)]
    name = f"version {health.get('version')}, process {health.get('pid')}"
    name += f", up {show_uptime(float(health.get('uptime', 0)))}"
    if problem := health.get("problem"):
        return [broken("kernel", f"{name}, serves what it knows, but: {problem}", _WHY)]
    if doing := health.get("awakening"):
        return [ok("kernel", f"{name}, still waking up: {doing}")]
    if health.get("version") != __version__:
        text = f"{name}, but these files are version {__version__}"
        return [warning("kernel", text, _AGAIN)]
    loading = f", still {health['loading']}" if health.get("loading") else ""
    return [ok("kernel", f"{name}, ready{loading}, {health.get('queued', 0)} requests wait")]


def check_servers(facts: Facts) -> list[Outcome]:
    """Return how the servers of tools are that were used, with the last line of each."""
    outcomes = []
    for server in facts.kernel.health.get("servers", ()):
        said = f", said last: {server['said']}" if server["said"] else ""
        outcomes.append(ok("servers", f"{server['name']}: {server['state']}{said}"))
    return outcomes


def check_cluster(facts: Facts) -> list[Outcome]:
    """Return how the kernels are that serve the same image."""
    cluster = facts.kernel.health.get("cluster", {})
    if trouble := cluster.get("trouble"):
        return [warning("cluster", f"the others are not seen: {trouble}", _SEEN_AGAIN)]
    lines = [ok("cluster", line) for line in show_cluster(cluster)]
    if not lines:
        return []
    image = facts.kernel.health.get("image", {})
    return [*lines, *_judge_blobs(cluster), *_judge_clock(image), *_judge_conflicts(image)]


def _judge_blobs(cluster: Mapping[str, Any]) -> list[Outcome]:
    """Return whether the kernels that live read the same file in their blob folders."""
    living = [one for one in cluster["kernels"] if one["living"] and one.get("blobs")]
    own = next((one["blobs"] for one in living if one["kernel"] == cluster["kernel"]), "")
    if not own:
        return []
    if others := [f"{one['host']}:{one['home']}" for one in living if one["blobs"] != own]:
        text = f"the blob folder here is not that of {join(others)}"
        return [broken("blob folder", text, "mount the same folder on each machine: blob_dir")]
    return [ok("blob folder", f"the same for {len(living)} kernels that live")]


def _judge_clock(image: Mapping[str, Any]) -> list[Outcome]:
    """Return how far the clock is off that stamps what is committed."""
    if (ahead := image.get("clock_ahead")) is None:
        return []
    if abs(ahead) < MUCH_SKEW:
        return [ok("clock", "this machine's and that of the image's server agree")]
    text = f"the image's server is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} here"
    return [warning("clock", f"{text}, and so are times of --at and history", _SET_CLOCKS)]


def _judge_conflicts(image: Mapping[str, Any]) -> list[Outcome]:
    """Return how often this kernel's commits were beaten by another writer."""
    if not (commits := image.get("commits", 0)):
        return []
    each = image["conflicts"] / commits
    text = f"{commits} commits since the daemon started, {each:.2f} conflicts each"
    if commits < MANY_COMMITS or each < MUCH_CONFLICT:
        return [ok("conflicts", text)]
    return [warning("conflicts", text, "have what all kernels write asked of one: docs/scaling.md")]


def show_cluster(cluster: Mapping[str, Any]) -> list[str]:
    """Return a line for each kernel of a cluster, of what ``health`` says of it."""
    lines = []
    for one in cluster.get("kernels", ()):
        state = "lives" if one["living"] else "is dead; its missions are being taken over"
        leads = ", leads" if one["leads"] else ""
        here = ", this one" if one["kernel"] == cluster["kernel"] else ""
        place = f" on {one['host']} in {one['home']}" if one["host"] else ""
        count = f"{one['missions']} {'request' if one['missions'] == 1 else 'requests'}"
        lines.append(f"{one['kernel']}{place} {state}{leads}{here}: {count}, {cluster['engine']}")
    return lines


def check_watchdog(facts: Facts) -> list[Outcome]:
    """Return what the watchdog does, and why it gave up if it did."""
    status = read_status(facts.home)
    if not is_held(facts.home.lock):
        return [_judge_unwatched(facts, status)]
    if status is None:
        return [ok("watchdog", "it is starting")]
    text = f"{status.state} since {status.since}, process {status.watchdog_pid}"
    text += f", {status.restarts} restarts"
    if status.state in ("restarting", "waiting") or (status.state == "running" and status.reason):
        return [warning("watchdog", f"{text}: {status.reason}", f"see {facts.home.kernel_log}")]
    return [ok("watchdog", text)]


def check_crashes(facts: Facts) -> list[Outcome]:
    """Return the crashes of the last day."""
    since = dt.datetime.now(dt.UTC) - DAY
    recent = [path for path in sorted(facts.home.crashes.glob("*.json")) if _written(path) > since]
    if not recent:
        return [ok("crashes", "none in the last day")]
    last = read_json(recent[-1])
    lines = last.get("log")
    said = f", said last: {lines[-1]}" if isinstance(lines, list) and lines else ""
    text = f"{len(recent)} in the last day; the last with exit status {last.get('exit')}{said}"
    return [warning("crashes", text, f"see {recent[-1]}")]


def check_logs(facts: Facts) -> list[Outcome]:
    """Return the size of the logs."""
    names = (
        facts.home.path / facts.settings.metacognition_log_file,
        facts.home.kernel_log,
        facts.home.watchdog_log,
    )
    files = [file for name in names for file in name.parent.glob(f"{name.name}*")]
    size = sum(file.stat().st_size for file in files if file.is_file())
    text = f"{show_size(size)} in {len(files)} file{'s' * (len(files) != 1)}"
    if size > MUCH_LOG:
        largest = max(files, key=lambda file: file.stat().st_size)
        return [warning("logs", text, f"the largest is {largest}; old ones may be deleted")]
    return [ok("logs", text)]


def show_uptime(seconds: float) -> str:
    """Return a span of time for people.

    >>> show_uptime(42), show_uptime(4000), show_uptime(200_000)
    ('42 s', '67 min', '56 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def _judge_silence(facts: Facts) -> Outcome:
    kernel, endpoint = facts.kernel, facts.home.endpoint
    if not endpoint.exists():
        state = read_status(facts.home)
        if state is not None and is_held(facts.home.lock):
            text = f"not running; the watchdog is {state.state}"
            return warning("kernel", text, "batos logs shows what it does")
        return warning("kernel", "not running", "start it with ./run.sh")
    if kernel.pid and not kernel.alive:
        text = f"not running; process {kernel.pid} was killed and left {endpoint}"
        return warning("kernel", text, "start it with ./run.sh, which replaces the file")
    if not kernel.trouble:
        return broken("kernel", f"{endpoint} cannot be read", f"rm {endpoint}; {_AGAIN}")
    who = f"process {kernel.pid}" if kernel.pid else f"the daemon that {endpoint} names"
    return broken("kernel", f"{who} does not answer: {kernel.trouble}", _AGAIN)


def _judge_unwatched(facts: Facts, status: Status | None) -> Outcome:
    state = status.state if status is not None else "stopped"
    if status is not None and state == "failed":
        text = f"it gave up, {status.since}: {status.reason}"
        return broken("watchdog", text, f"see {facts.home.kernel_log}; then ./run.sh")
    if status is not None and state != "stopped":
        text = f"it was killed while it was {state}, since {status.since}"
        return warning("watchdog", text, "./run.sh starts it again")
    if facts.kernel.health:
        text = "not running: the daemon will not be restarted if it ends"
        return warning("watchdog", text, "stop the daemon (batos shutdown), then ./run.sh")
    return ok("watchdog", "not running")


def _was_there(pid: int, file: Path) -> bool:
    """Return True if process ``pid`` has run since before ``file`` was written."""
    try:
        created = psutil.Process(pid).create_time() if pid else None
        return created is not None and created < file.stat().st_mtime + SLACK
    except (psutil.Error, OSError, OverflowError):
        return False


def _written(path: Path) -> dt.datetime:
    """Return when a crash report was written, by its name; long ago if the name is odd."""
    try:
        return dt.datetime.strptime(path.stem, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=dt.UTC)
    except ValueError:
        return dt.datetime.min.replace(tzinfo=dt.UTC)


def check_doors(facts: Facts) -> list[Outcome]:
    """Return where the kernel listens, or whether it could listen."""
    health, port = facts.kernel.health, facts.settings.tcp_port
    if not health:
        return [_judge_port(port), *_check_http(facts)]
    closed = [str(door) for door in health.get("closed_doors", ())]
    outcomes = [
        warning("doors", f"closed: {door}", f"another port: BATOS_TCP_PORT=0; then {_AGAIN}")
        for door in closed
    ]
    opened = [str(door) for door in health.get("endpoints", ())]
    outcomes += [_judge_socket(Path(door[6:])) for door in opened if door.startswith("ipc://")]
    if tcp := [door for door in opened if not door.startswith("ipc://")]:
        outcomes.append(ok("doors", f"{join(tcp)}, with the token"))
    return outcomes + _check_http(facts)


def _check_http(facts: Facts) -> list[Outcome]:
    http = read_http(facts.home)
    if not http["problem"] or not is_held(facts.home.lock):
        return [ok("doors", http["url"])] if http["url"] else []
    advice = "http_port = 0 in batos.toml takes any free port; log/gateway.log has more"
    return [warning("doors", f"http is closed: {http['problem']}", advice)]


def check_permissions(facts: Facts) -> list[Outcome]:
    """Return whether other users can access the home directory or the token."""
    home, token = facts.home.path, facts.home.lock.parent / "token"
    if fault := find_fault(home):
        text, _, advice = fault.rpartition("; ")
        return [broken("home", text, advice)]
    if not home.exists():
        return [ok("home", f"{home} does not exist yet; the first start makes it")]
    if os.name == "nt":
        return [ok("home", f"{home}; permissions are not checked on Windows")]
    outcomes = [_judge_entry("home", home, 0o700)]
    if token.is_file():
        outcomes.append(_judge_entry("token", token, 0o600))
    if facts.settings.open_loopback:
        text = "BATOS_OPEN_LOOPBACK lets every program on this machine connect without the token"
        outcomes.append(warning("token", text, "unset BATOS_OPEN_LOOPBACK"))
    return outcomes


def _judge_port(port: int) -> Outcome:
    if port < 0:
        return ok("doors", "no TCP port is configured")
    if port == 0:
        return ok("doors", "any free TCP port is used")
    with socket.socket() as probe:
        if os.name != "nt":  # there this option would bind a port that is in use
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            text = f"TCP port {port} is not available: {error.strerror}"
            return warning("doors", f"{text}; it stays closed", "set BATOS_TCP_PORT=0")
    return ok("doors", f"TCP port {port} is free")


def _judge_socket(path: Path) -> Outcome:
    if not path.is_socket():
        text = f"the socket {path} is gone; clients cannot find the daemon"
        return broken("doors", text, _AGAIN)
    folder = path.parent.stat()
    if _owner_is_other(folder) or folder.st_mode & 0o077:
        text = f"other users can access the socket {path}"
        return broken("doors", text, f"chmod 700 {path.parent}; then {_AGAIN}")
    return ok("doors", f"ipc://{path}, for you alone")


def _judge_entry(name: str, path: Path, mode: int) -> Outcome:
    """Return whether only the owner can access ``path``."""
    about = path.stat()
    shown, advice = f"{path}, mode {stat.S_IMODE(about.st_mode):04o}", f"chmod {mode:o} {path}"
    if _owner_is_other(about):
        text = f"{shown}, belongs to user {about.st_uid}, and you are {os.getuid()}"
        return broken(name, text, "use a home directory of your own: BATOS_HOME=...")
    if about.st_mode & mode != mode:
        return broken(name, f"{shown}: you cannot use it", advice)
    if not about.st_mode & 0o077:
        return ok(name, f"{shown}, yours alone")
    if name == "token" or about.st_mode & 0o022:
        return broken(name, f"{shown}: other users can write or connect", advice)
    return warning(name, f"{shown}: other users can read it", advice)


def _owner_is_other(about: os.stat_result) -> bool:
    return about.st_uid != os.getuid()
