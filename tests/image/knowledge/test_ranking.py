"""Words, rows and rankings: the parts of a search that need no index."""

from __future__ import annotations

import numpy as np
import pytest

from bat_os.errors import ArgumentsError
from bat_os.image.knowledge.ranking import DEPTH, as_rows, fuse, rank, split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The Ships of THESEUS", ["ship", "theseus"]),
        ("report_current_time", ["report", "current", "time"]),
        ("cities, glass, status, gas", ["city", "glass", "status", "gas"]),
        ("ＡＢＣ Größe ①", ["abc", "grösse", "1"]),  # noqa: RUF001 - full width on purpose
        ("", []),
    ],
)
def test_words_are_folded_taken_apart_and_singular(text, words):
    assert split_words(text) == words


def test_what_stands_high_in_two_rankings_beats_the_first_of_one():
    assert [number for number, _ in fuse([[1, 2, 3], [4, 2, 5]], top_k=2)] == [2, 1]


def test_equals_keep_the_order_of_their_ids():
    assert [number for number, _ in fuse([[9], [3], [5]], top_k=3)] == [3, 5, 9]


def test_equals_at_the_end_of_a_ranking_come_in_the_order_of_ids():
    ids = np.arange(DEPTH + 50)[::-1]
    assert rank(ids, np.ones(len(ids), np.float32)) == list(range(DEPTH))


def test_a_ranking_has_the_best_first_and_a_bounded_depth():
    ids = np.arange(DEPTH + 50)
    scores = np.arange(DEPTH + 50, dtype=np.float32)
    ranked = rank(ids, scores)
    assert ranked[:2] == [DEPTH + 49, DEPTH + 48]
    assert len(ranked) == DEPTH


def test_rows_have_the_given_count_and_width():
    assert as_rows(np.ones(4, np.float32).tobytes(), 2, 0).shape == (2, 2)
    with pytest.raises(ArgumentsError, match="another embedding model"):
        as_rows(np.ones((2, 2), np.float32), 2, 384)
