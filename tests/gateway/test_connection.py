"""What the log has of requests that cannot be parsed."""

import logging

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
