"""The settings: tokens, backups, forks, the doctor and models, each as an action on the page."""

import re

import pytest

from bat_os.supervisor.home import read_json
from tests.gateway.page.conftest import window

expect = pytest.importorskip("playwright.async_api").expect
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]
expect.set_options(timeout=90_000)


async def show(screen, view="settings"):
    await screen.page.evaluate("(to) => { location.hash = to }", f"#/{view}")
    return screen.page.locator(".pane:not([hidden])")


async def test_a_token_is_made_shown_once_used_and_revoked(screen):
    page, http = screen.page, screen.http
    pane = await show(screen)
    await pane.get_by_role("button", name="Make a token").click()
    await page.get_by_label("Name of the program").fill("phone")
    await page.get_by_label("It may").select_option("read")
    await page.get_by_role("button", name="Make it").click()
    dialog = page.get_by_role("dialog", name="The token of phone")
    token = await dialog.locator("#token").inner_text()
    assert await screen.audit() == []
    bearer = [("authorization", f"Bearer {token}")]
    assert (await http.rude("GET", "/objects", None, bearer)).status == 200
    await dialog.get_by_role("button", name="I have copied it").click()
    await expect(page.locator("body")).not_to_contain_text(token)
    await page.evaluate("location.hash = '#/world'")
    pane = await show(screen)
    row = pane.get_by_role("listitem").filter(has_text="phone")
    await expect(row).to_contain_text("last used")
    await row.get_by_role("button", name="Revoke").click()
    await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    await expect(row).to_have_count(0)
    assert (await http.rude("GET", "/objects", None, bearer)).status == 401


async def test_a_backup_is_made_and_read_again_and_restoring_it_is_explained(screen):
    page = screen.page
    pane = await show(screen)
    await pane.get_by_role("button", name="Back up now").click()
    row = pane.get_by_role("listitem").filter(has_text="/backups/")
    await row.get_by_role("button", name="Verify").click()
    await expect(row.locator("[role=status]")).to_contain_text("Whole")
    await row.get_by_role("button", name="Restore").click()
    folder = next((screen.http.home / "backups").iterdir())
    commands = page.get_by_role("dialog").locator("code.command")
    await expect(commands.first).to_have_text(f"batos restore {folder} ~/second-mind")
    await expect(commands.nth(2)).to_contain_text("--replace")


async def make_fork(screen, name):
    page, pane = screen.page, await show(screen)
    await pane.get_by_role("button", name="Make a fork").click()
    await page.get_by_role("dialog").get_by_label("Name").fill(name)
    await page.get_by_role("button", name="Make it").click()
    row = pane.get_by_role("listitem").filter(has_text=name)
    await expect(row.locator(".badge")).to_have_text("rests")
    return row


async def test_a_fork_is_made_and_compared_side_by_side(screen):
    page, http = screen.page, screen.http
    made = {"target": "genesis_obj", "body": {"name": "barn_obj"}}
    row = await make_fork(screen, "other")
    assert (await http.ask("POST", "/verbs/derive", made)).status == 200
    slot = {"value": "on the roof"}
    any_ = {"if-match": "*"}
    await http.ask("PUT", "/objects/genesis_obj/slots/bell", slot, headers=any_)
    await row.get_by_role("button", name="Compare").click()
    dialog = page.get_by_role("dialog", name="This image and other")
    line = dialog.get_by_role("row").filter(has_text="barn")
    await expect(line.get_by_role("cell").first).to_have_text("has it")
    await expect(line.get_by_role("cell").last).not_to_have_text("has it")
    line = dialog.get_by_role("row").filter(has_text="bell")
    await expect(line.get_by_role("cell").first).to_contain_text("on the roof")
    assert await screen.audit() == []


async def test_a_fork_is_opened_at_its_own_address_stopped_and_dropped(screen, chromium):
    page, http = screen.page, screen.http
    row = await make_fork(screen, "trial")
    await row.get_by_role("button", name="Open").click()
    link = page.get_by_role("link", name="Go to its page")
    try:
        address = await link.get_attribute("href")
        assert address.startswith(read_json(http.home / "forks/trial/run/gateway.json")["url"])
        other = await (await chromium.new_context(locale="en-GB")).new_page()
        await other.goto(address)
        await expect(other.locator(".pill.fork")).to_have_text("fork trial")
        await other.context.close()
        await page.get_by_role("dialog").get_by_role("button", name="Close").click()
        await expect(row.locator(".badge")).to_have_text("runs")
    finally:
        await row.get_by_role("button", name="Stop").click()
        await expect(row.locator(".badge")).to_have_text("rests")
    await row.get_by_role("button", name="Drop").click()
    await page.get_by_role("dialog").get_by_role("button", name="Drop").click()
    await expect(row).to_have_count(0)


async def test_the_doctor_is_asked_and_models_are_offered(screen):
    page = screen.page
    pane = await show(screen)
    await pane.get_by_role("button", name="Ask the doctor").click()
    await expect(pane.locator(".outcomes .notice")).to_be_visible()
    await pane.locator(".outcomes summary").click()
    await expect(pane.locator(".outcomes")).to_contain_text("packages")
    await pane.get_by_role("button", name="Choose another").click()
    offers = page.get_by_role("dialog", name="Choose another").get_by_role("listitem")
    await expect(offers.first).to_contain_text("memory")
    assert await screen.audit() == []


async def test_two_moments_are_compared_and_the_first_forked(screen):
    page, http = screen.page, screen.http
    for value in (1, 2, 3):
        asked = {"value": value}
        path = "/objects/genesis_obj/slots/height"
        assert (await http.ask("PUT", path, asked, headers={"if-match": "*"})).status == 200
    await page.reload()
    slider = page.get_by_role("slider", name="Look at an earlier moment")
    await expect(slider).to_be_enabled()
    await slider.press("End")
    for _ in range(3):
        await slider.press("ArrowLeft")
    await page.get_by_role("button", name="What changed").click()
    dialog = page.get_by_role("dialog", name="What changed")
    changed = dialog.get_by_role("listitem").filter(has_text="height")
    await expect(changed).to_contain_text(re.compile("height: 1 . 3"))
    await dialog.get_by_label("To").select_option(index=2)
    await expect(changed).to_contain_text(re.compile("height: 1 . 2"))
    assert await screen.audit() == []
    await dialog.get_by_role("button", name="Fork the first moment").click()
    await page.get_by_role("dialog", name="Make a fork").get_by_label("Name").fill("then")
    await page.get_by_role("button", name="Make it").click()
    await expect(page.locator(".toast").filter(has_text="then is made")).to_be_visible()
    assert "then" in [path.name for path in (http.home / "forks").iterdir()]


async def test_the_settings_fit_a_phone(chromium, stocked):
    size = {"width": 320, "height": 640}
    async with window(chromium, stocked, viewport=size, color_scheme="light") as screen:
        await screen.enter()
        pane = await show(screen)
        await pane.get_by_role("heading", name="Forks").wait_for()
        over = await screen.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert over == 0
        assert await screen.audit() == []
