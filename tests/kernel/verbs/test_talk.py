"""The verb ask: ROBIN and BRICK in counterpoint, through the real roster, catalog and image."""

import pytest

from bat_os.core.discussion import NOT_GROUNDED, UNCITED
from bat_os.core.protocol import Request
from bat_os.core.verbs import check
from bat_os.engines.scripted import ScriptedEngine
from bat_os.errors import ArgumentsError, ModelOutputError
from bat_os.kernel.verbs.talk import TRIES, discuss, list_talks
from tests.kernel.minds import make_mind

pytestmark = pytest.mark.asyncio(loop_scope="module")
FACT = "The echo of a call tells a bat where the wall is."
QUESTION = "How does the echo of a call tell a bat where the wall is?"


def speak(brick, robin):
    """Return a script: what each persona says, by its try."""
    counts = {"BRICK": 0, "ROBIN": 0}

    def answer(prompt, sampling, index):
        name = "BRICK" if "BRICK" in prompt.messages[0][1] else "ROBIN"
        told = {"BRICK": brick, "ROBIN": robin}[name]
        counts[name] += 1
        return told[min(counts[name], len(told)) - 1]

    return answer


@pytest.fixture
def talk(image, cell):
    """Return a function that asks and returns (answer, events, prompts)."""

    async def run(question, brick, robin, *, learned=True, **body):
        engine = ScriptedEngine(speak(brick, robin))
        mind = make_mind(image, cell, (), engine=engine)
        if learned:
            await mind.catalog.learn("Bats", FACT, source="bats.md")
        events = []
        request = check(Request("discuss", body={"text": question} | body))
        return await discuss(mind, request, events.append), events, engine.prompts

    return run


async def test_the_second_builds_on_the_first_and_passages_are_cited(talk):
    told, events, prompts = await talk(
        QUESTION, [f"{FACT} It is fast."], ["You can trust a fast sound."]
    )
    assert [one["persona"] for one in told["answers"]] == ["BRICK", "ROBIN"]
    assert told["answers"][0]["text"] == f"{FACT} [1] It is fast."
    assert told["answers"][0]["cites"] == [1]
    assert told["answers"][1]["text"] == "You can trust a fast sound."
    (passage,) = told["passages"]
    assert (passage["n"], passage["title"], passage["cited"]) == (1, "Bats", True)
    assert (passage["doc_id"], passage["text"]) == ("document:bats.md", FACT)
    assert (told["grounded"], told["note"]) == (True, "")
    assert f"[1] {FACT}" in prompts[0][0].messages[1][1]
    assert f"BRICK answered: {FACT} It is fast." in prompts[1][0].messages[1][1]
    spoken = {"BRICK": "", "ROBIN": ""}
    for event in events:
        spoken[event["persona"]] += event["text"]
    assert spoken == {"BRICK": f"{FACT} It is fast.", "ROBIN": "You can trust a fast sound."}


async def test_robin_begins_where_a_reason_is_asked_for(talk):
    told, _, prompts = await talk("Why do bats matter?", ["They need insects."], ["They need us."])
    assert [one["persona"] for one in told["answers"]] == ["ROBIN", "BRICK"]
    assert "ROBIN answered: They need us." in prompts[1][0].messages[1][1]


async def test_an_answer_without_a_near_passage_says_that_it_is_not_grounded(talk):
    told, _, prompts = await talk("How old is tea?", ["It is old."], ["Drink it."], learned=False)
    assert (told["passages"], told["grounded"], told["note"]) == ([], False, NOT_GROUNDED)
    assert "Notes" not in prompts[0][0].messages[1][1]


async def test_an_answer_that_no_passage_speaks_for_says_so_though_one_was_shown(talk):
    told, _, _ = await talk(QUESTION, ["Cheese is yellow."], ["Enjoy your cheese."])
    assert len(told["passages"]) == 1
    assert (told["grounded"], told["note"]) == (False, UNCITED)


async def test_drawing_stops_where_a_model_runs_in_circles(talk):
    circle = "It hears the walls. " + "It goes on and on and on and on. " * 40
    told, events, _ = await talk(QUESTION, [circle], ["So it is."])
    assert told["answers"][0]["text"] == "It hears the walls."
    assert len("".join(one["text"] for one in events)) < 200


async def test_a_persona_without_a_whole_sentence_tries_again_and_its_events_say_so(talk):
    told, events, _ = await talk(QUESTION, ["and so,", "It hears."], ["Fine it is."])
    assert (told["answers"][0]["text"], told["answers"][0]["tries"]) == ("It hears.", 2)
    assert {"persona": "BRICK", "text": "", "again": 1} in events


async def test_one_who_has_nothing_to_add_is_left_out_and_named(talk):
    told, _, _ = await talk(QUESTION, [FACT], [FACT])
    assert [one["persona"] for one in told["answers"]] == ["BRICK"]
    assert told["note"] == "ROBIN had nothing to add."


async def test_an_answer_that_does_not_build_on_the_first_is_drawn_again(talk):
    unrelated, related = "Tea is warm and kind.", "So the echo is a kind guide in the dark."
    told, events, _ = await talk("How do bats fly?", ["They hear an echo."], [unrelated, related])
    assert told["answers"][1]["text"] == related
    assert told["answers"][1]["tries"] == 2
    assert {"persona": "ROBIN", "text": "", "again": 1} in events


async def test_an_answer_that_never_builds_on_the_first_is_left_out(talk):
    told, _, _ = await talk("How do bats fly?", ["They hear an echo."], ["Tea is warm and kind."])
    assert [one["persona"] for one in told["answers"]] == ["BRICK"]
    assert "ROBIN had nothing to add." in told["note"]


@pytest.mark.parametrize("form", ["You are ROBIN, {}. You ask", "I am ROBIN, {}. I ask"])
async def test_a_persona_that_repeats_its_own_prompt_has_not_answered(talk, form):
    own = form.format("warm and attentive") + (
        " why something matters to the person and answer in simple, kind words."
    )
    told, _, _ = await talk("How do people talk?", ["They use simple words."], [own])
    assert [one["persona"] for one in told["answers"]] == ["BRICK"]


async def test_one_who_only_reads_a_passage_out_has_not_built_on_the_first(talk):
    question = "How does a call tell a bat where the wall is?"
    told, _, _ = await talk(question, ["It comes back as an echo."], [FACT])
    assert len(told["passages"]) == 1
    assert [one["persona"] for one in told["answers"]] == ["BRICK"]
    assert told["note"].endswith("ROBIN had nothing to add.")


async def test_who_is_wanted_answers_first(talk):
    told, _, _ = await talk(
        "How do bats fly?", ["They eat insects."], ["They hear insects."], persona_id="ROBIN"
    )
    assert [one["persona"] for one in told["answers"]] == ["ROBIN", "BRICK"]
    with pytest.raises(ArgumentsError, match="persona_id must be one of ALFRED, "):
        await talk("How?", ["It is."], ["So it is."], persona_id="BATMAN")


async def test_a_first_speaker_who_never_finds_a_sentence_is_a_coded_error(talk, image):
    with pytest.raises(ModelOutputError, match=f"in {TRIES} tries"):
        await talk(QUESTION, ["..., (((", "\n"], ["Yes."])
    assert await image.transact(lambda root: "talks" in root, note="look") is False


async def test_the_talk_is_kept_in_the_image_and_listed(talk, image, cell):
    first, _, _ = await talk(QUESTION, [FACT], ["Trust a sound."])
    second, _, _ = await talk("What else is there?", ["Not much."], ["Enough for you."])
    listed = await list_talks(make_mind(image, cell, ()), check(Request("talks")), print)
    assert listed["talks"] == [second, first]


async def test_the_same_question_and_seed_draw_with_the_same_seed(image, cell):
    async def seeds(**body):
        seen = []

        def answer(prompt, sampling, index):
            seen.append(sampling.seed)
            return f"It is so {len(seen)}."

        mind = make_mind(image, cell, answer)
        await discuss(
            mind, check(Request("discuss", body={"text": QUESTION} | body)), lambda told: None
        )
        return seen

    once = await seeds()
    assert await seeds() == once != await seeds(seed=1)


@pytest.mark.parametrize(
    "body", [{}, {"text": " "}, {"text": 1}, {"text": "x" * 2000}, {"text": "a", "seed": -1},
             {"text": "a", "seed": "b"}],
)  # fmt: skip
async def test_what_is_no_question_is_refused(image, cell, body):
    with pytest.raises(ArgumentsError):
        await discuss(
            make_mind(image, cell, ()), check(Request("discuss", body=body)), lambda told: None
        )
