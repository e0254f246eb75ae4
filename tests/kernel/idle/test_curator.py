"""The Curator on a real image: which methods are gold, and that nothing of it is kept."""

import ast

import pytest

from bat_os.core.brief import Brief
from bat_os.core.choosing import MENDED
from bat_os.core.protocol import Request
from bat_os.core.verbs import check
from bat_os.image.history import marks
from bat_os.image.history.beside import record_of
from bat_os.image.history.faults import FAULTS
from bat_os.image.history.uses import DAY, USES, flush
from bat_os.image.history.versions import Skill, install, unlearn
from bat_os.image.store import SHOWN
from bat_os.kernel.idle.curator import curate
from bat_os.kernel.turn import take_turn
from bat_os.kernel.verbs import VERBS
from tests.kernel.minds import make_mind

pytestmark = pytest.mark.asyncio(loop_scope="module")
TWO = ({"args": [1], "kwargs": {}, "result": 4}, {"args": [2], "kwargs": {}, "result": 8})
_TEXT = (
    "apple bridge candle desert engine forest garden hammer island jungle kettle ladder magnet "
    "needle orange pencil quartz rocket saddle tunnel umbrella valley window yellow zebra anchor "
    "basket copper dragon eagle falcon glacier harbour insect jacket kitten lantern marble nectar "
    "oyster"
)
WORDS = _TEXT.split()


@pytest.fixture
async def mind(image, cell):
    return make_mind(image, cell, lambda *_: "pass")


@pytest.fixture
def learn(mind):
    """Return a function that installs what a mission wrote; ``after`` changes what is noted."""
    numbers = iter(range(1000))

    async def run(word, status="verified", examples=TWO, after=None, body=None, **origin):
        number = next(numbers)
        selector = f"do_{word}"
        source = f"def {selector}(self, a):\n    {body or f'return a * {number} + 4'}\n"
        wish = f"Polish {word} {word[::-1]}"
        provenance = {
            "mission": f"m{number:04}", "model": "tiny", "adapter": "writer", "passages": [],
            "brief": Brief("genesis_obj", selector, (1,), {}, wish).to_plain(),
            "examples": list(examples), "created": 5.0, **origin,
        }  # fmt: skip
        vector = await mind.catalog.embed([wish])
        skill = Skill(selector, source, status, provenance, wish, vector, ["whole"])

        def work(root):
            holder = root["objects"]["genesis_obj"]
            install(root, holder, skill)
            method = holder.slots[selector]
            if after is not None:
                after(root, holder, method)

        await mind.image.transact(work, note=f"learn {selector}")

    return run


def used(root, _holder, method):
    calls = {str(n): (f"(({n},), {{}})", str(n)) for n in range(3)}
    record_of(root, USES, method).update(
        count=5, first=1.0, last=90_000.0, versions={1: 5}, callers={"client": 5},
        shown={1: calls}, days={1: (10, 11)},
    )  # fmt: skip


def approved(_root, _holder, method):
    method.approve({"at": 6.0, "by": "ARCHITECT", "examples": []})


def faulty(count):
    def note(root, _holder, method):
        fault = {"at": 5.0, "kind": "raised", "text": "it broke", "call": "c"}
        record_of(root, FAULTS, method)[1] = tuple([fault] * count)

    return note


def tainted(root, _holder, method):
    mark = {"at": 6.0, "document": "document:x", "what": "changed", "version": 1}
    marks.set_mark(root, "taint", method, mark)


def gone(root, holder, method):
    unlearn(root, holder, method.selector, at=6.0)


def proved(root, _holder, method):
    marks.add_move(root, method, {"at": 6.0, "what": "verify", "version": 1})


async def test_of_forty_missions_exactly_fourteen_are_gold(mind, learn):
    words = iter(WORDS)
    hop = {"through": [{"name": "another", "id": "b"}]}
    gold, one = [], TWO[:1]

    async def several(count, *, is_gold=False, **how):
        for _ in range(count):
            word = next(words)
            await learn(word, **how)
            gold.extend([f"do_{word}"] if is_gold else ())

    await several(5, is_gold=True)
    await several(3, is_gold=True, examples=one, after=used)
    await several(3, is_gold=True, status="provisional", examples=(), after=approved)
    await several(1, is_gold=True, after=proved, **hop)
    for body in ("return sorted(a)", "return a[::-1]"):  # twice the same
        await several(1, is_gold=True, body=body, after=used)
        await several(1, body=body)
    await several(4, examples=one)
    await several(3, status="provisional", examples=(), after=used)
    await several(3, status="provisional", examples=())
    await several(2, examples=one, fixups=[MENDED])
    await several(2, after=faulty(3))
    await several(1, after=faulty(1))
    await several(2, after=gone)
    await several(2, after=tainted)
    await several(1, **hop)
    await several(2, adapted_from="seed:x")
    await several(1, examples=())  # written tests alone
    await several(1, status="taught", model="")
    assert next(words, "") == ""

    records = await curate(mind)
    found = {grade: {r["lineage"]["selector"] for r in records if r["grade"] == grade}
             for grade in ("gold", "silver", "none")}  # fmt: skip
    assert len(gold) == 14
    assert found["gold"] == set(gold)
    assert len(found["silver"]) == 7
    assert len(found["none"]) == 40 - 14 - 7 - 2  # what is unlearned does not answer at all


async def test_a_record_has_what_training_reads_and_where_it_comes_from(mind, learn):
    await learn("apple", after=used, prompt_sha256="p", passages=["document:x"])
    (record,) = await curate(mind)
    assert record["wish"] == "Polish apple elppa."
    assert record["call"] == "do_apple(a)"
    assert record["body"] == "return a * 0 + 4"
    assert [ast.literal_eval(case["value"]) for case in record["cases"]] == [4, 8, 0]
    assert record["lineage"] == {
        "mission": "m0000", "object": "genesis_obj", "selector": "do_apple", "version": 1,
        "sha256": record["lineage"]["sha256"], "model": "tiny", "adapter": "writer",
        "prompt": "p", "passages": ["document:x"],
    }  # fmt: skip
    assert record["cluster"] == "m0000"


async def test_unlearning_takes_a_record_out_in_the_same_transaction(mind, learn):
    await learn("apple")
    await learn("bridge")
    before = await ask(mind)
    assert [record["lineage"]["selector"] for record in before["golden"]] == [
        "do_apple", "do_bridge",
    ]  # fmt: skip
    await mind.image.transact(
        lambda root: unlearn(root, root["objects"]["genesis_obj"], "do_apple", at=6.0), note="t"
    )
    after = await ask(mind)
    assert [record["lineage"]["selector"] for record in after["golden"]] == ["do_bridge"]
    assert after["digest"] != before["digest"]
    assert after["counts"] == {"gold": 1, "silver": 0, "none": 0}


async def ask(mind, **body):
    return await VERBS["golden"](mind, check(Request("golden", body=body)), lambda told: None)


async def test_pages_follow_one_another(mind, learn):
    for word in WORDS[:5]:
        await learn(word)
    seen, after = [], ""
    while True:
        page = await ask(mind, limit=2, after=after)
        seen += [record["lineage"]["selector"] for record in page["golden"]]
        if not (after := page["after"]):
            break
    assert seen == [f"do_{word}" for word in WORDS[:5]]


async def test_calls_that_were_answered_are_remembered_with_few_examples(mind, learn):
    await learn("apple", examples=TWO[:1], body="return a * 2")
    before = await curate(mind)
    for value in (1, 2, 3, 3, *range(10, 10 + SHOWN), "x" * 900):
        brief = Brief("genesis_obj", "do_apple", (value,))
        await take_turn(mind.image, mind.cell, brief)
    for tally in mind.image.uses._counted.values():
        tally.last += DAY
    await flush(mind.image)
    (after,) = await curate(mind)
    assert (before[0]["grade"], after["grade"]) == ("silver", "gold")
    assert [case["args"] for case in after["cases"]] == ["1", "2", "3", "10", "11"]
    assert [case["value"] for case in after["cases"]] == ["4", "4", "6", "20", "22"]


async def test_what_comes_of_a_slot_is_no_case(mind, learn):
    await learn("apple", body="return self.name", after=used)
    (record,) = await curate(mind)
    assert [case["value"] for case in record["cases"]] == ["4", "8"]


async def test_looking_changes_nothing(mind, learn):
    await learn("apple")

    def latest(root):
        return root._p_jar.db().lastTransaction()

    before = await mind.image.transact(latest, note="look")
    await curate(mind)
    assert await mind.image.transact(latest, note="look") == before


async def test_what_was_practised_lies_in_a_cluster_of_its_own(mind, learn):
    for word in WORDS[:5]:
        await learn(word, mission="")
    records = await curate(mind)
    assert len({record["cluster"] for record in records}) == 5
    assert {record["grade"] for record in records} == {"gold"}
