"""Real cells, one of each kind for each test module that asks for it."""

import sys

import pytest
import pytest_asyncio

from bat_os.cells.monty.monty_cell import MontyCell
from bat_os.cells.zygote.zygote_cell import ZygoteCell


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cell():
    if sys.platform != "linux":
        pytest.skip("this cell is for Linux")
    cell = ZygoteCell()
    await cell.start()
    yield cell
    await cell.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def monty():
    cell = MontyCell()
    await cell.start()
    yield cell
    await cell.close()


@pytest.fixture(scope="module", params=["zygote", "monty"])
def any_cell(request):
    return request.getfixturevalue({"zygote": "cell", "monty": "monty"}[request.param])
