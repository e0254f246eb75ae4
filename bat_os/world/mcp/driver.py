"""The driver of MCP servers: a scope is one server, and the tools that a person said yes to.

    {"server", "program" | "url", "code", "read", "write", "ports", "environment", "token",
     "caged", "trusted", "reads", "tools": {message: tool}}

A server is started at the first call, in a process of its own beside its host. What it says of its
tools is compared with what the grant holds before each call: a tool that has changed waits.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import threading
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from bat_os.core.digest import digest
from bat_os.core.printable import show_control, show_on_one_line
from bat_os.errors import ArgumentsError, GrantWantedError, NotGrantedError, ServerError
from bat_os.ports import READ
from bat_os.world import confined
from bat_os.world.fence import Fence
from bat_os.world.mcp import tools as tool_list
from bat_os.world.mcp.process import Deaths, ServerHost

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bat_os.ports import Operation

    Scope = Mapping[str, Any]

MAX_WORDS: Final = 64
MAX_WORD: Final = 4_096
# What starts a server; two grants with the same share one.
_CONFIG: Final = (
    *("program", "url", "code", "read", "write", "ports", "environment", "token", "caged"),
)
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_TAKEN_BACK: Final = "its grant was taken back"
_HOW: Final = "batos grant-mcp NAME -- PROGRAM ARGS"


class Mcp:
    """Speaks with MCP servers, each behind a host process of its own."""

    name = "mcp"

    def __init__(self, fence: Fence | None = None) -> None:
        self._fence = fence or Fence()
        self._hosts: dict[str, ServerHost] = {}
        self._deaths: dict[str, Deaths] = {}
        self._starting: dict[str, threading.Lock] = {}
        self._ended: set[str] = set()  # whose grant was taken back
        self._lock = threading.Lock()
        self._closed = False

    def claims(self, what: str) -> bool:
        """Return False: a server is granted by a verb of its own."""
        return False

    def scope(self, what: str) -> dict[str, Any]:
        """Refuse: a server is granted by a verb of its own.

        Raises:
            ArgumentsError: Always.
        """
        raise ArgumentsError(f"a server is granted by its program: {_HOW}")

    def meet(self, name: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Return the scope of a server with the tools that it has now; see ``ServerDriver``."""
        scope = dict(wanted) if "tools" in wanted else _read_wanted(name, wanted)
        self._check_folders(scope)
        with self._lock:
            self._ended.discard(_key(scope))
        host = self._host(scope)
        host.look()  # it may run already, for another grant
        tools = tool_list.read_tools(host.tools)
        if not tools:
            raise ServerError(f"the MCP server {name} has no tools", kind="raised")
        if unknown := set(scope["reads"]) - set(tools):
            known = ", ".join(tools)[:500]
            raise ArgumentsError(f"{name} has no {', '.join(sorted(unknown))}; it has {known}")
        return scope | {"tools": tools}

    def part(self, scope: Scope, operation: str) -> Scope:
        """Return a scope with one of its tools."""
        return {**scope, "tools": {operation: scope["tools"][operation]}}

    def signatures(self, scope: Scope) -> Mapping[str, str]:
        """Return how each message is sent."""
        return {
            selector: tool_list.signature(selector, tool)
            for selector, tool in scope["tools"].items()
        }

    def changes(self, before: Scope, after: Scope) -> list[str]:
        """Return what differs between the tools of two scopes, in lines for a person."""
        return [show_control(line) for line in tool_list.changes(before["tools"], after["tools"])]

    def describe(self, scope: Scope) -> str:
        """Return what the server is, and what of this machine it may touch, for a person."""
        if "url" in scope:
            return f"the MCP server at {scope['url']}"
        program = show_on_one_line(" ".join(scope["program"]))
        if not scope["caged"]:
            return f"the MCP server {program}; this program may do what you may do on this machine"
        parts = [f"changes {show_on_one_line(path)}" for path in scope["write"]]
        parts += [f"reads {show_on_one_line(path)}" for path in ("its own code", *scope["read"])]
        parts.append(_network(scope["ports"]))
        return f"the MCP server {program} ({'; '.join(parts)})"

    def short_name(self, scope: Scope) -> str:
        """Return the name of the server."""
        return str(scope["server"])

    def operations(self, scope: Scope) -> Mapping[str, Operation]:
        """Return what can be done: the tools that a person said yes to, each with its kind."""
        return {
            selector: tool_list.operation(
                tool, reads=selector in scope["reads"], trusted=scope["trusted"]
            )
            for selector, tool in scope["tools"].items()
        }

    def contains(self, outer: Scope, inner: Scope) -> bool:
        """Return whether a scope is a part of another one: the same server, and no new tool."""
        same = all(outer.get(key) == inner.get(key) for key in (*_CONFIG, "trusted", "reads"))
        pins = {key: tool["sha256"] for key, tool in outer["tools"].items()}
        return same and all(pins.get(key) == tool["sha256"] for key, tool in inner["tools"].items())

    def reaches(self, scope: Scope, what: str) -> bool:
        """Return whether a path is in what was granted; what else it reaches, it alone knows."""
        try:
            path = Path(what).expanduser()
            return path.is_absolute() and any(
                path.resolve().is_relative_to(each)
                for each in (*scope.get("read", ()), *scope.get("write", ()))
            )
        except (OSError, RuntimeError, ValueError):
            return False

    def perform(self, scope: Scope, operation: str, args: Sequence[Any], key: str = "") -> Any:
        """Send a message to the server and return its answer. Blocks: to be called in a thread.

        Raises:
            ArgumentsError: The arguments are not what the tool takes.
            GrantWantedError: The tool is not what was granted.
            NotGrantedError: The tool changes something, and the kernel does it as no effect; or
                the grant was taken back meanwhile.
            ServerError: The server fails, or does not answer in time.
        """
        tool = scope["tools"].get(operation)
        if tool is None:
            raise NotGrantedError(f"{scope['server']} was granted without {operation}")
        if not key and self.operations(scope)[operation].kind != READ:
            raise NotGrantedError(
                f"{operation} of {scope['server']} may change something; if it only reads, grant "
                f"the server with --read {operation}"
            )
        arguments = tool_list.bind(operation, tool, args[0] if args else {})
        host = self._host(scope)
        try:
            return host.call(tool, arguments, key)
        except ServerError as error:
            if error.details["kind"] == "changed":
                raise self._changed(scope, operation, host) from error
            raise

    def stats(self) -> list[dict[str, Any]]:
        """Return the state of each server that was used, and the last line that it wrote."""
        with self._lock:
            hosts = list(self._hosts.values())
        return [
            {
                "name": host.name,
                "state": host.ended or "running",
                "said": show_control(host.said[-1].strip())[:200] if host.said else "",
            }
            for host in hosts
        ]

    def end(self, scope: Scope, live: Iterable[Scope]) -> None:
        """End the server of a scope, unless one of the ``live`` scopes has the same one."""
        key = _key(scope)
        if any(_key(each) == key for each in live):
            return
        with self._lock:
            self._ended.add(key)
            host = self._hosts.get(key)
        if host is not None:
            host.close(_TAKEN_BACK)

    def close(self) -> None:
        """End all servers. Idempotent."""
        with self._lock:
            self._closed = True
            hosts = list(self._hosts.values())
        for host in hosts:
            host.close("the daemon is going down")

    def _host(self, scope: Scope) -> ServerHost:
        """Return the server of a scope, started if it does not run."""
        name, key = str(scope["server"]), _key(scope)
        with self._lock:
            starting = self._starting.setdefault(key, threading.Lock())
            deaths = self._deaths.setdefault(key, Deaths())
        with starting:
            host = self._hosts.get(key)
            if host is not None and not host.ended:
                return host
            if key in self._ended:  # a message that was on its way
                raise NotGrantedError(f"{name} was granted, and that was taken back")
            deaths.check(name)
            host = ServerHost(name, _config(scope) | self._inside(scope))
            with self._lock:
                self._hosts[key] = host
                why = "the daemon is going down" if self._closed else ""
                why = why or (_TAKEN_BACK if key in self._ended else "")
            if why:
                host.close(why)
            deaths.add()
            host.open()
            return host

    def _check_folders(self, scope: Scope) -> None:
        """Refuse folders that nobody can grant.

        Raises:
            NotGrantedError: There is one.
        """
        for path in (*scope.get("read", ()), *scope.get("write", ())):
            self._fence.check_grant(Path(path))
        for path in scope.get("write", ()):
            self._fence.check_whole(Path(path))

    def _inside(self, scope: Scope) -> dict[str, Any]:
        """Return what the cage of a server keeps from it, in the folders that it is given. Blocks.

        Raises:
            NotGrantedError: It is given more than can be looked at, or what nobody can grant.
        """
        if not scope.get("caged"):
            return {}
        self._check_folders(scope)
        code = (scope["program"][0], *scope["code"])
        return {"closed": self._fence.inside((*scope["read"], *scope["write"]), code)}

    def _changed(self, scope: Scope, operation: str, host: ServerHost) -> GrantWantedError:
        """Return what is said when a server has other words for a tool than when it was granted."""
        pinned, now = scope["tools"][operation], tool_list.read_tools(host.tools)
        there = [tool for tool in now.values() if tool["name"] == pinned["name"]][:1]
        name = scope["server"]
        return GrantWantedError(
            f"{operation} of {name} is not the tool that you granted any more; see what changed "
            f"with: batos grant-mcp {name}, and say yes with: batos grant-mcp {name} --renew",
            driver=self.name,
            operation=operation,
            what=[name],
            changes=self.changes(
                {"tools": {operation: pinned}},
                {"tools": dict(zip((operation,), there, strict=False))},
            ),
        )


def _config(scope: Scope) -> dict[str, Any]:
    """Return what starts the server of a scope."""
    return {key: scope[key] for key in _CONFIG if key in scope}


def _key(scope: Scope) -> str:
    return digest(json.dumps(_config(scope), sort_keys=True))


def _read_wanted(name: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scope of a server without its tools.

    Raises:
        ArgumentsError: It cannot be granted.
    """
    words = list(wanted["program"])
    if not words or len(words) > MAX_WORDS or any(len(word) > MAX_WORD for word in words):
        raise ArgumentsError(f"name a program or an address: {_HOW}")
    if any(type(word) is not str or "\0" in word for word in words):
        raise ArgumentsError("the words of a program are texts")
    scope: dict[str, Any] = {
        "server": name,
        "trusted": bool(wanted["trusted"]),
        "reads": " ".join(wanted["reads"]).replace(",", " ").split(),
    }
    if "://" in words[0]:
        return scope | _read_address(words, str(wanted["token"]))
    if wanted["token"]:
        raise ArgumentsError("a token is for a server with an address; a program gets --env NAME")
    found = shutil.which(words[0])
    if found is None:
        raise ArgumentsError(f"there is no program {words[0][:200]!r}; say its whole path")
    program = [str(Path(found).absolute()), *words[1:]]
    write = [_existing(path) for path in wanted["write"]]
    return scope | {
        "program": program,
        "code": sorted(_own_code(program) - {*write}),
        "read": sorted({*map(_existing, wanted["read"])} - {*write}),
        "write": write,
        "ports": sorted({_port(net) for net in wanted["net"]}),
        "environment": [_variable(each) for each in wanted["environment"]],
        "caged": confined.holds(),
    }


def _read_address(words: Sequence[str], token: str) -> dict[str, Any]:
    if len(words) > 1:
        raise ArgumentsError("an address takes no arguments")
    try:
        parts = urlsplit(words[0])
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits, parts = False, urlsplit("")
    if not fits or parts.username or parts.password or parts.fragment:
        raise ArgumentsError(f"{words[0][:200]!r} is not an address such as https://host/mcp")
    return {"url": words[0], "token": _variable(token) if token else ""}


def _existing(path: Any) -> str:
    place = Path(str(path)).expanduser()
    try:
        if place.is_absolute() and place.exists():
            return str(place.resolve())
    except (OSError, RuntimeError, ValueError):
        pass
    raise ArgumentsError(f"{str(path)[:200]!r} is neither a folder nor a file; say its whole path")


def _network(ports: Sequence[int]) -> str:
    if not ports:
        return "no network"
    if not confined.limits_ports():
        return "reaches every port of any host"
    named = ", ".join(map(str, ports))
    return f"reaches port{'s' * (len(ports) > 1)} {named} of any host, and UDP"


def _port(net: Any) -> int:
    _, _, port = str(net).rpartition(":")
    if not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise ArgumentsError(f"{str(net)[:100]!r} is not HOST:PORT")
    return int(port)


def _variable(name: Any) -> str:
    if not _VARIABLE.fullmatch(str(name)):
        raise ArgumentsError(f"{str(name)[:100]!r} is not the name of a variable")
    return str(name)


def _own_code(program: Sequence[str]) -> set[str]:
    """Return the folders with the code of a program: its virtual environment, its modules."""
    found: set[str] = set()
    said = [Path(word) for word in program if PurePath(word).is_absolute() and Path(word).exists()]
    for path in {*said, *(each.resolve() for each in said)}:
        home = path.parent.parent
        if (home / "pyvenv.cfg").is_file():
            found |= {str(home), *_base_of(home / "pyvenv.cfg")}
        if "node_modules" in path.parts:
            at = path.parts.index("node_modules") + 1
            found.add(str(Path(*path.parts[:at])))
    resolved = Path(program[0]).resolve()
    if resolved.parent.name in ("bin", "Scripts") and resolved != Path(program[0]):
        found.add(str(resolved.parent.parent))
    return {path for path in found if path not in ("/", "/usr", str(Path.home()))}


def _base_of(config: Path) -> set[str]:
    """Return where the Python of a virtual environment comes from."""
    lines = config.read_text(encoding="utf-8", errors="replace").splitlines()
    homes = [line.partition("=")[2].strip() for line in lines if line.startswith("home")]
    same = {str(Path(sys.base_prefix).resolve())} if not homes else set[str]()
    return same | {str(Path(home).resolve().parent) for home in homes if Path(home).is_dir()}
