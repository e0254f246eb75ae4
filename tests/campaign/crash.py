"""Kills: at random, at every failpoint, and of mutants that lose or repeat on purpose."""

import asyncio
import os
import signal
import subprocess
import sys

import psutil

from bat_os.failpoints import NAMES
from bat_os.supervisor.home import Home, read_json
from tests.campaign import upkeep_worker
from tests.campaign.load import Site
from tests.campaign.scenario import CampaignFailure, Scenario
from tests.forks import PYTHON
from tests.kernels import ROOT
from tests.supervisor.upgrade import conftest as projects
from tests.supervisor.upgrade import test_upgrader as upgrades

KILLS = (6, 1000)  # short, full
PER_HOME = 40  # kills, before a new home is made: what it counts should stay small
LONGEST = (0.3, 0.8)  # seconds of service before a kill
TID = 16  # hexadecimal digits
TIMES = (1, 5)  # each failpoint
STEP = (30, 1)  # of the number of a call
AT_START = ("endpoint.written", "endpoint.renamed")
WORKS = {
    "model": ("blob.staged", "blob.committed", "model.before", "model.committed"),
    "pack": ("pack.synced", "pack.switched"),
    "erase": ("erase.redacted", "erase.written", "erase.switched", "erase.blanked"),
    "backup": ("backup.before", "backup.switched"),
    "restore": ("restore.built", "restore.exchanged", "restore.done"),
}
WATCHDOG = ("status.written", "status.renamed")
STATUSES = 2  # that a watchdog writes until its kernel serves
EFFECTS = tuple(name for name in NAMES if name.startswith("effect."))
AWAITED = tuple(name for name in NAMES if name.startswith("await."))
UPGRADE = tuple(name for name in NAMES if name.startswith(("upgrade.", "journal.", "program.")))
# tests/system/test_schedules.py kills kernels there: something has to be due, or has to change.
SCHEDULES = tuple(name for name in NAMES if name.startswith(("schedule.", "watch.")))
ANSWERS = ("answer.before", "answer.stored")  # in tests/campaign/once.py: acts have keys there
ACTING = ("acting",)  # tests/campaign/steps.py kills kernels there: something has to be granted
_IN_WORKS = tuple(name for points in WORKS.values() for name in points)
KERNEL = tuple(
    name
    for name in NAMES
    if name not in (*WATCHDOG, *SCHEDULES, *ANSWERS, *ACTING, *EFFECTS, *AWAITED, *_IN_WORKS)
    and not name.startswith(("upgrade.", "journal.", "program."))
)
STATES = ("decomposing", "delegating", "synthesizing", "validating", "complete", "failed")
MUTANTS = {
    "ack_first": ("accept.before:kill", "lost: "),
    "no_key": ("complete:kill", "twice: "),
    "two_transactions": ("between", "twice: "),
}


async def random_kills(settings):
    kills = settings.kills or KILLS[settings.full]
    accepted = answered = 0
    site = None
    for number in range(kills):
        if number % PER_HOME == 0:
            accepted, answered = await _close(site, accepted, answered)
            site = Site(settings.folder / f"{number}", settings.seed + number)
            await site.prepare()
        after = LONGEST[settings.full] * site.random.random()
        status = await site.die(after, working=number % 4 != 0)
        assert status == -signal.SIGKILL, site.kernel.log()[-2000:]
        site.check()
    accepted, answered = await _close(site, accepted, answered)
    return f"{kills} kills, {accepted} acknowledged, {answered} answered: 0 lost, 0 twice, 0 half"


async def _close(site, accepted, answered):
    """Let the last kernel of a home end everything, and add up what was told there."""
    if site is None:
        return accepted, answered
    await site.settle()
    site.check(ended=True)
    blamed = [key for key, code in site.refused.items() if code == "CANCELLED"]
    assert not blamed, f"{blamed}: given up, and they killed nobody"
    return accepted + len(site.told.accepted), answered + len(site.told.results)


async def kernel_failpoints(settings):
    times = TIMES[settings.full]
    # In the suite, tests/system/test_recovery.py has a test for each state.
    names = KERNEL if settings.full else [name for name in KERNEL if name not in STATES]
    for turn in range(times):
        site = Site(settings.folder / f"{turn}", settings.seed + turn)
        await site.prepare()
        for name in names:
            await _die_at(site, name)
            site.check()
        await site.settle()
        site.check(ended=True)
    return f"{len(names)} points x{times}: all clean"


async def _die_at(site, name):
    site.fail_every = 2 if name == "failed" else 0
    site.learn_every = 2 if name in ("decomposing", "install.before") else 5
    crossing = 1
    if name.startswith("commit."):
        crossing = site.random.randint(1, 25)
    elif name.startswith("accept."):
        crossing = site.random.randint(1, 4)
    status = await site.die(failpoint=f"{name}:{crossing}:kill")
    assert status == -signal.SIGKILL, f"{name}: status {status}: {site.kernel.log()[-2000:]}"


async def upkeep_failpoints(settings):
    """Each of WORKS: killed at each failpoint, looked at, done again."""
    upkeep = await Upkeep(settings).prepare()
    for _ in range(TIMES[settings.full]):
        for work, names in WORKS.items():
            for name in names:
                assert await upkeep.kill(work, BATOS_FAILPOINT=f"{name}:kill"), f"{name}: lives"
    return f"{upkeep.kills} kills in {', '.join(WORKS)}: old or new, then done"


async def upkeep_calls(settings):
    """The same, killed before and after the Nth fsync or rename, until it lives through it."""
    upkeep, step = await Upkeep(settings).prepare(), STEP[settings.full]
    for work in WORKS:
        for call in ("fsync", "rename"):
            for when in ("before", "after"):
                number = 1 + settings.seed % step
                while await upkeep.kill(work, CAMPAIGN_KILL=f"{call}:{number}:{when}"):
                    number += step
    return f"{upkeep.kills} kills around fsyncs and renames: old or new, then done"


class Upkeep:
    """A home whose upkeep is killed and done again.

    Attributes:
        kills: How many so far.
    """

    def __init__(self, settings):
        self.folder = settings.folder
        self.site = Site(settings.folder, settings.seed)
        self.kills = 0

    async def prepare(self):
        await self.site.prepare()
        await self.site.settle()
        for work in ("model", "backup", "restore"):  # something that is there already
            await upkeep_worker.run(work, self.folder, "toy")
        self.before = await upkeep_worker.look(self.folder)
        return self

    async def kill(self, work, **environ):
        """Return False where the work came to its end; after a kill, look, and do it again."""
        toy = f"toy{self.kills}"
        if not await asyncio.to_thread(_kill_work, self.folder, work, toy, environ):
            return False
        self.kills += 1
        after = await upkeep_worker.look(self.folder)  # opens all (and ends a pack), reads all
        self.site.check(ended=True)
        assert self.before.keys() <= after.keys(), f"{environ}: {self.before} became {after}"
        await upkeep_worker.run(work, self.folder, toy)
        self.before = await upkeep_worker.look(self.folder)
        whole = [told for told in self.before.values() if isinstance(told, list)]
        assert all(map(all, whole)), f"{environ}: {self.before}"
        assert len(self.before["backup"]) == TID, f"{environ}: {self.before}"
        return True


def _kill_work(folder, work, toy, environ):
    done = subprocess.run(
        [PYTHON, "-m", "tests.campaign.upkeep_worker", work, folder, toy],
        cwd=ROOT, env=os.environ | environ,
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode in (0, -signal.SIGKILL), f"{environ}: {done.stderr[-1500:]}"
    return done.returncode != 0


async def watchdog_failpoints(settings):
    """A watchdog that dies at its status file takes its kernel down in order; the next serves."""
    site = Site(settings.folder, settings.seed)
    home = Home(site.kernel.home)
    await site.prepare()
    times, names = TIMES[settings.full], WATCHDOG if settings.full else WATCHDOG[1:]
    for turn in range(times):
        for name in names:
            crossing = 1 + turn % STATUSES
            status = await asyncio.to_thread(_watch, site, "run", f"{name}:{crossing}:kill")
            assert status == -signal.SIGKILL, f"{name}: {status}"
            assert await asyncio.to_thread(_watch, site, "start", "") == 0, name
            told = read_json(home.path / "run" / "status.json")
            assert told, f"{name}: status.json is half"
            assert await asyncio.to_thread(_watch, site, "stop", "") == 0, name
            site.check()
    return f"{len(names)} points x{times}: status.json whole, the next watchdog serves"


def _watch(site, verb, failpoint):
    told = {
        "ENGINE": "scripted",
        "SCRIPT": str(site.kernel.script),
        "TCP_PORT": "-1",
        "FAILPOINT": failpoint,
    }
    environ = os.environ | {f"BATOS_{key}": text for key, text in told.items()}
    words = [verb, "--home", str(site.kernel.home), *(["--wait"] if verb == "start" else [])]
    with subprocess.Popen(
        [sys.executable, ROOT / "min_watchdog_service.py", *words],
        env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            status = process.wait(600)
        finally:
            process.kill()
    if verb == "run":  # its kernel sees the closed pipe
        endpoint = read_json(site.kernel.home / "run" / "endpoint.json")
        if "pid" in endpoint and psutil.pid_exists(endpoint["pid"]):
            psutil.wait_procs([psutil.Process(endpoint["pid"])], timeout=300)
    return status


async def mutants(settings):
    caught = []
    for name, (point, sort) in MUTANTS.items():
        site = Site(settings.folder / name, settings.seed, hurt=name)
        await site.prepare()
        settings_of = {"between": "yes"} if point == "between" else {"failpoint": point}
        status = await site.die(**settings_of)
        assert status == -signal.SIGKILL, f"{name}: {status}: {site.kernel.log()[-2000:]}"
        found = site.faults()
        if not any(fault.startswith(sort) for fault in found):
            await site.settle()
            found = site.faults(ended=True)
        if not any(fault.startswith(sort) for fault in found):
            raise CampaignFailure(f"the checker does not see {name}: {found}")
        caught.append(name)
    return f"{len(caught)} of {len(MUTANTS)} caught: {', '.join(caught)}"


async def upgrade_killed(settings):
    """The upgrader with real git, image and backup; the trial opens the image by itself."""
    count, ended = 0, set()
    points = [name for name in UPGRADE if settings.full or name in SHORT_UPGRADE]
    for number, name in enumerate(points * TIMES[settings.full]):
        folder = settings.folder / f"{number}"
        ended.add(await asyncio.to_thread(_upgrade, folder, name))
        count += 1
    return f"{count} kills at {len(points)} places; ended {' or '.join(sorted(ended))}"


SHORT_UPGRADE = ("upgrade.backed_up", "program.written", "program.renamed", "upgrade.rolling_back")


def _upgrade(folder, name):
    """Kill an upgrade at a place, let the next watchdog end it, and return how it ended."""
    project = projects.Project.with_two_versions(folder / "project")
    home = Home(folder / "home")
    home.prepare()
    image = home.path / "live_image.fs"
    home.upgrade_keys.write_text("unsigned\n")
    home.upgrade_keys.chmod(0o600)
    upgrades.learn(image, "one")
    refused = "refused" in name
    changes = {"from": "0.9"} if refused else {}
    home.instructions.write_bytes(project.instructions(**changes))
    good = "roll" not in name
    words = [ROOT, home.path, project.root, "good" if good else "bad", f"{name}:kill"]
    killed = subprocess.run(
        [PYTHON, "-c", upgrades.KILLED, *map(str, words)], capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, f"{name}: {killed.stderr.decode()[-1000:]}"
    outcome = upgrades.carry_out(upgrades.make_site(home, project.root, good=good))
    knows = asyncio.run(upgrades.read_image(image))
    version = read_json(home.program).get("version", "1.0")
    found = (outcome.stage.value, version, knows)
    old_or_new = [("done", "2.0", "two"), ("rolled_back", "1.0", "one")]
    assert found in ([("refused", "1.0", "one")] if refused else old_or_new), (
        f"{name}: neither: {found}"
    )
    return "new" if version == "2.0" else "old"


SCENARIOS = (
    Scenario("random SIGKILL", "0 lost, 0 twice", random_kills),
    Scenario("failpoints, kernel", "every point, all clean", kernel_failpoints),
    Scenario("failpoints, upkeep", "every point: old or new", upkeep_failpoints),
    Scenario("kills at fsync and rename", "the Nth of each: old or new", upkeep_calls),
    Scenario("failpoints, watchdog", "every point: the next one serves", watchdog_failpoints),
    Scenario("mutants", "all caught by the checker", mutants),
    Scenario("upgrade killed at each step", "old or new, never neither", upgrade_killed),
)
