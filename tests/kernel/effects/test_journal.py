"""Effects whose answer a message needs: done once, however often the message runs."""

import asyncio

import pytest

from bat_os.core.brief import Brief
from bat_os.errors import CellError, EffectUnknownError, EffectWantedError, NotGrantedError
from bat_os.image import outbox
from bat_os.kernel.effects.performer import Performer
from bat_os.kernel.learning.trial import try_turn
from bat_os.kernel.reach import Answers
from bat_os.kernel.turn import Candidate, take_turn
from bat_os.ports import AWAIT, Operation
from bat_os.world.files import Files

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Shop(Files):
    """The real driver, whose ``append`` answers the number of lines: it has to be awaited."""

    def operations(self, scope):
        return {**super().operations(scope), "append": Operation(AWAIT)}

    def perform(self, scope, operation, args, key=""):
        if operation == "append" and args[1] == "refused":
            raise NotGrantedError("the shop is closed")
        answer = super().perform(scope, operation, args, key)
        return len(super().perform(scope, "read", args[:1]).split()) if key else answer


@pytest.fixture
def driver():
    return Shop()


@pytest.fixture
async def shop(ask, taught, notes):
    await ask("grant", what=str(notes), write=True)
    await taught(
        "def buy(self, what):\n"
        "    self.tries = getattr(self, 'tries', 0) + 1\n"
        "    first = self.notes.append('log.txt', what)\n"
        "    second = self.notes.append('log.txt', what)\n"
        "    return [first, second, self.tries]"
    )
    return notes / "log.txt"


async def effects(mind):
    return await mind.image.transact(
        lambda root: [*outbox.pending(root), *outbox.ended(root, 100)], note="look"
    )


async def test_each_is_done_once_and_the_message_runs_on_with_its_answer(shop, send, mind):
    assert await send("genesis_obj", "buy", "tea") == [1, 2, 1]
    assert shop.read_text().split() == ["tea", "tea"]
    done = await effects(mind)
    assert [(one.state, one.kind, one.unused) for one in done] == [("done", AWAIT, False)] * 2
    assert not await mind.image.transact(lambda root: list(root[outbox.RUNS]), note="look")


async def test_a_message_that_is_overtaken_asks_once(shop, mind, monkeypatch):
    overtaken, real = [], mind.image.transact

    async def overtake(work, *, note="", **more):
        if note.startswith("genesis_obj buy") and len(overtaken) < 4:
            overtaken.append(note)
            await real(
                lambda root: root["objects"]["genesis_obj"].set_slot("x", len(overtaken)),
                note="move on",
            )
        return await real(work, note=note, **more)

    monkeypatch.setattr(mind.image, "transact", overtake)
    answer = await take_turn(
        mind.image, mind.cell, Brief("genesis_obj", "buy", ("tea",)), reach=mind
    )
    assert answer.value == [1, 2, 1]
    assert len(overtaken) == 4
    assert shop.read_text().split() == ["tea", "tea"]


async def test_random_numbers_and_the_clock_are_the_same_when_it_runs_again(shop, taught, send):
    await taught(
        "def gamble(self):\n"
        "    import random, time\n"
        "    drawn = random.randint(0, 10**9)\n"
        "    self.notes.append('log.txt', str(drawn))\n"
        "    self.notes.append('log.txt', str(time.time() < 10**12))\n"
        "    return drawn"
    )
    drawn = await send("genesis_obj", "gamble")
    assert shop.read_text().split() == [str(drawn), "True"]
    assert await send("genesis_obj", "gamble") != drawn, "another message draws anew"


async def test_a_method_cannot_outlive_what_it_waits_for(shop, taught, send):
    await taught(
        "def greedy(self):\n"
        "    try:\n"
        "        return self.notes.append('log.txt', 'a')\n"
        "    except BaseException:\n"
        "        self.notes.append('log.txt', 'b')\n"
        "        return 'went on'"
    )
    assert await send("genesis_obj", "greedy") == 1
    assert shop.read_text().split() == ["a"]


async def test_an_error_is_an_answer_and_a_trial_does_nothing(shop, taught, send, mind):
    with pytest.raises((CellError, NotGrantedError), match="the shop is closed"):
        await send("genesis_obj", "buy", "refused")
    trial = Candidate("buy", "def buy(self):\n    return self.notes.append('log.txt', 'x')")
    with pytest.raises(EffectWantedError, match="has to be done first"):
        await try_turn(mind.image, mind.cell, Brief("genesis_obj", "buy"), trial, mind, Answers())
    assert not shop.exists()


async def test_one_that_a_killed_kernel_had_begun_is_asked_and_not_repeated(
    shop, send, mind, ask, monkeypatch
):
    brief = Brief("genesis_obj", "buy", ("tea",))

    async def run():
        return (
            await take_turn(mind.image, mind.cell, brief, reach=mind, answers=Answers(run="key k"))
        ).value

    real = Shop.perform

    def fail(*_, **__):
        raise RuntimeError("the kernel is gone")

    monkeypatch.setattr(Shop, "perform", fail)
    with pytest.raises(EffectUnknownError):
        await run()
    monkeypatch.setattr(Shop, "perform", real)
    with pytest.raises(EffectUnknownError, match="redo 1"):
        await run()
    assert not shop.exists()
    await ask("effects.redo", number=1)
    assert await run() == [1, 2, 1]
    assert shop.read_text().split() == ["tea", "tea"]


async def test_what_was_done_for_a_message_that_never_ended_is_named(shop, mind, taught):
    await taught(
        "def fall(self):\n    self.notes.append('log.txt', 'tea')\n    return 1 // 0", "genesis_obj"
    )
    with pytest.raises(CellError):
        await take_turn(mind.image, mind.cell, Brief("genesis_obj", "fall"), reach=mind)
    performer = Performer(mind, lambda _: None)
    task = asyncio.create_task(performer.keep())
    await asyncio.sleep(0)
    await performer.settle(10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [one.unused for one in await effects(mind)] == [True]
