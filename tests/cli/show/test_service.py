"""bat_os.cli.show.system: the service of this user; no service manager is touched."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bat_os.supervisor.home import FileLock, Home
from tests.forks import PYTHON

ROOT = Path(__file__).parents[3]
pytestmark = [
    pytest.mark.system,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the file is systemd's"),
]


@pytest.fixture
def batos(tmp_path):
    """Run a verb; PATH is empty, so that nothing of this machine is told of it."""
    home = tmp_path / "home"
    environ = os.environ | {"XDG_CONFIG_HOME": str(tmp_path), "PATH": str(tmp_path / "empty")}

    def run(*words):
        command = [PYTHON, ROOT / "batos.py", "service", *words, "--home", home]
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)

    run.home = Home(home)
    run.folder = tmp_path / "systemd" / "user"
    return run


def test_show_prints_what_install_writes_and_changes_nothing(batos):
    shown = batos("show")
    assert (shown.returncode, batos.folder.exists()) == (0, False)
    batos("install")
    (unit,) = batos.folder.iterdir()
    assert unit.read_text().rstrip() == shown.stdout.rstrip()
    assert f'"{sys.executable}" "{ROOT}/min_watchdog_service.py" "run"' in shown.stdout


def test_install_says_clearly_that_the_service_manager_was_not_told(batos):
    done = batos("install")
    assert done.returncode == 1
    assert "systemctl is not installed" in done.stderr


def test_remove_takes_the_file_away_and_may_be_repeated(batos):
    batos("install")
    assert "removed" in batos("remove").stdout
    assert list(batos.folder.iterdir()) == []
    again = batos("remove")
    assert (again.returncode, "not installed" in again.stdout) == (0, True)


def test_a_home_that_a_watchdog_serves_is_not_given_a_second_one(batos):
    batos.home.prepare()
    with FileLock(batos.home.lock).acquire():
        refused = batos("install")
    assert refused.returncode != 0
    assert "stop it" in refused.stderr
    assert not batos.folder.exists()
