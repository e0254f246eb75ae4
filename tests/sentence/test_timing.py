"""bat_os.sentence.timing and due: when a sentence says that something should happen."""

import datetime as dt
import json
import zoneinfo
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.kernel.say import reminders
from bat_os.kernel.say.recall import Act
from bat_os.natives.recurrence import local_time
from bat_os.sentence.due import is_over, plan, say_moment, say_rule, say_span
from bat_os.sentence.forms import read_form
from bat_os.sentence.spelling import read_spelt
from bat_os.sentence.timing import Timing, read_by, read_timing, split_timing

ZONE = "Europe/Berlin"
NOW = dt.datetime(2026, 11, 23, 10, 0, tzinfo=zoneinfo.ZoneInfo(ZONE))  # a Monday
HERE = NOW.replace(tzinfo=None)
FILE = Path(__file__).parents[1] / "cases" / "reminders.jsonl"
CASES = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


def understand(said):
    """Return the language, the plan and the text that the kernel makes of a sentence."""
    sentence, _ = read_spelt(said, NOW, "")
    form = read_form(sentence)
    act = Act(None, form.name, form.values, form.language, NOW)
    kind = form.name.partition(".")[2]
    split = {"timer": reminders.split_timer, "alarm": reminders.split_alarm}
    timing, text = split.get(kind, reminders.split_words)(act)
    return form.language, plan(timing, NOW.timestamp(), ZONE, early=kind == "alarm"), text


def describe(found):
    """Return a plan as the file of cases writes it, in all ways."""
    rule = found.rule
    if "at" in rule:
        minutes = (rule["at"] - NOW.timestamp()) / 60
        return f"+{minutes:g}m", f"{local_time(rule['at'], ZONE):%Y-%m-%d %H:%M}"
    if "cron" in rule:
        return (f"cron:{rule['cron']}",)
    if "every" in rule:
        return (f"every:{rule['every']}",)
    return (f"days:{rule['days']}@{rule['start']}",)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['language']}: {case['say']}")
def test_a_sentence_says_when_and_what(case):
    language, found, text = understand(case["say"])
    assert language == case["language"]
    assert found is not None
    assert case["due"] in describe(found)
    assert text == case["text"]


def when(text, language="en", **how):
    return plan(read_timing(text, HERE, language), NOW.timestamp(), ZONE, **how)


def test_an_hour_that_is_over_is_the_next_one_and_that_is_noted():
    at_nine, at_eleven = when("at 9"), when("at 11")
    assert describe(at_nine)[1] == "2026-11-23 21:00"
    assert at_nine.note == "reminders.later"
    assert describe(at_eleven)[1] == "2026-11-23 11:00"
    assert at_eleven.note == ""
    german = when("um 9", "de")  # a clock of 24 hours
    assert describe(german)[1] == "2026-11-24 09:00"
    assert german.note == "reminders.tomorrow_then"


def test_nobody_is_reminded_at_three_in_the_night_unless_the_night_was_said():
    assert describe(when("at 3"))[1] == "2026-11-23 15:00"
    assert describe(when("tomorrow at 4"))[1] == "2026-11-24 16:00"
    assert describe(when("at 3 am"))[1] == "2026-11-24 03:00"
    assert describe(when("at 3", early=True))[1] == "2026-11-24 03:00"


@pytest.mark.parametrize("text", ["yesterday at 9", "today at 8 am", "on 3 May 2020"])
def test_a_moment_that_is_over_is_no_plan(text):
    timing = read_timing(text, HERE, "en")
    assert plan(timing, NOW.timestamp(), ZONE) is None
    assert is_over(timing, NOW.timestamp(), ZONE)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("on the last friday of each month to pay rent", "en"),
        ("every last friday of the month to pay rent", "en"),
        ("am letzten Freitag jedes Monats an die Miete", "de"),
        ("jeden letzten Freitag im Monat an die Miete", "de"),
        ("le dernier vendredi de chaque mois de payer le loyer", "fr"),
        ("el último viernes de cada mes pagar el alquiler", "es"),
        ("every first monday of the month to call Ann", "en"),
        ("jeden ersten Montag im Monat Anna anzurufen", "de"),
        ("twice a day to stretch", "en"),
        ("zweimal am Tag ans Dehnen", "de"),
        ("at the end of every month to send the invoice", "en"),
    ],
)
def test_a_repetition_that_no_rule_has_is_no_plan(text, language):
    timing, _ = split_timing(text, HERE, language)
    assert plan(timing, NOW.timestamp(), ZONE) is None


def test_without_a_time_of_day_it_is_nine_and_that_is_noted():
    found = when("on Friday")
    assert describe(found)[1] == "2026-11-27 09:00"
    assert found.note == "reminders.assumed"
    assert when("today") is None


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("call Ann", "call Ann"),
        ("walk 5 km", "walk 5 km"),
        ("read chapter 3 of May's book", "read chapter 3 of May's book"),
        ("study for 20 minutes", "study for 20 minutes"),
    ],
)
def test_what_is_no_moment_stays_in_the_text(text, rest):
    timing, left = split_timing(text, HERE, "en")
    assert timing == Timing()
    assert left == rest


def test_a_span_later_is_read_in_four_languages():
    said = [("by 20 minutes", "en"), ("um 20 Minuten", "de"), ("de 20 minutes", "fr"),
            ("20 minutos más", "es")]  # fmt: skip
    assert [read_by(text, HERE, code) for text, code in said] == [(20.0, "minute")] * 4


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"cron": "0 8 * * *"}, "every day at 08:00"),
        ({"cron": "30 18 * * 1,4"}, "every Monday and Thursday at 18:30"),
        ({"cron": "0 9 1 * *"}, "on day 1 of every month at 09:00"),
        ({"cron": "0 9 3 5 *"}, "every year on 3 May at 09:00"),
        ({"cron": "*/5 * * * *"}, "*/5 * * * *"),
        ({"every": 5400, "start": 0.0}, "every 90 minutes"),
        ({"days": 14, "start": "2026-11-30T07:00"}, "every 14 days at 07:00"),
        ({"at": 0.0}, ""),
    ],
)
def test_a_rule_is_said_in_words(rule, said):
    assert say_rule(rule, ZONE, "en") == said


def test_a_moment_is_said_in_words():
    now = NOW.timestamp()
    assert say_moment(now + 3600, now, ZONE, "en") == "today at 11:00"
    assert say_moment(now + 86_400, now, ZONE, "de") == "morgen um 10:00"
    assert say_moment(now + 4 * 86_400, now, ZONE, "en") == "on Friday, 27 November 2026, at 10:00"
    assert say_span(7500, "fr") == "2 heures et 5 minutes"


@given(st.text(max_size=120), st.sampled_from(["en", "de", "fr", "es"]))
def test_any_text_can_be_split(text, language):
    timing, rest = split_timing(text, HERE, language)
    plan(timing, NOW.timestamp(), ZONE)
    assert len(rest) <= len(text)
