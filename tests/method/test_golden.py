"""bat_os.method.golden: grades, one of each, and a split that holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.core.choosing import MENDED
from bat_os.method.golden import (
    GOLD,
    HELD_OUT,
    LIKE,
    MOST_OF_A_CLUSTER,
    NONE,
    SILVER,
    TRAIN,
    Known,
    arrange,
    form_of,
    grade,
    write_body,
    write_call,
    write_case,
)

USED = {"calls": 5, "arguments": 3, "days": 2}


def known(number, status="verified", selector="", **fields):
    selector = selector or f"skill_{number}"
    source = fields.pop("source", f"def {selector}(self, a):\n    return a + {number}\n")
    return Known(f"m{number:04}", selector, source, status, **fields)


@pytest.mark.parametrize(
    ("status", "fields", "wanted"),
    [
        ("verified", {"results": (1, 2)}, GOLD),
        ("verified", {"results": (1, 1.0)}, SILVER),  # the same answer twice shows one thing
        ("verified", {"results": (1,)}, SILVER),
        ("verified", {"results": (1,), **USED}, GOLD),
        ("verified", {"results": (1,), **USED, "days": 1}, SILVER),
        ("verified", {"results": (1,), **USED, "arguments": 2}, SILVER),
        ("verified", {"results": (1,), **USED, "calls": 4}, SILVER),
        ("provisional", {"is_approved": True}, GOLD),
        ("provisional", {}, NONE),
        ("provisional", USED, SILVER),
        ("provisional", {**USED, "version": 2}, NONE),
        ("verified", {}, NONE),  # by written tests alone
        ("verified", {**USED}, NONE),
        ("verified", {"results": (1, 2), "is_tainted": True}, NONE),
        ("verified", {"results": (1, 2), "faults": 1}, NONE),
        ("taught", {"results": (1, 2), "is_written": False}, NONE),
        ("verified", {"results": (1, 2), "is_foreign": True}, NONE),
        ("verified", {"results": (1,), "fixups": (MENDED,), **USED}, NONE),
        ("verified", {"results": (1, 2), "fixups": (MENDED,)}, GOLD),
    ],
)
def test_the_grade_follows_the_table(status, fields, wanted):
    assert grade(known(1, status, **fields))[0] == wanted


def test_names_and_docstrings_do_not_make_another_method():
    first = "def total(self, items):\n    'Add.'\n    n = 0\n    for i in items:\n        n += i\n"
    other = "def add_up(me, xs):\n    t = 0\n    for x in xs:\n        t += x\n"
    swapped = "def add_up(me, xs):\n    t = 0\n    for x in xs:\n        x += t\n"
    assert form_of(first, "total") == form_of(other, "add_up") != form_of(swapped, "add_up")
    assert form_of(first, "other") == ""


def test_of_the_same_methods_one_of_gold_counts_before_a_more_used_one_of_silver():
    text = "def {}(self, a):\n    return a * 2\n"
    gold = known(1, selector="double", source=text.format("double"), results=(1, 2))
    silver = known(2, selector="twice", source=text.format("twice"), results=(1,), calls=3)
    placed = arrange([silver, gold], lambda one, other: True)
    assert [one.grade for one in placed] == [NONE, GOLD]


def test_of_the_same_methods_the_most_used_one_counts():
    text = "def {}(self, a):\n    return a * 2\n"
    rows = [
        known(n, selector=name, source=text.format(name), results=(1, 2), calls=n)
        for n, name in ((1, "twice"), (2, "double"))
    ]
    placed = arrange(rows, lambda *_: False)
    assert [one.grade for one in placed] == [NONE, GOLD]
    assert placed[0].why == "the same as double"
    assert placed[0].cluster == placed[1].cluster == "m0001"


def test_the_same_answers_need_much_the_same_wish_as_well():
    rows = [known(1, results=(1, 2)), known(2, results=(1, 2))]
    told = {0: "k", 1: "k"}
    assert [p.grade for p in arrange(rows, lambda *_: False, told)] == [GOLD, GOLD]
    assert [p.grade for p in arrange(rows, lambda *_: True, told)] == [GOLD, NONE]


def test_a_cluster_gives_three_at_most():
    rows = [known(n, results=(1, 2), calls=n) for n in range(6)]
    placed = arrange(rows, lambda *_: True)
    assert [p.grade for p in placed] == [NONE] * 3 + [GOLD] * MOST_OF_A_CLUSTER


def relation(pairs):
    return lambda one, other: (min(one, other), max(one, other)) in pairs


@given(draw=st.randoms(use_true_random=False), count=st.integers(2, 30))
def test_no_cluster_lies_on_both_sides_and_what_comes_later_moves_nothing(draw, count):
    first = draw.randrange(1000)
    rows = [
        known(
            first + number,
            selector=f"s{draw.randrange(count * 2)}",
            results=(1, 2)[: draw.randrange(3)],
            calls=draw.randrange(9),
        )
        for number in range(count)
    ]
    share = draw.choice((0.02, 0.1, 0.3))
    pairs = {(a, b) for b in range(count) for a in range(b) if draw.random() < share}
    whole = arrange(rows, relation(pairs))

    used = [at for at in range(count) if whole[at].grade != NONE]
    for one in used:
        for other in used:
            alike = relation(pairs)(one, other) or rows[one].selector == rows[other].selector
            assert not alike or whole[one].split == whole[other].split
    assert {whole[at].split for at in used} <= {TRAIN, HELD_OUT}
    sizes = [whole[at].cluster for at in used]
    assert max(map(sizes.count, sizes), default=0) <= MOST_OF_A_CLUSTER

    earlier = arrange(rows[: count // 2], relation(pairs))
    for before, after in zip(earlier, whole, strict=False):
        assert not (before.split and after.split) or before.split == after.split


def test_about_a_fifth_is_held_out():
    placed = arrange([known(n, results=(1, 2)) for n in range(500)], lambda *_: False)
    assert 60 < sum(one.split == HELD_OUT for one in placed) < 140
    assert LIKE == 0.8


def test_a_method_is_told_in_the_form_of_the_shipped_examples():
    source = 'def add(self, a, b):\n    """Add."""\n    c = a + b\n    return c\n'
    assert write_call(source, "add") == ("add(a, b)", ("a", "b"))
    assert write_body(source, "add") == "c = a + b\nreturn c"
    assert write_call("def f(self, *a):\n    return a\n", "f") == ("", ())
    assert write_case(("a", "b"), ("x",), {"b": 2}, None) == {
        "args": "'x', 2", "slots": "{}", "value": "None",
    }  # fmt: skip
    assert write_case(("a",), (1, 2), {}, 3) is None
    assert write_case(("a",), (float("nan"),), {}, 3) is None
    assert write_case(("a",), ("x" * 3_000,), {}, 3) is None
