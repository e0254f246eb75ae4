"""bat_os.core.values: plain data."""

import datetime as dt
import uuid
from collections import Counter, namedtuple
from decimal import Decimal

import pytest

from bat_os.core.values import MAX_DEPTH, Ref, check, to_wire
from bat_os.errors import NotPlainError

PLAIN = [
    None, True, 0, -(2**70), 1.5, "text", b"bytes", [1, [2]], {"a": {1: 2}}, (1, 2), {1, 2},
    frozenset({3}), dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC), dt.date(2026, 1, 2),
    dt.time(3, 4),
    dt.timedelta(days=1), Decimal("1.5"), uuid.UUID(int=1), Ref("0" * 16, "a"),
]  # fmt: skip


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_plain_data_is_accepted(value):
    check(value)


class Sub(int):
    pass


Pair = namedtuple("Pair", "a b")
LOOP: list = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    "value",
    [object(), len, lambda: 1, (n for n in []), Sub(1), Pair(1, 2), Counter("a"), LOOP, [LOOP],
     1 << 14_001, Decimal("1e999999"), [1, {"a": object()}], {object(): 1}, type],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_anything_else_is_refused(value):
    with pytest.raises(NotPlainError):
        check(value)


def test_the_message_names_the_place_and_the_type():
    with pytest.raises(NotPlainError, match=r"slot 'x': a function cannot be kept"):
        check([lambda: 1], where="slot 'x'")


def test_depth_up_to_the_limit_is_accepted():
    value: list = []
    for _ in range(MAX_DEPTH - 1):
        value = [value]
    check(value)
    with pytest.raises(NotPlainError):
        check([[value]])


def test_the_wire_form_is_what_any_msgpack_or_json_client_reads():
    value = {1: (1, {2, 1}), "big": 2**64, "at": dt.date(2026, 1, 2), "ref": Ref("0" * 16, "a")}
    assert to_wire(value) == {
        "1": [1, [1, 2]],
        "big": "18446744073709551616",
        "at": "2026-01-02",
        "ref": {"ref": "a", "oid": "0" * 16},
    }


def test_every_integer_that_is_accepted_can_be_written_as_text():
    check((1 << 14_000) - 1)
    assert len(to_wire((1 << 14_000) - 1)) > 4000


HALVES = ("\ud800", "a\udfff", "é\ud800\n")


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("put", [str, lambda t: [t], lambda t: {t: 1}, lambda t: {1: (t,)},
                                 lambda t: {t}, lambda t: frozenset([t])])  # fmt: skip
def test_text_that_utf_8_cannot_carry_is_no_plain_data(put, half):
    with pytest.raises(NotPlainError, match="surrogate"):
        check(put(half))


def test_text_of_any_language_is_plain_data():
    check(["日本語", "\U0001f600", "ümlaut", "\u202e", "\x00"])


@pytest.mark.parametrize("make", [set, frozenset, dict.fromkeys])
def test_a_map_or_set_whose_keys_have_one_hash_is_no_plain_data(make):
    keys = [2.0 ** (61 * k) for k in range(-16, 16)] + [2 ** (61 * k) for k in range(17, 60)]
    assert len(set(map(hash, keys))) == 1
    with pytest.raises(NotPlainError, match="same hash"):
        check(make(keys))
    check(make(keys[:64]))
    check(make(range(1000)))
