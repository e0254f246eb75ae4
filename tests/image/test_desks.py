"""bat_os.image.desks: whose a mission is, and how it changes hands. Two kernels, one image."""

import asyncio
import threading

import pytest

from bat_os.core.brief import Brief
from bat_os.core.mission import BriefAccepted, MissionFailed
from bat_os.core.personas import PERSONAS
from bat_os.errors import ConflictError, FencedError
from bat_os.image import desks, missions
from bat_os.image.awakening import awaken
from bat_os.image.store import ImageStore

BRIEF = Brief("genesis_obj", "double", (2,))
ABOUT = {"session": "s", "accepted": 100.0}


def act_as(kernel, work):
    """Return ``work`` as this kernel does it: what its own database would say."""

    def acting(root):
        database = root._p_jar.db()
        with acting.lock:
            database.kernel = kernel
            return work(root)

    acting.lock = LOCK
    return acting


LOCK = threading.RLock()


@pytest.fixture
async def image():
    store = ImageStore.in_memory()

    def wake(root):
        awaken(root, image_id="i", created=1.0, personas=PERSONAS, primitives=["clone"])

    await store.transact(wake, note="awaken")
    yield store
    await store.close()


async def do(image, kernel, work):
    return await image.transact(act_as(kernel, work), note="do")


def open_one(root, mission_id="m1"):
    return missions.open_brief(root, BRIEF, mission_id=mission_id, key=mission_id, about=ABOUT)


def begin(root, mission_id="m1"):
    missions.write(
        root, mission_id, missions.read(root, mission_id).mission.advance(BriefAccepted())
    )


def end(root, mission_id="m1"):
    over = missions.read(root, mission_id).mission.advance(MissionFailed("X", "x"))
    missions.write(root, mission_id, over, {"type": "error", "body": {}})


async def test_a_mission_is_its_owners_alone_until_that_is_dead(image):
    record = await do(image, "a", open_one)
    assert record.owner == "a"
    with pytest.raises(FencedError):
        await do(image, "b", begin)
    await do(image, "a", begin)
    assert await do(image, "b", lambda root: desks.take_over(root, "a")) == ["m1"]
    with pytest.raises(FencedError):
        await do(image, "a", end)
    slots = await image.transact(lambda root: missions.stored(root, "m1").slots, note="look")
    assert (slots["owner"], slots["epoch"], slots["attempts"]) == ("b", 1, 0)
    await do(image, "b", end)
    assert (await do(image, "b", desks.look)).counts == {"a": 0, "b": 0}


async def test_a_lone_kernel_notes_no_owner(image):
    assert (await image.transact(open_one, note="open")).owner == ""
    slots = await image.transact(lambda root: missions.stored(root, "m1").slots, note="look")
    assert "owner" not in slots


async def test_what_a_lone_kernel_left_is_taken_over_by_one_of_several_and_back(image):
    await do(image, "", open_one)
    assert await do(image, "a", lambda root: desks.take_over(root, "")) == ["m1"]
    with pytest.raises(FencedError):
        await do(image, "", begin)
    assert await do(image, "", lambda root: desks.take_over(root, "a")) == ["m1"]
    await do(image, "", begin)


def ask_again(root):
    return missions.open_brief(root, BRIEF, mission_id="m2", key="m1", about=ABOUT)


async def test_one_key_at_two_kernels_is_one_mission(image):
    await do(image, "a", open_one)
    again = await do(image, "b", ask_again)
    assert (again.id, again.owner) == ("m1", "a")


async def test_the_key_that_a_lone_kernel_got_leads_to_its_mission_at_each_of_several(image):
    await do(image, "", open_one)
    assert (await do(image, "b", ask_again)).id == "m1"  # the desk is still that of the lone one
    await do(image, "a", lambda root: desks.take_over(root, ""))
    assert (await do(image, "b", ask_again)).owner == "a"
    assert await do(image, "b", lambda root: list(root["unfinished"][""])) == [""]
    await do(image, "a", end)
    assert (await do(image, "b", ask_again)).id == "m1"
    await do(image, "", ask_again)
    assert await do(image, "", missions.unfinished) == []


async def test_what_ends_does_not_get_in_the_way_of_what_is_accepted_meanwhile(image):
    """The one that ends is the first on the desk, and the only one."""
    await image.transact(open_one, note="open")
    tries = []

    def end_meanwhile(root):
        tries.append(end(root))
        if len(tries) == 1:  # another thread commits before this one does
            one = asyncio.run_coroutine_threadsafe(
                image.transact(lambda root: open_one(root, "m2"), note="open"), loop
            )
            one.result(30)

    loop = asyncio.get_running_loop()
    await image.transact(end_meanwhile, note="end")
    assert len(tries) == 1
    assert await image.transact(missions.unfinished, note="look") == ["m2"]


async def test_errands_come_along_and_are_not_run_by_themselves(image):
    await do(image, "a", open_one)
    await do(image, "a", lambda root: open_one(root, "m1.0"))
    assert await do(image, "b", lambda root: desks.take_over(root, "a")) == ["m1"]
    assert (await do(image, "b", desks.look)).own == ("m1",)
    await do(image, "b", lambda root: end(root, "m1.0"))
    await do(image, "b", end)


async def test_a_kernel_takes_nothing_over_from_itself(image):
    await do(image, "a", open_one)
    assert await do(image, "a", lambda root: desks.take_over(root, "a")) == []
    assert await do(image, "a", lambda root: desks.take_over(root, "nobody")) == []
    assert (await do(image, "a", desks.look)).own == ("m1",)


async def test_another_kernel_withdraws_a_mission_and_its_owner_sees_that(image):
    await do(image, "a", open_one)
    assert not await do(image, "a", lambda root: desks.withdraw(root, "m1"))
    assert await do(image, "b", lambda root: desks.withdraw(root, "m1"))
    assert (await do(image, "a", desks.look)).withdrawn == {"m1"}
    assert (await do(image, "b", desks.look)).withdrawn == frozenset()
    await do(image, "a", end)
    assert not await do(image, "b", lambda root: desks.withdraw(root, "m1"))
    await do(image, "a", lambda root: desks.resume(root, "m1"))
    assert (await do(image, "a", desks.look)).withdrawn == frozenset()


# --- a late write against a claim ---


@pytest.fixture
async def two():
    """Two databases over one storage: kernels a and b, as on a storage server."""
    store = ImageStore.in_memory()

    def wake(root):
        awaken(root, image_id="i", created=1.0, personas=PERSONAS, primitives=["clone"])

    await store.transact(wake, note="awaken")
    yield store
    await store.close()


async def race(store, first, then):
    """Run the kernels' work so that both have read before either commits; return what each gave."""
    met, waits = threading.Barrier(2), {"a": True, "b": True}

    def meeting(kernel, work):
        def run(root):
            with LOCK:
                root._p_jar.db().kernel = kernel
                given = work(root)
            if waits[kernel]:  # a run after a conflict waits for nobody
                waits[kernel] = False
                met.wait()
            return given

        return run

    return await asyncio.gather(
        store.transact(meeting("a", first), note="first"),
        store.transact(meeting("b", then), note="then"),
        return_exceptions=True,
    )


@pytest.mark.parametrize("number", range(12))
async def test_of_a_write_and_a_claim_at_once_one_sees_the_other(two, number):
    mission_id = f"m{number}"
    await do(two, "a", lambda root: open_one(root, mission_id))
    wrote, taken = await race(
        two, lambda root: begin(root, mission_id), lambda root: desks.take_over(root, "a")
    )
    assert taken == [mission_id]
    assert wrote is None or isinstance(wrote, FencedError)
    events = await two.transact(
        lambda root: len(missions.read(root, mission_id).mission.events), note="look"
    )
    assert events == (1 if wrote is None else 0)  # what was written is there, else nothing
    with pytest.raises(FencedError):
        await do(two, "a", lambda root: end(root, mission_id))
    await do(two, "b", lambda root: end(root, mission_id))


@pytest.mark.parametrize("filled", [0, 1, 29, 30, 31, 200])
async def test_what_is_accepted_while_the_desk_is_taken_is_on_one_desk(two, filled):
    def fill(root):
        for number in range(filled):
            open_one(root, f"m{number:03}")

    await do(two, "a", fill)
    stored, taken = await race(
        two, lambda root: open_one(root, "new"), lambda root: desks.take_over(root, "a")
    )
    assert isinstance(stored, missions.Record | ConflictError)
    there = await two.transact(missions.unfinished, note="look")
    assert len(there) == len(set(there)) == filled + (not isinstance(stored, ConflictError))
    assert len(taken) in (filled, filled + 1)
