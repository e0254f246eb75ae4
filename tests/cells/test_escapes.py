"""Attacks, run in each cell as they are, with no audit before: none gets anything."""

import asyncio
import contextlib
import gc
import json
import math

import psutil
import pytest

from bat_os.cells.call_protocol import Talk
from bat_os.errors import BatError
from tests.cells.attack_table import CANARY, ESCAPES, lay_bait, strike
from tests.cells.contract import make_call, refuse

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]
SLOW = {
    "e47",
    "e49",
    "e51",
    "f05",
    "f07",
    "f08",
    "f09",
    "f17",
    "f29",
    "f30",
    "f41",
    "f42",
    "f43",
    "f47",
    "f52",
    "f53",
}
CASES = [
    pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.stem[:3] in SLOW else [])
    for path in ESCAPES
]


@pytest.mark.parametrize("path", CASES)
async def test_an_attack_gets_nothing(any_cell, path, tmp_path, monkeypatch):
    monkeypatch.setenv("BATOS_TOKEN", CANARY)

    with lay_bait(tmp_path) as (bait, got):
        _, loot = await strike(any_cell, path, bait)

    assert loot == got == []
    assert len(psutil.Process().children(recursive=True)) <= 12
    benign = "import json, math\ndef m(self):\n    return json.dumps([len('bat'), math.floor(2.5)])"
    assert (await any_cell.run(make_call(benign), refuse)).value == "[3, 2]"
    assert json.dumps([len("bat"), math.floor(2.5)]) == "[3, 2]"


@pytest.mark.parametrize(
    "body",
    ["    while True:\n        pass", "    return 1 // 0", "    return 1 << 10_000_000",
     "    print('x' * 70_000_000)", "    return self.send('gone')", "    return [1] * 10_000_000"],
)  # fmt: skip
async def test_a_call_that_fails_keeps_nothing_in_memory(any_cell, body):
    call = make_call(f"def m(self):\n{body}\n", deadline=0.5)
    gc.collect()
    gc.disable()  # which would come at some time, and until then all that it sent is kept
    try:
        with contextlib.suppress(BatError):
            await any_cell.run(call, refuse)
            pytest.fail("it answers")
        async with asyncio.timeout(10):
            while any(type(one) is Talk for one in gc.get_objects()):  # noqa: ASYNC110
                await asyncio.sleep(0.05)  # its child ends
    finally:
        gc.enable()
