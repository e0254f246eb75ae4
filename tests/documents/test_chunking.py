"""Sentences and passages: nothing is lost, nothing is too long, subjects stay together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bat_os.documents.chunking import (
    BLOCK_CHARS,
    WHOLE_CHARS,
    Block,
    Chunk,
    assemble,
    cut_lines,
    semantic_chunks,
    split_blocks,
    split_sentences,
)
from bat_os.documents.readers import find_lines, line_of

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


# --- blocks ---

GUIDE = """Boats
=====
Boats float.

| wood | age |
|------|-----|
| oak  | 9   |

## Repair #
Use tar:
```sh
# not a heading
seal --all

```
### Keel
Under it.
## Paint
Red.

Old style
---------
a | b
"""


def test_markdown_is_taken_apart_by_headings_code_and_tables():
    found = [(b.section, b.text.strip(), b.whole) for b in split_blocks(GUIDE, "markdown")]
    assert found == [
        ("Boats", "Boats float.", False),
        ("Boats", "| wood | age |\n|------|-----|\n| oak  | 9   |", True),
        ("Boats > Repair", "Use tar:", False),
        ("Boats > Repair", "```sh\n# not a heading\nseal --all\n\n```", True),
        ("Boats > Repair > Keel", "Under it.", False),
        ("Boats > Paint", "Red.", False),
        ("Boats > Old style", "a | b", False),
    ]


@pytest.mark.parametrize("text", ["```", "~~~\n", "#", "===", "a\n===", "|", "|\n|", "---\n---"])
def test_odd_markdown_loses_no_word(text):
    blocks = split_blocks(f"{text}\nword", "markdown")
    assert any("word" in block.text for block in blocks)


def test_python_is_taken_apart_by_functions_and_classes():
    body = "\n".join(f"    x{i} = {i}" for i in range(80))
    text = f"""import os

# Says hello.
@wraps
def hello():
{body}

class Boat:
    wood = "oak"

    def float(self):
{body.replace("    ", "        ")}

    async def sink(self):
{body.replace("    ", "        ")}
{body.replace("    ", "        ")}
"""
    blocks = split_blocks(text, "code", "python")
    assert [block.section for block in blocks] == [
        "",
        "def hello",
        "class Boat",
        "class Boat > def float",
        "class Boat > def sink",
    ]
    assert blocks[1].text.strip().startswith("# Says hello.\n@wraps")
    assert "".join("".join(b.text for b in blocks).split()) == "".join(text.split())


def test_a_form_feed_is_no_end_of_a_line_of_python():
    body = "\n".join(f"    call_{i}()" for i in range(60))
    text = f"x = 1\n\f\ndef a():\n{body}\n\f\ndef b():\n{body}\n"
    blocks = split_blocks(text, "code", "python")
    assert [block.text.split("(")[0].split()[-1] for block in blocks] == ["1", "a", "b"]


def test_small_neighbours_share_a_block_that_names_both():
    text = "def a():\n    return 1\n\ndef b():\n    return 2\n"
    (block,) = split_blocks(text, "code", "python")
    assert block.section == "def a, def b"


@pytest.mark.parametrize("text", ["def (:", "print 'x'", "(" * 3000, "x = 1\n" + "\0", "-" * 9000])
def test_what_is_no_python_is_read_by_its_lines(text):
    blocks = split_blocks(text, "code", "python")
    assert "".join("".join(b.text for b in blocks).split()) == "".join(text.split())


def test_other_code_is_cut_where_a_line_begins_at_the_left_after_a_blank_one():
    part = "\n".join(f"  call({i});" for i in range(60))
    text = f"int a() {{\n{part}\n\n{part}\n}}\n\nint b() {{\n{part}\n\n}}\n"
    blocks = split_blocks(text, "code", "c")
    assert [block.text.split("(")[0] for block in blocks] == ["int a", "int b"]


@settings(deadline=None)
@given(st.text(alphabet="ab#`~|=-. \n\t()@:", max_size=200), st.sampled_from(["python", "c", ""]))
def test_no_code_is_lost(text, language):
    blocks = split_blocks(text, "code", language)
    assert "".join("".join(b.text for b in blocks).split()) == "".join(text.split())


def test_plain_text_is_one_block():
    assert split_blocks("# no heading\n\nHi.") == [Block("# no heading\n\nHi.")]
    assert split_blocks(" \n ") == []


# --- blocks to passages ---


def test_short_code_goes_to_the_prose_before_it_and_long_code_stays_whole():
    code = "\n".join(f"call_{i}()" for i in range(100))
    blocks = [
        Block("Run it:", "Use"),
        Block("go()", "Use", whole=True),
        Block(code, "Use", whole=True),
        Block("go()", "Other", whole=True),
    ]
    assert assemble(blocks, [["Run it:"], [], [], []], same_subject(1)) == [
        Chunk("Run it:\ngo()", "Use"),
        Chunk(code, "Use"),
        Chunk("go()", "Other"),
    ]


def test_code_over_the_cap_is_cut_at_the_ends_of_lines():
    code = "\n".join(f"call_{i}()" for i in range(900))
    chunks = assemble([Block(code, "", whole=True)], [[]], np.zeros((0, 2), np.float32))
    assert "\n".join(chunk.text for chunk in chunks) == code
    assert max(len(chunk.text) for chunk in chunks) <= WHOLE_CHARS
    assert len(chunks) == -(-len(code) // WHOLE_CHARS)


def test_a_line_that_is_too_long_is_cut_too():
    assert [len(piece) for piece in cut_lines("x" * 25 + "\n" + "y", 10)] == [10, 10, 7]


def test_each_block_of_prose_is_cut_by_its_own_sentences():
    cats, zodb = "Cats purr all day long. " * 9, "ZODB commits."
    blocks = [Block("One. Two.", "A"), Block(cats + zodb, "B")]
    vectors = unit([1, 0], [1, 0], [1, 0], [1, 0.1], [0, 1])
    chunks = assemble(blocks, [["One.", "Two."], ["Cats.", cats.strip(), zodb]], vectors)
    assert chunks == [
        Chunk("One. Two.", "A"),
        Chunk(f"Cats. {cats.strip()}", "B"),
        Chunk(zodb, "B"),
    ]
    assert chunks[0].embedded() == "A\nOne. Two."


def test_the_lines_of_passages_are_found_whatever_blanks_were_joined():
    text = "one two\n\nthree\nfour\n\n\nfive six\nseven"
    passages = ["one two three", "four", "nowhere", "five  six\nseven"]
    lines = find_lines(text, passages)
    assert lines == [(0, 1, 6, 3), (0, 4), (), (0, 7, 7, 8)]
    found = [line_of(lines[0], passages[0], part) for part in ("one two", "two three", "three")]
    assert found == [1, 1, 3]
    assert line_of(lines[3], passages[3], "seven") == 8
    assert line_of((), "nowhere", "now") == 0
