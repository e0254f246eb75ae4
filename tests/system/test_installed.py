"""The wheel: what is in it, and BAT OS as pip installs it, away from any checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import bat_os
from bat_os.cli.setup import Setup
from bat_os.errors import SettingsError
from tests.system.checkout import environ

ROOT = Path(__file__).parents[2]
SHIPPED = ("persona_codex.jsonl", "lora_adapters", "requirements-first.txt",
           "requirements-models.txt", "requirements.txt", "CHANGELOG.md")  # fmt: skip

pytestmark = [pytest.mark.system, pytest.mark.slow]


def build(folder, tree=ROOT, **more):
    """Build the wheel without a network; return it."""
    words = ["wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), str(tree)]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True, env=environ(**more))
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build(tmp_path_factory.mktemp("wheel"))


def make_venv(folder, wheel):
    """Install the wheel in a new environment that has the libraries of this one; return batos."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    [packages] = folder.glob("lib/python3*/site-packages")
    layer = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    (packages / "below.pth").write_text(layer)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install"]
    subprocess.run([*pip, "-q", "--no-deps", "--no-index", str(wheel)], check=True)
    return folder / "bin" / "batos"


def tracked(*paths):
    listed = subprocess.run(
        ["git", "ls-files", *paths], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return listed.stdout.splitlines()


def test_the_wheel_has_every_file_of_the_package_and_what_ships_beside_it(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert set(tracked("bat_os")) <= names
    assert {f"bat_os/shipped/{name}" for name in tracked(*SHIPPED)} <= names
    data = f"bat_os-{bat_os.__version__}.data/data/share"
    assert {f"{data}/man/man1/batos.1", f"{data}/applications/batos.desktop"} <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests")]


def test_two_builds_of_the_same_source_have_the_same_bytes(wheel, tmp_path):
    other = tmp_path / "elsewhere"
    for name in tracked():
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        made = Path(shutil.copy(ROOT / name, other / name))  # at another time
        made.chmod(made.stat().st_mode & 0o700)
    (tmp_path / "wheel").mkdir()
    again = build(tmp_path / "wheel", other, TZ="Asia/Tokyo", LC_ALL="C", PYTHONHASHSEED="7")
    assert again.read_bytes() == wheel.read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="the paths of POSIX")
def test_an_installed_program_sets_itself_up_answers_opens_its_page_and_stops(wheel, tmp_path):
    batos = make_venv(tmp_path / "tool", wheel)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "zmq.py").write_text("raise SystemExit('a file of the folder was imported')")
    given = environ(
        BATOS_LEAN="true", BATOS_TCP_PORT="-1", XDG_DATA_HOME=str(tmp_path / "share"),
        PIP_NO_INDEX="1", HOME=str(tmp_path),
    )  # fmt: skip

    def run(*words):
        return subprocess.run(
            [batos, *words], cwd=elsewhere, capture_output=True, text=True, env=given, check=False
        )

    assert run("--version").stdout == f"BAT OS {bat_os.__version__}\n"
    assert "batos open" in run("--help").stdout
    assert run("status").returncode == 3
    assert run("test").stderr == "The tests are in the checkout only: ./run.sh test\n"
    try:
        said = run("what is 17% of 340")
        assert (said.stdout, said.returncode) == ("57.8\n", 0), said.stderr
        assert (tmp_path / "share" / "batos" / "live_image.fs").is_file()
        assert run("open", "--print").stdout.startswith("http://127.0.0.1:")
        assert str(tmp_path / "share" / "batos") in run("status").stdout
        assert "method-writer" in run("models").stdout
        checks = run("doctor", "--quick").stdout
        assert "requirements-first.txt, as pinned" in checks
        assert "broken" not in checks.replace("Nothing is broken", "")
    finally:
        assert run("stop").returncode == 0
    assert run("open", "--print").stdout.startswith("http://127.0.0.1:")  # from nothing
    assert run("stop").returncode == 0


def test_outside_of_a_virtual_environment_the_set_up_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.setattr(bat_os, "find_shipped", lambda name, _root: ROOT / name)
    with pytest.raises(SettingsError, match="install it with pipx or uv"):
        Setup(tmp_path).complete("first", hold=False)
