"""The second stage of the set-up: a real virtual environment, a real pip, real kills.

The packages are wheels that the tests make; a child process runs the watchdog's worker.
"""

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import zipfile

import psutil
import pytest

from bat_os.cli.background import Background, _set_lean
from bat_os.cli.setup import Setup
from bat_os.errors import SettingsError
from bat_os.supervisor.home import FileLock, Home, read_json
from tests.system.checkout import ROOT, SlowServer, environ, make_tree

pytestmark = [
    pytest.mark.system,
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="run.sh is for POSIX shells"),
]

FILES = 300  # of the large package: unpacking them takes long enough to be killed
WORK = """
import os, sys
from pathlib import Path
import psutil
from bat_os.cli import background, setup
from bat_os.supervisor.home import Home

setup.LOWEST = int(os.environ.get("LOWEST", 0))  # a busy machine gives 19 hardly any time
background.LOOK = background.RETRY = 0.2
background.ROOM = int(os.environ.get("ROOM", 0))
psutil._pslinux.POWER_SUPPLY_PATH = os.environ["POWER"]
home = Home(Path(sys.argv[2]))
with background.Worker(background.Background(Path(sys.argv[1]), home, os.environ), settle=0):
    print("ready", flush=True)
    sys.stdin.read()
"""
CALL = """
import os, sys
from pathlib import Path
from bat_os.cli import background, verbs
background.ROOT = Path(sys.argv.pop(1))
sys.exit(verbs.main())
"""


def write_wheel(folder, name, version="1.0", *, needs=(), files=1):
    """Write a wheel whose package has so many modules."""
    info = f"{name}-{version}.dist-info"
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}/__init__.py", f"VERSION = {version!r}\n")
        for number in range(1, files):
            archive.writestr(f"{name}/part{number}.py", f"VALUE = {number}\n")
        archive.writestr(
            f"{info}/METADATA", about + "".join(f"Requires-Dist: {x}\n" for x in needs)
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"{name}/__init__.py,,\n")


class Checkout:
    """A checkout with the first stage done, and a folder of wheels instead of an index."""

    def __init__(self, root):
        self.root = root
        self.home = Home(root / "data")
        self.wheels = root / "wheels"
        self.power = root / "power"
        self.tools = root / "tools"
        self.setup = Setup(root, "later.log")
        self.state = root / ".venv" / ".setup" / "later.json"

    def environ(self, **more):
        path = os.pathsep.join((sysconfig.get_path("purelib"), str(self.root)))
        given = {
            "PYTHONPATH": path,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "BATOS_HOME": str(self.home.path),
            "POWER": str(self.power),
            "PATH": f"{self.tools}{os.pathsep}{os.environ['PATH']}",
        }
        return environ(**given | more)

    @contextlib.contextmanager
    def working(self, home="data", **more):
        """Run the worker as a watchdog would."""
        worker = subprocess.Popen(
            [self.setup.python, "-c", WORK, self.root, self.root / home],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self.environ(**more),
        )  # fmt: skip
        assert worker.stdout.readline() == "ready\n"
        try:
            yield worker
        finally:
            worker.stdin.close()
            assert worker.wait(20) in (0, -9)
            worker.stdout.close()

    def verb(self, *words):
        return subprocess.run(
            [self.setup.python, "-c", CALL, self.root, *words],
            capture_output=True, text=True, env=self.environ(), timeout=60, check=False,
        )  # fmt: skip

    def start(self, *words):
        """Start run.sh, whose set-up has only wheels, too."""
        return subprocess.Popen(
            ["sh", self.root / "run.sh", *words],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.environ(),
        )  # fmt: skip

    def until(self, state, text="", patience=90):
        """Wait for a state and a text of its reason or step; return what is said then."""
        give_up = time.monotonic() + patience
        while time.monotonic() < give_up:
            about = read_json(self.state)
            if about.get("state") == state and text in about["reason"] + about["step"]:
                return about
            time.sleep(0.02)
        raise AssertionError(f"{self.state.read_text()} {self.setup.log.read_text()}")

    def until_unpacked(self, count):
        """Wait until the installer has written so many files of the large package."""
        folder = self.packages() / "torch"
        give_up = time.monotonic() + 90
        while not folder.is_dir() or sum(1 for _ in folder.iterdir()) < count:
            assert time.monotonic() < give_up, read_json(self.state)
            time.sleep(0.002)

    def installer(self):
        """Return the process of pip."""
        python = str(self.setup.python)
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                words = process.cmdline()
                if words[:1] == [python] and "pip" in words and process.status() != "zombie":
                    return process
        return None

    def packages(self):
        [folder] = (self.root / ".venv").glob("lib/python3*/site-packages")
        return folder

    def value(self, code):
        """Return what a Python of this environment prints."""
        command = [self.setup.python, "-I", "-c", code]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def first(self):
        """Return every file of the first stage with its time and size."""
        return {
            path: (path.stat().st_mtime_ns, path.stat().st_size)
            for name in ("library", "model", "base")
            for path in self.packages().glob(f"{name}*/**/*")
            if path.suffix != ".pyc"
        }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = make_tree(tmp_path_factory.mktemp("made") / "checkout")
    for folder in ("wheels", "power", "tools", "data"):
        (root / folder).mkdir()
    checkout = Checkout(root)
    write_wheel(checkout.wheels, "base")
    write_wheel(checkout.wheels, "base", "2.0")
    write_wheel(checkout.wheels, "torch", needs=["base"], files=FILES)
    write_wheel(checkout.wheels, "extra", needs=["torch"])
    write_wheel(checkout.wheels, "greedy", needs=["base>=2"])
    (root / "requirements-first.txt").write_text("library==1.0\nbase==1.0\n")
    (root / "requirements-models.txt").write_text("model==1.0\n")
    (root / "requirements.txt").write_text("-r requirements-first.txt\ntorch==1.0\nextra==1.0\n")
    for name in ("library", "model"):
        (root / f"{name}-1.0-py3-none-any.whl").unlink()
        write_wheel(checkout.wheels, name)
    started = checkout.start("hello")
    said, _ = started.communicate()
    assert started.returncode == 0, said
    assert "torch" not in checkout.setup.installed()
    return root


@pytest.fixture
def checkout(made, tmp_path):
    root = tmp_path / "checkout"
    shutil.copytree(made, root, symlinks=True)
    return Checkout(root)


def test_it_adds_the_rest_and_changes_nothing_that_was_there(checkout):
    before = checkout.first()
    assert len(before) > 9
    with checkout.working(LOWEST="1"):
        checkout.until("installing", "[1/2] PyTorch")
        checkout.until_unpacked(1)
        assert checkout.installer().nice() == 1
        checkout.until("complete")
    assert checkout.value("import torch.part299, extra; print('there')") == "there"
    assert checkout.first() == before
    assert checkout.setup.missing("all") == []
    assert "complete" in checkout.verb("setup").stdout


@pytest.mark.parametrize("is_known", [True, False])
def test_the_first_stage_takes_no_file_of_another_hash(checkout, is_known):
    root, held = checkout.root, {}
    for name, version in (("library", "1.0"), ("base", "2.0")):
        wheel = checkout.wheels / f"{name}-{version}-py3-none-any.whl"
        held[f"{name}=={version}"] = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if not is_known:
        write_wheel(checkout.wheels, "base", "2.0", files=2)  # as if somebody put another there
    lines = (f"{pin} \\\n    --hash=sha256:{digest}\n" for pin, digest in held.items())
    (root / "deploy" / "hashes").mkdir(parents=True)
    (root / "deploy" / "hashes" / "requirements-first.txt").write_text("".join(lines))
    (root / "requirements-first.txt").write_text("\n".join(held))
    started = checkout.start("hello")
    said, _ = started.communicate()
    assert (started.returncode == 0) == is_known, said
    assert checkout.setup.installed()["base"] == ("2.0" if is_known else "1.0")


def test_each_package_of_the_first_stage_has_its_hashes():
    for name in ("requirements-first.txt", "requirements-models.txt"):
        hashed = (ROOT / "deploy" / "hashes" / name).read_text()
        entries = re.findall(
            r"^(\S+==\S+) .*((?:\n    --hash=sha256:[0-9a-f]{64}.*)+)", hashed, re.MULTILINE
        )
        listed = re.findall(r"^\S+==\S+", (ROOT / name).read_text(), re.MULTILINE)
        assert {pin.lower() for pin in listed} <= {
            pin.lower().replace("-", kind) for pin, _ in entries for kind in "-_."
        }


@pytest.mark.parametrize(
    ("files", "who"), [(1, "installer"), (FILES // 2, "both"), (FILES, "installer")]
)
def test_killed_at_any_time_it_is_resumed(checkout, files, who):
    before = checkout.first()
    with checkout.working() as worker:
        checkout.until_unpacked(files)
        installer = checkout.installer()
        if who == "both":
            worker.kill()
            worker.wait()
        if installer is not None:
            installer.kill()
            installer.wait(10)
        if who == "installer":
            checkout.until("complete")
    if who == "both":
        assert checkout.setup.missing("all")
        assert "it resumes when BAT OS starts" in checkout.verb("setup").stdout
        with checkout.working():
            checkout.until("complete")
    assert len(list((checkout.packages() / "torch").glob("*.py"))) == FILES
    assert checkout.value("import torch.part299, extra; print('there')") == "there"
    assert checkout.first() == before


def test_an_installer_that_lost_its_watchdog_is_waited_for(checkout):
    with checkout.working() as worker:
        checkout.until_unpacked(5)
        left = checkout.installer()
        left.suspend()
        worker.kill()
        worker.wait()
    with checkout.working():
        checkout.until("installing", "Waiting for another set-up")
        left.resume()
        checkout.until("complete")


def test_a_terminal_goes_first_and_the_worker_makes_room(checkout):
    with SlowServer(next(checkout.wheels.glob("extra-*"))) as server:
        (checkout.root / "requirements.txt").write_text(f"extra @ {server.url}\ntorch==1.0\n")
        with checkout.working():
            assert server.asked.wait(60)
            server.asked.clear()
            started = checkout.start("setup", "--all")
            checkout.until("waiting", "a set-up in a terminal goes first")
            assert server.asked.wait(60)
            server.gate.set()
            said, _ = started.communicate(timeout=60)
            assert "[1/1] other engines: done" in said, said
    assert checkout.setup.missing("all") == []


def test_later_ends_the_installer_and_holds_until_all(checkout):
    with SlowServer(next(checkout.wheels.glob("extra-*"))) as server:
        (checkout.root / "requirements.txt").write_text(f"extra @ {server.url}\ntorch==1.0\n")
        with checkout.working():
            assert server.asked.wait(60)
            ended = checkout.verb("setup", "--later")
            assert (ended.returncode, checkout.installer()) == (0, None), ended.stderr
            assert "stopped: by batos setup --later" in ended.stdout
            checkout.until("waiting", "stopped")
            time.sleep(1)
            assert checkout.installer() is None
            server.gate.set()
            done = checkout.verb("setup", "--all", "--json")
            assert '"state": "complete"' in done.stdout, done.stderr
    assert checkout.value("import torch.part299, extra; print('there')") == "there"


def test_lean_leaves_it_out_until_all(checkout):
    (checkout.home.path / "batos.toml").write_text("threads = 1\nlean = false\n")
    ended = checkout.verb("setup", "--lean")
    assert "lean: lean is true (batos.toml, line 2)" in ended.stdout, ended.stderr
    assert (checkout.home.path / "batos.toml").read_text() == "threads = 1\nlean = true\n"
    assert (checkout.home.path / "batos.toml").stat().st_mode & 0o777 == 0o600
    other = Background(checkout.root, Home(checkout.root / "other"), {})
    assert other.is_lean() == "by batos setup --lean"
    with checkout.working():
        time.sleep(1)
        assert checkout.installer() is None
    assert checkout.setup.missing("all")
    done = checkout.verb("setup", "--all")
    assert checkout.setup.missing("all") == [], done.stderr
    assert other.is_lean() == ""
    assert (checkout.home.path / "batos.toml").read_text() == "threads = 1\nlean = false\n"


def test_settings_that_are_not_text_are_refused_in_a_line(tmp_path):
    (tmp_path / "batos.toml").write_bytes(b"threads = 1 # \xff\n")
    with pytest.raises(SettingsError, match="UTF-8"):
        _set_lean(tmp_path, lean=True)
    assert (tmp_path / "batos.toml").read_bytes() == b"threads = 1 # \xff\n"


@pytest.mark.skipif(sys.platform != "linux", reason="the files of Linux tell of a battery")
def test_it_waits_on_battery_and_on_a_metered_network(checkout):
    busctl, answer = checkout.tools / "busctl", checkout.tools / "answer"
    busctl.write_text(f"#!/bin/sh\ncat {answer}\n")
    busctl.chmod(0o755)
    answer.write_text("u 3\n")
    battery, plug = checkout.power / "BAT0", checkout.power / "AC0"
    for folder, name, text in (
        (battery, "energy_now", "50"), (battery, "energy_full", "100"),
        (battery, "power_now", "5"), (battery, "status", "Discharging"), (plug, "online", "0"),
    ):  # fmt: skip
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text + "\n")
    with checkout.working():
        checkout.until("waiting", "on battery")
        assert "waiting: on battery" in checkout.verb("setup").stdout
        (plug / "online").write_text("1\n")
        checkout.until("waiting", "the network is metered")
        answer.write_text("u 2\n")
        checkout.until("complete")


def test_it_waits_on_a_disk_that_is_nearly_full(checkout):
    with checkout.working(ROOM=str(10**18)):
        about = checkout.until("waiting", "MB are free on the disk")
    assert "and 1000000000000 MB are wanted" in about["reason"]
    assert checkout.installer() is None


def test_what_would_change_a_package_that_is_there_is_refused_and_said(checkout):
    (checkout.root / "requirements.txt").write_text("-r requirements-first.txt\ngreedy==1.0\n")
    before = checkout.first()
    with checkout.working():
        about = checkout.until("waiting", "failed")
    assert "next try in" in about["reason"]
    assert "base" in checkout.setup.log.read_text()
    assert checkout.first() == before


def test_a_pin_that_changed_is_left_to_a_person(checkout):
    with checkout.working():
        checkout.until("complete")
    write_wheel(checkout.wheels, "extra", "1.1")
    text = (checkout.root / "requirements.txt").read_text()
    (checkout.root / "requirements.txt").write_text(text.replace("extra==1.0", "extra==1.1"))
    with checkout.working():
        checkout.until("waiting", "it would replace extra")
    checkout.home.prepare()
    with FileLock(checkout.home.lock).acquire():  # as while a daemon runs
        ended = checkout.verb("setup", "--all")
        started = checkout.start("setup", "--all")
        said, _ = started.communicate(timeout=60)
    for status, text in ((ended.returncode, ended.stderr), (started.returncode, said)):
        assert status != 0
        assert "it would replace extra; run ./run.sh stop and setup --all" in text
    assert checkout.value("import extra; print(extra.VERSION)") == "1.0"
    ended = checkout.verb("setup", "--all")
    assert ended.returncode == 0, ended.stderr
    assert checkout.value("import extra; print(extra.VERSION)") == "1.1"


def test_two_watchdogs_of_one_checkout_do_it_once(checkout):
    (checkout.root / "second").mkdir()
    with checkout.working(), checkout.working(home="second"):
        checkout.until("complete")
        assert checkout.installer() is None


def test_without_a_network_it_says_so_and_tries_again(checkout):
    away = checkout.wheels.rename(checkout.root / "away")
    with checkout.working():
        checkout.until("waiting", "failed")
        away.rename(checkout.wheels)
        checkout.until("complete")


def test_the_end_of_the_watchdog_ends_the_installer(checkout):
    wheel = next(checkout.wheels.glob("extra-*"))
    with SlowServer(wheel) as server:
        (checkout.root / "requirements.txt").write_text(f"extra @ {server.url}\ntorch==1.0\n")
        with checkout.working():
            assert server.asked.wait(60)
            assert checkout.installer() is not None
        assert checkout.installer() is None


def test_a_whole_environment_of_the_one_stage_set_up_is_complete(checkout):
    done = checkout.verb("setup", "--all")
    assert done.returncode == 0, done.stderr
    for name in ("libraries", "rest", "torch", "models"):
        (checkout.setup.stamps / name).write_text("of another form\n")
    (checkout.setup.stamps / "rest").unlink()
    before = checkout.first()
    started = checkout.start("start")
    said, _ = started.communicate()
    assert (started.returncode, said) == (0, "min_watchdog_service.py ['start', '--wait']\n")
    assert checkout.setup.missing("all") == []
    assert checkout.first() == before
