"""bat_os.kernel.say.reminders: reminders in a conversation, on a real image."""

import pytest

from bat_os.image import schedules
from bat_os.kernel.say.reminders import say_due
from bat_os.natives.recurrence import local_time


async def live(talk):
    return await talk.mind.image.transact(lambda root: schedules.live(root, ""), note="look")


async def test_a_reminder_is_set_listed_moved_and_cancelled(talk):
    answer = await talk("remind me tomorrow at 9 to call Ann")
    assert (answer["kind"], answer["undo"]) == ("acted", "undo that")
    assert answer["text"] == "I will remind you tomorrow at 09:00: call Ann."
    assert "call Ann, tomorrow at 09:00" in (await talk("what reminders do I have?"))["text"]
    assert "tomorrow at 10:00" in (await talk("move it to 10"))["text"]
    assert "tomorrow at 10:20" in (await talk("snooze it by 20 minutes"))["text"]
    assert (await talk("cancel the reminder about Ann"))["kind"] == "acted"
    assert (await talk("do I have any reminders?"))["text"] == "You have no reminders."


async def test_a_reminder_is_taken_back_and_brought_back(talk):
    await talk("remind me tomorrow at 9 to call Ann")
    assert (await talk("undo that"))["kind"] == "acted"
    assert await live(talk) == []
    await talk("undo that")
    assert [each.text for each in await live(talk)] == ["call Ann"]
    await talk("cancel the reminder about Ann")
    await talk("undo that")
    assert [each.text for each in await live(talk)] == ["call Ann"]


async def test_the_moment_is_asked_for_and_the_answer_sets_it(talk):
    answer = await talk("remind me to water the basil")
    assert (answer["kind"], answer["needs"]) == ("asked", "clarification")
    assert await live(talk) == []
    answer = await talk("at 7 in the evening")
    assert answer["kind"] == "acted"
    (one,) = await live(talk)
    assert one.text == "water the basil"
    assert local_time(one.next, "").hour == 19
    assert "basil" in (await talk("when do I water the basil?"))["text"]


async def test_a_moment_that_is_over_is_asked_about(talk):
    answer = await talk("remind me yesterday at 9 to call Bob")
    assert (answer["kind"], answer["needs"]) == ("asked", "clarification")
    assert "over" in answer["text"]
    assert (await talk("in 20 minutes"))["kind"] == "acted"
    assert [each.text for each in await live(talk)] == ["call Bob"]


async def test_of_several_it_is_asked_which(talk):
    await talk("remind me tomorrow at 9 to call Ann")
    await talk("remind me tomorrow at 10 to call Bob")
    answer = await talk("cancel my reminder")
    assert answer["needs"] == "clarification"
    assert [each.split(",")[0] for each in answer["choices"]] == ["call Ann", "call Bob"]
    await talk("2")
    assert [each.text for each in await live(talk)] == ["call Ann"]
    await talk("remind me tomorrow at 10 to call Bob")
    assert (await talk("cancel all reminders"))["needs"] == "confirmation"
    await talk("yes")
    assert await live(talk) == []


async def test_a_timer_an_alarm_and_a_question_at_a_time(talk):
    assert "12 minutes" in (await talk("start a timer of 12 minutes"))["text"]
    assert (await talk("wake me at 7"))["kind"] == "acted"
    answer = await talk("every weekday at 8 tell me what is on my to-do list")
    assert "every weekday at 08:00" in answer["text"]
    kinds = {each.kind: each for each in await live(talk)}
    assert set(kinds) == {"timer", "alarm", "say"}
    assert kinds["say"].text == "what is on my to-do list"
    assert kinds["say"].rule == {"cron": "0 8 * * 1-5"}
    assert "07:00" in (await talk("what alarms are set?"))["text"]
    assert "1" in (await talk("how long does the timer still run?"))["text"]
    await talk("cancel the timer")
    assert {each.kind for each in await live(talk)} == {"alarm", "say"}


@pytest.mark.parametrize(
    ("said", "asked", "moved", "cancelled"),
    [
        ("Erinnere mich morgen um 14 Uhr an die Werkstatt", "Welche Erinnerungen habe ich?",
         "verschieb es auf 15 Uhr", "lösch die Erinnerung an die Werkstatt"),
        ("rappelle-moi demain à 14h d'appeler Anne", "quels sont mes rappels ?",
         "déplace-le à 15h", "annule le rappel d'appeler Anne"),
        ("recuérdame mañana a las 14 llamar a Ana", "¿qué recordatorios tengo?",
         "muévelo a las 15", "cancela el recordatorio de llamar a Ana"),
    ],
    ids=["de", "fr", "es"],
)  # fmt: skip
async def test_it_is_done_in_other_languages_too(talk, said, asked, moved, cancelled):
    assert (await talk(said))["kind"] == "acted"
    assert "14:00" in (await talk(asked))["text"]
    assert "15:00" in (await talk(moved))["text"]
    assert (await talk(cancelled))["kind"] == "acted"
    assert await live(talk) == []


async def test_what_must_not_be_forgotten_without_a_moment_is_a_thing_to_do(talk):
    await talk("don't let me forget to pay the rent")
    assert await live(talk) == []
    assert "pay the rent" in (await talk("what is on my to-do list?"))["text"]


async def test_a_reminder_of_one_conversation_is_not_moved_by_another(talk):
    await talk("remind me tomorrow at 9 to call Ann")
    (before,) = await live(talk)
    await talk("make that 10", session="other")
    assert (await live(talk))[0].next == before.next


def test_what_is_due_is_said_with_what_was_missed():
    due = {
        "kind": "remind", "text": "call Ann", "language": "en", "moment": 0.0, "zone": "UTC",
        "answer": "", "failed": "", "missed": 3, "passed": False, "asleep": False,
    }  # fmt: skip
    assert say_due(due | {"missed": 0}, 1.0) == "call Ann"
    said = say_due(due, 7200.0)
    assert said == "call Ann (was due today at 00:00) 3 more were missed."
    run = due | {"kind": "say", "answer": "milk", "missed": 0}
    assert say_due(run, 1.0) == "call Ann: milk"
    assert "too late" in say_due(run | {"passed": True}, 1.0)
    assert say_due(due | {"text": "", "kind": "timer", "missed": 0}, 1.0) == "The timer is over."


async def test_a_question_that_shares_a_word_with_a_reminder_is_not_about_it(talk):
    await talk("remind me every day at 8 to take my pills")
    assert "08:00" in (await talk("when do I take my pills?"))["text"]
    other = await talk("should I take an umbrella when I go out this afternoon?")
    assert "pills" not in other["text"]
