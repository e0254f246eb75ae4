"""bat_os.image.files.lineage: what a method was elsewhere comes with it, as hearsay."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.core.digest import digest
from bat_os.core.personas import PERSONAS
from bat_os.core.protocol import Request
from bat_os.core.settings import IMAGE
from bat_os.core.verbs import check
from bat_os.errors import ArgumentsError, BatError, NotFoundError
from bat_os.image.awakening import awaken
from bat_os.image.files.backup import back_up
from bat_os.image.files.export import read, seal
from bat_os.image.files.lineage import MAX_HOPS
from bat_os.image.files.restore import restore
from bat_os.image.history import marks
from bat_os.image.store import ImageStore
from bat_os.kernel.primitives import PRIMITIVES
from bat_os.kernel.verbs import VERBS
from tests.kernel.minds import make_mind, script
from tests.kernel.verbs.conftest import DOUBLE
from tests.kernel.verbs.test_files import change, places

of_the_cell = pytest.mark.asyncio(loop_scope="module")


async def said(mind, verb, selector="", target="genesis_obj", args=(), **body):
    request = Request(verb, target=target, selector=selector, args=tuple(args), body=body)
    return await VERBS[verb](mind, check(request), lambda told: None)


@pytest.fixture
async def other(cell):
    """Another mind, with an image of its own and the same model."""
    store = ImageStore.in_memory()
    await store.transact(
        lambda root: awaken(
            root, image_id="other", created=1.0, personas=PERSONAS, primitives=PRIMITIVES
        ),
        note="awaken",
    )
    yield make_mind(store, cell, script(" return number * 2"))
    await store.close()


async def carry(here, there, target="genesis_obj", selector="double"):
    text = (await said(here, "export", selector, target))["text"]
    await said(there, "import", target=target if selector else "", text=text)
    return text


@of_the_cell
async def test_a_method_of_another_mind_brings_its_past_and_is_found_by_its_model(
    mind, other, learned
):
    mission = await learned()
    was = await said(mind, "why", "double")
    await carry(mind, other)
    now = await said(other, "why", "double")
    for key in ("persona", "model", "model_digest", "seed", "prompt_sha256", "goal", "why"):
        assert now["origin"][key] == was["origin"][key], key
    assert (now["origin"]["mission"], now["mission"]) == (mission, {})
    assert (now["brief"], now["drawn"]) == (was["brief"], was["drawn"])
    assert len(now["candidates"]) == len(was["candidates"])
    (hop,) = now["through"]
    assert (hop["mind"], hop["object"], hop["version"]) == ("i", "genesis_obj", 1)
    assert (hop["status"], hop["sha256"]) == ("verified", was["sha256"])
    assert hop["at"] >= hop["created"] == was["origin"]["created"]
    model = was["origin"]["model"]
    found = await said(other, "recall", target="", model=model)
    assert [row["selector"] for row in found["methods"]] == ["double"]
    assert [row["selector"] for row in (await said(other, "recall", target="", mission=mission))
            ["methods"]] == ["double"]  # fmt: skip
    (version,) = (await said(other, "versions", "double"))["versions"]
    assert (version["imported"], version["model"]) == (True, model)


@of_the_cell
async def test_what_was_drawn_elsewhere_is_drawn_again_here_byte_for_byte(mind, other, learned):
    await learned()
    await carry(mind, other)
    told = await said(other, "replay", "double")
    assert (told["same"], told["sha256"]) == (True, (await said(mind, "why", "double"))["sha256"])


@of_the_cell
async def test_an_object_brings_the_past_of_its_methods_and_each_mind_on_the_way_is_named(
    mind, other, learned, make
):
    await make("robot_obj")
    await learned(target="robot_obj")
    await carry(mind, other, "robot_obj", "")
    text = (await said(other, "export", "double", "robot_obj"))["text"]
    await said(mind, "import", target="genesis_obj", text=text)
    told = await said(mind, "why", "double")
    assert [(hop["mind"], hop["object"]) for hop in told["through"]] == [
        ("i", "robot_obj"), ("other", "robot_obj"),
    ]  # fmt: skip
    assert (await said(mind, "replay", "double"))["same"]


@of_the_cell
async def test_a_kept_rehearsal_has_the_past_of_its_mission(mind):
    await said(mind, "rehearse", "double", args=[21], examples=DOUBLE, keep=True)
    told = await said(mind, "why", "double")
    (hop,) = told["through"]
    assert (hop["name"], hop["status"]) == ("rehearsal", "verified")
    assert told["origin"]["mission"]
    assert (await said(mind, "replay", "double"))["same"]


@of_the_cell
async def test_a_restored_image_has_the_past_of_its_methods(mind, learned, cell, tmp_path):
    await learned()
    was = await said(mind, "why", "double")
    await back_up(mind.image, tmp_path / "kept", full=False, copy=False)
    restore(tmp_path / "kept", tmp_path / "home", replace=False)
    store = ImageStore.open(tmp_path / "home" / IMAGE)
    try:
        there = make_mind(store, cell, script(" return number * 2"))
        told = await said(there, "why", "double")
        assert told | {"uses": {}} == was | {"uses": {}}  # calls are written every half minute
        assert (await said(there, "replay", "double"))["same"]
        model = was["origin"]["model"]
        assert len((await said(there, "recall", target="", model=model))["methods"]) == 1
    finally:
        await store.close()


@of_the_cell
async def test_a_forged_past_is_marked_and_reaches_no_mission_of_this_image(
    mind, other, learned, brief
):
    mine = await learned()
    text = (await said(mind, "export", "double"))["text"]
    content = json.loads(text)["content"]
    content["origin"] |= {"mission": mine, "persona": "ARCHITECT", "model": "a\x1b[2Jmodel"}
    content["status"] = "taught"
    content["examples"] = []
    content["source"] = "def triple(self, number):\n    return number * 3\n"
    content |= {"selector": "triple", "sha256": digest(content["source"])}
    content["origin"]["brief"]["selector"] = "triple"
    await said(mind, "import", target="genesis_obj", text=json.dumps(seal(content)))
    told = await said(mind, "why", "triple")
    assert (told["status"], told["mission"], len(told["through"])) == ("provisional", {}, 1)
    (record,) = [one for one in (await said(mind, "experience", target=""))["experience"]
                 if one["mission"] == mine]  # fmt: skip
    assert record["selector"] == "double"
    assert (await said(mind, "why", "double"))["mission"]["id"] == mine


@of_the_cell
async def test_a_prompt_that_was_changed_on_the_way_is_not_drawn(mind, other, learned):
    await learned()
    content = json.loads((await said(mind, "export", "double"))["text"])["content"]
    content["origin"]["drawn"]["prompts"][0]["messages"][-1][1] = "say something else"
    await said(other, "import", target="genesis_obj", text=json.dumps(seal(content)))
    with pytest.raises(NotFoundError, match="no model's draft"):
        await said(other, "replay", "double")


@of_the_cell
@pytest.mark.parametrize(
    "forged",
    [
        {"seed": "1"}, {"seed": -1}, {"temperature": 1e300}, {"model": "x" * 301},
        {"model_digest": "not hex"}, {"through": [{"mind": 1, "at": 0}]},
        {"through": [{"mind": "x", "at": 1.0}] * (MAX_HOPS + 1)}, {"candidates": [{}] * 65},
        {"passages": ["document:x"] * 1001}, {"brief": {"selector": "double"}}, {"drawn": {"x": 1}},
        {"fixups": "none"}, {"created": "now"}, {"goal": {"$ref": "genesis_obj"}},
        {"drawn": {"prompts": [{"messages": []}], "batch": [0], "place": 0, "slots": [],
                   "selectors": [], "sampling": {"temperature": 0, "top_p": 1, "top_k": 1,
                                                 "max_tokens": 5, "seed": 1, "stop": "(a+)+$"}}},
    ],
)  # fmt: skip
async def test_a_past_of_another_form_is_refused(mind, learned, ask, forged):
    await learned()
    content = json.loads((await ask("export", "double"))["text"])["content"]
    content["origin"] |= forged
    with pytest.raises(ArgumentsError, match=r"not written by batos export|origin of a method"):
        read(json.dumps(seal(content)))


WHOLE = {
    "brief": {"target": "genesis_obj", "selector": "wave", "args": [1], "kwargs": {"by": 2},
              "text": "wave", "examples": [{"args": [1], "kwargs": {}, "result": 1}]},
    "persona": "ALFRED", "model": "m", "model_digest": "ab", "seed": 1, "temperature": 0.5,
    "drawn": {"prompts": [{"messages": [["user", "a"]], "prefill": "b"}], "batch": [0, 0],
              "place": 1, "slots": [], "selectors": ["x"],
              "sampling": {"temperature": 0.5, "top_p": 1.0, "top_k": 4, "max_tokens": 5,
                           "seed": 1, "stop": ""}},
    "candidates": [{"draft": 0, "problem": "", "preview": "1", "passed": 1, "agree": 1,
                    "fixups": ["a"]}],
    "passages": ["document:a"], "through": [{"mind": "a", "at": 1.0}], "created": 1.0,
}  # fmt: skip


@given(st.data())
def test_an_origin_with_any_part_changed_or_missing_is_read_or_refused(data):
    path = data.draw(st.sampled_from(list(places(WHOLE))[1:]))
    odd = st.none() | st.integers() | st.floats() | st.text(max_size=5) | st.just([{}])
    origin = change(WHOLE, path, data.draw(st.just(places) | odd))
    source = "def wave(self):\n    return 1\n"
    content = {"kind": "method", "object": "genesis_obj", "selector": "wave", "source": source,
               "sha256": digest(source), "status": "verified", "version": 1,
               "origin": origin, "examples": []}  # fmt: skip
    try:
        text = json.dumps(seal(content), allow_nan=False)
    except ValueError:
        return
    with contextlib.suppress(BatError):  # any other fails the test
        read(text)


@of_the_cell
async def test_an_export_that_would_be_too_long_leaves_out_what_was_drawn(mind, learned, ask):
    await learned()

    def lengthen(root):
        version = root["objects"]["genesis_obj"].slots["double"].version
        drawn = version.provenance["drawn"]
        prompts = [{**one, "prefill": "x" * 1_100_000} for one in drawn["prompts"]]
        version.provenance = {**version.provenance, "drawn": {**drawn, "prompts": prompts}}

    await mind.image.transact(lengthen, note="lengthen")
    told = read((await ask("export", "double"))["text"])
    assert "drawn" not in told["origin"]
    assert told["origin"]["model"]


@of_the_cell
@pytest.mark.parametrize("examples", [(), tuple(DOUBLE)])
async def test_a_taint_comes_along_unless_examples_prove_the_method_here(
    mind, other, learned, ask, examples
):
    await learned(examples=examples)

    def taint(root):
        method = root["objects"]["genesis_obj"].slots["double"]
        mark = {"at": 1.0, "document": "document:x", "what": "changed", "version": 1}
        marks.set_mark(root, "taint", method, mark)

    await mind.image.transact(taint, note="taint")
    await carry(mind, other)
    there = (await said(other, "why", "double"))["tainted"]
    assert bool(there) is not bool(examples)
    assert not there or there["document"] == "document:x"
