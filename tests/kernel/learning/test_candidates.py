"""bat_os.kernel.learning.candidates: what examples find in the library, and what they mend."""

import pytest

from bat_os.core.choosing import MENDED
from bat_os.core.mission import MethodRejected, MethodVerified
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
        " return [n for n in range(1, number)]", "count_up", 3,
        examples=(example(4, result=[1, 2, 3, 4]),),
    )  # fmt: skip
    assert (answer["body"]["result"], answer["body"]["status"]) == ([1, 2, 3], "provisional")
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
