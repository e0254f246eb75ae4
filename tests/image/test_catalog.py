"""The knowledge catalog: one transaction per document, found by words and by meaning."""

from __future__ import annotations

import pickletools

import numpy as np
import pytest
import ZODB
from hypothesis import given, settings
from hypothesis import strategies as st

from bat_os.documents.chunking import Chunk
from bat_os.errors import ArgumentsError, ImageError, NotPlainError
from bat_os.image.allowlist import is_allowed
from bat_os.image.catalog import KnowledgeCatalog, catalog_in
from bat_os.image.knowledge.text import OKAPI_PASSAGES
from bat_os.image.store import ImageStore


def unit(*rows):
    vectors = np.array(rows, np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def filled(**documents):
    """A catalog with one passage per document; its vector is an axis of its own."""
    catalog = KnowledgeCatalog()
    for i, (doc_id, text) in enumerate(documents.items()):
        catalog.add(doc_id, doc_id, [text], np.eye(8, dtype=np.float32)[i : i + 1])
    return catalog


def found(passages):
    return [passage.doc_id for passage in passages]


# --- ranking ---


def test_a_word_of_the_query_finds_a_passage_that_the_vectors_do_not():
    catalog = filled(cats="Cats purr.", ships="Ship planks rot.", sums="Add numbers.")
    far = unit([0, 0, 0, 0, 0, 0, 0, 1])
    assert found(catalog.search(["what rots on a ship?"], far, top_k=1)) == ["ships"]


def test_a_vector_finds_a_passage_that_shares_no_word():
    catalog = filled(cats="Cats purr.", ships="Ship planks rot.", sums="Add numbers.")
    near_sums = unit([0, 0, 1, 0, 0, 0, 0, 0])
    (best,) = catalog.search(["zzz"], near_sums, top_k=1)
    assert (best.doc_id, best.text, best.position) == ("sums", "Add numbers.", 0)
    assert best.similarity == pytest.approx(1)


def test_all_queries_count_together():
    catalog = filled(cats="Cats purr.", ships="Ship planks rot.", both="Cats sail a ship.")
    vectors = unit([0, 0, 0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 1, 0, 0])
    assert found(catalog.search(["cat", "ship"], vectors, top_k=1)) == ["both"]


def test_a_selector_is_found_by_its_words():
    catalog = filled(report_current_times="def report_current_times(self):", other="x")
    far = unit([0, 0, 0, 0, 0, 0, 0, 1])
    assert found(catalog.search(["current time"], far, top_k=1)) == ["report_current_times"]


def test_a_search_can_be_limited_to_one_kind():
    catalog = filled(cats="Cats purr.")
    catalog.add("purr", "purr", ["cats purr"], unit([1, 1, 0, 0, 0, 0, 0, 0]), kind="method")
    query = ["cats purr"], unit([1, 0, 0, 0, 0, 0, 0, 0])
    assert found(catalog.search(*query, top_k=9)) == ["cats", "purr"]
    assert found(catalog.search(*query, top_k=9, kind="method")) == ["purr"]
    assert catalog.search(*query, top_k=9, kind="codex") == []
    assert catalog.doc_ids("method") == ["purr"]


def test_an_empty_catalog_finds_nothing():
    assert KnowledgeCatalog().search(["a"], unit([1, 0]), top_k=3) == []
    assert filled(cats="x").search([], np.zeros((0, 8), np.float32), top_k=3) == []


@pytest.mark.parametrize("query", ["?", "*", "a AND (b", '"', "the of and", "not", "漢字", ""])
def test_no_query_is_a_syntax_error(query):
    catalog = filled(cats="Cats purr.")
    assert found(catalog.search([query], unit([1, 0, 0, 0, 0, 0, 0, 0]), top_k=3)) == ["cats"]


# --- adding and removing ---


def test_a_document_replaces_the_earlier_one_of_its_id():
    catalog = filled(a="Cats purr.", b="Ships sail.")
    catalog.add("a", "a", ["Dogs bark.", "Dogs dig."], unit([1] * 8, [2] + [1] * 7))
    axis = unit([1, 0, 0, 0, 0, 0, 0, 0])
    texts = [p.text for p in catalog.search(["cats purr"], axis, top_k=9)]
    assert sorted(texts) == ["Dogs bark.", "Dogs dig.", "Ships sail."]
    assert len(catalog) == 2


def test_a_removed_document_is_gone_from_every_index():
    catalog = filled(a="Cats purr.")
    assert catalog.remove("a")
    assert not catalog.remove("a")
    assert "a" not in catalog
    assert len(catalog.vectors) == 0
    assert catalog.search(["cats"], np.eye(8, dtype=np.float32)[:1], top_k=1) == []
    catalog.add("b", "b", ["Cats purr."], np.eye(8, dtype=np.float32)[:1])
    assert found(catalog.search(["cats"], np.eye(8, dtype=np.float32)[:1], top_k=9)) == ["b"]


def test_bytes_of_float32_rows_are_vectors_too():
    catalog = KnowledgeCatalog()
    assert catalog.add("a", "", ["x", "y"], unit([1, 0], [0, 1]).tobytes()) == 2
    assert catalog.search(["-"], unit([0, 1]), top_k=1)[0].text == "y"


@pytest.mark.parametrize(
    ("passages", "vectors", "kind"),
    [
        ([], np.zeros((0, 2), np.float32), "document"),
        (["a"], unit([1, 0], [0, 1]), "document"),
        (["a"], unit([1, 0, 0]), "document"),
        (["a"], b"12345", "document"),
        (["a"], b"", "document"),
        (["a"], unit([1, 0]), "poem"),
    ],
    ids=["no passage", "two vectors", "another length", "torn bytes", "no bytes", "unknown kind"],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(passages, vectors, kind):
    catalog = KnowledgeCatalog()
    catalog.add("a", "", ["kept"], unit([1, 0]))
    with pytest.raises(ArgumentsError):
        catalog.add("a", "", passages, vectors, kind=kind)
    assert catalog.search(["kept"], unit([1, 0]), top_k=1)[0].text == "kept"


def test_meta_data_is_plain_and_kept():
    catalog = KnowledgeCatalog()
    catalog.add("a", "", ["x"], unit([1, 0]), meta={"source": "b.txt"})
    assert catalog.meta("a") == {"source": "b.txt"}
    assert catalog.meta("b") == {}
    with pytest.raises(NotPlainError):
        catalog.add("b", "", ["x"], unit([1, 0]), meta={"source": object()})


@pytest.mark.parametrize("top_k", [0, -1, 101])
def test_top_k_has_bounds(top_k):
    with pytest.raises(ArgumentsError):
        filled(a="x").search(["x"], unit([1] * 8), top_k=top_k)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 5)), max_size=60))
def test_after_any_additions_and_removals_each_vector_finds_its_own_passage(steps):
    catalog, model = KnowledgeCatalog(), {}
    random = np.random.default_rng(1)
    for name, count in steps:
        doc_id = str(name)
        if count:
            vectors = unit(*random.normal(size=(count, 16)))
            texts = [f"{doc_id} {len(model)} {i}" for i in range(count)]
            catalog.add(doc_id, "", texts, vectors)
            model[doc_id] = (texts, vectors)
        else:
            assert catalog.remove(doc_id) == (model.pop(doc_id, None) is not None)
    assert catalog.doc_ids() == sorted(model)
    assert len(catalog.vectors) == sum(len(texts) for texts, _ in model.values())
    for texts, vectors in model.values():
        for position, (text, vector) in enumerate(zip(texts, vectors, strict=True)):
            (best,) = catalog.search(["nothing"], vector[np.newaxis], top_k=1)
            assert (best.text, best.position) == (text, position)


# --- in the image ---


@pytest.mark.parametrize("large", [False, True], ids=["Okapi", "segments"])
async def test_the_image_allows_every_class_of_the_catalog(image, large):
    def fill(root):
        catalog = catalog_in(root)
        catalog.claim("test", unit([1, 2])[0])
        for i in range(130):
            texts, meta = ["one common word", f"w{i}"], {"tags": [str(i), "all"]}
            catalog.add(str(i), "t", texts, unit([1, 0], [1, i]), meta=meta)
        if large:
            catalog.grow(OKAPI_PASSAGES)
            catalog.add("more", "t", ["one more word"], unit([1, 0]))
            catalog.begin_reindex("test", unit([2, 1])[0])

    def names(root):
        connection = root._p_jar
        seen, todo, classes = set(), [catalog_in(root)._p_oid], set()
        while todo:
            oid = todo.pop()
            if oid not in seen:
                seen.add(oid)
                record, _ = connection._storage.load(oid)
                classes |= globals_of(record)
                ZODB.serialize.referencesf(record, todo)
        return classes

    await image.transact(fill, note="fill")
    classes = await image.transact(names, note="list the classes")
    assert {name for name in classes if not is_allowed(*name)} == set()
    assert not any(module.startswith("numpy") for module, _ in classes)


def globals_of(record):
    """(module, name) of every class that the pickles of a ZODB record name."""
    names, strings = set(), []
    rest = record
    while rest:
        for opcode, argument, position in pickletools.genops(rest):
            if isinstance(argument, str) and "UNICODE" in opcode.name:
                strings.append(argument)
            if opcode.name == "GLOBAL":
                names.add(tuple(argument.split(" ")))
            if opcode.name == "STACK_GLOBAL":
                names.add(tuple(strings[-2:]))
            end = position
        rest = rest[end + 1 :]
    return names


async def test_one_more_document_rewrites_few_vectors(tmp_path):
    def add(root, name, count):
        vectors = np.random.default_rng(count).normal(size=(count, 384))
        catalog_in(root).add(name, "", ["x"] * count, unit(*vectors))

    image = ImageStore.open(tmp_path / "image.fs")
    await image.transact(lambda root: add(root, "big", 600), note="big")
    before = (tmp_path / "image.fs").stat().st_size
    await image.transact(lambda root: add(root, "small", 1), note="small")
    written = (tmp_path / "image.fs").stat().st_size - before
    await image.close()
    assert written < 20_000  # the big document's vectors are 230 kB


# --- filters ---


def tagged():
    """Three documents of which only the meta data differs."""
    catalog = KnowledgeCatalog()
    for name, meta in [
        ("a", {"source": "a.md", "tags": ["zodb", "image"], "pages": 3}),
        ("b", {"source": "b.md", "tags": ["image"], "pages": 3}),
        ("c", {"source": "c.md"}),
    ]:
        catalog.add(name, "Same", ["the same text", "and more"], unit([1, 0], [0, 1]), meta=meta)
    return catalog


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"source": "b.md"}, "b"),
        ({"tags": "image"}, "ab"),
        ({"tags": ["zodb", "nothing"]}, "a"),
        ({"tags": "image", "source": ["b.md", "c.md"]}, "b"),
        ({"pages": 3}, "ab"),
        ({"source": "d.md"}, ""),
        ({}, "abc"),
    ],
)
@pytest.mark.parametrize("large", [False, True], ids=["Okapi", "segments"])
def test_filters_choose_before_the_ranking_so_top_k_is_filled(large, filters, expected):
    catalog = tagged()
    if large:
        catalog.grow(OKAPI_PASSAGES)
    count = 2 * len(expected)
    passages = catalog.search(["the same text"], unit([1, 0]), top_k=max(1, count), filters=filters)
    assert len(passages) == count
    assert set(found(passages)) == set(expected)
    assert "".join(item.doc_id for item in catalog.documents(None, filters)) == expected


def test_a_removed_document_is_gone_from_the_filters_too():
    catalog = tagged()
    catalog.remove("a")
    assert found(catalog.search(["x"], unit([1, 0]), top_k=9, filters={"tags": "zodb"})) == []


@pytest.mark.parametrize("value", [None, 0.5, "x" * 201, [], ["a", None], {"b": 1}])
def test_a_filter_that_nothing_can_match_is_refused(value):
    with pytest.raises(ArgumentsError, match="filter 'source'"):
        tagged().search(["x"], unit([1, 0]), top_k=1, filters={"source": value})


def test_a_text_of_meta_data_is_found_as_long_as_a_filter_may_be():
    catalog = KnowledgeCatalog()
    vectors = unit([1, 0])
    catalog.add("long", "L", ["x"], vectors, meta={"source": "x" * 200, "more": "x" * 201})
    assert found(catalog.search(["x"], vectors, top_k=1, filters={"source": "x" * 200})) == ["long"]


def test_a_filter_and_a_kind_work_together():
    catalog = tagged()
    meta = {"source": "a.md"}
    catalog.add("m", "M", ["the same text"], unit([1, 0]), kind="method", meta=meta)
    limits = {"filters": meta, "kind": "method", "top_k": 9}
    assert found(catalog.search(["same"], unit([1, 0]), **limits)) == ["m"]


# --- sections, models, old images ---


def test_headings_are_found_by_words_and_shown_behind_the_title():
    catalog = filled(other="Nothing here.")
    catalog.add("g", "Guide", [Chunk("Run it.", "Install > Linux")], unit([0] * 7 + [1]))
    (best,) = catalog.search(["linux"], unit([1] * 8), top_k=1)
    assert (best.title, best.text) == ("Guide > Install > Linux", "Run it.")


@pytest.mark.parametrize(
    ("section", "shown"),
    [("Guide", "Guide"), ("Guide > Linux", "Guide > Linux"), ("Guides", "Guide > Guides")],
)
def test_a_title_that_is_the_first_heading_too_is_shown_once(section, shown):
    catalog = KnowledgeCatalog()
    catalog.add("g", "Guide", [Chunk("Run it.", section)], unit([0, 1]))
    (best,) = catalog.search(["guide"], unit([0, 1]), top_k=1)
    assert best.title == shown


def test_vectors_of_two_models_are_never_mixed():
    catalog = KnowledgeCatalog()
    catalog.claim("first", unit([1, 2])[0])
    catalog.claim("renamed", unit([1, 2.001])[0])
    with pytest.raises(ImageError, match=r"made by first \(.*now second \(.*reindex"):
        catalog.claim("second", unit([2, 1])[0])
    with pytest.raises(ImageError, match="reindex"):
        catalog.claim("wider", unit([1, 2, 3])[0])


def test_while_it_waits_for_longer_vectors_documents_may_bring_such_already():
    catalog = KnowledgeCatalog()
    catalog.add("old", "Old", ["the same text"], unit([1, 0]))
    assert catalog.begin_reindex("wider", unit([1, 2, 3])[0]) == 1
    catalog.add("new", "New", ["another text"], unit([1, 0, 0]))
    assert found(catalog.search(["another"], unit([1, 0, 0]), top_k=1)) == ["new"]
