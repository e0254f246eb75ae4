"""bat_os.image.knowledge.inbox: lessons are found at once, and indexed later, once each."""

import asyncio
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from bat_os.core.personas import PERSONAS
from bat_os.engines.scripted import HashEmbedder
from bat_os.image import catalog_keeping
from bat_os.image.awakening import awaken
from bat_os.image.catalog import catalog_in
from bat_os.image.catalog_service import CatalogService
from bat_os.image.knowledge.inbox import FOLD, LONG, WORTH, lessons_in
from bat_os.image.knowledge.shelf import SegmentCache
from bat_os.image.knowledge.text import OKAPI_PASSAGES, SegmentedText
from bat_os.image.store import ImageStore
from bat_os.kernel.primitives import PRIMITIVES

IMAGES = Path(__file__).parents[2] / "cases" / "images"
MANY = OKAPI_PASSAGES + 1
D = 64


def vector(number):
    row = np.random.default_rng(number).normal(size=(1, D)).astype(np.float32)
    return row / np.linalg.norm(row)


def fill(root):
    """Learn a document that makes the catalog large enough for segments."""
    texts = [f"filler passage number{n}" for n in range(MANY)]
    rows = np.concatenate([vector(10_000 + n) for n in range(MANY)])
    catalog_in(root).add("document:filler", "filler", texts, rows)


def leave(root, number, kind="method"):
    about = {"selector": f"m{number}", "object": "bat_obj"}
    catalog_in(root).leave(
        f"{kind}:{number}", f"bat_obj.m{number}", [f"hang upside down {number}", "def it(self):"],
        np.concatenate([vector(number), vector(number + 5_000)]), kind=kind, meta=about,
    )  # fmt: skip


def search(root, text, number, **limits):
    found = catalog_in(root).search([text], vector(number), top_k=5, **limits)
    return [(one.doc_id, one.position) for one in found]


def waiting(root):
    return len(lessons_in(catalog_in(root).trays))


def everything(root):
    catalog = catalog_in(root)
    return [one.doc_id for one in catalog.documents()], len(catalog)


@pytest.fixture
async def large(image):
    await image.transact(fill, note="fill")
    return image


async def do(image, work):
    return await image.transact(work, note="test")


async def test_a_lesson_is_found_by_words_and_by_meaning_before_and_after_the_fold(large):
    for number in range(5):
        await do(large, lambda root, n=number: leave(root, n))
    assert await do(large, waiting) == 5

    def look(root):
        return (
            search(root, "upside 3", 10_001),  # words alone lead there
            search(root, "nothing of that", 2),  # meaning alone
            search(root, "upside", 1, kind="method", filters={"selector": "m4"}),
            search(root, "upside", 1, kind="document")[0][0],
            everything(root),
        )

    before = await do(large, look)
    assert before[0][0] == ("method:3", 0)
    assert before[1][0] == ("method:2", 0)
    assert {doc_id for doc_id, _ in before[2]} == {"method:4"}
    assert before[3] == "document:filler"
    assert await do(large, lambda root: catalog_in(root).fold(FOLD)) == 5
    assert await do(large, waiting) == 0
    assert await do(large, look) == before


async def test_what_waits_can_be_replaced_renamed_labelled_and_removed(large):
    await do(large, lambda root: leave(root, 1))
    await do(large, lambda root: leave(root, 1))
    await do(large, lambda root: leave(root, 2))

    def change(root):
        catalog = catalog_in(root)
        catalog.set_label("method:1", ["7"])
        catalog.rename("method:1", "method:9", "bat_obj.m9", {"selector": "m9"})
        assert catalog.remove("method:2")
        assert not catalog.remove("method:2")
        return catalog.document("method:9").label, "method:1" in catalog

    assert await do(large, change) == (("7",), False)
    assert await do(large, everything) == (["document:filler", "method:9"], 2)


async def test_facts_that_wait_are_seen_by_who_asks_for_facts_only(large):
    await do(large, lambda root: leave(root, 1, kind="fact"))
    cache = SegmentCache()

    def look(root, **limits):
        return [i for i, _ in search(root, "upside", 1, cache=cache, **limits)]

    for _ in range(2):
        assert "fact:1" in await do(large, lambda root: look(root, kind="fact"))
        assert "fact:1" not in await do(large, look)
        assert cache.nbytes() > 0
        await do(large, lambda root: catalog_in(root).fold())


async def test_a_document_waits_with_its_lines_unless_it_is_long_or_many_wait(large):
    def read(root, number, count):
        texts = [f"page {n} of number{number}" for n in range(count)]
        rows = np.concatenate([vector(20_000 + 100 * number + n) for n in range(count)])
        lines = [(n, n + 1) for n in range(count)]
        catalog_in(root).leave(
            f"document:{number}", f"n{number}", texts, rows, meta={}, lines=lines
        )
        return waiting(root)

    def look(root):
        (found, *_) = catalog_in(root).search(["page 2 of number1"], vector(20_102), top_k=1)
        return found.doc_id, found.position, found.lines

    assert await do(large, lambda root: read(root, 1, LONG)) == 1
    assert await do(large, lambda root: read(root, 2, LONG + 1)) == 1
    assert await do(large, look) == ("document:1", 2, (2, 3))
    for number in range(WORTH - 1):
        await do(large, lambda root, n=number: leave(root, n))
    assert await do(large, lambda root: read(root, 3, 1)) == WORTH
    while await do(large, lambda root: catalog_in(root).fold(FOLD)):
        pass
    assert await do(large, look) == ("document:1", 2, (2, 3))


async def test_what_waits_is_folded_when_it_is_worth_it(large, monkeypatch):
    monkeypatch.setattr(catalog_keeping, "EVERY", 0.001)
    service, folds, looks = CatalogService(large, HashEmbedder()), asyncio.Queue(), asyncio.Queue()
    read = large.read

    async def look(*args, **more):
        count = await read(*args, **more)
        looks.put_nowait(count)
        return count

    monkeypatch.setattr(large, "read", look)

    async def fold():
        count = await CatalogService.fold(service)
        folds.put_nowait(count)
        return count

    monkeypatch.setattr(service, "fold", fold)
    for number in range(WORTH - 1):
        await do(large, lambda root, n=number: leave(root, n))
    keeping = asyncio.create_task(service.keep_folding())
    assert [await looks.get() for _ in range(3)] == [WORTH - 1] * 3
    assert folds.empty()
    await do(large, lambda root: leave(root, WORTH))
    assert await folds.get() == WORTH
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


async def test_two_that_fold_at_once_index_each_lesson_once(large):
    for number in range(FOLD + 6):
        await do(large, lambda root, n=number: leave(root, n))
    both = threading.Barrier(2, timeout=60)
    runs = []

    def fold(root):
        count = catalog_in(root).fold(FOLD)
        runs.append(count)
        if len(runs) <= 2:
            both.wait()
        return count

    assert sorted(await asyncio.gather(do(large, fold), do(large, fold))) == [6, FOLD]
    assert len(runs) == 3
    ids, count = await do(large, everything)
    assert count == len(set(ids)) == FOLD + 7
    ranks = await do(large, lambda root: catalog_in(root)._text.rank("upside", None))
    assert len(ranks) == len(set(ranks)) == FOLD + 6


async def test_a_lesson_learned_while_others_are_folded_stays(large):
    await do(large, lambda root: leave(root, 1))
    folded, learned = threading.Event(), threading.Event()

    def fold(root):
        count = catalog_in(root).fold()
        folded.set()
        assert learned.wait(60)
        return count

    folding = asyncio.create_task(do(large, fold))
    await asyncio.to_thread(folded.wait)
    await do(large, lambda root: leave(root, 2))
    learned.set()
    await folding
    assert (await do(large, everything))[0] == ["document:filler", "method:1", "method:2"]


async def test_lessons_that_are_learned_at_once_do_not_collide(large):
    await do(large, lambda root: leave(root, 0))  # makes the tray
    both, runs = threading.Barrier(2, timeout=60), []

    def learn(root, number):
        leave(root, number)
        runs.append(number)
        both.wait()

    await asyncio.gather(*(do(large, lambda root, n=n: learn(root, n)) for n in (1, 2)))
    assert sorted(runs) == [1, 2]
    for _ in range(2):
        assert await do(large, lambda root: search(root, "nothing", 1)[:1]) == [("method:1", 0)]
        assert await do(large, lambda root: search(root, "nothing", 2)[:1]) == [("method:2", 0)]
        await do(large, lambda root: catalog_in(root).fold())


@pytest.mark.parametrize("first", [1 << 40, 1 << 62])
async def test_a_lesson_with_any_id_of_an_object_is_found(large, monkeypatch, first):
    ids = iter(range(first, first + 100))

    def learn(root, number):
        monkeypatch.setattr(root._p_jar, "new_oid", lambda: next(ids).to_bytes(8, "big"))
        leave(root, number)

    for number in (1, 2):
        await do(large, lambda root, n=number: learn(root, n))
    monkeypatch.undo()
    for _ in range(2):
        for number in (1, 2):
            found = await do(large, lambda root, n=number: search(root, "nothing", n)[:1])
            assert found == [(f"method:{number}", 0)]
        await do(large, lambda root: catalog_in(root).fold())


async def test_kernels_that_share_an_image_learn_into_trays_of_their_own(large):
    for name in ("a", "b"):
        large.database.kernel = name
        await do(large, lambda root, n=int(name, 16): leave(root, n))
    trays = await do(
        large, lambda root: {k: len(t.lessons) for k, t in catalog_in(root).trays.items()}
    )
    assert trays == {"a": 1, "b": 1}
    assert len(set((await do(large, everything))[0])) == 3


async def test_an_image_of_an_earlier_format_learns_into_the_inbox(tmp_path):
    shutil.copy(IMAGES / "format-3-segments.fs", tmp_path / "image.fs")
    image = ImageStore.open(tmp_path / "image.fs")
    await do(image, lambda root: awaken(
        root, image_id="x", created=0.0, personas=PERSONAS, primitives=PRIMITIVES
    ))  # fmt: skip

    def learn(root):
        catalog = catalog_in(root)
        assert isinstance(catalog._text, SegmentedText)
        rows = np.ones((1, catalog.dimensions), np.float32) / catalog.dimensions**0.5
        catalog.leave("method:1", "bat_obj.hang", ["hang upsidedown"], rows, kind="method", meta={})
        return len(catalog)

    def look(root):
        catalog = catalog_in(root)
        rows = np.ones((1, catalog.dimensions), np.float32) / catalog.dimensions**0.5
        return catalog.search(["upsidedown"], rows, top_k=1)[0].doc_id, len(catalog)

    count = await do(image, learn)
    assert await do(image, look) == ("method:1", count)
    assert await do(image, lambda root: catalog_in(root).fold()) == 1
    assert await do(image, look) == ("method:1", count)
    await image.close()
