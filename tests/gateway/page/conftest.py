"""The real page in a real Chromium, against a real kernel and gateway, with its policy as it is."""

import asyncio
import json
import logging
import shutil
from contextlib import asynccontextmanager
from importlib import resources

import pytest
import pytest_asyncio

from bat_os.app.library import load_library

log = logging.getLogger(__name__)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (e) => window.violations.push(
    `${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`));
window.ran = [];
"""


class Screen:
    """One window: the page, and what went over the network and to the console."""

    def __init__(self, http, context, page):
        self.http = http
        self.context = context
        self.page = page
        self.asked, self.keys = [], []
        self.console = []
        self.may_fail = False  # a test that has the server refuse something
        context.on("request", self._note)
        page.on("console", lambda said: self.console.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: self.console.append(f"error: {error}"))

    def _note(self, request):
        self.asked.append(request.url)
        if request.method != "GET":
            self.keys.append(request.headers.get("idempotency-key", ""))

    async def enter(self, path=""):
        """Open the page as ``batos open`` does."""
        await self.page.goto(f"http://{self.http.me}/#code={self.http.ring.write_code()}")
        await self.page.get_by_text("Ready", exact=True).wait_for()
        if path:
            await self.page.evaluate("(to) => { location.hash = to }", path)
        return self

    async def say(self, sentence):
        """Say a sentence; return its answer once it is complete."""
        before = await self.page.locator(".turn").count()
        await self.page.fill("#sentence", sentence)
        await self.page.press("#sentence", "Enter")
        turn = self.page.locator(".turn").nth(before)
        await turn.locator(".facts, .trouble").first.wait_for()
        return turn.locator(".reply")

    async def tell(self):
        """Log what a person would have seen, for a test that has failed."""
        seen = await self.page.evaluate("location.hash + '\\n' + document.body.innerText")
        log.error("%s", "\n".join((seen, *self.console, *self.asked[-20:])))

    async def check(self):
        """No violation of the policy, no error of ours, no host but our own, and a key
        with each request that may change something."""
        assert await self.page.evaluate("window.violations") == []
        assert self.may_fail or self.console == []
        assert "" not in self.keys
        own = (f"http://{self.http.me}/", "data:", "blob:")
        assert [url for url in self.asked if not url.startswith(own)] == []

    async def audit(self):
        """Return what axe finds that is serious, on the page as it stands."""
        axe = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()
        await self.page.evaluate(f"() => {{ {axe}; }}")
        found = await self.page.evaluate("async () => (await axe.run()).violations")
        bad = [one for one in found if one["impact"] in ("serious", "critical")]
        return [f"{one['id']}: {node['html'][:160]} {json.dumps(node['any'][:1])[:200]}"
                for one in bad for node in one["nodes"]]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium():
    playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    async with playwright.async_playwright() as started:
        browser = await started.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stocked(http):
    """The gateway to an image that has the library."""
    await load_library(http.kernel.mind)
    return http


@asynccontextmanager
async def window(chromium, http, **options):
    """Open one window, and see at the end that it kept to the policy."""
    options = {"viewport": {"width": 1360, "height": 850}, "locale": "en-GB", **options}
    context = await chromium.new_context(**options)
    context.set_default_timeout(60_000)
    await context.add_init_script(WATCH)
    screen = Screen(http, context, await context.new_page())
    try:
        yield screen
        await screen.check()
    except BaseException:
        await screen.tell()
        raise
    finally:
        await context.close()
        await asyncio.sleep(0)


@pytest_asyncio.fixture(loop_scope="module")
async def screen(chromium, stocked):
    async with window(chromium, stocked) as made:
        yield await made.enter()
