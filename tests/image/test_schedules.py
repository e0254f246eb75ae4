"""bat_os.image.schedules: due moments are taken once, in a real image."""

import pytest

from bat_os.core.brief import Brief
from bat_os.errors import BusyError, NotFoundError
from bat_os.image import missions, schedules
from bat_os.image.awakening import awaken
from bat_os.image.schedules import Schedule
from bat_os.image.store import ImageStore

DAY = 86_400.0
START = 1_795_420_800.0  # 08:00 of a day in UTC
DAILY = {"cron": "0 8 * * *"}


@pytest.fixture
async def image():
    store = ImageStore.in_memory()
    await store.transact(
        lambda root: awaken(root, image_id="i", created=1.0, personas={}, primitives={}),
        note="awaken",
    )
    yield store
    await store.close()


def reminder(rule=None, **more):
    rule = rule or {"at": START}
    return Schedule("remind", "call Ann", rule, "UTC", START, **{"home": "here", **more})


def sending(**more):
    brief = Brief("genesis_obj", "double", (21,)).to_plain()
    return Schedule("send", "double", DAILY, "UTC", START, brief, **{"home": "here", **more})


async def do(image, work):
    return await image.transact(work, note="test")


async def add(image, one):
    return (await do(image, lambda root: schedules.add(root, one))).number


async def take(image, number, now, home="here"):
    return await do(image, lambda root: schedules.take(root, number, now, home, f"{int(now):024x}"))


async def due(image):
    return await do(image, lambda root: schedules.waiting(root, ""))


async def read(image, number):
    return await do(image, lambda root: schedules.change(root, number))


async def test_a_moment_is_taken_once_and_told(image):
    number = await add(image, reminder())
    assert await take(image, number, START - 1) is None
    assert (await take(image, number, START + 1)).notice
    assert await take(image, number, START + 2) is None
    (told,) = await due(image)
    assert (told["text"], told["moment"], told["missed"]) == ("call Ann", START, 0)
    assert not (await read(image, number)).live
    await do(image, lambda root: schedules.mark_seen(root, [told["key"]], "somebody else"))
    assert await due(image)
    await do(image, lambda root: schedules.mark_seen(root, [told["key"]], ""))
    assert await due(image) == []


async def test_two_reminders_of_one_moment_are_both_told(image):
    for _ in range(2):
        await add(image, reminder())
    numbers = await do(image, lambda root: schedules.due_numbers(root, "here", START))
    assert len(numbers) == 2
    for number in numbers:
        await take(image, number, START)
    assert len(await due(image)) == 2


async def test_a_repetition_moves_on_and_says_how_many_were_missed(image):
    number = await add(image, reminder(DAILY))
    await take(image, number, START)
    assert (await read(image, number)).next == START + DAY
    await take(image, number, START + 4 * DAY + 3600)
    assert (await read(image, number)).next == START + 5 * DAY
    first, second = await due(image)
    assert (first["missed"], second["missed"]) == (0, 3)
    assert second["moment"] == START + 4 * DAY


async def test_missed_moments_are_passed_over_where_nobody_wants_them(image):
    number = await add(image, reminder(DAILY, missed="skip"))
    await take(image, number, START + 3 * DAY + 3600)
    assert await due(image) == []
    assert (await read(image, number)).next == START + 4 * DAY
    await take(image, number, START + 4 * DAY)
    assert len(await due(image)) == 1


async def test_all_missed_moments_are_made_up_for_up_to_ten(image):
    number = await add(image, reminder(DAILY, missed="all"))
    now = START + 30 * DAY + 10
    while await take(image, number, now) is not None:
        pass
    told = await due(image)
    assert [each["moment"] for each in told] == [START + at * DAY for at in range(21, 31)]
    assert (await read(image, number)).next == START + 31 * DAY


async def test_a_message_is_accepted_with_its_moment_and_runs_once(image):
    number = await add(image, sending())
    taken = await take(image, number, START + 1)
    assert taken.mission.mission.brief.selector == "double"
    key = await do(image, lambda root: schedules.key_of(root, number, START))
    assert taken.key == key
    assert await do(image, lambda root: missions.id_of(root, key)) == taken.mission.id
    assert await do(image, missions.unfinished) == [taken.mission.id]
    # the next moment comes while it still runs: it is passed over, and nothing runs side by side
    assert await take(image, number, START + DAY) is None
    assert await do(image, missions.unfinished) == [taken.mission.id]
    await do(image, lambda root: schedules.settle(root, number, START, START + DAY, "42"))
    (told,) = await due(image)
    assert told["answer"] == "42"
    assert (await take(image, number, START + 2 * DAY)).mission is not None


async def test_a_run_that_comes_too_late_is_told_and_not_made(image):
    number = await add(image, sending())
    taken = await take(image, number, START + 13 * 3600)
    assert taken.mission is None
    assert await do(image, missions.unfinished) == []
    (told,) = await due(image)
    assert told["passed"]


async def test_three_failures_in_a_row_put_it_to_sleep(image):
    number = await add(image, sending())
    for day in range(3):
        assert await take(image, number, START + day * DAY) is not None
        await do(
            image,
            lambda root, at=START + day * DAY: schedules.settle(
                root, number, at, at, "", failed="CELL it broke"
            ),
        )
    assert (await read(image, number)).asleep == "CELL it broke"
    assert [each["asleep"] for each in await due(image)] == [False, False, True]
    assert await take(image, number, START + 3 * DAY) is None
    (woken,) = await do(image, lambda root: schedules.wake(root, "here", START + 5 * DAY))
    assert (woken.asleep, woken.next) == ("", START + 6 * DAY)


async def test_in_another_home_it_sleeps_until_it_is_woken(image):
    number = await add(image, reminder(DAILY))
    there = lambda root: schedules.due_numbers(root, "there", START + DAY)  # noqa: E731
    assert await do(image, there) == []
    assert await do(image, lambda root: schedules.nearest(root, "there")) is None
    assert await take(image, number, START + DAY, home="there") is None
    await do(image, lambda root: schedules.wake(root, "there", START + DAY + 1))
    assert await do(image, lambda root: schedules.nearest(root, "there")) == START + 2 * DAY
    assert await do(image, lambda root: schedules.nearest(root, "here")) is None


async def test_a_clock_that_goes_back_repeats_nothing_and_loses_nothing(image):
    number = await add(image, reminder(DAILY))
    await take(image, number, START + 10)
    await take(image, number, START + 2000 * DAY)  # the clock was wrong
    assert (await read(image, number)).next > START + 2000 * DAY
    await do(image, lambda root: schedules.reckon_again(root, "here", START + 20))
    assert (await read(image, number)).next == START + DAY
    await do(image, lambda root: schedules.change(root, number, last=START))
    await do(image, lambda root: schedules.reckon_again(root, "here", START - 20))
    assert (await read(image, number)).next == START + DAY  # that of START was taken
    told = await due(image)
    assert len({each["moment"] for each in told}) == len(told) == 2


async def test_an_object_that_has_gone_is_told_as_a_failure(image):
    number = await add(image, sending())
    await do(image, lambda root: root["objects"].__delitem__("genesis_obj"))
    taken = await take(image, number, START)
    assert taken.notice
    (told,) = await due(image)
    assert "NOT_FOUND" in told["failed"]
    with pytest.raises(NotFoundError):
        await add(image, sending())


async def test_there_is_a_bound_on_what_waits(image, monkeypatch):
    monkeypatch.setattr(schedules, "MAX_LIVE", 3)
    monkeypatch.setattr(schedules, "MAX_DUE", 2)
    for at in range(3):
        await add(image, reminder({"at": START + at}))
    with pytest.raises(BusyError):
        await add(image, reminder())
    for number in (1, 2, 3):
        await take(image, number, START + 10 * DAY)
    assert len(await due(image)) == 2
