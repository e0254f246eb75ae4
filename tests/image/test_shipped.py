"""bat_os.image.shipped: the program's library, its upgrade, and what a person keeps."""

import pytest

from bat_os.core.personas import PERSONAS
from bat_os.errors import NotFoundError
from bat_os.image.awakening import awaken
from bat_os.image.history.versions import Skill, install, unlearn
from bat_os.image.objects import find, kept_examples
from bat_os.image.shipped import (
    ShippedMethod,
    ShippedObject,
    install_library,
    library_names,
    library_stamp,
)
from bat_os.image.store import ImageStore

DOUBLE = "def double(self, number):\n    return number * 2\n"
FASTER = "def double(self, number):\n    return number << 1\n"
MINE = "def double(self, number):\n    return number + number\n"
EXAMPLE = {"args": [4], "kwargs": {}, "result": 8}


def shelf(source=DOUBLE, *more):
    double = ShippedMethod("double", source, examples=(EXAMPLE,))
    return [ShippedObject("number_obj", "whole numbers", (double, *more))]


@pytest.fixture
async def image():
    store = ImageStore.in_memory()
    await store.transact(
        lambda root: awaken(root, image_id="i", created=1.0, personas=PERSONAS, primitives=[]),
        note="awaken",
    )
    yield store
    await store.close()


@pytest.fixture
def put(image):
    async def put_shelf(objects, stamp):
        return await image.transact(
            lambda root: install_library(root, objects, stamp, "1.0"), note="library"
        )

    return put_shelf


async def method_of(image, selector="double"):
    def read(root):
        method = find(root, "number_obj").slots[selector]
        if method.current < 0:
            return len(method.versions), "unlearned", ""
        return len(method.versions), method.status, method.version.source

    return await image.transact(read, note="read")


async def test_a_new_image_gets_the_objects_once(image, put):
    assert await put(shelf(), "a") == 1
    assert await put(shelf(), "a") == 0
    assert await method_of(image) == (1, "shipped", DOUBLE)

    def look(root):
        obj = find(root, "number_obj")
        return (
            library_names(root),
            library_stamp(root),
            obj.slots["about"],
            obj.parents[0].name,
            kept_examples(obj, "double"),
        )

    assert await image.transact(look, note="look") == (
        {"number_obj"}, "a", "whole numbers", "traits_obj", (EXAMPLE,)
    )  # fmt: skip


async def test_an_upgrade_gives_a_shipped_method_a_new_version_and_keeps_the_old_one(image, put):
    await put(shelf(), "a")
    assert await put(shelf(FASTER), "b") == 1
    assert await method_of(image) == (2, "shipped", FASTER)


async def test_an_upgrade_leaves_a_persons_version_alone(image, put):
    await put(shelf(), "a")
    await image.transact(
        lambda root: install(
            root, find(root, "number_obj"), Skill("double", MINE, "taught", {}, "double")
        ),
        note="teach",
    )
    assert await put(shelf(FASTER), "b") == 0
    assert await method_of(image) == (2, "taught", MINE)


async def test_an_upgrade_does_not_bring_back_what_was_unlearned(image, put):
    await put(shelf(), "a")
    await image.transact(
        lambda root: unlearn(root, find(root, "number_obj"), "double", at=1.0), note="unlearn"
    )
    assert await put(shelf(FASTER), "b") == 0
    assert (await method_of(image))[1] == "unlearned"


async def test_what_the_program_has_no_more_is_unlearned_but_not_a_persons_version(image, put):
    half = ShippedMethod("half", "def half(self, number):\n    return number / 2\n")
    native = ShippedMethod("root", primitive="calculator_obj.root")
    await put(shelf(DOUBLE, half, native), "a")
    assert await put([ShippedObject("number_obj", "", ())], "b") == 3
    assert (await method_of(image, "half"))[1] == "unlearned"
    with pytest.raises(KeyError):
        await method_of(image, "root")
    assert await put(shelf(DOUBLE, native), "c") == 1


async def test_an_object_that_a_person_made_first_is_left_alone(image, put, caplog):
    def make(root):
        obj = find(root, "genesis_obj").clone("number_obj")
        obj.set_slot("about", "my numbers")
        root["objects"]["number_obj"] = obj

    await image.transact(make, note="make")
    assert await put(shelf(), "a") == await put(shelf(FASTER), "b") == 0
    held = await image.transact(lambda root: dict(find(root, "number_obj").slots), note="read")
    assert held == {"about": "my numbers"}
    assert await image.transact(library_names, note="look") == frozenset()
    assert "number_obj is an object of yours" in caplog.text


async def test_a_slot_in_the_place_of_a_shipped_method_is_kept(image, put):
    await put([ShippedObject("number_obj", "", ())], "a")
    await image.transact(lambda root: find(root, "number_obj").set_slot("double", 2), note="set")
    assert await put(shelf(), "b") == 0
    held = await image.transact(lambda root: find(root, "number_obj").slots["double"], note="read")
    assert held == 2


async def test_nothing_is_half_installed_when_a_method_cannot_be(image, put):
    with pytest.raises(Exception, match="name"):
        await put([*shelf(), ShippedObject("x_obj", "", (ShippedMethod("not a name"),))], "a")

    def look(root):
        with pytest.raises(NotFoundError):
            find(root, "number_obj")
        return library_stamp(root)

    assert await image.transact(look, note="look") == ""
