"""What a person does on the page: talk, look at objects, change them, take it back."""

import asyncio
import re
from contextlib import nullcontext

import pytest
import pytest_asyncio

from tests.gateway.page.conftest import window

expect = pytest.importorskip("playwright.async_api").expect
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]
expect.set_options(timeout=60_000)
SOURCE = """def litres(self, plants: int) -> float:
    '''Return the litres.'''
    return plants * 0.5
"""


@pytest_asyncio.fixture(autouse=True, scope="module", loop_scope="module")
async def _garden(stocked):
    made = await stocked.ask(
        "POST", "/verbs/derive", {"target": "genesis_obj", "body": {"name": "garden_obj"}}
    )
    assert made.status == 200, made
    taught = {"target": "garden_obj", "body": {"source": SOURCE}}
    assert (await stocked.ask("POST", "/verbs/teach", taught)).status == 200
    put = await stocked.ask("PUT", "/objects/garden_obj/slots/rain", {"value": 14.5},
                            headers={"if-match": "*"})  # fmt: skip
    assert put.status == 200


async def test_an_answer_has_its_reading_which_leads_to_the_method(screen):
    reply = await screen.say("what is 17% of 340?")
    await expect(reply.locator(".text")).to_have_text("57.8")
    await expect(reply.locator(".badge").first).to_have_text("computed")
    await reply.get_by_role("button", name="percent_of(17, 340)").click()
    method = screen.page.locator(".inspector .method.open")
    await expect(method).to_contain_text("percent_of")
    await method.get_by_label("Arguments, with commas").fill("10, 50")
    await method.get_by_role("button", name="Run").click()
    await expect(method.locator(".answer")).to_contain_text("5")


async def test_a_guess_is_confirmed_by_one_key(screen):
    reply = await screen.say("4 gives 8. And 21?")
    await expect(reply.locator(".badge").first).to_have_text("guess")
    await screen.page.press("#sentence", "Enter")
    answer = screen.page.locator(".turn").nth(1).locator(".facts .badge").first
    await expect(answer).not_to_have_text("guess")
    await expect(screen.page.locator(".turn").nth(1).locator(".mine")).to_contain_text("yes")


async def test_choices_are_buttons(screen):
    reply = await screen.say("first 10 primes")
    choices = reply.get_by_role("group", name="Choices").get_by_role("button")
    await choices.first.click()
    await expect(screen.page.locator(".turn").nth(1).locator(".badge").first).to_have_text(
        re.compile("computed|guess|not known")
    )
    await expect(choices.first).to_be_disabled()


async def test_a_consent_is_a_card_whose_no_reads_nothing(screen, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("the crown jewels are under the stairs")
    reply = await screen.say(f"read the file {secret}")
    card = reply.get_by_role("group", name="Your permission is needed")
    assert await card.get_by_role("button").count() >= 3
    await screen.page.press("#sentence", "Enter")  # no key gives a permission by mistake
    await expect(screen.page.locator(".turn")).to_have_count(1)
    await card.get_by_role("button", name="No", exact=True).click()
    await screen.page.locator(".turn").nth(1).locator(".facts").wait_for()
    await expect(screen.page.locator(".turns")).not_to_contain_text("crown jewels")


@pytest.mark.parametrize("way", ["for this answer", "from now on: ", "all of "])
async def test_each_yes_of_a_consent_answers_at_once(screen, tmp_path, way):
    note = tmp_path / "note.txt"
    note.write_text("the spare key is under the fern")
    reply = await screen.say(f"read the file {note}")
    await reply.get_by_role("button", name=re.compile(way)).click()
    answer = screen.page.locator(".turn").nth(1).locator(".reply")
    await expect(answer).to_contain_text("under the fern")
    await expect(screen.page.locator("#sentence")).to_be_focused()


async def test_what_the_mind_says_stands_apart_from_what_a_person_said(screen):
    reply = await screen.say("hello")
    said = await screen.page.locator(".turn p").first.bounding_box()
    told = await reply.bounding_box()
    assert told["x"] < said["x"], "an answer begins at the left; what was said ends at the right"


async def test_a_change_in_the_talk_is_taken_back_by_its_button(screen):
    reply = await screen.say("remember that my bike is blue")
    await expect(reply.locator(".badge").first).to_have_text("done")
    await reply.get_by_role("button", name="Undo").click()
    await expect(screen.page.locator(".turn").nth(1).locator(".badge").first).to_have_text("done")


async def test_a_file_that_is_dropped_is_learned(screen):
    await screen.page.set_input_files("input[type=file]", files=[
        {"name": "minutes.txt", "mimeType": "text/plain",
         "buffer": b"The regatta is on Sunday in Kiel."}])  # fmt: skip
    await expect(screen.page.locator(".toast")).to_contain_text("Learned minutes.txt")
    found = await screen.http.ask("POST", "/verbs/documents", {})
    assert "minutes.txt" in {one["title"] for one in found.json["documents"]}


async def test_the_list_finds_an_object_and_the_inspector_shows_it(screen):
    page = screen.page
    await page.get_by_role("button", name="Image").click()
    await page.get_by_role("searchbox", name="Find an object").fill("litres")
    await page.get_by_role("option", name=re.compile("^garden")).click()
    inspector = page.get_by_role("complementary", name="Inspector of garden")
    await expect(inspector.get_by_text("rain")).to_be_visible()
    await inspector.get_by_role("button", name=re.compile("^litres")).click()
    await inspector.get_by_label("Arguments, with commas").fill("18")
    await page.set_viewport_size({"width": 1280, "height": 560})
    await inspector.get_by_role("button", name="Run").click()
    await expect(inspector.locator(".answer")).to_contain_text("9")
    await expect(inspector.locator(".answer")).to_be_in_viewport(ratio=1)
    await inspector.get_by_label("Arguments, with commas").fill("'many'")
    await inspector.get_by_role("button", name="Run").click()
    await expect(inspector.locator(".trouble")).to_be_in_viewport(ratio=1)


async def test_a_slot_is_changed_and_the_change_taken_back(screen):
    page, http = screen.page, screen.http
    await screen.enter("#/image/garden_obj")
    await page.get_by_role("button", name="Change rain").click()
    await page.get_by_label("Change rain").fill("20")
    await page.get_by_label("Change rain").press("Enter")
    await expect(page.locator(".toast")).to_contain_text("rain is set")
    assert (await http.ask("GET", "/objects/garden_obj")).json["slots"]["rain"] == 20
    await page.locator(".toast").get_by_role("button", name="Undo").click()
    await expect(page.get_by_role("button", name="Change rain")).to_have_text("14.5")


@pytest.mark.parametrize("hears", [False, True])
async def test_a_slot_that_others_have_changed_is_not_overwritten(screen, hears):
    page, http = screen.page, screen.http
    await screen.enter("#/image/garden_obj")
    await page.get_by_role("button", name="Change rain").click()
    if not hears:
        await page.route("**/objects/garden_obj", lambda route: route.abort())
    theirs = (await http.ask("GET", "/objects/garden_obj")).json["slots"]["rain"] + 99
    asked = page.expect_response("**/objects/garden_obj") if hears else nullcontext()
    async with asked:
        await http.ask("PUT", "/objects/garden_obj/slots/rain", {"value": theirs},
                       headers={"if-match": "*"})  # fmt: skip
    await page.get_by_label("Change rain").fill("1")
    await page.get_by_label("Change rain").press("Enter")
    await expect(page.locator(".toast.bad")).to_contain_text("changed in the meantime")
    kept = (await http.ask("GET", "/objects/garden_obj")).json
    assert kept["slots"]["rain"] == theirs
    screen.may_fail = True


async def test_a_method_is_unlearned_and_comes_back(screen):
    page = screen.page
    await screen.enter("#/image/garden_obj/litres")
    await page.get_by_role("button", name="Unlearn").click()
    await expect(page.locator(".toast")).to_contain_text("Unlearned litres")
    await page.locator(".toast").get_by_role("button", name="Undo").click()
    await expect(page.locator(".method .badge").first).to_have_text("taught")


async def test_a_method_is_taught_in_the_editor_with_its_examples(screen):
    page = screen.page
    await screen.enter("#/image/garden_obj")
    await page.get_by_role("button", name="Teach a method").click()
    await page.locator(".cm-content").wait_for()
    await page.get_by_label("Arguments of example 1").fill('"Ann"')
    await page.get_by_label("Result of example 1").fill("Good day")
    await page.get_by_role("button", name="Teach", exact=True).click()
    await expect(page.locator("dialog .trouble")).to_be_visible()  # it answers otherwise
    await page.get_by_label("Result of example 1").fill("Hello, Ann!")
    await page.get_by_role("button", name="Teach", exact=True).click()
    await expect(page.locator(".toast")).to_contain_text("Taught greet")
    await expect(page.get_by_role("button", name=re.compile("^greet"))).to_be_visible()
    screen.may_fail = True


async def test_everything_is_reached_by_the_keyboard_alone(screen):
    page = screen.page
    await page.keyboard.press("Control+k")
    await page.get_by_role("combobox").wait_for()
    await page.keyboard.type("litres")
    await page.get_by_role("option", name="litres").wait_for()
    await page.keyboard.press("Enter")
    await expect(page.locator(".inspector .source")).to_contain_text("def litres")
    await page.locator(".inspector").focus()
    await page.keyboard.press("Escape")
    await expect(page.locator(".inspector")).to_have_count(0)
    await page.keyboard.press("Alt+2")
    await page.get_by_role("listbox", name="Objects").focus()
    await page.keyboard.press("ArrowDown")
    await expect(page.locator(".inspector")).to_be_visible()
    alfred = page.locator(".list").get_by_role("option", name=re.compile("^alfred"))
    await expect(alfred).to_have_count(1)
    await page.locator(".folds summary").focus()
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Personas").focus()
    await page.keyboard.press("Space")
    await expect(alfred).to_have_count(0)
    assert await screen.audit() == []


async def test_what_is_typed_while_the_palette_is_on_its_way_is_kept(chromium, stocked):
    comes = asyncio.Event()

    async def late(route):
        await comes.wait()
        await route.continue_()

    async with window(chromium, stocked) as screen:
        page = screen.page
        await page.route("**/page/palette.js", late)
        await screen.enter()
        await page.focus("#sentence")
        await page.keyboard.press("Control+k")
        await page.keyboard.type("litx")
        await page.keyboard.press("Backspace")
        await page.keyboard.press("Enter")  # chooses nothing that is not seen yet
        await expect(page.locator("#sentence")).to_have_value("")
        comes.set()
        await expect(page.get_by_role("combobox")).to_have_value("lit")
        await page.keyboard.type("res")
        await expect(page.get_by_role("combobox")).to_have_value("litres")
        await page.get_by_role("option", name="litres").wait_for()
        await page.keyboard.press("Enter")
        await expect(page.locator(".inspector .source")).to_contain_text("def litres")


async def test_the_palette_opens_what_a_button_of_a_view_opens(screen):
    page = screen.page
    wishes = {"Give a permission": "#/world", "Make a token": "#/settings",
              "Add a text": "#/knowledge", "New object": "#/image"}  # fmt: skip
    for wish, view in wishes.items():
        await page.keyboard.press("Control+k")
        await page.keyboard.type(wish)
        await page.get_by_role("option", name=wish).first.wait_for()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("dialog", name=wish)).to_be_visible()
        assert (await page.evaluate("location.hash")).startswith(view)
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_every_verb_is_a_form_that_the_palette_finds(screen):
    page, http = screen.page, screen.http
    await screen.enter("#/image/garden_obj")
    await page.keyboard.press("Control+k")
    await page.keyboard.type(
        "make a new object whose parent"
    )  # what the verb derive says of itself
    await page.get_by_role("option", name="derive").click()
    form = page.get_by_role("dialog", name="derive")
    await expect(form.get_by_label("target")).to_have_value("garden_obj")
    await form.get_by_label("name").fill("bad name!")
    await form.get_by_role("button", name="Do it").click()
    await expect(form.get_by_role("alert")).to_be_visible()
    assert await screen.audit() == []
    await form.get_by_label("name").fill("greenhouse_obj")
    await page.keyboard.press("Enter")
    await expect(form.locator("output")).to_contain_text("greenhouse_obj")
    made = await http.ask("GET", "/objects/greenhouse_obj")
    assert made.json["parents"] == ["garden_obj"]
    await form.get_by_role("button", name="Close").first.click()
    await page.locator(".toast").get_by_role("button", name="Undo").click()
    await expect(page.locator(".toast").filter(has_text="Taken back")).to_be_visible()
    assert (await http.ask("GET", "/objects/greenhouse_obj")).status == 404
    screen.may_fail = True  # the browser logs the refused name


async def test_a_phone_has_the_slider_over_time(chromium, stocked):
    size = {"width": 390, "height": 844}
    async with window(chromium, stocked, viewport=size, is_mobile=True, has_touch=True) as screen:
        await screen.enter("#/image")
        slider = screen.page.get_by_role("slider", name="Look at an earlier moment")
        await expect(slider).to_be_hidden()
        await screen.page.get_by_role("button", name="Time").first.tap()
        await expect(slider).to_be_enabled()
        await slider.press("ArrowLeft")
        await expect(screen.page.get_by_text("As of")).to_be_visible()
        await screen.page.get_by_role("button", name="Back to now").tap()
        await expect(screen.page.get_by_text("As of")).to_have_count(0)
        assert await screen.audit() == []


async def test_the_palette_is_there_before_it_is_asked_for(chromium, stocked):
    async with (
        window(chromium, stocked) as screen,
        screen.page.expect_request("**/page/palette.js"),
    ):
        await screen.enter()


@pytest.mark.parametrize("scheme", ["dark", "light"])
async def test_the_theme_of_a_person_counts_more_than_the_systems(chromium, stocked, scheme):
    """Both themes stand in one table; the graph, which is a canvas, has its colours, too."""
    async with window(chromium, stocked, color_scheme=scheme) as screen:
        await screen.enter()
        seen = [await shades(screen.page)]
        for _ in range(2):
            await screen.page.get_by_role("button", name="Dark or light").click()
            seen.append(await shades(screen.page))
        assert seen[0] == seen[2] != seen[1]
        assert (seen[0]["bg"] > seen[1]["bg"]) == (scheme == "light")
        assert (seen[0]["dim"] < seen[1]["dim"]) == (scheme == "light")


async def shades(page):
    """Return the brightness of some of the colours that the canvases draw with."""
    return await page.evaluate(
        """async () => {
            const { colours } = await import("/page/store.js");
            const found = Object.entries(colours(["bg", "dim", "own"]));
            const bright = (text) => text.match(/[0-9.]+/g).slice(0, 3).map(Number)
                .reduce((a, b) => a + b);
            return Object.fromEntries(found.map(([name, text]) => [name, bright(text)]));
        }"""
    )


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("wide", [1360, 390])
async def test_axe_finds_nothing_serious(chromium, stocked, scheme, wide):
    size = {"width": wide, "height": 800}
    async with window(chromium, stocked, viewport=size, color_scheme=scheme) as screen:
        await screen.enter()
        assert await screen.audit() == []
        await screen.say("4 gives 8. And 21?")
        await screen.say("what is 17% of 340?")
        assert await screen.audit() == []
        await screen.page.evaluate("location.hash = '#/image/garden_obj/litres'")
        await screen.page.locator(".source").wait_for()
        assert await screen.audit() == []


async def test_a_narrow_page_has_no_bar_across(chromium, stocked):
    async with window(chromium, stocked, viewport={"width": 320, "height": 640}) as screen:
        await screen.enter()
        for place in ("#/talk", "#/image", "#/image/garden_obj/litres"):
            await screen.page.evaluate("(to) => { location.hash = to }", place)
            over = await screen.page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert over == 0, place


async def test_the_page_speaks_german(chromium, stocked):
    async with window(chromium, stocked, locale="de-DE") as screen:
        await screen.page.goto(f"http://{stocked.me}/#code={stocked.ring.write_code()}")
        await expect(screen.page.get_by_role("heading", name="Was kann ich")).to_be_visible()


async def test_without_a_code_the_page_says_how_to_open_it(chromium, stocked):
    async with window(chromium, stocked) as screen:
        await screen.page.goto(f"http://{stocked.me}/")
        await expect(screen.page.locator("pre")).to_have_text("batos open")
        assert await screen.audit() == []
        screen.may_fail = True
