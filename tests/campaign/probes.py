"""What the scenarios share: a kernel to try, a bare client, and what the system says of it."""

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path

import ormsgpack
import psutil
import zmq

from tests.kernels import ANSWERS, ROOT, KernelProcess, write_script

MAGIC = b"BAT1"
PATIENCE_MS = 60_000
MIB = 1 << 20


class OddKernelProcess(KernelProcess):
    """As ``KernelProcess`` with the kernel of ``odd_kernel``; knobs go to its environment."""

    def start(self, *, knobs=None, **settings):
        told = {"engine": "scripted", "script": self.script, "tcp_port": 0} | settings
        environ = {f"BATOS_{key.upper()}": str(value) for key, value in told.items()}
        command = [sys.executable, "-m", "tests.campaign.odd_kernel", "serve", "--supervised"]
        with (self.home.parent / "kernel.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--home", self.home],
                cwd=ROOT, env=os.environ | environ | (knobs or {}),
                stdin=subprocess.PIPE, stdout=log, stderr=log,
            )  # fmt: skip
        return self


@contextlib.asynccontextmanager
async def kernel(folder, kind=KernelProcess, **settings):
    """Give a kernel that serves; it has to live and be free of faults to the end."""
    folder.mkdir(parents=True, exist_ok=True)
    made = kind(folder / "home", write_script(folder / "script.jsonl", ANSWERS))
    try:
        made.start(**settings)
        await made.until_ready()
        yield made
        assert made.process.poll() is None, made.log()[-2000:]
    finally:
        made.stop()


class Wire:
    """One bare DEALER socket that has none of our client code."""

    def __init__(self, endpoint, **options):
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        self.session = secrets.token_hex(8)
        for name, value in {"LINGER": 0, "RCVTIMEO": PATIENCE_MS, **options}.items():
            self.socket.set(getattr(zmq, name), value)
        self.socket.connect(endpoint)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._context.destroy(0)

    def send(self, kind, re="1", **fields):
        told = {"v": 1, "type": kind, "id": re, "session": self.session} | fields
        self.socket.send_multipart([MAGIC, ormsgpack.packb(told)])

    def receive(self):
        """Return (type, re, body) of the next reply, whatever its form."""
        *_, packed = self.socket.recv_multipart()
        told = ormsgpack.unpackb(packed)
        if "type" not in told:  # the two-frame form
            return told["status"], "", told.get("error") or told
        return told["type"], told["re"], told["body"]

    def ask(self, kind, **fields):
        """Return (type, body) of the last reply."""
        mark = secrets.token_hex(8)
        self.send(kind, mark, **fields)
        while True:
            told, re, body = self.receive()
            if re == mark and told not in ("accepted", "event"):
                return told, body

    def message(self, selector, *args, **fields):
        """Return the result of a message to the first object.

        Raises:
            AssertionError: It got none.
        """
        fields = {"target": "genesis_obj", "selector": selector, "args": list(args)} | fields
        told, body = self.ask("send", **fields)
        assert told == "result", body
        return body["result"]

    def latencies(self, count):
        """Return how many seconds each of so many messages took, one after the other, sorted."""
        return self._time(count, lambda: self.message("respondsTo", "clone"))

    def kinds(self):
        """Return one request each that only the loop, that a turn, and that a commit answers."""

        def write():
            self.message("setSlot", "written", "x" * 50, ik=secrets.token_hex(8))

        return {
            "ping": lambda: self.ask("ping"),
            "known message": lambda: self.message("respondsTo", "clone"),
            "write with a key": write,
        }

    @staticmethod
    def _time(count, ask):
        took = []
        for _ in range(count):
            started = time.perf_counter()
            ask()
            took.append(time.perf_counter() - started)
        return sorted(took)


def resident(pid):
    """Return the bytes of memory that a process holds."""
    return psutil.Process(pid).memory_info().rss


def at_rest(pid):
    """Return the bytes of memory that a process holds once it works and gives back no more.

    A request that nobody waits for any more may still read the whole image; and a kernel gives back
    what a burst has freed about a second after it.
    """
    seen, spent = [resident(pid)], [worked(pid)]
    while len(seen) < 3 or max(seen[-3:]) - min(seen[-3:]) > MIB or spent[-1] - spent[-3] > 0.5:
        time.sleep(2)
        seen.append(resident(pid))
        spent.append(worked(pid))
    return seen[-1]


def worked(pid):
    """Return the seconds of processor time that a process has used."""
    spent = psutil.Process(pid).cpu_times()
    return spent.user + spent.system


def busy(pid):
    """Return the seconds of processor time of the threads of a kernel that run Python.

    Those of ZeroMQ take what comes in from the network, on another processor if there is one.
    """
    spent = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has ended meanwhile
            if not (task / "comm").read_text().startswith("ZMQbg"):
                spent += int((task / "schedstat").read_text().split()[0])
    return spent / 1e9


def descriptors(pid):
    """Return how many descriptors a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - no paths are wanted


def dial(endpoint):
    """Return a TCP connection to a ZeroMQ endpoint, with nothing said yet."""
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    return socket.create_connection((host, int(port)), timeout=60)


def grown(before, after):
    """Return how much more memory, for people."""
    return f"{(after - before) / MIB:+.1f} MB"


def odd_tree(folder):
    """Return a folder with a ``batos.py`` that is the odd kernel, for a watchdog to start."""
    tree = Path(folder)
    tree.mkdir(parents=True)
    code = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
    code += "from tests.campaign.odd_kernel import main\nsys.exit(main(sys.argv[1:]))\n"
    (tree / "batos.py").write_text(code)
    return tree
