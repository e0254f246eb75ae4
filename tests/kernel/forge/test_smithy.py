"""bat_os.kernel.forge: a run from gold to the place of the adapter, or to nothing."""

import asyncio
import contextlib
import json
import sys

import pytest
import pytest_asyncio

from bat_os.core import gate
from bat_os.core.brief import Brief
from bat_os.core.protocol import Request
from bat_os.core.verbs import check
from bat_os.engines.scripted import ScriptedEngine
from bat_os.errors import ArgumentsError, BusyError, CellError, NotFoundError
from bat_os.image import models, runs
from bat_os.image.objects import find
from bat_os.kernel.exam import examiner as examiner_module
from bat_os.kernel.exam.examiner import Examiner
from bat_os.kernel.exam.sitting import read_paper
from bat_os.kernel.forge import child, comparing
from bat_os.kernel.forge import smithy as module
from bat_os.kernel.forge.smithy import Smithy
from bat_os.kernel.idle import works
from bat_os.kernel.idle.heartbeat import Heartbeat
from bat_os.kernel.turn import take_turn
from bat_os.kernel.verbs import VERBS
from bat_os.kernel.verbs.idle import install
from tests.forks import TRAINER
from tests.kernel.exam.minds import able
from tests.kernel.idle.test_heartbeat import Clock, beat_all, graph
from tests.kernel.minds import TINY, make_mind
from tests.training.test_training import make_base

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]
MODEL = TINY.personas["ALFRED"].model
PAPER = read_paper()
LINEAGE = [{"mission": "m1", "object": "genesis_obj", "selector": "treble", "version": 1}]


class Bench:
    """The engines as the smithy sees them: weights that it trains on, and a scripted model."""

    def __init__(self, image, engine, base):
        self._image = image
        self._engine = engine
        self._base = base

    def check_training(self):
        pass

    async def weights(self, name):
        assert name == MODEL
        return self._base

    async def try_adapter(self, name, folder, base):
        await self._engine.add_adapter(name, folder)

    async def keep_adapter(self, name, folder, base, also):
        await models.ingest_adapter(self._image, name, folder, [base], also=also)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_base(tmp_path_factory.mktemp("base") / "tiny-llama")


@pytest_asyncio.fixture(loop_scope="module")
async def world(image, cell, base, tmp_path, monkeypatch):
    """Return a function that makes a smithy whose new adapter has so many of 8 drafts right."""
    monkeypatch.setattr(comparing, "read_paper", lambda: type(PAPER)(PAPER.tasks[:8], (), ()))
    monkeypatch.setattr(gate, "LEAST_WISHES", 8)
    monkeypatch.setattr(module, "RECIPE", {"rate": 5e-4, "epochs": 1, "rank": 2})
    monkeypatch.setattr(module, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(child, "MODULE", "tests.training.eager")
    monkeypatch.setattr(sys, "executable", TRAINER)
    monkeypatch.setattr(examiner_module, "QUIET_SECONDS", 0.0)
    await models.ingest_folder(image, MODEL, base)

    def make(after=8, before=3, **options):
        def answer(prompt, sampling, index):
            right = after if engine.used[-1].startswith("forge") else before
            body = able(prompt, sampling) if index < right else " return None"
            return f"{body}  # {index}"

        engine = ScriptedEngine(answer)
        mind = make_mind(image, cell, None, engine=engine, **options)
        bench = Bench(image, engine, base)
        return Smithy(mind, bench, Examiner(mind), tmp_path / "forge"), mind

    return make


@contextlib.asynccontextmanager
async def kept(smithy):
    task = asyncio.create_task(smithy.keep())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(smithy, so, seconds=250):
    async with asyncio.timeout(seconds):
        while not so(status := await smithy.status()):
            assert "fault" not in status, status
            await asyncio.sleep(0.05)
    return status


def forged(smithy, folder, **about):
    """Leave a run whose training has ended."""
    adapter = folder / "forge" / "adapter"
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text("{}")
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    about = {
        "run": 1, "persona": "ALFRED", "personas": ["ALFRED", "BRICK"], "model": MODEL,
        "before": "", "dataset": "d", "records": ["r1"], "lineage": LINEAGE, "begun": 1.0,
        **about,
    }  # fmt: skip
    (folder / "forge" / "about.json").write_text(json.dumps(about))


async def seen(image):
    def work(root):
        return {
            "runs": [{**run, "stale_by": []} for run in runs.read(root)],
            "models": sorted(root["models"]),
            "writing": {
                name: find(root, f"{name}_obj").slots.get("writing") or ""
                for name in ("alfred", "brick", "robin")
            },
        }

    return await image.transact(work, note="look")


async def filled(image):
    """Return all that objects hold, without entries that are empty: these count as not there."""
    objects = await graph(image)
    return {name: {key: value for key, value in slots.items() if value != "''"}
            for name, slots in objects.items()}  # fmt: skip


@pytest.mark.model
@pytest.mark.system
async def test_a_run_outlives_the_daemon_and_a_better_adapter_takes_its_place(world, image):
    before, objects = await seen(image), await filled(image)
    smithy, mind = world()
    with pytest.raises(ArgumentsError, match="50 more gold records and 20 more clusters"):
        await smithy.start()
    async with kept(smithy):
        assert (await smithy.start(anyway=True))["state"] == "training"
        with pytest.raises(BusyError):
            await smithy.start(anyway=True)
        await until(smithy, lambda status: status.get("step", 0) > 11)
    assert await seen(image) == before

    smithy, mind = world()
    steps = []
    async with kept(smithy):
        await until(
            smithy,
            lambda status: (
                steps.extend([status["step"]] if "step" in status else [])
                or status["state"] == "idle"
            ),
        )
    assert steps[0] > 10
    after = await seen(image)
    [run] = after["runs"]
    assert (run["outcome"], len(run["gates"])) == ("promoted", 5)
    assert after["models"] == sorted([*before["models"], "forge-1"])
    assert after["writing"]["alfred"] == "forge-1"
    assert mind.cast.assigned["ALFRED"].writing == "forge-1"

    undone = await image.transact(lambda root: runs.undo(root, 1, at=2.0), note="undo")
    assert undone["outcome"] == "undone"
    assert await filled(image) == objects
    assert (await seen(image))["writing"] == before["writing"]
    with pytest.raises(ArgumentsError, match="undone; only a promoted one"):
        await image.transact(lambda root: runs.undo(root, 1, at=2.0), note="undo")
    with pytest.raises(NotFoundError):
        await image.transact(lambda root: runs.undo(root, 7, at=2.0), note="undo")


async def test_one_that_writes_no_better_leaves_its_figures_and_nothing_else(
    world, image, tmp_path
):
    before = await seen(image)
    smithy, _ = world(after=3)
    forged(smithy, tmp_path)
    async with kept(smithy):
        await until(smithy, lambda status: status["state"] == "idle")
    after = await seen(image)
    [run] = after.pop("runs")
    before.pop("runs")
    assert after == before
    assert (run["outcome"], run["gates"][-1]["gate"]) == ("refused", "gain")
    assert run["gates"][-1]["figures"]["wishes"] == 8
    assert run["rules"] == comparing.digest_rules()
    assert not (tmp_path / "forge").exists()


async def test_where_a_person_approves_a_better_one_waits_for_them(world, image, tmp_path):
    before = await seen(image)
    smithy, _ = world(approve=True)
    forged(smithy, tmp_path)
    async with kept(smithy):
        await until(smithy, lambda status: status["state"] == "idle")
    after = await seen(image)
    assert after["runs"][0]["outcome"] == "waits"
    assert after["writing"] == before["writing"]
    assert "forge-1" in after["models"]


async def test_a_stopped_run_goes_on_when_it_is_started_again(world, image, tmp_path):
    smithy, _ = world()
    assert not await smithy.stop()
    forged(smithy, tmp_path)
    assert await smithy.stop()
    async with kept(smithy):
        await asyncio.sleep(0.2)
        assert (await smithy.status())["state"] == "stopped"
        await smithy.start()
        await until(smithy, lambda status: status["state"] == "idle")
    assert (await seen(image))["runs"][0]["outcome"] == "promoted"


@pytest.mark.model
@pytest.mark.system
async def test_a_stop_is_not_held_up_by_its_own_message_and_status_says_how_far_it_is(
    world, monkeypatch
):
    monkeypatch.setattr(child, "PATIENCE_SECONDS", 1e9)
    smithy, _ = world()
    async with kept(smithy):
        await smithy.start(anyway=True)
        await until(smithy, lambda status: status.get("step", 0) > 1)
        smithy._examiner.is_quiet = lambda seconds: False  # somebody is there: the one who stops it
        assert await smithy.stop()
        async with asyncio.timeout(250):
            while smithy._child is not None:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.05)
    status = await smithy.status()
    assert (status["state"], status["of"]) == ("stopped", 57)
    assert status["step"] > 1
    assert status["left"] == pytest.approx(status["each"] * (57 - status["step"]), abs=3)


async def test_a_run_whose_end_is_in_the_image_is_not_tried_again(world, image, tmp_path):
    smithy, _ = world()
    forged(smithy, tmp_path)
    record = {"outcome": "promoted", "before": {"alfred_obj": "older"}, "records": []}
    await image.transact(lambda root: runs.note(root, 1, record), note="as it was promoted")
    async with kept(smithy):
        await until(smithy, lambda status: status["state"] == "idle")
    assert (await seen(image))["runs"] == [{"run": 1, **record, "stale_by": []}]
    assert not (tmp_path / "forge").exists()


async def test_a_trial_that_is_stopped_decides_nothing(world, image, tmp_path):
    smithy, _ = world()
    forged(smithy, tmp_path)
    async with kept(smithy):
        await until(smithy, lambda status: status["state"] == "trying")
        assert await smithy.stop()
        assert (await until(smithy, lambda status: status["state"] == "stopped"))["run"] == 1
    assert (await seen(image))["runs"] == []


async def ask(mind, verb, target="", selector="", **body):
    request = check(Request(verb, target=target, selector=selector, body=body))
    return await VERBS[verb](mind, request, lambda told: None)


async def test_lineage_stands_both_ways_and_what_was_unlearned_makes_it_stale(
    world, image, tmp_path
):
    smithy, mind = world()
    await ask(mind, "teach", "genesis_obj", source="def treble(self, n):\n    return n * 3\n")
    forged(smithy, tmp_path)
    async with kept(smithy):
        await until(smithy, lambda status: status["state"] == "idle")
    told = await ask(mind, "why", "forge-1")
    assert (told["status"], told["learned_from"], told["stale_by"]) == ("promoted", LINEAGE, [])
    why = await ask(mind, "why", "genesis_obj", "treble")
    assert why["taught"] == [{"adapter": "forge-1", "outcome": "promoted", "version": 1}]
    with pytest.raises(NotFoundError, match="the forge has made no adapter 'forge-2'"):
        await ask(mind, "why", "forge-2")

    told = await ask(mind, "unlearn", "genesis_obj", "treble")
    assert told["adapters"] == ["forge-1"]
    (stale,) = (await ask(mind, "why", "forge-1"))["stale_by"]
    assert (stale["selector"], stale["why"]) == ("treble", "it was unlearned")
    await ask(mind, "redo", "genesis_obj", "treble")
    assert (await ask(mind, "why", "forge-1"))["stale_by"] == []
    with contextlib.suppress(CellError):
        await take_turn(image, mind.cell, Brief("genesis_obj", "treble", (None,)))
    (stale,) = (await ask(mind, "why", "forge-1"))["stale_by"]
    assert stale["why"] == "it failed in use"


async def test_the_heartbeat_begins_a_run_and_what_comes_of_it_waits_for_a_yes(
    world, image, monkeypatch, tmp_path
):
    smithy, mind = world()
    clock, heart = Clock(), Heartbeat(mind, install)
    heart.around, heart.forge = clock.around(), smithy
    monkeypatch.setattr(works, "FORGE_SECONDS", 0.5)
    async with kept(smithy):
        await beat_all(heart)
        assert (await smithy.status())["state"] == "idle"  # nothing was learned yet
        monkeypatch.setattr(module, "LEAST_GOLD", 0)
        monkeypatch.setattr(module, "LEAST_CLUSTERS", 0)
        heart._nothing = (None, 0.0)
        await heart.beat()
        assert (await smithy.status())["state"] == "training"
        assert not smithy._may()
        clock.quiet = False
        assert await heart.beat() == 0
        clock.quiet = True
        while (await smithy.status())["state"] != "idle":
            assert await heart.beat() or heart.resting == "the budget of today is used up"
            clock.time += 86_400  # what is left of the run is for the next day
        assert not (tmp_path / "forge").exists()
    after = await seen(image)
    assert after["runs"][0]["outcome"] == "waits"
    assert after["writing"]["alfred"] != "forge-1"
    (row,) = (await ask(mind, "proposals"))["proposals"]
    assert row["what"].startswith("An adapter that I trained on 0 of my methods writes better")
    await ask(mind, "accept", n=row["n"])
    after = await seen(image)
    assert (after["runs"][0]["outcome"], after["writing"]["alfred"]) == ("promoted", "forge-1")
    assert mind.cast.assigned["ALFRED"].writing == "forge-1"
    with pytest.raises(ArgumentsError, match="only one that waits is taken"):
        await image.transact(lambda root: runs.take(root, 1, at=2.0), note="take")


async def test_a_run_that_was_begun_unasked_is_a_person_s_once_they_start_it(
    world, image, tmp_path
):
    smithy, _ = world()
    forged(smithy, tmp_path, unasked=True)
    async with kept(smithy):
        await asyncio.sleep(0.3)
        assert (await smithy.status())["state"] == "training"
        assert await smithy.next_run() == 1
        await smithy.start()
        assert await smithy.next_run() == 0
        await until(smithy, lambda status: status["state"] == "idle")
    assert (await seen(image))["runs"][0]["outcome"] == "promoted"


async def test_the_verb_begins_no_run_without_enough_to_learn_from(world):
    smithy, mind = world()
    request = check(Request("forge", body={"do": "start"}))
    with pytest.raises(ArgumentsError, match="50 more gold records and 20 more clusters"):
        await module.make_forge_verbs(smithy)["forge"](mind, request, print)


async def test_gold_that_is_much_like_the_exam_is_not_learned_and_is_counted(
    world, image, monkeypatch
):
    smithy, _ = world()
    asked = PAPER.tasks[0].brief
    records = [
        {"grade": "gold", "split": "train", "wish": wish, "cluster": wish, "digest": wish}
        for wish in (asked, "fold a paper hat", "paint the fence", "water the plants")
    ]

    async def curate(mind):
        return records

    monkeypatch.setattr(module, "curate", curate)
    gold, _ = await smithy._gold()
    assert [one["wish"] for one in gold] == [one["wish"] for one in records[1:]]
    status = await smithy.status()
    assert (status["new"], status["near"]) == (3, 1)
