"""Workers that wait ahead: the pool by itself, and in each cell that has one."""

import asyncio
import sys

import psutil
import pytest

from bat_os.cells.monty.monty_cell import MontyCell
from bat_os.cells.prefork import Spares
from bat_os.cells.zygote.zygote_cell import ZygoteCell
from bat_os.errors import CellError
from bat_os.ports import NestedReply
from tests.cells.contract import BENIGN, make_call, run

KINDS = [
    pytest.param(
        ZygoteCell,
        marks=pytest.mark.skipif(sys.platform != "linux", reason="this cell is for Linux"),
        id="zygote",
    ),
    pytest.param(MontyCell, id="monty"),
]


class Workshop:
    """Makes numbers, and waits before each where ``gate`` is closed."""

    def __init__(self, ahead):
        self.made, self.dropped = 0, []
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()
        self.spares = Spares(ahead, self.make, self.drop)

    async def make(self):
        self.begun.set()
        await self.gate.wait()
        self.made += 1
        return self.made

    async def drop(self, worker):
        self.dropped.append(worker)


async def test_workers_are_taken_in_the_order_in_which_they_were_made():
    shop = Workshop(2)
    assert shop.spares.take() is None
    await shop.spares.fill()
    await shop.spares.fill()

    assert len(shop.spares) == 2
    assert [shop.spares.take() for _ in range(3)] == [1, 2, None]


async def test_filling_stops_where_nothing_can_be_made():
    async def make():
        return None

    spares = Spares(2, make, make)
    await spares.fill()

    assert len(spares) == 0


async def test_filling_in_the_background_goes_on_once_at_a_time():
    shop = Workshop(2)
    shop.gate.clear()
    for _ in range(5):
        shop.spares.fill_later()
    await shop.begun.wait()
    shop.gate.set()
    await shop.spares.fill()

    assert len(shop.spares) == shop.made == 2


@pytest.mark.parametrize("end", ["empty", "close"])
async def test_a_worker_that_is_made_too_late_is_dropped(end):
    shop = Workshop(2)
    await shop.spares.fill()
    shop.spares.take()
    shop.gate.clear()
    shop.begun.clear()
    shop.spares.fill_later()
    await shop.begun.wait()
    ending = asyncio.create_task(getattr(shop.spares, end)())
    await asyncio.sleep(0)
    shop.gate.set()
    await ending
    await shop.spares.close()

    assert shop.dropped == [2, 3]
    assert len(shop.spares) == 0


@pytest.mark.system
@pytest.mark.parametrize("kind", KINDS)
async def test_a_call_starts_the_cell_and_closing_ends_every_process(kind):
    before = set(psutil.Process().children())
    cell = kind()
    assert (await run(cell, BENIGN)).value == 42
    await cell.start()
    family = set(psutil.Process().children(recursive=True)) - before
    spares = cell.stats()["spares"]

    await cell.close()
    await cell.close()

    assert len(family) >= spares == 2
    assert not cell.stats().get("pid")
    for process in family:
        process.wait(20)


@pytest.mark.system
@pytest.mark.parametrize("kind", KINDS)
async def test_closing_at_any_moment_of_filling_ends_every_process(kind):
    before = set(psutil.Process().children())
    cell = kind()
    assert (await run(cell, BENIGN)).value == 42  # the spares are being made now

    await cell.close()

    for process in set(psutil.Process().children(recursive=True)) - before:
        process.wait(20)


@pytest.mark.system
@pytest.mark.parametrize("kind", KINDS)
async def test_closing_ends_a_call_that_runs(kind):
    cell = kind(spares=0)
    entered, let_go = asyncio.Event(), asyncio.Event()

    async def wait(nested):
        entered.set()
        await let_go.wait()
        return NestedReply(None)

    task = asyncio.create_task(cell.run(make_call("def m(self):\n    self.send('x', 'y')"), wait))
    await entered.wait()
    await cell.close()
    let_go.set()

    with pytest.raises(CellError) as caught:
        await task
    assert caught.value.details["kind"] == "died"
