"""bat_os.kernel.dispatcher: one request, its replies; with the real image and the real cell."""

import asyncio

import pytest

from bat_os.core.protocol import Reply, Request, decode_reply, encode_reply
from bat_os.errors import (
    ArgumentsError,
    BusyError,
    CancelledError,
    DeadlineError,
    KeyReusedError,
    NotFoundError,
    TooLargeError,
    UnknownTypeError,
)
from bat_os.image.objects import find
from bat_os.kernel.dispatcher import LOOKS, Dispatcher
from bat_os.kernel.missions.scheduler import MAX_PER_SESSION, Scheduler
from bat_os.kernel.verbs import VERBS
from tests.kernel.minds import make_mind, script

REMEMBER = " self.notes = getattr(self, 'notes', []) + [text]\n    return self.notes"


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
async def gate():
    gate = asyncio.Event()
    gate.set()
    return gate


@pytest.fixture
async def ask(image, cell, gate):
    """Return a function that asks and returns (body of the last reply, the replies before)."""
    mind = make_mind(image, cell, script(REMEMBER), gate=gate)
    scheduler = Scheduler(mind, lambda event: None)
    scheduler.open()
    about = {"awakening": "", "loading": "", "boot": "b", "version": "0", "image_id": "i"}
    about |= {"limits": {}}
    dispatcher = Dispatcher(
        mind, scheduler, lambda: about | {"protocol": [1, 1]}, lambda: None, VERBS
    )

    async def ask(kind, selector="", *args, target="genesis_obj", **fields):
        early = []
        request = Request(kind, target=target, selector=selector, args=args, **fields)
        reply = await dispatcher.handle(request, early.append)
        assert decode_reply(encode_reply(reply))[1] == request.id
        return reply.body, early

    yield ask
    await scheduler.close()


async def slots(image, name="genesis_obj"):
    return await image.transact(lambda root: dict(find(root, name).slots), note="look")


async def test_a_message_that_is_not_understood_is_learned_and_then_known(ask):
    first, early = await ask("send", "remember", "milk")
    assert (first["result"], first["learned"]) == (["milk"], True)
    assert [reply.type for reply in early] == ["accepted", *["event"] * 5]
    again, early = await ask("send", "remember", "eggs")
    assert (again["result"], again["learned"], again["model_calls"]) == (["milk", "eggs"], False, 0)
    assert early == []


async def test_a_message_that_orders_to_learn_says_the_wish_in_its_name(ask, image):
    body, _ = await ask("send", "teach_yourself_to_remember", "milk")
    assert body["result"] == ["milk"]
    source = (await slots(image))["teach_yourself_to_remember"].version.source
    assert '"""Remember."""' in source


async def test_text_is_told_while_it_is_written_to_who_asked_for_it_alone(ask):
    _, early = await ask("send", "remember", "milk", body={"tokens": True})
    texts = [(reply.body["persona"], reply.body["text"]) for reply in early if "text" in reply.body]
    assert texts[0][0] == "ALFRED"
    assert texts[0][1].startswith("def remember(self, ")
    assert "return" in texts[0][1]
    with pytest.raises(ArgumentsError, match="tokens must be true or false"):
        await ask("send", "recall_it", "milk", body={"tokens": "yes"})
    _, early = await ask("send", "recall_it", "milk")
    assert not any("text" in reply.body for reply in early)


async def test_two_who_ask_at_once_with_one_key_get_one_answer(ask, image):
    answers = await asyncio.gather(*(ask("send", "remember", "milk", key="k") for _ in range(8)))
    assert len({body["brief_id"] for body, _ in answers}) == 1
    assert [body["result"] for body, _ in answers] == [["milk"]] * 8
    assert (await slots(image))["notes"] == ["milk"]


async def test_a_known_message_with_a_key_is_run_once(ask, image):
    await ask("send", "remember", "milk")
    answers = await asyncio.gather(*(ask("send", "remember", "eggs", key="k") for _ in range(8)))
    assert [body["result"] for body, _ in answers] == [["milk", "eggs"]] * 8
    assert (await slots(image))["notes"] == ["milk", "eggs"]
    with pytest.raises(KeyReusedError):
        await ask("send", "remember", "bread", key="k")


async def test_a_burst_of_one_session_gets_its_sixteen_places_and_no_more(ask, gate):
    gate.clear()
    asking = [
        asyncio.ensure_future(ask("brief", f"learn_{n}", session="s", key=f"k{n}"))
        for n in range(MAX_PER_SESSION + 8)
    ]
    done, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
    while len(done) < 8:
        done, _ = await asyncio.wait(asking, timeout=0.1)
    assert all(isinstance(one.exception(), BusyError) for one in done)
    again = asyncio.ensure_future(ask("brief", "learn_0", session="s", key="k0"))
    gate.set()
    (body, _), (first, _) = await again, await asking[0]
    assert body == first
    for one in asking:
        if one not in done:
            await one


@pytest.mark.parametrize("key", ["", "k"])
async def test_an_answer_that_is_too_large_changes_nothing(ask, image, make, key):
    source = (
        "def grow(self):\n    self.n = 1\n    self._p_changed = True\n    return 'x' * (1 << 20)\n"
    )
    await make("o", [source])
    with pytest.raises(TooLargeError, match="does not fit into a message"):
        await ask("send", "grow", target="o", key=key)
    assert "n" not in await slots(image, "o")


async def test_a_brief_over_its_time_goes_on(ask, gate):
    gate.clear()
    with pytest.raises(DeadlineError, match="ask again with its key"):
        await ask("send", "remember", "milk", key="k", ttl=0.05)
    gate.set()
    body, _ = await ask("send", "remember", "milk", key="k")
    assert body["result"] == ["milk"]


async def test_a_brief_can_be_looked_at_and_withdrawn(ask, gate):
    gate.clear()
    asking = asyncio.ensure_future(ask("brief", "remember", "milk", key="k"))
    while True:
        try:
            told, _ = await ask("brief.get", key="k")
            break
        except NotFoundError:
            await asyncio.sleep(0)
    assert told["answer"] is None
    about = {"brief_id": told["brief_id"]}
    while (await ask("cancel", body=about))[0] != {"cancelled": True}:
        pass  # it is stored, and starts in a moment
    assert (await asking)[0]["code"] == "CANCELLED"
    again, _ = await ask("cancel", key="k")
    assert (again["cancelled"], again["state"]) == (False, "failed")


@pytest.mark.parametrize("selector", ["", "a b", "class", "__init__", "send", "größe", "x" * 101])
async def test_a_selector_that_cannot_be_one_is_refused(ask, selector):
    with pytest.raises(ArgumentsError):
        await ask("send", selector)


async def test_the_rest_is_refused_with_a_code(ask):
    with pytest.raises(UnknownTypeError, match="known are: accept, allow"):
        await ask("dance")
    with pytest.raises(NotFoundError):
        await ask("send", "dance", target="nobody")
    with pytest.raises(NotFoundError):
        await ask("inspect", target="nobody")
    with pytest.raises(ArgumentsError):
        await ask("send", "remember", kwargs={"lambda": 1})
    with pytest.raises(ArgumentsError):
        await ask("brief.get", body={"brief_id": 7})
    with pytest.raises(ArgumentsError, match="did you mean 'limit'"):
        await ask("missions", body={"limits": 7})


async def test_objects_are_listed_and_shown(ask):
    names = {one["name"] for one in (await ask("list"))[0]["objects"]}
    assert {"genesis_obj", "traits_obj"} <= names
    await ask("send", "remember", "milk")
    shown, _ = await ask("inspect")
    assert shown["methods"]["remember"]["status"] == "provisional"
    assert shown["slots"]["notes"] == ["milk"]


def nest(levels):
    value = 1
    for _ in range(levels):
        value = [value]
    return value


UNFIT = {
    "deep": {f"x{n}": nest(n) for n in (28, 29, 31, 33, 50, 63)},
    "long": {"x": "a" * 2_000_000, "y": [b"b" * 600_000, 2]},
    "wide": {"x": [1] * 150_000, "y": {str(n): n for n in range(60_000)}},
    "many": {f"slot_{n:_<90}": n for n in range(12_000)},
    "both": {f"x{n}": [n] * 20_000 for n in range(9)} | {"z": "z" * 900_000},
}


@pytest.mark.parametrize("slots", UNFIT.values(), ids=UNFIT)
async def test_whatever_an_object_holds_it_is_shown_and_what_is_cut_is_named(ask, image, slots):
    await ask("send", "remember", "milk")

    def fill(root):
        for name, value in slots.items():
            find(root, "genesis_obj").set_slot(name, value)

    await image.transact(fill, note="fill")
    shown, _ = await ask("inspect")
    encode_reply(shown_reply(shown))
    left = [name for name in slots if name not in shown["slots"]]
    assert shown["left_out"] >= len(left) > 0
    named = [cut["name"] for cut in shown["cut"] if cut["part"] == "slots"]
    assert named == left[: len(named)]
    assert len(named) == min(len(left), 50)
    assert all(cut["why"] and cut["begins"] for cut in shown["cut"])
    assert "source" in shown["methods"]["remember"]
    alone, _ = await ask("inspect", "remember")
    assert alone["slots"] == {}
    assert "cut" not in alone


def shown_reply(body):
    return Reply("result", "1", body)


async def test_an_object_of_many_skills_can_still_be_shown(ask, image):
    await ask("send", "remember", "milk")

    def copy(root):
        obj = find(root, "genesis_obj")
        for number in range(1000):
            obj.set_slot(f"skill_{number}", obj.slots["remember"])

    await image.transact(copy, note="copy")
    shown, _ = await ask("inspect")
    assert len(shown["methods"]) == 1001
    alone, _ = await ask("inspect", "remember")
    assert list(alone["methods"]) == ["remember"]
    assert len(alone["methods"]["remember"]["provenance"]["candidates"]) == 3


async def last_commit(image):
    return await image.transact(lambda root: image.storage.lastTransaction(), note="look")


async def test_a_known_message_that_only_reads_commits_nothing_under_its_key_either(
    ask, image, make
):
    await make("o", ["def twice(self, n):\n    return 2 * n\n"], parents=("traits_obj",))
    before = await last_commit(image)
    answers = [await ask("send", "twice", n, target="o", key=f"k{n}") for n in (1, 2, 1)]
    assert [(body["result"], early) for body, early in answers] == [(2, []), (4, []), (2, [])]
    assert await last_commit(image) == before


async def test_a_known_message_that_only_reads_takes_two_looks_at_the_image_under_a_key(
    ask, image, make, monkeypatch
):
    await make("o", ["def twice(self, n):\n    return 2 * n\n"])
    notes, transact = [], image.transact

    async def count(work, *, note, mission=""):
        notes.append(note)
        return await transact(work, note=note, mission=mission)

    monkeypatch.setattr(image, "transact", count)
    await ask("send", "twice", 1, target="o", key="a")
    assert notes == ["look up a key", "read o"]
    await ask("send", "twice", 1, target="o", key="b")  # what it read is known by now
    assert notes[2:] == ["look up a key"]


async def test_a_known_message_that_writes_is_one_commit_with_its_key_and_answer(ask, image):
    await ask("send", "remember", "milk")
    body, early = await ask("send", "remember", "eggs", key="k")
    assert (body["result"], early) == (["milk", "eggs"], [])
    stored, _ = await ask("brief.get", key="k")
    assert (stored["state"], stored["answer"]) == ("complete", {"type": "result", "body": body})
    again, _ = await ask("send", "remember", "eggs", key="k")
    assert (again, (await slots(image))["notes"]) == (body, ["milk", "eggs"])


async def test_a_turn_under_a_key_can_be_cancelled(ask, image, make):
    await make("o", ["def wait(self):\n    while True:\n        pass\n"])
    asking = asyncio.ensure_future(ask("send", "wait", target="o", key="k"))
    while True:
        try:
            if (await ask("cancel", key="k"))[0] == {"cancelled": True}:
                break
        except NotFoundError:  # it has not come to its turn yet
            await asyncio.sleep(0)
    with pytest.raises(CancelledError, match="cancelled"):
        await asking


@pytest.mark.parametrize("verb", ["list", "inspect", "talks"])
async def test_who_only_looks_very_often_holds_few_places_and_delays_no_other_session(
    image, cell, verb
):
    mind = make_mind(image, cell, script(REMEMBER))
    scheduler = Scheduler(mind, lambda event: None)
    go_on, are_full, looking = asyncio.Event(), asyncio.Event(), []

    async def look(_mind, request, _say):
        looking.append(request.session)
        if len(looking) == LOOKS:
            are_full.set()
        await go_on.wait()
        return {}

    verbs = {**VERBS, verb: look}
    dispatcher = Dispatcher(mind, scheduler, lambda: {"boot": "b"}, lambda: None, verbs)

    async def ask(session):
        request = Request(verb, target="genesis_obj", session=session)
        return await dispatcher.handle(request, lambda _: None)

    flood = [asyncio.create_task(ask("flood")) for _ in range(40)]
    other = asyncio.create_task(ask("other"))
    async with asyncio.timeout(10):
        await are_full.wait()
        request = Request("send", target="genesis_obj", selector="slotNames", session="third")
        assert (await dispatcher.handle(request, lambda _: None)).type == "result"
        assert looking == ["flood"] * LOOKS
        go_on.set()
        await asyncio.gather(*flood, other)
    assert looking.index("other") <= LOOKS + 1
    await scheduler.close()
