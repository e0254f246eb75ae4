"""Real child processes that report to the test over a socket: it waits for events, not for time."""

import contextlib
import os
import socket
import sys
import threading
from dataclasses import dataclass

import pytest

from bat_os.supervisor.home import Home
from bat_os.supervisor.report import Status, read_status
from bat_os.supervisor.supervisor import Supervisor

PATIENCE = 30.0


@dataclass
class Life:
    """One life of a child: its process id, and a connection that closes when it ends."""

    pid: int
    line: socket.socket

    def wait_for_end(self):
        with contextlib.suppress(ConnectionResetError):
            while self.line.recv(100):
                pass


@dataclass
class Children:
    """Makes child programs and waits for them to come to life."""

    listener: socket.socket
    home: Home
    lines: contextlib.ExitStack

    def program(self, code):
        """Return a command that reports its birth, then runs ``code``."""
        port = self.listener.getsockname()[1]
        birth = (
            "import json, os, pathlib, signal, socket, sys, threading\n"
            f"home = pathlib.Path({str(self.home.path)!r})\n"
            f"line = socket.create_connection(('127.0.0.1', {port}))\n"
            "def born(): line.sendall(b'%d\\n' % os.getpid())\n"
        )
        return [sys.executable, "-u", "-c", birth + code]

    def wait_for_birth(self):
        line, _ = self.listener.accept()
        self.lines.enter_context(line)
        line.settimeout(PATIENCE)
        with line.makefile("rb") as lines:
            return Life(int(lines.readline()), line)


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    home.prepare()
    return home


@pytest.fixture
def children(home):
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as lines:
        listener.settimeout(PATIENCE)
        yield Children(listener, home, lines)


class Watched:
    """A supervisor that runs in a thread."""

    def __init__(self, supervisor, home):
        self.supervisor = supervisor
        self.home = home
        self.result = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def status(self):
        return read_status(self.home) or Status("none", 0)

    def _run(self):
        self.result = self.supervisor.run()

    def wait(self):
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        return self.result

    def stop(self):
        self.supervisor.stop()
        return self.wait()


@pytest.fixture
def watch(home):
    """Start a supervisor; whatever still runs is stopped at the end."""
    running = []

    def start(command, *, limits=None, upgrade=None, **options):
        supervisor = Supervisor(home, command, **options)
        supervisor.limits = limits or supervisor.limits
        supervisor.upgrade = upgrade
        running.append(Watched(supervisor, home))
        return running[-1]

    yield start
    for watched in running:
        watched.stop()


@pytest.fixture
def until():
    """Return a function that waits for a condition on files that another process writes."""
    pause = threading.Event()

    def wait(condition):
        for _ in range(int(PATIENCE / 0.01)):
            if condition():
                return
            pause.wait(0.01)
        pytest.fail(f"still not so after {PATIENCE:.0f} s")

    return wait


@pytest.fixture(scope="session")
def posix():
    if os.name == "nt":
        pytest.skip("signals are a matter of POSIX")
