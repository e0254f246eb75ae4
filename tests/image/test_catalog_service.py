"""Taking documents in, finding them, going over to another model; cancelled at any point."""

from __future__ import annotations

import asyncio
import sys
from itertools import pairwise

import numpy as np
import pytest

from bat_os.core.fields import MAX_TEXT
from bat_os.core.protocol import Request
from bat_os.core.verbs import check
from bat_os.engines.scripted import HashEmbedder
from bat_os.errors import ArgumentsError, ImageError, ModelError, NotPlainError, TooLargeError
from bat_os.image.catalog import catalog_in
from bat_os.image.catalog_service import (
    BATCH,
    MAX_CHARS,
    MAX_SENTENCES,
    CatalogService,
    document_id,
)
from bat_os.image.knowledge.text import OKAPI_PASSAGES
from bat_os.image.store import ImageStore
from bat_os.method.seeds import parse_seeds

CODEX = [
    {"persona": "BRICK", "prompt": "What is a state?", "response": "A place in a table."},
    {"persona": "ROBIN", "prompt": "Why does it live?", "response": "Because it is kept."},
]
CATS = "document:Cats"
LONG = "\n\n".join(f"Sentence number {i} stands alone." for i in range(3 * BATCH))


class OtherEmbedder(HashEmbedder):
    """The same words at other places: another model of the same width."""

    async def embed(self, texts):
        return np.roll(await super().embed(texts), 1, axis=1)


class GatedEmbedder(HashEmbedder):
    """Answers ``free`` times, then says that it waits, and waits."""

    def __init__(self, free):
        self.free = free
        self.waiting = asyncio.Event()

    async def embed(self, texts):
        if not self.free:
            self.waiting.set()
            await asyncio.Event().wait()
        self.free -= 1
        return await super().embed(texts)


class BrokenEmbedder(HashEmbedder):
    """Has no model."""

    async def embed(self, texts):
        raise ModelError("no model here")


@pytest.fixture
def service(image):
    return CatalogService(image, HashEmbedder())


def found(passages):
    return [passage.doc_id for passage in passages]


# --- learning ---


async def test_learning_splits_chunks_and_indexes_a_text(service):
    text = "\n\n".join(
        f"Chapter {i} tells of {word}. " + f"The {word} is long and old. " * 12
        for i, word in enumerate(["anchors", "bells", "candles", "drums"])
    )
    learned = await service.learn("A book", text, source="book.txt")
    assert learned["doc_id"] == "document:book.txt"
    assert learned["changed"]
    assert learned["passages"] >= 2
    best = (await service.search(["bells"], top_k=1))[0]
    assert "bells" in best.text
    assert len(best.text) <= 1000


async def test_learning_the_same_text_again_needs_no_model_and_changes_nothing(service, image):
    first = await service.learn("Cats", "Cats purr.", meta={"tags": ["pets"]})
    before = await image.transact(lambda root: catalog_in(root)._p_serial, note="serial")
    again = CatalogService(image, BrokenEmbedder())
    assert await again.learn("Cats", "Cats purr.", meta={"tags": ["pets"]}) == {
        **first,
        "changed": False,
    }
    assert await image.transact(lambda r: catalog_in(r)._p_serial, note="serial") == before


@pytest.mark.parametrize("change", [{"text": "Cats sleep."}, {"meta": {"tags": ["beasts"]}}])
async def test_a_changed_document_replaces_the_earlier_one(service, change):
    told = {"title": "Cats", "text": "Cats purr.", "meta": {"tags": ["pets"]}}
    first = await service.learn(**told)
    second = await service.learn(**told | change)
    assert second == {**first, "changed": True}
    (only,) = await service.documents()
    assert only["meta"]["tags"] == (told | change)["meta"]["tags"]
    texts = [p.text for p in await service.search(["cats purr sleep"], top_k=9)]
    assert texts == [(told | change)["text"]]


async def test_markdown_keeps_its_headings_and_code_whole(service):
    text = "# Boats\nBoats float.\n\n## Repair\nUse tar.\n\n```sh\nseal --all\n\nseal --keel\n```\n"
    await service.learn("Guide", text, meta={"form": "markdown"})
    (best,) = await service.search(["seal the keel"], top_k=1)
    assert best.title == "Guide > Boats > Repair"
    assert "seal --all\n\nseal --keel" in best.text


async def test_progress_says_in_words_what_is_done(service):
    said = []
    await service.learn("Long", LONG, progress=said.append)
    assert said[0] == f"Long: {BATCH} of {3 * BATCH} sentences"
    assert said[-1].endswith(" passages")


async def test_a_text_without_words_is_refused(service):
    with pytest.raises(ArgumentsError):
        await service.learn("Blank", " \n\n ")


async def test_too_much_text_and_odd_meta_data_are_refused(service):
    with pytest.raises(TooLargeError):
        await service.learn("Huge", "x" * (MAX_CHARS + 1))
    with pytest.raises(NotPlainError):
        await service.learn("Odd", "Text.", meta={"source": object()})


@pytest.mark.parametrize("free", range(5))
async def test_a_document_that_is_cancelled_while_it_is_read_is_not_there(image, free):
    await CatalogService(image, HashEmbedder()).learn("Cats", "Cats purr.")
    gated = GatedEmbedder(free)
    reading = asyncio.create_task(CatalogService(image, gated).learn("Long", LONG))
    await gated.waiting.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    service = CatalogService(image, HashEmbedder())
    assert [item["doc_id"] for item in await service.documents()] == [CATS]
    assert (await service.learn("Long", LONG))["changed"]
    assert (await service.verify())["documents"] == 2


async def test_a_document_is_forgotten(service):
    await service.learn("Cats", "Cats purr.")
    assert await service.forget(CATS)
    assert not await service.forget(CATS)
    assert await service.search(["cats"], top_k=1) == []
    assert await service.documents() == []


async def test_documents_are_listed_by_their_meta_data(service):
    await service.learn("Cats", "Cats purr.", source="a.md", meta={"tags": ["pets"]})
    await service.learn("Ships", "Ships sail.", source="b.md")
    assert [d["title"] for d in await service.documents()] == ["Cats", "Ships"]
    assert [d["title"] for d in await service.documents(filters={"tags": "pets"})] == ["Cats"]
    assert await service.documents(kind="method") == []
    (best,) = await service.search(["cats purr"], top_k=9, filters={"source": "b.md"})
    assert best.title == "Ships"


def test_ids_of_long_sources_are_short_and_differ():
    one, two = (document_id("document", "x" * 400 + end) for end in "ab")
    assert one != two
    assert len(one) < 400


# --- models ---


async def test_another_model_is_refused_until_the_catalog_is_reindexed(image, service):
    await service.learn("Cats", "Cats purr.")
    await service.learn("Ships", "Ships sail.")
    other = CatalogService(image, OtherEmbedder())
    for asking in (
        other.search(["cats"], top_k=1),
        other.learn("Dogs", "Dogs bark."),
        other.embed(["a skill"]),
    ):
        with pytest.raises(ImageError, match=r"made by HashEmbedder .* now OtherEmbedder"):
            await asking
    said = []
    assert await other.reindex(said.append) == 2
    assert said[-1] == "reindexing: 2 of 2 documents"
    (best,) = await other.search(["cats purr"], top_k=1)
    assert best.title == "Cats"
    assert best.similarity > 0.9
    with pytest.raises(ImageError):
        await CatalogService(image, HashEmbedder()).search(["cats"], top_k=1)


async def test_a_reindexing_that_was_broken_off_goes_on_and_loses_no_document(image, service):
    for i in range(5):
        await service.learn(
            f"Tale {i}", source=str(i), text=(LONG * 6).replace("alone", f"tale{i}")
        )
    total = sum(item["passages"] for item in await service.documents())
    gated = GatedEmbedder(4)
    gated_service = CatalogService(image, gated)
    task = asyncio.create_task(gated_service.reindex())
    await gated.waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    def counts(root):
        return len(catalog_in(root).vectors), len(catalog_in(root).waiting)

    some, waiting = await image.transact(counts, note="count")
    assert 0 < some < total
    assert found(await service.search(["tale4"], top_k=1, filters={"source": "4"})) == [
        "document:4"
    ]  # by words
    assert await service.reindex() == waiting
    assert await image.transact(counts, note="count") == (total, 0)


async def test_a_document_forgotten_while_it_waits_for_its_vectors_stays_away(image, service):
    await service.learn("Cats", "Cats purr.")
    gated = GatedEmbedder(1)
    task = asyncio.create_task(CatalogService(image, gated).reindex())
    await gated.waiting.wait()
    await service.forget(CATS)
    gated.free, gated.embed = 9, HashEmbedder().embed
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await service.reindex() == 0
    assert await service.search(["cats"], top_k=1) == []


# --- damage ---


async def test_verifying_names_what_is_damaged_and_says_how_it_is_mended(image, service):
    await service.learn("Cats", "Cats purr.")
    await service.learn("Ships", "Ships sail.")
    assert await service.verify() == {"documents": 2, "damaged": [], "indexes": []}

    def damage(root):
        catalog = catalog_in(root)
        catalog.document(CATS).passages = ("Cats purl.",)
        catalog.grow(OKAPI_PASSAGES)
        for shelf in (catalog.vectors, catalog._text):
            segment = shelf.entries[0][2]
            segment.parts = (*segment.parts[:-1], b"\xff" + segment.parts[-1][1:])

    await image.transact(damage, note="damage")
    said = []
    assert await service.verify(said.append) == {
        "documents": 2,
        "damaged": [CATS],
        "indexes": ["vectors", "text"],
    }
    assert said[-1] == "verifying: 2 of 2 documents"
    await service.reindex()
    assert (await service.verify())["indexes"] == []
    assert found(await service.search(["ships sail"], top_k=1)) == ["document:Ships"]


# --- in the image ---


@pytest.mark.slow
async def test_a_document_survives_closing_and_opening_the_image(tmp_path):
    image = ImageStore.open(tmp_path / "image.fs")
    await CatalogService(image, HashEmbedder()).learn("Cats", "Cats purr at night.")
    await image.close()
    image = ImageStore.open(tmp_path / "image.fs")
    (best,) = await CatalogService(image, HashEmbedder()).search(["do cats purr"], top_k=1)
    await image.close()
    assert (best.doc_id, best.title, best.text) == (CATS, "Cats", "Cats purr at night.")


async def test_a_failed_addition_leaves_neither_words_nor_vectors(image, service):
    def add_and_fail(root):
        catalog_in(root).add("cats", "", ["cats purr"], np.ones((1, 384), np.float32))
        raise ArgumentsError("no")

    await service.learn("Ships", "Ships sail.")
    with pytest.raises(ArgumentsError):
        await image.transact(add_and_fail, note="fail")
    assert found(await service.search(["cats purr"], top_k=9)) == ["document:Ships"]


async def test_blank_queries_find_nothing(service):
    await service.learn("Cats", "Cats purr.")
    assert await service.search([], top_k=3) == []
    assert await service.search(["", "  "], top_k=3) == []


async def test_documents_learned_at_once_are_all_found(service):
    words = ["anchor", "bell", "candle", "drum", "eagle", "flute"]
    await asyncio.gather(*(service.learn(word, f"A {word} is here.") for word in words))
    for word in words:
        assert found(await service.search([word], top_k=1)) == [f"document:{word}"]


def seeds_of(*wishes):
    """Return one seed for each wish; a list stands for several ways to ask for one."""
    texts = []
    for number, (wish, *also) in enumerate(wishes):
        source = f'def method_{number}(self, text):\n    """{wish}."""\n    return text'
        examples = '[{ args = ["x"], value = "x" }]'
        fields = {"wish": f'"{wish}."', "also": str(also), "source": f"'''{source}'''"}
        lines = [f"{name} = {value}" for name, value in {**fields, "examples": examples}.items()]
        texts.append("\n".join(("[[seed]]", *lines)))
    return parse_seeds("\n".join(texts))


async def test_a_seed_is_found_by_each_way_to_ask_for_it_and_comes_up_once(service):
    ways = ["Name the weekday", "what day is it", "which day is today"]
    assert await service.seed_methods(seeds_of(ways, ["Purr", "say purr"], ["Sail", "go"])) == 3
    for way in ways:
        (best, *others) = await service.search([way], top_k=3, kind="seed")
        assert (best.title, best.text.split("\n")[0].lower()) == ("method_0", f"{way}.".lower())
        assert "method_0" not in [passage.title for passage in others]


async def test_a_seed_that_comes_up_once_leaves_room_for_others(service):
    await service.learn("Days", "Every day is a day.")
    await service.seed_methods(seeds_of(["Day", "the day", "a day", "day by day"], ["Night"]))
    found = await service.search(["day"], top_k=3)
    assert sorted(passage.title for passage in found) == ["Days", "method_0", "method_1"]


async def test_the_seed_library_becomes_what_its_files_say(service, image):
    first = seeds_of(["Purr", "say purr"], ["Sail", "go by boat"])
    assert await service.seed_methods(first) == 2
    before = await image.transact(lambda root: catalog_in(root)._p_serial, note="serial")
    assert await service.seed_methods(first) == 0
    assert await image.transact(lambda root: catalog_in(root)._p_serial, note="s") == before
    assert await service.seed_methods(seeds_of(["Purr", "make purr"], ["Sail", "go by boat"])) == 1
    texts = [passage.text for passage in await service.search(["purr"], top_k=9, kind="seed")]
    assert "Say purr.\ndef method_0(self, text):" not in texts
    assert await service.seed_methods(first[1:]) == 0
    assert [item["title"] for item in await service.documents(kind="seed")] == ["method_1"]


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
    await service.learn("Cats", "Cats purr.")
    changed = [{**CODEX[0], "response": "A row of a table."}]
    assert await service.seed(changed) == 1
    assert await service.seed([]) == 0
    left = await image.transact(lambda root: catalog_in(root).doc_ids(), note="list")
    assert left == [CATS]


async def test_a_text_of_endless_short_sentences_costs_no_vector_for_each(image):
    seen = []

    class Counting(HashEmbedder):
        async def embed(self, texts):
            seen.append(len(texts))
            return await super().embed(texts)

    service = CatalogService(image, Counting())
    done = await service.learn("dots", "No. " * 150_000)
    assert done["passages"] >= 600
    assert sum(seen) < MAX_SENTENCES + 2 * done["passages"]


async def test_others_run_between_two_batches_of_an_embedder_that_never_waits(image):
    turns = 0

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    class Noting(HashEmbedder):
        async def embed(self, texts):
            batches.append(turns)
            return await super().embed(texts)

    batches = []
    other = asyncio.create_task(count())
    service = CatalogService(image, Noting())
    await service.embed([f"text {number}" for number in range(10 * BATCH)])
    other.cancel()
    many = batches[-10:]
    assert all(one < two for one, two in pairwise(many))


async def test_however_long_a_question_or_a_document_is_the_event_loop_works_on_none_of_it(image):
    class Flat(HashEmbedder):
        async def embed(self, texts):
            return np.full((len(texts), 384), 384**-0.5, dtype=np.float32)

    async def count_calls(work):
        """Return how many functions ran in the thread of the loop."""
        calls = 0

        def count(frame, event, arg):
            nonlocal calls
            calls += event in ("call", "c_call")

        sys.setprofile(count)
        try:
            await work
        finally:
            sys.setprofile(None)
        return calls

    service = CatalogService(image, Flat())
    await service.learn("bees", LONG)
    words = " ".join(f"word{number}" for number in range(2_000))  # some 18,000 characters
    short = await count_calls(service.search(("bees dance",)))
    assert await count_calls(service.search((words,))) < 2 * short
    few = await count_calls(service.learn("short", words[:200]))
    many = await count_calls(service.learn("long", " ".join(f"{words} {n}" for n in range(50))))
    assert many < few + 900_000 / 100, "some calls for each batch of passages, none for each word"


@pytest.mark.parametrize("verb", ["find", "search"])
def test_a_question_is_at_most_as_long_as_a_wish(verb):
    check(Request(verb, body={"text": "x" * MAX_TEXT}))
    with pytest.raises(ArgumentsError, match="20000 characters"):
        check(Request(verb, body={"text": "x" * (MAX_TEXT + 1)}))
