"""Attacks, run in the cell as they are, with no audit before: none gets anything.

What an attack wants is looked for outside the cell: secrets in what it answers or stores, a
file, a connection, processes, memory, and whether the next call still works.
"""

import asyncio
import json
import math
import pickle
import resource
import socket
from pathlib import Path

import psutil
import pytest

from bat_os.core.values import Ref, check
from bat_os.errors import CellError, NotFoundError
from bat_os.ports import Call, NestedReply, ObjectView
from tests.cells.contract import make_call, refuse

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]
ESCAPES = sorted((Path(__file__).parents[1] / "cases" / "escapes").glob("*.py"))
KERNEL_SECRET = "KSECRET-" + "0123456789abcdef"
VAULT, CANARY = "VSECRET-4711", "CANARY-0815"
SLOW = {"e47", "e49", "e51"}
CASES = [
    pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.stem[:3] in SLOW else [])
    for path in ESCAPES
]


@pytest.fixture
def bait(tmp_path):
    """Return what attacks go for, and see afterwards that they did not get it."""
    canary, forbidden = tmp_path / "canary", tmp_path / "forbidden"
    canary.write_text(CANARY)
    canary.chmod(0o600)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield {
            "@CANARY@": str(canary),
            "@PWN@": str(forbidden),
            "@PORT@": str(listener.getsockname()[1]),
        }
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert not forbidden.exists()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 << 10


@pytest.mark.parametrize("path", CASES)
async def test_an_attack_gets_nothing(cell, path, bait, monkeypatch):
    monkeypatch.setenv("BATOS_TOKEN", CANARY)
    source = path.read_text(encoding="utf-8")
    for mark, real in bait.items():
        source = source.replace(mark, real)
    meta = json.loads(source.split("# META ", 1)[1].splitlines()[0])
    messages = []

    async def send(nested):
        messages.append(nested)
        if (nested.target, nested.selector) != ("calculator", "add"):
            raise NotFoundError(f"no object {nested.target}; {len(VAULT)} others")
        return NestedReply(sum(nested.args))

    view = ObjectView(Ref("0" * 16), meta["slots"])
    try:
        async with asyncio.timeout(30):  # a cell that hangs fails here, by far
            result = await cell.run(Call(source, "m", view, deadline=1.0), send)
    except CellError as error:
        got, stored = str(error), {}
    else:
        got, stored = f"{result.value!r} {result.printed}", result.delta.changed

    for secret in (KERNEL_SECRET, VAULT, CANARY, "root:"):
        assert secret not in got
        assert secret not in repr(stored)
    check(dict(stored))
    assert all(name.isidentifier() and not name.startswith(("_p_", "__")) for name in stored)
    assert len(pickle.dumps(dict(stored))) < 32 << 20
    assert len(messages) <= 5000
    assert len(psutil.Process().children(recursive=True)) <= 12
    benign = "import json, math\ndef m(self):\n    return json.dumps([len('bat'), math.floor(2.5)])"
    assert (await cell.run(make_call(benign), refuse)).value == "[3, 2]"
    assert json.dumps([len("bat"), math.floor(2.5)]) == "[3, 2]"
