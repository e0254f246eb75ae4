"""Events over HTTP: of one mission, and of everything; a reader comes back, or does not read."""

import asyncio
import json

import pytest

from bat_os.gateway import streams
from bat_os.gateway.streams import MAX_STREAMS_PER_CALLER, Reader
from tests.gateway.conftest import opened
from tests.kernels import ThinkingKernel

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Events:
    """An open stream; events as (name, id, data)."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, http, path, last="", scope="own"):
        reader, writer = await asyncio.open_connection("127.0.0.1", http.port)
        lines = [f"GET {path} HTTP/1.1", f"host: {http.me}"]
        lines += [f"{name}: {value}" for name, value in http.token(scope).items()]
        lines += [f"last-event-id: {last}"] if last else []
        writer.write("\r\n".join([*lines, "", ""]).encode())
        head = await reader.readuntil(b"\r\n\r\n")
        is_stream = b" 200 " in head.partition(b"\r\n")[0] and b"text/event-stream" in head
        if not is_stream:
            writer.close()
        assert is_stream, head
        opened = cls(reader, writer)
        assert await opened.line() == ": open"
        return opened

    async def line(self):
        """Return the next line that is no length of a chunk."""
        async with asyncio.timeout(60):
            while True:
                text = (await self.reader.readline()).decode()
                assert text, "the stream has ended"
                if text.strip() and not _is_length(text):
                    return text.strip()

    async def next(self):
        seen = {}
        while "data" not in seen:
            name, _, value = (await self.line()).partition(": ")
            seen[name] = value
        return seen.get("event"), seen.get("id"), json.loads(seen["data"])

    async def until(self, name, fits=lambda data: True):
        while True:
            event = await self.next()
            if event[0] == name and fits(event[2]):
                return event

    def close(self):
        self.writer.close()


def _is_length(text):
    return text.endswith("\r\n") and all(c in "0123456789abcdef" for c in text.strip().lower())


async def test_the_events_of_a_mission_end_with_it_and_go_on_where_they_were(http):
    sent = await http.ask("POST", "/message", {"method_name": "never_works"})
    place = sent.headers["location"]
    events = await Events.open(http, f"{place}/events")
    told = []
    while (event := await events.next())[0] != "end":
        told.append(event)
    events.close()
    assert [data["seq"] for _, _, data in told] == list(range(1, len(told) + 1))
    assert told[-1][2]["state"] == "failed"
    again = await Events.open(http, f"{place}/events", last=told[1][1])
    assert (await again.next())[2]["seq"] == told[2][2]["seq"]
    again.close()
    assert (await http.ask("GET", "/missions/nothing/events")).status == 404


async def test_a_change_by_somebody_else_is_heard_with_its_author(http):
    events = await Events.open(http, "/events")
    await asyncio.sleep(0)
    put = None
    while put is None or put.status != 200:
        put = await http.ask(
            "PUT", "/objects/genesis_obj/slots/mood", {"value": 1}, scope="teach",
            headers={"if-match": "*"},
        )  # fmt: skip
    _, mark, data = await events.until("change", lambda d: d["by"] == "http:a-teach")
    assert data["names"] == ["genesis_obj"]
    await http.ask("POST", "/message", {"method_name": "give_seven"})
    await events.until("mission")
    events.close()
    missed = await http.ask("PUT", "/objects/genesis_obj/slots/mood", {"value": 2},
                            headers={"if-match": "*"})  # fmt: skip
    assert missed.status == 200
    again = await Events.open(http, "/events", last=mark)
    await again.until("change", lambda d: d["id"] > data["id"] and "genesis_obj" in d["names"])
    again.close()
    unknown = await Events.open(http, "/events", last="other.c7")
    assert (await unknown.next())[0] == "gap"
    unknown.close()


async def test_a_reader_that_does_not_read_is_told_of_the_gap(monkeypatch):
    reader = Reader(asyncio.Queue(5))
    for number in range(20):
        reader.put(b"event %d\n\n" % number)
    reader.put(None)
    text = b"".join([part async for part in reader.read()])
    assert b"event: gap" in text
    assert reader.lost


async def test_a_silent_stream_shows_that_it_lives(monkeypatch):
    monkeypatch.setattr(streams, "ALIVE", 0.01)
    parts = Reader().read()
    assert await anext(parts) == streams.OPENING
    assert await anext(parts) == b": alive\n\n"
    await parts.aclose()


async def test_a_caller_has_so_many_streams_and_gets_them_back(http):
    many = [await Events.open(http, "/events", scope="read") for _ in range(MAX_STREAMS_PER_CALLER)]
    full = await http.ask("GET", "/events", scope="read")
    assert (full.status, full.json["code"]) == (429, "BUSY")
    assert "retry-after" in full.headers
    for each in many:
        each.close()
    async with asyncio.timeout(60):
        while True:  # the server notices at once that a reader has closed
            try:
                (await Events.open(http, "/events", scope="read")).close()
            except AssertionError:
                await asyncio.sleep(0.05)
            else:
                return


async def test_streams_live_on_when_another_kernel_serves(tmp_path, monkeypatch):
    home = tmp_path / "home"
    async with ThinkingKernel(home) as first, opened(first) as http:
        events = await Events.open(http, "/events")
        slow = await http.ask("POST", "/message", {"method_name": "slow_one"})
        await events.until("mission")
        of_one = await Events.open(http, f"{slow.headers['location']}/events")
        await of_one.until("mission")
        first.kernel.stop()
        await first.task
        first.home.endpoint.unlink()
        async with ThinkingKernel(home) as second:
            await events.until("gap")
            second.gate.set()
            await of_one.until("mission", lambda data: data["state"] == "complete")
            assert (await of_one.next())[0] == "end"
            of_one.close()
            events.close()
