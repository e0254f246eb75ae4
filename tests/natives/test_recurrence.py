"""bat_os.natives.recurrence: the moments of a rule, also in nights that lose or repeat an hour."""

import datetime as dt
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.errors import ArgumentsError
from bat_os.natives.recurrence import (
    COUNTED,
    check_rule,
    local_time,
    moment_of,
    moments_between,
    next_after,
)

# zone, the day whose night loses an hour, a time inside of the gap, when the gap ends;
# the day whose night has an hour twice, a time inside of it
NIGHTS = [
    ("Europe/Berlin", "2027-03-28", "02:30", "03:00", "2026-10-25", "02:30"),
    ("America/New_York", "2027-03-14", "02:15", "03:00", "2026-11-01", "01:30"),
    ("America/Santiago", "2026-09-06", "00:30", "01:00", "2027-04-03", "23:30"),
    ("Australia/Lord_Howe", "2026-10-04", "02:10", "02:30", "2027-04-04", "01:45"),
]


def at(text):
    return dt.datetime.fromisoformat(text)


def fired(rule, zone, day):
    """Return the local times at which a rule fires on a day and the next."""
    start = at(day) - dt.timedelta(minutes=1)
    moment, found = moment_of(start, zone), []
    until = moment_of(at(day) + dt.timedelta(hours=47, minutes=50), zone)
    while (moment := next_after(rule, zone, moment)) is not None and moment < until:
        found.append(local_time(moment, zone))
    return found


def rules(day, time):
    hour, minute = map(int, time.split(":"))
    start = at(f"{day}T{time}") - dt.timedelta(days=7)
    daily = {"days": 1, "start": start.isoformat()}
    return [{"cron": f"{minute} {hour} * * *"}, daily]


@pytest.mark.parametrize(("zone", "spring", "gone", "after", "autumn", "twice"), NIGHTS)
def test_each_night_fires_once(zone, spring, gone, after, autumn, twice):
    for rule in rules(spring, gone):
        next_day = at(spring) + dt.timedelta(days=1)
        first, second = fired(rule, zone, spring)
        assert first == at(f"{spring}T{after}")
        assert second == dt.datetime.combine(next_day, dt.time.fromisoformat(gone))
    for rule in rules(autumn, twice):
        found = fired(rule, zone, autumn)
        assert [each.date() for each in found] == [
            at(autumn).date(), at(autumn).date() + dt.timedelta(days=1)
        ]  # fmt: skip


@pytest.mark.parametrize(("zone", "spring", "gone", "after", "autumn", "twice"), NIGHTS)
def test_the_first_of_two_hours_is_meant(zone, spring, gone, after, autumn, twice):
    local = at(f"{autumn}T{twice}")
    first = local.replace(tzinfo=zoneinfo.ZoneInfo(zone), fold=0)
    second = local.replace(tzinfo=zoneinfo.ZoneInfo(zone), fold=1)
    assert first.timestamp() < second.timestamp()
    assert moment_of(local, zone) == first.timestamp()
    for rule in rules(autumn, twice):  # nothing is due in the second one any more
        assert next_after(rule, zone, first.timestamp()) > second.timestamp()


def test_an_interval_takes_no_notice_of_the_clock_on_the_wall():
    start = moment_of(at("2026-10-25T01:30"), "Europe/Berlin")
    rule = {"every": 1800, "start": start}
    found = moments_between(rule, "Europe/Berlin", start + 1800, start + 4 * 1800)
    assert found == [start + 1800 * step for step in (1, 2, 3, 4)]


def test_missed_moments_are_counted_in_bounded_time():
    rule = {"every": 60, "start": 0.0}
    found = moments_between(rule, "", 60.0, 10**9)
    assert len(found) == COUNTED
    assert found[-1] == 10**9 // 60 * 60
    assert len(moments_between({"cron": "* * * * *"}, "UTC", 60.0, 10**9)) == COUNTED


@pytest.mark.parametrize(
    "rule",
    [
        {}, {"at": float("nan")}, {"every": 5, "start": 0.0},
        {"days": 0, "start": "2026-01-01T09:00"},
        {"cron": "61 * * * *"}, {"cron": "* * * * * *"}, {"cron": "0 0 1 1"}, {"cron": "x" * 200},
    ],
)  # fmt: skip
def test_a_bad_rule_is_refused(rule):
    with pytest.raises(ArgumentsError):
        check_rule(rule, "UTC")


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", "x" * 300, "\0"])
def test_an_unknown_zone_is_refused(zone):
    with pytest.raises(ArgumentsError):
        check_rule({"at": 1.0}, zone)


@given(
    st.sampled_from([row[0] for row in NIGHTS]),
    st.integers(1_600_000_000, 1_900_000_000),
    st.integers(0, 23),
    st.integers(0, 59),
)
def test_a_day_has_one_moment_of_a_daily_rule(zone, now, hour, minute):
    rule = {"cron": f"{minute} {hour} * * *"}
    first = next_after(rule, zone, float(now))
    second = next_after(rule, zone, first)
    assert now < first <= now + 26 * 3600
    assert (local_time(second, zone).date() - local_time(first, zone).date()).days == 1
