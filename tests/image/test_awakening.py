"""bat_os.image.awakening and the way in: an image that is damaged is refused by name."""

import pytest
from ZODB.Connection import TransactionMetaData
from ZODB.FileStorage import FileStorage
from ZODB.utils import z64

from bat_os.core.personas import PERSONAS
from bat_os.errors import DamagedError, ForbiddenClassError
from bat_os.image.awakening import awaken
from bat_os.image.store import ImageStore


def wake(root):
    return awaken(root, image_id="i", created=1.0, personas=PERSONAS, primitives=["clone"])


@pytest.mark.parametrize("name", ["about", "objects", "missions", "keys", "unfinished"])
async def test_an_image_that_has_lost_a_part_of_its_root_is_not_taken_for_a_new_one(name):
    image = ImageStore.in_memory()
    assert await image.transact(wake, note="awaken") is True
    await image.transact(lambda root: root.__delitem__(name), note="damage")

    with pytest.raises(DamagedError, match="root of the image is damaged"):
        await image.transact(wake, note="awaken")
    await image.close()


@pytest.mark.parametrize("change", [{"current": 5}, {"current": None}, {"versions": None}])
async def test_a_method_whose_state_is_not_all_there_is_not_given_out(tmp_path, change):
    def damage(root):
        method = root["objects"]["traits_obj"].slots["clone"]
        for name, value in change.items():
            method.__dict__.pop(name, None)
            if value is not None:
                setattr(method, name, value)
        method._p_changed = True

    image = ImageStore.open(tmp_path / "image.fs")
    await image.transact(wake, note="awaken")
    await image.transact(damage, note="damage")
    await image.close()
    image = ImageStore.open(tmp_path / "image.fs")
    with pytest.raises(DamagedError, match="stored Method"):
        await image.transact(
            lambda root: root["objects"]["traits_obj"].slots["clone"].is_understood, note="look"
        )
    await image.close()


def test_an_image_that_is_refused_is_not_held(tmp_path):
    storage, about = FileStorage(str(tmp_path / "image.fs")), TransactionMetaData()
    storage.tpc_begin(about)
    storage.store(z64, z64, b"cos\nsystem\n.N.", "", about)
    storage.tpc_vote(about)
    storage.tpc_finish(about)
    storage.close()

    for _ in range(2):  # the second one would find it locked
        with pytest.raises(ForbiddenClassError, match=r"os\.system"):
            ImageStore.open(tmp_path / "image.fs")
