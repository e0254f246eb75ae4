"""``batos mcp``: a server of tools for the host that starts it, and what a host has to know.

Standard output is the protocol's: nothing else may be written there while it serves.
"""

from __future__ import annotations

import importlib.util
import json
import shlex
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.environment import script_command
from bat_os.cli.gateway import read_http
from bat_os.cli.show.command import Command
from bat_os.client.client import find_kernel
from bat_os.errors import SettingsError
from bat_os.supervisor.home import Home

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bat_os.cli.console import Screen
    from bat_os.cli.show.command import Ask

NAME: Final = "batos"
HOST: Final = "mcp"  # who asks, in the history of what was changed
# Where each host keeps what it has to know.
FILES: Final[Mapping[str, str]] = {
    "claude": "claude_desktop_config.json (Settings, Developer, Edit Config)",
    "cursor": ".cursor/mcp.json in a project, or ~/.cursor/mcp.json",
    "vscode": ".vscode/mcp.json in a project",
}


async def _mcp(ask: Ask) -> Mapping[str, Any]:
    if host := ask.options.print:
        return {"host": host, "text": write_for(host, ask.home, ask.options.may)}
    if importlib.util.find_spec("mcp") is None:
        raise SettingsError("the package mcp is not installed; batos setup --all installs it")
    # These take a second, which only a host waits for.
    from bat_os.gateway.link import KernelLink
    from bat_os.gateway.mcp.server import serve_stdio
    from bat_os.gateway.mcp.toolbox import Asker
    from bat_os.gateway.streams import Hub

    link = KernelLink(lambda: find_kernel(ask.home))
    try:
        await serve_stdio(link, Hub(link), Asker(HOST, ask.options.may))
    finally:
        link.close()
    return {}


def write_for(host: str, home: Path, may: str) -> str:
    """Return what a host has to know, in its own form."""
    python, *script = script_command("batos.py")
    words = [*script, "mcp", "--home", str(home), "--may", may]
    started = {"command": python, "args": words}
    if host == "claude-code":
        return shlex.join(["claude", "mcp", "add", NAME, "--", python, *words])
    if host == "http":
        url = read_http(Home(home))["url"] or "http://127.0.0.1:8000"
        about = {"type": "http", "url": f"{url}/mcp", "headers": {"Authorization": "Bearer TOKEN"}}
        return json.dumps({"mcpServers": {NAME: about}}, indent=2)
    if host == "vscode":
        return json.dumps({"servers": {NAME: {"type": "stdio", **started}}}, indent=2)
    return json.dumps({"mcpServers": {NAME: started}}, indent=2)


def _show(body: Mapping[str, Any], screen: Screen) -> None:
    if not body:
        return
    screen.answer(body["text"])
    if body["host"] in FILES:
        screen.note(f"Put this into {FILES[body['host']]}.")
    elif body["host"] == "http":
        screen.note("TOKEN is one of: batos keys token NAME --may learn")


COMMANDS: Final[Mapping[str, Command]] = {"mcp": Command(_show, _mcp)}
