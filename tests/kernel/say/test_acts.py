"""bat_os.kernel.say.acts, recall and undo: forms are carried out on a real image."""

import asyncio
import datetime as dt
import json

import pytest

from bat_os.app.library import load_codex
from bat_os.core.brief import Brief
from bat_os.core.protocol import Request
from bat_os.documents.readers import read_file
from bat_os.image.objects import find
from bat_os.image.store import watch_commits
from bat_os.kernel.say.about import undo
from bat_os.kernel.say.acts import act
from bat_os.kernel.say.recall import recall_documents, recall_facts
from bat_os.kernel.turn import take_turn
from bat_os.sentence.forms import Form
from bat_os.sentence.reading import read_sentence

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
ASKED = Request("say", caller="me")
NOW = dt.datetime(2026, 5, 6, 9, 30, tzinfo=dt.UTC)  # a Wednesday


async def do(mind, name, *, now=NOW, certain=True, **values):
    said = " ".join(str(value) for value in values.values())
    sentence = read_sentence(said or name, now, "en")
    return await act(mind, Form(name, values, certain), sentence, now=now, request=ASKED)


async def say_yes(mind, answer):
    confirmed = answer.memory["confirm"]
    return await do(mind, confirmed["name"], **confirmed["values"], confirmed=True)


async def take_back(mind, answer):
    return await undo(mind, {"text": "it", **answer.memory}, "en")


async def shopping(mind):
    return (await do(mind, "lists_obj.show", list="shopping")).value


async def test_a_list_keeps_its_order_and_its_marks(knowing):
    answer = await do(knowing, "lists_obj.add", items=["milk", "eggs"], list="shopping")
    assert (answer.kind, answer.value) == ("acted", ["milk", "eggs"])
    assert answer.text == "I added milk and eggs to the shopping list."
    await do(knowing, "lists_obj.add", items=["bread"], list="the shopping list")
    assert await shopping(knowing) == ["milk", "eggs", "bread"]
    await do(knowing, "lists_obj.tick", item="egg", list="")
    answer = await do(knowing, "lists_obj.show", list="shopping")
    assert answer.text == "On the shopping list: milk, eggs (done) and bread."
    assert (await do(knowing, "lists_obj.count", list="shopping")).value == 2


async def test_a_list_is_found_by_its_name_in_other_forms_only(knowing):
    await do(knowing, "lists_obj.create", list="Packing", items=["socks"])
    for said in ("packing", "my packing list", "the packings"):
        assert (await do(knowing, "lists_obj.show", list=said)).value == ["socks"], said
    answer = await do(knowing, "lists_obj.show", list="groceries")
    assert answer.kind == "unable"
    assert "Packing" in answer.text


async def test_without_a_name_the_only_list_is_meant_and_of_several_it_is_asked(knowing):
    await do(knowing, "lists_obj.add", items=["milk"], list="shopping")
    assert (await do(knowing, "lists_obj.add", items=["tea"], list="")).value == ["milk", "tea"]
    await do(knowing, "lists_obj.create", list="packing", items=[])
    answer = await do(knowing, "lists_obj.add", items=["soap"], list="")
    assert (answer.kind, answer.choices) == ("asked", ("shopping", "packing"))
    chosen = answer.memory["forms"][1]
    done = await do(knowing, chosen["name"], **chosen["values"])
    assert done.value == ["soap"]


async def test_what_is_on_the_list_is_not_added_twice(knowing):
    await do(knowing, "lists_obj.add", items=["milk"], list="shopping")
    answer = await do(knowing, "lists_obj.add", items=["Milk"], list="shopping")
    assert "already" in answer.text
    assert await shopping(knowing) == ["milk"]


async def test_removing_checks_and_says_what_is_missing(knowing):
    await do(knowing, "lists_obj.add", items=["milk", "two lemons"], list="shopping")
    assert (await do(knowing, "lists_obj.check", item="lemon", list="shopping")).value is True
    answer = await do(knowing, "lists_obj.remove", items=["lemons"], list="shopping")
    assert answer.value == ["two lemons"]
    answer = await do(knowing, "lists_obj.remove", items=["caviar"], list="shopping")
    assert answer.kind == "unable"


@pytest.mark.parametrize("name", ["lists_obj.clear", "lists_obj.drop"])
async def test_what_deletes_many_things_asks_first(knowing, name):
    await do(knowing, "lists_obj.add", items=["milk", "eggs"], list="shopping")
    asked = await do(knowing, name, list="shopping")
    assert (asked.kind, asked.needs) == ("asked", "confirmation")
    assert await shopping(knowing) == ["milk", "eggs"]
    done = await say_yes(knowing, asked)
    assert done.kind == "acted"
    assert not await shopping(knowing)
    await take_back(knowing, done)
    assert await shopping(knowing) == ["milk", "eggs"]


async def test_a_list_gets_another_name_unless_that_is_taken(knowing):
    await do(knowing, "lists_obj.create", list="trip", items=["map"])
    await do(knowing, "lists_obj.create", list="packing", items=["socks"])
    assert (await do(knowing, "lists_obj.rename", list="packing", to="trip")).kind == "unable"
    await do(knowing, "lists_obj.rename", list="packing", to="Rome")
    assert (await do(knowing, "lists_obj.names")).value == ["trip", "Rome"]


async def test_an_act_is_taken_back_beside_what_came_after_it(knowing):
    first = await do(knowing, "lists_obj.add", items=["milk"], list="shopping")
    await do(knowing, "lists_obj.add", items=["eggs"], list="shopping")
    await do(knowing, "lists_obj.create", list="packing", items=["socks"])
    answer = await take_back(knowing, first)
    assert answer.kind == "unable"  # the list itself came with it, and has more on it now
    later = await do(knowing, "lists_obj.add", items=["tea"], list="shopping")
    await do(knowing, "lists_obj.add", items=["soap"], list="shopping")
    undone = await take_back(knowing, later)
    assert undone.kind == "acted"
    assert await shopping(knowing) == ["milk", "eggs", "soap"]
    assert (await take_back(knowing, undone)).kind == "acted"  # and done again
    assert await shopping(knowing) == ["milk", "eggs", "tea", "soap"]


async def test_what_was_changed_since_is_not_taken_back(knowing):
    done = await do(knowing, "lists_obj.add", items=["milk"], list="shopping")
    await do(knowing, "lists_obj.tick", item="milk", list="shopping")
    answer = await take_back(knowing, done)
    assert answer.kind == "unable"
    assert "changed again" in answer.text


async def test_a_counter_that_is_used_every_day_stays_small_and_knows_each_day(knowing):
    async def send(selector, *args):
        brief = Brief("counters_obj", selector, args)
        return (await take_turn(knowing.image, knowing.cell, brief)).value

    for number in range(130):
        at = (NOW + dt.timedelta(hours=8 * (number - 130))).isoformat(timespec="seconds")
        total = await send("add", "teas", 1, "", at)
    held = await send("entries", "teas")
    assert (total, len(held) < 100, held[-1]) == (130, True, {"at": at, "number": 1})
    assert sum(entry["number"] for entry in held) == 130
    stored = await knowing.image.transact(
        lambda root: find(root, "counters_obj").slots["logs"]["teas"]["log"], note="look"
    )
    assert len(stored) <= 43
    day = (NOW - dt.timedelta(days=40)).date()
    span = f"{day}T00:00:00", f"{day + dt.timedelta(days=1)}T00:00:00"
    assert await send("total", "teas", *span) == 3


async def test_counters_count_by_day_and_in_all(knowing):
    yesterday = NOW - dt.timedelta(days=1)
    await do(knowing, "counters_obj.add", thing="coffees", number=3, now=yesterday)
    answer = await do(knowing, "counters_obj.add", thing="coffee")
    assert (answer.kind, answer.value) == ("acted", 1)
    for when, total in (("", 4), ("today", 1), ("yesterday", 3), ("this week", 4)):
        answer = await do(knowing, "counters_obj.total", thing="coffee", when=when)
        assert (answer.kind, answer.value) == ("recalled", total), when
    answer = await do(knowing, "counters_obj.total", thing="coffee", when="last week")
    assert answer.value == 0
    assert (await do(knowing, "counters_obj.total", thing="push-ups", when="")).kind == "unable"


async def test_a_counter_is_reset_and_that_is_taken_back(knowing):
    await do(knowing, "counters_obj.add", thing="push-ups", number=20)
    await do(knowing, "counters_obj.subtract", thing="push-up", number=5)
    done = await do(knowing, "counters_obj.reset", thing="push-ups")
    assert done.value == 15
    assert (await do(knowing, "counters_obj.total", thing="push-ups", when="")).value == 0
    await take_back(knowing, done)
    assert (await do(knowing, "counters_obj.names")).value == {"push-ups": 15}


async def test_a_reminder_a_timer_and_an_alarm_are_set(knowing):
    said = {"remind": {"text": "call Bob", "when": "at 5 pm"}, "timer": {"duration": "5 minutes"},
            "alarm": {"time": "6:30"}}  # fmt: skip
    for name, values in said.items():
        done = await do(knowing, f"reminders_obj.{name}", **values)
        assert (done.kind, done.undo) == ("acted", "undo that")
    assert len((await do(knowing, "reminders_obj.list")).value) == 3
    assert (await do(knowing, "reminders_obj.cancel")).needs == "clarification"


async def test_a_fact_is_recalled_as_it_was_told(knowing):
    done = await do(knowing, "memory_obj.remember", text="my sister's birthday is 3 May")
    assert (done.kind, done.undo) == ("acted", "undo that")
    answer = await do(knowing, "memory_obj.recall", question="when is my sister's birthday?")
    assert answer.kind == "recalled"
    assert answer.text.endswith('You told me on 6 May 2026: "my sister\'s birthday is 3 May"')
    assert answer.text.startswith("3 May. ")
    assert answer.value == "3 May"
    (source,) = answer.sources
    assert (source["kind"], source["text"]) == ("fact", "my sister's birthday is 3 May")
    assert source["at"] == NOW.timestamp()


async def test_a_question_that_nothing_was_told_about_says_so(knowing):
    answer = await do(knowing, "memory_obj.recall", question="what is my shoe size?")
    assert answer.kind == "unable"
    assert "remember that" in answer.text
    unsure = await do(
        knowing, "memory_obj.recall", question="what is my pay with 3 raises", certain=False
    )
    assert unsure is None  # it may be something to compute


async def test_a_fact_that_comes_near_is_called_that(knowing):
    await do(knowing, "memory_obj.remember", text="my sister's birthday is 3 May")
    answer = await do(knowing, "memory_obj.recall", question="when is my mother's birthday?")
    assert answer.text.startswith("I am not sure. The nearest")
    sentence = read_sentence("when is my mother's birthday?", NOW, "en")
    assert await recall_facts(knowing, sentence, now=NOW) is None
    sentence = read_sentence("when is my sister's birthday?", NOW, "en")
    assert (await recall_facts(knowing, sentence, now=NOW)).kind == "recalled"


async def test_another_value_for_a_fact_is_asked_about(knowing):
    await do(knowing, "memory_obj.remember", text="my locker code is 4711")
    asked = await do(knowing, "memory_obj.remember", text="my locker code is 9931")
    assert (asked.kind, asked.needs) == ("asked", "confirmation")
    done = await say_yes(knowing, asked)
    assert done.kind == "acted"
    answer = await do(knowing, "memory_obj.recall", question="what is my locker code?")
    assert answer.value == "9931"
    await take_back(knowing, done)
    facts = (await do(knowing, "memory_obj.recall", question="what do you remember?")).value
    assert sorted(facts) == ["my locker code is 4711", "my locker code is 9931"]


async def test_a_change_names_the_fact_before_it(knowing):
    await do(knowing, "memory_obj.remember", text="my phone number is 555 1234")
    done = await do(knowing, "memory_obj.change", text="my phone number is 555 9876")
    assert "555 1234" in done.text
    answer = await do(knowing, "memory_obj.recall", question="what is my phone number?")
    assert "9876" in answer.value
    await take_back(knowing, done)
    answer = await do(knowing, "memory_obj.recall", question="what is my phone number?")
    assert "1234" in answer.value


async def test_remembering_and_forgetting_are_taken_back(knowing):
    done = await do(knowing, "memory_obj.remember", text="the spare key is at Anna's")
    await take_back(knowing, done)
    ask = {"question": "where is the spare key?"}
    assert (await do(knowing, "memory_obj.recall", **ask)).kind == "unable"
    await do(knowing, "memory_obj.remember", text="the spare key is at Anna's")
    gone = await do(knowing, "memory_obj.forget", text="the spare key")
    assert gone.kind == "acted"
    assert (await do(knowing, "memory_obj.recall", **ask)).kind == "unable"
    await take_back(knowing, gone)
    assert (await do(knowing, "memory_obj.recall", **ask)).value == "at Anna's"


async def test_what_was_told_on_a_day_is_recalled(knowing):
    yesterday = NOW - dt.timedelta(days=1)
    await do(knowing, "memory_obj.remember", text="I fed the cat", now=yesterday)
    await do(knowing, "memory_obj.remember", text="the tank is full")
    answer = await do(knowing, "memory_obj.recall_when", when="yesterday")
    assert answer.value == ["I fed the cat"]
    assert (await do(knowing, "memory_obj.recall_when", when="this week")).value == [
        "I fed the cat", "the tank is full",
    ]  # fmt: skip
    assert (await do(knowing, "memory_obj.recall_when", when="last month")).kind == "unable"


async def test_erasing_is_asked_about(knowing):
    await do(knowing, "memory_obj.remember", text="my pin is 1234")
    asked = await do(knowing, "memory_obj.erase", text="my pin")
    assert (asked.kind, asked.needs) == ("asked", "confirmation")
    assert "batos erase" in asked.text


async def test_a_form_of_others_is_left_to_them(knowing):
    assert await do(knowing, "talk.yes") is None


async def test_undo_takes_back_what_a_taught_method_changed(knowing, make):
    source = "def wave(self, n):\n    self.waved = n\n    self._p_changed = True\n    return n\n"
    await make("robot", [source], waved=1)

    async def run(brief):
        answer = await take_turn(knowing.image, knowing.cell, brief)
        return {"result": answer.value}

    with watch_commits() as commits:
        await run(Brief("robot", "wave", (5,)))
    (transaction,) = commits
    answer = await undo(knowing, {"text": "wave", "transaction": transaction}, "en")
    assert answer.kind == "acted"
    waved = await knowing.image.transact(lambda r: r["objects"]["robot"].slots["waved"], note="t")
    assert waved == 1


async def test_a_document_is_quoted_with_its_title(knowing):
    await knowing.catalog.learn("Garden rules", "The gate is locked at nine. Bees are allowed.")
    sentence = read_sentence("when is the gate locked?", NOW, "en")
    answer = await recall_documents(knowing, sentence)
    assert (answer.kind, answer.value) == ("recalled", "The gate is locked at nine.")
    assert answer.text == "The gate is locked at nine. (from Garden rules)"
    assert answer.sources[0]["kind"] == "document"
    sentence = read_sentence("who wrote Moby Dick?", NOW, "en")
    assert await recall_documents(knowing, sentence) is None


async def test_a_question_about_itself_is_answered_by_the_codex(knowing):
    await load_codex(knowing)

    async def ask(question):
        return await recall_documents(knowing, read_sentence(question, NOW, "en"))

    answer = await ask("what does ROBIN do?")
    assert answer.kind == "recalled"
    assert answer.value.startswith("I listen for the why.")
    assert answer.text.endswith("(from the persona codex: ROBIN)")
    described = await ask("describe the living image")
    assert described.value.startswith("One file store that holds everything")
    for elsewhere in ("who is Robin Hood?", "who is Brick Tamland?", "what is a living room?"):
        assert await ask(elsewhere) is None, elsewhere
    await knowing.catalog.learn("The family", "Robin is the brother of Anna Berg.")
    assert (await ask("who is Robin?")).sources[0]["title"] == "The family"


async def test_a_document_of_prompts_and_responses_is_known_as_pairs(knowing, tmp_path):
    pairs = [
        {"prompt": "What is the secret of the bakery?", "response": "Rest. Two nights of it."},
        {"prompt": "Who founded the bakery?", "response": "My grandmother, with her sister."},
    ]
    path = tmp_path / "golden.jsonl"
    path.write_text("".join(f"{json.dumps(pair)}\n" for pair in pairs))
    (read,) = read_file(path)
    await knowing.catalog.learn(read.title, read.text, source=read.source, meta=read.meta)
    for pair in pairs:
        answer = await recall_documents(knowing, read_sentence(pair["prompt"], NOW, "en"))
        assert answer.value == pair["response"]
    sentence = read_sentence("what is the secret of the butcher?", NOW, "en")
    assert await recall_documents(knowing, sentence) is None


async def test_a_counter_begins_at_zero_and_a_change_finds_the_old_fact(knowing):
    answer = await do(knowing, "counters_obj.add", thing="push-ups", number=0)
    assert (answer.kind, answer.value) == ("acted", 0)
    await do(knowing, "memory_obj.remember", text="my wifi password is hunter2")
    done = await do(knowing, "memory_obj.change", text="my wifi password is swordfish")
    assert "hunter2" in done.text
    answer = await do(knowing, "memory_obj.recall", question="what is my wifi password?")
    assert answer.value == "swordfish"


async def test_a_question_about_the_world_is_answered_by_what_was_said_or_taught(said, mind):
    await said("remember that the dentist is on 12 May 2027")
    body = await said("when is the dentist?")
    assert (body["kind"], body["value"]) == ("recalled", "12 May 2027")
    await mind.catalog.learn("Garden rules", "The gate is locked at nine. Bees are allowed.")
    body = await said("when is the gate locked?")
    assert (body["kind"], body["value"]) == ("recalled", "The gate is locked at nine.")
    assert (await said("who wrote Moby Dick?"))["kind"] == "unable"


async def test_a_talk_about_lists_and_facts(said):
    await said("add milk to my shopping list")
    await said("add soap to my packing list")
    body = await said("add tea to my list")
    assert (body["kind"], body["choices"]) == ("asked", ["shopping", "packing"])
    assert (await said("2"))["text"] == "I added tea to the packing list."
    await said("undo that")
    assert (await said("what is on my packing list?"))["value"] == ["soap"]
    await said("delete my packing list")
    assert (await said("yes"))["kind"] == "acted"
    assert (await said("which lists do I have?"))["value"] == ["shopping"]
    await said("remember that my locker code is 4711")
    assert (await said("remember that my locker code is 9931"))["kind"] == "asked"
    assert (await said("yes"))["kind"] == "acted"
    assert (await said("what is my locker code?"))["value"] == "9931"
    await said("forget my locker code")
    assert (await said("what is my locker code?"))["kind"] == "unable"


async def test_a_message_that_changes_an_object_is_taken_back_by_a_sentence(said, make, image):
    source = "def wave(self, n):\n    self.waved = n\n    self._p_changed = True\n    return n\n"
    await make("robot", [source], waved=1)
    body = await said("robot.wave(5)")
    assert (body["value"], body["undo"]) == (5, "undo that")
    assert (await said("undo that"))["kind"] == "acted"
    assert await image.transact(lambda r: r["objects"]["robot"].slots["waved"], note="t") == 1
    assert (await said("calculator_obj.percent_of(15, 200)"))["undo"] == ""


async def test_a_question_without_a_possessive_reaches_documents(said, mind):
    text = (
        "Open day\n\nThe open day takes place on 12 September in the glass house. "
        "We print our leaflets with Brandt Press.\n\nBread\n\n"
        "Bake the loaf at 220 degrees for 40 minutes. The bakery opens at six."
    )
    await mind.catalog.learn("Mill notes", text)
    for question, value in {
        "which firm do we print our leaflets with?": "We print our leaflets with Brandt Press.",
        "when is the open day according to the notes?": "The open day takes place on 12 September",
        "where does the open day take place": "The open day takes place on 12 September",
        "at what temperature does the loaf bake?": "Bake the loaf at 220 degrees",
        "when does the bakery open?": "The bakery opens at six.",
    }.items():
        body = await said(question)
        assert body["kind"] == "recalled", question
        assert body["value"].startswith(value), question
        assert body["sources"][0]["title"] == "Mill notes"
    for question in ("which firm do we print our posters with?", "when does the bank open?"):
        assert (await said(question))["kind"] in ("unable", "asked"), question


async def test_a_fact_goes_before_a_document_and_a_document_before_a_near_fact(said, mind):
    await mind.catalog.learn("Handbook", "The alarm code of the shed is 8812. Tea is at four.")
    await said("remember that my locker code is 4711")
    assert (await said("what is my locker code?"))["value"] == "4711"
    assert "8812" in (await said("what is the alarm code of the shed?"))["value"]


TAKEN_BACK = {
    "add bread to the shopping list": "I took it back",
    "setz Brot auf die Einkaufsliste": "Ich habe es zurückgenommen",
    "ajoute du pain à la liste de courses": "Je l'ai annulé",
    "añade pan a la lista de la compra": "Lo he deshecho",
}


@pytest.mark.parametrize("sentence", TAKEN_BACK)
async def test_each_language_has_its_own_sentence_to_take_something_back(said, sentence):
    done = await said(sentence)
    assert done["kind"] == "acted"
    assert (await said(done["undo"]))["text"].startswith(TAKEN_BACK[sentence])


async def test_what_several_people_add_to_one_list_at_once_is_all_there(said):
    things = ["milk", "soap", "rice", "salt", "tea", "flour"]
    added = (said(f"add {thing} to my shopping list", session=thing) for thing in things)
    assert {done["kind"] for done in await asyncio.gather(*added)} == {"acted"}
    assert {*(await said("what is on my shopping list?"))["value"]} == {*things}


async def test_what_somebody_did_is_what_was_ticked_off_and_what_was_said_of_the_day(said):
    await said("add milk to my shopping list")
    await said("tick off milk")
    assert "milk" in (await said("what did I do today?"))["text"]
    await said("remember that I visited Ann today")
    both = (await said("what did I do today?"))["text"]
    assert ("milk" in both, "visited Ann" in both) == (True, True)
