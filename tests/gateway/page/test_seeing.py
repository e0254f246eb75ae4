"""The page at twice its size, without motion, and without a mouse; steps of tools are shown."""

import asyncio
import json
import re
import shutil

import pytest
import pytest_asyncio

from bat_os.app.library import load_library
from bat_os.core.ability import Ability
from tests import kernels
from tests.gateway.conftest import opened
from tests.gateway.page.conftest import window
from tests.gateway.page.test_hostile import EVIL
from tests.world.mcp.servers import HOSTILE, hostile

expect = pytest.importorskip("playwright.async_api").expect
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]
expect.set_options(timeout=60_000)
VIEWS = ("talk", "image", "thoughts", "knowledge", "world", "settings")
ACROSS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
MOVING = "document.getAnimations().filter((one) => one.playState === 'running').length"
# The ratio of WCAG 2.2, 1.4.3, of a colour on another, as the browser has computed both.
CONTRAST = """([over, under]) => {
    const probe = document.body.appendChild(document.createElement("i"));
    const bright = (name) => {
        probe.style.color = `var(--${name})`;
        const parts = getComputedStyle(probe).color.match(/[0-9.]+/g).slice(0, 3)
            .map((one) => one / 255)
            .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
    };
    const [high, low] = [bright(over), bright(under)].sort((a, b) => b - a);
    probe.remove();
    return (high + 0.05) / (low + 0.05);
}"""
TEXTS = ("text", "dim", "accent", "good", "bad", "warn", "info", "verified", "taught",
         "provisional", "s-word", "s-string", "s-digits", "s-name")  # fmt: skip
SHAPES = ("own", "personas", "world", "library", "missions", "kernel", "unlearned")


async def show(screen, view):
    await screen.page.evaluate("(to) => { location.hash = to }", f"#/{view}")
    return screen.page.locator(".pane:not([hidden])")


async def test_at_twice_the_size_everything_is_reached(chromium, stocked):
    """A browser's zoom of 200% halves the page in pixels of CSS and doubles each of them."""
    size = {"width": 680, "height": 425}
    async with window(chromium, stocked, viewport=size, device_scale_factor=2) as screen:
        await screen.enter()
        await screen.say("what is 17% of 340?")
        for view in VIEWS:
            pane = await show(screen, view)
            await pane.locator("h2, h3, canvas, .turn").first.wait_for()
            assert await screen.page.evaluate(ACROSS) == 0, view
            assert await screen.audit() == [], view
        await show(screen, "talk")
        await expect(screen.page.locator("#sentence")).to_be_in_viewport()
        await expect(screen.page.get_by_role("button", name="Settings")).to_be_in_viewport()


@pytest.mark.parametrize(("motion", "moves"), [("no-preference", True), ("reduce", False)])
async def test_nothing_moves_if_a_person_wants_no_motion(chromium, stocked, motion, moves):
    comes = asyncio.Event()

    async def late(route):
        await comes.wait()
        await route.continue_()

    async with window(chromium, stocked, reduced_motion=motion) as screen:
        await screen.enter()
        await screen.page.route("**/verbs/documents", late)
        pane = await show(screen, "knowledge")
        await pane.locator(".spin").first.wait_for()
        assert (await screen.page.evaluate(MOVING) > 0) == moves
        comes.set()
        await expect(pane.locator(".spin")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["dark", "light"])
async def test_every_colour_stands_out_from_what_is_under_it(chromium, stocked, scheme):
    async with window(chromium, stocked, color_scheme=scheme) as screen:
        await screen.enter()
        wanted = {(over, under): 4.5 for over in TEXTS for under in ("bg", "panel")}
        wanted |= {(over, "bg"): 3.0 for over in SHAPES} | {("on-accent", "accent"): 4.5}
        found = {pair: await screen.page.evaluate(CONTRAST, [*pair]) for pair in wanted}
        assert [pair for pair, least in wanted.items() if found[pair] < least] == []


async def tab_to(page, role, name):
    """Press Tab until a control has the focus, as a person without a mouse does."""
    control = page.get_by_role(role, name=name, exact=True)
    for _ in range(80):
        await page.keyboard.press("Tab")
        if await control.count() and await control.first.evaluate("(one) => one.matches(':focus')"):
            return
    pytest.fail(f"no Tab leads to {name}")


async def test_a_permission_is_given_and_taken_back_without_a_mouse(screen, tmp_path):
    page, folder = screen.page, tmp_path / "tides"
    folder.mkdir()
    await page.keyboard.press("Alt+5")
    await page.locator(".view-world .pane h3").first.wait_for()
    await tab_to(page, "button", "Give a permission")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Folder or file")).to_be_focused()
    await page.keyboard.type(str(folder))
    await page.keyboard.press("Enter")
    await page.locator("dialog .consent").wait_for()
    await page.keyboard.press("Enter")  # no key that is held or struck twice gives a permission
    assert await granted(screen, folder) == []
    await tab_to(page, "button", "Yes, give it")
    await page.keyboard.press("Enter")
    row = page.get_by_role("listitem").filter(has_text=str(folder))
    await expect(row).to_contain_text("never used")
    assert [one["state"] for one in await granted(screen, folder)] == ["live"]
    await tab_to(page, "button", "Take back")
    await page.keyboard.press("Enter")
    await page.get_by_role("dialog").wait_for()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert [one["state"] for one in await granted(screen, folder)] == ["live"]


async def granted(screen, folder):
    found = (await screen.http.ask("POST", "/verbs/grants", {})).json["grants"]
    return [one for one in found if one["what"].startswith(str(folder))]


async def test_an_earlier_moment_a_guess_and_an_undo_without_a_mouse(screen):
    page = screen.page
    await page.focus("#sentence")
    await page.keyboard.type("remember that the mast is of spruce")
    await page.keyboard.press("Enter")
    await expect(page.locator(".turn .badge").first).to_have_text("done")
    await page.locator(".turn .reply").first.get_by_role("button", name="Undo").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator(".turn").nth(1).locator(".badge").first).to_have_text("done")
    slider = page.get_by_role("slider", name="Look at an earlier moment")
    await expect(slider).to_be_enabled()
    await slider.focus()
    await page.keyboard.press("ArrowLeft")
    await expect(page.locator(".banner")).to_contain_text("nothing can be changed")
    await page.keyboard.press("End")
    await expect(page.locator(".banner")).to_have_count(0)


async def test_what_waits_outside_is_done_again_or_dropped(screen, tmp_path):
    http, page, folder = screen.http, screen.page, tmp_path / "pier"
    folder.mkdir()
    own = await http.enter()
    asked = {"body": {"what": str(folder), "write": True}}
    name = (await http.rude("POST", "/verbs/grant", asked, own)).json["object"]
    for file in ("b.txt", "c.txt"):  # neither is there
        sent = await http.ask("POST", f"/objects/{name}/remove", {"args": [file]})
        assert sent.status == 200, sent
    pane = await show(screen, "world")
    first, second = (pane.get_by_role("listitem").filter(has_text=one)
                     for one in ("b.txt", "c.txt"))  # fmt: skip
    for row in (first, second):
        await expect(row.locator(".badge")).to_have_text("failed")
    assert await screen.audit() == []
    (folder / "b.txt").write_text("x")
    await first.get_by_role("button", name="Do it").click()
    await expect(first).to_have_count(0)
    assert not (folder / "b.txt").exists()
    await second.get_by_role("button", name="Drop").click()
    await expect(second).to_have_count(0)
    await pane.get_by_role("button", name="Show done ones").click()
    await expect(first.locator(".badge")).to_have_text("done")
    await expect(second.locator(".badge")).to_have_text("dropped")
    await expect(second.get_by_role("button", name="Do it")).to_have_count(0)
    assert page.url.endswith("#/world")


class Working(kernels.ThinkingKernel):
    """A kernel whose persona decides step by step, with what a test says."""

    lines = ()

    def _answer(self, prompt, sampling, index):
        if "tool" in json.dumps(sampling.schema or {}):
            return json.dumps(self.lines.pop(0) if self.lines else {"answer": "done"})
        return kernels.ThinkingKernel._answer(prompt, sampling, index)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def working(tmp_path_factory):
    home = tmp_path_factory.mktemp("working") / "home"
    async with Working(home) as kernel, opened(kernel) as http:
        kernel.gate.set()
        await load_library(kernel.mind)
        kernel.mind.abilities.update(dict.fromkeys(kernel.mind.personas, Ability(tools=1.0)))
        yield http


async def test_steps_with_tools_are_shown_with_what_came_back(
    chromium, working, tmp_path, monkeypatch
):
    letter = tmp_path / "letter.txt"
    letter.write_text(f"the pier is {EVIL}")
    own = await working.enter()
    asked = {"body": {"what": str(letter)}}
    name = (await working.rude("POST", "/verbs/grant", asked, own)).json["object"]
    flow = {"body": {"source": name, "sink": "alfred_obj"}}
    assert (await working.rude("POST", "/verbs/allow", flow, own)).status == 200
    read = {"tool": "files.read", "args": {"path": str(letter)}}
    working.kernel.lines = [read, {"answer": "a pier"}]
    monkeypatch.setitem(kernels.ANSWERS, "def tell_it(self", " return undefined_name_here")
    wish = {"method_name": "tell_it", "args": [str(letter)], "text": f"tell of {letter}"}
    async with window(chromium, working) as screen:
        await screen.enter("#/thoughts")
        sent = await working.ask("POST", "/message", wish, headers={"prefer": "wait=60"})
        assert (sent.status, sent.json["result"]) == (200, "a pier"), sent
        await screen.page.get_by_role("button", name="tell it").first.click()
        steps = screen.page.get_by_role("dialog").locator(".acted li")
        await expect(steps.first).to_contain_text("read(")
        await expect(steps.first).to_contain_text("the pier is <img")
        assert await screen.page.evaluate("window.ran") == []


async def test_what_a_server_of_tools_says_of_itself_is_text(chromium, stocked, tmp_path):
    about = tmp_path / "about.txt"
    about.write_text(EVIL)
    given = hostile("markup", about, read=[str(about)])
    place = tmp_path / "tools" / HOSTILE.name  # no grant reaches the program's own folder
    place.parent.mkdir()
    shutil.copy(HOSTILE, place)
    program = [str(place) if word == str(HOSTILE) else word for word in given["program"]]
    body = {"name": "rogue", "program": program, "read": [str(place.parent), str(about)]}
    async with stocked.kernel.client() as client:
        told = await client.request("grant-mcp", body=body)
    name = told["object"]
    async with window(chromium, stocked) as screen:
        await screen.enter()
        pane = await show(screen, "world")
        servers = pane.get_by_role("region", name="Servers of tools")
        await expect(servers).to_contain_text("onerror")
        await screen.page.evaluate("(to) => { location.hash = to }", f"#/image/{name}")
        inspector = screen.page.locator(".inspector")
        await expect(inspector.get_by_role("button", name=re.compile("^img_src"))).to_be_visible()
        await inspector.get_by_role("button", name=re.compile("^get_sum")).click()
        await expect(inspector.locator(".method.open")).to_contain_text("get_sum(b, a=None)")
        assert await screen.page.evaluate("window.ran") == []
        assert await screen.page.locator("img[src='x'], main script, svg[onload]").count() == 0
