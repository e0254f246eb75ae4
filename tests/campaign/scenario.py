"""What a row of the campaign is: a name, a target, and a function that measures."""

import inspect
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path


class CampaignFailure(AssertionError):  # noqa: N818 - a finding, not a fault of ours
    """A target was missed; the text says what was measured instead."""


@dataclass(frozen=True)
class Settings:
    """How to run.

    Attributes:
        full: The long form; else the short one of the suite.
        seed: Of every random choice.
        folder: Empty and for this scenario alone; it is removed afterwards.
        kills: How many random ones; 0: as many as the form has.
    """

    full: bool
    seed: int
    folder: Path
    kills: int = 0


@dataclass(frozen=True)
class Scenario:
    """One row of the campaign.

    Attributes:
        name: Its name in the table, and what ``--only`` takes.
        target: What has to come true, in words.
        run: Returns what was measured, or raises ``AssertionError`` where the target is missed.
    """

    name: str
    target: str
    run: Callable[[Settings], Awaitable[str] | str]


@dataclass(frozen=True)
class Row:
    """What came of a scenario."""

    name: str
    target: str
    measured: str
    ok: bool
    seconds: float


async def run_scenario(scenario: Scenario, settings: Settings) -> Row:
    """Run one scenario; a missed target or any other error makes its row a failed one."""
    started = time.monotonic()
    settings.folder.mkdir(parents=True, exist_ok=True)
    try:
        told = scenario.run(settings)
        measured, ok = (await told if inspect.isawaitable(told) else told), True
    except Exception as error:  # noqa: BLE001 - whatever happened is the row's finding
        measured, ok = f"{type(error).__name__}: {error}"[:500], False
    seconds = time.monotonic() - started
    return Row(scenario.name, scenario.target, measured, ok, seconds)
