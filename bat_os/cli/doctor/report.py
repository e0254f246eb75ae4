"""``batos doctor``: checks everything that BAT OS needs, and says what to do.

    gather (kernel, image) > each check, guarded > one line each > exit status 0 or 1

Works with and without a kernel, and changes nothing. If a check itself fails, that is a line too.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from rich.cells import cell_len
from rich.text import Text

from bat_os import find_shipped
from bat_os.cli.canvas import Canvas
from bat_os.cli.doctor import image, running, software
from bat_os.cli.doctor.outcome import BROKEN, OK, WARNING, Facts, ImageFacts, Outcome, broken
from bat_os.cli.environment import find_fault, load
from bat_os.cli.language import translate
from bat_os.cli.progress import Progress
from bat_os.core.printable import show_control
from bat_os.core.settings import Settings
from bat_os.errors import SettingsError
from bat_os.supervisor.home import Home

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from bat_os.cli.console import Screen
    from bat_os.cli.show.command import Ask

    Check = Callable[[Facts], list[Outcome] | Awaitable[list[Outcome]]]

# The name for a check that fails, and the check; in the order in which they are shown.
CHECKS: Final[tuple[tuple[str, Check], ...]] = (
    ("python", software.check_python),
    ("packages", software.check_packages),
    ("model packages", software.check_model_packages),
    ("settings", software.check_settings),
    ("machine", software.check_machine),
    ("device", software.check_device),
    ("home", running.check_permissions),
    ("image", image.check_image),
    ("blobs", image.check_beside),
    ("backups", image.check_backups),
    ("image lock", image.check_lock),
    ("models", image.check_models),
    ("effects", image.check_effects),
    ("cell", software.check_cell),
    ("kernel", running.check_kernel),
    ("doors", running.check_doors),
    ("servers", running.check_servers),
    ("cluster", running.check_cluster),
    ("watchdog", running.check_watchdog),
    ("crashes", running.check_crashes),
    ("logs", running.check_logs),
)
_STYLES: Final = {OK: "green", WARNING: "yellow", BROKEN: "bold red"}
_STATE: Final = 9  # cells of the first column
_NARROWEST: Final = 40
_SILENT: Final = logging.NullHandler()


async def examine(ask: Ask) -> dict[str, Any]:
    """Return ``{"checks": [{name, state, found, advice}], "ok": bool, "exit_status": 0 or 1}``."""
    # ZODB logs a cut-off end; our own line says it.
    logging.getLogger().addHandler(_SILENT)
    outcomes: list[Outcome] = []
    with Progress(ask.screen) as bar:
        bar.begin("checking")
        facts = await gather(ask)
        for name, check in CHECKS:
            bar.begin(f"checking: {name}")
            outcomes += await _guard(name, check, facts)
    fine = not any(outcome.state == BROKEN for outcome in outcomes)
    return {
        "checks": [asdict(outcome) for outcome in outcomes],
        "ok": fine,
        "exit_status": 0 if fine else 1,
    }


async def gather(ask: Ask) -> Facts:
    """Return what the checks start from; each check reports what could not be read."""
    home, environ = Home(ask.home), dict(os.environ)
    try:
        settings = load(home.path, environ).settings
    except SettingsError:
        settings = Settings()
    kernel = await running.ask_kernel(ask.kernel, home)
    try:
        inside = await image.read_image(image.image_path(home.path, settings.image))
    except Exception as error:  # noqa: BLE001 - a damaged file may raise anything
        inside = ImageFacts(trouble=f"it cannot be read: {error!r}", advice=image.RESTORE)
    quick = ask.options.quick
    return Facts(home, find_shipped("."), environ, settings, kernel, inside, quick=quick)


async def _guard(name: str, check: Check, facts: Facts) -> list[Outcome]:
    """Return what a check finds, even if the check itself fails."""
    try:
        if inspect.iscoroutinefunction(check):
            outcomes: list[Outcome] = await check(facts)
        else:
            outcomes = await asyncio.to_thread(check, facts)  # type: ignore[arg-type]  # not a coroutine
    except Exception as error:  # noqa: BLE001 - one broken check must not hide the others
        if isinstance(error, PermissionError) and find_fault(facts.home.path):
            return []  # the line about the home says it
        text = f"could not be checked: {type(error).__name__}: {error}"
        advice = "check the file or program it names; if that is fine, report this line"
        return [broken(name, text, advice)]
    return outcomes


def show(body: Mapping[str, Any], screen: Screen) -> None:
    """Write a line for each check, its advice below, and the totals."""
    console = Canvas(plain=screen.plain)
    margin = _STATE + max(cell_len(translate(name)) for name, _ in CHECKS) + 2
    width = max(console.width - 1 - margin, _NARROWEST) if console.is_terminal else None
    for check in body["checks"]:
        style = _STYLES[check["state"]]
        state, name = translate(check["state"]), translate(check["name"])
        head = (f"{state:<{_STATE}}", style), (f"{name:<{margin - _STATE}}", "bold")
        first, *more = _fold(translate(check["found"]), width) or [""]
        console.print(Text.assemble(*head, first))
        for line in more:
            console.print(Text(" " * margin + line))
        advice = translate(check["advice"])
        for line in _fold(f"-> {advice}" if advice else "", width):
            console.print(Text(" " * margin + line, style))
    console.print(Text(translate(summarize(body["checks"])), "bold"))


def summarize(checks: Iterable[Mapping[str, Any]]) -> str:
    """Return the totals of all lines.

    >>> summarize([{"state": "ok"}, {"state": "warning"}])
    'Nothing is broken: 1 ok, 1 warning.'
    """
    states = [check["state"] for check in checks]
    count = {state: states.count(state) for state in (BROKEN, WARNING, OK)}
    warnings = f"{count[WARNING]} warning{'s' * (count[WARNING] != 1)}"
    if count[BROKEN]:
        return f"{count[BROKEN]} broken, {warnings}, {count[OK]} ok."
    return f"Nothing is broken: {count[OK]} ok, {warnings}."


def _fold(text: str, width: int | None) -> list[str]:
    """Return the lines of a text beside the names; a single line without a width."""
    line = show_control(" ".join(text.split()))
    if width is None:
        return [line] if line else []
    return textwrap.wrap(line, width, break_on_hyphens=False)
