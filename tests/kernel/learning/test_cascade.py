"""bat_os.kernel.learning.candidates: a cascade, with the real image, roster and cell."""

from dataclasses import replace

import pytest

from bat_os.cells.zygote.zygote_cell import ZygoteCell
from bat_os.core.brief import Brief
from bat_os.core.mission import MethodDrafted
from bat_os.core.personas import PERSONAS
from bat_os.core.protocol import Request
from bat_os.core.verbs import check
from bat_os.errors import ArgumentsError
from bat_os.image.awakening import awaken
from bat_os.image.missions import brief_digest
from bat_os.image.objects import find
from bat_os.image.store import ImageStore
from bat_os.kernel.learning.cycle import CognitiveCycle
from bat_os.kernel.primitives import PRIMITIVES
from bat_os.kernel.verbs import VERBS
from tests.kernel.minds import PLAN, make_mind, open_mission, read

SERVES = '{"serves": true, "remark": "it helps to share"}'
FACTS = '{"facts": ["twice is two times"], "sources": [1]}'


@pytest.fixture
async def image():
    store = ImageStore.in_memory()
    await store.transact(
        lambda root: awaken(
            root, image_id="i", created=1.0, personas=PERSONAS, primitives=PRIMITIVES
        ),
        note="awaken",
    )
    yield store
    await store.close()


@pytest.fixture
async def cell():
    cell = ZygoteCell()
    yield cell
    await cell.close()


def play(serves=SERVES, facts=FACTS, final=" return number * 2"):
    """Return a script: candidates that fail, and the stages of a cascade."""

    def answer(prompt, sampling, index):
        asked = (sampling.schema or {}).get("properties", {})
        if "queries" in asked:
            return PLAN
        if asked:
            return serves if "serves" in asked else facts
        return final if "first draft" in prompt.messages[-1][1] else " return unknown_name"

    return answer


@pytest.fixture
def think(image, cell):
    """Return a function that runs a mission in cascade: (body, packet, record, mind)."""

    async def run(answers, *, mode="cascade", document="Twice is two times the number."):
        mind = make_mind(image, cell, answers)
        if document:
            await mind.catalog.learn("Double", document)
        mission_id = await open_mission(image, "double", 21, mode=mode)
        answer = await CognitiveCycle(mind, lambda *_: None).run(mission_id)
        record = await read(image, mission_id)
        drafted = next(e for e in record.mission.events if isinstance(e, MethodDrafted))
        return answer["body"], drafted.packet, record, mind

    return run


async def test_the_final_version_is_one_more_candidate_and_the_packet_is_kept(think):
    example_needed, packet, record, mind = await think(play())
    _, robin, babs, _ = stages = packet["stages"]
    assert [stage["persona"] for stage in stages] == ["BRICK", "ROBIN", "BABS", "ALFRED"]
    assert robin["remarks"] == ("it helps to share",)
    assert babs["remarks"] == ("twice is two times",)
    assert babs["sources"] == ("document:Double",)
    assert "return number * 2" in packet["draft"]
    drafted = next(e for e in record.mission.events if isinstance(e, MethodDrafted))
    assert (len(drafted.drafts), drafted.model_calls) == (4, 6)
    assert drafted.drafts[-1].persona == "ALFRED"
    assert example_needed["code"] == "EXAMPLE_WANTED"  # one of four has no vote of its own
    (told,) = (await VERBS["experience"](mind, check(Request("experience")), print))["experience"]
    assert told["packet"]["draft"] == packet["draft"]


async def test_where_it_is_chosen_its_provenance_says_how_it_was_drawn(think, image):
    body, _, _, _ = await think(
        lambda prompt, sampling, index: play()(prompt, sampling, index).replace(
            "unknown_name", "number + number"
        )
    )
    assert body["learned"] is True
    told = await image.transact(
        lambda root: find(root, "genesis_obj").slots["double"].version.provenance, note="look"
    )
    assert len(told["candidates"]) == 4
    assert told["drawn"]["prompts"]


async def test_a_stage_that_cannot_be_read_is_skipped_and_the_others_go_on(think):
    _, packet, _, _ = await think(play(serves="I think so", facts="[]"))
    _, robin, babs, _ = packet["stages"]
    assert "could not be read" in robin["skipped"]
    assert "could not be read" in babs["skipped"]
    assert (robin["remarks"], babs["remarks"]) == ((), ())
    assert "return number * 2" in packet["draft"]


async def test_without_the_mode_nothing_of_it_happens(think):
    _, packet, record, _ = await think(play(), mode="")
    assert packet == {}
    drafted = next(e for e in record.mission.events if isinstance(e, MethodDrafted))
    assert len(drafted.drafts) == 3


def test_a_brief_without_a_mode_has_the_digest_that_it_always_had():
    brief = Brief("genesis_obj", "double", (21,))
    assert "mode" not in brief.to_plain()
    assert Brief.from_plain(replace(brief, mode="cascade").to_plain()).mode == "cascade"
    assert brief_digest(brief) != brief_digest(replace(brief, mode="cascade"))


@pytest.mark.parametrize("mode", ["other", 1, ["cascade"]])
def test_a_mode_that_is_none_is_refused(mode):
    with pytest.raises(ArgumentsError, match="mode must be one of '', cascade"):
        check(Request("send", target="genesis_obj", selector="double", body={"mode": mode}))
