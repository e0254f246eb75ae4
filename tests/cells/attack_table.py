"""Every attack of tests/cases, run in each cell without an audit before it; and the page about it.

    python -m tests.cells.attack_table > docs/attacks.md

Whether an attack got what it wants is checked outside the cell: secrets in what it answers or
stores, a file, a connection, processes, memory.
"""

import asyncio
import contextlib
import ctypes
import gc
import json
import os
import pickle
import re
import socket
import sys
import tempfile
from pathlib import Path

import psutil

from bat_os.cells.monty.monty_cell import MontyCell
from bat_os.cells.zygote.zygote_cell import ZygoteCell
from bat_os.core.printable import show_control
from bat_os.core.values import Ref, check
from bat_os.errors import CellError, NotFoundError
from bat_os.kernel.turn import SECONDS
from bat_os.method.guardian import PersistenceGuardian
from bat_os.ports import Call, NestedReply, ObjectView

ESCAPES = sorted((Path(__file__).parents[1] / "cases" / "escapes").glob("*.py"))
KERNEL_SECRET = "KSECRET-" + "0123456789abcdef"
VAULT, CANARY = "VSECRET-4711", "CANARY-0815"
# Where the program and Python lie: the name of a user may be in there.
PLACES = (str(Path(__file__).parents[2]), sys.prefix, sys.base_prefix)
MEMORY = 64 << 20  # a frame of 8 MB that is looked at takes some of it for a moment
HEAD = """# Attacks

Each row is one method that an attacker may get a model to write. The guardian's verdict is only a
filter: both cells received the attack without it. "Nothing" means that the method answered and got
nothing that it wanted; every other entry says how the cell ended it. Whether an attack got what it
wants (a file, an environment variable, a secret of the kernel or of another object, a connection,
processes, memory, a slot of persistence) is checked from outside the cell.

The tests run every attack in both cells and compare the rows and the guardian's verdicts. How a
cell ended an attack is from one run: which limit ends one that only wastes time or memory depends
on the machine.

`python -m tests.cells.attack_table > docs/attacks.md` makes this page. The attacks are in
`tests/cases/escapes`, the checks in `tests/cells/attack_table.py`.

| attack | kind | guardian | zygote cell | Monty cell |
|---|---|---|---|---|
"""


def read_meta(source):
    return json.loads(source.split("# META ", 1)[1].splitlines()[0])


def held_memory():
    """The bytes that this process holds, without what is free and not yet given back."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    return psutil.Process().memory_info().rss


@contextlib.contextmanager
def lay_bait(folder):
    """Give what attacks go for; the list fills with what they got of it."""
    got = []
    canary, forbidden = folder / "canary", folder / "forbidden"
    canary.write_text(CANARY)
    canary.chmod(0o600)
    before = held_memory()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        port = str(listener.getsockname()[1])
        yield {"@CANARY@": str(canary), "@PWN@": str(forbidden), "@PORT@": port}, got
        with contextlib.suppress(BlockingIOError):
            listener.accept()
            got.append("a connection")
    if forbidden.exists():
        got.append("a file")
    if held_memory() - before > MEMORY:
        got.append("memory")


async def strike(cell, path, bait, deadline=1.0):
    """Return how the attack ended in a word or two, and a list of what it got."""
    source = path.read_text(encoding="utf-8")
    for mark, real in bait.items():
        source = source.replace(mark, real)
    messages = []

    async def send(nested):
        messages.append(nested)
        if (nested.target, nested.selector) != ("calculator", "add"):
            raise NotFoundError(f"no object {nested.target}; {len(VAULT)} others")
        return NestedReply(sum(nested.args))

    view = ObjectView(Ref("0" * 16), read_meta(source)["slots"])
    try:
        async with asyncio.timeout(30):  # a cell that hangs fails here, by far
            result = await cell.run(Call(source, "m", view, deadline=deadline), send)
    except CellError as error:
        outcome = " ".join(
            str(error.details[part])
            for part in ("kind", "type", "feature")
            if part in error.details
        )
        said, stored = str(error), {}
    else:
        outcome, said, stored = (
            "nothing",
            f"{result.value!r} {result.printed}",
            result.delta.changed,
        )
    return show_control(outcome)[:80], find_loot(said, stored, messages)


def find_loot(said, stored, messages):
    check(dict(stored))
    loot = [secret for secret in (KERNEL_SECRET, VAULT, CANARY, "root:") if secret in said]
    loot += [secret for secret in (KERNEL_SECRET, VAULT, CANARY, "root:") if secret in repr(stored)]
    loot += [place for place in PLACES if place in said or place in repr(stored)]
    loot += [n for n in stored if not n.isidentifier() or n.startswith(("_p_", "__"))]
    if len(pickle.dumps(dict(stored))) > 32 << 20:
        loot.append("an image full of slots")
    if len(messages) > 5000:
        loot.append("a storm of messages")
    return loot


def judge(path):
    """Return the guardian's verdict in a word or two."""
    report = PersistenceGuardian().audit(path.read_text(encoding="utf-8"), "m")
    return f"refuses: {report.findings[0].rule}" if report.findings else "accepts"


def read_rows(text):
    """Return the cells of each row of the page."""
    rows = [re.split(r"\s*\|\s*", line.strip("| \n")) for line in text.splitlines()]
    return [row for row in rows if re.match(r"[ef]\d\d_", row[0])]


async def make_page():
    os.environ["BATOS_TOKEN"] = CANARY
    cells = [ZygoteCell(), MontyCell()]
    lines = [HEAD]
    for path in ESCAPES:
        outcomes = []
        for cell in cells:
            with tempfile.TemporaryDirectory() as folder, lay_bait(Path(folder)) as (bait, got):
                outcome, loot = await strike(cell, path, bait, SECONDS)
            outcomes.append(f"THROUGH: {[*loot, *got]}" if loot or got else outcome)
        kind = read_meta(path.read_text(encoding="utf-8"))["kind"]
        lines.append(f"| {' | '.join([path.stem, kind, judge(path), *outcomes])} |\n")
    for cell in cells:
        await cell.close()
    return "".join(lines)


if __name__ == "__main__":
    sys.stdout.write(asyncio.run(make_page()))
