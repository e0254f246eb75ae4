"""SIGKILL in the middle of unlearn, redo, fork, backup, restore and pack: the old or the new state.

    python -m tests.campaign.history --rounds 60 --seed 1

Each round begins one work on a living mind, kills the process that does it after a random part of
the time that the work takes, and then looks at everything: all methods answer as before or
as after, every fork opens, the backup is whole, the restored home is one of the two that it
can be. What was found becomes what the next round expects.
"""

import argparse
import asyncio
import contextlib
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from bat_os.core.settings import IMAGE
from bat_os.errors import BatError
from bat_os.image.files.backup import verify
from bat_os.image.files.fork import drop_fork, list_forks
from bat_os.image.files.pack import count_objects
from bat_os.image.files.restore import restore
from bat_os.image.store import ImageStore
from tests.kernels import ANSWERS, ROOT, KernelProcess, write_script

WORKS = ("unlearn", "redo", "fork", "backup", "restore", "pack")
METHODS = [f"m{number}" for number in range(6)]
RESTORE = (
    "import sys; from pathlib import Path; from bat_os.image.files.restore import restore\n"
    "print('go', flush=True); sys.stdin.readline()\n"
    "restore(Path(sys.argv[1]), Path(sys.argv[2]), replace=True)\n"
)


def source_of(method):
    return f'def {method}(self):\n    return "{method}"\n'


@dataclass
class Expected:
    """What must be true of the mind.

    Attributes:
        answers: Method -> whether it is understood.
        hashes: Method -> SHA-256 of its source.
        note: What the object remembers; changes with every round.
        forks: Name of a fork -> the note that it began with.
        backup: Last transaction of the backup, or "".
        restored: Note in the home that is restored to, or "" where there is none yet.
    """

    answers: dict = field(default_factory=dict)
    hashes: dict = field(default_factory=dict)
    note: str = ""
    forks: dict = field(default_factory=dict)
    backup: str = ""
    saved: str = ""
    restored: str = ""


class Campaign:
    """One mind that is killed over and over."""

    def __init__(self, folder, seed):
        self.folder = Path(folder)
        self.random = random.Random(seed)  # noqa: S311 - moments to kill at, no secrets
        script = write_script(self.folder / "script.jsonl", ANSWERS)
        self.kernel = KernelProcess(self.folder / "home", script)
        self.saving = self.folder / "backup"
        self.copy = self.folder / "copy"
        self.expected = Expected()
        self.took = {}
        self.outcomes = Counter()

    async def run(self, rounds):
        """Return how often each work was found undone and done: (work, "old" | "new") -> times."""
        try:
            await self.prepare()
            order = [work for _ in range(-(-rounds // len(WORKS))) for work in WORKS]
            for number, work in enumerate(order[:rounds]):
                await self.change(number)
                self.outcomes[work, await getattr(self, work)()] += 1
                await self.check()
        finally:
            self.kernel.stop()
        return self.outcomes

    async def prepare(self):
        """Teach the methods, and do each work once without a kill to learn how long it takes."""
        await self.start()
        async with self.kernel.client() as client:
            for method in METHODS:
                told = await client.request(
                    "teach", target="genesis_obj", body={"source": source_of(method)}
                )
                self.expected.answers[method] = True
                self.expected.hashes[method] = told["sha256"]
            for number in range(20):  # something that a pack can forget
                await self.set_note(client, f"old {number}" + "x" * 20_000)
            await self.set_note(client, "begin")
            for work, body in (
                ("fork", {"name": "first"}),
                ("backup", {"folder": str(self.saving)}),
                ("unlearn", {}),
                ("redo", {}),
            ):
                started = time.monotonic()
                told = await self.ask(client, work, "m0", body)
                self.took[work] = time.monotonic() - started
                if work == "backup":
                    self.expected.backup, self.expected.saved = told["tid"], "begin"
            self.took["pack"] = 2 * self.took["backup"]
        self.expected.forks["first"] = "begin"
        started = time.monotonic()
        await asyncio.to_thread(restore, self.saving, self.copy)
        self.took["restore"] = time.monotonic() - started
        self.expected.restored = "begin"

    async def change(self, number):
        """Let time go by: the note is another now, and the old one is history."""
        async with self.kernel.client() as client:
            await self.set_note(client, f"round {number}" + "y" * 5_000)

    async def unlearn(self):
        return await self.move("unlearn", understood=True)

    async def redo(self):
        return await self.move("redo", understood=False)

    async def move(self, work, *, understood):
        """Kill while a method is unlearned or comes back; return what was found."""
        answers = self.expected.answers
        ready = [method for method in METHODS if answers[method] is understood]
        if not ready:  # the last kills came too early: do the opposite in peace first
            method = self.random.choice(METHODS)
            async with self.kernel.client() as client:
                await self.ask(client, "redo" if understood else "unlearn", method, {})
            ready, answers[method] = [method], understood
        method = self.random.choice(ready)
        await self.kill_during(work, method, {})
        async with self.kernel.client() as client:
            answers[method] = await self.understands(client, method)
        return "old" if answers[method] is understood else "new"

    async def fork(self):
        name = f"f{self.random.getrandbits(32)}"
        await self.kill_during("fork", "", {"name": name})
        there = name in {one["name"] for one in list_forks(self.kernel.home / IMAGE)}
        if there:
            self.expected.forks[name] = self.expected.note
        return "new" if there else "old"

    async def backup(self):
        await self.kill_during("backup", "", {"folder": str(self.saving)})
        told = verify(self.saving)
        if told["tid"] == self.expected.backup:
            return "old"
        self.expected.backup, self.expected.saved = told["tid"], self.expected.note
        return "new"

    async def restore(self):
        """Kill a process that puts the backup in the place of a home that is there."""
        command = [sys.executable, "-c", RESTORE, self.saving, self.copy]
        with subprocess.Popen(  # noqa: ASYNC220 - nothing else runs meanwhile
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout.readline() == "go\n"
            process.stdin.write("go\n")
            process.stdin.flush()
            await self.part_of("restore")
            process.kill()
            process.stdin.close()
        note = await note_in(self.copy)
        assert note in (self.expected.restored, self.expected.saved), note[:20]
        done = note == self.expected.saved
        self.expected.restored = note
        return "new" if done else "old"

    async def pack(self):
        path = self.kernel.home / IMAGE
        before = path.stat().st_size
        await self.kill_during("pack", "", {"days": 0})
        return "new" if path.stat().st_size < before else "old"

    async def kill_during(self, work, method, body):
        """Begin a work, kill the kernel in the middle of it, and start the next kernel."""
        async with self.kernel.client() as client:
            asking = asyncio.ensure_future(self.ask(client, work, method, body))
            await self.part_of(work)
            assert self.kernel.kill() == -9
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError, BatError):
                await asking
        await self.start()

    async def start(self):
        self.kernel.start()
        await self.kernel.until_ready()

    async def part_of(self, work):
        """Wait for a random part of the time that a work takes: that moment is what is tried.

        Machines are busier at one time than at another, so now and then the work is done by then.
        """
        await asyncio.sleep(self.random.random() * 3 * self.took[work])

    async def check(self):
        """Everything is as it has to be."""
        expected = self.expected
        async with self.kernel.client() as client:
            for method, understood in expected.answers.items():
                assert await self.understands(client, method) is understood, method
                if understood:
                    assert await self.send(client, method) == method
                    why = await client.request("why", target="genesis_obj", selector=method)
                    assert why["sha256"] == expected.hashes[method]
            assert await self.send(client, "note") == expected.note
        assert verify(self.saving)["tid"] == expected.backup
        assert await note_in(self.copy) == expected.restored
        forks = {one["name"]: Path(one["home"]) for one in list_forks(self.kernel.home / IMAGE)}
        assert set(forks) == set(expected.forks)
        for name, home in forks.items():
            assert await note_in(home) == expected.forks[name]
        for name in list(forks)[2:]:  # a few are enough
            drop_fork(self.kernel.home / IMAGE, name)
            del expected.forks[name]

    async def set_note(self, client, text):
        await client.request("send", target="genesis_obj", selector="setSlot", args=["note", text])
        self.expected.note = text

    async def understands(self, client, method):
        return await self.send(client, "respondsTo", method)

    @staticmethod
    async def send(client, selector, *args):
        told = await client.request(
            "send", timeout=60, target="genesis_obj", selector=selector, args=list(args)
        )
        return told["result"]

    @staticmethod
    async def ask(client, work, method, body):
        return await client.request(
            work, timeout=60, target="genesis_obj", selector=method, body=body
        )


async def note_in(home):
    """Return what the image in ``home`` remembers, after reading every object of it."""
    image = ImageStore.open(home / IMAGE)
    try:
        count_objects(image.storage)
        return await image.transact(
            lambda root: root["objects"]["genesis_obj"].slots["note"], note="read"
        )
    finally:
        await image.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="batos-campaign-") as folder:
        campaign = Campaign(folder, options.seed)
        found = asyncio.run(campaign.run(options.rounds))
    for work in WORKS:
        print(f"{work:<8} old {found[work, 'old']:>3}  new {found[work, 'new']:>3}")  # noqa: T201 - a report
    print(f"{sum(found.values())} kills, every state was the old or the new one")  # noqa: T201 - a report


if __name__ == "__main__":
    main()
