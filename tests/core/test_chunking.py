"""Sentences and passages: nothing is lost, nothing is too long, subjects stay together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bat_os.core.chunking import BLOCK_CHARS, semantic_chunks, split_sentences

SPLITS = [
    ["Dr. Smith went home.", "He was tired."],
    ["Use a tool, e.g. a hammer.", "Then hit the nail."],
    ["See Fig. 5 for the plan.", "It rains."],
    pytest.param(
        ["The answer is no.", "7 people asked."],
        marks=pytest.mark.xfail(reason="'no. 7' is read as an abbreviation before a number"),
    ),
    ["Version 3.11 is out.", "Try it!", "Why not?"],
    ["The U.S. Army came at 5 p.m. on Monday.", "It left on Nov. 3."],
    ['He said "Go."', "Then he left."],
    ["Ships of Theseus never die.", "Their planks do."],
]


def unit(*rows):
    vectors = np.array(rows, np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def same_subject(count):
    return unit(*[[1.0, 0.0]] * count)


@pytest.mark.slow
@pytest.mark.parametrize("sentences", SPLITS, ids=lambda sentences: sentences[0])
def test_punkt_finds_the_ends_of_sentences(sentences):
    assert split_sentences(" ".join(sentences)) == sentences


@pytest.mark.slow
def test_blank_lines_list_items_and_headings_end_a_sentence():
    text = "# The image\nIt is alive\n\nIt holds:\n- objects\n- methods\n  and tests\n2. More. Yes."
    assert split_sentences(text) == [
        "# The image\nIt is alive",
        "It holds:",
        "- objects",
        "- methods\n  and tests",
        "2. More.",
        "Yes.",
    ]


@pytest.mark.slow
@settings(deadline=None)
@given(st.text(alphabet="aB1 .!?\n\t-\"')é漢e.g. ", max_size=400))
def test_splitting_loses_only_blanks_and_keeps_the_order(text):
    sentences = split_sentences(text)
    assert "".join("".join(sentences).split()) == "".join(text.split())
    assert all(sentence == sentence.strip() != "" for sentence in sentences)


@pytest.mark.slow
@pytest.mark.parametrize("unit_of_text", [". ", "a. ", "?!)", "x", "\n", "A sentence here. "])
def test_hostile_text_stays_far_from_the_time_limit_of_nltk(unit_of_text):
    text = unit_of_text * (20 * BLOCK_CHARS // len(unit_of_text))
    # All of it at once makes nltk raise TimeoutError.
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())


def test_a_passage_ends_where_the_subject_changes():
    sentences = ["Cats purr all day long.", "Cats also sleep.", "ZODB commits.", "ZODB packs."]
    vectors = unit([1, 0], [1, 0.1], [0, 1], [0.1, 1])
    assert semantic_chunks(sentences, vectors, min_chars=10) == [
        "Cats purr all day long. Cats also sleep.",
        "ZODB commits. ZODB packs.",
    ]


def test_one_subject_makes_one_passage_until_it_is_full():
    assert semantic_chunks(["One.", "Two.", "Three."], same_subject(3)) == ["One. Two. Three."]
    sentences = ["x" * 400] * 5
    lengths = [len(chunk) for chunk in semantic_chunks(sentences, same_subject(5))]
    assert lengths == [801, 801, 400]


def test_a_short_run_is_not_cut_by_subject():
    vectors = unit([1, 0], [0, 1], [0, 1])
    assert semantic_chunks(["Hi.", "Bye.", "Bye."], vectors, min_chars=50) == ["Hi. Bye. Bye."]


def test_no_sentences_make_no_passages():
    assert semantic_chunks([], np.zeros((0, 384), np.float32)) == []


def test_each_sentence_needs_its_embedding():
    with pytest.raises(ValueError, match="1 embeddings for 2 sentences"):
        semantic_chunks(["a", "b"], same_subject(1))


@given(
    st.lists(st.text(alphabet="abc d", min_size=1, max_size=60).filter(str.strip), max_size=30),
    st.integers(1, 50),
    st.floats(0, 100),
)
def test_passages_keep_every_word_and_the_limit(sentences, max_chars, percentile):
    vectors = np.random.default_rng(len(sentences)).normal(size=(len(sentences), 4))
    chunks = semantic_chunks(
        sentences, vectors.astype(np.float32), percentile=percentile, max_chars=max_chars
    )
    assert "".join("".join(chunks).split()) == "".join("".join(sentences).split())
    assert all(0 < len(chunk) <= max_chars for chunk in chunks)
