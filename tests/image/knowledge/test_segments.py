"""The segments under the catalog: what they hold is what was put in, in few and checked parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zope.index.text.interfaces import ISplitter
from zope.interface.verify import verifyObject

from bat_os.errors import StorageError
from bat_os.image.knowledge.shelf import AT_ONCE_ROWS, FANOUT, MAX_ROWS, SegmentCache, inside
from bat_os.image.knowledge.text import (
    PostingRows,
    SegmentedText,
    WordSplitter,
    make_okapi,
    rank_words,
)
from bat_os.image.knowledge.vectors import EXACT, VectorIndex, VectorRows

WORDS = [f"word{i}" for i in range(40)]


def unit(count, width, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def texts_of(count, seed=0):
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(WORDS, draw.integers(1, 30))) for _ in range(count)]


# --- words ---


def test_words_have_the_interface_of_zope_index():
    assert verifyObject(ISplitter, WordSplitter())


def test_a_query_has_no_wildcards():
    assert WordSplitter().processGlob(["is it the planks?"]) == ["plank"]


def test_segments_rank_as_one_segment_does():
    texts = texts_of(700)
    one, many = SegmentedText(), SegmentedText()
    one.index_docs(range(700), texts)
    for start in range(0, 700, 7):
        many.index_docs(range(start, start + 7), texts[start : start + 7])
    assert len(many.entries) > 2
    for query in ("word1 word2", "word3 unknown", "word1 word1 word30"):
        assert many.rank(query, None) == one.rank(query, None) != []
    assert len(one) == len(many) == 700


def test_segments_find_what_okapi_finds():
    texts = texts_of(90)
    okapi, segments = make_okapi(), SegmentedText()
    for number, text in enumerate(texts):
        okapi.index_doc(number, text)
        segments.index_docs([number], [text])
    for query in ("word7", "word1 word2 word3"):
        theirs, ours = (rank_words(index, query, None) for index in (okapi, segments))
        assert set(ours) == set(theirs)
        assert len({*ours[:10], *theirs[:10]}) <= 12  # their weights of rare words differ


def test_a_word_that_stands_often_in_a_short_passage_wins():
    text = SegmentedText()
    text.index_docs([1, 2, 3], ["ship oars", "ship and a long tale of planks and oak", "ship ship"])
    assert text.rank("ship", None) == [3, 1, 2]


def test_nothing_is_found_in_nothing():
    assert SegmentedText().rank("ship", None) == []
    text = SegmentedText()
    text.index_docs([1], ["the of and"])
    assert text.rank("ship", None) == []
    assert text.rank("", None) == []
    text.remove(1, 2)
    assert len(text) == 0


@settings(deadline=None, max_examples=30)
@given(st.lists(st.lists(st.sampled_from(WORDS), max_size=12), min_size=1, max_size=9), st.data())
def test_packing_and_merging_keep_every_word_of_the_kept_passages(texts, data):
    ids = np.array(data.draw(st.permutations(range(len(texts)))), np.int64)
    cut = data.draw(st.integers(0, len(texts)))
    halves = []
    for part in (slice(0, cut), slice(cut, None)):
        order = np.argsort(ids[part])
        chosen = [texts[part][i] for i in order]
        halves.append(PostingRows.build(ids[part][order], chosen))
    masks = [np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), np.bool_)
             for n in (cut, len(texts) - cut)]  # fmt: skip
    halves = [PostingRows.unpack(half.pack()) for half in halves]
    merged = PostingRows.merge(list(zip(halves, masks, strict=True)))

    kept = sorted(i for half, mask in zip(halves, masks, strict=True) for i in half.ids[mask])
    words = {int(number): texts[place] for place, number in enumerate(ids)}
    expected = PostingRows.build(np.array(kept, np.int64), [words[i] for i in kept])
    assert [bytes(part) for part in merged.pack()] == [bytes(part) for part in expected.pack()]


# --- vectors ---


def test_an_int8_vector_keeps_the_cosine():
    vectors = unit(200, 384)
    rows = VectorRows.unpack(VectorRows.quantize(np.arange(200), vectors).pack())
    assert np.abs(rows.cosines(None, vectors[0]) - vectors @ vectors[0]).max() < 0.01
    assert rows.cosines(np.array([0]), vectors[0])[0] == pytest.approx(1, abs=0.005)


def test_a_zero_vector_is_no_error():
    rows = VectorRows.quantize(np.arange(1), np.zeros((1, 8), np.float32))
    assert rows.cosines(None, np.ones(8, np.float32)).tolist() == [0.0]


@pytest.mark.slow
def test_the_shortlist_by_signs_holds_the_nearest():
    count = 3 * EXACT
    centres = unit(60, 96, seed=1)
    vectors = np.repeat(centres, count // 60 + 1, axis=0)[:count] + 0.12 * unit(count, 96) * 9.8
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = VectorIndex()
    for start in range(0, count, 4096):
        rows = vectors[start : start + 4096]
        index.add(np.arange(start, start + len(rows)), rows)
    queries = vectors[::800]
    found = index.rank(queries, None)
    nearest = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    hits = [len({*ours[:10]} & {*best}) for ours, best in zip(found, nearest.tolist(), strict=True)]
    assert np.mean(hits) >= 9.5


def test_only_wanted_ids_are_ranked():
    index = VectorIndex()
    vectors = unit(50, 16)
    for i in range(50):
        index.add(np.array([i]), vectors[i : i + 1])
    wanted = np.array([(3, 5), (20, 21), (60, 99)])
    (ranked,) = index.rank(vectors[:1], wanted)
    assert sorted(ranked) == [3, 4, 20]
    assert set(index.similarities([4, 20, 77], vectors[:2])) == {4, 20}


# --- segments ---


def test_many_small_additions_make_few_segments():
    index = VectorIndex()
    for i in range(AT_ONCE_ROWS + 300):
        index.add(np.array([i]), np.ones((1, 8), np.float32))
    assert len(index) == AT_ONCE_ROWS + 300
    assert len(index.entries) < 2 * FANOUT


def test_large_merges_are_steps_of_their_own_and_bounded():
    index = VectorIndex()
    for start in range(0, 20_000, 500):
        index.add(np.arange(start, start + 500), np.ones((500, 8), np.float32))
    assert max(entry[0] for entry in index.entries) < AT_ONCE_ROWS
    while index.merge_step():
        assert max(entry[0] for entry in index.entries) <= MAX_ROWS
    assert len(index) == 20_000
    assert len(index.entries) < FANOUT


def test_what_came_in_many_parts_is_condensed_to_one_and_ranks_the_same():
    index, rows = VectorIndex(), unit(300, 8)
    for start in range(0, 300, 10):
        index.add(np.arange(start, start + 10), rows[start : start + 10])
    index.remove(40, 50)
    before = index.rank(unit(3, 8, seed=1), None)
    assert len(index.entries) > 1
    index.condense()
    assert len(index.entries) == 1
    assert (len(index), index.rank(unit(3, 8, seed=1), None)) == (290, before)


def test_removed_rows_of_a_large_segment_are_noted_first_and_dropped_later():
    index = VectorIndex()
    index.add(np.arange(4000), unit(4000, 8))
    (entry,) = index.entries
    index.remove(10, 20)
    assert index.entries[0][1] == entry[1]
    assert len(index) == 3990
    assert set(range(10, 20)).isdisjoint(index.rank(unit(1, 8), None)[0])
    index.remove(1000, 3000)
    assert index.entries[0][0] == len(index) == 1990
    index.remove(0, 4000)
    assert index.entries == ()
    assert index.rank(unit(2, 8), None) == [[], []]


def test_ranges_may_touch_nothing_or_everything():
    ids = np.array([2, 5, 9])
    assert inside(ids, np.array([(0, 2), (10, 11)])).tolist() == [False] * 3
    assert inside(ids, np.array([(0, 99)])).tolist() == [True] * 3
    assert inside(ids, np.zeros((0, 2), np.int64)).tolist() == [False] * 3


def test_a_damaged_segment_is_named_and_not_used():
    index = VectorIndex()
    index.add(np.arange(3), unit(3, 8))
    ids, scales, codes = index.entries[0][2].parts
    index.entries[0][2].parts = (ids, scales, codes[:-1] + b"\x55")
    assert index.damaged()
    with pytest.raises(StorageError, match="reindex"):
        index.rank(unit(1, 8), None)


def test_a_cache_holds_one_copy_of_what_the_last_search_used():
    index, cache = VectorIndex(), SegmentCache()
    index.add(np.arange(100), unit(100, 8))
    entry = index.entries[0]
    rows = cache.get(entry, VectorRows.unpack)
    assert cache.get(entry, VectorRows.unpack) is rows
    assert cache.nbytes() >= 100 * (8 + 8 + 4)
    cache.keep([])
    assert cache.nbytes() == 0
