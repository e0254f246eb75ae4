"""A request with a key is done once and has one answer: every form of a sentence, every verb."""

import asyncio
import errno
import os

import pytest
import pytest_asyncio

from bat_os.core.protocol import Request, decode_reply, encode_reply
from bat_os.core.verbs import REQUESTS, check
from bat_os.errors import EffectUnknownError, KeyReusedError, StorageFullError
from bat_os.image import answered, outbox, proposals, schedules
from bat_os.image.allowlist import CheckingConnection
from bat_os.image.gathering import gather
from bat_os.image.objects import Method
from bat_os.image.outbox import Effect
from bat_os.image.proposals import Proposal
from bat_os.image.unit_of_work import UnitOfWork
from bat_os.kernel.dispatcher import Dispatcher
from bat_os.kernel.missions.scheduler import Scheduler
from bat_os.kernel.once import digest_of
from bat_os.kernel.verbs import VERBS
from bat_os.world.files import Files
from tests.sentence.test_forms import CASES

pytestmark = pytest.mark.asyncio(loop_scope="module")

# So that a form has something to change.
BEFORE = (
    "add milk and eggs to my shopping list", "remember that my locker code is 4711",
    "I drank a cup of coffee", "remind me tomorrow at 9 to check the oven",
    "add laundry to my to-do list",
)  # fmt: skip
LEARNS = {"lesson.learn", "lesson.means", "talk.correct", "talk.meant", "talk.again"}
DOUBLE = "def double(self, number):\n    return number * 2\n"
TREBLE = "def treble(self, number):\n    return number * 3\n"


def sentences():
    """Return a sentence of each form that there is one of, by the name of the form."""
    found = {}
    for case in CASES:
        if case["form"] and case["language"] == "en":
            found.setdefault(case["form"], case["say"])
    return found


@pytest_asyncio.fixture(loop_scope="module")
async def start(mind):
    """Return a function that starts the next kernel on the image: it has nothing in memory."""
    begun = []

    def start():
        scheduler = Scheduler(mind, lambda event: None)
        scheduler.open()
        about = {"awakening": "", "loading": "", "boot": "b", "version": "0", "image_id": "i"}
        about |= {"limits": {}}
        begun.append(Dispatcher(mind, scheduler, lambda: about, lambda restart: None, VERBS))
        return begun[-1]

    yield start
    for dispatcher in begun:
        dispatcher.scheduler.open()
        await dispatcher.scheduler.close()


async def ask(dispatcher, verb, key, **fields):
    """Return the frames of the last reply."""
    request = check(Request(verb, id="q", key=key, session="s", **fields))
    return encode_reply(await dispatcher.handle(request, lambda reply: None))


def commits(image, since):
    """Return the notes of the transactions behind one; a conversation is also written later."""
    steps = image.storage.iterator(since)
    notes = [step.description.decode() for step in steps if step.tid > since]
    return [note for note in notes if note != "keep conversations"]


async def is_kept(image, key):
    return await image.transact(lambda root: key in root.get(answered.ANSWERS, {}), note="t")


async def test_every_act_of_say_is_one_commit_with_its_answer(dispatcher, start, image):
    for text in BEFORE:
        await ask(dispatcher, "say", text, body={"text": text})
    acted = set()
    for name, text in sentences().items():
        begun = image.storage.lastTransaction()
        first = await ask(dispatcher, "say", name, body={"text": text})
        done = commits(image, begun)
        if not await is_kept(image, name):
            assert not done or name in LEARNS, (name, text, done)
            continue
        acted.add(name)
        # A kill comes before it or after it.
        assert len(done) <= 1 or name in LEARNS, (name, text, done)
        ended = image.storage.lastTransaction()
        again = await ask(start(), "say", name, body={"text": text})
        assert again == first, (name, text)
        assert not commits(image, ended), (name, text)
    assert {name.partition(".")[0] for name in acted} >= {
        "context_obj", "counters_obj", "lists_obj", "memory_obj", "reminders_obj", "self_obj",
    }  # fmt: skip


@pytest.fixture
def drivers():
    return {"files": Files()}


async def prepare(image, dispatcher):
    """Make what the verbs below change."""
    found = Effect(
        0, "0" * 16, "o", "files", {}, "write", (), "write a file", "r", "by", 1.0, home="h"
    )  # fmt: skip
    about = {"verb": "unlearn", "target": "genesis_obj", "selector": "treble", "body": {}}
    deed = {"shown": "unlearn it", "deed": {"do": "ask", **about}}
    ideas = [Proposal("unused", key, "an idea", "why", (deed,), ()) for key in "pq"]
    await image.transact(lambda root: outbox.put(root, [found], "h"), note="stage")
    await image.transact(lambda root: proposals.put(root, ideas, at=1.0), note="propose")

    def guess(root):
        method = Method("treble")
        method.add_version(TREBLE, "provisional", {})
        root["objects"]["genesis_obj"].set_slot("treble", method)

    await image.transact(guess, note="guess")
    body = {"title": "bees", "text": "Bees dance.", "source": "bees", "meta": {}}
    await ask(dispatcher, "learn", "", body=body)


# What each verb that changes is asked, in an order in which each has something to change.
GENESIS = {"target": "genesis_obj", "selector": "double"}
ENDS = {"source": "inner_obj", "sink": "outer_obj"}
ROWS = (
    ("teach", {"target": "genesis_obj", "body": {"source": DOUBLE}}),
    ("approve", {"target": "genesis_obj", "selector": "treble"}),
    ("verify-method", GENESIS | {"body": {"examples": [{"args": [3], "result": 6}]}}),
    ("pin", GENESIS),
    ("unpin", GENESIS),
    ("unlearn", GENESIS),
    ("redo", GENESIS),
    ("derive", {"target": "genesis_obj", "body": {"name": "robot_obj"}}),
    ("parents", {"target": "robot_obj", "body": {"parents": ["traits_obj"]}}),
    ("rename", {"target": "robot_obj", "body": {"name": "machine_obj"}}),
    ("undo", lambda told: {"body": {"transaction": told["rename"]["transaction"]}}),
    ("delete", {"target": "robot_obj"}),
    ("import", lambda told: {"body": {"text": told["export"]["text"], "as": "second_obj"}}),
    ("entry", {"target": "robin_obj", "body": {"key": "temperature", "do": "set", "value": 0.5}}),
    ("schedule", {"body": {"text": "call Ann", "when": "tomorrow at 9"}}),
    ("unschedule", {"body": {"numbers": [1]}}),
    ("grant", lambda told: {"body": {"what": told["folder"], "name": "outer_obj"}}),
    ("narrow", lambda told: {
        "target": "outer_obj", "body": {"what": told["folder"], "name": "inner_obj"}}),
    ("allow", {"body": ENDS}),
    ("disallow", {"body": ENDS}),
    ("revoke", {"target": "inner_obj"}),
    ("effects.drop", {"body": {"number": 1}}),
    ("accept", {"body": {"n": 1}}),
    ("dismiss", {"body": {"n": 2}}),
    ("forget", {"body": {"doc_id": "document:bees"}}),
)  # fmt: skip
# Why each of these has no row.
TAKEN_BACK = "a redone or undone effect is performed behind the commit: tests/kernel/effects"
MODELS = "needs a store of models, and only some kernels have the verb: tests/app/test_models.py"
FILES = "writes a file or a home of its own, in steps: tests/kernel/verbs"
MISSION = "has its key in the mission's own record: tests/kernel/missions"
ELSEWHERE = {
    "discuss": "a model answers, and what it keeps is the answer alone",
    "generate": "a model answers, and nothing is kept",
    "due": "what was seen is seen, however often it is said",
    "schedules": "wakes what is awake already",
    "since": "what was heard is heard; it changes nothing where nothing is new",
    "recall": "without a yes it changes nothing: tests/kernel/verbs",
    "grant-mcp": "starts a server of its own: tests/kernel/verbs/test_servers.py",
    "effects.redo": TAKEN_BACK, "effects.undo": TAKEN_BACK,
    "models.add": MODELS, "models.cancel": MODELS, "models.exam": MODELS, "models.pin": MODELS,
    "models.remove": MODELS, "models.unpin": MODELS,
    "archive": FILES, "backup": FILES, "erase": FILES, "export.all": FILES, "fork": FILES,
    "fork.drop": FILES, "import.all": FILES, "pack": FILES, "verify": FILES,
    "rehearse": "tries methods beside the image: tests/kernel/verbs/test_lineage.py",
    "forge": "needs a smithy: tests/kernel/forge",
    "brief": MISSION, "cancel": MISSION, "missions.leave": MISSION, "missions.resume": MISSION,
    "say": "has a test of each of its forms, above",
    "shutdown": "ends the kernel",
}  # fmt: skip


BEES = {"title": "bees", "text": "Bees hum.", "source": "bees", "meta": {}}
IN_STEPS = (("learn", {"body": BEES}), ("reindex", {}))


async def test_each_verb_that_may_change_something_is_tried_here_or_says_why_not():
    tried = {name for name, _ in (*ROWS, *IN_STEPS)}
    assert not tried & {*ELSEWHERE}
    changing = {verb.name for verb in REQUESTS.values() if verb.access == "writes"}
    assert changing == tried | {*ELSEWHERE}


async def test_every_verb_that_changes_is_one_commit_with_its_answer(
    dispatcher, start, image, tmp_path
):
    await prepare(image, dispatcher)
    told = {"folder": str(tmp_path)}
    for name, row in ROWS:
        if name == "import":
            exported = await ask(dispatcher, "export", "", target="genesis_obj")
            told["export"] = decode_reply(exported)[2]
        fields = row(told) if callable(row) else row
        begun = image.storage.lastTransaction()
        first = await ask(dispatcher, name, name, **fields)
        done = commits(image, begun)
        assert await is_kept(image, name), name
        assert len(done) == 1, (name, done)
        ended = image.storage.lastTransaction()
        assert await ask(start(), name, name, **fields) == first, name
        assert not commits(image, ended), name
        told[name] = decode_reply(first)[2]
    for name, fields in IN_STEPS:
        first = await ask(dispatcher, name, name, **fields)
        ended = image.storage.lastTransaction()
        assert await ask(start(), name, name, **fields) == first, name
        assert not commits(image, ended), name


async def test_a_sentence_that_failed_to_learn_is_tried_again_however_it_is_read_by_then(
    dispatcher, start
):
    said = {"body": {"text": "no, it is 60"}}
    await ask(dispatcher, "say", "", body={"text": "what is 17% of 340"})
    first = decode_reply(await ask(dispatcher, "say", "k", **said))[2]
    # The next kernel has not heard the sentence before it, and makes another brief of this one.
    again = decode_reply(await ask(start(), "say", "k", **said))[2]
    assert [first["kind"], again["kind"]] == ["unable", "unable"]
    assert first["reading"] != again["reading"]


async def test_what_was_overtaken_is_answered_anew(dispatcher, start, image):
    """Others take the number that a reminder was to have, between its answer and its commit."""
    first, second = start(), start()
    said = [{"body": {"text": f"remind me tomorrow at 9 to call {name}"}} for name in ("Ann", "Bo")]
    await asyncio.gather(ask(first, "say", "a", **said[0]), ask(second, "say", "b", **said[1]))
    numbers = await image.transact(
        lambda root: {one.text: one.number for one in schedules.live(root, "")}, note="look"
    )
    assert sorted(numbers) == ["call Ann", "call Bo"]
    assert len(set(numbers.values())) == 2


async def test_a_request_that_was_begun_and_not_answered_is_not_done_again(image, start):
    """A kernel was killed between a flush and the answer."""
    request = check(Request("schedule", key="k", body={"text": "call Ann", "when": "in 2 hours"}))
    unit = UnitOfWork(image, "k", digest_of(request))
    with gather(unit):
        await VERBS["schedule"](start().context, request, lambda said: None)
        await unit.flush()
    with pytest.raises(EffectUnknownError, match="a part of this schedule was done"):
        await start().handle(request, lambda reply: None)
    found = await image.transact(lambda root: schedules.live(root, ""), note="look")
    assert [one.text for one in found] == ["call Ann"]


async def test_what_could_not_be_committed_is_done_when_it_is_asked_for_again(
    dispatcher, image, monkeypatch
):
    said = {"body": {"text": "remind me tomorrow at 9 to call Ann"}}

    def fill(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(CheckingConnection, "tpc_vote", fill)
        with pytest.raises(StorageFullError):
            await ask(dispatcher, "say", "k", **said)
    await ask(dispatcher, "say", "k", **said)
    found = await image.transact(lambda root: schedules.live(root, ""), note="look")
    assert [one.text for one in found] == ["call Ann"]


async def test_a_key_belongs_to_one_request(dispatcher):
    await ask(dispatcher, "say", "k", body={"text": "add milk to my shopping list"})
    with pytest.raises(KeyReusedError):
        await ask(dispatcher, "say", "k", body={"text": "add soap to my shopping list"})


async def test_many_who_add_to_one_list_at_once_are_not_refused(dispatcher):
    texts = [f"add thing{number} to my shopping list" for number in range(16)]
    await asyncio.gather(*(ask(dispatcher, "say", text, body={"text": text}) for text in texts))
    shown = await ask(
        dispatcher, "send", "", target="lists_obj", selector="show", args=("shopping",)
    )
    assert sorted(decode_reply(shown)[2]["result"]) == sorted(f"thing{n}" for n in range(16))
