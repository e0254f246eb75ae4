"""bat_os.supervisor.supervisor and process, with real child processes."""

import errno
import json
import os
import signal
import subprocess
import sys

import pytest

from bat_os.supervisor import report
from bat_os.supervisor.process import StopTimes
from bat_os.supervisor.pulse import PulseLimits
from bat_os.supervisor.report import Status, read_status, rotate, write_status
from bat_os.supervisor.restart import RestartPolicy
from bat_os.supervisor.supervisor import Supervisor

pytestmark = pytest.mark.system

OBEDIENT = "born(); sys.stdin.read(); sys.exit(0)"
SERVING = """
endpoint = {"pid": os.getpid(), "boot": "b1"}
(home / "run" / "endpoint.json").write_text(json.dumps(endpoint))
born(); sys.stdin.read()
"""
DEAF = "born(); threading.Event().wait()"
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN); born(); threading.Event().wait()"
# Serves, beats once by hand, and is silent from then on.
SILENT = (
    SERVING.replace("born(); sys.stdin.read()", "")
    + """
host, port, token = os.environ["BATOS_BEAT"].split(":")
def beat():
    pulse.sendto(token.encode(), (host, int(port)))
pulse = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
born(); beat()
"""
)
ONCE = "mark = home / 'once'\nfirst = not mark.exists()\nmark.touch()\n"
HASTY = PulseLimits(suspect=0.2, lost=0.6)
IMPATIENT = StopTimes(terminate=0.05, kill=0.1)


def test_a_killed_kernel_is_started_again(children, watch, home):
    watch(children.program(OBEDIENT))
    first = children.wait_for_birth()

    os.kill(first.pid, signal.SIGKILL)

    second = children.wait_for_birth()
    assert second.pid != first.pid
    assert read_status(home).restarts == 1
    assert read_status(home).last_exit == -signal.SIGKILL


def test_a_crash_leaves_a_report_with_the_end_of_the_log(children, watch, home):
    code = "born(); print('the last words'); sys.exit(3)"
    watched = watch(children.program(code), policy=RestartPolicy(limit=0))
    assert watched.wait() == 1

    report = json.loads(min(home.crashes.glob("*.json")).read_text())
    assert report["exit"] == 3
    assert report["log"] == ["the last words"]


def test_a_kernel_that_asks_for_it_is_started_again_without_a_crash_report(children, watch, home):
    once = "mark = home / 'once'\nif not mark.exists(): mark.touch(); born(); sys.exit(75)\n"
    watch(children.program(once + OBEDIENT))
    children.wait_for_birth()
    children.wait_for_birth()
    assert list(home.crashes.iterdir()) == []


def test_a_kernel_that_stops_as_asked_stays_down(children, watch, home):
    assert watch(children.program("born(); sys.exit(0)")).wait() == 0
    assert read_status(home).state == "stopped"


def test_a_permanent_failure_ends_the_watch_with_the_same_status(children, watch, home):
    assert watch(children.program("born(); sys.exit(78)")).wait() == 78
    assert read_status(home).state == "failed"
    assert read_status(home).restarts == 0


def test_a_program_that_is_not_there_is_a_permanent_failure(watch, tmp_path):
    assert watch([str(tmp_path / "nothing")]).wait() == 78


def test_a_kernel_that_keeps_crashing_is_given_up(children, watch, home):
    policy = RestartPolicy(limit=3, longest=0.0)
    assert watch(children.program("sys.exit(1)"), policy=policy).wait() == 1
    assert read_status(home).state == "failed"
    assert read_status(home).restarts == 3
    assert "3 restarts" in read_status(home).reason


def test_a_kernel_whose_pipe_closes_stops_by_itself(children, watch, home):
    watched = watch(children.program(OBEDIENT))
    life = children.wait_for_birth()

    assert watched.stop() == 0

    life.wait_for_end()
    status = read_status(home)
    assert (status.state, status.pid, status.last_exit) == ("stopped", None, 0)


@pytest.mark.usefixtures("posix")
def test_a_kernel_that_does_not_heed_the_pipe_is_terminated(children, watch, home):
    watched = watch(children.program(DEAF), stop_times=StopTimes(terminate=0.05, kill=60.0))
    children.wait_for_birth()
    assert watched.stop() == 0
    assert read_status(home).last_exit == -signal.SIGTERM


@pytest.mark.usefixtures("posix")
def test_a_kernel_that_ignores_sigterm_is_killed(children, watch, home):
    watched = watch(children.program(STUBBORN), stop_times=IMPATIENT)
    children.wait_for_birth()
    assert watched.stop() == 0
    assert read_status(home).last_exit == -signal.SIGKILL


def test_a_watchdog_that_waits_before_a_restart_can_be_stopped(children, watch, home, until):
    watched = watch(children.program("sys.exit(1)"))
    until(lambda: watched.status().restarts >= 2)
    assert watched.stop() == 0
    assert read_status(home).state == "stopped"


def test_a_kernel_that_serves_is_shown_as_running_with_its_boot_id(children, watch, home, until):
    watch(children.program(SERVING))
    life = children.wait_for_birth()
    until(lambda: read_status(home).state == "running")
    assert read_status(home).boot == "b1"
    assert read_status(home).pid == life.pid


def test_the_endpoint_of_a_killed_kernel_is_removed(children, watch, home, until):
    watched = watch(children.program(SERVING), policy=RestartPolicy(limit=0))
    life = children.wait_for_birth()
    until(lambda: read_status(home).state == "running")

    os.kill(life.pid, signal.SIGKILL)

    assert watched.wait() == 1
    assert not home.endpoint.exists()


def start_other_watchdog(home, command):
    code = (
        "import pathlib, sys\n"
        "from bat_os.supervisor.home import Home\n"
        "from bat_os.supervisor.supervisor import Supervisor\n"
        "Supervisor(Home(pathlib.Path(sys.argv[1])), sys.argv[2:]).run()\n"
    )
    return subprocess.Popen([sys.executable, "-c", code, str(home.path), *command])


def test_a_killed_watchdog_takes_its_kernel_along(children, home):
    with start_other_watchdog(home, children.program(OBEDIENT)) as watchdog:
        life = children.wait_for_birth()
        watchdog.kill()
    life.wait_for_end()


@pytest.mark.usefixtures("posix")
def test_a_new_watchdog_ends_the_hanging_kernel_of_a_killed_one(children, watch, home, until):
    with start_other_watchdog(home, children.program(STUBBORN)) as watchdog:
        orphan = children.wait_for_birth()
        until(lambda: read_status(home).pid == orphan.pid)
        watchdog.kill()

    watch(children.program(OBEDIENT), stop_times=IMPATIENT)

    children.wait_for_birth()
    orphan.wait_for_end()


def read_crash(home):
    return json.loads(min(home.crashes.glob("*.json")).read_text())


def test_a_kernel_whose_loop_falls_silent_is_killed_and_started_again(children, watch, home, until):
    hang = SILENT + "threading.Event().wait() if first else sys.stdin.read()\n"
    watch(children.program(ONCE + hang), limits=HASTY)
    first = children.wait_for_birth()
    children.wait_for_birth()
    first.wait_for_end()
    report = read_crash(home)
    assert report["exit"] == -signal.SIGKILL
    assert "no beat" in report["reason"]


@pytest.mark.usefixtures("posix")
def test_a_stopped_kernel_is_killed_and_started_again(children, watch, home):
    stop = SILENT + "os.kill(os.getpid(), signal.SIGSTOP) if first else sys.stdin.read()\n"
    watch(children.program(ONCE + stop), limits=HASTY)
    children.wait_for_birth()
    children.wait_for_birth()
    assert "no beat" in read_crash(home)["reason"]


def test_a_silent_kernel_is_suspect_until_it_beats_again(children, watch, home, until):
    again = "while not (home / 'go').exists(): pass\nbeat(); sys.stdin.read()\n"
    watched = watch(children.program(SILENT + again), limits=PulseLimits(suspect=0.2, lost=60.0))
    life = children.wait_for_birth()
    until(lambda: watched.status().state == "suspect")
    (home.path / "go").touch()
    until(lambda: watched.status().state == "running")
    assert watched.status().pid == life.pid


def test_a_kernel_that_does_not_serve_in_time_is_killed(children, watch, home):
    limits = PulseLimits(startup=0.3)
    watched = watch(children.program(DEAF), limits=limits, policy=RestartPolicy(limit=0))
    assert watched.wait() == 1
    assert "did not serve within" in read_crash(home)["reason"]


def test_a_kernel_that_ends_for_an_upgrade_is_started_again_without_a_report(children, watch, home):
    watch(children.program(ONCE + "born(); sys.exit(76) if first else sys.stdin.read()\n"))
    children.wait_for_birth()
    children.wait_for_birth()
    assert list(home.crashes.iterdir()) == []


def test_a_watchdog_that_is_asked_twice_stops_once(children, watch, home):
    watched = watch(children.program(OBEDIENT))
    children.wait_for_birth()
    watched.supervisor.stop()
    watched.supervisor.stop()
    assert watched.wait() == 0


def test_a_large_log_is_set_aside_while_the_kernel_writes_it(
    children, watch, home, until, monkeypatch
):
    monkeypatch.setattr("bat_os.supervisor.supervisor.LOOK", 0.01)
    monkeypatch.setattr(rotate, "__kwdefaults__", rotate.__kwdefaults__ | {"largest": 1000})
    chatty = "born()\nfor n in range(100): print('line', n, '.' * 50)\nsys.stdin.read()\n"
    watch(children.program(chatty))
    children.wait_for_birth()
    older = home.kernel_log.with_name("kernel.log.1")
    until(older.exists)
    until(lambda: home.kernel_log.stat().st_size < 1000)


@pytest.mark.usefixtures("posix")
def test_an_orphan_stays_named_until_it_has_ended_however_many_watchdogs_die(
    children, watch, home, until
):
    with start_other_watchdog(home, children.program(STUBBORN)) as watchdog:
        orphan = children.wait_for_birth()
        until(lambda: read_status(home).pid == orphan.pid)
        watchdog.kill()
    for _ in range(2):
        with start_other_watchdog(home, children.program(OBEDIENT)) as watchdog:
            until(lambda pid=watchdog.pid: read_status(home).watchdog_pid == pid)
            assert read_status(home).pid == orphan.pid
            assert f"{orphan.pid}" in read_status(home).reason
            watchdog.kill()

    watch(children.program(OBEDIENT), stop_times=IMPATIENT)

    assert children.wait_for_birth().pid != orphan.pid
    orphan.wait_for_end()


REPORTING = """
host, port, token = os.environ["BATOS_BEAT"].split(":")
line_out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def report(text):
    line_out.sendto(f"{token} {text}".encode(), (host, int(port)))
def wait_for(name):
    while not (home / name).exists(): pass
"""


def test_what_a_kernel_waits_for_or_cannot_store_is_in_the_status(children, watch, home, until):
    code = REPORTING + "born(); report('the disk is full'); wait_for('room'); report('')\n"
    code += SERVING.replace("born(); sys.stdin.read()", "") + "wait_for('full')\n"
    code += "report('full again'); sys.stdin.read()"
    watched = watch(children.program(code), limits=PulseLimits(startup=0.5))
    life = children.wait_for_birth()
    until(lambda: watched.status().state == "waiting")
    assert watched.status().reason == "the disk is full"
    (home.path / "room").touch()
    until(lambda: watched.status().state == "running")
    assert watched.status().reason == ""
    (home.path / "full").touch()
    until(lambda: watched.status().reason == "full again")
    assert (watched.status().state, watched.status().pid) == ("running", life.pid)


def test_a_kernel_that_cannot_begin_yet_is_started_again_for_ever(children, watch, home, until):
    watched = watch(children.program("sys.exit(74)"), policy=RestartPolicy(limit=1, longest=0.01))
    until(lambda: watched.status().restarts > 5)
    assert watched.status().state == "waiting"
    assert list(home.crashes.iterdir()) == []
    assert watched.stop() == 0
    assert watched.status().state == "stopped"


def test_a_fault_of_the_watchdog_itself_is_the_last_word_of_its_status(home, monkeypatch):
    def fail(_supervisor):
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(Supervisor, "_watch", fail)
    assert Supervisor(home, ["none"]).run() == 1
    assert read_status(home).state == "failed"
    assert "a fault of ours" in read_status(home).reason


def test_a_status_is_written_where_there_is_no_room_for_another_file(home, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write_status(home, Status("running", 1, pid=2))
    size = home.status.stat().st_size
    monkeypatch.setattr(report, "write_whole", fail)
    write_status(home, Status("failed", 1, reason="the reason " * 40))
    assert (read_status(home).state, read_status(home).pid) == ("failed", None)
    assert home.status.stat().st_size == size
    home.status.unlink()
    with pytest.raises(OSError, match="No such file"):
        write_status(home, Status("failed", 1))
    assert read_status(home) is None
