"""What methods, documents, wishes and tools say is text: nothing of it runs or hides other text."""

import asyncio

import pytest

from tests.gateway.page.conftest import window

expect = pytest.importorskip("playwright.async_api").expect
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]
EVIL = "<img src=x onerror=window.ran.push(1)><script>window.ran.push(2)</script>"
MORE = ("javascript:window.ran.push(3)", "{{constructor.constructor('window.ran.push(4)')()}}",
        "\u202eevil\u202c", "</textarea><svg onload=window.ran.push(5)>")  # fmt: skip
SOURCE = f'''def show(self, text: str = "{EVIL}"):
    """{EVIL}"""
    return [{{"<b>{EVIL}": "{EVIL}", "n": 1}}, {{"<b>{EVIL}": "x", "n": 2}}, {{"n": 3}}]
'''
FAILS = f'''def fail(self):
    """Fail."""
    raise ValueError("{EVIL}")
'''


async def fill(http):
    """Have hostile text in every field that a method, document, wish or tool can fill."""
    ask = http.ask
    await ask("POST", "/verbs/derive", {"target": "genesis_obj", "body": {"name": "evil_obj"}})
    values = {"html": EVIL, "rows": [{EVIL: EVIL}, {EVIL: 2}], "deep": {"a": {"b": EVIL}}}
    values |= {f"more_{i}": text for i, text in enumerate(MORE)}
    for slot, value in values.items():
        put = await ask("PUT", f"/objects/evil_obj/slots/{slot}", {"value": value},
                        headers={"if-match": "*"})  # fmt: skip
        assert put.status == 200, put
    for source in (SOURCE, FAILS):
        taught = await ask(
            "POST", "/verbs/teach", {"target": "evil_obj", "body": {"source": source}}
        )
        assert taught.status == 200, taught
    await ask("POST", "/verbs/learn", {"body": {"title": EVIL, "text": f"{EVIL} is a picture."}})
    page = await http.enter()
    for text in (f"remember that {EVIL}", f"add {EVIL} to my {EVIL} list",
                 f"remind me in 2 hours to {EVIL}"):  # fmt: skip
        await http.rude("POST", "/verbs/say", {"body": {"text": text}}, page)
    wish = {"target": "evil_obj", "selector": "never_works", "args": [EVIL], "body": {"text": EVIL}}
    await ask("POST", "/verbs/brief", wish)
    await ask("POST", "/objects/evil_obj/fail", {})


async def test_nothing_that_is_stored_runs(chromium, stocked):
    await fill(stocked)
    async with window(chromium, stocked) as screen:
        page = screen.page
        await screen.enter()
        await screen.say(EVIL)
        await screen.say(f"what is {EVIL}?")
        await screen.say("what is on my shopping list?")
        for place in ("image", "thoughts", "knowledge", "world", "settings"):
            await page.evaluate("(to) => { location.hash = to }", f"#/{place}")
            await page.locator(f".view-{place} .pane:not([hidden])").wait_for()
            await asyncio.sleep(0.4)
        assert screen.console == []
        await page.evaluate("location.hash = '#/knowledge'")
        await expect(page.locator(".column").first).to_contain_text("onerror")
        for selector in ("show", "fail"):
            await page.evaluate("(to) => { location.hash = to }", f"#/image/evil_obj/{selector}")
            method = page.locator(".method.open")
            await expect(method.locator(".source")).to_contain_text("onerror")
            await method.get_by_role("button", name="Run").click()
            await method.locator(".answer, .rich, .trouble").first.wait_for()
            await method.get_by_role("tab", name="Origin").click()
            await method.get_by_role("tab", name="Versions").click()
        await expect(page.locator(".slots")).to_contain_text("\ufffdevil\ufffd")  # no reordering
        await page.keyboard.press("Control+k")
        await page.keyboard.type("onerror")
        assert await page.evaluate("window.ran") == []
        assert await page.locator("img[src='x'], main script, svg[onload]").count() == 0
        screen.may_fail = True  # the method that fails


async def test_an_address_that_others_made_shows_nothing_else(chromium, stocked):
    async with window(chromium, stocked) as screen:
        await screen.enter()
        for place in ("#/javascript:alert(1)/%00/%ff", f"#/talk/{'x' * 3000}", "#/../../x"):
            await screen.page.evaluate("(to) => { location.hash = to }", place)
            await screen.page.locator(".composer, .inspector").first.wait_for()
        screen.may_fail = True  # no such object
