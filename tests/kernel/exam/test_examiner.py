"""bat_os.kernel.exam.examiner: when an exam is held, what ends it, and what is left of it."""

import asyncio
import json
import time

import pytest
import pytest_asyncio

from bat_os.app.wiring import ADAPTERS
from bat_os.core.ability import USUAL, Ability
from bat_os.core.digest import digest
from bat_os.engines.gguf import packaged_gguf
from bat_os.engines.scripted import ScriptedEngine
from bat_os.errors import ModelError
from bat_os.image.files.disk import hash_file
from bat_os.image.models import ADAPTER_FILES, digest_of, keep_ability, read_abilities
from bat_os.kernel.exam import examiner as module
from bat_os.kernel.exam.examiner import Examiner, read_shipped
from bat_os.kernel.exam.sitting import read_paper
from bat_os.kernel.idle.politeness import Politeness
from tests.kernel.exam.minds import able
from tests.kernel.minds import TINY, make_mind
from tests.kernels import ANSWERS, KernelProcess, write_script

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]
MODEL = TINY.personas["ALFRED"].model
SMALL = read_paper()
SMALL = type(SMALL)(SMALL.tasks[:10], SMALL.pairs[:8], SMALL.texts[:4])


ALONE = Politeness(polite=False)  # whatever else runs on the machine of the tests


@pytest_asyncio.fixture(loop_scope="module")
async def hold(image, cell, monkeypatch):
    """Return a function that starts an examiner on a scripted model, with a short exam."""
    monkeypatch.setattr(module, "read_paper", lambda: SMALL)
    monkeypatch.setattr(module, "QUIET_SECONDS", 0.0)
    tasks = []

    async def start(script=able, **options):
        mind = make_mind(image, cell, script, gate=options.pop("gate", None))
        examiner = Examiner(mind, **options)
        examiner.politeness = ALONE
        await examiner.recall()
        tasks.append(asyncio.create_task(examiner.keep()))
        return examiner, mind

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what ends it has no event
            await asyncio.sleep(0.01)


async def test_an_asked_exam_ends_in_the_image_and_in_what_the_steps_ask(hold, image):
    examiner, mind = await hold()
    assert not mind.ability_of("ALFRED").is_formed
    examiner.start(MODEL)
    await until(lambda: examiner.figures(MODEL))

    [entry] = (await read_abilities(image)).values()
    assert (entry["model"], entry["writes"], entry["judges"]) == (MODEL, 1.0, 1.0)
    assert mind.ability_of("BRICK") == mind.ability_of("ALFRED") == Ability.from_plain(entry)
    assert mind.ability_of("ALFRED").is_formed
    assert examiner.facts() == {}


async def test_figures_of_the_image_are_known_at_once_and_no_exam_is_held(hold, image):
    key = ScriptedEngine([]).digest
    await keep_ability(image, key, {"model": MODEL, "adapter": "", "writes": 0.7})
    examiner, mind = await hold(unasked=True)

    assert mind.ability_of("ROBIN").repairs is True
    assert await examiner._next() is None


async def test_a_model_without_figures_is_examined_unasked_but_not_on_battery(hold):
    examiner, _ = await hold(unasked=True)
    examiner.politeness = Politeness(polite=True, look=lambda: "it runs on its battery")
    assert await examiner._next() is None
    examiner.politeness = Politeness(polite=True, look=lambda: "")
    one = await examiner._next()
    assert (one.model, one.persona) == (MODEL, next(iter(TINY.personas)))
    examiner.is_quiet = lambda _seconds: False
    assert await examiner._next() is None


async def test_nothing_is_drawn_while_something_else_is_wanted_and_a_batch_is_dropped_for_it(hold):
    gate, message = asyncio.Event(), time.monotonic() - 100
    examiner, mind = await hold(gate=gate)
    engine = mind.roster._memory.models[MODEL].engine
    examiner.is_quiet = lambda seconds: time.monotonic() - message >= max(seconds, 0.5)
    examiner.start(MODEL)
    await until(lambda: len(engine.prompts) == 1)  # it draws, and the gate holds it
    message = time.monotonic()
    await until(lambda: mind.roster.stats()["models"][0]["in_use"] == 0)
    gate.set()
    await asyncio.sleep(0.1)
    assert (len(engine.prompts), examiner.facts()["done"]) == (1, 0)
    await until(lambda: examiner.figures(MODEL))
    assert examiner.figures(MODEL)[0]["writes"] == 1.0


async def test_a_cancelled_exam_leaves_no_figures_and_does_not_begin_again_unasked(hold, image):
    gate = asyncio.Event()
    examiner, mind = await hold(gate=gate)
    examiner.start(MODEL)
    await until(lambda: "part" in examiner.facts())
    assert examiner.facts() == {"name": MODEL, "part": "form", "parts": 6, "done": 0, "of": 10}
    assert await examiner.cancel(MODEL)
    assert not await examiner.cancel(MODEL)

    assert examiner.figures(MODEL) == []
    assert mind.ability_of("ALFRED") == Ability()
    later = Examiner(mind, unasked=True)
    await later.recall()
    assert await later._next() is None
    gate.set()
    examiner.start(MODEL)
    await until(lambda: examiner.figures(MODEL))


async def test_an_exam_that_fails_is_told_until_it_is_asked_for_again(hold, monkeypatch):
    examiner, mind = await hold()
    engine = mind.roster._memory.models[MODEL].engine

    async def fail(*_given, **_options):
        raise ModelError("the disk is full")

    monkeypatch.setattr(engine, "generate", fail)
    examiner.start(MODEL)
    await until(lambda: examiner.facts().get("failed"))
    assert examiner.facts() == {"failed": {MODEL: "the disk is full"}}
    monkeypatch.undo()
    monkeypatch.setattr(module, "read_paper", lambda: SMALL)
    monkeypatch.setattr(module, "QUIET_SECONDS", 0.0)
    assert examiner.start(MODEL) == {"waiting": [MODEL]}
    await until(lambda: examiner.figures(MODEL) and not examiner.facts())


@pytest.mark.parametrize("kind", ["absent", "silent"])
async def test_an_exam_of_a_model_that_cannot_be_known_does_not_vanish(
    image, cell, monkeypatch, kind
):
    def nothing(*_given):
        raise ModelError("the server does not answer")

    engine = Served(nothing) if kind == "silent" else ScriptedEngine(able)
    mind = make_mind(image, cell, able, engine=engine)
    monkeypatch.setattr(mind.roster, "digest_of", lambda _persona: "")
    examiner = Examiner(mind)
    await examiner.recall()
    examiner.start(MODEL)
    assert await examiner._next() is None
    why = {"absent": "is not in the image; run: batos", "silent": "the server does not answer"}
    assert why[kind] in examiner.facts()["failed"][MODEL]


async def test_every_adapter_that_a_model_is_used_with_is_examined(hold, image, monkeypatch):
    examiner, mind = await hold()
    monkeypatch.setattr(
        mind.roster, "adapter_of", lambda persona, **_kind: "b" if persona == "BRICK" else ""
    )
    monkeypatch.setattr(mind.roster._memory.models[MODEL].engine, "_adapters", {"b"}, raising=False)
    examiner.start(MODEL)
    await until(lambda: len(examiner.figures(MODEL)) == 2)
    assert {known["adapter"] for known in examiner.figures(MODEL)} == {"", "b"}


async def asked(client, condition):
    """Ask for the models until they are as wanted."""
    async with asyncio.timeout(120):
        while not condition(listed := await client.request("models")):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)
        return listed


class Served(ScriptedEngine):
    """A scripted model that lies on a server."""

    kind = "openai"


async def test_a_served_model_is_known_by_its_answer_and_a_paid_one_is_asked_on_demand(
    image, cell, monkeypatch
):
    monkeypatch.setattr(module, "read_paper", lambda: SMALL)
    monkeypatch.setattr(module, "QUIET_SECONDS", 0.0)
    engine = Served(able)
    mind = make_mind(image, cell, able, engine=engine)
    free, paid = Examiner(mind, unasked=True), Examiner(mind, unasked=True, paid=[MODEL])
    for examiner in (free, paid):
        examiner.politeness = ALONE
        await examiner.recall()
    assert engine.prompts == []

    assert await paid._next() is None
    assert engine.prompts == []
    one = await free._next()
    assert (one.key, len(engine.prompts)) == (digest(f"{MODEL}\nMonday"), 1)
    paid.start(MODEL)
    assert (await paid._next()).key == one.key


def answers(tmp_path):
    """Return a script file by which the exam takes a while and ends badly."""
    return write_script(tmp_path / "script.jsonl", ANSWERS)


async def test_a_kernel_that_is_killed_in_an_exam_has_nothing_half_and_shows_it_all_later(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    kernel = KernelProcess(home, answers(tmp_path)).start()
    try:
        await kernel.until_ready()
        async with kernel.client() as client:
            await client.request("models.exam", body={"name": MODEL})
            await asked(client, lambda listed: listed["exam"].get("done"))
            intake = await client.request("models.cancel", body={"name": MODEL})
            assert intake == {"cancelled": False}, "an exam is another thing"
            known = await client.request("send", target="genesis_obj", selector="give_seven")
            assert known["result"] == 7
        kernel.kill()
        kernel.start()
        await kernel.until_ready()
        async with kernel.client() as client:
            listed = await client.request("models")
            assert (listed["exam"], [row["abilities"] for row in listed["models"]]) == ({}, [[]])
            await client.request("models.exam", body={"name": MODEL})
            listed = await asked(client, lambda listed: listed["models"][0]["abilities"])
        assert listed["models"][0]["abilities"][0]["form"] == 0.0
        json.dumps(listed)
    finally:
        kernel.stop()


async def test_the_shipped_figures_can_be_read():
    for key, entry in read_shipped().items():
        assert len(key.split("+")[0]) == 64
        assert Ability.from_plain(entry).writes is not None


async def test_the_model_that_comes_with_the_program_has_figures():
    gguf, lora = packaged_gguf(), ADAPTERS / "method-writer"
    model = digest_of({gguf.name: hash_file(gguf)})
    adapter = digest_of({name: hash_file(lora / name) for name in ADAPTER_FILES})
    entry = read_shipped()[f"{model}+{adapter}"]

    assert entry["model"] == MODEL
    known = Ability.from_plain(entry)
    assert None not in (known.writes, known.judges, known.tests, known.plans, known.form)
    assert (known.repairs, known.draws(8), known.agreement) == (False, 8, USUAL)
