"""Another server on this machine: the browser gives it the page's cookie, and nothing else."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from tests.gateway.conftest import JSON
from tests.gateway.page.conftest import window

expect = pytest.importorskip("playwright.async_api").expect
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]
# What a page of another port can do in the owner's browser.
HOSTILE = """<!doctype html><title>hostile</title><script>
window.found = JSON.stringify([{...sessionStorage}, {...localStorage}]);
window.heard = [];
const tabs = new BroadcastChannel("batos-page");
tabs.onmessage = (event) => window.heard.push(event.data);
tabs.postMessage("");
</script>"""


@asynccontextmanager
async def neighbour():
    """A server on another port of the same host; yields its port and what it was sent."""
    sent = []

    async def answer(reader, writer):
        sent.append((await reader.readuntil(b"\r\n\r\n")).decode())
        body = HOSTILE.encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {len(body)}\r\n"
        writer.write(f"{head}connection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], sent
    finally:
        server.close()
        await server.wait_closed()


async def test_a_page_on_another_port_cannot_act_for_the_owner(chromium, stocked):
    async with window(chromium, stocked) as screen, neighbour() as (port, sent):
        await screen.enter()
        other = await screen.context.new_page()
        await other.goto(f"http://127.0.0.1:{port}/")
        [line] = [line for line in sent[0].split("\r\n") if line.lower().startswith("cookie: ")]
        cookie = line.partition(": ")[2]
        assert f"batos-{stocked.port}=" in cookie, "cookies do not tell ports apart"
        found = await other.evaluate("window.found + JSON.stringify(window.heard)")
        forged = [*JSON.items(), ("cookie", cookie), ("origin", f"http://{stocked.me}"),
                  ("sec-fetch-site", "same-origin")]  # fmt: skip
        grant = {"name": "theirs", "may": "own", "days": 3650}
        for path, body in (("/owner/tokens.make", grant), ("/verbs/list", {}),
                           ("/verbs/grant", {"body": {"what": "/etc", "yes": True}})):  # fmt: skip
            assert (await stocked.rude("POST", path, body, forged)).status == 401, path
        assert (await stocked.rude("GET", "/events", headers=forged)).status == 401
        assert "theirs" not in stocked.ring.listed()
        secret = await screen.page.evaluate("sessionStorage.getItem('batos-page')")
        assert secret
        assert secret not in found
        assert secret not in "".join(sent)
        await other.close()
        screen.asked = [url for url in screen.asked if f":{port}/" not in url]


async def test_a_reload_another_tab_and_a_second_opening_stay_in(chromium, stocked):
    async with window(chromium, stocked) as screen:
        await screen.enter()
        first = screen.page
        ready = first.get_by_text("Ready", exact=True)
        await first.reload()
        await ready.wait_for()
        second = await screen.context.new_page()
        await second.goto(f"http://{stocked.me}/")
        await second.get_by_text("Ready", exact=True).wait_for()
        third = await screen.context.new_page()
        await third.goto(f"http://{stocked.me}/#code={stocked.ring.write_code()}")
        await third.get_by_text("Ready", exact=True).wait_for()
        for page in (first, second):  # the browser has another cookie for them now
            answer = await page.evaluate(
                """async () => (await import("/page/ask.js")).ask("/health")"""
            )
            assert answer["ready"]
        await expect(first.locator(".pill.good")).to_be_visible()


async def test_an_open_page_hears_what_others_do(chromium, stocked):
    async with window(chromium, stocked) as screen:
        await screen.enter("#/image")
        await stocked.ask("POST", "/verbs/derive",
                          {"target": "genesis_obj", "body": {"name": "heard_obj"}})  # fmt: skip
        await screen.page.get_by_role("option", name="heard").wait_for()
