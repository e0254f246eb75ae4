"""The objects of the kernel itself answer messages: catalog, models, missions; a real kernel."""

from types import SimpleNamespace

import pytest

from bat_os.app.library import load_library
from bat_os.errors import RemoteError
from bat_os.image.objects import find

FACT = "Bats hang upside down and sleep by day."
USE_CATALOG = '''\
def look_up(self, words):
    """Find words in the catalog."""
    return [hit["text"] for hit in self.catalog.search(words, top_k=2, kind="document")]
'''
KEEP = '''\
def keep(self, text):
    """Keep a text in the catalog."""
    return self.catalog.index_document_("kept", text, {"by": "keep"})
'''
ASK_MODEL = '''\
def think(self, text):
    """Ask the model."""
    return self.infer(text)
'''


@pytest.fixture
async def client(kernel):
    async with kernel.client() as client:
        yield client


@pytest.fixture
def send(client):
    async def send(target, selector, *args, **kwargs):
        answer = await client.request(
            "send", target=target, selector=selector, args=list(args), kwargs=kwargs, timeout=60
        )
        return answer["result"]

    return send


@pytest.fixture
def teach(client, send):
    """Return a function that teaches genesis_obj, which holds the catalog."""

    async def teach(source):
        await send("genesis_obj", "setSlot", "catalog", {"ref": "knowledge_catalog_obj"})
        await client.request("teach", target="genesis_obj", body={"source": source})

    return teach


async def refused(send, *message, **kwargs):
    with pytest.raises(RemoteError) as caught:
        await send(*message, **kwargs)
    return SimpleNamespace(**caught.value.body)


async def test_the_catalog_indexes_finds_and_forgets_by_messages(send, client):
    told = await send("knowledge_catalog_obj", "index_document_", "bats", FACT, {"topic": "bats"})
    assert told == {"doc_id": "document:bats", "passages": 1, "changed": True}
    for selector in ("search", "search_"):
        (hit,) = await send("knowledge_catalog_obj", selector, "who sleeps upside down?", 1)
        assert (hit["doc_id"], hit["text"], hit["kind"]) == ("document:bats", FACT, "document")
    (listed,) = (await client.request("documents"))["documents"]
    assert listed["meta"]["topic"] == "bats"
    told = await send("knowledge_catalog_obj", "forget", "bats")
    assert told == {"doc_id": "document:bats", "forgotten": True}
    assert (await client.request("documents"))["documents"] == []
    assert (await refused(send, "knowledge_catalog_obj", "forget", "bats")).code == "NOT_FOUND"


async def test_a_message_to_the_catalog_starts_no_mission(send, client):
    await send("knowledge_catalog_obj", "search", "bats")
    assert (await client.request("missions"))["missions"] == []


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (("search", ""), "the query is a text that is not empty"),
        (("search", "bats", 0), "top_k is a whole number from 1 to 100"),
        (("search", "bats", 5, "birds"), "kind must be one of document, "),
        (("index_document", "a", "b", [1]), "the metadata are a map"),
    ],
)
async def test_what_does_not_fit_is_said(send, message, told):
    error = await refused(send, "knowledge_catalog_obj", *message)
    assert error.code == "INVALID_ARGS"
    assert told in error.message


async def test_learned_code_that_holds_the_catalog_searches_it(send, teach):
    await send("knowledge_catalog_obj", "index_document", "bats", FACT)
    await teach(USE_CATALOG)
    assert await send("genesis_obj", "look_up", "bats sleep") == [FACT]


async def test_learned_code_that_holds_no_reference_does_not_reach_the_catalog(send, teach):
    await teach(USE_CATALOG)
    await send("genesis_obj", "removeSlot", "catalog")
    assert (await refused(send, "genesis_obj", "look_up", "bats")).code == "SANDBOX_FAILED"


async def test_what_learned_code_indexes_comes_with_the_commit_of_its_turn(send, teach, client):
    await teach(KEEP)
    assert (await send("genesis_obj", "keep", FACT))["doc_id"] == "document:kept"
    (hit,) = await send("knowledge_catalog_obj", "search", "upside down", 1)
    assert hit["text"] == FACT
    failing = KEEP.replace("def keep", "def keep_and_fail").replace("return self", "self")
    await teach(failing + "    raise ValueError('no')\n")
    other = "Owls turn their heads."
    await refused(send, "genesis_obj", "keep_and_fail", other)
    assert [row["doc_id"] for row in (await client.request("documents"))["documents"]] == [
        "document:kept"
    ]
    (hit,) = await send("knowledge_catalog_obj", "search", other, 1)
    assert hit["text"] == FACT


async def test_a_persona_answers_a_question_in_its_own_voice(kernel, send, client):
    seen = []
    engine = kernel.mind.roster._memory.models[kernel.mind.roster.model_of("BRICK")].engine
    engine._script = lambda prompt, sampling, _index: seen.append((prompt, sampling)) or " Echo. "
    assert await send("robin_obj", "infer", "How do bats see?") == "Echo."
    assert await send("pLLM_obj", "infer_", "Why?", persona_self={"ref": "brick_obj"}) == "Echo."
    assert await send("genesis_obj", "infer", "Why?", persona_id="babs", max_tokens=7) == "Echo."
    systems = [prompt.messages[0][1] for prompt, _ in seen]
    assert [system.split(",")[0] for system in systems] == [
        "You are ROBIN", "You are BRICK", "You are BABS",
    ]  # fmt: skip
    assert seen[0][0].messages[1] == ("user", "How do bats see?")
    assert seen[2][1].max_tokens == 7
    told = await client.request("send", target="brick_obj", selector="infer", args=["Why?"])
    assert (told["model_calls"], told["tokens"] > 0) == (1, True)
    error = await refused(send, "pLLM_obj", "infer", "Why?", persona_id="batman")
    assert "persona_id must be one of ALFRED, BRICK" in error.message
    error = await refused(send, "pLLM_obj", "infer", "Why?", adapter_name="tamland")
    assert "batos personas set alfred:NAME adapter tamland" in error.message


async def test_a_message_gives_a_persona_only_a_model_that_there_is(kernel, send, client):
    oid = (await client.request("inspect", target="brick_obj"))["oid"]
    for target in ("brick_obj", oid):
        error = await refused(send, target, "setSlot", "model", "no-such-model")
        assert (error.code, error.retryable) == ("MODEL_UNAVAILABLE", True)
        assert "batos models add no-such-model SOURCE" in error.message
    error = await refused(send, "brick_obj", "setSlot", name="model", value="no-such-model")
    assert error.code == "MODEL_UNAVAILABLE"
    known = kernel.mind.roster.model_of("BRICK")
    assert await send("brick_obj", "setSlot", "model", known) == known
    assert await send("genesis_obj", "setSlot", "model", "T") == "T"  # a slot like any other


async def test_learned_code_needs_a_grant_for_a_model(send, teach):
    await teach(ASK_MODEL)
    error = await refused(send, "genesis_obj", "think", "What now?")
    assert error.code == "GRANT_WANTED"
    assert not error.retryable


async def test_the_orchestrator_starts_lists_and_cancels_missions(kernel, send, client):
    kernel.gate.clear()
    brief = {"type": "unhandled_message", "selector": "give_seven", "args": [], "kwargs": {}}
    told = await send(
        "orchestrator_obj", "start_cognitive_cycle_for_", brief, {"ref": "genesis_obj"}
    )
    waiting = await send("orchestrator_obj", "missions", 5)
    assert [row["brief_id"] for row in waiting] == [told["brief_id"]]
    assert await send("orchestrator_obj", "cancel", told["brief_id"]) is True
    kernel.gate.set()
    again = await send("orchestrator_obj", "start_cognitive_cycle_for", brief)
    await client.request("subscribe", body={"brief_id": again["brief_id"]}, timeout=30)
    assert await send("genesis_obj", "give_seven") == 7


async def test_what_is_not_understood_can_be_said_as_the_first_clients_do(send, client):
    told = await send("genesis_obj", "_doesNotUnderstand_", "give_seven")
    await client.request("subscribe", body={"brief_id": told["brief_id"]}, timeout=30)
    assert await send("genesis_obj", "give_seven") == 7


async def test_a_person_overrides_a_subsystem_and_undoes_it(kernel, send, client):
    source = 'def search(self, query):\n    """Say nothing."""\n    return []\n'
    await client.request("teach", target="knowledge_catalog_obj", body={"source": source})
    assert await send("knowledge_catalog_obj", "search", "bats") == []
    await load_library(kernel.mind)
    assert await send("knowledge_catalog_obj", "search", "bats") == []
    await client.request("unlearn", target="knowledge_catalog_obj", selector="search")
    await send("knowledge_catalog_obj", "index_document", "bats", FACT)
    assert len(await send("knowledge_catalog_obj", "search", "bats")) == 1


async def test_every_object_keeps_its_primitives_when_the_library_is_installed(kernel, send):
    def look(root):
        return sorted(find(root, "traits_obj").slots)

    selectors = await kernel.mind.image.transact(look, note="look")
    assert {"_doesNotUnderstand_", "clone", "setSlot", "slotNames"} <= set(selectors)
    assert "does_not_understand" not in selectors


async def test_the_context_of_the_person_comes_from_settings_and_from_its_slots(send):
    told = {"place": "", "zone": "", "country": "", "language": "en"}
    assert await send("context_obj", "facts") == told
    assert (await refused(send, "context_obj", "next_holiday")).code == "INVALID_ARGS"
    await send("context_obj", "setSlot", "country", "Germany")
    await send("context_obj", "setSlot", "place", "Tokyo")
    there = {"place": "Tokyo", "zone": "Asia/Tokyo", "country": "Germany"}
    assert await send("context_obj", "facts") == told | there
    assert await send("context_obj", "is_holiday", "2026-10-03") is True
    assert await send("context_obj", "is_holiday", "2026-10-02") is False
    assert "2026-10-03" in await send("context_obj", "holidays_in", 2026)
    assert (await send("context_obj", "local_time")).endswith("+09:00")
