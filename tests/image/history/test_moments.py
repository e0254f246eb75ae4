"""bat_os.image.history.moments: the image as it was, and what changed between two moments."""

import datetime as dt

import pytest

from bat_os.core.moments import Moment
from bat_os.errors import ArgumentsError, NotFoundError
from bat_os.image.catalog import catalog_in
from bat_os.image.history import moments
from bat_os.image.objects import UvmObject
from tests.image.history.conftest import VECTOR


@pytest.fixture
def latest(image):
    async def run():
        return await image.transact(
            lambda root: root._p_jar.db().lastTransaction().hex(), note="look"
        )

    return run


async def test_the_past_is_seen_exactly_as_it_was(image, change, learn, unlearn, latest):
    before = await latest()
    await learn("wave", 1)
    learned = await latest()
    await unlearn("wave")

    def understood(root):
        return root["objects"]["robot"].lookup("wave") is not None

    seen = [await moments.read_at(image, tid, understood) for tid in (before, learned)]
    assert (seen, await image.transact(understood, note="now")) == ([False, True], False)


async def test_the_past_cannot_be_changed(image, latest):
    def work(root):
        root["objects"]["robot"].set_slot("x", 1)
        root._p_jar.transaction_manager.commit()

    with pytest.raises(ArgumentsError, match="cannot be changed"):
        await moments.read_at(image, await latest(), work)
    assert await image.transact(lambda root: root["objects"]["robot"].slots, note="t") == {}


async def test_a_survey_reads_all_of_the_image_and_keeps_little_of_it(image):
    def fill(root):
        for number in range(4_000):
            root["objects"][f"o{number}"] = UvmObject(f"o{number}")
            root["objects"][f"o{number}"].slots["n"] = number

    await image.transact(fill, note="fill")
    image.database.cacheMinimize()
    before, most = image.database.cacheSize(), []

    def look(root):
        total = 0
        for obj in root["objects"].values():
            total += obj.slots.get("n", 0)
            most.append(root._p_jar._cache.cache_non_ghost_count)
        return total

    assert await moments.survey(image, look, note="look") == 3_999 * 2_000
    assert max(most) < 1_500  # ZODB keeps 1,000 of the past
    assert image.database.cacheSize() < before + 50


async def test_before_the_image_there_is_nothing_to_see(image):
    with pytest.raises(NotFoundError, match="did not exist then"):
        await moments.read_at(image, f"{1:016x}", dict)


async def test_what_changed_is_told_slot_by_slot_method_by_method_document_by_document(
    image, change, learn, unlearn, latest
):
    def first(root, robot):
        robot.set_slot("colour", "red")
        robot.set_slot("left", 1)
        root["objects"]["old"] = UvmObject("old")
        catalog_in(root).add("document:a", "a", ["text"], VECTOR)
        catalog_in(root).add("document:b", "b", ["text"], VECTOR)

    await change(first)
    await learn("wave", 1)
    await learn("keep", 1)
    await learn("move", 1)
    before = await latest()

    def second(root, robot):
        robot.set_slot("colour", "blue")
        robot.remove_slot("left")
        root["objects"]["fresh"] = UvmObject("fresh", (robot,))
        del root["objects"]["old"]
        catalog_in(root).add("document:a", "a", ["other text"], VECTOR)
        catalog_in(root).remove("document:b")

    await change(second)
    await learn("move", 2)
    await unlearn("wave")
    told = await moments.changes(image, await latest(), before)
    assert told["objects"] == [
        {"object": "fresh", "what": "new", "slots": []},
        {"object": "old", "what": "gone", "slots": []},
        {
            "object": "robot",
            "what": "changed",
            "slots": [
                {"slot": "colour", "before": "'red'", "after": "'blue'"},
                {"slot": "left", "before": "1", "after": ""},
            ],
        },
    ]
    assert told["methods"] == [
        {"object": "robot", "selector": "move", "before": 1, "after": 2},
        {"object": "robot", "selector": "wave", "before": 1, "after": 0},
    ]
    assert told["documents"] == [
        {"document": "document:a", "what": "changed"},
        {"document": "document:b", "what": "gone"},
    ]
    assert (told["from"], len(told["transactions"])) == (before, 3)


async def test_between_a_moment_and_itself_nothing_changed(image, learn, latest):
    await learn("wave")
    tid = await latest()
    told = await moments.changes(image, tid, tid)
    assert [told[key] for key in ("objects", "methods", "documents", "transactions")] == [[]] * 4


async def test_a_moment_is_the_last_transaction_up_to_it(image, latest):
    tid = await latest()
    now = Moment("time", time=dt.datetime.now(dt.UTC))
    far = Moment("transaction", "f" * 16)
    assert await image.transact(lambda root: moments.resolve(root, far), note="t") == tid
    resolved = await image.transact(lambda root: moments.resolve(root, now), note="t")
    assert await moments.read_at(image, resolved, lambda root: "robot" in root["objects"])
    unknown = Moment("mission", "0" * 24)
    with pytest.raises(NotFoundError, match="no request has the id"):
        await image.transact(lambda root: moments.resolve(root, unknown), note="t")
