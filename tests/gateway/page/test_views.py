"""Thoughts, knowledge, world, settings and time: what they show, change and take back."""

import base64
import json
import re

import pytest

from tests.documents.test_readers import make_pdf
from tests.gateway.conftest import opened
from tests.gateway.page.conftest import window
from tests.kernels import ThinkingKernel

expect = pytest.importorskip("playwright.async_api").expect
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]
expect.set_options(timeout=60_000)


async def show(screen, view):
    await screen.page.evaluate("(to) => { location.hash = to }", f"#/{view}")
    return screen.page.locator(".pane:not([hidden])")


async def drop(page, selector, files):
    """Drop files on a part of the page, as a person does from a file manager."""
    told = [{"name": name, "text": base64.b64encode(data).decode()} for name, data in files]
    dropped = await page.evaluate_handle(
        """(files) => {
            const data = new DataTransfer();
            for (const { name, text } of files)
                data.items.add(new File(
                    [Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name));
            return data;
        }""",
        told,
    )
    await page.dispatch_event(selector, "drop", {"dataTransfer": dropped})


async def test_a_mission_shows_its_steps_and_can_be_stopped(screen):
    http, page = screen.http, screen.page
    http.kernel.gate.clear()
    pane = await show(screen, "thoughts")
    sent = {"method_name": "slow_one", "args": []}
    accepted = await http.ask("POST", "/message", sent)
    assert accepted.status == 202
    row = pane.get_by_role("listitem").filter(has_text="slow one")
    await expect(row.get_by_role("progressbar")).to_be_visible()
    await expect(page.locator(".rail .count")).to_have_text("1")
    await row.get_by_role("button", name="Stop").click()
    await expect(row.locator(".badge")).to_have_text("failed")
    http.kernel.gate.set()
    sent = {"method_name": "give_seven", "args": []}
    done = await http.ask("POST", "/message", sent, headers={"prefer": "wait=60"})
    assert done.status == 200, done
    await page.get_by_role("button", name="give seven").first.click()
    dialog = page.get_by_role("dialog", name="give seven")
    await expect(dialog.locator("dd").filter(has_text=re.compile("^7$"))).to_be_visible()
    await expect(dialog.get_by_role("listitem").first).to_be_visible()


async def test_a_document_is_added_found_and_forgotten(screen):
    page = screen.page
    pane = await show(screen, "knowledge")
    await pane.get_by_role("button", name="Add a text").click()
    await page.get_by_label("Title").fill("Sails")
    await page.get_by_role("textbox", name="Text").fill("The spinnaker is in the blue bag.")
    await page.get_by_role("button", name="Learn it").click()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await pane.get_by_role("searchbox").fill("Where is the spinnaker?")
    await pane.get_by_role("button", name="Search").click()
    await expect(pane.locator(".passage").first).to_contain_text("blue bag")
    row = pane.get_by_role("listitem").filter(has_text="Sails").filter(has_text="1 passage")
    await row.get_by_role("button", name="Sails").click()
    dialog = page.get_by_role("dialog", name="Sails")
    await expect(dialog.locator(".passage")).to_contain_text("blue bag")
    await expect(dialog).to_contain_text("No writer has been shown it")
    await dialog.get_by_role("button", name="Close").click()
    await row.get_by_role("button", name="Forget").click()
    await expect(row).to_have_count(0)
    forgot = page.locator(".toast").filter(has_text="Forgot Sails")
    await forgot.get_by_role("button", name="Undo").click()
    await expect(row).to_have_count(1)


async def test_a_pdf_and_a_large_file_are_dropped_into_the_knowledge_and_learned(screen):
    page = screen.page
    pane = await show(screen, "knowledge")
    large = b"The lighthouse keeper counts the waves. " * 30_000
    files = [("harbour.pdf", make_pdf("The quay is 40 metres long")), ("waves.txt", large),
             ("broken.pdf", b"%PDF no more")]  # fmt: skip
    assert len(large) > 1 << 20
    screen.may_fail = True  # the broken one is refused
    await drop(page, "section:has(> h3:text('Documents'))", files)
    rows = pane.get_by_role("listitem")
    await expect(rows.filter(has_text="harbour.pdf").filter(has_text="1 passage")).to_be_visible()
    await expect(page.locator(".toast.bad")).to_contain_text("broken.pdf")
    await expect(rows.filter(has_text="waves.txt").filter(has_text="passages")).to_have_count(2)
    await expect(page.locator(".toast progress")).to_have_count(0)
    learned = page.locator(".toast").filter(has_text="Learned waves.txt")
    await learned.get_by_role("button", name="Undo").click()
    await expect(rows.filter(has_text="waves.txt")).to_have_count(0)


async def test_a_list_is_ticked_added_to_and_what_was_taken_off_comes_back(screen):
    page = screen.page
    await screen.say("add rope and paint to my boat list")
    pane = await show(screen, "knowledge")
    card = pane.locator("article").filter(has_text="paint")
    await card.get_by_label("paint", exact=True).click()
    await expect(card).to_contain_text("1 open")
    await expect(card.get_by_label("paint", exact=True)).to_be_checked()
    field = card.get_by_role("textbox")
    await field.fill("varnish")
    await field.press("Enter")
    await expect(card).to_contain_text("2 open")
    await card.get_by_role("button", name="Take rope off").click()
    await expect(card).not_to_contain_text("rope")
    toast = page.locator(".toast").filter(has_text="rope")
    await toast.get_by_role("button", name="Undo").click()
    await expect(card.get_by_label("rope", exact=True)).not_to_be_checked()


async def test_what_is_said_elsewhere_shows_up_by_itself(screen):
    pane = await show(screen, "knowledge")
    rows = pane.get_by_role("listitem")
    await expect(pane.get_by_role("heading", name="What you told me")).to_be_visible()
    said = {"body": {"text": "remember that the winch is from 1972"}}
    assert (await screen.http.ask("POST", "/verbs/say", said)).status == 200
    await expect(rows.filter(has_text="the winch is from 1972")).to_be_visible()


async def test_what_is_forgotten_elsewhere_goes_by_itself(screen):
    learned = {"title": "squall.txt", "text": "A squall came from the west."}
    sent = await screen.http.ask("POST", "/verbs/learn", {"body": learned})
    pane = await show(screen, "knowledge")
    row = pane.get_by_role("listitem").filter(has_text="squall.txt")
    await expect(row).to_be_visible()
    async with screen.http.kernel.client() as client:
        await client.request("forget", body={"doc_id": sent.json["doc_id"]})
    await expect(row).to_have_count(0)


async def test_a_fact_is_shown_with_its_time_and_forgotten(screen):
    await screen.say("remember that the anchor weighs nine kilos")
    pane = await show(screen, "knowledge")
    row = pane.get_by_role("listitem").filter(has_text="anchor")
    await expect(row).to_contain_text("told")
    await row.get_by_role("button", name="Forget").click()
    await expect(row).to_have_count(0)
    await screen.page.locator(".toast").get_by_role("button", name="Undo").click()
    await expect(pane.get_by_role("listitem").filter(has_text="anchor")).to_have_count(1)


async def test_a_permission_is_given_after_its_path_is_shown_again(screen, tmp_path):
    page = screen.page
    folder = tmp_path / "notes"
    folder.mkdir()
    pane = await show(screen, "world")
    await pane.get_by_role("button", name="Give a permission").click()
    await page.get_by_label("Folder or file").fill(str(folder))
    await page.get_by_role("button", name="Next").click()
    await expect(page.locator("dialog .consent")).to_contain_text(str(folder))
    assert (await screen.http.ask("POST", "/verbs/grants", {})).json["grants"] == []
    await page.get_by_role("button", name="Yes, give it").click()
    row = pane.get_by_role("listitem").filter(has_text=str(folder))
    await expect(row).to_contain_text("never used")
    await row.get_by_role("button", name="Take back").click()
    await page.get_by_role("dialog").get_by_role("button", name="Take back").click()
    await expect(row.get_by_role("button", name="Take back")).to_have_count(0)


async def test_something_is_planned_cancelled_and_planned_again(screen):
    page = screen.page
    pane = await show(screen, "world")
    await pane.get_by_role("button", name="Plan something").click()
    await page.get_by_label("When").fill("tomorrow at 8")
    await page.get_by_label("Text").fill("oil the winch")
    await page.get_by_role("dialog").get_by_role("button", name="Plan something").click()
    row = pane.get_by_role("listitem").filter(has_text="oil the winch")
    await row.get_by_role("button", name="Cancel").click()
    await expect(row).to_have_count(0)
    toast = page.locator(".toast").filter(has_text="cancelled")
    await toast.get_by_role("button", name="Undo").click()
    await expect(row).to_have_count(1)


async def test_the_image_is_verified_from_the_settings(screen):
    pane = await show(screen, "settings")
    await pane.get_by_role("button", name="Verify the image").click()
    await expect(pane.locator(".notice").last).to_contain_text("as they were committed")
    await expect(pane.locator(".findings .bad")).to_have_count(0)


async def test_the_whole_page_shows_an_earlier_moment_and_what_changed_since(screen):
    http, page = screen.http, screen.page
    made = {"target": "genesis_obj", "body": {"name": "later_obj"}}
    assert (await http.ask("POST", "/verbs/derive", made)).status == 200
    pane = await show(screen, "image")
    await pane.get_by_role("option", name=re.compile("^later")).wait_for()
    slider = page.get_by_role("slider", name="Look at an earlier moment")
    await expect(slider).to_be_enabled()
    await slider.press("Home")
    await expect(page.locator(".banner")).to_contain_text("nothing can be changed")
    await expect(pane.get_by_role("option", name=re.compile("^later"))).to_have_count(0)
    await expect(pane.get_by_role("button", name="New object")).to_have_count(0)
    await page.get_by_role("button", name="What changed since").click()
    await expect(page.get_by_role("dialog")).to_contain_text("later")
    await page.get_by_role("dialog").get_by_role("button", name="Close").click()
    await page.get_by_role("button", name="Back to now").click()
    await pane.get_by_role("option", name=re.compile("^later")).wait_for()


async def test_what_was_told_later_does_not_stand_in_an_earlier_moment(screen):
    """Before its first fact the memory does not answer: what was shown of now may not stay."""
    page = screen.page
    await screen.say("remember that the later key is under the mat")
    await screen.say("remind me in 3 hours to ring the later bell")
    pane = await show(screen, "knowledge")
    await expect(pane).to_contain_text("later key")
    await expect(pane).to_contain_text("later bell")
    slider = page.get_by_role("slider", name="Look at an earlier moment")
    await expect(slider).to_be_enabled()
    screen.may_fail = True  # there is no such object then
    await slider.press("Home")
    await expect(page.locator(".banner")).to_contain_text("nothing can be changed")
    await expect(pane).not_to_contain_text("later key")
    await expect(pane).not_to_contain_text("later bell")
    await page.get_by_role("button", name="Back to now").click()
    await expect(pane).to_contain_text("later key")


async def test_a_document_is_shown_in_its_order(screen):
    http = screen.http
    things = ("lamp", "stairs", "door", "gallery", "boat", "bell")
    parts = [f"Part {n}. " + f"The {thing} of the lighthouse is number {n}. " * 12
             for n, thing in enumerate(things)]  # fmt: skip
    learn = {"body": {"title": "The bell of the lighthouse", "text": "\n\n".join(parts)}}
    assert (await http.ask("POST", "/verbs/learn", learn)).status == 200
    pane = await show(screen, "knowledge")
    await pane.get_by_role("button", name="The bell of the lighthouse").click()
    passages = screen.page.get_by_role("dialog").locator(".passage")
    await passages.first.wait_for()
    shown = [int(n) for text in await passages.all_inner_texts()
             for n in re.findall(r"Part (\d)\.", text)]  # fmt: skip
    assert len(shown) > 2
    assert shown == sorted(shown)


async def test_the_composer_is_whole_after_the_language_is_changed(screen):
    page = screen.page
    pane = await show(screen, "settings")
    await pane.get_by_role("combobox").first.select_option("de")
    await page.get_by_text("Bereit", exact=True).wait_for()
    await page.get_by_role("button", name="Gespräch").click()
    box = page.locator("#sentence")
    await expect(box).to_be_visible()
    high = await box.evaluate("(one) => [one.clientHeight, one.scrollHeight]")
    assert high[0] >= high[1] > 0, high


async def test_what_waits_for_approval_has_its_button(chromium, tmp_path):
    kernel = ThinkingKernel(tmp_path / "home")
    kernel.options = {"approve": True}
    async with kernel, opened(kernel) as http, window(chromium, http) as screen:
        kernel.gate.set()
        sent = {"method_name": "give_seven", "args": []}
        refused = await http.ask("POST", "/message", sent, headers={"prefer": "wait=60"})
        assert refused.json["code"] == "APPROVAL_WANTED"
        await screen.enter()
        pane = await show(screen, "thoughts")
        await pane.get_by_role("button", name="give seven").click()
        dialog = screen.page.get_by_role("dialog")
        await dialog.get_by_role("button", name="Approve what waits").click()
        await expect(screen.page.locator(".toast").first).to_contain_text("is approved")
        answer = await http.ask("POST", "/objects/genesis_obj/give_seven", {})
        assert answer.json["result"] == 7


async def test_the_slider_hears_of_commits_after_the_log_is_full(screen):
    """The log keeps a certain number of lines: that it is as long as before says nothing."""
    page, http = screen.page, screen.http
    slider = page.get_by_role("slider", name="Look at an earlier moment")
    await expect(slider).to_be_enabled()
    await page.evaluate("""async () => {
        const { hear } = await import("/page/live.js");
        for (let i = 0; i < 500; i++) {
            hear("change", { names: ["genesis_obj"], note: "made up", n: i, id: `${i}`, at: i });
        }
    }""")
    await page.locator(".thought").filter(has_text="made up").first.wait_for()
    asked = {"target": "genesis_obj", "body": {"name": "late_obj"}}
    assert (await http.ask("POST", "/verbs/derive", asked)).status == 200
    made = await http.ask("GET", "/moments?limit=200")
    shown = [one for one in made.json["moments"]
             if one["mission"] or any(":" not in name for name in one["names"])]  # fmt: skip
    await expect(slider).to_have_attribute("max", str(len(shown)))


@pytest.mark.parametrize("scheme", ["dark", "light"])
async def test_axe_finds_nothing_serious_in_any_view(chromium, stocked, scheme):
    async with window(chromium, stocked, color_scheme=scheme) as screen:
        await screen.enter()
        for view in ("thoughts", "knowledge", "world", "settings"):
            pane = await show(screen, view)
            await pane.locator("h3").first.wait_for()
            assert await screen.audit() == [], view
        await screen.page.keyboard.press("Control+k")
        await screen.page.get_by_role("dialog").wait_for()
        assert await screen.audit() == [], "palette"


async def test_each_view_fits_a_phone_in_german(chromium, stocked):
    size = {"width": 320, "height": 640}
    async with window(chromium, stocked, viewport=size, locale="de-DE") as screen:
        await screen.page.goto(f"http://{stocked.me}/#code={stocked.ring.write_code()}")
        await screen.page.get_by_text("Bereit", exact=True).wait_for()
        for view in ("thoughts", "knowledge", "world", "settings"):
            pane = await show(screen, view)
            await pane.locator("h3").first.wait_for()
            over = await screen.page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert over == 0, view


@pytest.mark.parametrize("wide", [390, 1000])
async def test_the_two_columns_of_a_view_do_not_cover_each_other(chromium, stocked, wide):
    async with window(chromium, stocked, viewport={"width": wide, "height": 700}) as screen:
        await screen.enter()
        for view in ("knowledge", "world", "settings"):
            pane = await show(screen, view)
            await pane.locator("h3").first.wait_for()
            left, right = [await pane.locator(".column").nth(i).bounding_box() for i in (0, 1)]
            inner = await pane.locator(".column").first.evaluate("(box) => box.scrollHeight")
            assert left["y"] + inner <= right["y"] + 1, view


async def test_an_object_stays_where_it_was_put_until_all_is_arranged_anew(screen):
    page = screen.page
    pane = await show(screen, "image")
    await pane.get_by_role("option", name=re.compile("^genesis")).wait_for()
    canvas = pane.locator("canvas")
    box = await canvas.bounding_box()
    await page.wait_for_timeout(1500)  # until the bodies have come to rest
    found = None
    for x in range(40, int(box["width"]) - 40, 12):
        for y in range(40, int(box["height"]) - 60, 12):
            await page.mouse.move(box["x"] + x, box["y"] + y)
            if await canvas.evaluate("(one) => one.style.cursor") == "pointer":
                found = box["x"] + x, box["y"] + y
                break
        if found:
            break
    await page.mouse.move(*found)
    await page.mouse.down()
    await page.mouse.move(found[0] + 90, found[1] + 60, steps=6)
    await page.mouse.up()
    kept = "() => Object.entries(localStorage).filter(([key]) => key.startsWith('batos-places-'))"
    ((key, places),) = await page.evaluate(kept)
    image = (await screen.http.ask("GET", "/health")).json["image_id"]
    assert key == f"batos-places-{image}"
    assert len(json.loads(places)) == 1
    await page.reload()
    anew = pane.get_by_role("button", name="Arrange anew")
    await anew.click()
    assert await page.evaluate(kept) == []
    toast = page.locator(".toast").filter(has_text="Arranged anew")
    await toast.get_by_role("button", name="Undo").click()
    assert await page.evaluate(kept) == [[key, places]]


async def test_what_changes_between_a_drawing_and_its_effects_is_drawn(screen):
    """Effects run after the next frame; until then, a component hears of nothing."""
    told = await screen.page.evaluate(
        """async () => {
            const { put, use } = await import("/page/store.js");
            const { html, render } = await import("/page/vendor/preact.js");
            const Probe = () => html`<b>${use("probe").probe}</b>`;
            const place = document.createElement("div");
            put({ probe: "before" });
            render(html`<${Probe} />`, place);
            put({ probe: "after" });
            for (let i = 0; i < 20; i++) await new Promise(requestAnimationFrame);
            await new Promise((done) => setTimeout(done, 300));
            const told = place.textContent;
            render(null, place);
            return told;
        }"""
    )
    assert told == "after"
