"""Sentences that are about a tool of a server: found by its name and its meaning."""

import pytest
import pytest_asyncio

from bat_os.core.protocol import Request
from bat_os.core.verbs import check
from bat_os.kernel.verbs import VERBS
from bat_os.world.files import Files
from bat_os.world.mcp.driver import Mcp
from tests.world.mcp.servers import hostile, installed

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow, pytest.mark.system]
pytest.importorskip("mcp", reason="the package mcp is not installed")


async def test_a_sentence_reaches_a_tool_that_reads(mind, said):
    program = installed("mcp-server-time")
    if not program:
        pytest.skip("mcp-server-time is not installed; tests/requirements.txt has it")
    driver = mind.drivers["mcp"] = Mcp()
    try:
        body = {"name": "time", "program": [program], "reads": ["get_current_time"]}
        request = check(Request("grant-mcp", body=body))
        await VERBS["grant-mcp"](mind, request, lambda told: None)
        answer = await said("get current time 'Asia/Tokyo'")
        assert (answer["kind"], answer["model_calls"]) == ("computed", 0)
        assert answer["reading"] == "get_current_time('Asia/Tokyo')"
        assert answer["value"]["datetime"].endswith("+09:00")
    finally:
        driver.close()


@pytest.fixture
def drivers():
    return {"files": Files()}


@pytest.fixture
def shelf(tmp_path):
    """A folder that a server was given; it notes there what it was asked."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    return folder


@pytest_asyncio.fixture(loop_scope="module")
async def box(mind, shelf):
    """Return how the server of that folder was called so far."""
    driver = mind.drivers["mcp"] = Mcp()
    body = hostile("shelf", shelf / "calls", write=[str(shelf)], trusted=True) | {"name": "box"}
    await VERBS["grant-mcp"](mind, check(Request("grant-mcp", body=body)), lambda told: None)

    def calls():
        made = shelf / "calls"
        return made.read_text().splitlines() if made.exists() else []

    yield calls
    driver.close()


@pytest.mark.model
async def test_nothing_goes_to_a_server_on_a_guess(said, box):
    told = await said("which directories may box use?")
    assert not [each for each in box() if not each.startswith("list_allowed")], told
    assert told["kind"] in ("computed", "asked")


@pytest.mark.model
async def test_no_leave_is_asked_for_what_a_server_was_given(said, box, shelf, tmp_path):
    told = await said(f"list the directory {shelf}")
    assert (told["kind"], told["value"]) == ("computed", f"list_directory of {shelf}"), told
    before = box()
    beside = await said(f"list the directory {tmp_path}")
    assert (beside["kind"], beside["needs"]) == ("asked", "grant")
    assert box() == before
