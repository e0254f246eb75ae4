"""What a candidate wants done in the world is a part of what it means, and is shown before."""

from dataclasses import replace

import pytest

from bat_os.core.mission import MethodRejected, MethodVerified
from bat_os.errors import ArgumentsError, DraftsError
from bat_os.kernel.learning.cycle import CognitiveCycle
from tests.kernel.minds import PLAN, make_mind, open_mission, read
from tests.world.scripted import Scripted

pytestmark = pytest.mark.asyncio(loop_scope="module")
WISH = "Note a word in the shopping list."
MILK = {"target": "notes_obj", "selector": "append", "args": ["shopping.txt", "milk"]}
SHOP = """def note_it(self, word):
    self.notes.append("shopping.txt", word)
    return len(word)
"""


@pytest.fixture
async def granted(ask, notes):
    await ask("grant", "", what=str(notes), write=True, name="notes")


@pytest.fixture
def think(mind, granted):
    """Return a function that runs a mission with the bodies that a model says, in order."""

    async def run(*bodies, **fields):
        def answers(prompt, sampling, index):
            if sampling.schema is not None:
                return PLAN
            return bodies[min(index + 1, len(bodies) - 1) if sampling.temperature else 0]

        options = replace(mind.options, **fields.pop("options", {}))
        thinking = make_mind(mind.image, mind.cell, answers)
        asked = replace(
            mind, roster=thinking.roster, catalog=thinking.catalog, options=options
        )  # fmt: skip
        asked.orchestrator.performer = mind.orchestrator.performer
        fields = {"text": WISH, **fields}
        mission_id = await open_mission(mind.image, "note_it", "milk", **fields)
        answer = await CognitiveCycle(asked, lambda *_: None).run(mission_id)
        return answer["body"], await read(mind.image, mission_id)

    return run


def appends(file, word="text", value="len(text)"):
    return f" self.notes.append({file!r}, {word})\n    return {value}"


def example(result=4, **more):
    return {"args": ["milk"], "kwargs": {}, "result": result, **more}


async def test_candidates_with_one_answer_and_different_effects_are_different(think, pending):
    body, record = await think(appends("a.txt"), appends("b.txt"), appends("b.txt"))
    assert (body["result"], body["status"]) == (4, "provisional")
    agree = [one["agree"] for one in record.mission.last(MethodVerified).verdicts]
    assert agree == [1, 2, 2]
    assert [text.endswith("b.txt: milk") for _, text in await pending()] == [True]


async def test_where_no_effect_has_a_majority_the_question_names_them(think, pending):
    body, _ = await think(appends("a.txt"), appends("b.txt"), " return len(text)")
    assert body["code"] == "EXAMPLE_WANTED"
    shown = [choice["shown"] for choice in body["details"]["choices"]]
    assert shown[0] == "4 (and it does nothing outside)"
    assert shown[1].startswith("4 (and it adds to ")
    assert shown[1].endswith("b.txt: milk)")
    assert await pending() == []


async def test_the_same_effect_in_other_words_is_the_same(think, pending, notes):
    full = str(notes / "shopping.txt")
    bodies = appends("shopping.txt"), appends(full, 'text + "\\n"'), appends("./shopping.txt")
    _, record = await think(*bodies)
    assert [one["agree"] for one in record.mission.last(MethodVerified).verdicts] == [3, 3, 3]
    assert len(await pending()) == 1


async def test_effects_on_one_file_have_an_order_and_those_on_two_have_none(think):
    one, other = appends("a.txt"), appends("b.txt")
    two = one.rpartition("\n")[0] + "\n   " + other
    three = other.rpartition("\n")[0] + "\n   " + one
    _, record = await think(two, three, three)
    assert [each["agree"] for each in record.mission.last(MethodVerified).verdicts] == [3, 3, 3]


async def test_the_order_of_effects_on_one_file_counts(think):
    once = appends("a.txt", value="1").rpartition("\n")[0]
    twice = '   self.notes.append("a.txt", text * 2)'
    forth = f"{once}\n {twice}\n    return 1"
    back = f" {twice.strip()}\n   {once}\n    return 1"
    _, record = await think(forth, back, back)
    assert [each["agree"] for each in record.mission.last(MethodVerified).verdicts] == [1, 2, 2]


async def test_an_example_that_states_effects_decides_on_them(think, pending):
    bodies = appends("a.txt"), appends("shopping.txt"), appends("a.txt")
    body, record = await think(*bodies, examples=(example(effects=[MILK]),))
    assert (body["result"], body["status"]) == (4, "verified")
    assert [v["passed"] for v in record.mission.last(MethodVerified).verdicts] == [0, 1, 0]
    assert [text.endswith("shopping.txt: milk") for _, text in await pending()] == [True]


async def test_an_example_can_say_that_nothing_is_done(think, pending):
    body, _ = await think(appends("a.txt"), " return len(text)", examples=(example(effects=[]),))
    assert (body["result"], body["status"]) == (4, "verified")
    assert await pending() == []


async def test_an_example_that_says_nothing_of_effects_does_not_verify_them(think):
    body, _ = await think(appends("a.txt"), examples=(example(),))
    assert (body["result"], body["status"]) == (4, "provisional")


async def test_an_example_does_not_decide_between_two_effects(think):
    body, record = await think(appends("a.txt"), appends("b.txt"), examples=(example(),))
    assert body["code"] == "EXAMPLE_WANTED", body
    assert "different things outside" in record.mission.last(MethodRejected).reason


async def test_what_waits_for_a_yes_says_what_it_does(think, ask, mind):
    body, _ = await think(appends("shopping.txt"), options={"approve": True})
    assert body["code"] == "APPROVAL_WANTED"
    (does,) = body["details"]["effects"]
    assert does.startswith("adds to ")
    assert does in body["message"]
    (waiting,) = (await ask("approve", ""))["waiting"]
    assert waiting["effects"] == does
    why = await ask("why", selector="note_it")
    assert [each["text"] for each in why["origin"]["effects"]] == [does]
    assert [[e["text"] for e in one["effects"]] for one in why["candidates"]] == [[does]] * 3


async def test_teaching_runs_the_effects_of_an_example_too(ask, taught, granted, notes, pending):
    right, wrong = example(effects=[MILK]), example(effects=[MILK, MILK])
    with pytest.raises(DraftsError, match=r"gives 4 and adds to .*: milk, not 4 and notes_obj\."):
        await ask("teach", source=SHOP, examples=[wrong])
    await ask("teach", source=SHOP, examples=[right])
    assert await pending() == []
    assert not (notes / "shopping.txt").exists()
    for odd in ([1], [{"target": "notes_obj"}], "x", [{**MILK, "args": "milk"}]):
        with pytest.raises(ArgumentsError, match="effect"):
            await ask("teach", source=SHOP, examples=[example(effects=odd)])


async def test_other_effects_than_at_the_trial_end_the_verification(think, ask, taught):
    await taught('def tell(self, word):\n    return self.notes.append("a.txt", word)\n')
    body, _ = await think(" return self.tell(text)")
    assert body["status"] == "provisional", body
    await ask("verify-method", selector="note_it", examples=[example()])
    await taught('def tell(self, word):\n    return self.notes.append("b.txt", word)\n')
    with pytest.raises(DraftsError, match=r"b\.txt: milk, and when it was tried it adds to"):
        await ask("verify-method", selector="note_it")
    stated = {**MILK, "args": ["b.txt", "milk"]}
    await ask("verify-method", selector="note_it", examples=[example(effects=[stated])])


class TestAwaited:
    """A candidate that needs the answer of an effect is judged by the effect, and asks."""

    @pytest.fixture
    def driver(self):
        return Scripted({"/box": "one"})

    @pytest.fixture
    async def granted(self, ask):
        await ask("grant", "", what="/box", write=True, name="notes")

    async def test_what_it_would_do_is_shown_and_done_once_after_a_yes(
        self, think, ask, send, driver, performing
    ):
        finds = " return len(self.notes.find(text, ''))"
        body, record = await think(finds)
        assert body["code"] == "APPROVAL_WANTED", body
        assert body["details"]["stops"] is True
        assert body["details"]["effects"] == ["/box: find('milk', '')"]
        assert [v["agree"] for v in record.mission.last(MethodVerified).verdicts] == [3, 3, 3]
        assert driver.done == []
        await ask("approve", selector="note_it")
        async with performing():
            assert await send("genesis_obj", "note_it", "milk") == 0
        assert driver.done == [("/box", "find", "milk", "")]

    async def test_one_such_candidate_does_not_end_the_mission(self, think, driver):
        body, _ = await think(" return len(self.notes.find(text, ''))", " return len(text)")
        assert (body["result"], body["status"]) == (4, "provisional")
        assert driver.done == []
