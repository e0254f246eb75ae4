"""What reaches outside: grants, flows, effects and a mission that waits, with real folders."""

import asyncio

import pytest

from tests import kernels

expect = pytest.importorskip("playwright.async_api").expect
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]
expect.set_options(timeout=60_000)


async def show(screen, view="world"):
    await screen.page.evaluate("(to) => { location.hash = to }", f"#/{view}")
    return screen.page.locator(".pane:not([hidden])")


async def grant(screen, folder, **more):
    """Give a grant as the owner does; return the name of its object."""
    page = await screen.http.enter()
    asked = {"body": {"what": str(folder), **more}}
    given = await screen.http.rude("POST", "/verbs/grant", asked, page)
    assert given.status == 200, given
    return given.json["object"]


async def send(screen, name, selector, *args):
    answer = await screen.http.ask("POST", f"/objects/{name}/{selector}", {"args": list(args)})
    assert answer.status == 200, answer
    return answer.json["result"]


async def test_a_grant_is_used_narrowed_and_taken_back(screen, tmp_path):
    page, folder = screen.page, tmp_path / "letters"
    (folder / "old").mkdir(parents=True)
    (folder / "ann.txt").write_text("Dear Ann")
    name = await grant(screen, folder)
    pane = await show(screen)
    row = pane.get_by_role("listitem").filter(has=page.get_by_role("button", name="letters"))
    await expect(row).to_contain_text("never used")
    assert await send(screen, name, "read", "ann.txt") == "Dear Ann"
    await page.evaluate("location.hash = '#/talk'")
    pane = await show(screen)
    await expect(row).to_contain_text("used 1 time,")
    await row.get_by_role("button", name="Narrow").click()
    await page.get_by_label("Folder or file").fill(str(folder / "old"))
    await page.get_by_role("button", name="Next").click()
    await page.get_by_role("button", name="Yes, give it").click()
    part = pane.get_by_role("listitem").filter(has_text=f"{folder}/old")
    await expect(part.locator(".badge")).to_have_text("active")
    await row.get_by_role("button", name="Take back").click()
    await page.get_by_role("dialog").get_by_role("button", name="Take back").click()
    await expect(row.get_by_role("button", name="Take back")).to_have_count(0)
    await expect(part.get_by_role("button", name="Take back")).to_have_count(0)
    refused = await screen.http.ask("POST", f"/objects/{name}/read", {"args": ["ann.txt"]})
    assert refused.status == 403


async def test_a_flow_is_given_taken_back_and_given_again(screen, tmp_path):
    page = screen.page
    for name in ("diary", "outbox"):
        (tmp_path / name).mkdir()
        await grant(screen, tmp_path / name, write=name == "outbox")
    pane = await show(screen)
    flows = pane.get_by_role("region", name="What may go where")
    await expect(flows).to_contain_text("Nothing may go anywhere")
    await flows.get_by_role("button", name="Let something through").click()
    dialog = page.get_by_role("dialog", name="Let something through")
    await dialog.get_by_label("What was read through").select_option("diary_obj")
    await dialog.get_by_label("May be sent through").select_option("outbox_obj")
    await expect(dialog.locator(".consent")).to_contain_text("diary may then go to outbox")
    assert await screen.audit() == []
    await dialog.get_by_role("button", name="Yes, give it").click()
    row = flows.get_by_role("listitem").filter(has_text="diary")
    await expect(row).to_contain_text(f"{tmp_path}/diary")
    listed = (await screen.http.ask("POST", "/verbs/flows", {})).json["flows"]
    assert [(one["source"], one["sink"]) for one in listed] == [("diary_obj", "outbox_obj")]
    await row.get_by_role("button", name="Take back").click()
    await expect(row).to_have_count(0)
    toast = page.locator(".toast").filter(has_text="no longer")
    await toast.get_by_role("button", name="Undo").click()
    await expect(row).to_have_count(1)


async def test_what_was_done_outside_is_taken_back(screen, tmp_path):
    folder = tmp_path / "shelf"
    folder.mkdir()
    name = await grant(screen, folder, write=True)
    await send(screen, name, "write", "a.txt", "hello")
    pane = await show(screen)
    await pane.get_by_role("button", name="Show done ones").click()
    rows = pane.get_by_role("listitem").filter(has_text="a.txt")
    await expect(rows.locator(".badge")).to_have_text("done")
    assert (folder / "a.txt").read_text() == "hello"
    await rows.get_by_role("button", name="Undo").click()
    await expect(rows).to_have_count(2)  # what undoes it is an effect, too
    for _ in range(600):
        if not (folder / "a.txt").exists():
            break
        await asyncio.sleep(0.1)
    else:
        pytest.fail("the file is still there")


async def test_a_mission_waits_for_leave_and_goes_on_after_once(screen, tmp_path, monkeypatch):
    page, http = screen.page, screen.http
    source = " return len(self.files.read(text))"
    monkeypatch.setitem(kernels.ANSWERS, "def count_letters(self", source)
    letter = tmp_path / "letter.txt"
    letter.write_text("sixteen letters!")
    wish = "how many letters are in the file"
    sent = {"method_name": "count_letters", "args": [str(letter)], "text": wish}
    asked = await http.ask("POST", "/message", sent, headers={"prefer": "wait=60"})
    assert (asked.status, asked.json["code"]) == (409, "GRANT_WANTED"), asked
    await expect(page.locator(".rail .count")).to_have_text("1")
    pane = await show(screen, "thoughts")
    card = pane.get_by_role("group", name="Your permission is needed")
    await expect(card).to_contain_text(str(letter))
    assert await screen.audit() == []
    await card.get_by_role("button", name="Once").click()
    await expect(card).to_have_count(0)
    row = pane.get_by_role("listitem").filter(has_text="count letters").first
    await expect(row.locator(".badge")).to_have_text("complete")
    await row.get_by_role("button", name="count letters").click()
    await expect(page.get_by_role("dialog").locator("dd").last).to_have_text("16")


async def test_a_no_to_a_mission_is_kept(screen, tmp_path, monkeypatch):
    http = screen.http
    source = " return self.files.read(text)[0]"
    monkeypatch.setitem(kernels.ANSWERS, "def first_letter(self", source)
    letter = tmp_path / "other.txt"
    letter.write_text("x")
    wish = "what is the first letter of the file"
    sent = {"method_name": "first_letter", "args": [str(letter)], "text": wish}
    await http.ask("POST", "/message", sent, headers={"prefer": "wait=60"})
    pane = await show(screen, "thoughts")
    card = pane.get_by_role("group", name="Your permission is needed")
    await card.get_by_role("button", name="No", exact=True).click()
    await expect(card).to_have_count(0)
    again = await http.ask("POST", "/message", sent, headers={"prefer": "wait=60"})
    assert (again.status, again.json["code"]) == (403, "NOT_GRANTED")
