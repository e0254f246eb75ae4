"""bat_os.kernel.missions.scheduler: missions start, wait, are withdrawn and resumed."""

import asyncio
import errno
import os
import threading
from dataclasses import replace

import pytest

from bat_os.core.mission import State
from bat_os.errors import BusyError, ShuttingDownError, StorageError
from bat_os.image import desks, missions
from bat_os.image.allowlist import CheckingConnection
from bat_os.image.objects import find
from bat_os.kernel.missions.ledger import Ledger
from bat_os.kernel.missions.scheduler import MAX_PER_SESSION, MAX_QUEUED, RUNNING, Scheduler
from tests.kernel.minds import make_mind, open_mission, read, script

DOUBLE = " return number * 2"


pytestmark = pytest.mark.asyncio(loop_scope="module")


class HeldImage:
    """A real image whose transaction with a certain note waits inside until it is let go."""

    def __init__(self, image, note):
        self.image, self.note = image, note
        self.inside, self.go = threading.Event(), threading.Event()

    async def transact(self, work, *, note, mission=""):
        def held(root):
            if note == self.note:
                self.inside.set()
                self.go.wait(10)
            return work(root)

        return await self.image.transact(held, note=note, mission=mission)

    async def read(self, key, work, *, note):
        return await self.transact(work, note=note)

    async def until_inside(self):
        assert await asyncio.to_thread(self.inside.wait, 10)


@pytest.fixture
async def scheduler_of(image, cell):
    """Return a function that makes an open scheduler; all are closed in the end."""
    made = []

    def make(answers=(), *, on=None, gate=None, is_open=True, **options):
        mind = make_mind(on or image, cell, answers, gate=gate, **options)
        scheduler = Scheduler(mind, lambda event: None)
        made.append(scheduler)
        if is_open:
            scheduler.open()
        return scheduler

    yield make
    for scheduler in made:
        await scheduler.close()


async def start(scheduler, image, selector, *args, **fields):
    mission_id = await open_mission(image, selector, *args, **fields)
    scheduler.start(await read(image, mission_id))
    return mission_id


async def selectors(image):
    return await image.transact(lambda root: set(find(root, "genesis_obj").slots), note="look")


async def unfinished(image):
    return await image.transact(missions.unfinished, note="look")


async def test_a_mission_runs_to_its_answer_and_its_listener_hears_of_it(image, scheduler_of):
    scheduler, heard = scheduler_of(script(DOUBLE)), []
    mission_id = await start(scheduler, image, "double", 2)
    answer = await scheduler.result(mission_id, heard.append)
    assert answer["body"]["result"] == 4
    assert [notice["state"] for notice in heard][-1] == "complete"
    assert heard[-1]["seq"] == 5
    assert scheduler.queued == 0
    assert await scheduler.result(mission_id) == answer


async def test_a_mission_over_its_time_fails_with_the_reason(image, scheduler_of):
    gate = asyncio.Event()
    scheduler = scheduler_of(script(DOUBLE), gate=gate, mission_seconds=0.05)
    mission_id = await start(scheduler, image, "double", 2)
    answer = await scheduler.result(mission_id)
    assert answer["body"]["code"] == "DEADLINE"
    assert await unfinished(image) == []


async def test_a_withdrawn_mission_ends_while_the_model_thinks(image, scheduler_of):
    scheduler = scheduler_of(script(DOUBLE), gate=asyncio.Event())
    mission_id = await start(scheduler, image, "double", 2)
    heard = asyncio.Event()
    asking = asyncio.ensure_future(scheduler.result(mission_id, lambda notice: heard.set()))
    await heard.wait()
    assert scheduler.cancel(mission_id)
    answer = await asking
    assert (answer["type"], answer["body"]["code"]) == ("error", "CANCELLED")
    assert answer["body"]["message"] == "cancelled by the asker"
    assert (await read(image, mission_id)).mission.state is State.FAILED
    assert not scheduler.cancel(mission_id)
    assert "double" not in await selectors(image)


async def test_a_mission_that_waits_can_be_withdrawn(image, scheduler_of):
    scheduler = scheduler_of(script(DOUBLE), is_open=False)
    mission_id = await start(scheduler, image, "double", 2)
    asking = asyncio.ensure_future(scheduler.result(mission_id))
    await asyncio.sleep(0)
    assert scheduler.cancel(mission_id)
    assert (await asking)["body"]["code"] == "CANCELLED"
    mission_id = await start(scheduler, image, "triple", 2)
    assert scheduler.cancel(mission_id)  # before its task has had its first step
    assert (await scheduler.result(mission_id))["body"]["code"] == "CANCELLED"


async def test_what_is_being_committed_when_a_mission_is_withdrawn_counts(image, scheduler_of):
    held = HeldImage(image, "genesis_obj double")
    scheduler = scheduler_of(script(DOUBLE), on=held)
    mission_id = await start(scheduler, image, "double", 2)
    asking = asyncio.ensure_future(scheduler.result(mission_id))
    await held.until_inside()
    assert scheduler.cancel(mission_id)
    held.go.set()
    answer = await asking
    record = await read(image, mission_id)
    assert (answer["type"], record.mission.state) == ("result", State.COMPLETE)
    assert "double" in await selectors(image)
    assert await unfinished(image) == []


@pytest.mark.parametrize("state", ["decomposing", "delegating", "synthesizing", "validating"])
async def test_a_mission_withdrawn_during_a_transition_ends_once(image, scheduler_of, state):
    held = HeldImage(image, f"mission {state}")
    scheduler = scheduler_of(script(DOUBLE), on=held)
    mission_id = await start(scheduler, image, "double", 2)
    asking = asyncio.ensure_future(scheduler.result(mission_id))
    await held.until_inside()
    assert scheduler.cancel(mission_id)
    held.go.set()
    answer = await asking
    record = await read(image, mission_id)
    assert (answer["body"]["code"], record.mission.state) == ("CANCELLED", State.FAILED)
    assert await unfinished(image) == []


@pytest.mark.parametrize("note", ["mission delegating", "genesis_obj double"])
async def test_a_deadline_during_a_commit_ends_the_mission_once(image, scheduler_of, note):
    held = HeldImage(image, note)
    scheduler = scheduler_of(script(DOUBLE), on=held, mission_seconds=2)
    mission_id = await start(scheduler, image, "double", 2)
    asking = asyncio.ensure_future(scheduler.result(mission_id))
    await held.until_inside()
    await asyncio.to_thread(held.go.wait, 2.2)  # the deadline passes in here
    held.go.set()
    answer = await asking
    record = await read(image, mission_id)
    assert record.answer == answer
    assert (answer["type"] == "result") == ("double" in await selectors(image))
    assert await unfinished(image) == []


async def test_a_kernel_that_goes_down_in_order_leaves_its_missions_to_the_next(
    image, scheduler_of
):
    gate = asyncio.Event()
    mission_id = await open_mission(image, "double", 2)
    for _ in range(2 * desks.MAX_ATTEMPTS):
        scheduler = scheduler_of(script(DOUBLE), gate=gate)
        assert await scheduler.resume() == 1
        heard = asyncio.Event()
        asking = asyncio.ensure_future(scheduler.result(mission_id, lambda _, h=heard: h.set()))
        if not (await read(image, mission_id)).mission.events:
            await heard.wait()
        await scheduler.close()
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert await unfinished(image) == [mission_id]
    gate.set()
    scheduler = scheduler_of(script(DOUBLE))
    await scheduler.resume()
    assert (await scheduler.result(mission_id))["body"]["result"] == 4


async def test_a_mission_that_kernels_die_of_is_given_up_and_those_that_waited_go_on(
    image, scheduler_of
):
    poison = await open_mission(image, "double", 2, key="a")
    waiting = await open_mission(image, "triple", 2, key="b")
    for _ in range(desks.MAX_ATTEMPTS):
        await image.transact(lambda root: desks.take_up(root, poison), note="take up")
    scheduler = scheduler_of(script(DOUBLE))
    assert await scheduler.resume() == 2
    answer = await scheduler.result(poison)
    assert answer["body"]["code"] == "CANCELLED"
    assert "kernel crashes" in answer["body"]["message"]
    assert (await scheduler.result(waiting))["body"]["result"] == 4


async def test_a_record_that_cannot_be_read_does_not_keep_the_others_from_running(
    image, scheduler_of, caplog
):
    bad = await open_mission(image, "double", 2, key="a")
    good = await open_mission(image, "double", 2, key="b")

    def spoil(root):
        missions.stored(root, bad).slots["record"] = {"events": 7}
        missions.stored(root, bad)._p_changed = True

    await image.transact(spoil, note="spoil")
    scheduler = scheduler_of(script(DOUBLE))
    await scheduler.resume()
    assert (await scheduler.result(good))["body"]["result"] == 4
    assert f"mission {bad} is left alone" in caplog.text


async def test_nothing_starts_once_the_kernel_goes_down(image, scheduler_of):
    scheduler = scheduler_of(script(DOUBLE))
    await scheduler.close()
    mission_id = await open_mission(image, "double", 2)
    with pytest.raises(ShuttingDownError):
        scheduler.start(await read(image, mission_id))
    with pytest.raises(ShuttingDownError), scheduler.room("s"):
        pass
    assert await unfinished(image) == [mission_id]


async def test_places_are_held_from_the_first_moment(scheduler_of):
    import contextlib

    scheduler = scheduler_of(is_open=False)
    with contextlib.ExitStack() as held:
        for _ in range(MAX_PER_SESSION):
            held.enter_context(scheduler.room("one"))
        with pytest.raises(BusyError, match="of this session"), scheduler.room("one"):
            pass
        for number in range(MAX_QUEUED - MAX_PER_SESSION):
            held.enter_context(scheduler.room(f"s{number}"))
        with pytest.raises(BusyError, match="briefs are waiting"), scheduler.room("other"):
            pass
    with scheduler.room("one"):
        pass


async def test_a_fault_of_ours_fails_one_mission_and_no_other(image, scheduler_of, caplog):
    def answers(prompt, sampling, _index):
        if sampling.schema is not None:
            return '{"queries": ["x"]}'
        if "breaks" in prompt.prefill:
            raise ZeroDivisionError
        return " return 7"

    scheduler = scheduler_of(answers)
    ids = [await start(scheduler, image, name, key=name) for name in ("breaks", "works")]
    bad, good = await asyncio.gather(*map(scheduler.result, ids))
    assert (bad["body"]["code"], good["body"]["result"]) == ("INTERNAL", 7)
    assert "internal error" in bad["body"]["message"]
    assert "ZeroDivisionError" in caplog.text


@pytest.fixture
def unwritable(monkeypatch):
    """Return a list: a commit whose note stands in it fails, and takes it out."""
    left, vote = [], CheckingConnection.tpc_vote

    def fail(self, transaction):
        if transaction.description in left:
            left.remove(transaction.description)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return vote(self, transaction)

    monkeypatch.setattr(CheckingConnection, "tpc_vote", fail)
    return left


async def test_a_mission_goes_on_where_it_stood_when_the_image_can_be_used_again(
    image, scheduler_of, unwritable
):
    """A server of the image that is away again and again must not have it begin anew each time."""
    unwritable += ["mission delegating", "mission validating"]
    scheduler = scheduler_of(script(DOUBLE))
    mission_id = await start(scheduler, image, "double", 2)
    for state in (State.DECOMPOSING, State.SYNTHESIZING):
        with pytest.raises(StorageError):
            await scheduler.result(mission_id)
        assert (await read(image, mission_id)).mission.state is state
        await scheduler.resume()
    assert (await scheduler.result(mission_id))["body"]["result"] == 4


async def test_a_mission_that_stops_over_the_image_each_time_fails(
    image, scheduler_of, unwritable, monkeypatch
):
    monkeypatch.setattr("bat_os.kernel.missions.scheduler.MAX_STOPS", 1)
    unwritable += ["mission delegating"] * 2
    scheduler = scheduler_of(script(DOUBLE))
    mission_id = await start(scheduler, image, "double", 2)
    with pytest.raises(StorageError):
        await scheduler.result(mission_id)
    await scheduler.resume()
    told = await scheduler.result(mission_id)
    assert (told["body"]["code"], told["body"]["retryable"]) == ("STORAGE_ERROR", True)


async def test_a_mission_without_memory_may_be_asked_for_again(image, scheduler_of):
    def answers(prompt, sampling, _index):
        if sampling.schema is not None:
            return '{"queries": ["x"]}'
        raise MemoryError

    scheduler = scheduler_of(answers)
    told = await scheduler.result(await start(scheduler, image, "large", key="large"))
    assert (told["body"]["code"], told["body"]["retryable"]) == ("BUSY", True)
    assert "no memory left" in told["body"]["message"]


async def test_the_missions_of_a_session_with_one_come_before_the_many_of_another(
    image, scheduler_of
):
    gate, begun = asyncio.Event(), []
    scheduler = scheduler_of(script(DOUBLE), gate=gate)
    publish = scheduler.feed.publish
    scheduler.feed.publish = lambda told, mission: (
        begun.append(told["brief_id"]) or publish(told, mission)
    )
    many = [await start(scheduler, image, f"double_{n}", 2) for n in range(4 * RUNNING)]
    other = await open_mission(image, "triple", 2, key="other")
    record = await read(image, other)
    scheduler.start(replace(record, session="t"))
    gate.set()
    await asyncio.gather(*map(scheduler.result, (*many, other)))
    order = list(dict.fromkeys(begun))
    assert set(order) == {*many, other}
    assert order.index(other) < 3 * RUNNING  # those that run already, and some of those beside it


async def test_several_missions_think_side_by_side(image, scheduler_of):
    gate, heard, all_think = asyncio.Event(), [], asyncio.Event()
    scheduler = scheduler_of(script(DOUBLE), gate=gate)

    def hear(told, mission):
        heard.append(told)
        if sum(one["state"] == "synthesizing" for one in heard) == RUNNING:
            all_think.set()
        return publish(told, mission)

    publish, scheduler.feed.publish = scheduler.feed.publish, hear
    ids = [await start(scheduler, image, f"double_{n}", 2) for n in range(RUNNING + 1)]
    await all_think.wait()
    assert "validating" not in {told["state"] for told in heard}  # all wait for the model
    assert len({told["brief_id"] for told in heard}) == RUNNING
    gate.set()
    await asyncio.gather(*map(scheduler.result, ids))
    assert len({told["brief_id"] for told in heard if told["state"] == "complete"}) == len(ids)


async def counted(image, *ids):
    """Count an attempt of each, as the kernel did that ran them again."""
    for mission_id in ids:
        await image.transact(lambda root, one=mission_id: desks.take_up(root, one), note="count")


async def attempts(image, mission_id):
    return (await read(image, mission_id)).attempts


async def test_a_death_from_outside_counts_for_no_mission_that_ran(image, scheduler_of, tmp_path):
    mission_id = await open_mission(image, "double", 2)
    for _ in range(2 * desks.MAX_ATTEMPTS):
        scheduler = scheduler_of(script(DOUBLE), gate=asyncio.Event())
        scheduler.ledger = Ledger(tmp_path / "missions.json", may_be_theirs=False)
        heard = asyncio.Event()
        await scheduler.resume()
        asking = asyncio.ensure_future(scheduler.result(mission_id, lambda _, h=heard: h.set()))
        while mission_id not in scheduler.ledger.read().ran:  # noqa: ASYNC110 - a file
            await asyncio.sleep(0)
        kept = (tmp_path / "missions.json").read_bytes()
        while not await attempts(image, mission_id):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
        for job in scheduler._jobs.values():  # as after a kill: nothing is put down
            job.task.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        scheduler._counted.clear()
        (tmp_path / "missions.json").write_bytes(kept)
    scheduler = scheduler_of(script(DOUBLE))
    scheduler.ledger = Ledger(tmp_path / "missions.json", may_be_theirs=False)
    await scheduler.resume()
    assert (await scheduler.result(mission_id))["body"]["result"] == 4


async def test_of_missions_that_ran_together_none_is_counted_and_each_runs_alone(
    image, scheduler_of, tmp_path
):
    ids = [await open_mission(image, name, 2, key=name) for name in ("double", "triple", "fourth")]
    await counted(image, *ids[:2])
    ledger = Ledger(tmp_path / "missions.json")
    ledger.write(ids[:2], ids[:2])
    gate = asyncio.Event()
    scheduler = scheduler_of(script(DOUBLE), gate=gate)
    scheduler.ledger, together = ledger, set()
    write = ledger.write
    await scheduler.resume()

    class Watching(Ledger):
        def write(self, ran, known):
            together.add(frozenset(ran))
            write(ran, known)

    scheduler.ledger = Watching(ledger.path)
    gate.set()
    answers = [await scheduler.result(mission_id) for mission_id in ids]
    assert {answer["body"]["result"] for answer in answers} == {4}
    alone = [ran for ran in together if ran & set(ids[:2])]
    assert all(len(ran) == 1 for ran in alone)
    assert [await attempts(image, mission_id) for mission_id in ids[:2]] == [1, 1]


async def test_only_what_ran_alone_at_each_death_is_given_up(image, scheduler_of, tmp_path):
    alone = await open_mission(image, "double", 2, key="a")
    other = await open_mission(image, "triple", 2, key="b")
    for _ in range(desks.MAX_ATTEMPTS):
        await counted(image, alone, other)
    ledger = Ledger(tmp_path / "missions.json")
    ledger.write([alone], [alone, other])  # the other one waited
    scheduler = scheduler_of(script(DOUBLE))
    scheduler.ledger = ledger
    await scheduler.resume()
    answer = await scheduler.result(alone)
    assert answer["body"]["code"] == "CANCELLED"
    assert f"{desks.MAX_ATTEMPTS} kernel crashes" in answer["body"]["message"]
    assert await attempts(image, alone) == desks.MAX_ATTEMPTS
    assert (await scheduler.result(other))["body"]["result"] == 4


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"ran": 7, "counted": [1, "../x", null]}', "[" * 9_000]
)
async def test_a_ledger_that_cannot_be_read_says_nothing(tmp_path, text):
    path = tmp_path / "missions.json"
    path.write_text(text)
    assert (Ledger(path).read().ran, Ledger(path).read().counted) == (frozenset(), frozenset())
    Ledger(path).write({"a1"}, {"a1", "b2"})
    assert Ledger(path).read().ran == {"a1"}
    assert Ledger(path).read().counted == {"a1", "b2"}
