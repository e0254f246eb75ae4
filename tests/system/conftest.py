"""Real kernel processes on real sockets, with a scripted model unless a test says otherwise."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bat_os.clients.client import KernelClient

ROOT = Path(__file__).parents[2]
ANSWERS = {
    "def give_seven(self": " return 7",
    "def double(self": " return number * 2",
    "def remember(self": " self.notes = getattr(self, 'notes', []) + [text]\n    return self.notes",
    "def never_works(self": " return undefined_name_here",
    "def slow_one(self": " return 1",
}


class KernelProcess:
    """One home directory and the kernel process that serves it, if any."""

    def __init__(self, home: Path, script: Path):
        self.home = home
        self.script = script
        self.process = None

    def start(self, **settings):
        environ = os.environ | {"BATOS_ENGINE": "scripted", "BATOS_SCRIPT": str(self.script)}
        environ |= {f"BATOS_{key.upper()}": str(value) for key, value in settings.items()}
        environ = {key: value for key, value in environ.items() if value}
        with (self.home.parent / "kernel.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, ROOT / "batos.py", "serve", "--home", self.home, "--supervised",
                 "--tcp-port", "0"],
                env=environ, stdin=subprocess.PIPE, stdout=log, stderr=log,
            )  # fmt: skip
        return self

    def client(self):
        return KernelClient.at(self.home)

    def endpoint(self):
        return json.loads((self.home / "run" / "endpoint.json").read_text())

    def token(self):
        return (self.home / "run" / "token").read_text().strip()

    async def until_ready(self):
        async with self.client() as kernel:
            while True:
                health = await kernel.request("health", timeout=30)
                if health["ready"]:
                    return health
                assert not health["problem"], health["problem"]
                await asyncio.sleep(0.02)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        return self.wait()

    def wait(self):
        status = self.process.wait(30)
        self.process.stdin.close()
        return status

    def log(self):
        return (self.home.parent / "kernel.log").read_text()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.stdin.close()
            assert self.process.wait(30) == 0, self.log()


@pytest.fixture
def kernel_process(tmp_path):
    script = tmp_path / "script.jsonl"
    script.write_text(
        "".join(json.dumps({"contains": k, "text": v}) + "\n" for k, v in ANSWERS.items())
    )
    made = KernelProcess(tmp_path / "home", script)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.stop()


@pytest.fixture
async def serving(kernel_process):
    kernel_process.start()
    await kernel_process.until_ready()
    return kernel_process
