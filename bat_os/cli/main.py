"""Where the commands begin: ``batos`` (the kernel itself, or one verb) and ``batos-chat``.

Imports stand inside the functions. So ``main`` can say what to do if packages are missing, and
the kernel, which may have to be back at once, does not wait for the imports of verbs.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import faulthandler
import logging
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Final

from bat_os.cli.language import translate
from bat_os.cli.terminal import begin_log, run_guarded
from bat_os.errors import BatError, DamagedError, FormatError, LockedError, SettingsError
from bat_os.failpoints import arm
from bat_os.supervisor.home import Home
from bat_os.supervisor.restart import (
    BEFORE,
    EXIT_FAILED,
    EXIT_PERMANENT,
    EXIT_RESTART,
    EXIT_STOPPED,
    EXIT_WAIT,
    OUTSIDE,
    can_pass,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bat_os.cli.parser import Parser
    from bat_os.core.settings import Settings
    from bat_os.kernel.service import Kernel
    from bat_os.ports import Cell

log = logging.getLogger(__name__)

COMPLETING: Final = "_ARGCOMPLETE"  # set by a shell that wants completions
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130
MAX_PIPED: Final = 1 << 20  # bytes of sentences on standard input
GRACE: Final = 20.0  # seconds of a shutdown, after which the process ends as it is
# Seconds that a thread waits for another one to let go of the interpreter. A write goes through
# several; with Python's 5 ms, a client that floods the event loop makes it ten times slower.
SWITCH: Final = 0.0005
_SET_UP: Final = "start with ./run.sh, which sets up .venv, or install requirements.txt"


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit status of ``batos``."""
    return run_guarded(lambda: _guard(_run_batos, argv))


def chat(argv: Sequence[str] | None = None) -> int:
    """Return the exit status of ``batos-chat``: one sentence, or a conversation."""
    return run_guarded(lambda: _guard(_run_chat, argv))


def _guard(run: Callable[[list[str]], int], argv: Sequence[str] | None) -> int:
    try:
        from bat_os.cli.environment import UNTRACKED, prefer_sockets, take_mind

        prefer_sockets()
        os.environ.update(UNTRACKED)
        return run(take_mind(sys.argv[1:] if argv is None else list(argv)))
    except SettingsError as error:
        print(f"batos: {translate(str(error))}", file=sys.stderr)
        return EXIT_USAGE
    except ImportError as error:
        print(f"batos: {error}; {translate(_SET_UP)}", file=sys.stderr)
        return EXIT_PERMANENT
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _run_chat(arguments: list[str]) -> int:
    from bat_os.cli.chat.arguments import make_parser as make_chat_parser
    from bat_os.cli.connection import run_interruptible
    from bat_os.cli.console import Screen
    from bat_os.cli.environment import find_home, find_name

    options = make_chat_parser().parse_args(arguments)
    home = find_home(options.home).path
    plain = options.plain or bool(os.environ.get("NO_COLOR"))
    screen = Screen(as_json=options.json, plain=plain, name=f"{find_name()} ")
    sentence = " ".join(options.sentence)
    if not options.sentence and sys.stdin is not None:
        if sys.stdin.isatty():
            # A line editor, and all verbs: only a conversation needs them.
            from bat_os.cli.chat.session import converse

            screen = Screen(as_json=options.json, plain=plain, name="/")
            talk = converse(home, screen, options.session, plain=options.plain)
            return asyncio.run(talk)
        sentence = sys.stdin.buffer.read(MAX_PIPED).decode(errors="surrogateescape")
    from bat_os.cli.chat.saying import say_each

    piped = [line for line in sentence.splitlines() if line.strip()] if not options.sentence else []
    how = {"session": options.session, "fresh": options.fresh, "call": options.call or ""}
    return run_interruptible(say_each(home, screen, piped or [sentence], **how), screen)


def _run_batos(arguments: list[str]) -> int:
    if COMPLETING in os.environ:
        from bat_os.cli.parser import answer
        from bat_os.cli.verbs import make_parser as make_verbs

        answer(make_verbs())
    if _first_word(arguments) == "serve":
        return _start(arguments)
    if _first_word(arguments) == "gateway":
        return _open(arguments)
    from bat_os.cli.verbs import main as run_verb

    return run_verb(arguments)


def _start(arguments: Sequence[str]) -> int:
    from bat_os.cli.environment import as_coded, find_home, load

    status, supervised = EXIT_USAGE, False
    try:
        options = make_parser().read(arguments)
        status = EXIT_FAILED
        overrides = {key: value for key, value in vars(options).items() if value is not None}
        supervised, trial = overrides.pop("supervised"), overrides.pop("trial")
        overrides.pop("verb", None)
        home = find_home(overrides.get("home"))
        settings = load(home.path, os.environ, **overrides).settings
        return serve(Home(home.path, trial=trial), settings, supervised=supervised)
    except BatError as error:
        if isinstance(error, (SettingsError, LockedError, FormatError, DamagedError)):
            status = EXIT_PERMANENT
        return _give_reason(error, error, status, supervised=supervised)
    except OSError as error:
        return _give_reason(error, as_coded(error), status, supervised=supervised)


def _give_reason(error: Exception, reason: object, status: int, *, supervised: bool) -> int:
    """Say why the kernel cannot run; return EXIT_WAIT if a watchdog is to wait, or ``status``."""
    with contextlib.suppress(OSError):  # no room for the log either
        print(f"batos: {translate(str(reason))}", file=sys.stderr)
    return EXIT_WAIT if supervised and can_pass(error) else status


def _first_word(arguments: Sequence[str]) -> str:
    """Return the first word that is neither an option nor the value of one."""
    words = list(arguments)
    while words and words[0].startswith("-"):
        del words[: 2 if words[0] in ("--home", "--tcp-port", "--profile") else 1]
    return words[0] if words else ""


def _open(arguments: Sequence[str]) -> int:
    """Run the gateway until it is stopped; return its exit status."""
    from bat_os.cli.environment import as_coded, find_home, load
    from bat_os.cli.gateway import make_parser as make_gateway_parser
    from bat_os.gateway.running import note

    options = make_gateway_parser().parse_args(list(arguments))
    home = find_home(options.home)
    os.umask(0o077)
    faulthandler.enable()
    try:
        settings = load(home.path, os.environ).settings
        begin_log("%(asctime)s %(levelname)s %(name)s: %(message)s", settings.log_level)
        home.prepare()
        return asyncio.run(_serve_http(home, settings, supervised=options.supervised))
    except (BatError, OSError) as error:
        reason = error if isinstance(error, BatError) else as_coded(error)
        note(home.path, {"problem": str(reason)})
        print(f"batos: {translate(str(reason))}", file=sys.stderr)
        return EXIT_PERMANENT if isinstance(error, SettingsError) else EXIT_WAIT


async def _serve_http(home: Home, settings: Settings, *, supervised: bool) -> int:
    from bat_os.gateway.running import serve as serve_http

    asked = asyncio.Event()
    _stop_on_signals(asked)
    if supervised:
        _stop_when_stdin_closes(asked)
    await serve_http(home.path, settings, asked)
    return EXIT_STOPPED


def serve(home: Home, settings: Settings, *, supervised: bool) -> int:
    """Run a kernel until it is stopped; return its exit status."""
    from bat_os.kernel.heap import share_arena

    share_arena()
    sys.setswitchinterval(SWITCH)
    arm(settings.failpoint)
    begin_log("%(asctime)s %(levelname)s %(name)s: %(message)s", settings.log_level)
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # it logs each request
    faulthandler.enable()  # if a library crashes the process, the log says where
    os.umask(0o077)
    home.prepare()
    return asyncio.run(_serve(home, settings, supervised=supervised))


async def _serve(home: Home, settings: Settings, *, supervised: bool) -> int:
    from bat_os.app import import_numpy

    import_numpy(settings.threads)  # before the others import it
    from bat_os.app.cells import make_cell, prove

    cell = make_cell(settings)
    proving = asyncio.create_task(prove(cell))
    await asyncio.sleep(0)  # its process starts while this one imports the rest
    try:
        return await _serve_with(cell, home, settings, supervised=supervised)
    finally:
        proving.cancel()
        await asyncio.gather(proving, return_exceptions=True)  # an attack may be under way
        await cell.close()


async def _serve_with(cell: Cell, home: Home, settings: Settings, *, supervised: bool) -> int:
    from bat_os.app.listeners import remove_socket_folder
    from bat_os.app.logs import Journal
    from bat_os.app.opening import announce, open_when_possible
    from bat_os.app.wiring import assemble
    from bat_os.kernel.missions.ledger import Ledger
    from bat_os.kernel.service import Kernel
    from bat_os.supervisor import pulse

    asked, served = asyncio.Event(), list[Kernel]()
    telling = [asyncio.create_task(_leave_in_time(asked, served))]
    _stop_on_signals(asked)
    if supervised:
        _stop_when_stdin_closes(asked)
    async with pulse.beating(os.environ.pop(pulse.VARIABLE, "")) as heart:
        waits = heart if supervised and not home.trial else None
        opened = await open_when_possible(home, settings, waits, asked)
        if opened is None:
            return 0
        parts = assemble(home, settings, opened.image, cell)
        journal = Journal(home.path / settings.metacognition_log_file)
        kernel = Kernel(parts.mind, opened.doors, parts.steps, journal, parts.verbs, parts.examiner)
        kernel.ahead, kernel.asked, kernel.smithy = parts.ahead, asked, parts.smithy
        is_theirs = os.environ.pop(BEFORE, "") != OUTSIDE
        kernel.keep_ledger(Ledger(home.path / "run" / "missions.json", is_theirs))
        kernel.on_trouble = lambda trouble: heart.say("storing", trouble)
        served.append(kernel)
        try:
            await kernel.run(
                lambda facts: telling.append(asyncio.create_task(announce(home, facts, heart)))
            )
        finally:
            for task in telling:
                task.cancel()
            home.endpoint.unlink(missing_ok=True)
            remove_socket_folder(home)
            await journal.close()
    return _status_of(kernel)


def _status_of(kernel: Kernel) -> int:
    return EXIT_RESTART if kernel.wants_restart else EXIT_STOPPED


async def _leave_in_time(asked: asyncio.Event, served: Sequence[Kernel]) -> None:
    """End this process GRACE seconds after it was asked to go down, whatever hangs.

    Python waits for its threads, and one whose fsync a disk never answers does not end.
    """

    def leave() -> None:
        os.write(2, b"batos: the shutdown hangs, so the process ends as it is\n")
        os._exit(_status_of(*served) if served else EXIT_STOPPED)

    await asked.wait()
    _leave_at_last()
    timer = threading.Timer(GRACE, leave)
    timer.daemon = True
    timer.start()


def _leave_at_last() -> None:
    """End this process a little later even if it runs no Python any more; the log says where."""
    faulthandler.dump_traceback_later(GRACE * 1.2, exit=True)


def make_parser() -> Parser:
    """Return the parser of ``serve``."""
    from bat_os.cli.parser import Parser

    parser = Parser(
        prog="batos serve",
        description="The daemon of BAT OS. Usually the watchdog starts it.",
        epilog="Exit status: 0 stopped, 1 an error, 74 or 75 start it again, 78 a person must act. "
        "Verbs on a running daemon: batos --help; docs/cli.md lists them all.",
    )
    parser.add_argument("verb", nargs="?", choices=["serve"], help=argparse.SUPPRESS)
    parser.add_argument("--home", help="folder of the image (default: $BATOS_HOME, or data)")
    parser.add_argument("--tcp-port", type=int, dest="tcp_port", help="0: any free port; -1: none")
    parser.add_argument("--profile", help="what the personas think with: tiny, cpu, server, ...")
    parser.add_argument("--supervised", action="store_true", help="stop when standard input closes")
    parser.add_argument(
        "--trial", action="store_true", help="accept only the client that tries an upgrade"
    )
    return parser


def _stop_on_signals(asked: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, asked.set)
        except NotImplementedError:  # Windows' loop
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(asked.set))


def _stop_when_stdin_closes(asked: asyncio.Event) -> None:
    """Stop with the watchdog, however it ends: its end of the pipe closes."""
    loop = asyncio.get_running_loop()

    def wait(stop: Callable[[], None] = asked.set) -> None:
        while os.read(0, 4096):
            pass
        _leave_at_last()  # the loop may hang already
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            loop.call_soon_threadsafe(stop)

    threading.Thread(target=wait, name="stdin", daemon=True).start()
