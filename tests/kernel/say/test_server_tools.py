"""Sentences that are about a tool of a server: found by its name and its meaning."""

import pytest

from bat_os.core.protocol import Request
from bat_os.core.verbs import check
from bat_os.kernel.verbs import VERBS
from bat_os.world.mcp.driver import Mcp
from tests.world.mcp.servers import installed

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
