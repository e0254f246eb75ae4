"""Verbs about who may come in: keys of other machines, tokens and the page over HTTP."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import socket
import sys
import time
import webbrowser
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.environment import draft_setting, find_name, load, require
from bat_os.cli.gateway import read_http
from bat_os.cli.show.command import Command, show_time
from bat_os.client.keys import KeyRing
from bat_os.client.tokens import TokenRing
from bat_os.core.settings import FILE
from bat_os.errors import ArgumentsError, KernelUnreachableError, SettingsError
from bat_os.supervisor.home import Home, is_held, write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bat_os.cli.console import Screen
    from bat_os.cli.show.command import Ask

PORT: Final = 8000  # which clients of AURA expect
PATIENCE: Final = 30.0  # seconds for the gateway to open
LOOK: Final = 0.1
PACKAGES: Final = ("starlette", "uvicorn", "httptools", "msgspec", "zmq")  # of the gateway


async def _keys(ask: Ask) -> Mapping[str, Any]:
    options, ring, tokens = ask.options, KeyRing(ask.home), TokenRing(ask.home)
    if options.do == "list":
        allowed = ring.allowed()
        server = ring.server()[0] if allowed else ""
        return {"server": server, "allowed": allowed, "tokens": tokens.listed()}
    if not options.name:
        raise ArgumentsError(f"batos keys {options.do} needs a NAME")
    if options.do == "make":
        path = ring.make(options.name, options.connect, options.server)
        return {"made": options.name, "file": str(path), "allowed": not options.server}
    if options.do == "token":
        token = tokens.make(options.name, options.may, options.days)
        return {"token": token, "name": options.name, "may": options.may, "days": options.days}
    if options.do == "allow":
        ring.allow(options.name, options.key)
        return {"allowed": options.name}
    if options.name in tokens.listed():
        tokens.revoke(options.name)
    else:
        ring.revoke(options.name)
    return {"revoked": options.name}


def _show_keys(body: Mapping[str, Any], screen: Screen) -> None:
    if "token" in body:
        screen.answer(body["token"])
        screen.note(f"It is good for {body['days']:g} days, and is not shown again: {body['name']} "
                    f"may {body['may']}.")  # fmt: skip
    elif "made" in body:
        screen.answer(body["file"])
        screen.note("Carry this file to the client's machine, and set BATOS_KEY_FILE to it there.")
        if not body["allowed"]:
            screen.note("The other daemon has to allow its public key: batos keys allow NAME KEY")
    elif "server" in body:
        screen.table(list(body["allowed"].items()), ("NAME", "PUBLIC KEY"))
        screen.note(f"this daemon's public key: {body['server'] or 'none yet; batos keys make'}")
        rows = [
            (name, row["may"], show_time(row["until"]), show_time(row["used"]) or "never")
            for name, row in body["tokens"].items()
        ]
        screen.table(rows, ("TOKEN", "MAY", "UNTIL", "USED"))
    else:
        screen.answer(" ".join(map(str, next(iter(body.items())))))


async def _open(ask: Ask) -> Mapping[str, Any]:
    home = Home(ask.home)
    if ask.options.close:
        await asyncio.to_thread(_set_port, ask.home, -1)
        TokenRing(ask.home).close_pages()
        return {"url": "", "closed": True}
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        lacks = f"the page needs what is not installed: {', '.join(missing)}"
        raise SettingsError(f"{lacks}; {find_name()} setup installs it")
    if not is_held(home.lock):
        raise KernelUnreachableError("BAT OS is not running; start it: ./run.sh start")
    if load(ask.home, os.environ).settings.http_port < 0:
        await asyncio.to_thread(_set_port, ask.home, _free_port())
    url = await _await_gateway(ask.home)
    ring = TokenRing(ask.home)
    page = f"{url}/#code={ring.write_code()}"
    if not ask.options.print and not ask.options.json and _has_screen():
        await asyncio.to_thread(webbrowser.open, ring.write_way(page).resolve().as_uri())
    return {"url": url, "page": page}


async def _await_gateway(home: Path) -> str:
    """Return where the gateway of a home is, once it is there."""
    give_up = time.monotonic() + PATIENCE
    problem = ""
    while time.monotonic() < give_up:
        found = read_http(Home(home))
        if found["url"]:
            return found["url"]
        problem = found["problem"]
        await asyncio.sleep(LOOK)
    raise SettingsError(problem or f"the gateway did not open; see {home / 'log/gateway.log'}")


def _free_port() -> int:
    """Return the usual port, or any free one where it is taken."""
    for port in (PORT, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return 0


def _set_port(home: Path, port: int) -> None:
    require(home)
    write_whole(home / FILE, draft_setting(home, "http_port", port))
    if port < 0 and load(home, os.environ).settings.http_port >= 0:
        raise SettingsError("BATOS_HTTP_PORT is set for the daemon; it counts more than the file")


def _has_screen() -> bool:
    """Return whether a browser can show a page here; on a terminal alone, one would take it."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _show_open(body: Mapping[str, Any], screen: Screen) -> None:
    if body.get("closed"):
        screen.say("HTTP is closed.")
        return
    screen.answer(body["page"])
    screen.note("This address is good once, for a minute. For another program:")
    screen.note(f"  {find_name()} keys token NAME --may learn")
    screen.note(f'  curl {body["url"]}/objects -H "Authorization: Bearer TOKEN"')


COMMANDS: Final[Mapping[str, Command]] = {
    "keys": Command(_show_keys, _keys),
    "open": Command(_show_open, _open),
}
