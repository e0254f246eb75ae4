"""The questions of the exam: how many, and near none of the seed library or of the test cases."""

import json
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bat_os.app.library import read_vectors, texts_of_library
from bat_os.core.exam import parse_paper
from bat_os.errors import ArgumentsError
from bat_os.image.catalog_service import CatalogService
from bat_os.image.store import ImageStore
from bat_os.kernel.exam.sitting import FOUND, read_paper

ROOT = Path(__file__).parents[3]
CASES = {"briefs": "brief", "skills": "wish", "sentences": "sentence"}
NEAREST = 0.8


def known_texts():
    """Return every request that a model may have been trained or tested with here."""
    for name, key in CASES.items():
        lines = (ROOT / "tests" / "cases" / f"{name}.jsonl").read_text().splitlines()
        yield from (line[key] for line in map(json.loads, lines) if key in line)
    lessons = (ROOT / "bat_os" / "training" / "method_writer.toml").read_text()
    yield from (lesson["wish"] for lesson in tomllib.loads(lessons)["example"])


async def embed(embedder, texts):
    unique = sorted(set(texts), key=len)
    starts = range(0, len(unique), 64)
    return np.concatenate([await embedder.embed(unique[at : at + 64]) for at in starts])


def test_the_paper_is_whole_and_balanced():
    paper = read_paper()
    assert Counter(pair.same for pair in paper.pairs) == {True: 100, False: 100}
    assert (len(paper.tasks), len(paper.sample), len(paper.wishes)) == (60, 20, 20)
    assert len({task.selector for task in paper.tasks}) == 60
    assert len({(pair.one, pair.other) for pair in paper.pairs}) == 200
    assert len({one.request for one in paper.decisions}) == len(paper.decisions) == 20
    assert all(bool(one.tool) != bool(one.answer) for one in paper.decisions)
    assert all(len(one.args) == len(task.params) for task in paper.tasks for one in task.tests)


def test_a_line_that_cannot_be_read_is_named():
    with pytest.raises(ArgumentsError, match=r"line 2: same is missing"):
        parse_paper("", '{"one": "a", "other": "b", "same": true}\n{"one": "a", "other": "b"}', "")


@pytest.mark.slow
async def test_no_question_is_near_what_the_models_saw_here(minilm):
    paper = read_paper()
    asked = [task.brief for task in paper.tasks]
    asked += [one.request for one in paper.decisions]
    asked += [text for pair in paper.pairs for text in (pair.one, pair.other)]
    mine, cases = await embed(minilm, asked), await embed(minilm, known_texts())
    shipped, has = read_vectors().find(texts_of_library())
    assert has.all()
    assert (mine @ np.concatenate([cases, shipped]).T).max() < NEAREST


@pytest.mark.slow
async def test_the_wish_alone_brings_the_right_passage_half_the_time(minilm):
    image = ImageStore.in_memory()
    try:
        catalog, paper = CatalogService(image, minilm), read_paper()
        for text in paper.texts:
            await catalog.learn(text.title, f"{text.title}\n\n{text.text}")
        found = 0
        for text in paper.wishes:
            hits = await catalog.search((text.wish,), top_k=FOUND)
            found += any(hit.title == text.title for hit in hits)
    finally:
        await image.close()
    assert found == len(paper.wishes) // 2
