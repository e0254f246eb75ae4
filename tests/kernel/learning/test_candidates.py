"""bat_os.kernel.learning.candidates: what examples find in the library, and what they mend."""

import pytest

from bat_os.core.choosing import MENDED
from bat_os.core.mission import MethodDrafted, MethodRejected, MethodVerified
from bat_os.engines.scripted import ScriptedEngine
from bat_os.image.objects import Method, find
from bat_os.kernel.learning.cycle import CognitiveCycle
from bat_os.method.seeds import parse_seeds
from tests.kernel.minds import PLAN, make_mind, open_mission, read, script

pytestmark = pytest.mark.asyncio(loop_scope="module")
SEEDS = """
[[seed]]
wish = "Tell whether a number can be shared evenly."
source = '''def shares(self, number, by):
    \"\"\"Tell whether a number can be shared evenly.\"\"\"
    return [number // by, number % by]'''
examples = [{ args = [7, 2], value = [3, 1] }]
"""


def example(*args, result):
    return {"args": list(args), "kwargs": {}, "result": result}


@pytest.fixture
def think(image, cell):
    """Return a function that runs one mission and returns (answer, source, provenance)."""

    async def run(body, selector, *args, seeds="", **fields):
        mind = make_mind(image, cell, script(body))
        await mind.catalog.seed_methods(parse_seeds(seeds))
        mission_id = await open_mission(image, selector, *args, **fields)
        answer = await CognitiveCycle(mind, lambda *_: None).run(mission_id)

        def look(root):
            method = find(root, "genesis_obj").slots.get(selector)
            told = method.version if isinstance(method, Method) else None
            return (told.source, told.provenance) if told else ("", {})

        return answer, *await image.transact(look, note="look"), await read(image, mission_id)

    return run


async def test_a_function_for_other_words_is_found_by_what_it_does(think):
    text = "Split 17 coins among three pirates."
    answer, source, why, _ = await think(
        " return None",
        "pirates",
        20,
        seeds=SEEDS,
        text=text,
        examples=(example(17, result=[5, 2]),),
    )
    assert (answer["body"]["result"], answer["body"]["status"]) == ([6, 2], "verified")
    assert "= 3" in source
    assert why["adapted_from"].startswith("seed:")


async def test_without_an_example_it_is_not(think):
    answer, source, _, _ = await think(
        " return None", "pirates", 20, seeds=SEEDS, text="Split 17 coins among three pirates."
    )
    assert (answer["type"], source) == ("error", "")


async def test_an_answer_of_yes_or_no_finds_and_mends_nothing(think):
    answer, source, _, _ = await think(
        " return number > 5", "is_big", 20, examples=(example(3, result=True),)
    )
    assert (answer["type"], source) == ("error", "")


async def test_a_candidate_that_is_nearly_right_is_mended_by_the_example(think):
    answer, source, why, record = await think(
        " return [7 * n for n in range(1, number)]", "count_up", 3,
        examples=(example(4, result=[7, 14, 21, 28]),),
    )  # fmt: skip
    assert (answer["body"]["result"], answer["body"]["status"]) == ([7, 14, 21], "provisional")
    assert "range(1, number + 1)" in source
    assert MENDED in why["fixups"]
    event = record.mission.last(MethodVerified)
    assert event.verdicts[event.chosen]["source"] == source


async def test_what_no_small_change_mends_is_told(think):
    answer, _, _, _ = await think(
        " return number", "poem", 3, examples=(example(4, result="roses are red"),)
    )
    assert "did not reproduce the example" in answer["body"]["message"]


async def test_one_that_forgets_has_no_voice_where_things_are_to_be_kept(image, cell):
    forgets = " self.things = [text]\n    return self.things"
    keeps = ' self.things = [*getattr(self, "things", []), text]\n    return self.things'
    bodies = [forgets, keeps]

    def answer(prompt, sampling, index):
        return PLAN if sampling.schema is not None else bodies[index % 2]

    mind = make_mind(image, cell, answer)
    mission_id = await open_mission(
        image, "add_thing", "cup", text="Add a thing and return all things."
    )
    await CognitiveCycle(mind, lambda *_: None).run(mission_id)
    record = await read(image, mission_id)
    rejected = record.mission.last(MethodRejected) or record.mission.last(MethodVerified)
    told = {verdict["source"].count("getattr"): verdict["dull"] for verdict in rejected.verdicts}
    assert told == {0: "forgets what an earlier call kept", 1: ""}


def seed(wish, head, body, value):
    """Return the TOML of a seed whose example is the call with 7 and 2."""
    source = f'{head}\n    """{wish}"""\n    return {body}'
    example = f"{{ args = [7, 2], value = {value} }}"
    return f"[[seed]]\nwish = \"{wish}\"\nsource = '''{source}'''\nexamples = [{example}]\n"


SHARES = seed("Share a number by another.", "def share_out(self, a, b):", "a // b", 3)
GROUPS = seed("Make groups of a size.", "def groups_of(self, a, b):", "int(a / b)", 3)
FLOORS = seed("Find the floor of a fraction.", "def floor_of(self, a, b):", "(a - a % b) // b", 3)
FIRST = seed("Give the first of two.", "def first_of(self, a, b):", "a if b else a", 7)
MORE = seed(
    "Tell whether one is more than a few.", "def is_more(self, a, b):", "a > 3 or b > 50", "true"
)
LESS = seed("Say what is left over.", "def left_over(self, a, b):", "a - 4", 3)


@pytest.fixture
def recall(image, cell):
    """Return a function that runs a mission beside a library: (answer, model, record)."""

    async def run(seeds, text, *args, body=" return 0", engine=None, **fields):
        model = engine or ScriptedEngine(script(body))
        mind = make_mind(image, cell, (), engine=model)
        await mind.catalog.seed_methods(parse_seeds(seeds))
        mission_id = await open_mission(image, "do_it", *args, text=text, **fields)
        answer = await CognitiveCycle(mind, lambda *_: None).run(mission_id)
        return answer, model, await read(image, mission_id)

    return run


async def test_a_function_for_the_same_wish_that_fits_the_example_needs_no_model(recall):
    shown = (example(7, 2, result=3),)
    answer, model, record = await recall(
        SHARES, "Share a number by another.", 21, 4, examples=shown
    )
    assert (answer["body"]["result"], answer["body"]["status"]) == (5, "verified")
    assert (model.prompts, record.mission.model_calls, record.mission.tokens) == ([], 0, 0)


async def test_without_an_example_a_function_for_the_same_wish_needs_none_either(recall):
    answer, model, _ = await recall(SHARES, "Share a number by another.", 21, 4)
    assert (answer["body"]["result"], answer["body"]["status"]) == (5, "provisional")
    assert answer["body"]["why"] == "a known function does this"
    assert model.prompts == []


async def test_functions_for_other_words_that_agree_beyond_the_example_need_none(recall):
    shown = (example(7, 2, result=3),)
    wish = "Pack eggs into boxes."
    answer, model, _ = await recall(GROUPS + FLOORS, wish, 21, 4, examples=shown)
    assert (answer["body"]["result"], answer["body"]["status"]) == (5, "verified")
    assert model.prompts == []


async def test_a_function_that_fits_the_example_and_is_in_doubt_leaves_it_to_the_model(recall):
    shown = (example(7, 2, result=7),)  # the larger of the two
    answer, model, _ = await recall(
        FIRST, "Tell the larger one.", 4, 21, examples=shown, body=" return max(a, b)"
    )
    assert model.prompts
    assert answer["body"]["result"] == 21


async def test_an_answer_of_yes_or_no_is_no_reason_to_spare_the_model(recall):
    shown = (example(7, 2, result=True),)
    answer, model, _ = await recall(
        MORE, "Tell whether the first is larger.", 21, 40, examples=shown, body=" return a > b"
    )
    assert model.prompts
    assert answer["body"]["result"] is False


async def test_functions_that_fit_the_example_and_disagree_leave_it_to_the_model(recall):
    shown = (example(7, 2, result=3),)
    answer, model, _ = await recall(
        LESS + FLOORS, "Pack eggs into boxes.", 21, 4, examples=shown, body=" return a // b"
    )
    assert model.prompts
    assert answer["body"]["result"] == 5


async def test_a_cascade_that_is_asked_for_runs_whatever_the_library_knows(recall):
    _, model, _ = await recall(SHARES, "Share a number by another.", 21, 4, mode="cascade")
    assert len(model.prompts) > 2


async def test_the_first_batch_has_one_prompt_and_only_the_second_shows_functions(recall, tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    model = ScriptedEngine(lambda _prompt, _sampling, index: f" return {index}")
    await model.add_adapter("method-writer", tmp_path)
    answer, _, record = await recall(
        SHARES + GROUPS, "Tell how a number and another relate.", 21, 4, engine=model
    )
    assert answer["body"]["code"] == "EXAMPLE_WANTED"
    first, sampled, second = model.prompts
    assert len({*first, *sampled}) == 1
    assert (len(first), len(sampled), len(second)) == (1, 2, 3)
    assert "share_out" not in str(first[0].messages)
    assert len({*second}) == 1
    assert "share_out" in str(second[0].messages)
    assert model.used == ["method-writer", "method-writer", ""]
    drafts = [e for e in record.mission.events if isinstance(e, MethodDrafted)][-1].drafts
    assert {draft.adapter for draft in drafts} == {""}
