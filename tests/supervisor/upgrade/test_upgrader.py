"""bat_os.supervisor.upgrade: real git, venv, image and backup; killed at every stage.

The trial here opens the image itself and changes it, as a migration would. A kernel on trial
is in tests/system/test_upgrade.py.
"""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from bat_os.errors import UpgradeError
from bat_os.image.files.ending import losses
from bat_os.image.store import ImageStore
from bat_os.supervisor.home import Home, read_json
from bat_os.supervisor.upgrade import journal, staging
from bat_os.supervisor.upgrade.journal import Stage
from bat_os.supervisor.upgrade.upgrader import Site, Upgrader, examine
from tests.forks import PYTHON

pytestmark = [pytest.mark.system, pytest.mark.slow]


def learn(path, text):
    async def work():
        image = ImageStore.open(path)
        await image.transact(lambda root: root.__setitem__("knows", text), note="learn")
        await image.close()

    asyncio.run(work())


async def read_image(path):
    image = ImageStore.open(path)
    try:
        return await image.transact(lambda root: root["knows"], note="look")
    finally:
        await image.close()


def make_site(home, root, *, good=True):
    path = home.path / "live_image.fs"

    def trial(program, show):
        show(0)
        learn(path, "two")
        if not good:
            raise UpgradeError("it does not serve")

    return Site(
        home=home,
        root=root,
        version="1.0",
        locate_image=lambda: path,
        command=lambda program: [str(program.tree)],
        trial=trial,
    )


def carry_out(site):
    upgrader = Upgrader(site)
    if not upgrader.is_due():
        upgrader.prepare()
    upgrader.apply(lambda step, pid: None)
    return upgrader.outcome


async def upgrade(home, project, *, good=True, text=None):
    home.instructions.write_bytes(text or project.instructions())
    return await asyncio.to_thread(carry_out, make_site(home, project.root, good=good))


async def test_a_good_upgrade_switches_the_program_and_keeps_what_the_image_became(
    upgrade_home, project
):
    outcome = await upgrade(upgrade_home, project)

    assert (outcome.stage, outcome.signer, outcome.reason) == (Stage.DONE, "unsigned", "")
    pointer = read_json(upgrade_home.program)
    assert (pointer["version"], pointer["commit"]) == ("2.0", project.commit)
    assert '"2.0"' in (Path(pointer["tree"]) / "bat_os" / "__init__.py").read_text()
    assert await read_image(upgrade_home.path / "live_image.fs") == "two"
    assert not upgrade_home.instructions.exists()


async def test_a_program_that_does_not_serve_is_taken_back_and_the_image_with_it(
    upgrade_home, project
):
    outcome = await upgrade(upgrade_home, project, good=False)

    assert (outcome.stage, outcome.reason) == (Stage.ROLLED_BACK, "it does not serve")
    assert not upgrade_home.program.exists()
    assert list(upgrade_home.versions.iterdir()) == []
    path = upgrade_home.path / "live_image.fs"
    assert await read_image(path) == "one"
    assert losses(path) == []  # what the trial has stored is given up, and no damage


async def test_changed_libraries_are_installed_over_those_that_run(upgrade_home, project):
    actions = [{"git_ff": {"commit": project.commit}}, project.sync()]
    outcome = await upgrade(upgrade_home, project, text=project.instructions(actions=actions))

    assert outcome.stage is Stage.DONE, outcome.reason
    python = outcome.after.python
    assert python.is_relative_to(upgrade_home.versions)
    code = "import psutil, ZODB, sys; print(sys.prefix)"
    told = await asyncio.to_thread(subprocess.check_output, [python, "-I", "-c", code], text=True)
    assert told.strip() == str(python.parents[1])


async def test_the_next_upgrade_starts_from_the_one_before(upgrade_home, project):
    await upgrade(upgrade_home, project)
    project.git("checkout", "-q", "main")
    project.write("3.0")
    third = project.commit_all("Version 3")
    text = project.instructions(
        **{"id": "u2", "from": "2.0", "to": "3.0", "actions": [{"git_ff": {"commit": third}}]}
    )
    outcome = await upgrade(upgrade_home, project, good=False, text=text)
    assert outcome.stage is Stage.ROLLED_BACK
    assert read_json(upgrade_home.program)["version"] == "2.0"
    outcome = await upgrade(upgrade_home, project, text=text)
    assert (outcome.stage, read_json(upgrade_home.program)["version"]) == (Stage.DONE, "3.0")


async def test_an_upgrade_is_carried_out_once(upgrade_home, project):
    await upgrade(upgrade_home, project)
    outcome = await upgrade(upgrade_home, project)
    assert outcome.stage is Stage.REFUSED
    assert "already carried out" in outcome.reason
    assert read_json(upgrade_home.program)["version"] == "2.0"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"from": "0.9"}, "is for version 0.9, but 1.0 is running"),
        ({"to": "7.0"}, "the commit is version 2.0"),
        ({"actions": [{"git_ff": {"commit": "0" * 40}}]}, "is not in"),
        ({"id": "../u"}, "id must be letters, digits"),
    ],
)
async def test_instructions_that_cannot_end_well_are_refused_while_the_kernel_serves(
    upgrade_home, project, changes, reason
):
    upgrade_home.instructions.write_bytes(project.instructions(**changes))
    upgrader = Upgrader(make_site(upgrade_home, project.root))
    await asyncio.to_thread(upgrader.prepare)
    assert upgrader.outcome.stage is Stage.REFUSED
    assert reason in upgrader.outcome.reason
    assert not upgrader.is_due()
    assert not upgrade_home.program.exists()


async def test_a_commit_that_does_not_come_after_ours_is_refused(upgrade_home, project):
    project.git("checkout", "-q", "--orphan", "other")
    project.write("2.0")
    other = project.commit_all("Another history")
    project.git("checkout", "-q", "main~1")
    text = project.instructions(actions=[{"git_ff": {"commit": other}}])
    with pytest.raises(UpgradeError, match="does not come after"):
        examine(make_site(upgrade_home, project.root), text)


async def test_a_format_that_was_not_promised_is_refused(upgrade_home, project):
    migrate = {"migrate": {"module": "bat_os.image.migrations.format_5"}}
    actions = [{"git_ff": {"commit": project.commit}}, migrate]
    outcome = await upgrade(upgrade_home, project, text=project.instructions(actions=actions))
    assert (outcome.stage, "image format" in outcome.reason) == (Stage.REFUSED, True)


async def test_without_room_for_the_image_the_kernel_is_not_stopped(
    upgrade_home, project, monkeypatch
):
    monkeypatch.setattr(staging, "ROOM", 1 << 50)
    with pytest.raises(UpgradeError, match="make room"):
        examine(make_site(upgrade_home, project.root), project.instructions())


async def test_what_a_dry_run_looks_at_is_left_as_it_was(upgrade_home, project):
    before = sorted(upgrade_home.path.rglob("*"))
    plan = examine(make_site(upgrade_home, project.root), project.instructions())
    assert (plan.running.version, plan.instructions.after) == ("1.0", "2.0")
    assert sorted(upgrade_home.path.rglob("*")) == before


async def test_a_journal_that_cannot_be_read_starts_nothing(upgrade_home, project):
    upgrade_home.upgrade.mkdir()
    (upgrade_home.upgrade / journal.NAME).write_text('{"stage": "done"')
    with pytest.raises(UpgradeError, match="cannot be read"):
        Upgrader(make_site(upgrade_home, project.root))


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from bat_os.failpoints import arm
from bat_os.supervisor.home import Home
from tests.supervisor.upgrade.test_upgrader import carry_out, make_site

arm(sys.argv[5])
carry_out(make_site(Home(Path(sys.argv[2])), Path(sys.argv[3]), good=sys.argv[4] == "good"))
"""
REPOSITORY = Path(__file__).parents[3]
GOOD_WAY = ("received", "verified", "staged", "stopped", "backed_up", "switched", "proven", "done")
POINTS = [
    *[(True, f"upgrade.{stage}{when}") for stage in GOOD_WAY for when in (".before", "")],
    *[
        (False, f"upgrade.{stage}{when}")
        for stage in ("rolling_back", "rolled_back")
        for when in (".before", "")
    ],
]


@pytest.mark.usefixtures("posix")
@pytest.mark.parametrize(("good", "point"), POINTS, ids=[point for _, point in POINTS])
async def test_an_upgrade_that_is_killed_ends_with_the_old_or_the_new_and_never_with_neither(
    upgrade_home, project, good, point
):
    upgrade_home.instructions.write_bytes(project.instructions())
    words = [REPOSITORY, upgrade_home.path, project.root, "good" if good else "bad"]
    command = [PYTHON, "-c", KILLED, *map(str, words), f"{point}:kill"]
    killed = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr.decode()

    outcome = await asyncio.to_thread(carry_out, make_site(upgrade_home, project.root, good=good))

    knows = await read_image(upgrade_home.path / "live_image.fs")
    version = read_json(upgrade_home.program).get("version", "1.0")
    assert (outcome.stage, version, knows) in [
        (Stage.DONE, "2.0", "two"),
        (Stage.ROLLED_BACK, "1.0", "one"),
    ]
    # Only a trial that was cut short is not repeated; all else goes on to its end.
    cut_short = point in ("upgrade.switched", "upgrade.proven.before")
    assert (outcome.stage is Stage.DONE) == (good and not cut_short)


@pytest.mark.usefixtures("posix")
@pytest.mark.parametrize("when", [".before", ""])
async def test_a_refusal_that_is_killed_is_still_a_refusal(upgrade_home, project, when):
    text = project.instructions(**{"from": "0.9"})
    upgrade_home.instructions.write_bytes(text)
    words = [REPOSITORY, upgrade_home.path, project.root, "good", f"upgrade.refused{when}:kill"]
    command = [PYTHON, "-c", KILLED, *map(str, words)]
    killed = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr.decode()

    outcome = await asyncio.to_thread(carry_out, make_site(upgrade_home, project.root))

    assert outcome.stage is Stage.REFUSED
    assert not upgrade_home.program.exists()
    assert await read_image(upgrade_home.path / "live_image.fs") == "one"


async def test_putting_an_image_back_can_be_done_again_wherever_it_was_killed(upgrade_home):
    path, backup = upgrade_home.path / "live_image.fs", upgrade_home.path / "backup"
    side = upgrade_home.path / "side"
    await asyncio.to_thread(staging.back_up_cold, path, backup)
    await asyncio.to_thread(learn, path, "two")

    side.mkdir()  # killed after the image file was put in its place
    await asyncio.to_thread(staging.put_back, backup, path, side)
    assert not side.exists()
    await asyncio.to_thread(staging.put_back, backup, path, side)
    assert await read_image(path) == "one"


def test_a_journal_reads_back_as_it_was_written(tmp_path):
    home = Home(tmp_path)
    home.upgrade.mkdir()
    found = journal.Journal(Stage.RECEIVED, "{}").move(Stage.REFUSED, 12.5, "no")
    journal.write(home, found)
    assert journal.read(home) == found
    assert json.loads((home.upgrade / journal.NAME).read_text())["times"] == [["refused", 12.5]]
