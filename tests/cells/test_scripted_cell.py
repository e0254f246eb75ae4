"""The shipped fake behaves as the cell that it stands for."""

import pytest

from bat_os.errors import CellError
from tests.cells.contract import CellContract, make_call, refuse
from tests.cells.scripted_cell import ScriptedCell


@pytest.fixture
def cell_for():
    def make(source):
        scope = {}
        exec(source, scope)  # noqa: S102 - the contract's own sources
        return ScriptedCell({"m": scope["m"]})

    return make


class TestContract(CellContract):
    pass


async def test_it_remembers_the_calls_it_was_given():
    cell = ScriptedCell({"m": lambda self, x: x})
    calls = [make_call("one", 1), make_call("two", 2)]

    for call in calls:
        await cell.run(call, refuse)

    assert cell.calls == calls
    assert cell.stats()["calls"] == 2


async def test_a_selector_outside_the_script_fails():
    with pytest.raises(CellError, match="no method 'm'"):
        await ScriptedCell({}).run(make_call(""), refuse)


async def test_a_closed_cell_runs_nothing():
    cell = ScriptedCell({"m": lambda self: 1})
    await cell.close()
    await cell.close()

    with pytest.raises(CellError, match="closed"):
        await cell.run(make_call(""), refuse)
