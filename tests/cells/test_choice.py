"""bat_os.cells.choice: the first cell that holds."""

import asyncio

import pytest

from bat_os.cells.choice import ChosenCell
from bat_os.cells.monty.monty_cell import MontyCell
from bat_os.cells.zygote.zygote_cell import ZygoteCell
from bat_os.errors import CellUnavailableError
from tests.cells.contract import make_call, refuse
from tests.cells.scripted_cell import ScriptedCell

METHOD = "def m(self):\n    return 7\n"


class Leaky(ScriptedCell):
    """A cell whose self-test finds a hole."""

    def __init__(self):
        super().__init__({"m": lambda _self: "leaked"})
        self.tests = 0

    async def self_test(self):
        self.tests += 1
        return {"ok": False, "held": [], "through": ["read a file"]}


class Missing(Leaky):
    """A cell that this machine cannot have."""

    async def self_test(self):
        self.tests += 1
        raise CellUnavailableError("no seccomp here")


@pytest.mark.system
async def test_the_preferred_cell_is_taken_where_it_holds():
    cell = ChosenCell([ZygoteCell(), MontyCell()])
    try:
        assert (await cell.run(make_call(METHOD), refuse)).value == 7
        assert (cell.stats()["kind"], cell.stats()["self_test"]["ok"]) == ("zygote", True)
    finally:
        await cell.close()


@pytest.mark.system
@pytest.mark.parametrize("first", [Leaky, Missing])
async def test_monty_stands_in_for_a_cell_that_does_not_hold(first):
    cell = ChosenCell([first(), MontyCell()])
    try:
        assert (await cell.self_test())["ok"]
        assert (await cell.run(make_call(METHOD), refuse)).value == 7
        assert cell.stats()["kind"] == "monty"
    finally:
        await cell.close()


async def test_where_no_cell_holds_nothing_runs_and_the_reasons_are_named():
    leaky = Leaky()
    cell = ChosenCell([leaky, Missing()])
    for _ in range(2):
        with pytest.raises(CellUnavailableError, match=r"read a file.*no seccomp here"):
            await cell.run(make_call(METHOD), refuse)
    assert leaky.calls == []
    assert leaky.tests == 1


@pytest.mark.system
async def test_calls_that_come_before_the_self_test_wait_for_it_and_it_runs_once():
    leaky = Leaky()
    cell = ChosenCell([leaky, ZygoteCell()])
    try:
        told = await asyncio.gather(*(cell.run(make_call(METHOD), refuse) for _ in range(4)))
        assert [one.value for one in told] == [7] * 4
        assert leaky.tests == 1
    finally:
        await cell.close()
