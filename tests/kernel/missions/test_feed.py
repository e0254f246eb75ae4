"""bat_os.kernel.missions.feed: who listens hears every event once, after a break too."""

import asyncio

import pytest

from bat_os.core.brief import Brief
from bat_os.core.mission import (
    BriefAccepted,
    MessageUnderstood,
    MethodDrafted,
    MethodVerified,
    Mission,
    MissionFailed,
    PassagesFound,
    QueriesPlanned,
    SkillReused,
)
from bat_os.errors import ArgumentsError, BusyError, ShuttingDownError
from bat_os.kernel.missions.feed import (
    KEPT,
    MAX_SUBSCRIPTIONS,
    MAX_SUBSCRIPTIONS_PER_SESSION,
    Feed,
    TextFeed,
    notice,
    replay,
)

BRIEF = Brief("genesis_obj", "double", (2,))
EVENTS = (BriefAccepted(), QueriesPlanned(("x",)), MissionFailed("DEADLINE", "over"))


def stages():
    mission, made = Mission(BRIEF), []
    for event in EVENTS:
        mission = mission.advance(event)
        made.append(mission)
    return made


def publish(feed, brief_id, *missions, detail=None):
    for mission in missions:
        feed.publish(notice(brief_id, mission, detail or {}), mission)


async def follow(feed, heard, after=0, key=("s", "1")):
    task = asyncio.ensure_future(feed.follow(key, after, heard.append))
    await asyncio.sleep(0)
    return task


async def test_one_who_listens_to_all_hears_the_later_events_of_every_mission():
    feed, heard = Feed(), []
    publish(feed, "a", stages()[0])
    task = await follow(feed, heard, after=feed.number)
    publish(feed, "b", *stages()[:2])
    publish(feed, "a", stages()[1])
    assert [(one["brief_id"], one["seq"], one["n"]) for one in heard] == [
        ("b", 1, 2), ("b", 2, 3), ("a", 2, 4)
    ]  # fmt: skip
    assert heard[0]["target"] == "genesis_obj"
    assert feed.stop(("s", "1"))
    assert await task == "unsubscribed"
    assert not feed.stop(("s", "1"))


async def test_after_a_break_all_that_is_kept_is_told_first():
    feed, heard = Feed(), []
    publish(feed, "a", *stages())
    await follow(feed, heard, after=1)
    assert [one["n"] for one in heard] == [2, 3]
    feed.close()


async def test_no_more_than_the_latest_events_are_kept():
    feed, heard = Feed(), []
    for _ in range(KEPT + 10):
        publish(feed, "a", stages()[0])
    await follow(feed, heard)
    assert [heard[0]["n"], len(heard)] == [11, KEPT]
    feed.close()


async def test_one_mission_is_told_from_its_stored_events_and_ends_with_its_last_state():
    feed, heard, (_, second, last) = Feed(), [], stages()
    publish(feed, "a", second, detail={"reason": "kept"})  # of the first, only the image knows

    async def stored():
        publish(feed, "a", last)  # happens while the image is read
        return second

    why = await feed.follow(("s", "1"), 0, heard.append, "a", stored)
    assert why == "complete"
    assert [(one["seq"], one["state"]) for one in heard] == [
        (1, "decomposing"), (2, "delegating"), (3, "failed")
    ]  # fmt: skip
    assert [one["detail"] for one in heard] == [{}, {"reason": "kept"}, {}]


async def test_what_was_heard_before_the_break_is_not_told_again():
    feed, heard, (_, _, last) = Feed(), [], stages()

    async def stored():
        return last

    assert await feed.follow(("s", "1"), 2, heard.append, "a", stored) == "complete"
    assert [one["seq"] for one in heard] == [3]


async def test_a_mission_that_has_ended_and_was_heard_to_its_end_is_complete_at_once():
    feed, heard, (_, _, last) = Feed(), [], stages()

    async def stored():
        return last

    assert await feed.follow(("s", "1"), 3, heard.append, "a", stored) == "complete"
    assert heard == []


async def test_a_listener_that_is_gone_is_forgotten():
    feed = Feed()
    task = asyncio.ensure_future(feed.follow(("s", "1"), 0, lambda told: False))
    await asyncio.sleep(0)
    publish(feed, "a", stages()[0])
    assert await task == "gone"
    await follow(feed, [])  # its id is free again
    feed.close()


async def test_so_many_may_listen_and_no_more():
    feed = Feed()
    for number in range(MAX_SUBSCRIPTIONS_PER_SESSION):
        await follow(feed, [], key=("s", str(number)))
    with pytest.raises(BusyError, match="this session has"):
        await feed.follow(("s", "x"), 0, lambda told: True)
    for number in range(MAX_SUBSCRIPTIONS - MAX_SUBSCRIPTIONS_PER_SESSION):
        await follow(feed, [], key=(str(number), "1"))
    with pytest.raises(BusyError, match="subscriptions already"):
        await feed.follow(("t", "x"), 0, lambda told: True)
    feed.close()


async def test_a_subscription_needs_an_id_of_its_own():
    feed = Feed()
    await follow(feed, [])
    for key in (("s", "1"), ("s", "")):
        with pytest.raises(ArgumentsError):
            await feed.follow(key, 0, lambda told: True)
    feed.close()


async def test_when_the_kernel_goes_down_all_subscriptions_end():
    feed = Feed()
    task = await follow(feed, [])
    feed.close()
    assert await task == "shutting down"
    with pytest.raises(ShuttingDownError):
        await feed.follow(("s", "2"), 0, lambda told: True)


def test_where_nobody_listens_an_engine_is_given_nothing_to_call():
    texts, heard = TextFeed(), []
    with texts.listen("other", heard.append), texts.writing("a", "ALFRED", "def f") as hear:
        assert hear is None
    assert heard == []


async def test_what_comes_at_once_is_told_as_one_piece_that_begins_with_the_signature():
    texts, heard = TextFeed(), []
    with texts.listen("a", heard.append), texts.writing("a", "ALFRED", "def f():\n") as hear:
        for word in (" return", " 1"):
            hear(0, word)
            hear(1, " of another candidate")
        assert heard == []
    assert heard == [
        {"brief_id": "a", "persona": "ALFRED", "text": "def f():\n return 1", "begins": True}
    ]


async def test_a_text_that_takes_its_time_is_told_in_texts_that_make_up_the_whole():
    texts, news, heard = TextFeed(), asyncio.Event(), []

    def tell(told):
        heard.append(told)
        news.set()

    with texts.listen("a", tell), texts.writing("a", "BRICK") as hear:
        hear(0, "one")
        await news.wait()
        hear(0, " two")
        assert [told["text"] for told in heard] == ["one"]
    assert [(told["text"], told["begins"]) for told in heard] == [("one", True), (" two", False)]


async def test_all_who_listen_hear_and_who_has_gone_hears_nothing_more():
    texts, first, second = TextFeed(), [], []
    with texts.listen("a", first.append):
        with texts.listen("a", second.append), texts.writing("a", "BRICK") as hear:
            hear(0, "one")
        with texts.writing("a", "BRICK") as hear:
            hear(0, "two")
    assert [told["text"] for told in first] == ["one", "two"]
    assert [told["text"] for told in second] == ["one"]
    with texts.writing("a", "BRICK") as hear:
        assert hear is None


def test_what_ended_without_a_new_method_is_not_told_as_installed():
    brief = Brief("genesis_obj", "double")
    understood = Mission(brief).advance(MessageUnderstood())
    reused = Mission(brief).advance(SkillReused("genesis_obj", "twice", 0.9))
    assert "understood" in notice("b", understood, {})["does"]
    assert "a skill that was there" in notice("b", reused, {})["does"]
    learned = Mission(brief)
    for event in (BriefAccepted(), QueriesPlanned(("x",)), PassagesFound(()), MethodDrafted(()),
                  MethodVerified(0, "provisional", ())):  # fmt: skip
        learned = learned.advance(event)
    assert "installed the method" in notice("b", learned, {})["does"]
    assert "waits for a yes" in notice("b", learned, {"status": "waiting"})["does"]
    assert "waits for a yes" in replay("b", learned, 4, waits=True)[0]["does"]
