"""``batos completion SHELL``: a script that makes TAB complete verbs, options and live names.

    eval "$(batos completion bash)"

The shell asks ``batos`` itself at each TAB (argcomplete), so verbs that are added later are
known at once. Names of objects and messages come from a running kernel; without one, or when
it takes longer than half a second, there are none.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import bat_os
from bat_os.cli.show.command import Command
from bat_os.client.client import KernelClient
from bat_os.errors import BatError
from bat_os.supervisor.home import Home

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from bat_os.cli.console import Screen
    from bat_os.cli.show.command import Ask

NAME: Final = "batos"
SHELLS: Final = ("bash", "zsh", "fish", "powershell")
ROOT: Final = Path(bat_os.__file__).parents[1]
PATIENCE: Final = 0.5  # seconds that a TAB may wait for the kernel
_FILES: Final = ("backup", "file", "files", "folder", "home", "source", "target")
# Where no ``batos`` is on the PATH the script makes one that runs this very installation.
_MAKE_COMMAND: Final = {
    "bash": 'command -v {name} >/dev/null || {name}() {{ {python} {script} "$@"; }}\n',
    "fish": "type -q {name}; or function {name}; {python} {script} $argv; end\n",
    "powershell": "if (-not (Get-Command {name} -ErrorAction SilentlyContinue)) "
    "{{ function global:{name} {{ & {python} {script} @args }} }}\n",
}


# A zsh whose start-up files do not begin its completion system does not have ``compdef`` yet.
_BEGIN: Final = {"zsh": "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }\n"}


def write_script(shell: str) -> str:
    """Return the text that a shell has to evaluate, once per session."""
    from argcomplete.shell_integration import shellcode  # only completion needs it

    kind = "bash" if shell == "zsh" else shell
    quote = _quote_powershell if shell == "powershell" else shlex.quote
    made = _MAKE_COMMAND[kind].format(
        name=NAME, python=quote(sys.executable), script=quote(str(ROOT / "batos.py"))
    )
    return _BEGIN.get(shell, "") + made + str(shellcode([NAME], shell=shell))


def _quote_powershell(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def answer(parser: argparse.ArgumentParser) -> None:
    """Answer the shell that has asked for completions, and end the process."""
    import argcomplete  # as above

    argcomplete.autocomplete(
        parser,
        always_complete_options="long",
        default_completer=_complete_name,  # type: ignore[arg-type]  # any callable serves
    )


def _complete_name(
    *, prefix: str, action: argparse.Action, parsed_args: argparse.Namespace, **_: Any
) -> list[str]:
    """Return what a word that names something in the image, or a file, may become."""
    home = _home(parsed_args)
    if action.dest in ("object", "what"):
        return [str(one["name"]) for one in _ask(home, "list").get("objects", ())]
    if action.dest == "selector":
        told = _ask(home, "inspect", target=getattr(parsed_args, "object", ""))
        return [*told.get("methods", ()), *told.get("inherited", ())]
    if action.dest == "document":
        return [str(one["doc_id"]) for one in _ask(home, "documents").get("documents", ())]
    return _list_files(prefix) if action.dest in _FILES else []


def _home(options: argparse.Namespace) -> Path:
    given = getattr(options, "home", None)
    return given.absolute() if given else Home.find(os.environ, ROOT).path


def _ask(home: Path, verb: str, **fields: Any) -> dict[str, Any]:
    """Return what a running kernel answers at once; {} without one."""

    async def ask() -> dict[str, Any]:
        async with KernelClient.at(home, lambda: False) as kernel:
            return await kernel.request(verb, timeout=PATIENCE, **fields)

    try:
        return asyncio.run(ask())
    except BatError:
        return {}


def _list_files(prefix: str) -> list[str]:
    folder, _, start = prefix.rpartition("/")
    base = f"{folder}/" if "/" in prefix else ""
    try:
        found = sorted(Path(base or ".").expanduser().iterdir())
    except OSError:
        return []
    return [
        f"{base}{path.name}/" if path.is_dir() else f"{base}{path.name}"
        for path in found
        if path.name.startswith(start) and (start or not path.name.startswith("."))
    ]


async def _completion(ask: Ask) -> Mapping[str, Any]:
    return {"shell": ask.options.shell, "script": write_script(ask.options.shell)}


def _show(body: Mapping[str, Any], screen: Screen) -> None:
    screen.answer(body["script"].rstrip("\n"))


COMMANDS: Final[Mapping[str, Command]] = {"completion": Command(_show, _completion)}
