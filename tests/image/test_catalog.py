"""The knowledge catalog: one transaction per document, found by words and by meaning."""

from __future__ import annotations

import asyncio
import pickletools

import numpy as np
import pytest
import ZODB
from hypothesis import given, settings
from hypothesis import strategies as st

from bat_os.engines.scripted import HashEmbedder
from bat_os.errors import ArgumentsError, NotPlainError
from bat_os.image.catalog import KnowledgeCatalog, catalog_in
from bat_os.image.intake import is_allowed
from bat_os.image.librarian import CatalogService
from bat_os.image.store import ImageStore

CODEX = [
    {"persona": "BRICK", "prompt": "What is a state?", "response": "A place in a table."},
    {"persona": "ROBIN", "prompt": "Why does it live?", "response": "Because it is kept."},
]


@pytest.fixture
async def image():
    store = ImageStore.in_memory()
    yield store
    await store.close()


@pytest.fixture
def service(image):
    return CatalogService(image, HashEmbedder())


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
    assert catalog.segments == ()
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
    assert sum(rows for rows, _ in catalog.segments) == sum(len(t) for t, _ in model.values())
    for texts, vectors in model.values():
        for position, (text, vector) in enumerate(zip(texts, vectors, strict=True)):
            (best,) = catalog.search(["nothing"], vector[np.newaxis], top_k=1)
            assert (best.text, best.position) == (text, position)


def test_many_documents_share_few_segments():
    catalog = KnowledgeCatalog()
    for i in range(300):
        catalog.add(str(i), "", ["x"], unit([1, i]))
    assert len(catalog.segments) <= 7 * 4


# --- in the image ---


async def test_the_image_allows_every_class_of_the_catalog(image):
    def fill(root):
        for i in range(130):
            catalog_in(root).add(str(i), "t", ["one common word", f"w{i}"], unit([1, 0], [1, i]))

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


@pytest.mark.slow
async def test_a_document_survives_closing_and_opening_the_image(tmp_path):
    image = ImageStore.open(tmp_path / "image.fs")
    await CatalogService(image, HashEmbedder()).learn("cats", "Cats", "Cats purr at night.")
    await image.close()
    image = ImageStore.open(tmp_path / "image.fs")
    (best,) = await CatalogService(image, HashEmbedder()).search(["do cats purr"], top_k=1)
    await image.close()
    assert (best.doc_id, best.title, best.text) == ("cats", "Cats", "Cats purr at night.")


async def test_a_failed_addition_leaves_neither_words_nor_vectors(image, service):
    def add_and_fail(root):
        catalog_in(root).add("cats", "", ["cats purr"], np.ones((1, 384), np.float32))
        raise ArgumentsError("no")

    await service.learn("ships", "Ships", "Ships sail.")
    with pytest.raises(ArgumentsError):
        await image.transact(add_and_fail, note="fail")
    assert found(await service.search(["cats purr"], top_k=9)) == ["ships"]


async def test_one_more_document_rewrites_few_vectors(image, tmp_path):
    def add(root, name, count):
        vectors = np.random.default_rng(count).normal(size=(count, 384))
        catalog_in(root).add(name, "", ["x"] * count, unit(*vectors))

    image = ImageStore.open(tmp_path / "image.fs")
    await image.transact(lambda root: add(root, "big", 600), note="big")
    before = (tmp_path / "image.fs").stat().st_size
    await image.transact(lambda root: add(root, "small", 1), note="small")
    written = (tmp_path / "image.fs").stat().st_size - before
    await image.close()
    assert written < 40_000  # the big document's vectors are 900 kB


# --- the service ---


async def test_learning_splits_chunks_and_indexes_a_text(service):
    text = "\n\n".join(
        f"Chapter {i} tells of {word}. " + f"The {word} is long and old. " * 12
        for i, word in enumerate(["anchors", "bells", "candles", "drums"])
    )
    count = await service.learn("book", "A book", text)
    assert count >= 2
    best = (await service.search(["bells"], top_k=1))[0]
    assert "bells" in best.text
    assert len(best.text) <= 1000


async def test_learning_the_same_text_again_changes_nothing(service, image):
    first = await service.learn("cats", "Cats", "Cats purr.")
    before = await image.transact(lambda root: catalog_in(root)._p_serial, note="serial")
    assert await service.learn("cats", "Cats", "Cats purr.") == first
    after = await image.transact(lambda root: catalog_in(root)._p_serial, note="serial")
    assert after == before


async def test_a_text_without_words_is_refused(service):
    with pytest.raises(ArgumentsError):
        await service.learn("blank", "Blank", " \n\n ")


async def test_blank_queries_find_nothing(service):
    await service.learn("cats", "Cats", "Cats purr.")
    assert await service.search([], top_k=3) == []
    assert await service.search(["", "  "], top_k=3) == []


async def test_documents_learned_at_once_are_all_found(service):
    words = ["anchor", "bell", "candle", "drum", "eagle", "flute"]
    await asyncio.gather(*(service.learn(word, word, f"A {word} is here.") for word in words))
    for word in words:
        assert found(await service.search([word], top_k=1)) == [word]


async def test_seeding_again_changes_nothing(service, image):
    assert await service.seed(CODEX) == 2
    before = await image.transact(lambda root: catalog_in(root)._p_serial, note="serial")
    assert await service.seed(CODEX) == 0
    assert await image.transact(lambda root: catalog_in(root)._p_serial, note="s") == before
    best = (await service.search(["why does it live"], top_k=1, kind="codex"))[0]
    assert best.title == "ROBIN"
    assert best.text == "Why does it live?\nBecause it is kept."


async def test_the_codex_becomes_what_its_file_says(service, image):
    await service.seed(CODEX)
    await service.learn("cats", "Cats", "Cats purr.")
    changed = [{**CODEX[0], "response": "A row of a table."}]
    assert await service.seed(changed) == 1
    assert await service.seed([]) == 0
    left = await image.transact(lambda root: catalog_in(root).doc_ids(), note="list")
    assert left == ["cats"]
