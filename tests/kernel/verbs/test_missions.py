"""bat_os.kernel.verbs.missions, over a whole kernel whose model waits for the test."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from bat_os.errors import RemoteError
from bat_os.image import desks, missions
from bat_os.kernel.missions.feed import notice

pytestmark = pytest.mark.slow
BRIEF = {"target": "genesis_obj", "selector": "double"}


@asynccontextmanager
async def subscribed(thinking, **body):
    """Give (the events that a second client hears, the task that ends with the subscription)."""
    heard: asyncio.Queue = asyncio.Queue()
    async with thinking.client() as kernel:
        before = len(thinking.kernel._scheduler.feed._listening)
        task = asyncio.ensure_future(
            kernel.request(
                "subscribe", timeout=None, id="sub", body=body,
                on_event=lambda _, told: heard.put_nowait(told),
            )
        )  # fmt: skip
        while len(thinking.kernel._scheduler.feed._listening) == before and not task.done():
            await ask(thinking, "ping")
        yield heard, task
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def ask(thinking, kind, **fields):
    async with thinking.client() as kernel:
        return await kernel.request(kind, timeout=60, **fields)


async def test_one_who_subscribes_hears_of_missions_that_others_asked_for(thinking):
    thinking.gate.set()
    async with subscribed(thinking) as (heard, _):
        result = await ask(thinking, "brief", **BRIEF, args=[4])
        told = [await heard.get() for _ in range(5)]
    assert [one["seq"] for one in told] == [1, 2, 3, 4, 5]
    assert [one["n"] for one in told] == [1, 2, 3, 4, 5]
    assert {one["brief_id"] for one in told} == {result["brief_id"]}
    assert told[-1]["state"] == "complete"


async def test_a_subscription_to_one_brief_goes_on_after_a_number_and_ends_with_the_brief(thinking):
    thinking.gate.set()
    brief_id = (await ask(thinking, "brief", **BRIEF, args=[4]))["brief_id"]
    async with subscribed(thinking, brief_id=brief_id, after_seq=3) as (heard, task):
        ended = await task
        told = [heard.get_nowait() for _ in range(heard.qsize())]
    assert ended["ended"] == "complete"
    assert [one["seq"] for one in told] == [4, 5]


async def test_the_events_of_a_brief_can_be_read_from_a_number_on(thinking):
    thinking.gate.set()
    brief_id = (await ask(thinking, "brief", **BRIEF, args=[4]))["brief_id"]
    got = await ask(thinking, "brief.get", body={"brief_id": brief_id, "after_seq": 3})
    assert [one["state"] for one in got["events"]] == ["validating", "complete"]
    assert "events" not in await ask(thinking, "brief.get", body={"brief_id": brief_id})


async def test_a_subscription_ends_when_it_is_told_to_and_not_by_another_session(thinking):
    async with subscribed(thinking) as (_, task):
        assert not (await ask(thinking, "unsubscribe", body={"id": "sub"}))["unsubscribed"]
        (session, _), *_ = thinking.kernel._scheduler.feed._listening
        done = await ask(thinking, "unsubscribe", body={"id": "sub"}, session=session)
        assert done["unsubscribed"]
        assert (await task)["ended"] == "unsubscribed"


async def test_a_subscription_has_a_time_of_its_own(thinking):
    async with thinking.client() as kernel:
        with pytest.raises(RemoteError) as caught:
            await kernel.request("subscribe", timeout=60, ttl_ms=20)
    assert caught.value.body["code"] == "DEADLINE"
    assert thinking.kernel._scheduler.feed._listening == {}


async def test_a_subscriber_that_is_gone_costs_nothing_after_the_next_event(thinking):
    feed = thinking.kernel._scheduler.feed
    async with subscribed(thinking):
        assert len(feed._listening) == 1
    thinking.gate.set()
    while feed._listening:
        body = await ask(thinking, "brief", **BRIEF, args=[feed.number])
        assert body["result"] == 2 * body["args"][0]


async def test_missions_are_listed_newest_first_page_by_page(thinking):
    thinking.gate.set()
    ids = [(await ask(thinking, "brief", **BRIEF, args=[n]))["brief_id"] for n in range(5)]
    first = await ask(thinking, "missions", body={"limit": 3})
    rest = await ask(thinking, "missions", body={"limit": 3, "before": first["before"]})
    listed = [one["brief_id"] for one in (*first["missions"], *rest["missions"])]
    assert sorted(listed) == sorted(ids)
    assert listed == sorted(ids, reverse=True)
    assert rest["before"] == ""


async def test_missions_are_listed_by_state_and_a_damaged_one_is_named(thinking):
    asking = asyncio.ensure_future(ask(thinking, "brief", **BRIEF, args=[1], ik="k"))
    while not (running := (await ask(thinking, "missions", body={"state": "running"}))["missions"]):
        pass
    assert (running[0]["selector"], running[0]["problem"]) == ("double", "")
    await ask(thinking, "cancel", ik="k")
    with pytest.raises(RemoteError):
        await asking
    (failed,) = (await ask(thinking, "missions", body={"state": "failed"}))["missions"]
    assert failed["problem"] == "cancelled by the asker"
    assert (await ask(thinking, "missions", body={"state": "running"}))["missions"] == []

    def spoil(root):
        root["missions"][failed["brief_id"]].slots["record"] = 7
        root["missions"][failed["brief_id"]]._p_changed = True

    await thinking.mind.image.transact(spoil, note="spoil")
    assert [one["state"] for one in (await ask(thinking, "missions"))["missions"]] == ["damaged"]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("missions", {"limit": 0}),
        ("missions", {"limit": 201}),
        ("missions", {"limit": "x"}),
        ("missions", {"state": "asleep"}),
        ("missions", {"state": []}),
        ("missions", {"before": 7}),
        ("subscribe", {"after": -1}),
        ("subscribe", {"after": True}),
        ("subscribe", {"after_seq": 1.5}),
        ("brief.get", {"after_seq": "1"}),
        ("unsubscribe", {}),
    ],
)
async def test_a_body_that_cannot_be_used_is_refused(thinking, kind, body):
    with pytest.raises(RemoteError) as caught:
        await ask(thinking, kind, body=body)
    assert caught.value.body["code"] == "INVALID_ARGS"


async def test_a_subscription_to_a_brief_that_is_none_is_refused(thinking):
    with pytest.raises(RemoteError) as caught:
        await ask(thinking, "subscribe", body={"brief_id": "nobody"})
    assert caught.value.body["code"] == "NOT_FOUND"


async def test_a_failure_that_may_pass_is_tried_again_under_its_key(thinking):
    thinking.gate.set()
    wish = BRIEF | {"selector": "never_works", "ik": "k"}
    with pytest.raises(RemoteError) as caught:
        await ask(thinking, "send", **wish)
    first = caught.value.body
    assert first["retryable"]
    with pytest.raises(RemoteError) as caught:
        await ask(thinking, "send", **wish)
    assert caught.value.body["brief_id"] != first["brief_id"]
    told = await ask(thinking, "brief.get", body={"brief_id": first["brief_id"]})
    assert told["answer"]["body"]["code"] == first["code"]


async def test_a_failure_that_will_not_pass_stays_the_answer_of_its_key(thinking):
    asking = asyncio.ensure_future(ask(thinking, "brief", **BRIEF, args=[1], ik="k"))
    while not (await ask(thinking, "missions"))["missions"]:
        pass
    while not (await ask(thinking, "cancel", ik="k"))["cancelled"]:
        pass
    with pytest.raises(RemoteError) as caught:
        await asking
    with pytest.raises(RemoteError) as again:
        await ask(thinking, "brief", **BRIEF, args=[1], ik="k")
    assert again.value.body == caught.value.body


async def test_what_a_kernel_stored_is_told_by_the_next_one(thinking):
    """The image has all events: a feed that has heard none of them tells them all."""
    thinking.gate.set()
    brief_id = (await ask(thinking, "brief", **BRIEF, args=[4]))["brief_id"]
    thinking.kernel._scheduler.feed._kept.clear()  # as after a restart
    async with subscribed(thinking, brief_id=brief_id) as (heard, task):
        await task
        told = [heard.get_nowait() for _ in range(heard.qsize())]
    record = await thinking.mind.image.transact(
        lambda root: missions.read(root, brief_id), note="read"
    )
    assert [one["seq"] for one in told] == [1, 2, 3, 4, 5]
    assert told[-1] == notice(brief_id, record.mission, {})


async def failed(thinking):
    """Cancel a mission while its model writes; return its id."""
    async with thinking.client() as kernel:
        task = asyncio.ensure_future(kernel.request("brief", timeout=60, **BRIEF, args=[21],
                                                    ik="k"))  # fmt: skip
        while True:
            listed = (await ask(thinking, "missions", body={"state": "synthesizing"}))["missions"]
            if listed:
                break
        brief_id = listed[0]["brief_id"]
        await ask(thinking, "cancel", body={"brief_id": brief_id})
        with pytest.raises(RemoteError, match="cancelled"):
            await task
    return brief_id


async def states_of(thinking, brief_id):
    body = {"brief_id": brief_id, "after_seq": 0}
    return [one["state"] for one in (await ask(thinking, "brief.get", body=body))["events"]]


async def test_a_failed_mission_goes_on_in_its_state_and_is_learned_once(thinking):
    brief_id = await failed(thinking)
    thinking.gate.set()
    async with thinking.client() as kernel:
        heard = []
        told = await kernel.request(
            "missions.resume", timeout=60, body={"brief_id": brief_id},
            on_event=lambda _, event: heard.append(event["state"]),
        )  # fmt: skip
    assert (told["result"], told["learned"], told["brief_id"]) == (42, True, brief_id)
    assert heard == ["validating", "complete"]
    assert await states_of(thinking, brief_id) == [
        "decomposing", "delegating", "synthesizing", "failed", "synthesizing", "validating",
        "complete",
    ]  # fmt: skip
    with pytest.raises(RemoteError, match="only a mission that failed can be resumed") as caught:
        await ask(thinking, "missions.resume", body={"brief_id": brief_id})
    assert caught.value.body["code"] == "INVALID_ARGS"
    versions = await ask(thinking, "versions", target="genesis_obj", selector="double")
    assert len(versions["versions"]) == 1
    again = await ask(thinking, "brief", **BRIEF, args=[21], ik="k")  # its key is its own again
    assert again["brief_id"] == brief_id


async def test_of_two_who_resume_a_mission_one_is_refused(thinking):
    brief_id = await failed(thinking)
    both = [
        asyncio.ensure_future(ask(thinking, "missions.resume", body={"brief_id": brief_id}))
        for _ in range(2)
    ]
    done, (left,) = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    with pytest.raises(RemoteError, match="and it is synthesizing"):
        done.pop().result()
    thinking.gate.set()
    assert (await left)["result"] == 42


async def test_a_resumed_mission_is_resumed_by_the_next_kernel_too(thinking):
    brief_id = await failed(thinking)
    mind = thinking.mind

    def resume(root):
        return desks.resume(root, brief_id, more=False).mission.state

    assert await mind.image.transact(resume, note="resume") == "synthesizing"
    thinking.gate.set()
    await thinking.kernel._scheduler.resume()  # what a kernel does at its start
    answer = await thinking.kernel._scheduler.result(brief_id)
    assert answer["body"]["result"] == 42


async def test_a_mission_that_was_rejected_three_times_goes_on_only_with_more(thinking):
    thinking.gate.set()
    with pytest.raises(RemoteError) as caught:
        await ask(thinking, "brief", target="genesis_obj", selector="never_works")
    brief_id = caught.value.body["brief_id"]
    drafts = (await ask(thinking, "experience"))["experience"][-1]["candidates"]
    with pytest.raises(RemoteError, match="batches were rejected; with more"):
        await ask(thinking, "missions.resume", body={"brief_id": brief_id})
    with pytest.raises(RemoteError) as again:
        await ask(thinking, "missions.resume", body={"brief_id": brief_id, "more": True})
    assert again.value.body["brief_id"] == brief_id
    rounds = (await ask(thinking, "experience"))["experience"][-1]["candidates"]
    assert rounds[: len(drafts)] == drafts  # what was drawn is kept
    assert len(rounds) > len(drafts)
    assert (await states_of(thinking, brief_id))[-1] == "failed"


async def test_a_mission_that_is_not_there_cannot_be_resumed(thinking):
    with pytest.raises(RemoteError, match="no request has"):
        await ask(thinking, "missions.resume", body={"brief_id": "nothing"})
