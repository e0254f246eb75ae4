"""Values keep their types and their bytes on the way to a child and back."""

import datetime as dt
import zoneinfo

import ormsgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.cells.call_protocol import read_answer
from bat_os.cells.codec import Codec, check_parts, pack_frame
from bat_os.core.values import Ref
from bat_os.errors import FrameError, NotPlainError

ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.dates(),
    st.times(),
    st.datetimes(),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.builds(Ref, st.text("0123456789abcdef", min_size=16, max_size=16)),
)
PLAIN = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(), inner, max_size=3),
        st.dictionaries(ATOMS, inner, max_size=3),
        st.sets(ATOMS, max_size=3),
        st.frozensets(ATOMS, max_size=3),
    ),
    max_leaves=10,
)


@given(PLAIN)
def test_plain_data_comes_back_as_it_was_and_packs_to_the_same_bytes(value):
    codec = Codec()

    data = codec.pack(value)
    back = codec.read(data)

    assert back == value
    assert repr(type(back)) == repr(type(value))
    assert codec.pack(back) == data


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_a_coded_error(data):
    for read in (Codec().read, read_answer, lambda data: check_parts([data])):
        try:
            read(data)
        except (FrameError, NotPlainError):
            continue


def test_equal_sets_pack_to_the_same_bytes_in_whatever_order():
    names = [f"name {n}" for n in range(50)]

    backwards = set()
    for name in reversed(names):
        backwards.add(name)

    assert Codec().pack(set(names)) == Codec().pack(backwards)


def test_a_moment_in_a_named_zone_keeps_its_instant_and_offset():
    moment = dt.datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Paris"))

    back = Codec().read(Codec().pack(moment))

    assert back == moment
    assert back.utcoffset() == dt.timedelta(hours=2)


PRIME = (1 << 61) - 1


@pytest.mark.parametrize("tag", [3, 4, 5])
@pytest.mark.parametrize(
    "key",
    [
        lambda number: ormsgpack.Ext(1, (number * PRIME).to_bytes(12, "big")),
        lambda number: ormsgpack.Ext(10, ormsgpack.packb(str(number * PRIME))),
        lambda number: ormsgpack.Ext(11, ormsgpack.packb((number * PRIME).to_bytes(16, "big"))),
    ],
    ids=["int", "Decimal", "UUID"],
)
def test_keys_chosen_to_have_one_hash_are_refused_before_they_meet(tag, key):
    keys = [key(number) for number in range(1, 20_000)]
    row = [part for one in keys for part in (one, 1)] if tag == 5 else keys

    with pytest.raises(FrameError):
        Codec().read(ormsgpack.packb(ormsgpack.Ext(tag, ormsgpack.packb(row))))


@pytest.mark.parametrize("tag", [6, 7, 8, 9, 10, 11, 12, 99])
def test_what_holds_no_values_is_not_unpacked_when_it_is_long(tag):
    swollen = ormsgpack.packb([{}] * 20_000)

    with pytest.raises(FrameError):
        Codec().read(ormsgpack.packb(ormsgpack.Ext(tag, swollen)))


def test_an_honest_set_of_any_size_comes_back():
    for value in (set(range(50_000)), {-1, -2}, {(n, -n): n for n in range(5000)}):
        assert Codec().read(Codec().pack(value)) == value


def test_only_references_that_were_given_are_taken():
    lamp, data = Ref("00000000000000bb", "lamp"), Codec().pack(Ref("00000000000000bb", "root"))
    codec = Codec()

    with pytest.raises(FrameError):
        codec.read(data)
    codec.pack([lamp])

    assert codec.read(data) == lamp


@pytest.mark.parametrize(
    "value", [object(), 1j, print, "\ud800", 1 << 70_000], ids=lambda v: str(type(v))
)
def test_what_is_not_plain_is_refused_with_its_place(value):
    with pytest.raises(NotPlainError, match="slot 'x'"):
        Codec().pack([value], where="slot 'x'")


def test_a_frame_over_the_limit_is_not_made():
    with pytest.raises(NotPlainError, match="8 MB"):
        pack_frame(["x" * (8 << 20)])


@pytest.mark.slow
def test_parts_are_counted_inside_containers_and_extensions():
    codec = Codec()
    check_parts([codec.pack("x" * 2_000_000), codec.pack(list(range(400_000)))])

    for value in ([0] * 500_001, (0,) * 500_001, [[]] * 500_001):
        with pytest.raises(FrameError, match="parts"):
            check_parts([codec.pack(value)])
    with pytest.raises(FrameError, match="parts"):
        check_parts([codec.pack([0] * 300_000)] * 2)
