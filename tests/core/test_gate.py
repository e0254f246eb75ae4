"""bat_os.core.gate: which adapters may take the place of the present one."""

import random

import pytest

from bat_os.core.gate import LEAST_GAIN, Draft, Wish, judge

GATES = ["whole", "gain", "never lose", "vote", "replay"]


def drafts(right, of=8, *, body="return n + {}", same=False):
    """Return ``of`` drafts, ``right`` of them right; those are identical if ``same`` is set."""
    made = [Draft(True, "right", body.format(0 if same else at)) for at in range(right)]
    wrong = range(right, of)
    return tuple(made + [Draft(False, f"wrong {at}", body.format(at)) for at in wrong])


def compared(pairs, **own):
    """Return wishes with so many right drafts before and after."""
    return [
        Wish(f"wish {at}", drafts(before), drafts(after), **own)
        for at, (before, after) in enumerate(pairs)
    ]


def refused_at(wishes):
    gates = judge(wishes)
    assert [gate.name for gate in gates] == GATES[: len(gates)]
    assert all(gate.passed for gate in gates[:-1])
    assert gates[-1].why
    return "" if gates[-1].passed else gates[-1].name


def test_one_that_writes_better_passes_all_five():
    pairs = [(before, min(before + 2, 8)) for before in (0, 1, 2, 3, 4, 5, 6, 7) * 8]
    assert refused_at(compared(pairs)) == ""


def test_one_that_is_no_better_than_chance_is_refused():
    assert refused_at(compared([(4, 2), (4, 7), (4, 3), (4, 5)] * 15)) == "gain"
    assert refused_at(compared([(4, 4)] * 60)) == "gain"
    assert refused_at([]) == "whole"


def test_a_few_wishes_decide_nothing_however_well_they_come_out():
    (_, gate) = judge(compared([(2, 8)] * 59))
    assert not gate.passed
    assert "59 wishes are too few to judge by" in gate.why
    assert refused_at(compared([(2, 8)] * 60)) == ""


def test_a_gain_on_four_wishes_of_sixty_may_be_chance_and_on_five_is_not():
    same = [(4, 4)] * 60
    (_, gate) = judge(compared([(0, 8)] * 4 + same))
    assert gate.figures["gain"] > max(gate.figures["error"], LEAST_GAIN)
    assert (gate.passed, gate.figures["chance"]) == (False, 1 / 16)
    assert "chance alone gives that much in 6%" in gate.why
    assert refused_at(compared([(0, 8)] * 5 + same)) == ""


def draw_pairs(draw, gained):
    """Return wishes of very different ease, and what two adapters write for them by chance."""
    for _ in range(60):
        ease = draw.choice((0, 0, 0.05, 0.1, 0.3, 0.6, 0.9))
        yield tuple(sum(draw.random() < one for _ in range(8)) for one in (ease, ease + gained))


@pytest.mark.slow
def test_two_that_are_equally_good_seldom_look_apart_and_a_real_gain_is_seen():
    draw = random.Random(7)  # noqa: S311 - figures, no secret
    passed = {
        gained: sum(
            all(gate.passed for gate in judge(compared(draw_pairs(draw, gained)))[:2])
            for _ in range(100)
        )
        for gained in (0, 0.1)
    }
    assert passed[0] <= 9  # one in twenty, and what 100 tries may differ from that
    assert passed[0.1] >= 95


def test_one_that_gains_on_most_and_loses_what_was_safe_is_refused():
    assert refused_at(compared([(2, 6)] * 60 + [(8, 0)])) == "never lose"
    assert refused_at(compared([(2, 6)] * 60 + [(8, 3)] * 2 + [(8, 8)] * 8)) == "never lose"
    assert refused_at(compared([(2, 6)] * 60 + [(8, 3)] + [(8, 8)] * 19)) == ""
    assert refused_at(compared([(2, 6)] * 60 + [(8, 4)] * 2 + [(8, 8)] * 8)) == ""


def test_one_that_talks_longer_is_refused():
    wishes = [
        Wish(one.name, one.before, drafts(8, body="return n + {}" + " " * 20))
        for one in compared([(2, 8)] * 60)
    ]
    assert refused_at(wishes) == "whole"


def test_one_of_random_weights_is_refused():
    """It writes no method at all: nothing that it draws can run, and each draft is another one."""
    noise = tuple(Draft(False, "", f"return {at} §") for at in range(8))
    wishes = [Wish(one.name, one.before, noise) for one in compared([(4, 0)] * 60)]
    assert refused_at(wishes) == "gain"
    long = tuple(Draft(False, "", "def x " * 90 + str(at)) for at in range(8))
    assert refused_at([Wish(one.name, one.before, long) for one in wishes]) == "whole"


def test_one_trained_on_the_opposite_of_the_tests_is_refused():
    wrong = [tuple(Draft(False, "wrong", f"return -{n}{at}") for n in range(8)) for at in range(60)]
    wishes = compared([(4, 0)] * 60)
    flipped = [Wish(one.name, one.before, each) for one, each in zip(wishes, wrong, strict=True)]
    assert refused_at(flipped) == "gain"


def test_one_whose_drafts_are_all_alike_is_refused():
    wishes = [Wish(one.name, one.before, drafts(8, same=True)) for one in compared([(2, 8)] * 60)]
    assert refused_at(wishes) == "vote"


def test_one_that_agrees_on_what_is_wrong_is_refused():
    wrong = tuple(Draft(False, "the same", f"return {at}") for at in range(8))
    wishes = compared([(2, 8)] * 40)
    wishes += [Wish(f"other {at}", drafts(0), wrong) for at in range(20)]
    wishes += [Wish(f"safe {at}", drafts(6), drafts(8)) for at in range(20)]
    assert refused_at(wishes) == "vote"


def test_one_that_could_not_write_what_this_mind_has_is_refused():
    good, own = compared([(2, 8)] * 60), compared([(3, 0)], own=True)
    assert refused_at([*good, *own]) == "replay"
    assert refused_at([*good, *compared([(0, 0), (3, 1)], own=True)]) == ""


@pytest.mark.parametrize("seed", range(5))
def test_one_trained_on_wrong_methods_is_refused(seed):
    """With 30% of what it learned wrong, what it writes is right less often."""
    draw = random.Random(seed)  # noqa: S311 - figures, no secret
    pairs = []
    for _ in range(60):
        before = draw.randrange(9)
        pairs.append((before, sum(draw.random() > 0.3 for _ in range(before))))
    assert refused_at(compared(pairs)) == "gain"
