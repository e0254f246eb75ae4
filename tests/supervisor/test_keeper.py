"""bat_os.supervisor.keeper with real processes."""

import os
import signal
import sys
import time

import psutil
import pytest

from bat_os.supervisor.keeper import Keeper

pytestmark = pytest.mark.system
KEPT = "import os, sys; print(os.getpid(), flush=True); sys.stdin.read()"
REFUSING = "import os; print(os.getpid(), flush=True); raise SystemExit(78)"


class Kept:
    """A keeper, and what its processes wrote."""

    def __init__(self, tmp_path, code):
        self.log = tmp_path / "log" / "kept.log"
        self.log.parent.mkdir()
        self.wish = "first"
        command = [sys.executable, "-c", code]
        self.keeper = Keeper(
            "test", lambda: command, lambda: self.wish, log_file=self.log, environ=dict(os.environ)
        )

    def pids(self):
        return [int(line) for line in self.log.read_text().split()] if self.log.exists() else []

    def until(self, is_so):
        give_up = time.monotonic() + 60
        while not is_so():
            assert time.monotonic() < give_up, self.pids()
            time.sleep(0.02)


def test_a_process_that_dies_is_started_again_and_ends_with_its_keeper(tmp_path):
    kept = Kept(tmp_path, KEPT)
    with kept.keeper:
        kept.until(lambda: len(kept.pids()) == 1)
        os.kill(kept.pids()[0], signal.SIGKILL)
        kept.until(lambda: len(kept.pids()) == 2)
    assert not any(psutil.pid_exists(pid) for pid in kept.pids())


def test_it_is_started_anew_for_another_wish_and_ends_without_one(tmp_path):
    kept = Kept(tmp_path, KEPT)
    with kept.keeper:
        kept.until(lambda: len(kept.pids()) == 1)
        kept.wish = "second"
        kept.until(lambda: len(kept.pids()) == 2)
        kept.wish = ""
        kept.until(lambda: not psutil.pid_exists(kept.pids()[1]))
    assert len(kept.pids()) == 2


def test_one_that_a_person_has_to_help_is_left_alone_until_the_wish_changes(tmp_path):
    kept = Kept(tmp_path, REFUSING)
    with kept.keeper:
        kept.until(lambda: len(kept.pids()) == 1 and not psutil.pid_exists(kept.pids()[0]))
        kept.keeper._wake.set()
        time.sleep(1.2)  # longer than the first two delays
        assert len(kept.pids()) == 1
        kept.wish = "second"
        kept.until(lambda: len(kept.pids()) == 2)
