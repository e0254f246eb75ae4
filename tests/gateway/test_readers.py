"""Readers of the stream of changes that never read, at a gateway and a kernel of their own."""

import asyncio
import contextlib
import socket

import psutil
import pytest

from tests.gateway.page.sites import Site
from tests.kernels import ANSWERS, KernelProcess, write_script

READERS, COMMITS = 8, 1_000
MOST = 10 << 20  # bytes that the kernel may have grown by

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow, pytest.mark.system]


async def open_events(site, token):
    """Return a connection whose stream has begun, with as little room as there can be."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", site.port))
    reader, writer = await asyncio.open_connection(sock=raw, limit=64)
    lines = ["GET /events HTTP/1.1", f"host: {site.me}", f"authorization: Bearer {token}"]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    assert b"200" in await reader.readuntil(b" 200")
    return writer


async def change(client, count):
    for number in range(count):
        args = ["mood", f"{number} " + "x" * 2_000]
        await client.request("send", target="genesis_obj", selector="setSlot", args=args)


async def test_readers_that_never_read_cost_the_kernel_no_memory(tmp_path):
    made = KernelProcess(tmp_path / "home", write_script(tmp_path / "script.jsonl", ANSWERS))
    made.start()
    site, open_ones = Site(made.home), []
    try:
        await made.until_ready()
        await site.start()
        async with made.client() as client:
            await change(client, 200)
            kernel = psutil.Process(made.process.pid)
            before = kernel.memory_info().rss
            token = site.ring.make("reader", "read", 1)
            open_ones = [await open_events(site, token) for _ in range(READERS)]
            await change(client, COMMITS)
            assert kernel.memory_info().rss - before < MOST
            # Nobody is kept waiting by them.
            assert (await client.request("health", timeout=30))["ready"]
    finally:
        for one in open_ones:
            one.transport.abort()
            with contextlib.suppress(OSError):
                await one.wait_closed()
        if site.process is not None:
            site.kill()
        made.stop()
