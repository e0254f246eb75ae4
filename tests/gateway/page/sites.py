"""A gateway process that can be killed under an open page."""

import asyncio
import os
import signal
import subprocess

from bat_os.client.tokens import TokenRing
from bat_os.gateway.running import FILE
from bat_os.supervisor.home import read_json
from tests.forks import PYTHON
from tests.kernels import ROOT

# Files of the page that are loaded once it can be used.
IDLE = {"palette.js"}


class Site:
    """A gateway process on a port that stays, as the watchdog keeps it."""

    def __init__(self, home):
        self.home = home
        self.ring = TokenRing(home)
        self.port = 0
        self.process = None

    @property
    def me(self):
        return f"127.0.0.1:{self.port}"

    async def start(self):
        (self.home / FILE).unlink(missing_ok=True)
        environ = os.environ | {"BATOS_HTTP_PORT": str(self.port)}
        with (self.home.parent / "gateway.log").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
                [PYTHON, ROOT / "batos.py", "gateway", "--home", self.home, "--supervised"],
                env=environ, stdin=subprocess.PIPE, stdout=log, stderr=log,
            )  # fmt: skip
        while not (url := read_json(self.home / FILE).get("url")):
            assert self.process.poll() is None, (self.home.parent / "gateway.log").read_text()
            await asyncio.sleep(0.02)
        self.port = int(url.rpartition(":")[2])

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)
        self.process.stdin.close()
