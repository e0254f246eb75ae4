"""bat_os.core.moments: moments as people write them."""

import contextlib
import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.core.moments import parse_when
from bat_os.errors import ArgumentsError

ZONE = dt.timezone(dt.timedelta(hours=1))
NOW = dt.datetime(2026, 11, 21, 12, 30, tzinfo=ZONE)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("now", "2026-11-21T12:30:00+01:00"),
        ("2 hours ago", "2026-11-21T10:30:00+01:00"),
        ("an hour ago", "2026-11-21T11:30:00+01:00"),
        ("90s ago", "2026-11-21T12:28:30+01:00"),
        ("3d  AGO", "2026-11-18T12:30:00+01:00"),
        ("1 week ago", "2026-11-14T12:30:00+01:00"),
        ("yesterday", "2026-11-20T12:30:00+01:00"),
        ("2026-11-20", "2026-11-20T00:00:00+01:00"),
        ("2026-11-20 14:30", "2026-11-20T14:30:00+01:00"),
        ("2026-11-20T14:30:05z", "2026-11-20T14:30:05+00:00"),
    ],
)
def test_a_time_is_read_in_the_zone_of_now(text, told):
    assert parse_when(text, NOW).time.isoformat() == told


def test_a_transaction_and_a_mission_are_told_apart_by_their_length():
    assert parse_when("0414C8F1A2B3C4D5", NOW).kind == "transaction"
    assert parse_when("019a2b3c4d5e0f1a2b3c4d5e", NOW).kind == "mission"


@pytest.mark.parametrize(
    "text",
    ["", "soon", "2 hours", "x hours ago", "2 moons ago", "2026-13-01", "999999999 weeks ago",
     "tomorrow", "2 hours ago " * 20],
)  # fmt: skip
def test_what_is_no_moment_is_refused_with_the_forms_there_are(text):
    with pytest.raises(ArgumentsError, match="is not a moment; write a time"):
        parse_when(text, NOW)


def test_the_future_is_refused():
    with pytest.raises(ArgumentsError, match="future"):
        parse_when("2026-11-22", NOW)


@given(st.text(max_size=80))
def test_any_text_is_a_moment_or_a_coded_error(text):
    with contextlib.suppress(ArgumentsError):
        assert parse_when(text, NOW).kind


WRITTEN = (
    st.text(max_size=20) | st.datetimes().map(str) | st.dates().map(str)
    | st.integers(0, 10**9).map("{} weeks ago".format)
    | st.timezones().flatmap(lambda zone: st.datetimes(timezones=st.just(zone))).map(str)
)  # fmt: skip


@given(WRITTEN)
def test_a_moment_is_one_that_a_transaction_can_have_or_it_is_refused(text):
    try:
        moment = parse_when(text, NOW)
    except ArgumentsError:
        return
    if moment.time is not None:
        assert moment.time.astimezone(dt.UTC).year >= 1969
        assert moment.time <= NOW


@pytest.mark.parametrize("text", ["0001-01-01", "1899-12-31", "1969-12-31 23:59", "3000 weeks ago",
                                  "0001-01-01T00:00+14:00"])  # fmt: skip
def test_a_moment_before_any_image_is_refused_and_says_so(text):
    with pytest.raises(ArgumentsError, match="before 1970"):
        parse_when(text, NOW)
