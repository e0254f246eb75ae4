"""Parents, names and deletion of objects, message by message through a real kernel.

The world: vehicle_obj > car_obj > my_car_obj, each of which may override what is above it.
"""

import asyncio

import pytest

from bat_os.errors import RemoteError
from tests.kernels import ThinkingKernel

WHEELS = "def wheels(self):\n    return 0\n"
CAR_WHEELS = "def wheels(self):\n    return 4\n"
MY_WHEELS = "def wheels(self):\n    return 3\n"
BOAT_WHEELS = "def wheels(self):\n    return -1\n"
SAIL = "def sail(self):\n    return 7\n"
PRICE = "def price(self):\n    return self.net * (100 + self.rate) / 100\n"


@pytest.fixture
async def world(tmp_path):
    """A kernel with vehicle_obj, car_obj and my_car_obj."""
    async with ThinkingKernel(tmp_path / "home") as running, running.client() as client:
        world = World(client)
        await world.send("genesis_obj", "derive", "vehicle_obj")
        await world.send("vehicle_obj", "derive", "car_obj")
        await world.do("derive", "car_obj", name="my_car_obj")
        await world.teach("vehicle_obj", WHEELS, PRICE)
        await world.set("vehicle_obj", net=100, rate=20)
        yield world


class World:
    """A client, in fewer words."""

    def __init__(self, client):
        self.client = client

    async def do(self, verb, target="", **body):
        fields = {"target": target} if target else {}
        return await self.client.request(verb, **fields, **({"body": body} if body else {}))

    async def send(self, target, selector, *args, at=""):
        fields = {"body": {"at": at}} if at else {}
        answer = await self.client.request(
            "send", target=target, selector=selector, args=list(args), **fields
        )
        return answer["result"]

    async def teach(self, target, *sources):
        for source in sources:
            await self.do("teach", target, source=source)

    async def unlearn(self, target, selector):
        await self.client.request("unlearn", target=target, selector=selector)

    async def set(self, target, **slots):
        for name, value in slots.items():
            await self.send(target, "setSlot", name, value)

    async def refused(self, code, ask):
        with pytest.raises(RemoteError) as caught:
            await ask
        assert caught.value.body["code"] == code, caught.value.body
        return caught.value.body

    async def parents(self, target):
        return (await self.do("parents", target))["parents"]

    async def now(self):
        return (await self.client.request("diff", body={"a": "now"}))["to"]


async def test_what_is_nearer_to_the_receiver_overrides_what_is_farther(world):
    assert await world.send("my_car_obj", "wheels") == 0
    await world.teach("car_obj", CAR_WHEELS)
    assert await world.send("my_car_obj", "wheels") == 4
    await world.teach("my_car_obj", MY_WHEELS)
    names = ("vehicle_obj", "car_obj", "my_car_obj")
    assert [await world.send(name, "wheels") for name in names] == [0, 4, 3]
    await world.unlearn("my_car_obj", "wheels")
    assert await world.send("my_car_obj", "wheels") == 4
    await world.unlearn("car_obj", "wheels")
    assert await world.send("my_car_obj", "wheels") == 0
    told = await world.refused("NOT_FOUND", world.unlearn("my_car_obj", "price"))
    assert "price belongs to vehicle_obj" in told["message"]


async def test_a_method_of_a_parent_runs_on_the_slots_of_the_receiver(world):
    assert await world.send("my_car_obj", "price") == 120
    await world.set("car_obj", net=200)
    await world.set("my_car_obj", rate=50)
    prices = [await world.send(name, "price") for name in ("vehicle_obj", "car_obj", "my_car_obj")]
    assert prices == [120, 240, 300]
    await world.send("my_car_obj", "removeSlot", "rate")
    assert await world.send("my_car_obj", "price") == 240


async def test_a_clone_and_its_prototype_go_their_own_ways(world):
    await world.teach("car_obj", CAR_WHEELS)
    await world.send("car_obj", "clone", "van_obj")
    assert await world.parents("van_obj") == ["vehicle_obj"]
    await world.teach("van_obj", MY_WHEELS)
    await world.teach("vehicle_obj", "def wheels(self):\n    return 1\n")
    assert [await world.send(name, "wheels") for name in ("car_obj", "van_obj")] == [4, 3]
    await world.unlearn("car_obj", "wheels")
    assert [await world.send(name, "wheels") for name in ("car_obj", "van_obj")] == [1, 3]
    await world.unlearn("van_obj", "wheels")
    await world.client.request("redo", target="van_obj", selector="wheels", body={"version": 1})
    assert [await world.send(name, "wheels") for name in ("car_obj", "van_obj")] == [1, 4]


async def test_parents_are_looked_up_from_left_to_right_as_they_are_set(world):
    await world.send("genesis_obj", "derive", "boat_obj")
    await world.teach(
        "boat_obj", "def wheels(self):\n    return -1\n", "def sail(self):\n    return 7\n"
    )
    ref = {"ref": "boat_obj"}
    assert await world.send("my_car_obj", "addParent", ref)
    assert await world.parents("my_car_obj") == ["car_obj", "boat_obj"]
    assert (await world.send("my_car_obj", "wheels"), await world.send("my_car_obj", "sail")) == (
        0, 7,
    )  # fmt: skip
    await world.send("my_car_obj", "setParents", ["boat_obj", {"ref": "car_obj"}])
    assert await world.send("my_car_obj", "wheels") == -1
    await world.send("my_car_obj", "removeParent", "boat_obj")
    assert [one["ref"] for one in await world.send("my_car_obj", "parents")] == ["car_obj"]
    told = await world.do("parents", "my_car_obj", parents=["boat_obj", "car_obj"])
    assert told["parents"] == ["boat_obj", "car_obj"]
    assert told["line"][:2] == ["my_car_obj", "boat_obj"]
    await world.do("parents", "my_car_obj", parents=["boat_obj"], remove=True)
    assert await world.parents("my_car_obj") == ["car_obj"]


async def test_no_object_becomes_its_own_ancestor(world):
    for line in (["my_car_obj"], ["vehicle_obj"], ["traits_obj", "car_obj"]):
        told = await world.refused("INVALID_ARGS", world.send("vehicle_obj", "setParents", line))
        assert "its own ancestor" in told["message"]
    await world.refused("INVALID_ARGS", world.do("parents", "car_obj", parents=["my_car_obj"]))
    await world.refused("INVALID_ARGS", world.send("car_obj", "setParents", ["vehicle_obj"] * 2))
    await world.refused("INVALID_ARGS", world.send("traits_obj", "addParent", "vehicle_obj"))
    await world.refused("NOT_FOUND", world.send("car_obj", "addParent", "nobody_obj"))
    await world.refused("NOT_FOUND", world.send("car_obj", "removeParent", "my_car_obj"))
    assert await world.parents("car_obj") == ["vehicle_obj"]


async def test_a_slot_cannot_stand_for_what_a_message_does(world):
    for name, message in (("parents", "setParents"), ("parent", "addParent")):
        told = await world.refused("INVALID_ARGS", world.send("car_obj", "setSlot", name, 1))
        assert message in told["message"]
    assert await world.send("car_obj", "setSlot", "name", "Herbie") == "Herbie", "a person's word"
    for name in ("delete", "derive", "addParent"):
        with pytest.raises(RemoteError, match="cannot replace"):
            await world.send("car_obj", "setSlot", name, 1)
        with pytest.raises(RemoteError, match="cannot be replaced"):
            await world.teach("car_obj", f"def {name}(self):\n    return 1\n")


async def test_a_renamed_object_is_found_and_referred_to_under_its_new_name(world):
    await world.teach("car_obj", CAR_WHEELS)
    await world.set("genesis_obj", ours={"ref": "car_obj"})
    then = await world.now()
    told = await world.do("rename", "car_obj", name="auto_obj")
    assert told["object"] == "auto_obj"
    await world.refused("NOT_FOUND", world.send("car_obj", "wheels"))
    assert await world.send("my_car_obj", "wheels") == 4
    assert (await world.send("genesis_obj", "ours"))["ref"] == "auto_obj"
    assert await world.parents("my_car_obj") == ["auto_obj"]
    skills = (await world.do("find", text="wheels", limit=10))["skills"]
    assert {one["object"] for one in skills if one["selector"] == "wheels"} == {
        "vehicle_obj", "auto_obj",
    }  # fmt: skip
    assert await world.send("car_obj", "wheels", at=then) == 4
    diff = await world.do("diff", a=then)
    rows = [(row["object"], row["what"], row.get("was")) for row in diff["objects"]]
    assert rows == [("auto_obj", "renamed", "car_obj")]
    assert diff["methods"] == []
    await world.do("undo", transaction=told["transaction"])
    assert await world.send("car_obj", "wheels") == 4
    await world.refused("INVALID_ARGS", world.do("rename", "car_obj", name="my_car_obj"))
    await world.refused("INVALID_ARGS", world.do("rename", "car_obj", name="a b"))
    for name in ("genesis_obj", "traits_obj", "robin_obj"):
        await world.refused("INVALID_ARGS", world.do("rename", name, name="mine_obj"))
        await world.refused("INVALID_ARGS", world.do("delete", name, force=True))


async def test_delete_is_refused_while_something_refers_to_the_object(world):
    await world.set("genesis_obj", garage=[1, {"ours": {"ref": "car_obj"}}])
    told = await world.refused("INVALID_ARGS", world.do("delete", "car_obj"))
    assert sorted(told["details"]["referrers"]) == ["genesis_obj.garage", "my_car_obj (its child)"]
    await world.refused("INVALID_ARGS", world.send("car_obj", "delete"))
    assert await world.send("car_obj", "price") == 120
    assert (await world.do("delete", "my_car_obj"))["referrers"] == []
    await world.refused("NOT_FOUND", world.do("inspect", "my_car_obj"))


async def test_a_forced_deletion_leaves_no_reference_and_is_undone_whole(world):
    await world.teach("car_obj", CAR_WHEELS)
    await world.set("genesis_obj", garage=[1, {"ours": {"ref": "car_obj"}}])
    then = await world.now()
    gone = await world.do("delete", "car_obj", force=True)
    assert sorted(gone["referrers"]) == ["genesis_obj.garage", "my_car_obj (its child)"]
    await world.refused("NOT_FOUND", world.send("car_obj", "wheels"))
    assert await world.send("genesis_obj", "garage") == [1, {"ours": None}]
    assert await world.parents("my_car_obj") == ["vehicle_obj"]
    assert await world.send("my_car_obj", "wheels") == 0
    assert await world.send("my_car_obj", "wheels", at=then) == 4
    assert "car_obj" not in [row["name"] for row in (await world.do("list"))["objects"]]
    found = (await world.do("find", text="wheels", limit=10))["skills"]
    assert [one["object"] for one in found if one["selector"] == "wheels"] == ["vehicle_obj"]
    rows = {row["object"]: row for row in (await world.do("diff", a=then))["objects"]}
    assert set(rows) == {"car_obj", "genesis_obj", "my_car_obj"}
    assert rows["car_obj"]["what"] == "gone"
    assert rows["my_car_obj"]["parents"] == [["car_obj"], ["vehicle_obj"]]
    assert (await world.do("verify"))["damaged"] == []

    back = await world.do("undo", transaction=gone["transaction"])
    assert set(back["objects"]) == {"car_obj", "genesis_obj", "my_car_obj"}
    assert await world.send("my_car_obj", "wheels") == 4
    assert (await world.send("genesis_obj", "garage"))[1]["ours"]["ref"] == "car_obj"
    found = (await world.do("find", text="wheels", limit=10))["skills"]
    holders = {one["object"] for one in found if one["selector"] == "wheels"}
    assert holders == {"vehicle_obj", "car_obj"}
    assert (await world.do("diff", a=then))["objects"] == []
    await world.do("undo", transaction=back["transaction"])
    await world.refused("NOT_FOUND", world.send("car_obj", "wheels"))
    assert await world.send("my_car_obj", "wheels") == 0


async def test_undo_of_a_new_object_deletes_it_while_it_is_new(world):
    made = await world.do("derive", "car_obj", name="new_obj")
    await world.do("undo", transaction=made["transaction"])
    await world.refused("NOT_FOUND", world.do("inspect", "new_obj"))
    made = await world.do("derive", "car_obj", name="new_obj")
    await world.set("new_obj", note="mine")
    await world.refused("CONFLICT", world.do("undo", transaction=made["transaction"]))
    assert await world.send("new_obj", "note") == "mine"
    await world.refused("INVALID_ARGS", world.do("undo", transaction="0" * 16))


async def test_an_exported_child_comes_back_below_its_parents(world):
    await world.teach("my_car_obj", MY_WHEELS)
    text = (await world.do("export", "my_car_obj"))["text"]
    await world.do("delete", "my_car_obj")
    await world.do("import", text=text, **{"as": "second_obj"})
    assert await world.parents("second_obj") == ["car_obj"]
    assert (await world.send("second_obj", "wheels"), await world.send("second_obj", "price")) == (
        3, 120,
    )  # fmt: skip


async def test_an_inherited_method_is_exported_from_who_has_it(world):
    told = await world.refused(
        "NOT_FOUND", world.client.request("export", target="my_car_obj", selector="wheels")
    )
    assert told["message"].endswith("vehicle_obj has it: name vehicle_obj.wheels")
    told = await world.refused(
        "NOT_FOUND", world.client.request("export", target="my_car_obj", selector="flies")
    )
    assert told["message"] == "my_car_obj has no learned method 'flies'"


async def test_a_method_that_waits_for_a_yes_still_does_once_its_deletion_is_undone(tmp_path):
    running = ThinkingKernel(tmp_path / "home")
    running.options = {"approve": True}
    async with running, running.client() as client:
        running.gate.set()
        world = World(client)
        await world.send("genesis_obj", "derive", "new_obj")
        await world.refused("APPROVAL_WANTED", world.send("new_obj", "give_seven"))
        (before,) = (await world.do("approve"))["waiting"]
        await world.set("genesis_obj", holds={"ref": "new_obj"})
        gone = await world.do("delete", "new_obj", force=True)
        assert (await world.do("approve"))["waiting"] == []
        await world.do("undo", transaction=gone["transaction"])
        assert (await world.do("approve"))["waiting"] == [before]
        await client.request("approve", target="new_obj", selector="give_seven")
        assert await world.send("new_obj", "give_seven") == 7


async def test_an_unfinished_request_keeps_its_receiver(tmp_path):
    async with (
        ThinkingKernel(tmp_path / "home") as running,
        running.client() as client,
        running.client() as other,
    ):
        world = World(other)
        await world.send("genesis_obj", "derive", "busy_obj")
        brief = {"target": "busy_obj", "selector": "slow_one", "body": {"text": "Give one."}}
        accepted = asyncio.Event()
        asked = asyncio.create_task(
            client.request("brief", **brief, on_event=lambda kind, event: accepted.set())
        )
        await accepted.wait()
        told = await world.refused("INVALID_ARGS", world.do("delete", "busy_obj"))
        assert told["details"]["referrers"][0].startswith("request ")
        await world.refused("INVALID_ARGS", world.do("rename", "busy_obj", name="idle_obj"))
        running.gate.set()
        await asked


async def test_an_object_without_a_name_is_called_by_a_word_and_a_number(world):
    made = await world.send("car_obj", "clone")
    child = await world.do("derive", made["oid"], name="small_car_obj")
    (called,) = child["parents"]
    assert called == f"object_{int(made['oid'], 16)}"
    assert called in (await world.do("inspect", "small_car_obj"))["line"]
    assert (await world.do("inspect", called))["oid"] == made["oid"]
    assert await world.send(called, "wheels") == 0
    with pytest.raises(RemoteError, match="no object"):
        await world.do("inspect", "object_99999999999999999999")
