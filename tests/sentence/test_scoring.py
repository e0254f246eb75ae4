"""bat_os.sentence.scoring and triage: what the shipped weights say, and what is done about it."""

import datetime as dt

import numpy as np
import pytest

from bat_os.sentence import triage
from bat_os.sentence.matching import FEATURES
from bat_os.sentence.reading import read_sentence
from bat_os.sentence.scoring import SECOND, decide, read_scorer, second_rows
from bat_os.training import triage as training
from bat_os.training.scorer import fit_isotonic, fit_logistic

NOON = dt.datetime(2026, 5, 18, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("ranked", "decision"),
    [
        ([], "none"),
        ([(0.96, False)], "act"),
        ([(0.96, True)], "ask"),  # a change has to be surer
        ([(0.995, True)], "act"),
        ([(0.6, False), (0.3, False)], "ask"),
        ([(0.05, False)], "none"),
    ],
)
def test_what_costs_least_is_done(ranked, decision):
    assert decide(ranked) == decision


def test_the_shipped_weights_fit_the_features_and_rise():
    made = read_scorer()
    assert made.weights.shape == (len(FEATURES) + 1,)
    assert made.second.shape == (SECOND + 1,)
    assert (np.diff(made.knots[0]) >= 0).all()
    assert (np.diff(made.knots[1]) >= 0).all()
    assert 0 < made.knots[1][0] <= made.knots[1][-1] < 1


def test_the_second_step_compares_each_skill_with_the_best_other():
    rows = second_rows(np.zeros((3, len(FEATURES))), np.array([4.0, 1.0, 0.0]))
    assert rows[:, 1].tolist() == [3.0, -3.0, -4.0]
    assert rows[:, 2].tolist() == [1.0, 0.0, 0.0]


def test_the_words_of_one_wording_are_enough_to_act():
    features = np.zeros((2, len(FEATURES)))
    features[0, FEATURES.index("exact")] = 1
    made = read_scorer()
    assert made.chances(second_rows(features, np.array([-3.0, -4.0])))[0] >= 0.95
    features[1, FEATURES.index("exact")] = 1  # another skill has the same wording
    assert made.chances(second_rows(features, np.array([-3.0, -4.0])))[0] < 0.95


def test_a_logistic_regression_finds_what_the_labels_were_made_by():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(4_000, 2))
    labels = (rng.random(4_000) < 1 / (1 + np.exp(-(2 * rows[:, 0] - rows[:, 1] + 0.5)))) * 1.0
    weights = fit_logistic(rows, labels, np.ones(4_000))
    assert np.abs(weights - [2, -1, 0.5]).max() < 0.25


def test_the_isotonic_curve_rises_and_follows_the_labels():
    scores = np.arange(8.0)
    knots = fit_isotonic(scores, np.array([0, 0, 1, 0, 1, 1, 0, 1.0]), np.ones(8))
    assert (np.diff(knots[1]) >= 0).all()
    assert knots[1][0] < 0.4 < 0.6 < knots[1][-1]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("write a short poem about the sea in winter", "creative"),
        ("what will the weather be like in Oslo on friday", "world"),
        ("hello, nice to see you again", "talk"),
        ("turn off the lights in the bedroom", "device"),
    ],
)
def test_the_kind_of_a_request_is_told_by_its_words_alone(said, kind):
    chances = triage.classify(read_sentence(said, NOON, "en"), None)
    assert max(chances, key=lambda name: chances[name]) == kind
    assert sum(chances.values()) == pytest.approx(1, abs=0.01)


def test_training_the_kinds_twice_gives_the_same_weights():
    said = {"talk": ("hello", "good day"), "creative": ("write a poem", "compose a song")}
    rows = [
        (read_sentence(text, NOON, "en"), np.zeros(triage.WIDTH, np.float32), kind)
        for kind, texts in said.items()
        for text in texts
    ]
    first, second = training.fit(rows)[0], training.fit(rows)[0]
    assert np.array_equal(first.weights, second.weights)
