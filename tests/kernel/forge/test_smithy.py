"""bat_os.kernel.forge: a run from gold to the place of the adapter, or to nothing."""

import asyncio
import contextlib
import json

import pytest
import pytest_asyncio

from bat_os.engines.scripted import ScriptedEngine
from bat_os.errors import ArgumentsError, BusyError, NotFoundError
from bat_os.image import models, runs
from bat_os.image.objects import find
from bat_os.kernel.exam import examiner as examiner_module
from bat_os.kernel.exam.examiner import Examiner
from bat_os.kernel.exam.sitting import read_paper
from bat_os.kernel.forge import comparing
from bat_os.kernel.forge import smithy as module
from bat_os.kernel.forge.smithy import Smithy
from tests.kernel.exam.minds import able
from tests.kernel.minds import TINY, make_mind
from tests.training.test_training import make_base

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]
MODEL = TINY.personas["ALFRED"].model
PAPER = read_paper()


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
    monkeypatch.setattr(module, "RECIPE", {"rate": 5e-4, "epochs": 1, "rank": 2})
    monkeypatch.setattr(module, "QUIET_SECONDS", 0.0)
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


async def until(smithy, so, seconds=120):
    async with asyncio.timeout(seconds):
        while not so(status := await smithy.status()):
            assert "fault" not in status, status
            await asyncio.sleep(0.05)
    return status


def forged(smithy, folder):
    """Leave a run whose training has ended."""
    adapter = folder / "forge" / "adapter"
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text("{}")
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    about = {
        "run": 1, "persona": "ALFRED", "personas": ["ALFRED", "BRICK"], "model": MODEL,
        "before": "", "dataset": "d", "records": ["r1"], "skills": ["self_obj.s"], "begun": 1.0,
    }  # fmt: skip
    (folder / "forge" / "about.json").write_text(json.dumps(about))


async def seen(image):
    def work(root):
        return {
            "runs": runs.read(root),
            "models": sorted(root["models"]),
            "writing": {
                name: find(root, f"{name}_obj").slots.get("writing") or ""
                for name in ("alfred", "brick", "robin")
            },
        }

    return await image.transact(work, note="look")


@pytest.mark.model
@pytest.mark.system
async def test_a_run_outlives_the_daemon_and_a_better_adapter_takes_its_place(world, image):
    before = await seen(image)
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


async def test_a_run_whose_end_is_in_the_image_is_not_tried_again(world, image, tmp_path):
    smithy, _ = world()
    forged(smithy, tmp_path)
    record = {"outcome": "promoted", "before": {"alfred_obj": "older"}, "records": []}
    await image.transact(lambda root: runs.note(root, 1, record), note="as it was promoted")
    async with kept(smithy):
        await until(smithy, lambda status: status["state"] == "idle")
    assert (await seen(image))["runs"] == [{"run": 1, **record}]
    assert not (tmp_path / "forge").exists()


async def test_a_trial_that_is_stopped_decides_nothing(world, image, tmp_path):
    smithy, _ = world()
    forged(smithy, tmp_path)
    async with kept(smithy):
        await until(smithy, lambda status: status["state"] == "trying")
        assert await smithy.stop()
        assert (await until(smithy, lambda status: status["state"] == "stopped"))["run"] == 1
    assert (await seen(image))["runs"] == []
