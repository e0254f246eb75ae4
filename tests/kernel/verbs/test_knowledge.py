"""Documents in, found and out again, and whose vectors are kept with them."""

from dataclasses import replace

import numpy as np
import pytest

from bat_os.core.protocol import Request
from bat_os.core.verbs import check
from bat_os.engines.scripted import HashEmbedder
from bat_os.errors import ArgumentsError, ConflictError, ImageError, NotFoundError
from bat_os.image.catalog_service import CatalogService
from bat_os.kernel.learning.cycle import CognitiveCycle
from bat_os.kernel.verbs import VERBS
from bat_os.kernel.verbs.knowledge import reindex
from bat_os.kernel.verbs.objects import find_skills, teach
from tests.kernel.minds import open_mission

pytestmark = pytest.mark.asyncio(loop_scope="module")
TREBLE = 'def treble(self, number):\n    """Treble a number."""\n    return number * 3\n'


class OtherEmbedder(HashEmbedder):
    """The same words at other places: another model of the same width."""

    async def embed(self, texts):
        return np.roll(await super().embed(texts), 1, axis=1)


class CountingEmbedder(HashEmbedder):
    """Remembers what it was asked."""

    def __init__(self):
        self.asked = []

    async def embed(self, texts):
        self.asked += texts
        return await super().embed(texts)


def going_over_to(mind, embedder):
    return replace(mind, embedder=embedder, catalog=CatalogService(mind.image, embedder))


async def test_a_document_is_learned_found_by_its_meta_data_and_forgotten(ask):
    for name in ("cats", "dogs"):
        told = await ask("learn", title=name, text=f"The {name} sleep.", meta={"tags": [name]})
        assert told == {"doc_id": f"document:{name}", "passages": 1, "changed": True}
    found = await ask("search", text="who sleeps", filters={"tags": "dogs"}, kind="document")
    assert [one["title"] for one in found["passages"]] == ["dogs"]
    listed = await ask("documents", filters={"tags": "cats"})
    assert [one["title"] for one in listed["documents"]] == ["cats"]
    assert (await ask("forget", doc_id="document:cats"))["forgotten"]
    with pytest.raises(NotFoundError):
        await ask("forget", doc_id="document:cats")
    assert [one["title"] for one in (await ask("documents"))["documents"]] == ["dogs"]


async def test_a_forgotten_document_comes_back_as_it_was(ask):
    told = await ask("learn", title="owls", text="# Owls\n\nThe owls hoot.", meta={"tags": ["n"]})
    listed = (await ask("documents"))["documents"]
    gone = await ask("forget", doc_id=told["doc_id"])
    assert (await ask("documents"))["documents"] == []
    back = await ask("forget", doc_id=told["doc_id"], back=gone["transaction"])
    assert not back["forgotten"]
    assert (await ask("documents"))["documents"] == listed
    found = await ask("search", text="who hoots", filters={"tags": "n"})
    assert "The owls hoot." in found["passages"][0]["text"]
    with pytest.raises(ConflictError):
        await ask("forget", doc_id=told["doc_id"], back=gone["transaction"])
    with pytest.raises(NotFoundError):
        await ask("forget", doc_id="document:none", back=gone["transaction"])
    with pytest.raises(ArgumentsError):
        await ask("forget", doc_id=told["doc_id"], back="yesterday")


async def test_a_document_that_is_learned_again_keeps_the_meta_data_that_it_was_given(ask):
    told = {"title": "cats", "text": "Cats sleep."}
    await ask("learn", **told, meta={"tags": "pets", "format": "text"})
    assert not (await ask("learn", **told, meta={"format": "text"}))["changed"]
    assert (await ask("learn", **told | {"text": "Cats run."}, meta={"by": "Ann"}))["changed"]
    for key, value in (("tags", "pets"), ("by", "Ann")):
        assert len((await ask("documents", filters={key: value}))["documents"]) == 1
    await ask("learn", **told, meta={"tags": "wild"})
    assert (await ask("documents", filters={"tags": "pets"}))["documents"] == []
    (kept,) = (await ask("documents"))["documents"]
    assert "format" not in kept["meta"]  # the file's own, which it does not have any more


async def test_nothing_that_another_model_embedded_is_mixed_in_until_all_is_reindexed(mind, ask):
    await ask("learn", title="cats", text="The cats sleep.")
    other = going_over_to(mind, OtherEmbedder())
    teaching = check(Request("teach", target="genesis_obj", body={"source": TREBLE}))
    with pytest.raises(ImageError, match="batos reindex"):
        await teach(other, teaching, lambda told: None)
    said = []
    told = await reindex(other, check(Request("reindex")), lambda event: said.append(event["text"]))
    assert told == {"documents": 1}
    assert said == ["reindexing: 1 of 1 documents"]
    assert (await teach(other, teaching, lambda told: None))["status"] == "taught"
    back = going_over_to(mind, HashEmbedder())
    with pytest.raises(ImageError, match="batos reindex"):
        await find_skills(back, check(Request("find", body={"text": "treble"})), lambda told: None)


async def test_a_mission_embeds_no_wish_twice(mind):
    counting = CountingEmbedder()
    mind = going_over_to(mind, counting)
    await teach(
        mind,
        check(Request("teach", target="genesis_obj", body={"source": TREBLE})),
        lambda told: None,
    )
    mission = await open_mission(mind.image, "double", 21)
    told = await CognitiveCycle(mind, lambda *_: None).run(mission)
    assert told["type"] == "result", told
    assert sorted(counting.asked) == sorted(set(counting.asked))


async def test_a_method_is_found_by_its_wish_signature_docstring_and_examples(taught, ask):
    pack = (
        'def pack(self, boxes):\n    """Stack crates.\n\n    The forklift waits."""\n    return 7'
    )
    await taught(pack, [{"args": [["zinc", "lead"]], "kwargs": {}, "result": 7}])
    await taught('def wave(self, hands):\n    """Greet people."""\n    return hands')
    for words in ("stack crates", "pack", "boxes", "a forklift", "zinc"):
        (best, *_) = (await ask("find", text=words))["skills"]
        assert (best["selector"], best["wish"]) == ("pack", "Stack crates."), words


async def test_long_work_says_in_numbers_how_far_it_has_come(mind):
    heard = []
    body = {"title": "bats", "text": "Bats sleep by day. They hang upside down."}
    request = check(Request("learn", body=body))
    await VERBS["learn"](mind, request, heard.append)
    counted = [told for told in heard if "total" in told]
    assert counted
    assert all(0 <= told["done"] <= told["total"] for told in counted)
    assert f"{counted[-1]['done']} of {counted[-1]['total']} " in counted[-1]["text"]
