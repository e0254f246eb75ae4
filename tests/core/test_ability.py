"""bat_os.core.ability: figures in, what a mission does differently out."""

import pytest

from bat_os.core.ability import EARLY, UNKNOWN, USUAL, Ability


def test_what_is_not_known_is_as_with_the_small_model():
    assert Ability.from_plain({}) == UNKNOWN
    assert (UNKNOWN.agreement, UNKNOWN.draws(8), UNKNOWN.repairs) == (USUAL, 8, False)
    switches = ("is_formed", "writes_tests", "plans_ahead", "tells_apart", "fixes_late")
    assert not any(getattr(UNKNOWN, switch) for switch in switches)


@pytest.mark.parametrize(
    ("figure", "least", "rule"),
    [
        ("writes", 0.8, lambda able: able.fixes_late),
        ("writes", 0.8, lambda able: able.agreement is EARLY),
        ("writes", 0.8, lambda able: able.draws(8) == 2),
        ("writes", 0.6, lambda able: able.repairs is True),
        ("form", 0.95, lambda able: able.is_formed),
        ("tests", 0.8, lambda able: able.writes_tests),
        ("plans", 0.85, lambda able: able.plans_ahead),
        ("judges", 0.6, lambda able: able.tells_apart),
    ],
)
def test_a_rule_switches_at_its_figure(figure, least, rule):
    assert rule(Ability(**{figure: least}))
    assert not rule(Ability(**{figure: least - 0.001}))


def test_figures_are_read_back_and_what_is_no_figure_is_not_known():
    known = Ability(0.5, 0.0, 1.0, None, 0.25)
    assert Ability.from_plain({**known.to_plain(), "model": "x"}) == known
    odd = {"writes": 2, "judges": "high", "tests": True, "plans": -0.1, "form": float("nan")}
    assert Ability.from_plain(odd) == UNKNOWN


def test_an_owner_who_wants_one_candidate_gets_one():
    assert Ability(writes=1.0).draws(1) == 1
