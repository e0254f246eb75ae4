"""bat_os.kernel.verbs.history: what a model wrote is drawn again, and is the same."""

import pytest

from bat_os.core.digest import digest
from bat_os.core.protocol import Request
from bat_os.core.verbs import check
from bat_os.engines.scripted import ScriptedEngine
from bat_os.engines.transformers.engine import TransformersEngine
from bat_os.errors import ArgumentsError, ModelError, NotFoundError
from bat_os.kernel.learning.cycle import CognitiveCycle
from bat_os.kernel.verbs import VERBS
from tests.engines.conftest import smollm_folder  # noqa: F401 - a fixture
from tests.kernel.minds import make_mind, open_mission

# Any of them will do: a small model cannot be relied on for a certain one.
WISHES = (("first_letter", "hello"), ("say_hello",), ("add_seven", 3), ("upper_case", "hi"))

pytestmark = pytest.mark.asyncio(loop_scope="module")


def forge(mind, **changes):
    """Change what stands in the provenance of genesis_obj's ``double``."""

    def work(root):
        version = root["objects"]["genesis_obj"].slots["double"].version
        version.provenance = {**version.provenance, **changes}

    return mind.image.transact(work, note="forge")


async def test_a_learned_method_comes_out_again_byte_for_byte(mind, learned, ask, latest):
    await learned()
    before = await latest()
    told = await ask("replay", "double")
    why = await ask("why", "double")
    assert (told["same"], told["source"], told["diff"]) == (True, why["source"], "")
    assert told["replayed"] == told["sha256"] == why["sha256"] == digest(told["source"])
    drawn = why["drawn"]
    assert drawn["prompts"][drawn["batch"][drawn["place"]]]["prefill"].startswith("```python")
    assert drawn["sampling"]["seed"] == why["origin"]["seed"]
    assert await latest() == before


async def test_a_replay_that_comes_out_otherwise_says_so(mind, learned, ask):
    await learned()
    sampling = (await ask("why", "double"))["drawn"]["sampling"]
    drawn = (await ask("why", "double"))["drawn"] | {"sampling": sampling | {"max_tokens": 1}}
    await forge(mind, drawn=drawn)
    told = await ask("replay", "double")
    assert told["same"] is False
    kept = (await ask("why", "double"))["source"].splitlines()
    assert told["diff"].splitlines()[:2] == ["--- version 1", "+++ drawn again"]
    assert f"-{kept[-1]}" in told["diff"].splitlines()


async def test_a_forged_prompt_or_another_model_is_refused(mind, learned, ask):
    await learned()
    drawn = (await ask("why", "double"))["drawn"]
    prompts = [{**one, "prefill": "def evil"} for one in drawn["prompts"]]
    await forge(mind, drawn={**drawn, "prompts": prompts})
    with pytest.raises(ArgumentsError, match="does not have the recorded hash"):
        await ask("replay", "double")
    await forge(mind, drawn=drawn, model="another")
    with pytest.raises(ModelError, match="wrote it with another"):
        await ask("replay", "double")


async def test_what_no_model_wrote_cannot_be_replayed(taught, ask):
    await taught("def give(self):\n    return 1\n")
    with pytest.raises(NotFoundError, match="ARCHITECT"):
        await ask("replay", "give")


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.timeout(600)
async def test_the_real_model_writes_what_was_kept_again_byte_for_byte(image, cell, smollm_folder):  # noqa: F811 - the fixture
    async def folder():
        return smollm_folder

    engine = TransformersEngine("smollm2", folder)
    mind = make_mind(image, cell, [], engine=engine)
    cycle = CognitiveCycle(mind, lambda *_: None)
    try:
        for selector, *args in WISHES:
            answer = await cycle.run(await open_mission(image, selector, *args))
            if answer["type"] == "result":
                break
        request = check(Request("replay", target="genesis_obj", selector=selector))
        told = await VERBS["replay"](mind, request, lambda _: None)
        why = await VERBS["why"](mind, request, lambda _: None)
    finally:
        await engine.close()
    assert why["origin"]["model_digest"] == engine.digest != ""
    assert (told["same"], told["source"]) == (True, why["source"])


async def test_what_was_drawn_without_the_adapter_is_drawn_again_without_it(image, cell, tmp_path):
    def answer(prompt, _sampling, _index):
        shown = len(prompt.messages) > 2  # the second batch
        return " return number * 2" if shown else " return unknown_name"

    (tmp_path / "adapter_config.json").write_text("{}")
    engine = ScriptedEngine(answer)
    await engine.add_adapter("method-writer", tmp_path)
    mind = make_mind(image, cell, (), engine=engine)
    mission = await open_mission(image, "double", 21)
    await CognitiveCycle(mind, lambda *_: None).run(mission)
    request = check(Request("replay", target="genesis_obj", selector="double"))
    told = await VERBS["replay"](mind, request, lambda _: None)
    assert told["same"] is True
    assert engine.used == ["method-writer", "method-writer", "", ""]
    body = {"key": "writing", "do": "set", "value": ""}  # the adapter of then draws it all the same
    await VERBS["entry"](mind, check(Request("entry", target="alfred_obj", body=body)), print)
    told = await VERBS["replay"](mind, request, lambda _: None)
    assert (told["same"], len(engine.used)) == (True, 5)
    await forge(mind, adapter="another")
    with pytest.raises(ModelError, match="through another, which is not there any more"):
        await VERBS["replay"](mind, request, lambda _: None)


async def test_what_was_mended_by_an_example_comes_out_mended(learned, ask):
    await learned(examples=({"args": [21], "kwargs": {}, "result": 43},))
    told = await ask("replay", "double")
    assert told["same"] is True
    assert "number * 2 + 1" in told["source"]
