"""bat_os.kernel.say.conversation: what a follow-up may refer to, in memory and in the image."""

import time

import pytest

from bat_os.errors import NotFoundError, StorageFullError
from bat_os.image.store import ImageStore
from bat_os.kernel.say import conversation
from bat_os.kernel.say.conversation import CONVERSATIONS, DAY, Conversations

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
async def talks(image):
    talks = Conversations(image)
    yield talks
    await talks.close()


async def stored(image):
    return await image.transact(
        lambda root: {k: dict(o.slots) for k, o in root.get(CONVERSATIONS, {}).items()}, note="t"
    )


async def test_it_is_the_same_one_for_the_same_caller_and_session(talks):
    first = await talks.open("", "s")
    first.last = {"text": "double 21", "value": 42}
    assert (await talks.open("", "s")).last["value"] == 42
    assert (await talks.open("another key", "s")).last == {}
    assert (await talks.open("", "t")).last == {}


async def test_an_open_question_is_written_at_once_and_read_by_the_next_kernel(talks, image):
    talked = await talks.open("", "s")
    talked.question = {"needs": "example", "choices": ["7"], "sentence": "double it"}
    await talks.keep("", talked)
    fresh = Conversations(image)
    assert (await fresh.open("", "s")).question["choices"] == ["7"]


async def test_without_a_question_it_is_written_soon(talks, image, monkeypatch):
    monkeypatch.setattr(conversation, "WRITE_SECONDS", 0.0)
    talked = await talks.open("", "s")
    talked.last = {"text": "double 21", "value": 42}
    await talks.keep("", talked)
    assert await stored(image) == {}
    await talks._writer
    assert [slots["last"]["value"] for slots in (await stored(image)).values()] == [42]


async def test_what_waits_is_written_at_the_end(talks, image):
    talked = await talks.open("", "s")
    talked.last = {"text": "double 21", "value": 42}
    await talks.keep("", talked)
    await talks.close()
    assert len(await stored(image)) == 1


async def test_it_expires_after_a_day(talks, image, monkeypatch):
    talked = await talks.open("", "s")
    talked.last = {"value": 42}
    await talks.keep("", talked)
    await talks.close()
    later = time.time() + DAY + 60
    monkeypatch.setattr(conversation.time, "time", lambda: later)
    fresh = Conversations(image)
    other = await fresh.open("", "other")
    other.question = {"needs": "grant", "choices": [], "sentence": ""}
    await fresh.keep("", other)
    assert [slots["session"] for slots in (await stored(image)).values()] == ["other"]
    assert (await fresh.open("", "s")).last == {}


async def test_it_shows_the_last_exchanges_only(talks):
    talked = await talks.open("", "s")
    for number in range(50):
        talked.note(f"say {number}", "computed", "x" * 5_000)
    assert len(talked.exchanges) == conversation.MAX_EXCHANGES
    assert talked.exchanges[-1]["said"] == "say 49"
    assert len(talked.exchanges[-1]["answer"]) == conversation.MAX_SHOWN


async def test_a_failed_write_is_tried_again(talks, image, monkeypatch):
    async def full(*_, **__):
        raise StorageFullError("the disk is full")

    talked = await talks.open("", "s")
    talked.question = {"needs": "grant", "choices": [], "sentence": ""}
    with monkeypatch.context() as patched:
        patched.setattr(ImageStore, "transact", full)
        await talks.keep("", talked)
    assert await stored(image) == {}
    await talks.write()
    assert len(await stored(image)) == 1


async def test_a_caller_can_look_at_its_own(talks, image):
    talked = await talks.open("key", "s")
    talked.question = {"needs": "grant", "choices": [], "sentence": "list my files"}
    await talks.keep("key", talked)

    def look(root, caller):
        return conversation.find_conversation(root, caller, "s").slots["question"]["sentence"]

    assert await image.transact(lambda root: look(root, "key"), note="t") == "list my files"
    with pytest.raises(NotFoundError):
        await image.transact(lambda root: look(root, "another"), note="t")
