"""What a caller's scope holds back: learning, changing, and every yes that only the owner gives."""

import random

import pytest
import pytest_asyncio

from bat_os.app.library import load_library
from bat_os.image import flows, grants, memory
from tests.gateway.conftest import JSON

pytestmark = pytest.mark.asyncio(loop_scope="module")
SAID = (
    "what does {file} say?", "how many lines are in {file}?", "you may read the folder {folder}",
    "append 'milk' to {file}", "remember that Tom likes tea",
    "remember that the key is under the mat", "forget the key",
    "forget that Ann was born in May", "no, forget that", "Ann was born in June",
    "forget that the key is under the mat", "erase what you know about the key", "undo that",
    "add milk to my shopping list", "delete my shopping list", "stop reading {folder}",
    "genesis_obj.forget('x')", "knowledge_catalog_obj.forget('x')", "double 21, e.g. 4 gives 8",
    "what is on https://example.org?", "let {folder} be sent to {file}",
)  # fmt: skip
AGREED = ("yes", "ok", "1", "once", "always", "sure, do it", "2", "go ahead")


async def say(http, text, scope, **body):
    answer = await http.ask(
        "POST", "/verbs/say", {"body": {"text": text, **body}}, scope=scope,
        headers={"batos-session": "one"},
    )  # fmt: skip
    assert answer.status in (200, 403, 404, 409, 422), answer
    return answer.json


@pytest_asyncio.fixture(autouse=True, scope="module", loop_scope="module")
async def _library(http):
    """Have the shipped objects, without which nothing can be granted."""
    await load_library(http.kernel.mind)


async def furnish(http, folder):
    """Lay down a file, and facts that the owner has said; return the names that SAID has."""
    (folder / "todo.md").write_text("call Ann\n")
    page = await http.enter()
    for fact in ("the key is under the mat", "Ann was born in May"):
        asked = {"body": {"text": f"remember that {fact}"}}
        assert (await http.rude("POST", "/verbs/say", asked, page)).json["kind"] == "acted"
    return {"folder": folder, "file": folder / "todo.md"}


async def held(http):
    """Return what only the owner's yes may change."""

    def read(root):
        granted = sorted(grant.object for grant in grants.every(root) if not grant.revoked)
        flowing = sorted((flow.source, flow.sink) for flow in flows.every(root))
        known = {fact.text for fact in memory.facts_in(root, every=True) if not fact.hidden}
        return granted, flowing, known & {"the key is under the mat", "Ann was born in May"}

    return await http.kernel.mind.image.transact(read, note="look")


@pytest.mark.parametrize("scope", ["send", "learn", "own"])
async def test_no_yes_of_a_token_is_consent(http, tmp_path, scope):
    """Whatever is said, in whatever order: grants, flows and forgotten facts stay as they are."""
    folder = tmp_path / "notes"
    folder.mkdir()
    draw = random.Random(scope)  # noqa: S311 - no secret
    names = await furnish(http, folder)
    before = await held(http)
    for _ in range(60):
        await say(http, draw.choice(SAID).format(**names), scope)
        await say(http, draw.choice(AGREED), scope)
    assert await held(http) == before
    assert (folder / "todo.md").read_text() == "call Ann\n"


async def test_the_refusal_names_what_the_owner_can_say(http, tmp_path):
    (tmp_path / "todo.md").write_text("call Ann\n")
    asked = await say(http, f"what does {tmp_path}/todo.md say?", "own")
    assert (asked["kind"], asked["needs"]) == ("asked", "grant")
    refused = await say(http, "yes", "own")
    assert refused["kind"] == "unable"
    assert "batos ask 'what does " in refused["text"]


async def test_the_owners_page_may_say_yes(http, tmp_path):
    (tmp_path / "todo.md").write_text("call Ann\n")
    page = await http.enter()
    sentence = {"body": {"text": f"what does {tmp_path}/todo.md say?"}}
    await http.rude("POST", "/verbs/say", sentence, page)
    answer = await http.rude("POST", "/verbs/say", {"body": {"text": "yes"}}, page)
    assert answer.status == 200, answer
    assert "call Ann" in answer.json["text"], answer.json
    for each in await http.kernel.mind.image.transact(_granted, note="look"):
        gone = await http.rude("POST", "/verbs/revoke", {"target": each}, page)
        assert gone.status == 200


def _granted(root):
    return [name for name in root["objects"] if name.startswith("todo")]


async def test_a_caller_who_may_send_has_nothing_learned(http):
    known = len((await http.ask("GET", "/missions?limit=200")).json["missions"])
    for path, body in (
        ("/message", {"method_name": "slow_one"}),
        ("/objects/genesis_obj/slow_one", {}),
        ("/verbs/send", {"target": "genesis_obj", "selector": "slow_one"}),
        ("/verbs/send", {"target": "genesis_obj", "selector": "slow_one", "body": {"fresh": True}}),
        ("/verbs/brief", {"target": "genesis_obj", "selector": "slow_one"}),
        ("/verbs/send", {"target": "orchestrator_obj", "selector": "start_cognitive_cycle_for_",
                         "args": [{"selector": "slow_one"}, "genesis_obj"]}),
    ):  # fmt: skip
        answer = await http.ask("POST", path, body, scope="send")
        assert (answer.status, answer.json["code"]) == (403, "UNAUTHORIZED"), (path, answer)
    for text in ("genesis_obj.slow_one()", "learn to frob a number, e.g. 4 gives 11"):
        said = await say(http, text, "send")
        assert said["kind"] == "unable", said
        assert not said["learned"]
    fresh = await say(http, "double the number 4", "send", fresh=True)
    assert fresh["kind"] == "unable"
    assert len((await http.ask("GET", "/missions?limit=200")).json["missions"]) == known
    learned = await http.ask("POST", "/objects/genesis_obj/slow_one", {}, scope="learn")
    assert learned.json["result"] == 1
    again = await http.ask("POST", "/message", {"method_name": "slow_one"}, scope="send")
    assert (again.status, again.json["result"]) == (200, 1)


@pytest.mark.parametrize(
    ("selector", "args"),
    [("setSlot", ["a", 1]), ("removeSlot", ["about"]), ("clone", ["twin_obj"]),
     ("rename", ["x_obj"]), ("addParent", ["robin_obj"]), ("delete", [True])],
)  # fmt: skip
async def test_a_caller_who_may_learn_changes_no_object_by_hand(http, selector, args):
    sent = await http.ask("POST", f"/objects/genesis_obj/{selector}", {"args": args}, scope="learn")
    assert sent.status == 403
    said = await say(http, f"genesis_obj.{selector}({', '.join(map(repr, args))})", "learn")
    assert said["kind"] == "unable"


async def test_conversations_of_two_callers_do_not_meet(http):
    await say(http, "genesis_obj.getSlot('about')", "learn")
    other = await say(http, "again", "teach")
    assert other["kind"] != "computed"


async def test_who_asks_without_a_form_of_its_own_is_the_token(http):
    put = await http.ask("PUT", "/objects/genesis_obj/slots/by", {"value": 1},
                         headers={"if-match": "*"})  # fmt: skip
    assert put.status == 200
    moments = (await http.ask("GET", "/moments?limit=5")).json["moments"]
    assert "http:a-own" in [row["by"] for row in moments]
    raw = [*JSON.items(), *http.token().items()]
    forged = await http.rude("POST", "/verbs/list", {"by": "", "may": "person"}, raw)
    assert forged.status == 422
