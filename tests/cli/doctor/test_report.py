"""bat_os.cli.doctor.report: real homes, images and kernels, in the states that they get into."""

import asyncio
import datetime as dt
import json
import os
import socket
import sys
from argparse import Namespace
from fractions import Fraction
from types import SimpleNamespace

import pytest
import ZODB
from BTrees.OOBTree import OOBTree
from ZODB.Connection import TransactionMetaData
from ZODB.FileStorage import FileStorage
from ZODB.utils import z64

from bat_os.cells.zygote.zygote_cell import ZygoteCell
from bat_os.cli.console import Screen
from bat_os.cli.doctor import report as doctor
from bat_os.cli.doctor import running, software
from bat_os.cli.doctor.outcome import Facts, KernelFacts
from bat_os.cli.show.command import Ask
from bat_os.client.client import KernelClient
from bat_os.core.settings import Settings
from bat_os.image.awakening import FORMAT
from bat_os.image.store import ImageStore
from bat_os.supervisor.home import FileLock, Home
from bat_os.supervisor.report import Status, write_crash, write_status
from bat_os.supervisor.restart import Run
from tests.cli.clients import verb

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for key in list(os.environ):
        if key.startswith("BATOS_") or key in ("NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(key)


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path / "home")
    made.prepare()
    return made


@pytest.fixture
async def image(home):
    """A small image, closed, with its blobs."""
    path = home.path / "live_image.fs"
    await write_image(path)
    return path


async def write_image(path, written=FORMAT):
    store = ImageStore.open(path)

    def work(root):
        root["about"] = {"format": written, "id": "i", "created": 0.0}
        root["objects"] = OOBTree()

    await store.transact(work, note="make an image")
    await store.close()


async def examine(home):
    """Return the doctor's body, without what takes seconds."""
    async with KernelClient.at(home.path) as kernel:
        screen = Screen(as_json=True)
        return await doctor.examine(Ask(kernel, home.path, Namespace(quick=True), screen))


async def look(home, name):
    """Return what the doctor says about one thing: state, found and advice of each line."""
    body = await examine(home)
    lines = [one for one in body["checks"] if one["name"] == name]
    assert all(bool(one["advice"]) == (one["state"] != "ok") for one in lines)
    return [(one["state"], one["found"], one["advice"]) for one in lines]


async def look_once(home, name):
    (line,) = await look(home, name)
    return line


# ---- the whole --------------------------------------------------------------------------


@pytest.mark.system
async def test_without_a_kernel_everything_is_looked_at_and_nothing_changed(tmp_path):
    home = tmp_path / "home"
    ended = await verb(home, "doctor", "--json")
    told = ended.json
    found = {one["name"]: one for one in told["checks"]}
    assert {"python", "packages", "machine", "device", "profiles", "disk"} <= set(found)
    assert found["cell"]["state"] == "ok"
    assert "attacks repelled in" in found["cell"]["found"]
    assert found["confinement"]["found"]
    assert (found["kernel"]["state"], found["kernel"]["found"]) == ("warning", "not running")
    assert told["ok"] == all(one["state"] != "broken" for one in told["checks"])
    assert ended.status == int(not told["ok"])
    assert not home.exists()


@pytest.mark.system
async def test_of_a_running_kernel_it_says_what_that_says_of_itself(thinking):
    ended = await verb(thinking.home.path, "doctor", "--quick")
    assert "\x1b" not in ended.out
    lines = ended.out.splitlines()
    kernel = next(line for line in lines if line[9:].startswith("kernel "))
    assert kernel.startswith("ok")
    assert "ready, 0 requests wait" in kernel
    lock = next(line for line in lines if line[9:].startswith("image lock"))
    assert f"held by the daemon, process {os.getpid()}" in lock
    assert f"ipc://{thinking.home.path}/run/kernel.sock, for you alone" in ended.out


async def test_the_exit_status_is_one_when_something_is_broken(home):
    assert (await examine(home))["exit_status"] == 0
    (home.path / "live_image.fs").write_text("no image at all")
    body = await examine(home)
    assert (body["ok"], body["exit_status"]) == (False, 1)


async def test_a_check_that_fails_is_a_line_and_the_others_go_on(home, tmp_path, monkeypatch):
    (tmp_path / "requirements-first.txt").write_bytes(b"torch\xff\xfe==1\n")
    monkeypatch.setattr(doctor, "find_shipped", lambda _name: tmp_path)
    body = await examine(home)
    found = {one["name"]: one for one in body["checks"]}
    assert found["packages"]["state"] == "broken"
    assert found["packages"]["found"].startswith("could not be checked: UnicodeDecodeError")
    assert found["logs"]["state"] == "ok"


def show(capsys, *checks):
    keys = ("name", "state", "found", "advice")
    body = {"checks": [dict(zip(keys, check, strict=True)) for check in checks]}
    doctor.show(body, Screen())
    return capsys.readouterr().out


def test_each_line_has_its_state_its_name_and_below_what_to_do(capsys):
    said = show(capsys, ("disk", "ok", "much", ""), ("home", "broken", "shut", "open it"))
    assert said.splitlines() == [
        "ok       disk            much",
        "broken   home            shut",
        "                         -> open it",
        "1 broken, 0 warnings, 1 ok.",
    ]


def test_what_was_found_does_not_move_the_cursor(capsys):
    assert "\\x1b[2J" in show(capsys, ("crashes", "ok", "said: \x1b[2J", ""))


def test_colours_are_for_terminals_and_never_against_no_color(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # stands for a terminal
    assert "\x1b[32m" in show(capsys, ("disk", "ok", "much", ""))
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[32m" not in show(capsys, ("disk", "ok", "much", ""))


# ---- software ---------------------------------------------------------------------------


async def test_a_setting_that_nobody_reads_gets_a_guess(home, monkeypatch):
    monkeypatch.setenv("BATOS_TCP_PROT", "0")
    state, found, advice = await look_once(home, "settings")
    assert (state, found) == ("warning", "BATOS_TCP_PROT is set, and nothing reads it")
    assert advice.startswith("did you mean BATOS_TCP_PORT?")


async def test_every_setting_that_cannot_be_used_is_named(home, monkeypatch):
    monkeypatch.setenv("BATOS_CANDIDATES", "0")
    monkeypatch.setenv("BATOS_THREADS", "many")
    told = await look(home, "settings")
    assert [state for state, _, _ in told] == ["broken", "broken"]
    assert "BATOS_THREADS must be a whole number from 0 to 256, not 'many'" in {
        found for _, found, _ in told
    }


async def test_a_profile_that_there_is_not_is_named_with_those_there_are(home, monkeypatch):
    monkeypatch.setenv("BATOS_PROFILE", "huge")
    state, found, _ = await look_once(home, "profiles")
    assert state == "broken"
    assert "profile 'huge' is not known; it takes tiny, " in found


def facts(home, tmp_path, **more):
    return Facts(home, tmp_path, dict(os.environ), **more)


def test_a_server_of_tools_is_shown_with_the_last_line_that_it_wrote(home, tmp_path):
    used = [
        {"name": "time", "state": "running", "said": ""},
        {"name": "git", "state": "it ended with exit status 1", "said": "no module named git"},
    ]
    here = facts(home, tmp_path, kernel=KernelFacts({"servers": used}))
    assert [outcome.found for outcome in running.check_servers(here)] == [
        "time: running",
        "git: it ended with exit status 1, said last: no module named git",
    ]
    assert running.check_servers(facts(home, tmp_path)) == []


def test_packages_that_are_missing_or_of_another_version_are_named(home, tmp_path):
    here = facts(home, tmp_path)
    listed = tmp_path / "requirements-first.txt"
    listed.write_text("pytest>=1  # a comment\nabsent-a==1; python_version < '3'\n")
    (outcome,) = software.check_packages(here)
    assert (outcome.state, outcome.found) == ("ok", "all 1 of requirements-first.txt, as pinned")
    listed.write_text("pytest==0.1\n")
    (outcome,) = software.check_packages(here)
    assert outcome.state == "warning"
    assert "(==0.1 wanted)" in outcome.found
    listed.write_text("absent-a==1\nabsent-b==1\npytest==0.1\n")
    (outcome,) = software.check_packages(here)
    assert (outcome.state, outcome.found) == ("broken", "not installed: absent-a, absent-b")
    assert f"install -r {listed}" in outcome.advice


def test_a_system_library_that_llama_cpp_lacks_is_named(home, tmp_path, monkeypatch):
    (tmp_path / "requirements-first.txt").write_text("pytest>=1\n")
    (tmp_path / "xllamacpp.py").write_text("raise ImportError('libgomp.so.1: cannot open it')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "xllamacpp", raising=False)
    (outcome,) = software.check_packages(facts(home, tmp_path))
    assert outcome.state == "broken"
    assert "libgomp.so.1: cannot open it; install what is missing" in outcome.found


def test_later_packages_may_be_missing_and_the_setting_lean_leaves_them_out(home, tmp_path):
    (tmp_path / "requirements-first.txt").write_text("pytest>=1\n")
    (tmp_path / "requirements.txt").write_text("-r requirements-first.txt\nabsent-a==1\n")
    _, outcome = software.check_packages(facts(home, tmp_path))
    assert outcome.state == "warning"
    assert "not installed yet: absent-a" in outcome.found
    assert "batos setup --all" in outcome.advice
    _, outcome = software.check_packages(facts(home, tmp_path, settings=Settings(lean=True)))
    assert (outcome.state, outcome.found) == ("ok", "left out: absent-a (setting lean)")
    (tmp_path / "requirements.txt").write_text("-r requirements-first.txt\npytest==0.1\n")
    _, outcome = software.check_packages(facts(home, tmp_path))
    assert outcome.state == "warning"
    assert "(==0.1 wanted)" in outcome.found


def test_model_packages_are_needed_only_by_an_engine_that_runs_models(home, tmp_path):
    (tmp_path / "requirements-models.txt").write_text("absent-model==1\n")
    (outcome,) = software.check_model_packages(facts(home, tmp_path))
    assert outcome.state == "broken"
    assert "--no-deps" in outcome.advice
    scripted = facts(home, tmp_path, settings=Settings(engine="scripted"))
    (outcome,) = software.check_model_packages(scripted)
    assert outcome.state == "warning"


# ---- home and image ---------------------------------------------------------------------


async def test_a_home_that_others_can_enter_is_told_with_the_command(home):
    home.path.chmod(0o755)
    state, _, advice = await look_once(home, "home")
    assert (state, advice) == ("warning", f"chmod 700 {home.path}")
    home.path.chmod(0o777)
    assert (await look_once(home, "home"))[0] == "broken"


async def test_a_token_that_others_can_read_is_broken(home):
    token = home.lock.parent / "token"
    token.write_text("secret")
    token.chmod(0o644)
    state, _, advice = await look_once(home, "token")
    assert (state, advice) == ("broken", f"chmod 600 {token}")


async def test_a_home_that_is_a_file_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    state, found, _ = await look_once(Home(tmp_path / "file"), "home")
    assert (state, "is not a directory" in found) == ("broken", True)


async def test_a_sound_image_is_ok_and_is_not_touched(home, image):
    before = image.read_bytes()
    (state, found, _) = await look_once(home, "image")
    assert (state, f"format {FORMAT}" in found) == ("ok", True)
    assert (await look_once(home, "image lock"))[:2] == ("ok", "free")
    assert image.read_bytes() == before


async def test_an_end_that_a_crash_cut_off_is_told_and_left_as_it_is(home, image):
    with image.open("ab") as file:
        file.write(b"half a transaction")
    before = image.read_bytes()
    (_, (state, found, _)) = await look(home, "image")
    assert (state, found) == ("warning", "its last 18 bytes are an unfinished transaction")
    assert image.read_bytes() == before


async def test_what_a_crash_set_aside_is_told_with_the_command_that_removes_it(home, image):
    left = image.with_name(image.name + ".tr0")
    left.write_bytes(b"half a transaction")
    state, found, advice = await look_once(home, "leftovers")
    assert (state, found.startswith("live_image.fs.tr0")) == ("warning", True)
    assert advice.endswith(f"rm {left}")


@pytest.mark.parametrize("is_opened", [False, True], ids=["before a start", "after it"])
async def test_an_image_that_lost_its_end_is_broken(home, image, is_opened):
    size = image.stat().st_size
    store = ImageStore.open(image)
    await store.transact(lambda root: root.__setitem__("note", "x" * 5000), note="grow")
    await store.close()
    os.truncate(image, size + 500)
    if is_opened:
        await ImageStore.open(image).close()
    whole, (state, found, advice), *rest = await look(home, "image")
    assert (whole[0], state) == ("ok", "broken")
    assert "bytes are missing at its end" in found
    assert (f"{image}.tr0 has what was cut off" in found) == is_opened
    assert advice.endswith(f"rm {image}.lost")
    assert await look(home, "leftovers") == []  # nothing says to remove what may be needed
    assert len(rest) == (not is_opened)


async def test_a_file_that_is_no_image_is_broken(home):
    (home.path / "live_image.fs").write_text("no image at all")
    state, found, _ = await look_once(home, "image")
    assert (state, "is not an image of BAT OS" in found) == ("broken", True)


async def test_of_an_image_of_a_newer_version_only_its_format_is_read(home):
    await write_image(home.path / "live_image.fs", FORMAT + 1)
    storage, step = FileStorage(str(home.path / "live_image.fs")), TransactionMetaData()
    storage.tpc_begin(step)
    for oid in [oid for oid in storage._index if oid != z64]:  # as another program writes them
        storage.store(oid, storage.load(oid)[1], b"no pickle", "", step)
    storage.tpc_vote(step)
    storage.tpc_finish(step)
    storage.close()
    state, found, _ = await look_once(home, "image")
    assert (state, f"has format {FORMAT + 1}" in found) == ("broken", True)


async def test_an_image_that_would_load_foreign_classes_is_broken(home):
    database = ZODB.DB(str(home.path / "live_image.fs"))
    with database.transaction(note="craft") as connection:
        connection.root()["about"] = Fraction(1, 2)
    database.close()
    state, found, _ = await look_once(home, "image")
    assert (state, "names the class fractions.Fraction" in found) == ("broken", True)


async def test_an_image_without_its_blobs_is_broken(home, image):
    blobs = image.with_name(image.name + ".blob")
    blobs.rename(home.path / "elsewhere")
    state, found, _ = await look_once(home, "blobs")
    assert (state, found.startswith(f"{blobs} is missing")) == ("broken", True)
    assert not blobs.exists()


async def test_blobs_without_their_image_are_broken(home, image):
    image.unlink()
    state, found, _ = await look_once(home, "image")
    assert (state, found.startswith(f"{image} is missing")) == ("broken", True)


async def test_who_else_holds_the_image_is_told(home, image):
    store = ImageStore.open(image)
    try:
        state, found, _ = await look_once(home, "image lock")
    finally:
        await store.close()
    assert (state, f"held by process {os.getpid()}, which is not" in found) == ("warning", True)


# ---- the running system -----------------------------------------------------------------


async def test_an_endpoint_that_a_killed_kernel_left_is_told_at_once(home):
    ended = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await ended.wait()
    home.endpoint.write_text(json.dumps({"pid": ended.pid, "ipc": "ipc:///nowhere"}))
    state, found, _ = await look_once(home, "kernel")
    assert state == "warning"
    assert f"process {ended.pid} was killed" in found


async def test_an_endpoint_that_cannot_be_read_is_broken(home):
    home.endpoint.write_text("{")
    state, found, _ = await look_once(home, "kernel")
    assert (state, found) == ("broken", f"{home.endpoint} cannot be read")


async def test_a_kernel_that_does_not_answer_is_broken(home, monkeypatch):
    monkeypatch.setattr(running, "PATIENCE", 0.1)
    told = {"pid": os.getpid(), "ipc": f"ipc://{home.path}/run/nobody.sock"}
    home.endpoint.write_text(json.dumps(told))
    state, found, _ = await look_once(home, "kernel")
    assert (state, f"process {os.getpid()} does not answer" in found) == ("broken", True)


async def test_a_port_that_another_program_has_is_told(home, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("BATOS_TCP_PORT", str(port))
        state, found, advice = await look_once(home, "doors")
    assert (state, f"TCP port {port} is not available" in found) == ("warning", True)
    assert advice == "set BATOS_TCP_PORT=0"


@pytest.mark.parametrize(
    ("port", "said"), [(-1, "no TCP port is configured"), (0, "any free TCP port is used")]
)
async def test_a_door_that_needs_no_port_of_its_own_is_well(home, monkeypatch, port, said):
    monkeypatch.setenv("BATOS_TCP_PORT", str(port))
    assert await look_once(home, "doors") == ("ok", said, "")


def test_of_a_cluster_whose_image_nobody_wrote_to_no_conflicts_are_told():
    one = {"kernel": "ab", "living": True, "leads": True, "host": "", "missions": 0}
    health = {"cluster": {"kernel": "ab", "kernels": [one], "engine": "zeo"}, "image": {}}
    lines = running.check_cluster(SimpleNamespace(kernel=KernelFacts(health)))
    assert [(line.name, line.found) for line in lines] == [
        ("cluster", "ab lives, leads, this one: 0 requests, zeo")
    ]


async def test_a_watchdog_that_gave_up_says_why(home):
    write_status(home, Status("failed", os.getpid(), reason="5 crashes in 300 s"))
    state, found, _ = await look_once(home, "watchdog")
    assert (state, "5 crashes in 300 s" in found) == ("broken", True)


@pytest.mark.parametrize(
    ("state", "reason", "judged"),
    [("running", "", "ok"), ("running", "the disk is full", "warning"),
     ("waiting", "the disk is full", "warning"), ("restarting", "it crashed", "warning")],
)  # fmt: skip
async def test_a_watchdog_that_is_there_says_what_it_does_and_why(home, state, reason, judged):
    write_status(home, Status(state, os.getpid(), reason=reason))
    lock = FileLock(home.lock)
    lock.acquire()
    said, found, _ = await look_once(home, "watchdog")
    lock.release()
    assert (said, found.startswith(f"{state} since ")) == (judged, True)
    assert found.endswith(f", 0 restarts: {reason}" if reason else ", 0 restarts")


async def test_a_watchdog_that_was_killed_is_told(home):
    write_status(home, Status("running", os.getpid()))
    state, found, _ = await look_once(home, "watchdog")
    assert (state, "killed while it was running" in found) == ("warning", True)


async def test_crashes_of_the_last_day_are_told_and_older_ones_are_not(home):
    home.kernel_log.write_text("the image is damaged\n")
    path = write_crash(home, Run(-9, 0.0, 1.0), Status("running", os.getpid()))
    state, found, advice = await look_once(home, "crashes")
    assert (state, "said last: the image is damaged" in found) == ("warning", True)
    assert advice == f"see {path}"
    old = dt.datetime.now(dt.UTC) - dt.timedelta(days=2)
    path.rename(path.with_name(f"{old:%Y%m%dT%H%M%S.%fZ}.json"))
    assert (await look_once(home, "crashes"))[0] == "ok"


async def test_hostile_files_of_the_running_system_are_lines_too(home):
    home.status.write_text(json.dumps({"state": "running", "watchdog_pid": 1, "since": [{}]}))
    home.endpoint.write_text(json.dumps({"pid": 10**30, "ipc": 5}))
    (home.crashes / "x.json").write_text("[")
    (home.path / "live_image.fs.lock").write_bytes(b"\xff" * 50)
    body = await examine(home)
    assert not [one for one in body["checks"] if "could not be checked" in one["found"]]


# ---- the cell ---------------------------------------------------------------------------


@pytest.fixture
def no_zygote(tmp_path, monkeypatch):
    """A Python that does not run, for the cell that needs one of its own."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'no Python here' >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setitem(software.CELLS, "zygote", lambda: ZygoteCell(python=str(python)))


@pytest.mark.usefixtures("no_zygote")
async def test_where_the_first_cell_does_not_hold_the_second_one_stands_in(home, tmp_path):
    told = [one for one in await software.check_cell(facts(home, tmp_path)) if one.name == "cell"]
    assert [one.state for one in told] == ["warning", "ok"]
    assert told[0].found == "zygote: the cell did not start: no Python here"
    assert told[1].found.endswith("chosen: the fallback, a smaller Python")


@pytest.mark.usefixtures("no_zygote")
async def test_where_no_cell_holds_learned_methods_are_refused(home, tmp_path):
    settings = Settings(cell="zygote")
    (one,) = await software.check_cell(facts(home, tmp_path, settings=settings))
    assert one.state == "broken"
    assert one.found.startswith("learned methods are refused: zygote: ")
    assert "unset BATOS_CELL" in one.advice
