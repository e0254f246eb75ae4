"""``batos``: the kernel itself (``serve``), and one-shot verbs on a running one.

Wires the adapters that the settings choose; nothing else names an adapter class.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import secrets
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import bat_os
from bat_os.core.settings import Settings
from bat_os.errors import BatError, LockedError, SettingsError
from bat_os.supervisor.home import Home, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bat_os.kernel.service import Kernel

log = logging.getLogger(__name__)

ROOT: Final = Path(bat_os.__file__).parents[1]
EXIT_PERMANENT: Final = 78
MAX_SOCKET_PATH: Final = 100


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit status of ``batos``."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments and arguments[0] != "serve" and not arguments[0].startswith("-"):
        from bat_os.cli.verbs import main as run_verb

        return run_verb(arguments)
    options = _parser().parse_args(arguments)
    overrides = {key: value for key, value in vars(options).items() if value is not None}
    supervised = overrides.pop("supervised")
    overrides.pop("verb", None)
    try:
        home = Home(Path(overrides["home"]).absolute()) if "home" in overrides else None
        home = home or Home.find(os.environ, ROOT)
        settings = Settings.from_mapping(os.environ, **overrides | {"home": str(home.path)})
        return serve(home, settings, supervised=supervised)
    except (SettingsError, LockedError) as error:
        print(f"batos: {error}", file=sys.stderr)
        return EXIT_PERMANENT
    except BatError as error:
        print(f"batos: {error}", file=sys.stderr)
        return 1


def serve(home: Home, settings: Settings, *, supervised: bool) -> int:
    """Run a kernel until it is stopped; return its exit status."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    os.umask(0o077)
    home.prepare()
    asyncio.run(_serve(home, settings, supervised=supervised))
    return 0


async def _serve(home: Home, settings: Settings, *, supervised: bool) -> None:
    from bat_os.cli.logs import Journal
    from bat_os.cli.wiring import assemble
    from bat_os.kernel.service import Kernel

    parts = assemble(home, settings)
    journal = Journal(home.path / "metacognition.jsonl")
    kernel = Kernel(parts.mind, _doors(home, settings), parts.steps, journal.write, parts.verbs)
    _stop_on_signals(kernel)
    if supervised:
        _stop_when_stdin_closes(kernel)
    try:
        await kernel.run(lambda facts: _announce(home, facts))
    finally:
        home.endpoint.unlink(missing_ok=True)
        await journal.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="batos",
        description="The kernel of BAT OS. Usually the watchdog starts it.",
        epilog="Verbs on a running kernel: batos send|list|inspect|health|shutdown --help",
    )
    parser.add_argument("verb", nargs="?", choices=["serve"], help="run the kernel (the default)")
    parser.add_argument("--home", help="folder of the image (default: $BATOS_HOME, or data)")
    parser.add_argument("--tcp-port", type=int, dest="tcp_port", help="0: any free one; -1: none")
    parser.add_argument(
        "--supervised", action="store_true", help="go down when standard input closes"
    )
    return parser


def _doors(home: Home, settings: Settings) -> list[tuple[str, str]]:
    token = "" if settings.open_loopback else _token(home)
    doors = []
    if hasattr(os, "fork"):  # Windows has no IPC transport
        doors.append((f"ipc://{_socket_path(home)}", ""))
    if settings.tcp_port >= 0:
        port = str(settings.tcp_port) if settings.tcp_port else "*"
        doors.append((f"tcp://127.0.0.1:{port}", token))
    return doors


def _socket_path(home: Home) -> Path:
    """Return where the IPC socket is; a Unix socket's path has room for 107 bytes only."""
    path = home.lock.parent / "kernel.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        return path
    import hashlib
    import tempfile

    name = hashlib.sha256(os.fsencode(home.path)).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"batos-{os.getuid()}-{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    about = folder.lstat()
    if about.st_uid != os.getuid() or about.st_mode & 0o077 or folder.is_symlink():
        raise SettingsError(f"{folder} belongs to someone else; remove it or shorten BATOS_HOME")
    return folder / "kernel.sock"


def _token(home: Home) -> str:
    """Return the token of the TCP door; made on the first start, readable by the owner only."""
    path = home.lock.parent / "token"
    with contextlib.suppress(FileNotFoundError):
        token = path.read_text(encoding="ascii").strip()
        if token:
            return token
    token = secrets.token_urlsafe(32)
    path.touch(mode=0o600)
    path.write_text(token + "\n", encoding="ascii")
    return token


def _announce(home: Home, facts: Mapping[str, Any]) -> None:
    """Tell clients where the kernel listens."""
    endpoints = facts["endpoints"]
    write_json(
        home.endpoint,
        {
            "pid": os.getpid(),
            "boot": facts["boot"],
            "version": bat_os.__version__,
            "ipc": next((e for e in endpoints if e.startswith("ipc:")), ""),
            "tcp": next((e for e in endpoints if e.startswith("tcp:")), ""),
            "token_file": str(home.lock.parent / "token"),
        },
    )
    log.info("serving on %s", ", ".join(endpoints))


def _stop_on_signals(kernel: Kernel) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, kernel.stop)
        except NotImplementedError:  # Windows' loop
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(kernel.stop))


def _stop_when_stdin_closes(kernel: Kernel) -> None:
    """Go down with the watchdog, however it ends: its end of the pipe closes."""
    loop = asyncio.get_running_loop()

    def wait(stop: Callable[[], None] = kernel.stop) -> None:
        while os.read(0, 4096):
            pass
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            loop.call_soon_threadsafe(stop)

    threading.Thread(target=wait, name="stdin", daemon=True).start()
