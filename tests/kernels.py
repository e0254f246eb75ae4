"""Kernels for tests: a process of its own, or one in the test's loop that thinks when told to."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import zmq

from bat_os.app.wiring import assemble
from bat_os.client.client import KernelClient
from bat_os.core.settings import Settings
from bat_os.engines.scripted import ScriptedEngine
from bat_os.kernel.service import Kernel
from bat_os.supervisor.home import Home, write_json
from tests.forks import PYTHON
from tests.kernel.minds import roster_of

ROOT = Path(__file__).parents[1]
ANSWERS = {
    "def give_seven(self": " return 7",
    "def double(self": " return number * 2",
    "def remember(self": " self.notes = getattr(self, 'notes', []) + [text]\n    return self.notes",
    "def never_works(self": " return undefined_name_here + another",
    "def slow_one(self": " return 1",
}


def prepare_home(home, prepared):
    """Put a home there that has awakened already, which takes a second; a copy takes none.

    ``prepared`` is made once and then copied from. Its image, and so its identity, is the same in
    each copy: two homes of one test are not to come from here both.
    """
    if not prepared.exists():
        draft = prepared.with_name(f"{prepared.name}.{os.getpid()}")
        kernel = KernelProcess(draft, write_script(draft.with_suffix(".jsonl"), ANSWERS)).start()
        asyncio.run(kernel.until_ready())
        kernel.stop()
        draft.rename(prepared)
    copy_home(prepared, home)


def copy_home(source, home):
    """Copy a home that nobody serves, without its sockets."""
    shutil.copytree(source, home, ignore=shutil.ignore_patterns("run"))


def write_script(path, answers):
    """Write what a scripted engine says: the body of each method by its signature."""
    lines = [json.dumps({"contains": key, "text": text}) + "\n" for key, text in answers.items()]
    path.write_text("".join(lines))
    return path


class KernelProcess:
    """One home directory and the kernel process that serves it, if any."""

    def __init__(self, home: Path, script: Path):
        self.home = home
        self.script = script
        self.process = None

    def start(self, *, tcp_port=0, **settings):
        environ = os.environ | {"BATOS_ENGINE": "scripted", "BATOS_SCRIPT": str(self.script)}
        environ |= {f"BATOS_{key.upper()}": str(value) for key, value in settings.items()}
        environ = {key: value for key, value in environ.items() if value}
        with (self.home.parent / "kernel.log").open("ab") as log:
            self.process = subprocess.Popen(
                [PYTHON, ROOT / "batos.py", "serve", "--home", self.home, "--supervised",
                 "--tcp-port", str(tcp_port)],
                env=environ, stdin=subprocess.PIPE, stdout=log, stderr=log,
            )  # fmt: skip
        return self

    def client(self):
        return KernelClient.at(self.home)

    def endpoint(self):
        return json.loads((self.home / "run" / "endpoint.json").read_text())

    def curve(self):
        """Return the options of a socket for the TCP endpoint, whose key the owner's file has."""
        public, secret = zmq.curve_keypair()
        key = self.endpoint()["key"].encode()
        return {"CURVE_SERVERKEY": key, "CURVE_PUBLICKEY": public, "CURVE_SECRETKEY": secret}

    def token(self):
        return (self.home / "run" / "token").read_text().strip()

    async def until_ready(self):
        while not self.is_announced():  # however busy the machine is
            assert self.process.poll() is None, self.log()
            await asyncio.sleep(0.02)
        async with self.client() as kernel:
            while True:
                health = await kernel.request("health", timeout=30)
                if health["ready"]:
                    return health
                assert not health["problem"], health["problem"]
                await asyncio.sleep(0.02)

    def is_announced(self):
        """Return True when it is this process that clients are told of."""
        try:
            return self.endpoint()["pid"] == self.process.pid
        except (OSError, ValueError):
            return False

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
        if self.process is None:
            return
        has_ended = self.process.poll() is not None
        self.process.stdin.close()
        assert has_ended or self.process.wait(30) == 0, self.log()


class ThinkingKernel:
    """A whole kernel in the test's loop, whose model answers once ``gate`` is set.

    Use as an async context manager. Image, cell and sockets are real.
    """

    def __init__(self, home: Path):
        self.home = Home(home)
        self.gate = asyncio.Event()
        self.mind = None
        self.ahead = ()
        self.steps = ()
        self.options = {}
        self.journal = []  # its lines

    def client(self):
        return KernelClient.at(self.home.path)

    async def __aenter__(self):
        self.home.prepare()
        script = write_script(self.home.path / "script.jsonl", ANSWERS)
        settings = Settings(
            home=str(self.home.path), engine="scripted", script=str(script), **self.options
        )
        parts = assemble(self.home, settings)
        engine = ScriptedEngine(self._answer, gate=self.gate)
        self.mind = replace(parts.mind, roster=roster_of(engine))
        return await self.serve(parts)

    async def serve(self, parts):
        """Serve ``self.mind``, with nothing to prepare."""
        self.door = f"ipc://{self.home.path}/run/kernel.sock"
        doors = [(self.door, "")]
        self.kernel = Kernel(self.mind, doors, self.steps, self.journal.append, parts.verbs)
        self.kernel.ahead = self.ahead
        serving = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self.kernel.run(serving.set_result))
        facts = await serving
        told = {"boot": facts["boot"], "ipc": facts["endpoints"][0], "tcp": ""}
        write_json(self.home.endpoint, told)
        return self

    async def __aexit__(self, *_):
        self.kernel.stop()
        await self.task

    @staticmethod
    def _answer(prompt, sampling, _index):
        if sampling.schema is not None:
            return '{"queries": ["how to write a method"]}'
        asked = prompt.messages[-1][1] + prompt.prefill
        return next((text for part, text in ANSWERS.items() if part in asked), " pass")
