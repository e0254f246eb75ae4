"""What is changed is named by all that was said, was just spoken of, or is asked for."""

import datetime as dt
import time
from dataclasses import replace

import pytest

from bat_os.core.protocol import Request
from bat_os.image import schedules
from bat_os.image.schedules import Schedule
from bat_os.kernel.say.acts import act
from bat_os.sentence.forms import Form
from bat_os.sentence.reading import read_sentence

pytestmark = pytest.mark.slow


async def slots(talk, name, slot):
    """Return a slot of an object of the library."""
    return await talk.mind.image.transact(
        lambda root: root["objects"][name].slots.get(slot, {}), note="look"
    )


async def counted(talk):
    logs = await slots(talk, "counters_obj", "logs")
    return {name: sum(e["number"] for e in kept["log"]) for name, kept in logs.items()}


async def entries(talk):
    lists = await slots(talk, "lists_obj", "lists")
    return {(name, e["text"]): e["done"] for name, kept in lists.items() for e in kept}


async def live(talk):
    found = await talk.mind.image.transact(lambda root: schedules.live(root, ""), note="look")
    return [each.text or round(each.next - each.made) // 60 for each in found]


# Two things of one kind that share a word, and a part of both names.
PAIRS = {
    "en": [
        ("glass of water", "glass of wine", "glass"),
        ("glass of oat milk", "glass of milk", "glass"),
        ("vitamin A pill", "vitamin D pill", "vitamin pill"),
        ("call Ann", "call Bob", "call"),
        ("page of Dune", "page of Emma", "page"),
        ("tea with milk", "tea without milk", "tea"),
    ],
    "de": [
        ("Glas Wasser", "Glas Wein", "Glas"),
        ("Tablette Aspirin", "Tablette Ibuprofen", "Tablette"),
        ("Seite Faust", "Seite Momo", "Seite"),
    ],
    "fr": [("verre d'eau", "verre de vin", "verre"), ("page de Candide", "page de Nana", "page")],
    "es": [
        ("vaso de agua", "vaso de vino", "vaso"),
        ("página de Platero", "página de Nada", "página"),
    ],
}
ALL = [(language, *pair) for language, pairs in PAIRS.items() for pair in pairs]
NOW = dt.datetime.now(dt.UTC)


async def do(talk, language, name, **values):
    """Carry out a form as a sentence of a language would have it."""
    sentence = replace(read_sentence("x", NOW, language), language=language)
    asked = Request("say", caller="")
    return await act(talk.mind, Form(name, values), sentence, now=NOW, request=asked)


async def test_no_act_on_a_counter_changes_another_one(talk):
    for language, one, other, shared in ALL:
        for name in (one, other):
            await do(talk, language, "counters_obj.add", thing=name, number=5, new=True)
        kept = await counted(talk)
        for act_name, number in (("add", 8), ("subtract", 5), ("set", 2), ("reset", 0)):
            done = await do(talk, language, f"counters_obj.{act_name}", thing=other,
                            number=2 if act_name == "set" else 3)  # fmt: skip
            assert (done.kind, await counted(talk)) == ("acted", {**kept, other: number}), other
            asked = await do(talk, language, f"counters_obj.{act_name}", thing=shared, number=9)
            assert asked.kind == "asked", (act_name, shared)
            assert [one, other] == [each for each in asked.choices if each in (one, other)]
            assert await counted(talk) == {**kept, other: number}
        await talk.mind.image.transact(_empty("counters_obj", "logs"), note="empty")
        await do(talk, language, "counters_obj.add", thing=one, number=5)
        for act_name in ("subtract", "reset"):
            refused = await do(talk, language, f"counters_obj.{act_name}", thing=other)
            assert refused.kind in ("unable", "asked"), (act_name, other)
        assert await counted(talk) == {one: 5}
        await talk.mind.image.transact(_empty("counters_obj", "logs"), note="empty")


async def test_no_act_on_an_entry_changes_another_one(talk):
    for language, one, other, shared in ALL:
        await do(talk, language, "lists_obj.create", list="test", items=[one, other])
        kept = await entries(talk)
        for act_name, values in (("tick", {}), ("untick", {}), ("move", {"to": "end"}),
                                 ("remove", {})):  # fmt: skip
            asked = await do(
                talk, language, f"lists_obj.{act_name}", item=shared, list="", **values
            )
            assert (asked.kind, asked.choices) == ("asked", (one, other)), (act_name, shared)
            assert await entries(talk) == kept
            kept["test", other] = act_name == "tick"
            done = await do(talk, language, f"lists_obj.{act_name}", item=other, list="", **values)
            assert done.kind == "acted"
            assert (await entries(talk))["test", one] is False
        for act_name in ("tick", "untick", "move", "remove"):  # the other one is there alone
            refused = await do(
                talk, language, f"lists_obj.{act_name}", item=other, list="", to="top"
            )
            assert refused.kind in ("unable", "asked"), (act_name, other)
            assert await entries(talk) == {("test", one): False}
        await talk.mind.image.transact(_empty("lists_obj", "lists"), note="empty")


async def test_no_act_on_a_reminder_changes_another_one(talk):
    for language, one, other, shared in ALL:
        kept = [await _remind(talk, each) for each in (one, other)]
        for act_name in ("move", "cancel"):
            values = {"when": "22:00"} if act_name == "move" else {}
            asked = await do(talk, language, f"reminders_obj.{act_name}", text=shared, **values)
            assert (asked.kind, len(asked.choices)) == ("asked", 2), (act_name, shared)
            done = await do(talk, language, f"reminders_obj.{act_name}", text=other, **values)
            assert done.kind == "acted", (act_name, other)
            first = (await talk.mind.image.transact(_live, note="look"))[0]
            assert (first.number, first.text, first.next) == kept[0]
            if act_name == "cancel":
                refused = await do(talk, language, "reminders_obj.cancel", text=other)
                assert refused.kind in ("unable", "asked"), other
                assert await live(talk) == [one]
        await do(talk, language, "reminders_obj.cancel", text=one)


def _live(root):
    return schedules.live(root, "")


def _empty(name, slot):
    return lambda root: root["objects"][name].set_slot(slot, {})


async def _remind(talk, text):
    """Set a reminder for tomorrow; return what tells it apart."""
    at = time.time() + 86_400
    one = Schedule("remind", text, {"at": at}, "", at, home=talk.mind.home_id, made=at - 86_400)
    kept = await talk.mind.image.transact(lambda root: schedules.add(root, one), note="remind")
    return kept.number, text, at


async def test_a_name_with_another_word_is_another_counter(talk):
    for said, total in {
        "I drank 2 glasses of water": 2, "I drank a glass of wine": 1, "I took a vitamin C pill": 1,
        "I took a vitamin D pill": 1, "I took a sleeping pill": 1,
        "ich habe 2 Glas Wasser getrunken": 2, "ich habe ein Glas Wein getrunken": 1,
    }.items():  # fmt: skip
        assert (await talk(said))["value"] == total, said
    before = await counted(talk)
    assert len(before) == 7
    assert (await talk("reset the glasses of beer"))["kind"] != "acted"
    assert await counted(talk) == before


async def test_a_part_of_a_name_is_asked_about_and_the_answer_counts(talk):
    await talk("I took a vitamin C pill")
    asked = await talk("I took a pill")
    assert (asked["kind"], asked["choices"]) == ("asked", ["vitamin C pill", "pill"])
    assert (await talk("1"))["value"] == 2
    await talk("I took a pill")
    assert (await talk("2"))["value"] == 1
    assert await counted(talk) == {"vitamin C pill": 2, "pill": 1}


@pytest.mark.parametrize(
    ("reminder", "timer", "said", "left"),
    [
        ("remind me to buy 2 tickets for the show in 40 minutes", "set a 2 hour timer",
         "cancel the 2 hour timer", ["buy 2 tickets for the show"]),
        ("remind me to call the 10 pin bowling club in 40 minutes", "set a timer for 10 minutes",
         "stop the 10 minute timer", ["call the 10 pin bowling club"]),
        ("remind me to pay 5 euros to Kim in 40 minutes", "set a timer for 20 minutes",
         "cancel the 5 minute timer", [20, "pay 5 euros to Kim"]),
        ("remind me to call Ann in 40 minutes", "set a timer for 20 minutes",
         "cancel the reminder to call Bob", [20, "call Ann"]),
    ],
)  # fmt: skip
async def test_a_timer_is_named_by_its_length(talk, reminder, timer, said, left):
    await talk(reminder)
    await talk(timer)
    answer = await talk(said)
    assert answer["kind"] == ("unable" if 20 in left else "acted")
    assert await live(talk) == left


async def test_one_timer_of_two_is_named_by_its_length_in_each_language(talk):
    for made, other, said in (
        ("set a 2 hour timer", "set a 2 minute timer", "cancel 2 hour timer"),
        ("set a 10 minute timer", "set a 20 minute timer", "stop the 10-minute timer"),
        ("set a 10 minute timer", "set a 20 minute timer", "cancel the timer for 10 minutes"),
        ("stell einen Timer auf 10 Minuten", "stell einen Timer auf 20 Minuten",
         "stopp den 10-Minuten-Timer"),
        ("stell einen Timer auf 10 Minuten", "stell einen Timer auf 20 Minuten",
         "lösch den Timer über 10 Minuten"),
        ("mets un minuteur de 10 minutes", "mets un minuteur de 20 minutes",
         "annule le minuteur de 10 minutes"),
        ("pon un temporizador de 10 minutos", "pon un temporizador de 20 minutos",
         "cancela el temporizador de 10 minutos"),
    ):  # fmt: skip
        await talk(made)
        left = await live(talk)
        await talk(other)
        kept = [each for each in await live(talk) if each not in left]
        assert (await talk(said))["kind"] == "acted", said
        assert await live(talk) == kept, said
        assert (await talk(said))["kind"] == "unable", said
        await talk("cancel all timers")
        assert await live(talk) == []


async def test_a_kind_of_which_there_is_none_is_not_said_to_be_all(talk):
    await talk("remind me tomorrow at 9 to sing")
    assert (await talk("what timers are running?"))["text"] == "No timer is running."
    assert (await talk("what alarms do I have?"))["text"] == "No alarm is set."
    assert (await talk("cancel the timer"))["text"] == "No timer is running."


async def test_of_several_that_were_shown_it_is_asked_which_is_cancelled(talk):
    await talk("remind me tomorrow at 9 to sing")
    for minutes in (5, 9):
        await talk(f"set a timer for {minutes} minutes")
    await talk("what timers are running?")
    asked = await talk("cancel it")
    assert (asked["kind"], len(asked["choices"])) == ("asked", 2)
    assert (await talk("1"))["kind"] == "acted"
    assert await live(talk) == [9, "sing"]


@pytest.mark.parametrize("said", ["cancel it", "delete it", "stop it", "forget it", "never mind"])
@pytest.mark.parametrize("made", ["set a timer for 10 minutes", "remind me tomorrow at 9 to sing"])
async def test_what_was_just_set_is_cancelled_and_said_so(talk, made, said):
    await talk(made)
    answer = await talk(said)
    assert (answer["kind"], await live(talk)) == ("acted", [])
    assert answer["text"].startswith("I cancelled")
    answer = await talk(said)  # that is done, and how to undo it is said
    assert "undo that" in answer["text"]


async def test_nothing_is_cancelled_with_an_assent(talk):
    assert "nothing" in (await talk("cancel it"))["text"]
    assert "nichts" in (await talk("brich das ab"))["text"]
    await talk("add milk to my test list")
    assert "undo that" in (await talk("never mind"))["text"]
    assert await entries(talk) == {("test", "milk"): False}
    await talk("set a timer for 10 minutes")
    await talk("what timers do I have?")
    assert (await talk("cancel it"))["kind"] == "asked"
    await talk("yes")
    assert await live(talk) == []


async def test_amounts_alone_make_no_list(talk):
    assert (await talk("add 3 kg and 200 g in grams"))["kind"] != "acted"
    assert await slots(talk, "lists_obj", "lists") == {}
    await talk("add 3 kg and 200 g to my test list")  # a list is named
    assert {*await entries(talk)} == {("test", "3 kg"), ("test", "200 g")}


@pytest.mark.parametrize(
    ("said", "meant", "length"),
    [("start a timer of 5 minutes", "make it 7", 7), ("set a timer for 1 hour", "make it 2", 120),
     ("set a timer for 20 minutes", "make it 25 minutes", 25),
     ("stell einen Timer auf 5 Minuten", "mach es 7 Minuten", 7),
     ("set a timer for 20 minutes", "extend it by 5 minutes", 25)],
)  # fmt: skip
async def test_a_timer_gets_the_length_that_is_said(talk, said, meant, length):
    await talk(said)
    assert (await talk(meant))["kind"] == "acted"
    assert await live(talk) == [length]


async def test_only_a_fact_that_is_named_is_forgotten(talk):
    await talk("remember that the spare key of the shed is at Anna's")
    await talk("remember that Ben likes jazz")
    assert (await talk("forget the spare key of the house"))["kind"] != "acted"
    assert (await talk("forget the car key"))["kind"] != "acted"
    assert (await talk("forget that Ben hates jazz"))["kind"] != "acted"
    assert len((await talk("what do you remember?"))["value"]) == 2
    done = await talk("forget the spare key of the shed")
    assert (done["kind"], done["value"]) == ("acted", "the spare key of the shed is at Anna's")
    assert (await talk("what do you remember?"))["value"] == ["Ben likes jazz"]


@pytest.mark.parametrize(
    ("first", "added", "then", "left"),
    [("add tea to my shopping list", "add milk to my test list", then, left) for then, left in [
        ("and remove the milk", {("shopping", "tea"): False}),
        ("and delete milk", {("shopping", "tea"): False}),
        ("and tick off milk", {("shopping", "tea"): False, ("test", "milk"): True}),
        ("and cross off milk", {("shopping", "tea"): False, ("test", "milk"): True}),
        ("and then read it to me", {("shopping", "tea"): False, ("test", "milk"): False}),
        ("and wash the car", {("shopping", "tea"): False, ("test", "milk"): False,
                              ("test", "wash the car"): False}),
    ]] + [
        ("setz Tee auf die Einkaufsliste", "setz Milch auf die Testliste", "und lösch die Milch",
         {("Einkaufsliste", "Tee"): False}),
        ("ajoute du thé à la liste de courses", "ajoute du lait à la liste de test",
         "et supprime le lait", {("courses", "du thé"): False}),
        ("añade té a la lista de la compra", "añade leche a la lista de prueba",
         "y quita la leche", {("compra", "té"): False}),
    ],
)  # fmt: skip
async def test_a_sentence_of_its_own_is_no_entry_behind_and(talk, first, added, then, left):
    await talk(first)
    await talk(added)
    assert (await talk(then))["kind"] in ("acted", "recalled")
    assert await entries(talk) == left


async def test_a_fact_is_replaced_by_one_about_its_subject_alone(talk):
    await talk("remember that the meeting with Ann is at 5")
    answer = await talk("actually the meeting with Bob is at 5")
    assert answer["kind"] in ("acted", "asked")
    kept = ["the meeting with Ann is at 5", "the meeting with Bob is at 5"]
    assert sorted((await talk("what do you remember?"))["value"]) == kept
    await talk("actually the meeting with Bob is at 6")
    kept[1] = "the meeting with Bob is at 6"
    assert sorted((await talk("what do you remember?"))["value"]) == kept
