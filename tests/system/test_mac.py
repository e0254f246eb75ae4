"""What runs on macOS alone, against the recorded answers of its programs."""

import os
import plistlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bat_os.cells.choice import ChosenCell
from bat_os.cells.monty.monty_cell import MontyCell
from bat_os.cells.zygote import zygote_cell
from bat_os.cli.show import system
from bat_os.supervisor.home import Home
from bat_os.supervisor.service import Place, describe
from bat_os.world import desktop
from tests.cells.contract import make_call, refuse
from tests.system.mac import Mac

pytestmark = pytest.mark.skipif(os.name == "nt", reason="its programs are shell scripts")
LABEL = "org.batos.watchdog"


@pytest.fixture
def mac(tmp_path, monkeypatch):
    mac = Mac(tmp_path / "mac")
    monkeypatch.setenv("PATH", f"{mac.path}:/usr/bin:/bin")
    return mac


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "Library" / "Application Support" / "batos")


def service_of(home, folder, *words):
    place = Place("darwin", "ann", 501, folder, folder / ".config")
    return describe(home, [sys.executable, "/opt/batos/watchdog", *words], Path("/opt"), place)


def test_the_service_is_loaded_and_its_file_is_what_launchd_reads(mac, home, tmp_path):
    done = system._install(service_of(home, tmp_path), home)
    assert (done["done"], done["trouble"], done["exit_status"]) == ("installed", "", 0)
    assert mac.loaded == [LABEL]
    assert plistlib.loads(Path(done["file"]).read_bytes())["Label"] == LABEL


def test_a_service_that_is_loaded_is_loaded_anew_with_its_new_file(mac, home, tmp_path):
    system._install(service_of(home, tmp_path), home)
    done = system._install(service_of(home, tmp_path, "--new"), home)
    assert (done["trouble"], mac.loaded) == ("", [LABEL])
    facts = plistlib.loads(Path(done["file"]).read_bytes())
    assert facts["ProgramArguments"][-1] == "--new"


def test_a_service_that_somebody_has_unloaded_is_removed_without_trouble(mac, home, tmp_path):
    service = service_of(home, tmp_path)
    system._install(service, home)
    assert system.remove_service(service, home)["trouble"] == ""
    assert (mac.loaded, service.path.exists()) == ([], False)
    system._install(service, home)
    assert system._run_all(service.disable, ()) == ""  # by hand, or at a log-out
    done = system.remove_service(service, home)
    assert (done["done"], done["trouble"], service.path.exists()) == ("removed", "", False)


def test_without_a_login_on_the_screen_it_is_said_that_nothing_was_loaded(mac, home, tmp_path):
    mac.leave_screen()
    done = system._install(service_of(home, tmp_path), home)
    assert (done["exit_status"], mac.loaded) == (1, [])
    assert "125: Domain does not support specified action" in done["trouble"]


def test_a_notification_shows_its_text_and_says_whether_it_was_shown(mac, monkeypatch):
    monkeypatch.setattr(desktop, "sys", SimpleNamespace(platform="darwin"))
    assert desktop.show("-- BAT OS", "call $(Ann) \"now\"; 'please'\n\x1b[31m")
    assert mac.shown == ["-- BAT OS", "call $(Ann) \"now\"; 'please' [31m"]
    mac.leave_screen()
    assert not desktop.show("BAT OS", "call Ann")


@pytest.mark.system
@pytest.mark.slow
async def test_monty_runs_what_was_learned_where_linux_is_not(monkeypatch):
    monkeypatch.setattr(zygote_cell, "sys", SimpleNamespace(platform="darwin"))
    cell = ChosenCell([zygote_cell.ZygoteCell(), MontyCell()])
    try:
        outcome = await cell.self_test()
        assert (outcome["ok"], outcome["through"], cell.stats()["kind"]) == (True, [], "monty")
        reply = await cell.run(make_call("def m(self, n):\n    return n * 2\n", 4), refuse)
        assert reply.value == 8
    finally:
        await cell.close()
