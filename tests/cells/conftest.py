"""One real cell for each test module that asks for it."""

import sys

import pytest
import pytest_asyncio

from bat_os.cells.zygote import ZygoteCell


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cell():
    if sys.platform != "linux":
        pytest.skip("this cell is for Linux")
    cell = ZygoteCell()
    await cell.start()
    yield cell
    await cell.close()
