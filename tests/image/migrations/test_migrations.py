"""bat_os.image.migrations: images that earlier versions wrote, opened by this one."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from bat_os.core.events import MissionFailed
from bat_os.core.personas import PERSONAS
from bat_os.errors import FormatError, StorageError
from bat_os.image import missions
from bat_os.image.awakening import FORMAT, awaken
from bat_os.image.migrations.run import STEPS
from bat_os.image.store import ImageStore
from bat_os.kernel.primitives import PRIMITIVES

IMAGES = Path(__file__).parents[2] / "cases" / "images"


def open_it(root):
    return awaken(root, image_id="x", created=0.0, personas=PERSONAS, primitives=PRIMITIVES)


async def transact(image, work):
    return await image.transact(work, note="look")


def slots(root, name):
    return dict(root["objects"][name].slots)


@pytest.fixture
async def old(tmp_path):
    """A copy of the image that the last version of format 1 wrote (commit 7e0bd48).

    Its kernel had cloned robot_obj, set its colour, learned genesis_obj.double from a
    scripted engine, and taken in one document.
    """
    shutil.copy(IMAGES / "format-1.fs", tmp_path / "live_image.fs")
    image = ImageStore.open(tmp_path / "live_image.fs")
    yield image
    await image.close()


@pytest.fixture
async def second(tmp_path):
    """A copy of the image that the last version of format 2 wrote (commit 85baac5).

    Four briefs: one has ended; one waits; one failed in a way that may pass and was asked again
    with its key, which is under way; and one more waits, whose key is ``damaged``.
    """
    shutil.copy(IMAGES / "format-2.fs", tmp_path / "live_image.fs")
    image = ImageStore.open(tmp_path / "live_image.fs")
    yield image
    await image.close()


def ids_of(root):
    keys = ("ended", "waiting", "again", "damaged")
    return {key: missions.id_of(root, key) for key in keys}


def count_transactions(root):
    return sum(1 for _ in root._p_jar.db().storage.iterator())


async def test_an_older_image_is_migrated_in_the_one_transaction_that_opens_it(old):
    before = await transact(old, count_transactions)
    assert await transact(old, lambda root: root["about"]["format"]) == 1

    assert await transact(old, open_it) is False

    assert await transact(old, lambda root: root["about"]["format"]) == FORMAT
    assert await transact(old, count_transactions) == before + 1


async def test_a_migrated_image_keeps_its_identity_objects_methods_and_documents(old):
    identity = await transact(old, lambda root: root["about"]["id"])
    await transact(old, open_it)

    def look(root):
        double = root["objects"]["genesis_obj"].slots["double"].version
        catalog = root["knowledge_catalog"]
        none = np.zeros((1, 384), np.float32)
        found = catalog.search(["lighthouse keeper"], none, top_k=1)
        return (
            root["about"]["id"],
            root["objects"]["robot_obj"].slots["colour"],
            double.source,
            len(root["missions"]),
            found[0].doc_id,
        )

    kept, colour, source, missions, found = await transact(old, look)
    assert (kept, colour, missions, found) == (identity, "red", 3, "notes:one")
    assert "return number * 2" in source


async def test_format_2_forgets_which_model_a_prototype_was_given(old):
    before = await transact(old, lambda root: slots(root, "alfred_obj"))
    await transact(old, open_it)
    after = await transact(old, lambda root: slots(root, "alfred_obj"))
    assert set(before) - set(after) == {"model", "temperature"}
    model = await transact(old, lambda root: slots(root, "pLLM_obj"))
    assert "models" not in model
    assert "batos models" in model["about"]


async def test_format_2_leaves_slots_that_the_user_has_set(old):
    def set_own(root):
        root["objects"]["alfred_obj"].set_slot("model", ["mine"])
        root["objects"]["pLLM_obj"].set_slot("about", "mine")

    await transact(old, set_own)
    await transact(old, open_it)
    assert (await transact(old, lambda root: slots(root, "alfred_obj")))["model"] == ["mine"]
    assert (await transact(old, lambda root: slots(root, "pLLM_obj")))["about"] == "mine"


async def test_format_3_sets_apart_what_is_unfinished(second):
    before = await transact(second, lambda root: (list(root["unfinished"]), dict(root["keys"])))
    await transact(second, open_it)

    def look(root):
        found = ids_of(root)
        assert set(root["missions"]).isdisjoint(root["unfinished"])
        assert set(root["keys"]) == {"ended"}
        return missions.unfinished(root), found, len(list(missions.ids_after(root, "")))

    assert await transact(second, look) == (*before, 5)
    ids = before[1]

    def states(root):
        return {key: str(missions.check(root, one).mission.state) for key, one in ids.items()}

    assert await transact(second, states) == {
        "ended": "failed",
        "waiting": "idle",
        "again": "decomposing",
        "damaged": "idle",
    }


async def test_what_format_2_left_unfinished_ends_like_any_other(second):
    await transact(second, open_it)

    def end(root):
        one = missions.read(root, missions.id_of(root, "again"))
        over = one.mission.advance(MissionFailed("CANCELLED", "x"))
        missions.write(root, one.id, over, {"type": "error", "body": {"code": "CANCELLED"}})
        return one.id

    again = await transact(second, end)
    ids = await transact(second, ids_of)
    assert ids["again"] == again
    assert await transact(second, missions.unfinished) == [ids["waiting"], ids["damaged"]]


async def test_a_mission_that_cannot_be_read_does_not_stop_the_migration(second):
    bad = await transact(second, lambda root: root["keys"]["damaged"])

    def spoil(root):
        root["missions"][bad].slots = None

    await transact(second, spoil)
    await transact(second, open_it)
    assert bad not in await transact(second, missions.unfinished)
    assert await transact(second, lambda root: bad in root["missions"])


async def test_a_migration_that_fails_leaves_the_image_as_it_was(old):
    def break_it(root):
        root["objects"]["pLLM_obj"].set_slot("about", "changed")
        root["about"] = {**root["about"], "format": 0}
        open_it(root)

    with pytest.raises(StorageError):
        await transact(old, break_it)
    assert await transact(old, lambda root: root["about"]["format"]) == 1


@pytest.mark.parametrize("claim", [None, "2", 0, -1, True])
async def test_an_image_that_does_not_say_its_format_is_refused(old, claim):
    def spoil(root):
        root["about"] = {**root["about"], "format": claim}
        open_it(root)

    with pytest.raises(StorageError, match="of its format"):
        await transact(old, spoil)


async def test_a_newer_image_is_refused_with_what_to_do(image):
    await transact(image, open_it)

    def age(root):
        root["about"] = {**root["about"], "format": FORMAT + 1}

    await transact(image, age)
    with pytest.raises(FormatError, match="start the newer program") as caught:
        await transact(image, open_it)
    assert caught.value.details == {"format": FORMAT + 1, "known": FORMAT}


async def test_opening_an_image_of_this_format_changes_nothing(image):
    await transact(image, open_it)
    before = await transact(image, count_transactions)
    await transact(image, open_it)
    assert await transact(image, count_transactions) == before


def test_there_is_a_step_to_every_format():
    assert sorted(STEPS) == list(range(2, FORMAT + 1))


def test_there_is_an_image_of_every_older_format():
    assert {path.name for path in IMAGES.glob("format-*.fs")} == {
        f"format-{number}.fs" for number in range(1, FORMAT)
    }
