"""bat_os.supervisor.notify: what the service manager hears on its socket."""

import os
import socket

import pytest

from bat_os.supervisor.notify import Notifier

pytestmark = pytest.mark.usefixtures("posix")


@pytest.fixture
def manager(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "notify"))
        line.setblocking(False)
        yield line


def hear(manager):
    try:
        return manager.recv(10_000).decode().splitlines()
    except BlockingIOError:
        return []


def notifier(manager, **environ):
    return Notifier.from_environ({"NOTIFY_SOCKET": manager.getsockname()} | environ, os.getpid())


def test_it_is_ready_when_the_kernel_serves_and_says_so_once(manager):
    told = notifier(manager)
    told.state("starting")
    assert hear(manager) == ["STATUS=starting"]
    told.state("running")
    assert hear(manager) == ["STATUS=running", "READY=1"]
    told.state("running")
    assert hear(manager) == ["STATUS=running"]


def test_stopping_is_told_with_its_reason_on_one_line(manager):
    notifier(manager).state("stopping", "one\ntwo")
    assert hear(manager) == ["STATUS=stopping: one two", "STOPPING=1"]


def test_it_is_alive_as_often_as_half_the_limit_asks_for(manager):
    told = notifier(manager, WATCHDOG_USEC="30000000", WATCHDOG_PID=str(os.getpid()))
    told.alive()
    told.alive()
    assert hear(manager) == ["WATCHDOG=1"]
    assert hear(manager) == []


@pytest.mark.parametrize(
    "environ", [{}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}]
)
def test_nobody_is_told_who_does_not_ask(manager, environ):
    notifier(manager, **environ).alive()
    assert hear(manager) == []


def test_no_service_manager_or_one_that_has_gone_does_no_harm(tmp_path):
    Notifier().state("running")
    Notifier(str(tmp_path / "gone"), 1.0).alive()


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX") or os.uname().sysname != "Linux", reason="Linux")
def test_an_abstract_socket_is_reached():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(f"\0batos-test-{os.getpid()}")
        line.setblocking(False)
        Notifier(f"@batos-test-{os.getpid()}").state("running")
        assert hear(line) == ["STATUS=running", "READY=1"]
