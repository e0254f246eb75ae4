"""Watches, as sentences and verbs make them: a path, a grant that reaches it, and what is due.

    "when a file appears in ~/inbox"  >  the grant of ~/inbox  >  what is there now  >  one schedule

What is there at the start has not changed, except for documents: all of them are to be learned.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from bat_os.documents.readers import is_learned
from bat_os.errors import ArgumentsError, GrantWantedError, TooLargeError
from bat_os.image import grants, watches
from bat_os.image.schedules import Schedule
from bat_os.image.store import watch_commits
from bat_os.kernel.whereabouts import find_here
from bat_os.natives.context import ZONE
from bat_os.ports import StagingDriver, Survey, WatchedDriver

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.image.grants import Grant
    from bat_os.kernel.context import KernelContext
    from bat_os.ports import Driver

DRIVER: Final = "files"
LOOKS: Final = frozenset({"names", "facts"})  # what a grant has to be for
READS: Final = LOOKS | {"read"}
MAX_FILES: Final = 5_000  # of a folder that is learned
MAX_BYTES: Final = 200_000_000
LEARN: Final = "learn"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a watch is to be."""

    kind: str  # remind, say, send or learn
    text: str
    on: Sequence[str]
    pattern: str = ""
    each: bool = False  # it runs for each file by itself
    brief: Mapping[str, Any] | None = None
    caller: str = ""
    language: str = "en"


def driver_of(mind: KernelContext) -> WatchedDriver:
    """Return the driver of what can be watched.

    Raises:
        ArgumentsError: This kernel reaches no files.
    """
    driver = mind.drivers.get(DRIVER)
    if not isinstance(driver, WatchedDriver):
        raise ArgumentsError("this kernel watches no files")
    return driver


def scope_of(driver: Driver, path: str) -> dict[str, Any]:
    """Return the scope of a path whose last part may be missing yet. Blocks.

    Raises:
        ArgumentsError, NotFoundError: It is none.
    """
    if isinstance(driver, StagingDriver):
        return driver.scope_to_change(path)
    return driver.scope(path)


async def find_grant(mind: KernelContext, path: str, *, learns: bool) -> Grant:
    """Return the grant through which a path may be watched, the one that reaches least far.

    Raises:
        ArgumentsError, NotFoundError: It does not name a file or folder.
        GrantWantedError: None reaches it.
    """
    driver, needed = driver_of(mind), READS if learns else LOOKS
    if not path.startswith(("~", PurePath(path).anchor or "~")):
        raise ArgumentsError(f"{path[:200]!r} is not a whole path; write ~/inbox")
    scope = await asyncio.to_thread(scope_of, driver, path)
    live = await mind.image.transact(
        lambda root: grants.live(root, time.time(), DRIVER), note="look for grants"
    )
    held = [
        one
        for one in live
        if needed <= set(one.operations) and driver.contains(one.scope, scope)
    ]  # fmt: skip
    if not held:
        shown = driver.describe(scope)
        text = f"this needs to read {shown}, which BAT OS may not do yet; batos grant {shown}"
        raise GrantWantedError(text, driver=DRIVER, operation="names", what=[str(scope["path"])])
    return max(held, key=lambda one: len(PurePath(one.scope["path"]).parts))


async def keep_watch(
    mind: KernelContext, path: str, grant: Grant, wanted: Wanted
) -> tuple[Schedule, int, str]:
    """Keep a watch; return it, how many files are there now, and the transaction.

    Raises:
        ArgumentsError: There are too many files, or the place cannot be looked at.
        TooLargeError: What is to be learned is too much.
        BusyError: There are too many watches.
    """
    driver, learns = driver_of(mind), wanted.kind == LEARN
    scope = await asyncio.to_thread(scope_of, driver, path)
    survey = await asyncio.to_thread(driver.survey, scope)
    count = len(survey.files)
    if learns:
        count = _count_to_learn(survey, driver.describe(scope))
    rule = {
        "watch": str(scope["path"]), "grant": grant.oid, "given": grant.given,
        "on": list(wanted.on), "pattern": wanted.pattern, "each": wanted.each,
        "shown": driver.describe(scope), "inside": survey.folder != (0, 0),
    }  # fmt: skip
    zone = (await find_here(mind))[ZONE]
    one = Schedule(
        wanted.kind, wanted.text, rule, zone, None, wanted.brief, missed="once",
        home=mind.home_id, made=time.time(), caller=wanted.caller, language=wanted.language,
    )  # fmt: skip
    seen = watches.versions_of(survey, files=not learns)
    with watch_commits() as commits:
        kept = await mind.image.transact(
            lambda root: watches.add(root, one, seen), note=f"watch {rule['shown']}"[:70]
        )
    mind.orchestrator.wake()
    return kept, count, commits[-1] if commits else ""


def _count_to_learn(survey: Survey, shown: str) -> int:
    files = {path: facts for path, facts in survey.files.items() if is_learned(path)}
    size = sum(facts[0] for facts in files.values())
    if len(files) > MAX_FILES or size > MAX_BYTES:
        raise TooLargeError(
            f"{shown} has {len(files)} files with {size / 1e6:.0f} MB; a folder that is learned "
            f"has at most {MAX_FILES} with {MAX_BYTES // 1_000_000} MB: learn its parts"
        )
    return len(files)
