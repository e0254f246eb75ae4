"""The upgrade with real kernels: a copy of this project, its next version, a watchdog."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from bat_os import __version__
from bat_os.client.client import KernelClient
from bat_os.image.awakening import FORMAT
from bat_os.image.store import ImageStore
from bat_os.supervisor.home import Home, read_json
from bat_os.supervisor.report import read_status
from bat_os.supervisor.upgrade import instructions
from tests.kernels import write_script
from tests.system.conftest import ROOT

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(300)]

NEXT = "99.0.0"
PARTS = (
    "batos.py",
    "min_watchdog_service.py",
    "persona_codex.jsonl",
    "CHANGELOG.md",
    "requirements-first.txt",
    "requirements.txt",
    "requirements-models.txt",
)
GIT = ("git", "-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=0")
STEP = """
def migrate(root):
    root["objects"]["genesis_obj"].set_slot("about", "of the next format")
"""


class Site:
    """A checkout under git, and a home that its watchdog serves."""

    def __init__(self, folder: Path):
        self.root = folder / "project"
        self.home = Home(folder / "home")
        script = write_script(folder / "script.jsonl", {"def double(self": " return number * 2"})
        settings = {
            "ENGINE": "scripted",
            "SCRIPT": script,
            "TCP_PORT": "-1",
            "HOME": self.home.path,
        }
        self.environ = os.environ | {f"BATOS_{key}": str(text) for key, text in settings.items()}
        self.root.mkdir()
        shutil.copytree(ROOT / "bat_os", self.root / "bat_os")
        for name in PARTS:
            shutil.copy(ROOT / name, self.root / name)
        self.git("init", "-q", "-b", "main")
        (self.root / ".git" / "info" / "exclude").write_text("__pycache__/\n")
        self.commit("This version")

    def git(self, *words):
        return subprocess.check_output([*GIT, *words], cwd=self.root, text=True).strip()

    def commit(self, text):
        self.git("add", "-A")
        self.git("commit", "-q", "-m", text)
        return self.git("rev-parse", "HEAD")

    def replace(self, name, old, new):
        path = self.root / name
        text = path.read_text()
        assert old in text, name
        path.write_text(text.replace(old, new))

    def make_next(self, *, dies=False):
        """Return instructions for a next version, whose image has a format of its own."""
        self.replace("bat_os/__init__.py", __version__, NEXT)
        migrations = "bat_os/image/migrations"
        (self.root / migrations / f"format_{FORMAT + 1}.py").write_text(STEP)
        self.replace(f"{migrations}/__init__.py", "FORMAT: Final = max(", (
            f"from bat_os.image.migrations.format_{FORMAT + 1} import migrate as _next\n"
            f"STEPS = {{**STEPS, {FORMAT + 1}: _next}}\n"
            "FORMAT: Final = max("
        ))  # fmt: skip
        self.replace("CHANGELOG.md", "## Unreleased\n\n", "## Unreleased\n\n- It can do\n  more.\n")
        if dies:
            self.replace(
                "bat_os/app/opening.py", '    endpoints = facts["endpoints"]', "    os._exit(3)"
            )
        commit = self.commit("The next version")
        self.git("checkout", "-q", "HEAD~1")
        module = f"bat_os.image.migrations.format_{FORMAT + 1}"
        told = {
            "schema": 1,
            "id": "next",
            "from": __version__,
            "to": NEXT,
            "actions": [{"git_ff": {"commit": commit}}, {"migrate": {"module": module}}],
        }
        path = self.root.parent / "update_instructions.json"
        key = self.root.parent / "ann.key"
        self.home.upgrade_keys.write_text(instructions.make_key(key) + "\n")
        self.home.upgrade_keys.chmod(0o600)
        path.write_text(json.dumps(instructions.sign(told, key)))
        return path

    async def run(self, script, *words):
        process = await asyncio.create_subprocess_exec(
            sys.executable, self.root / script, *words, env=self.environ,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode()

    async def start(self):
        status, _, err = await self.run("min_watchdog_service.py", "start", "--wait")
        assert status == 0, err

    async def double(self, number, key):
        async with KernelClient.at(self.home.path) as kernel:
            return await kernel.request(
                "send", timeout=60, target="genesis_obj", selector="double", args=[number], ik=key
            )

    async def health(self):
        async with KernelClient.at(self.home.path) as kernel:
            return await kernel.request("health", timeout=60)

    async def format(self):
        image = ImageStore.open(self.home.path / "live_image.fs")
        try:
            return await image.transact(lambda root: root["about"]["format"], note="look")
        finally:
            await image.close()


@pytest.fixture
async def site(tmp_path):
    """A site that serves and has learned one method."""
    if shutil.which("git") is None:
        pytest.skip("an upgrade is staged with git")
    site = Site(tmp_path)
    await site.start()
    assert (await site.double(2, "a"))["learned"] is True
    yield site
    await site.run("min_watchdog_service.py", "stop")


async def test_the_same_mind_goes_on_under_the_next_version(site):
    before = await site.health()
    path = site.make_next()
    status, out, _ = await site.run("batos.py", "upgrade", "--dry-run", path)
    assert (status, f"to {NEXT}, signer ann" in out) == (0, True)
    assert (await site.health())["boot"] == before["boot"]

    status, out, err = await site.run("batos.py", "upgrade", path)

    assert (status, "next: done" in out) == (0, True), (
        err + site.home.kernel_log.read_text()[-2000:]
    )
    after = await site.health()
    assert (after["version"], after["image_id"]) == (NEXT, before["image_id"])
    assert (await site.double(2, "a"))["result"] == 4  # the answer that was kept
    told = await site.double(21, "b")
    assert (told["result"], told["learned"]) == (42, False)
    await site.run("min_watchdog_service.py", "stop")
    assert await site.format() == FORMAT + 1


async def test_update_finds_the_newest_tag_says_what_changes_and_upgrades_to_it(site, tmp_path):
    site.make_next()
    site.home.upgrade_keys.unlink()
    site.git("tag", "v99.0.0", "main")
    site.git("clone", "-q", "--bare", "-b", "main", ".", str(tmp_path / "origin"))
    site.git("tag", "-d", "v99.0.0")
    status, _, err = await site.run("batos.py", "update", "--check")
    assert (status, "has no remote" in err) == (1, True), err
    site.git("remote", "add", "origin", str(tmp_path / "origin"))
    before = await site.health()

    status, out, err = await site.run("batos.py", "update", "--check")
    assert (status, out.splitlines()[1:]) == (0, ["  - It can do", "    more."]), err
    assert out.startswith(f"from {__version__} to {NEXT}, commit ")
    assert (await site.health())["boot"] == before["boot"]
    assert not site.home.upgrade_keys.exists()

    status, out, err = await site.run("batos.py", "update")
    assert (status, out.splitlines()[-1]) == (0, "done"), err
    after = await site.health()
    assert (after["version"], after["image_id"]) == (NEXT, before["image_id"])
    assert (await site.double(2, "a"))["result"] == 4
    status, out, err = await site.run("batos.py", "update")
    assert (status, out) == (0, f"BAT OS {NEXT} is the newest version.\n"), err


async def test_a_version_that_dies_after_its_migration_is_taken_back_with_the_image(site):
    before = await site.health()
    await site.run("min_watchdog_service.py", "stop")
    status, out, err = await site.run("batos.py", "upgrade", site.make_next(dies=True))

    assert (status, "next: rolled back" in out) == (1, True), err
    assert await site.format() == FORMAT
    await site.start()
    after = await site.health()
    assert (after["version"], after["image_id"]) == (__version__, before["image_id"])
    told = await site.double(21, "b")
    assert (told["result"], told["learned"]) == (42, False)
    assert not site.home.program.exists()


async def test_a_watchdog_that_is_killed_during_the_trial_leaves_the_old_version(site, tmp_path):
    trial = Home(site.home.path, trial=True)
    upgrading = asyncio.create_task(site.run("batos.py", "upgrade", site.make_next()))
    while not trial.endpoint.exists():
        assert not upgrading.done(), upgrading.result()
        await asyncio.sleep(0.02)
    assert not site.home.endpoint.exists()  # no client finds the kernel on trial
    psutil.Process(read_status(site.home).watchdog_pid).kill()
    status, _, err = await upgrading
    assert (status, "to resume" in err) == (1, True), err

    await site.start()

    assert read_json(site.home.upgrade / "journal.json")["stage"] == "rolled_back"
    assert (await site.health())["version"] == __version__
    assert (await site.double(21, "b"))["learned"] is False
