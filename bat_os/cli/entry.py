"""What ``run.sh``, ``puter.bat`` and ``batos`` do, with any Python 3.11 and nothing installed.

    a sentence, or nothing   set up .venv (once, resumable) > watchdog up > become chat_client.py
    a verb of batos          become batos.py

The two scripts find a Python and run this module. ``batos`` of an installed program runs it too;
there only the model packages are missing at first. Standard library only until all is there.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import bat_os
from bat_os.cli import launch
from bat_os.cli import main as programs
from bat_os.cli.chat.arguments import make_parser
from bat_os.cli.environment import script_command, take_mind
from bat_os.cli.language import translate
from bat_os.cli.setup import WINDOWS, Setup
from bat_os.cli.terminal import run_guarded
from bat_os.errors import SettingsError
from bat_os.supervisor.home import Home, is_held, read_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bat_os.cli.setup import Scope


def main(argv: Sequence[str] | None = None) -> int:
    """Set up what is missing, make sure that the kernel runs, and become the client."""
    return run_guarded(lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    root, setup = bat_os.ROOT, Setup(bat_os.ROOT)
    me = "batos" if setup.is_installed else "puter.bat" if WINDOWS else "./run.sh"
    if setup.is_installed and "_ARGCOMPLETE" in os.environ:  # a shell wants completions
        return _run(setup, root, "batos.py", arguments)
    if text := launch.describe(arguments, me):
        print(text, end="")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return _dispatch(setup, root, take_mind(arguments), me)
    except SettingsError as error:
        print(translate(str(error)), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(translate("\nInterrupted. Run it again to resume."), file=sys.stderr)
        return 130


def _dispatch(setup: Setup, root: Path, arguments: list[str], me: str) -> int:
    if command := launch.find_command(arguments):
        return _carry_out_command(setup, root, command, arguments[1:])
    if verb := launch.find_verb(arguments):
        if verb == "setup" and {"--all", "--lean"} & set(arguments):
            _complete(setup, "all" if "--all" in arguments else "first", root)
        if arguments[0] == "open" and not {"--home", "--close", "-h", "--help"} & set(arguments):
            _complete(setup, "first", root)
            if status := _ensure_running(setup, root):
                return status
        return _pass_to_batos(setup, root, arguments, me)
    # Check the options now, not after minutes of set-up.
    sentence = make_parser(me).parse_args(arguments).sentence
    if meant := launch.guess(sentence):
        hint = f"{sentence[0]}: did you mean {meant}? A request has several words."
        print(translate(hint), file=sys.stderr)
        return 2
    return _ask(setup, root, arguments)


def _carry_out_command(setup: Setup, root: Path, command: str, options: list[str]) -> int:
    if command == "test" and setup.is_installed:
        raise SettingsError("The tests are in the checkout only: ./run.sh test")
    if command in ("stop", "status"):
        sound = setup.is_sound()
        # One that runs can be stopped, also if what it needs has changed since.
        running = sound and is_held(Home.find(os.environ, root).lock)
        if not running and (not sound or setup.missing("first")):
            said = f"BAT OS is not running; it is not set up{' completely' if sound else ''}."
            print(translate(said))
            return 0 if command == "stop" else 3
        script = "batos.py" if command == "status" else "min_watchdog_service.py"
        return _become([*script_command(script, setup.python, root), command])
    _complete(setup, "tests" if command == "test" else "first", root)
    if command == "test":
        return _become([str(setup.python), str(root / "tests" / "check.py"), *options])
    if command == "restart":
        return _become([*script_command("min_watchdog_service.py", setup.python, root), command])
    return _ensure_running(setup, root)


def _pass_to_batos(setup: Setup, root: Path, arguments: list[str], me: str) -> int:
    """Become batos. No verb but ``open`` sets up or starts anything: most only read."""
    if not setup.is_sound() or setup.missing("first"):
        verb = launch.find_verb(arguments)
        if {"-h", "--help"} & set(arguments) and verb != "serve":
            print(launch.describe_verb(verb, me), end="")
            return 0
        print(translate(f"BAT OS is not set up completely; run {me} start."), file=sys.stderr)
        return 3
    return _run(setup, root, "batos.py", arguments)


def _ask(setup: Setup, root: Path, arguments: list[str]) -> int:
    """Start the kernel if necessary, then become the client."""
    _complete(setup, "first", root)
    return _ensure_running(setup, root) or _run(setup, root, "chat_client.py", arguments)


def _complete(setup: Setup, scope: Scope, root: Path) -> None:
    setup.complete(scope, hold=is_held(Home.find(os.environ, root).lock))
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")


def _ensure_running(setup: Setup, root: Path) -> int:
    """Start the watchdog if none runs; return 0 if the kernel is up."""
    home = Home.find(os.environ, root)
    if is_held(home.lock) and read_json(home.status).get("state") == "running":
        return 0
    command = script_command("min_watchdog_service.py", setup.python, root)
    return subprocess.call([*command, "start", "--wait"])  # noqa: S603 - our own command, no shell


def _run(setup: Setup, root: Path, script: str, arguments: list[str]) -> int:
    """Run a script of ours: in this process if it is of ``.venv``, which saves time."""
    if sys.executable != str(setup.python):
        return _become([*script_command(script, setup.python, root), *arguments])
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if setup.is_installed:
        entry = programs.main if script == "batos.py" else programs.chat
        return entry(arguments)
    sys.argv = [str(root / script), *arguments]
    runpy.run_path(sys.argv[0], run_name="__main__")
    return 0


def _become(command: list[str]) -> int:
    """Replace this process by ``command``; where that is impossible, return its status."""
    sys.stdout.flush()
    sys.stderr.flush()
    if not WINDOWS:
        os.execv(command[0], command)  # noqa: S606 - our own command, no shell
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the command alone
    return subprocess.call(command)  # noqa: S603 - our own command, no shell
