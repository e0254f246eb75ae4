"""Leave in a conversation: what was read is sent after a yes, and to what refers to it too."""

from dataclasses import replace

import pytest
import pytest_asyncio

from bat_os.app.library import load_library
from bat_os.image.objects import find, ref_of
from bat_os.kernel.say.leave import label_of
from tests.kernel.minds import make_mind
from tests.world.scripted import OPERATIONS, Scripted

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture
def driver():
    return Scripted({"/notes": "milk", "/out": ""})


@pytest_asyncio.fixture(loop_scope="module")
async def mind(image, cell, minilm, writes, driver):
    mind = replace(make_mind(image, cell, writes, embedder=minilm), drivers={"files": driver})
    await load_library(mind)

    def work(root):
        from bat_os.image import grants

        for box in ("/notes", "/out"):
            grants.give(root, driver, {"path": box}, f"{box[1:]}_obj", given=1.0,
                        operations=[*OPERATIONS])  # fmt: skip
        for box in ("notes", "out"):
            find(root, "genesis_obj").set_slot(box, find(root, f"{box}_obj"))

    await image.transact(work, note="grant")
    return mind


@pytest.fixture
async def teach(mind):
    from bat_os.core.protocol import Request
    from bat_os.core.verbs import check
    from bat_os.kernel.verbs.objects import teach

    async def run(source):
        request = Request("teach", target="genesis_obj", body={"source": source})
        await teach(mind, check(request), lambda told: None)

    return run


SENDS = "def send_it(self):\n    self.out.search(self.notes.read())\n    return 'sent'"


async def test_a_message_that_would_send_what_was_read_is_asked_about(said, teach, driver):
    await teach(SENDS)
    asked = await said("send_it()")
    assert (asked["kind"], asked["needs"]) == ("asked", "grant")
    assert asked["text"] == "This would send something read from /notes to /out. May I?"
    assert len(asked["choices"]) == 3
    assert driver.done == []
    assert (await said("3"))["kind"] == "said"
    assert driver.done == []


async def test_yes_once_is_for_that_sentence_alone(said, teach, driver):
    await teach(SENDS)
    for count in (1, 2):
        assert (await said("send_it()"))["needs"] == "grant"
        assert (await said("1"))["value"] == "sent"
        assert len(driver.done) == count


async def test_yes_from_now_on_is_a_flow(said, teach, driver, mind):
    await teach(SENDS)
    await said("send_it()")
    assert (await said("2"))["value"] == "sent"
    assert (await said("send_it()"))["value"] == "sent"
    assert len(driver.done) == 2


async def test_what_refers_to_an_answer_that_was_read_has_its_label(said, teach, mind, dispatcher):
    await teach("def look(self):\n    return self.notes.read()")
    assert (await said("look()"))["value"] == "milk"
    last = (await dispatcher.room._open(_request())).last
    oid = await mind.image.transact(lambda root: ref_of(find(root, "notes_obj")).oid, note="look")
    assert label_of(last) == {oid}
    assert (await said("now reverse it"))["value"] == "klim"
    assert label_of((await dispatcher.room._open(_request())).last) == {oid}
    await said("double the number 21")
    assert label_of((await dispatcher.room._open(_request())).last) == set()


def _request():
    from bat_os.core.protocol import Request
    from bat_os.core.verbs import check

    return check(Request("say", session="s", body={"text": "x"}))
