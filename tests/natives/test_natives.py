"""bat_os.natives: what the trusted functions answer, and what they refuse in bounded time."""

import datetime as dt
import math
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.core.values import check
from bat_os.errors import ArgumentsError
from bat_os.natives import calculator, calendar, table, units

NOW = dt.datetime(2026, 11, 22, 14, 30, tzinfo=ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("17% of 340", 57.8), ("340 * 17%", 57.8), ("2^10", 1024), ("200 + 10%", 220),
        ("100 - 15%", 85), ("0.1 + 0.2", 0.3), ("1,234.5 * 2", 2469), ("5!", 120), ("17 % 5", 2),
        ("-7 % 3", 2), ("7 // 2", 3), ("-2^2", -4), ("(1 + 2) \u00d7 3", 9), ("12 ÷ 4", 3),
        ("sqrt(144)", 12), ("cbrt(27)", 3), ("round(2.675, 2)", 2.68), ("min(3, 2, 1)", 1),
        ("1 / 3", 0.333333333333333), ("2^200 + 1", 2**200 + 1), ("0^0", 1), ("10%", 0.1),
        ("log(1000)", 3), ("cos(pi)", -1), ("3 + 4 =", 7),
    ],
)  # fmt: skip
def test_an_expression_has_its_exact_value(expression, value):
    assert calculator.evaluate(expression) == value
    assert type(calculator.evaluate(expression)) in (int, float)


@pytest.mark.parametrize(
    "expression",
    ["", " ", "x", "2 +", "1 / 0", "9^9^9", "9.5^99999", "sqrt(-1)", "log(0)", "1e400", "501!",
     "'a' * 3", "[1] * 99", "__import__('os')", "(1).real", "1 if 2 else 3", "1 < 2", "1; 2",
     "1\n2", "lambda: 1", "True + 1", "x := 3", "f'{1}'", "max(1, 'a')", "min(1)", "3(4)",
     "(" * 200 + "1" + ")" * 300, "1+" * 240 + "y", "a" * 501, None, 5, "2**0.5**-9999999"],
)  # fmt: skip
def test_what_is_no_arithmetic_is_refused_by_a_coded_error(expression):
    with pytest.raises(ArgumentsError):
        calculator.evaluate(expression)


@given(st.text(alphabet="0123456789.+-*/%^!()eπ,sqrtoflin ", max_size=60))
def test_any_text_gets_a_number_or_a_coded_error(text):
    try:
        value = calculator.evaluate(text)
    except ArgumentsError:
        return
    check(value)
    assert math.isfinite(value) if type(value) is float else True


@given(st.integers(-(10**30), 10**30), st.integers(-(10**30), 10**30))
def test_whole_numbers_are_added_and_multiplied_exactly(a, b):
    assert calculator.evaluate(f"({a}) + ({b})") == a + b
    assert calculator.evaluate(f"({a}) * ({b})") == a * b


@given(st.decimals(-1000, 1000, places=3), st.decimals(1, 1000, places=2))
def test_a_percentage_and_its_whole_agree(percent, whole):
    part = calculator.percent_of(percent, whole)
    assert calculator.what_percent(part, whole) == pytest.approx(float(percent))


@pytest.mark.parametrize("bad", ["5", None, True, math.nan, math.inf, Decimal("NaN"), [1], 1j])
def test_a_number_has_to_be_a_number(bad):
    for work in (
        lambda: calculator.percent_of(bad, 3),
        lambda: calculator.root(3, bad),
        lambda: calculator.round_to(bad),
        lambda: units.convert(bad, "km", "m"),
    ):
        with pytest.raises(ArgumentsError):
            work()


@pytest.mark.parametrize(
    ("number", "unit", "to", "value"),
    [
        (5, "miles", "km", 8.04672), (26.2, "mi", "kilometres", 42.1648128), (20, "°C", "F", 68),
        (72, "fahrenheit", "celsius", 22.2222222222), (300, "K", "C", 26.85),
        (90, "minutes", "hours", 1.5), (2, "weeks", "days", 14), (1, "year", "days", 365.25),
        (100, "km/h", "mph", 62.1371192237), (60, "miles per hour", "km per hour", 96.56064),
        (10, "sq ft", "m2", 0.9290304), (1, "cubic meter", "liters", 1000),
        (1, "square mile", "acres", 640.00256), (11, "stone", "kg", 69.85322498),
        (2, "GB", "MB", 2000), (1, "Mb", "kB", 125), (8, "fl oz", "ml", 236.5882365),
        (500, "kcal", "kJ", 2092), (180, "lbs", "kg", 81.6466266), (6, "'", '"', 72),
        (3, "tbsp", "tsp", 9), (1, "kWh", "MJ", 3.6), (1, "L", "ml", 1000),
    ],
)  # fmt: skip
def test_a_quantity_is_converted(number, unit, to, value):
    assert units.convert(number, unit, to) == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(
    ("unit", "to"),
    [("km", "kg"), ("cats", "dogs"), ("", "km"), ("km", "9**9**9"), ("km", "x" * 61),
     ("km", "__class__"), (None, "km"), ("1e9999999", "m"), ("km//m", "m"),
     ("m" + "*m" * 20, "m"), ("degrees", "Celsius")],
)  # fmt: skip
def test_a_unit_that_is_none_or_of_another_kind_is_refused(unit, to):
    with pytest.raises(ArgumentsError):
        units.convert(5, unit, to)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "expression",
    ["exp(1000000)", "exp(2302584)", "round(5, exp(700000))", "10^2000^2 * 10^2000",
     "(10^2000) * (10^2000) * (10^2000)",
     "2.5^1999 * 2.5^1999 * 2.5^1999 * 2.5^1999", "floor(exp(9999999))"],
)  # fmt: skip
def test_a_number_that_would_take_seconds_to_write_is_refused(expression):
    with pytest.raises(ArgumentsError):
        calculator.evaluate(expression)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("units_obj.convert", [3, "dBm", "mW"]), ("units_obj.convert", [0, "dB", "Np"]),
        ("units_obj.convert", [1, "delta_degC", "degC"]),
        ("units_obj.convert", [10**400, "km", "m"]), ("units_obj.convert", [1e308, "km", "m"]),
        ("calendar_obj.weekday", ["Christmas 0000"]), ("calendar_obj.holiday", ["leap day", 9999]),
        ("calendar_obj.days_until", ["leap day 9999"]), ("calculator_obj.power", [1e300, 1999]),
        ("calculator_obj.evaluate", []), ("calendar_obj.days_in_month", ["May", 2026]),
    ],
)  # fmt: skip
def test_whatever_a_library_raises_is_a_coded_error(name, args):
    with pytest.raises(ArgumentsError):
        table.run(name, args, {}, NOW)


@given(st.floats(-1e9, 1e9), st.sampled_from(["km", "mile", "foot", "inch", "m", "yard"]))
def test_there_and_back_is_the_same(number, unit):
    there = units.convert(number, "m", unit)
    assert units.convert(there, unit, "m") == pytest.approx(number, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-05-03", "2026-05-03"), ("3 May", "2026-05-03"), ("May 3rd, 2027", "2027-05-03"),
        ("3rd of May 2027", "2027-05-03"), ("tomorrow", "2026-11-23"), ("friday", "2026-11-27"),
        ("next sunday", "2026-11-29"), ("this sunday", "2026-11-22"), ("last sunday", "2026-11-15"),
        ("Christmas", "2026-12-25"), ("Easter 2027", "2027-03-28"), ("Thanksgiving", "2026-11-26"),
        ("New Year\u2019s Eve", "2026-12-31"), ("Mother's Day 2026", "2026-05-10"),
    ],
)  # fmt: skip
def test_a_date_is_read(text, value):
    assert calendar.read_date(text, NOW) == dt.date.fromisoformat(value)


@pytest.mark.parametrize(
    "text", ["", "cat", "3pm", "4", "03/04/2026", "2026-02-30", "30 February 2026", "x" * 61, None,
             5, "decaf 3", "99 May", "May 3 99999"],
)  # fmt: skip
def test_what_is_no_date_or_could_be_two_is_refused(text):
    with pytest.raises(ArgumentsError):
        calendar.read_date(text, NOW)


@pytest.mark.parametrize(
    ("work", "value"),
    [
        (lambda: calendar.weekday("2026-11-22", now=NOW), "Sunday"),
        (lambda: calendar.days_until("Christmas", now=NOW), 33),
        (lambda: calendar.days_until("3 May", now=NOW), 162),
        (lambda: calendar.days_until("Easter", now=NOW), 126),
        (lambda: calendar.days_until("today", now=NOW), 0),
        (lambda: calendar.days_since("2026-01-01", now=NOW), 325),
        (lambda: calendar.shift("2024-01-31", 1, "month", now=NOW), dt.date(2024, 2, 29)),
        (lambda: calendar.shift("today", -2, "weeks", now=NOW), dt.date(2026, 11, 8)),
        (lambda: calendar.shift("2026-11-20", 6, "workdays", now=NOW), dt.date(2026, 11, 30)),
        (lambda: calendar.workdays_between("2026-11-20", "2026-11-30", now=NOW), 6),
        (lambda: calendar.age("1990-11-23", now=NOW), 35),
        (lambda: calendar.age("1990-11-22", now=NOW), 36),
        (lambda: calendar.difference("2000-02-29", NOW, now=NOW),
         {"years": 26, "months": 8, "days": 24}),
        (lambda: calendar.hours_between("Berlin", "Tokyo", now=NOW), 8),
        (lambda: calendar.time_in("New York", now=NOW).isoformat(), "2026-11-22T08:30:00-05:00"),
        (lambda: calendar.convert_time("5 pm", "London", "Tokyo", now=NOW).hour, 2),
        (lambda: calendar.from_now(90, "minutes", now=NOW).isoformat(),
         "2026-11-22T16:00:00+01:00"),
        (lambda: calendar.holidays_in("DE-BY", 2026)["2026-01-06"], "Epiphany"),
        (lambda: calendar.week_number("2027-01-01", now=NOW), 53),
    ],
)  # fmt: skip
def test_the_calendar_answers(work, value):
    assert work() == value


@pytest.mark.parametrize(
    "work",
    [
        lambda: calendar.shift("today", 10**9, "days", now=NOW),
        lambda: calendar.shift("today", 9999, "years", now=NOW),
        lambda: calendar.shift("today", 1, "hours", now=NOW),
        lambda: calendar.from_now(1, "moons", now=NOW),
        lambda: calendar.from_now(1.5, "days", now=NOW),
        lambda: calendar.age("2030-01-01", now=NOW),
        lambda: calendar.zone_of("Atlantis"),
        lambda: calendar.zone_of("../../etc/passwd"),
        lambda: calendar.holidays_in("XX", 2026),
        lambda: calendar.holidays_in("DE", 0),
        lambda: calendar.days_in_month(13, 2026),
        lambda: calendar.read_time("25:00"),
        lambda: calendar.read_time("soon"),
    ],
)
def test_the_calendar_refuses(work):
    with pytest.raises(ArgumentsError):
        work()


@given(st.dates(dt.date(1900, 1, 1), dt.date(2100, 1, 1)), st.integers(-500, 500))
def test_workdays_there_are_workdays_between(start, amount):
    end = calendar.shift(start, amount, "workdays", now=NOW)
    assert abs(calendar.workdays_between(start, end, now=NOW)) in range(
        max(0, abs(amount) - 1), abs(amount) + 2
    )


def test_an_hour_from_now_is_an_hour_where_the_clock_changes():
    before = dt.datetime(2026, 3, 29, 1, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    assert calendar.from_now(1, "hour", now=before).hour == 3


@pytest.mark.parametrize("name", ["units_obj.is_unit", "os.system", "units_obj", "", "x_obj.run"])
def test_only_the_methods_of_the_table_can_be_run(name):
    with pytest.raises(ArgumentsError, match="this program has no"):
        table.run(name, ["ls"], {}, NOW)
