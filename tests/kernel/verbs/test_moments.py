"""bat_os.kernel.verbs.moments: reading and answering as of then, and what changed an answer."""

import math

import pytest

from bat_os.core.protocol import Request
from bat_os.core.verbs import REQUESTS, check
from bat_os.errors import ArgumentsError, BatError, NotFoundError, NotUnderstoodError
from bat_os.image.history.uses import flush
from bat_os.kernel.dispatcher import Dispatcher
from bat_os.kernel.verbs import VERBS

pytestmark = pytest.mark.asyncio(loop_scope="module")
GIVE = "def give(self):\n    return {}\n"
COUNT = "def count(self):\n    self.n = self.n + 1\n    return self.n\n"


async def test_every_reading_verb_sees_the_image_of_that_moment(mind, taught, ask, latest):
    await taught(GIVE.format(1))
    doc_id = (await mind.catalog.learn("Doubling", "To double a number, add it."))["doc_id"]
    then = await latest()
    await taught(GIVE.format(2))
    await taught("def wave(self):\n    return 5\n")
    await mind.catalog.forget(doc_id)

    assert (await ask("why", "give", at=then))["version"] == 1
    assert len((await ask("versions", "give", at=then))["versions"]) == 1
    assert (await ask("inspect", "give", at=then))["methods"]["give"]["version"] == 1
    (me,) = [o for o in (await ask("list", at=then))["objects"] if o["name"] == "genesis_obj"]
    assert "wave" not in me["selectors"]
    found = (await ask("find", text="wave", limit=50, at=then))["skills"]
    assert [one["selector"] for one in found] == ["give"]
    assert [d["doc_id"] for d in (await ask("documents", at=then))["documents"]] == [doc_id]
    assert (await ask("documents"))["documents"] == []
    hits = (await ask("search", text="double a number", kind="document", at=then))["passages"]
    assert [hit["doc_id"] for hit in hits] == [doc_id]
    assert (await ask("why", "give", at=then))["at"]["transaction"] == then
    assert (await ask("why", "give"))["version"] == 2


async def test_a_verb_that_changes_something_refuses_a_moment(ask, taught, latest):
    await taught(GIVE.format(1))
    then = await latest()
    for verb in sorted(name for name in set(VERBS) - {"fork"} if REQUESTS[name].access != "past"):
        with pytest.raises(ArgumentsError, match="takes no moment"):
            await ask(verb, "give", at=then)
    assert await latest() == then


@pytest.mark.parametrize(
    "when", ["the other day", "", 5, None, "f" * 24, "0" * 16, "0001-01-01", "1900-01-01"]
)
async def test_what_is_no_moment_of_the_image_is_a_coded_error(ask, when):
    with pytest.raises(BatError) as caught:
        await ask("list", at=when)
    assert caught.value.code in ("INVALID_ARGS", "NOT_FOUND")


async def test_a_message_is_answered_as_of_then_and_leaves_no_trace(mind, make, taught, latest):
    await make("counter", [COUNT], n=1)
    then = await latest()

    def move_on(root):
        root["objects"]["counter"].set_slot("n", 100)

    await mind.image.transact(move_on, note="move on")
    last = await latest()
    dispatcher = Dispatcher(mind, None, lambda: {"boot": "b"}, lambda: None, VERBS)

    async def send(selector, **body):
        request = check(Request("send", target="counter", selector=selector, body=body))
        return (await dispatcher.handle(request, lambda reply: None)).body

    told = await send("count", at=then)
    assert (told["result"], told["dropped"], told["at"]["transaction"]) == (2, True, then)
    assert ((await send("n", at=then))["result"], (await send("n"))["result"]) == (1, 100)
    assert await latest() == last
    with pytest.raises(NotUnderstoodError):
        await send("wave", at=then)
    with pytest.raises(NotFoundError):
        await send("n", at="0" * 16)
    assert mind.image.uses.waiting() == {}


async def test_bisect_finds_the_transaction_that_changed_an_answer(mind, taught, ask, latest):
    await taught("def area(self, a):\n    return a * a\n")
    good = await latest()
    for number in range(11):
        await taught(GIVE.format(number))
    await taught("def area(self, a):\n    return a + a\n")
    culprit = await latest()
    for number in range(20, 33):
        await taught(GIVE.format(number))
    told = await ask("bisect", "area", args=[3], good=good)
    assert (told["transaction"], told["note"]) == (culprit, "teach area")
    assert (told["before"], told["after"]) == ({"result": 9}, {"result": 6})
    # one for what was good, and a search among n transactions of which perhaps none did it
    assert told["transactions"] == 25
    assert told["openings"] <= 1 + math.ceil(math.log2(told["transactions"] + 1))


async def test_bisect_takes_not_being_understood_for_an_answer(ask, taught, latest):
    good = await latest()
    await taught("def other(self):\n    return 0\n")
    await taught(GIVE.format(1))
    culprit = await latest()
    told = await ask("bisect", "give", good=good)
    assert (told["transaction"], told["after"]) == (culprit, {"result": 1})
    assert told["before"]["error"] == "NOT_UNDERSTOOD"


async def test_bisect_says_when_there_is_nothing_to_find(ask, taught, latest):
    await taught(GIVE.format(1))
    good = await latest()
    with pytest.raises(ArgumentsError, match="nothing was committed"):
        await ask("bisect", "give", good=good)
    await taught("def other(self):\n    return 0\n")
    with pytest.raises(ArgumentsError, match="the same at both moments"):
        await ask("bisect", "give", good=good)
    with pytest.raises(ArgumentsError, match="bisect needs good"):
        await ask("bisect", "give")


async def test_the_numbers_of_calls_are_known_at_once_and_written_later(mind, make, answer, ask):
    relay = "def relay(self):\n    return self.friend.give()\n"
    await make("friend", [GIVE.format(7)])
    await make("caller", [relay], friend="@friend")
    dispatcher = Dispatcher(mind, None, lambda: {"boot": "b"}, lambda: None, VERBS)
    before = await mind.image.transact(lambda root: root._p_jar.db().lastTransaction(), note="t")
    for target, selector in (("caller", "relay"), ("friend", "give"), ("friend", "give")):
        await dispatcher.handle(Request("send", target=target, selector=selector), lambda r: None)
    uses = (await ask("why", "give", target="friend"))["uses"]
    assert (uses["count"], uses["callers"]) == (3, {"client": 2, "caller": 1})
    after = await mind.image.transact(lambda root: root._p_jar.db().lastTransaction(), note="t")
    assert after == before
    assert await flush(mind.image) == 4
    assert (await ask("why", "give", target="friend"))["uses"] == uses
