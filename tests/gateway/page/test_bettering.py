"""What the mind does for itself, on the page: proposals, minutes, the forge, and the weeks."""

import re
import time

import pytest

from bat_os.image import proposals, runs
from bat_os.image.proposals import Proposal
from tests.gateway.page.conftest import window

expect = pytest.importorskip("playwright.async_api").expect
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]
expect.set_options(timeout=60_000)


def flip(selector, body):
    return f"def {selector}(self, text):\n    return {body}\n"


async def propose(http, selector):
    """Put a proposal with two choices into the image, as practice does."""
    bodies = ("text[::-1]", "text.upper()")
    deeds = [
        {"do": "install", "target": "genesis_obj", "selector": selector,
         "source": flip(selector, body), "provenance": {"model": "tiny", "examples": []},
         "examples": [{"args": ["ab"], "kwargs": {}, "result": result}]}
        for body, result in zip(bodies, ("ba", "AB"), strict=True)
    ]  # fmt: skip
    choices = [
        {"shown": f"yes, it is {deed['examples'][0]['result']}", "deed": deed} for deed in deeds
    ]
    found = Proposal(
        "practice", f"practice {selector}", f"Is {selector}('ab') 'ba' or 'AB'?", "16 drafts",
        choices, [{"object": "genesis_obj", "selector": selector, "version": 0}],
        {"sources": [deed["source"] for deed in deeds]},
    )  # fmt: skip
    image = http.kernel.mind.image
    await image.transact(lambda root: proposals.put(root, [found], at=time.time()), note="propose")


async def test_a_proposal_is_taken_with_the_keyboard_and_taken_back(screen):
    http, page = screen.http, screen.page
    await propose(http, "turn_round")
    await page.evaluate("() => { location.hash = '#/thoughts' }")
    card = page.get_by_role("group", name=re.compile("turn_round"))
    await expect(card.get_by_role("region", name="Source 1")).to_contain_text("[::-1]")
    await expect(card.get_by_role("region", name="Source 2")).to_contain_text("upper")
    assert await screen.audit() == []
    await card.get_by_role("button", name="yes, it is ba").focus()
    await page.keyboard.press("Enter")
    await expect(card).to_have_count(0)
    sent = {"method_name": "turn_round", "args": ["xyz"]}
    done = await http.ask("POST", "/message", sent, headers={"prefer": "wait=60"})
    assert done.json["result"] == "zyx"
    toast = page.locator(".toast").filter(has_text="Done")
    await toast.get_by_role("button", name="Undo").click()
    await expect(page.locator(".toast").filter(has_text="Taken back")).to_be_visible()

    def is_gone(root):
        return root["objects"]["genesis_obj"].lookup("turn_round") is None

    assert await http.kernel.mind.image.transact(is_gone, note="look")


async def test_a_proposal_is_dismissed(screen):
    page = screen.page
    await propose(screen.http, "never_mind")
    await page.evaluate("() => { location.hash = '#/thoughts' }")
    card = page.get_by_role("group", name=re.compile("never_mind"))
    await card.get_by_role("button", name="Dismiss").click()
    await expect(card).to_have_count(0)
    left = await screen.http.kernel.mind.image.transact(proposals.standing, note="look")
    assert left == []


async def test_the_minutes_the_weeks_and_the_runs_of_the_forge_are_shown_in_both_languages(
    chromium, stocked
):
    http = stocked
    sent = {"method_name": "give_seven", "args": []}
    done = await http.ask("POST", "/message", sent, headers={"prefer": "wait=60"})
    assert done.status == 200, done
    gates = [{"gate": "gain", "passed": False, "figures": {}, "why": "+0.001 of the drafts"}]
    run = {"outcome": runs.REFUSED, "gates": gates, "ended": time.time(), "records": [],
           "skills": [], "model": "tiny", "dataset": "", "begun": 1.0}  # fmt: skip
    await http.kernel.mind.image.transact(lambda root: runs.note(root, 1, run), note="a run")
    for locale, worked, counted, refused, table in (
        ("en-GB", "10 minutes today", "How missions ended", "refused by a gate", "As a table"),
        ("de-DE", "von 10 Minuten", "Wie Aufträge", "von einer Prüfung abgelehnt", "Als Tabelle"),
    ):
        async with window(chromium, http, locale=locale) as screen:
            page = screen.page
            await page.goto(f"http://{http.me}/#code={http.ring.write_code()}")
            await page.locator(".pill.good").wait_for()
            await page.evaluate("() => { location.hash = '#/thoughts' }")
            part = page.locator(".bettering")
            await expect(part).to_contain_text(worked)
            await expect(part.get_by_role("heading", name=counted)).to_be_visible()
            await expect(part.locator(".weeks rect.kept")).to_have_count(1)
            row = part.locator("details").filter(has_text=refused)
            await row.locator("summary").click()
            await expect(row).to_contain_text("+0.001 of the drafts")
            await part.get_by_text(table, exact=True).click()
            await expect(part.get_by_role("table")).to_be_visible()
            assert await screen.audit() == []
