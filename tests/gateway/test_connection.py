"""What the log has of requests that cannot be parsed."""

import asyncio
import logging
import sys

import pytest

from bat_os.gateway.connection import LINES, MAX_KINDS, Quota
from tests.gateway.conftest import opened
from tests.kernels import ThinkingKernel

pytestmark = pytest.mark.asyncio


async def test_malformed_requests_do_not_fill_the_log(tmp_path, caplog):
    """A few lines say what comes in; of the others the log has the number."""
    caplog.set_level("INFO")
    async with ThinkingKernel(tmp_path / "home") as kernel, opened(kernel) as http:
        for _ in range(60):
            assert (await http.bytes(b"\x00 this is not HTTP\r\n\r\n")).status == 400
        lines = [each.getMessage() for each in caplog.records if "Invalid HTTP" in each.message]
        assert len(lines) == LINES
        assert "counted" in lines[-1]
    told = [each.getMessage() for each in caplog.records if "more: Invalid" in each.message]
    assert told == [f"{60 - LINES} more: Invalid HTTP request received."]


@pytest.mark.parametrize(("period", "written"), [(1e9, 2), (-1.0, 6)])
async def test_a_kind_of_line_has_a_quota_in_each_period(caplog, period, written):
    log, quota = logging.getLogger("quota-test"), Quota(lines=2, period=period)
    log.addFilter(quota)
    try:
        for number in range(6):
            log.warning("one kind: %d", number)
        log.warning("another kind")
    finally:
        log.removeFilter(quota)
    lines = [each.getMessage() for each in caplog.records]
    assert len([line for line in lines if line.startswith("one kind")]) == written
    assert "another kind" in lines


async def test_kinds_of_lines_without_end_are_not_kept(caplog):
    quota = Quota()
    for number in range(MAX_KINDS * 3):
        for _ in range(LINES + 1):
            line = {"name": "quota-test", "levelno": logging.WARNING, "msg": f"kind {number}"}
            quota.filter(logging.makeLogRecord(line))
    assert "1 more: kind 0" in [each.getMessage() for each in caplog.records]
    assert len(quota._kinds) <= MAX_KINDS


@pytest.mark.parametrize("many", [1, 300], ids=["one address", "many addresses"])
async def test_who_opens_many_connections_and_says_little_shuts_nobody_out(tmp_path, many):
    if many > 1 and sys.platform != "linux":
        pytest.skip("only Linux has all of 127.0.0.0/8")
    async with ThinkingKernel(tmp_path / "home") as kernel, opened(kernel) as http:
        page = await http.ask("GET", "/healthz")
        held = []
        try:
            for number in range(300):
                local = (f"127.0.{1 + number // 200}.{1 + number % 200}", 0) if many > 1 else None
                _, writer = await asyncio.open_connection("127.0.0.1", http.port, local_addr=local)
                writer.write(b"G")
                held.append(writer)
            again = await http.ask("GET", "/healthz")
            assert (page.status, again.status) == (200, 200)
        finally:
            for writer in held:
                writer.transport.abort()


async def test_clients_that_come_together_all_stay(tmp_path):
    async with ThinkingKernel(tmp_path / "home") as kernel, opened(kernel) as http:
        http.token()
        answers = await asyncio.gather(*(http.ask("GET", "/healthz") for _ in range(100)))
        assert {each.status for each in answers} == {200}
