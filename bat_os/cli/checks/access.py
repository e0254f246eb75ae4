"""Who can get in: where the kernel listens, whose the home directory and the token are."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bat_os.cli.checks.outcome import Outcome, broken, join, ok, warning
from bat_os.cli.shell.access import find_fault

if TYPE_CHECKING:
    from bat_os.cli.checks.outcome import Facts

_AGAIN: Final = "./run.sh stop, then ./run.sh"


def check_doors(facts: Facts) -> list[Outcome]:
    """Return where the kernel listens, or whether it could."""
    health, port = facts.kernel.health, facts.settings.tcp_port
    if not health:
        return [_judge_port(port)]
    closed = [str(door) for door in health.get("closed_doors", ())]
    outcomes = [
        warning("doors", f"closed: {door}", f"another port: BATOS_TCP_PORT=0; then {_AGAIN}")
        for door in closed
    ]
    opened = [str(door) for door in health.get("endpoints", ())]
    outcomes += [_judge_socket(Path(door[6:])) for door in opened if door.startswith("ipc://")]
    if tcp := [door for door in opened if not door.startswith("ipc://")]:
        outcomes.append(ok("doors", f"{join(tcp)}, with the token"))
    return outcomes


def check_permissions(facts: Facts) -> list[Outcome]:
    """Return whether others can get at the home directory or at the token."""
    home, token = facts.home.path, facts.home.lock.parent / "token"
    if fault := find_fault(home):
        found, _, advice = fault.rpartition("; ")
        return [broken("home", found, advice)]
    if not home.exists():
        return [ok("home", f"{home} is not there yet; the first start makes it")]
    if os.name == "nt":
        return [ok("home", f"{home}; permissions are not looked at on Windows")]
    outcomes = [_judge_entry("home", home, 0o700)]
    if token.is_file():
        outcomes.append(_judge_entry("token", token, 0o600))
    if facts.settings.open_loopback:
        found = "BATOS_OPEN_LOOPBACK lets every program of this machine in without the token"
        outcomes.append(warning("token", found, "unset BATOS_OPEN_LOOPBACK"))
    return outcomes


def _judge_port(port: int) -> Outcome:
    if port < 0:
        return ok("doors", "no TCP port is wanted")
    if port == 0:
        return ok("doors", "any free TCP port will do")
    with socket.socket() as probe:
        if os.name != "nt":  # there it would take a port that is in use
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            found = f"TCP port {port} cannot be had: {error.strerror}"
            return warning("doors", f"{found}; that door will stay closed", "set BATOS_TCP_PORT=0")
    return ok("doors", f"TCP port {port} is free")


def _judge_socket(path: Path) -> Outcome:
    if not path.is_socket():
        found = f"the socket {path} is gone; clients cannot find the kernel"
        return broken("doors", found, _AGAIN)
    folder = path.parent.stat()
    if _owner_is_other(folder) or folder.st_mode & 0o077:
        found = f"others can get at the socket {path}"
        return broken("doors", found, f"chmod 700 {path.parent}; then {_AGAIN}")
    return ok("doors", f"ipc://{path}, for you alone")


def _judge_entry(name: str, path: Path, mode: int) -> Outcome:
    """Return whether ``path`` is the owner's alone."""
    about = path.stat()
    shown, advice = f"{path}, mode {stat.S_IMODE(about.st_mode):04o}", f"chmod {mode:o} {path}"
    if _owner_is_other(about):
        found = f"{shown}, belongs to user {about.st_uid}, and you are {os.getuid()}"
        return broken(name, found, "use a home directory of your own: BATOS_HOME=...")
    if about.st_mode & mode != mode:
        return broken(name, f"{shown}: you cannot use it", advice)
    if not about.st_mode & 0o077:
        return ok(name, f"{shown}, yours alone")
    if name == "token" or about.st_mode & 0o022:
        return broken(name, f"{shown}: others can get in", advice)
    return warning(name, f"{shown}: others can look in", advice)


def _owner_is_other(about: os.stat_result) -> bool:
    return about.st_uid != os.getuid()
