"""What became of effects: listed, redone, dropped, taken back; also with their transaction."""

import asyncio
import threading

import pytest

from bat_os.errors import ArgumentsError, NotFoundError
from bat_os.image.store import watch_commits

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
async def shop(ask, taught, notes):
    await ask("grant", what=str(notes), write=True)
    await taught(
        "def shop(self, item):\n"
        "    self.count = getattr(self, 'count', 0) + 1\n"
        "    self.notes.append('a.txt', item)\n"
        "    return self.count"
    )


async def test_effects_are_listed_and_undone_by_their_number(ask, shop, send, notes, performing):
    async with performing() as performer:
        await send("genesis_obj", "shop", "milk")
        await performer.settle(10)
        assert (await ask("effects"))["effects"] == []
        (one,) = (await ask("effects", all=True))["effects"]
        assert (one["state"], one["by"], one["can_undo"]) == ("done", "genesis_obj.shop", True)
        assert one["what"].startswith("adds to ")
        assert one["what"].endswith("a.txt: milk")
        assert (await ask("effects.undo", number=one["number"]))["state"] == "done"
        assert (notes / "a.txt").read_text() == "one\n"
        (notes / "a.txt").write_text("another")
        back = (await ask("effects", all=True))["effects"][0]
        with pytest.raises(ArgumentsError, match="changed since"):
            await ask("effects.undo", number=back["number"])
        assert (notes / "a.txt").read_text() == "another"


async def test_what_is_just_being_done_is_taken_back_once_it_is_done(
    ask, shop, send, notes, performing, driver, monkeypatch
):
    begun, going, perform = threading.Event(), threading.Event(), driver.perform

    def wait(*args, **kwargs):
        begun.set()
        going.wait(10)
        return perform(*args, **kwargs)

    monkeypatch.setattr(driver, "perform", wait)
    async with performing():
        await send("genesis_obj", "shop", "milk")
        await asyncio.to_thread(begun.wait, 10)
        (one,) = (await ask("effects"))["effects"]
        assert one["state"] == "performing"
        undoing = asyncio.create_task(ask("effects.undo", number=one["number"]))
        await asyncio.wait([undoing], timeout=0.2)
        going.set()
        assert (await undoing)["state"] == "done"
    assert (notes / "a.txt").read_text() == "one\n"


async def test_what_failed_is_redone_or_dropped(ask, shop, send, notes, performing, pending):
    await send("notes_obj", "remove", "b.txt")
    await send("notes_obj", "remove", "c.txt")
    async with performing() as performer:
        await performer.settle(10)
        first, second = (one["number"] for one in (await ask("effects"))["effects"])
        (notes / "b.txt").write_text("x")
        assert (await ask("effects.redo", number=second))["state"] == "done"
        assert not (notes / "b.txt").exists()
        assert (await ask("effects.drop", number=first))["state"] == "dropped"
        assert await pending() == []
        for verb in ("effects.redo", "effects.drop"):
            with pytest.raises(ArgumentsError, match="cannot be"):
                await ask(verb, number=second)
            with pytest.raises(NotFoundError, match="no effect"):
                await ask(verb, number=99)


async def test_undo_of_a_transaction_takes_its_effects_back(ask, shop, send, notes, performing):
    async with performing() as performer:
        with watch_commits() as commits:
            await send("genesis_obj", "shop", "milk")
        await performer.settle(10)
        told = await ask("undo", transaction=commits[0])
        assert (told["objects"], len(told["outside"]), told["left"]) == (["genesis_obj"], 1, [])
        assert (notes / "a.txt").read_text() == "one\n"
        with watch_commits() as commits:
            await send("genesis_obj", "shop", "milk")
        await performer.settle(10)
        (notes / "a.txt").write_text("another")
        told = await ask("undo", transaction=commits[0])
        assert [("changed since" in text) for text in told["left"]] == [True]
        assert (notes / "a.txt").read_text() == "another"


async def test_what_was_not_begun_is_dropped_with_its_transaction(ask, shop, send, notes):
    with watch_commits() as commits:
        await send("genesis_obj", "shop", "milk")
    told = await ask("undo", transaction=commits[0])
    assert (len(told["outside"]), told["left"]) == (1, [])
    assert [one["state"] for one in (await ask("effects", all=True))["effects"]] == ["dropped"]


async def test_unlearn_says_that_what_was_done_stays(ask, shop, send, mind, performing):
    async with performing() as performer:
        await send("genesis_obj", "shop", "milk")
        await performer.settle(10)
    from bat_os.core.protocol import Request
    from bat_os.core.verbs import check
    from bat_os.kernel.verbs import VERBS

    request = check(Request("unlearn", target="genesis_obj", selector="shop"))
    assert (await VERBS["unlearn"](mind, request, lambda _: None))["effects"] == 1
