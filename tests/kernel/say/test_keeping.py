"""What a person keeps is found again: facts, counters with units, lists, and what was learned."""

import pytest

from tests.kernel.say.test_skills import teach

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


async def talk(said, *turns):
    """Say each sentence; where a value is given, the answer has it."""
    for sentence, value in turns:
        body = await said(sentence)
        if value is not None:
            assert body["value"] == value, (sentence, body["text"])
        else:
            assert body["kind"] in ("acted", "recalled", "said"), (sentence, body["text"])


async def test_she_is_the_person_of_the_last_fact(said):
    await talk(
        said,
        ("remember that Edda is my aunt", None),
        ("she is 61 years old", "Edda is 61 years old"),
        ("how old is she?", "61 years"),
        ("her husband is Karl", "Edda's husband is Karl"),
        ("who is her husband?", "Karl"),
        ("who is Edda's husband?", "Karl"),
    )


async def test_a_relation_is_found_from_both_ends(said):
    await said("my colleague Nora is married to Pavel")
    for question in ("who is Nora married to?", "who is married to Pavel?"):
        body = await said(question)
        assert body["kind"] == "recalled"
        assert "Nora is married to Pavel" in body["text"]
        assert "not sure" not in body["text"]


async def test_when_something_was_said_is_known(said):
    await said("remember that the boat Heron has a new sail")
    body = await said("when did I last tell you something about the Heron?")
    assert body["kind"] == "recalled"
    assert body["value"][:4].isdigit()
    assert "new sail" in body["text"]
    assert (await said("when did I last tell you something about Oslo?"))["kind"] == "unable"


async def test_what_must_not_be_forgotten_is_a_thing_to_do_or_a_fact(said):
    await talk(
        said,
        ("don't let me forget to water the ferns", ["water the ferns"]),
        ("don't let me forget that the rent is due on Friday", "the rent is due on Friday"),
        ("what must I not forget?", ["water the ferns", "the rent is due on Friday"]),
    )


async def test_a_log_keeps_the_unit_and_is_found_by_the_stem(said):
    await talk(
        said,
        ("log 40 minutes of swimming", 40),
        ("swam 20 minutes", 60),
        ("another 10", 70),
        ("I swam 1 hour", 130),
        ("how long did I swim today?", 130),
        ("how much have I swum today?", 130),
    )
    assert "130 minutes" in (await said("how long did I swim today?"))["text"]
    await said("undo that")
    await talk(said, ("walked the dog, 2 km, put it in the log", 2),
               ("how far did I walk the dog today?", 2))  # fmt: skip


async def test_values_have_an_average_and_a_last_one(said):
    await talk(
        said,
        ("weight today 71.5 kg", 71.5),
        ("my weight today is 72.5 kg", 72.5),
        ("what is my average weight of what I logged", 72),
        ("what was my last weight?", 72.5),
        ("what was my highest weight?", 72.5),
        ("what was my lowest weight?", 71.5),
        ("what's my weight?", 72.5),
    )
    assert (await said("what is my body weight index?"))["kind"] != "recalled"


async def test_a_value_of_today_is_noted_under_its_own_name_in_german(said):
    await talk(
        said,
        ("mein Blutdruck ist heute 120", 120),
        ("mein Blutdruck war heute früh 118", 118),
        ("was war mein letzter Blutdruck?", 118),
    )


async def test_another_number_goes_to_the_counter_that_was_spoken_of(said):
    await talk(
        said,
        ("count 20 push-ups", 20),
        ("what is the push-up counter at", 20),
        ("another 5", 25),
        ("10 more", 35),
    )
    assert (await said("another 5", session="other"))["kind"] != "acted"


async def test_a_sum_and_a_file_are_no_items_of_a_list(said):
    await said("add milk to my shopping list")
    assert (await said("add these up for me: 1, 2 and 3"))["kind"] != "acted"
    assert (await said("add up the km in /tmp/runs.csv"))["kind"] != "acted"
    assert (await said("what is on my shopping list?"))["value"] == ["milk"]


async def test_an_errand_in_the_world_is_no_item_of_a_list(said):
    await said("add milk to my shopping list")
    for wish in ("could you pick up my package at the station?", "pick up my coat at the cleaner"):
        assert (await said(wish))["kind"] in ("unable", "asked"), wish
    assert (await said("what is on my shopping list?"))["value"] == ["milk"]
    assert (await said("pick up bread"))["value"] == ["milk", "bread"]


async def test_what_is_done_is_ticked_off_and_told(said):
    await talk(
        said,
        ("add wash the dishes and call the plumber to my to-do list", None),
        ("I've done the dishes, tick it off", "wash the dishes"),
        ("what did I finish this week?", ["wash the dishes"]),
        ("what did I finish yesterday?", []),
        ("untick the dishes", "wash the dishes"),
        ("what did I finish today?", []),
    )


async def test_the_list_that_was_spoken_of_last_goes_on(said):
    await talk(
        said,
        ("add milk and soap to my shopping list", None),
        ("create a list named trip with tent, gas and matches", None),
        ("what do I still need to buy for the trip?", ["tent", "gas", "matches"]),
        ("add a torch", ["tent", "gas", "matches", "a torch"]),
        ("also add a map", ["tent", "gas", "matches", "a torch", "a map"]),
        ("bought the tent", "tent"),
        ("what's left?", ["gas", "matches", "a torch", "a map"]),
        ("move soap to the top of my shopping list", ["soap", "milk"]),
        ("and now?", ["soap", "milk"]),
    )


async def test_a_learned_skill_is_named_unlearned_and_brought_back(said, mind):
    await teach(
        mind, "yodel", 'def yodel(self, n):\n    """Yodel some times."""\n    return "yo" * n\n'
    )
    assert "genesis_obj.yodel" in (await said("what have you learned?"))["value"]
    body = await said("forget the skill yodel")
    assert (body["kind"], body["undo"]) == ("acted", "undo that")
    assert "genesis_obj.yodel" not in (await said("what have you learned?"))["value"]
    await said("forget the skill yodel")
    assert (await said("undo that"))["kind"] == "unable"


async def test_unlearning_is_taken_back(said, mind):
    await teach(
        mind, "yodel", 'def yodel(self, n):\n    """Yodel some times."""\n    return "yo" * n\n'
    )
    assert (await said("forget the skill yodel"))["kind"] == "acted"
    assert (await said("undo that"))["kind"] == "acted"
    assert "genesis_obj.yodel" in (await said("what have you learned?"))["value"]


async def test_a_skill_that_was_not_learned_is_not_unlearned(said):
    assert (await said("forget the skill percent of"))["kind"] == "unable"
    assert (await said("what is 50% of 8"))["value"] == 4


@pytest.mark.parametrize(
    "question",
    ["are you connected to the internet?", "do you send my data anywhere?",
     "can you make mistakes?", "I'm new here, what could I try?", "bist du online?",
     "kannst du Fehler machen?"],
)  # fmt: skip
async def test_questions_about_itself_are_answered(said, question):
    body = await said(question)
    assert body["kind"] == "said"
    assert "not much of a talker" not in body["text"]


async def test_a_list_is_begun_with_its_items_and_ticked_off_by_the_stem(said):
    await talk(
        said,
        ("new list for camping: tent, lamp, rope", ["tent", "lamp", "rope"]),
        ("take the lamp off the camping list", ["lamp"]),
        ("add feed the hens to my to-do list", None),
        ("done with feeding the hens", "feed the hens"),
        ("I ran 5.2 km, add it to my running log", 5.2),
        ("ran 4.1 km more, log it", 9.3),
    )
