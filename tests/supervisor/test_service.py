"""bat_os.supervisor.service: the files, read back by what reads them."""

import plistlib
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bat_os.errors import ArgumentsError
from bat_os.supervisor.home import Home
from bat_os.supervisor.service import Place, describe

COMMAND = ["/opt/my bat/python", "/opt/my bat/min_watchdog_service.py", "run", "--home", "/h/1 & 2"]
ROOT = Path("/opt/my bat")


def make(platform, *, usual=True, command=COMMAND):
    place = Place(platform, "ann", 501, Path("/home/ann"), Path("/home/ann/.config"), usual)
    return describe(Home(Path("/h/1 & 2")), command, ROOT, place)


def read_unit(text):
    found, section = {}, ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and line[0] != "#":
            key, _, value = line.partition("=")
            found[section, key] = value
    return found


def test_systemd_watches_the_watchdog_and_stops_only_it():
    service = make("linux")
    unit = read_unit(service.content.decode())
    assert service.path == Path("/home/ann/.config/systemd/user/batos.service")
    assert shlex.split(unit["Service", "ExecStart"]) == COMMAND
    expected = {
        "Type": "notify",
        "WatchdogSec": "30",
        "KillMode": "mixed",
        "Restart": "on-failure",
        "RestartPreventExitStatus": "78",
    }
    assert {key: unit["Service", key] for key in expected} == expected
    assert (unit["Unit", "StartLimitBurst"], unit["Unit", "StartLimitIntervalSec"]) == ("5", "300")


UNITS = {  # how exposed each may be, in tenths: 100 is without any limit
    "batos.service": 80, "batos-kernel@.service": 45, "batos-model@.service": 30,
}  # fmt: skip


def unit_of(name):
    shipped = Path(__file__).parents[2] / "deploy" / "systemd" / name
    return shipped.read_bytes() if shipped.exists() else make("linux").content


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_a_unit_sound_and_little_exposed(tmp_path, name):
    path = tmp_path / name.replace("@", "@8101")
    words = unit_of(name).replace(b"/opt/my bat", b"/opt")
    path.write_bytes(re.sub(rb"ExecStart=(.*\\\n)*.*", b"ExecStart=/bin/true", words))
    found = subprocess.run(
        ["systemd-analyze", "verify", path], check=False, capture_output=True, text=True
    )
    assert (found.returncode, found.stderr) == (0, "")
    limit = ["security", "--offline=true", f"--threshold={UNITS[name]}"]
    subprocess.run(["systemd-analyze", *limit, path], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("name", list(UNITS)[:2])
def test_a_unit_leaves_cells_and_cages_what_they_are_made_of(name):
    kept = {"RestrictNamespaces", "MemoryDenyWriteExecute", "PrivateDevices", "DevicePolicy",
            "ProtectClock", "ProtectKernelTunables", "ProtectProc", "PrivateUsers"}  # fmt: skip
    unit = read_unit(unit_of(name).decode())
    assert unit["Service", "NoNewPrivileges"] == "yes"
    assert not kept & {key for _, key in unit}
    assert "@mount" not in unit["Service", "SystemCallFilter"]


@pytest.mark.parametrize("word", ["/a%h/b", "/a$HOME/b", '/a"b', "/a\\b"])
def test_systemd_expands_nothing_in_a_path(word):
    unit = read_unit(make("linux", command=[word]).content.decode())
    written = unit["Service", "ExecStart"].replace("%%", "%").replace("$$", "$")
    assert shlex.split(written) == [word]
    assert "%h" not in unit["Service", "ExecStart"].replace("%%", "")
    assert "$HOME" not in unit["Service", "ExecStart"].replace("$$", "")


def test_launchd_starts_it_again_unless_it_ended_well():
    service = make("darwin")
    facts = plistlib.loads(service.content)
    assert service.path == Path("/home/ann/Library/LaunchAgents/org.batos.watchdog.plist")
    assert facts["ProgramArguments"] == COMMAND
    assert facts["KeepAlive"] == {"SuccessfulExit": False}
    out, into = service.enable
    assert out == service.disable[0] == ("launchctl", "bootout", "gui/501/org.batos.watchdog")
    assert into == ("launchctl", "bootstrap", "gui/501", str(service.path))


def test_the_task_of_windows_runs_at_logon_without_a_time_limit():
    service = make("win32")
    assert service.content[:2] in (b"\xff\xfe", b"\xfe\xff")
    task = ElementTree.fromstring(service.content)  # noqa: S314 - our own text
    space = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}
    found = lambda path: task.find(path, space).text  # noqa: E731 - one look
    assert found("t:Actions/t:Exec/t:Command") == COMMAND[0]
    assert found("t:Actions/t:Exec/t:Arguments").endswith('run --home "/h/1 & 2"')
    assert found("t:Settings/t:ExecutionTimeLimit") == "PT0S"
    assert found("t:Settings/t:MultipleInstancesPolicy") == "IgnoreNew"
    assert task.find("t:Triggers/t:LogonTrigger", space) is not None


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_another_home_has_a_service_of_its_own(platform):
    assert make(platform).path != make(platform, usual=False).path
    assert make(platform).disable != make(platform, usual=False).disable


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_a_path_that_could_begin_a_line_is_refused(platform):
    with pytest.raises(ArgumentsError, match="another path"):
        make(platform, command=["/a\nExecStartPre=/bin/evil"])
