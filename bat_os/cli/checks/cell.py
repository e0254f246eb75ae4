"""The cell: attacked here and now, in the way in which learned methods run."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final

from bat_os.cells.monty.monty_cell import MontyCell
from bat_os.cells.zygote.zygote_cell import ZygoteCell
from bat_os.cli.checks.outcome import Outcome, broken, ok, warning
from bat_os.errors import CellUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bat_os.cli.checks.outcome import Facts
    from bat_os.ports import Cell

CELLS: Final[Mapping[str, Callable[[], Cell]]] = {"zygote": ZygoteCell, "monty": MontyCell}
_MEND: Final = {
    "zygote": "use Linux 5.13 or newer with Landlock and seccomp (in a container: allow both)",
    "monty": "install pydantic-monty as requirements.txt pins it",
}


async def check_cell(facts: Facts) -> list[Outcome]:
    """Return how each cell stood the attacks, up to the first that held; that one is used."""
    wanted = facts.settings.cell
    kinds = list(CELLS) if wanted == "auto" else [wanted]
    if facts.quick:
        return [_told_by_kernel(facts.kernel.health)]
    outcomes: list[Outcome] = []
    refused: list[str] = []
    for kind in kinds:
        text, stats = await _attack(kind)
        if stats:
            why = f"chosen: {_why(kind, wanted)}"
            outcomes += [ok("cell", f"{kind}: {text}; {why}"), *_confinement(kind, stats)]
            return [*outcomes, *_compare(facts, kind)]
        refused.append(f"{kind}: {text}")
        if kind == "zygote" and sys.platform != "linux":
            continue  # nothing is wrong: that cell is for Linux
        if kind != kinds[-1]:
            outcomes.append(warning("cell", refused[-1], _MEND[kind]))
    found = f"learned methods are refused: {'; '.join(refused)}"
    mend = "; or ".join(_MEND[kind] for kind in kinds)
    if wanted != "auto":
        mend += f"; or let another cell serve: unset BATOS_CELL (now {wanted})"
    return [*outcomes, broken("cell", found, mend)]


async def _attack(kind: str) -> tuple[str, dict[str, Any]]:
    """Return how the attacks went, and the facts of the cell where it held; {} where not."""
    cell, started = CELLS[kind](), time.monotonic()
    try:
        outcome = await cell.self_test()
        stats = cell.stats()
    except (CellUnavailableError, OSError) as error:
        return str(error), {}
    finally:
        await cell.close()
    held, through = outcome["held"], outcome["through"]
    if not outcome["ok"]:
        return f"not held: {', '.join(through) or 'ordinary code does not run in it'}", {}
    took = time.monotonic() - started
    return f"all {len(held)} attacks held in {took:.1f} s ({', '.join(held)})", stats


def _why(kind: str, wanted: str) -> str:
    if wanted != "auto":
        return f"BATOS_CELL={wanted}"
    return "the first that holds" if kind == "zygote" else "it stands in, a smaller Python"


def _confinement(kind: str, stats: Mapping[str, Any]) -> list[Outcome]:
    """Return what holds learned code, of what this machine has."""
    facts = stats["confinement"]
    name = "confinement"
    if kind != "zygote":
        return [ok(name, f"{facts['interpreter']}, {facts['process']}")]
    parts = [
        f"Landlock {facts['landlock']}",
        "seccomp",
        f"namespaces: {facts['namespaces'] or 'none'}",
        "an unprivileged user" if facts["unprivileged"] else "as root",
    ]
    found = ", ".join(parts)
    if not facts["unprivileged"]:
        return [warning(name, found, "start BAT OS as an ordinary user")]
    return [ok(name, found)]


def _compare(facts: Facts, kind: str) -> list[Outcome]:
    """Return a warning where the running kernel uses another cell than it would now."""
    used = facts.kernel.health.get("cell", {})
    if not used.get("self_test") or used.get("kind") == kind:
        return []
    found = f"the kernel uses {used.get('kind')}, this terminal's settings choose {kind}"
    return [warning("cell", found, "./run.sh stop, then ./run.sh: it chooses again at its start")]


def _told_by_kernel(health: Mapping[str, Any]) -> Outcome:
    cell = health.get("cell", {})
    test = cell.get("self_test", {})
    if not test:
        return ok("cell", "not tried (--quick)")
    if not test.get("ok"):
        found = f"learned methods are refused: {cell.get('kind')} did not hold"
        return broken("cell", found, "batos doctor tells more without --quick")
    return ok("cell", f"{cell.get('kind')}: {len(test['held'])} attacks held at the kernel's start")
