"""Personas and states are objects: what a person sets there counts, has versions, can be undone."""

from dataclasses import replace

import pytest

from bat_os.core.brief import Brief
from bat_os.core.protocol import Request
from bat_os.core.verbs import check
from bat_os.engines.scripted import ScriptedEngine
from bat_os.errors import ArgumentsError, CellError, ModelError, NotFoundError
from bat_os.image.objects import find
from bat_os.image.preferences import lay_defaults
from bat_os.kernel.learning.cycle import CognitiveCycle
from bat_os.kernel.turn import take_turn
from bat_os.kernel.verbs.objects import teach
from bat_os.kernel.verbs.personas import VERBS
from tests.kernel.minds import TINY, make_mind, open_mission, read, script

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
async def mind(image, cell):
    """A mind whose image has its defaults, as the kernel gives them at each start."""
    mind = make_mind(image, cell, script(" return 7"))
    await image.transact(lambda root: lay_defaults(root, mind.cast.defaults), note="defaults")
    return mind


async def ask(mind, verb, target="", **body):
    return await VERBS[verb](mind, check(Request(verb, target=target, body=body)), print)


async def change(mind, target, key, value):
    return await ask(mind, "entry", target, key=key, do="set", value=value)


async def send(mind, target, selector, *args):
    answer = await take_turn(mind.image, mind.cell, Brief(target, selector, args))
    return answer.value


async def persona(mind, name):
    rows = (await ask(mind, "personas"))["personas"]
    return next(row for row in rows if row["name"] == name)


async def test_the_profile_gives_the_slots_of_a_persona_their_first_values(mind):
    slots = await mind.image.transact(lambda root: dict(find(root, "robin_obj").slots), note="look")
    assert slots["model"] == TINY.personas["ROBIN"].model
    assert slots["codex"]["core_identity"] == "warm and attentive"
    assert (await persona(mind, "ROBIN"))["system_prompt"].startswith("You are ROBIN, warm and")


async def test_a_message_of_a_person_changes_how_a_persona_thinks(mind):
    await send(mind, "brick_obj", "setSlot", "temperature", 0.3)
    assert (await persona(mind, "BRICK"))["temperature"] == 0.3
    assert mind.cast.assigned["BRICK"].sampling.temperature == 0.3


async def test_a_model_that_the_roster_does_not_know_is_made_known_to_it(mind):
    adopted = []

    async def adopt(model):
        adopted.append(model)
        raise ModelError("it is not there")  # who asks it will be told so

    mind = replace(mind, adopt=adopt)
    await send(mind, "brick_obj", "setSlot", "model", "other")
    await mind.refresh()
    assert adopted == ["other"]
    assert mind.roster.model_of("BRICK") == "other"


async def test_a_part_of_the_codex_makes_another_prompt(mind):
    await change(mind, "brick_obj", "codex.core_identity", "a builder of small machines")
    await change(mind, "brick_obj", "codex.pillars", ["exactness", "play"])
    prompt = (await persona(mind, "BRICK"))["system_prompt"]
    assert prompt.startswith("You are BRICK, a builder of small machines. You take a task apart")
    assert prompt.endswith("What guides you: exactness; play.")
    await change(mind, "brick_obj", "system_prompt", "You are brief.")
    assert (await persona(mind, "BRICK"))["system_prompt"] == "You are brief."


async def test_every_change_is_a_version_and_undo_and_redo_go_along_them(mind):
    for value in (0.5, 0.6):
        await change(mind, "babs_obj", "temperature", value)
    seen = []
    for do in ("undo", "undo", "redo"):
        (entry,) = (await ask(mind, "entry", "babs_obj", key="temperature", do=do))["entries"]
        seen.append((entry["value"], entry["version"]))
    assert seen == [(0.5, 1), (0.7, 0), (0.5, 1)]
    assert [one["value"] for one in entry["versions"]] == [0.7, 0.5, 0.6]
    await ask(mind, "entry", "babs_obj", key="temperature", do="undo")
    with pytest.raises(ArgumentsError, match="nothing to undo"):
        await ask(mind, "entry", "babs_obj", key="temperature", do="undo")


async def test_a_person_keeps_their_value_when_the_profile_gets_another_default(mind):
    await change(mind, "alfred_obj", "top_k", 7)

    def start_again(root):
        lay_defaults(root, {"alfred_obj": {"top_k": 99, "top_p": 0.5}})
        return dict(find(root, "alfred_obj").slots)

    slots = await mind.image.transact(start_again, note="another profile")
    assert (slots["top_k"], slots["top_p"]) == (7, 0.5)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("temperature", 9, "temperature must be a number from 0.1 to 2, not 9"),
        ("codex.voice", 5, r"codex.voice must be a text .*, not 5"),
        ("codex.colour", "red", "codex.colour is not known"),
        ("facets.Big.model", "m", "must be a name in small letters"),
        ("role.part", "x", "the entry is not a map"),
    ],
)
async def test_a_value_that_does_not_fit_is_refused_and_changes_nothing(mind, key, value, told):
    with pytest.raises(ArgumentsError, match=told):
        await change(mind, "brick_obj", key, value)
    assert (await persona(mind, "BRICK"))["set"] == []


async def test_a_message_with_a_wrong_value_is_refused_too(mind):
    with pytest.raises(ArgumentsError, match="top_p must be a number from 0 to 1"):
        await send(mind, "brick_obj", "setSlot", "top_p", 5)
    with pytest.raises(ArgumentsError, match="is an entry of brick_obj; undo it"):
        await send(mind, "brick_obj", "removeSlot", "top_p")


async def test_a_model_that_nothing_runs_is_refused(mind):
    with pytest.raises(ModelError, match="models add ghost SOURCE"):
        await change(mind, "brick_obj", "model", "ghost")


async def test_what_has_no_entries_says_which_objects_have_some(mind):
    with pytest.raises(NotFoundError, match=r"genesis_obj has no entries .* robin_obj"):
        await change(mind, "genesis_obj", "colour", "red")
    with pytest.raises(NotFoundError, match="brick_obj has no entry 'colour'; it has adapter, "):
        await change(mind, "brick_obj", "colour", "red")


CHANGE_ITSELF = "def change(self):\n    self.temperature = 2\n    self._p_changed = True\n"
CHANGE_OTHER = "def change(self, other):\n    return other.setSlot('advice', 'Obey.')\n"


@pytest.mark.parametrize(
    ("holder", "source", "args"),
    [
        ("brick_obj", CHANGE_ITSELF, ()),
        ("genesis_obj", CHANGE_OTHER, ({"ref": "state_synthesizing_obj"},)),
    ],
)
async def test_learned_code_changes_no_entry(mind, holder, source, args):
    request = check(Request("teach", target=holder, body={"source": source}))
    await teach(mind, request, print)
    with pytest.raises(CellError, match="by a person's word only"):
        await send(mind, holder, "change", *args)
    assert (await ask(mind, "entry", "brick_obj", key="temperature"))["entries"][0]["version"] == 0


async def test_a_facet_thinks_for_itself_and_can_be_chosen_to_write(image, cell):
    engine = ScriptedEngine(script(" return 7"))
    mind = make_mind(image, cell, (), engine=engine)
    await image.transact(lambda root: lay_defaults(root, mind.cast.defaults), note="defaults")
    await change(mind, "brick_obj", "facets.tamland.system_prompt", "You build in Tamland.")
    assert (await persona(mind, "BRICK:tamland"))["system_prompt"] == "You build in Tamland."
    mission_id = await open_mission(image, "give_seven", persona="BRICK:tamland")
    answer = await CognitiveCycle(mind, lambda *_: None).run(mission_id)
    assert answer["type"] == "result", answer
    asked = [prompt for batch in engine.prompts for prompt in batch]
    assert all(one.messages[0] == ("system", "You build in Tamland.") for one in asked)
    await change(mind, "brick_obj", "facets.tamland", None)
    names = [row["name"] for row in (await ask(mind, "personas"))["personas"]]
    assert names == ["ALFRED", "BRICK", "ROBIN", "BABS"]


async def test_a_persona_that_nobody_knows_writes_nothing(mind):
    mission_id = await open_mission(mind.image, "give_seven", persona="BATMAN")
    answer = await CognitiveCycle(mind, lambda *_: None).run(mission_id)
    assert answer["body"]["code"] == "INVALID_ARGS"
    assert "persona_id must be one of ALFRED, BRICK" in answer["body"]["message"]


async def test_a_person_changes_how_synthesizing_asks(image, cell):
    engine = ScriptedEngine(script(" return 7"))
    mind = make_mind(image, cell, (), engine=engine)
    await image.transact(lambda root: lay_defaults(root, mind.cast.defaults), note="defaults")
    await change(mind, "state_synthesizing_obj", "order", "Please: {wish} Be quick.")
    await change(mind, "state_synthesizing_obj", "advice", "Prefer short names.")
    await change(mind, "state_synthesizing_obj", "candidates", 5)
    mission_id = await open_mission(image, "give_seven")
    assert (await CognitiveCycle(mind, lambda *_: None).run(mission_id))["type"] == "result"
    asked = [prompt for batch in engine.prompts for prompt in batch]
    assert len(asked) == 5
    assert {one.messages[-1] for one in asked} == {("user", "Please: Give seven. Be quick.")}
    assert all("Prefer short names." in one.messages[0][1] for one in asked)
    with pytest.raises(ArgumentsError, match=r"must be a text with \{wish\} in it"):
        await change(mind, "state_synthesizing_obj", "order", "Write something.")


async def test_a_state_shows_which_step_runs_and_another_one_can_be_chosen(image, cell):
    mind = make_mind(image, cell, script(" return 7"), plan="none")
    await image.transact(lambda root: lay_defaults(root, mind.cast.defaults), note="defaults")
    await change(mind, "state_decomposing_obj", "step", "fixed")
    steps = {row["name"]: row["step"] for row in (await ask(mind, "states"))["states"]}
    assert (steps["decomposing"], steps["synthesizing"]) == ("fixed", "recall_or_write")
    mission_id = await open_mission(image, "give_seven")
    await CognitiveCycle(mind, lambda *_: None).run(mission_id)
    planned = (await read(image, mission_id)).mission.events[1]
    assert planned.queries == ("how to write a method",)
    await ask(mind, "entry", "state_decomposing_obj", key="step", do="undo")
    assert mind.cast.entries["decomposing"]["step"] == "none"
