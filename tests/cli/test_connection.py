"""bat_os.cli.connection: which kernel a client waits for."""

import os

from bat_os.cli.connection import may_come
from bat_os.supervisor.home import FileLock, Home, write_json


def test_a_kernel_may_come_while_it_lives_or_a_watchdog_does(tmp_path):
    home = Home(tmp_path)
    home.prepare()
    assert not may_come(home)
    write_json(home.endpoint, {"pid": os.getpid()})
    assert may_come(home)
    write_json(home.endpoint, {"pid": 1 << 30})
    assert not may_come(home)
    with FileLock(home.lock).acquire():
        assert may_come(home)
