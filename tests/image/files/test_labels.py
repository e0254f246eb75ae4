"""What a grant had a say in stays marked in every copy of an image; flows stay what they were."""

from pathlib import Path

import pytest

from bat_os.core.settings import IMAGE
from bat_os.engines.scripted import HashEmbedder
from bat_os.image import flows
from bat_os.image.catalog import catalog_in
from bat_os.image.catalog_service import CatalogService
from bat_os.image.files.backup import back_up
from bat_os.image.files.fork import fork
from bat_os.image.files.pack import pack
from bat_os.image.files.restore import restore
from bat_os.image.flows import Flow
from bat_os.image.objects import find
from tests.image.files.images import open_image, put

NOTES, DIARY = "00000000000000a1", "00000000000000a2"


@pytest.fixture
async def marked(image):
    """An image with marks on a slot, on the parents of an object and on a document; one flow."""
    await put(image, "robot_obj", hidden="-")
    service = CatalogService(image, HashEmbedder())
    about = await service.learn("diary", "Ann was at the lake.", source="diary")

    def work(root):
        robot = find(root, "robot_obj")
        robot.set_slot("hidden", "the lake", (NOTES, DIARY))
        robot.set_label("", (DIARY,))
        flows.allow(root, Flow(NOTES, DIARY, 1.0, "ann"))
        catalog_in(root).set_label(about["doc_id"], [DIARY])

    await image.transact(work, note="mark")
    await put(image, "robot_obj", colour="blue")  # a later record of the same object
    return image


async def check(image):
    def look(root):
        robot = find(root, "robot_obj")
        assert {name: {*label} for name, label in robot.labels.items()} == {
            "hidden": {NOTES, DIARY}, "": {DIARY},
        }  # fmt: skip
        assert flows.lacking(root, [NOTES, DIARY], DIARY) == []
        assert flows.lacking(root, [DIARY], NOTES) == [DIARY]

    await image.transact(look, note="look")
    (hit, *_) = await CatalogService(image, HashEmbedder()).search(("the lake",), kind="document")
    assert {*hit.label} == {DIARY}


async def test_marks_survive_a_fork_and_a_fork_of_it(marked):
    made = await fork(marked, "trial")
    copy = open_image(Path(made["home"]) / IMAGE)
    try:
        await check(copy)
        again = await fork(copy, "second")
        other = open_image(Path(again["home"]) / IMAGE)
        try:
            await check(other)
        finally:
            await other.close()
    finally:
        await copy.close()
    await check(marked)


async def test_marks_survive_a_backup_and_its_restore(marked, tmp_path):
    await back_up(marked, tmp_path / "kept")
    await put(marked, "robot_obj", colour="green")
    await back_up(marked, tmp_path / "kept")  # what is new alone
    restore(tmp_path / "kept", tmp_path / "other")
    copy = open_image(tmp_path / "other" / IMAGE)
    try:
        await check(copy)
    finally:
        await copy.close()


async def test_marks_survive_a_pack(marked, home):
    for number in range(10):
        await put(marked, "robot_obj", text=f"{number}" * 10_000)
    told = await pack(marked, days=0)
    assert told["after"] < told["before"]
    await check(marked)
    await marked.close()
    opened = open_image(home / IMAGE)
    try:
        await check(opened)
    finally:
        await opened.close()
