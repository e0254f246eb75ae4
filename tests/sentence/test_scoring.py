"""bat_os.sentence.scoring and triage: what the shipped weights say, and what is done about it."""

import datetime as dt

import numpy as np
import pytest

from bat_os.sentence import triage
from bat_os.sentence.matching import FEATURES
from bat_os.sentence.reading import read_sentence
from bat_os.sentence.scoring import WORDED, decide, rank_calls, read_scorer, relative
from bat_os.training import triage as training
from bat_os.training.listwise import Lists, fit_lists

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


def rows_with(*marked):
    """Return features of matches: zeros, but for what each mapping names."""
    rows = np.zeros((len(marked), len(FEATURES)))
    for row, features in zip(rows, marked, strict=True):
        for name, value in features.items():
            row[FEATURES.index(name)] = value
    return rows


def test_the_shipped_weights_fit_the_features():
    made = read_scorer()
    assert made.hidden.shape[0] == 2 * len(FEATURES) + 1
    assert made.out.shape == (made.hidden.shape[1] + 1,)


def test_the_chances_of_all_matches_and_of_none_are_one_together():
    rows = rows_with({"cosine": 0.9, "said": 0.9, "worded": 1}, {"cosine": 0.3}, {})
    chances = read_scorer().chances(relative(rows))
    assert chances.argmax() == 0
    assert 0 < chances.sum() < 1


def test_matches_of_one_skill_with_the_same_values_count_together():
    chances = np.array([0.2, 0.3, 0.4, 0.1])
    skills, calls = ["add", "add", "add", "tell"], ["(1,)", "(1,)", "(2,)", "()"]
    ranked = rank_calls(skills, calls, rows_with({}, {}, {}, {}), chances)
    assert [(place, round(chance, 9)) for place, chance in ranked] == [(1, 0.5), (3, 0.1)]


def test_the_words_of_one_wording_are_enough_to_act():
    chances = np.array([0.1, 0.2])
    rows = rows_with({"exact": 1}, {})
    assert rank_calls(["a", "b"], ["()", "()"], rows, chances)[0] == (0, WORDED)
    rows = rows_with({"exact": 1}, {"exact": 1})  # another skill has the same wording
    assert rank_calls(["a", "b"], ["()", "()"], rows, chances)[0] == (1, 0.2)


def test_the_fit_finds_which_match_is_right_and_when_none_is():
    rng = np.random.default_rng(1)
    features = rng.random((900, 4, len(FEATURES)))
    best = features[:, :, 0].argmax(axis=1)
    right = np.zeros((900, 4), bool)
    right[np.arange(900), best] = features[:, :, 0].max(axis=1) > 0.6
    lists = Lists(
        rows=np.concatenate([relative(each) for each in features]).astype(np.float32),
        starts=np.arange(0, 3_600, 4), right=right.ravel(), known=np.ones(3_600, bool),
        shares=np.ones(900, np.float32),
    )  # fmt: skip
    made = fit_lists(lists)
    sure = rows_with({"cosine": 0.95}, {"cosine": 0.2}, {"cosine": 0.1}, {})
    none = rows_with({"cosine": 0.3}, {"cosine": 0.2}, {"cosine": 0.1}, {})
    assert made.chances(relative(sure))[0] > 0.9
    assert made.chances(relative(none)).sum() < 0.2
    assert np.array_equal(made.hidden, fit_lists(lists).hidden)


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
