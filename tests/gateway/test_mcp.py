"""The MCP server, as the SDK's own client sees it: both eras over HTTP, and standard input."""

import asyncio
import json
import random
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from bat_os.app.library import load_library
from bat_os.cli.show.hosts import write_for
from bat_os.core.scopes import PERSON, covers
from bat_os.core.verbs import SCOPE_OF
from bat_os.gateway.mcp.server import MAX_PER_TOKEN
from bat_os.gateway.mcp.toolbox import _VERBS, GENERAL, MAX_NAME, MAX_TEXT, clean, name_of
from tests.gateway.test_consent import AGREED, SAID, furnish, held
from tests.node import node_program

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROOT = Path(__file__).parents[2]
ERAS = ("auto", "legacy")
LITRES = '''def litres(self, plants: int, heat: float = 20.0) -> float:
    """Water for plants."""
    return plants * heat / 10
'''
WATER = '''def water(self, litres):
    """Water the plants."""
    self.given = getattr(self, "given", 0) + litres
    self._p_changed = True
    return self.given
'''


@pytest_asyncio.fixture(autouse=True, scope="module", loop_scope="module")
async def _library(http):
    await load_library(http.kernel.mind)
    for source in (LITRES, WATER):
        await teach(http, "genesis_obj", source)


async def teach(http, target, source, **body):
    made = await http.ask(
        "POST", "/verbs/teach", {"target": target, "body": {"source": source, **body}}
    )
    assert made.status == 200, made
    return made.json


@asynccontextmanager
async def host(http, scope="own", **more):
    headers = http.token(scope)
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as client,
        Client(streamable_http_client(f"http://{http.me}/mcp", http_client=client), **more) as made,
    ):
        yield made


async def tools_of(client):
    return {tool.name: tool for tool in (await client.list_tools()).tools}


@pytest.mark.parametrize("mode", ERAS)
async def test_a_method_is_a_tool(http, mode):
    async with host(http, mode=mode) as client:
        assert client.server_capabilities.tools.list_changed
        tools = await tools_of(client)
        litres = tools["genesis_obj__litres"]
        assert litres.description == "Water for plants. [genesis_obj, taught, version 1]"
        assert litres.input_schema["properties"] == {
            "plants": {"type": "integer"}, "heat": {"type": "number", "default": 20.0}
        }  # fmt: skip
        assert litres.input_schema["required"] == ["plants"]
        assert litres.annotations.read_only_hint
        assert not tools["genesis_obj__water"].annotations.read_only_hint
        assert tools["genesis_obj__water"].annotations.destructive_hint
        called = await client.call_tool("genesis_obj__litres", {"plants": 18, "heat": 27.0})
        assert called.structured_content == {"result": 48.6}
        wrong = await client.call_tool("genesis_obj__litres", {"heat": 27.0})
        assert wrong.is_error
        assert json.loads(wrong.content[0].text)["code"] == "INVALID_ARGS"
        with pytest.raises(MCPError, match="no tool 'nobody__knows'"):
            await client.call_tool("nobody__knows", {})


async def test_a_listening_host_hears_of_a_new_tool(http):
    async with host(http) as client, client.listen(tools_list_changed=True) as changes:
        await tools_of(client)
        await teach(http, "genesis_obj", "def treble(self, x: int) -> int:\n    return 3 * x\n")
        async with asyncio.timeout(60):
            await anext(aiter(changes))
        called = await client.call_tool("genesis_obj__treble", {"x": 5})
        assert called.structured_content == {"result": 15}


async def test_a_host_of_the_old_era_hears_of_it_too(http):
    heard = asyncio.Event()

    async def hear(message):
        if "ToolListChanged" in type(getattr(message, "root", message)).__name__:
            heard.set()

    async with host(http, mode="legacy", message_handler=hear) as client:
        before = await tools_of(client)
        gone = {"object": "genesis_obj", "selector": "old_era"}
        await teach(http, "genesis_obj", "def old_era(self, x):\n    return x\n")
        async with asyncio.timeout(60):
            await heard.wait()
        assert {*await tools_of(client)} - {*before} == {"genesis_obj__old_era"}
        assert not (await client.call_tool("unlearn", gone)).is_error
        assert "genesis_obj__old_era" not in await tools_of(client)


async def test_ask_answers_and_goes_on_with_the_talk(http):
    async with host(http) as client:
        told = await client.call_tool("ask", {"sentence": "what is 17% of 340"})
        assert told.structured_content["value"] == 57.8
        told = await client.call_tool("ask", {"sentence": "and of 80?"})
        assert told.content[0].text == "13.6"
        other = {"sentence": "and of 80?", "conversation": "another"}
        assert (await client.call_tool("ask", other)).content[0].text != "13.6"


async def test_ask_tells_how_far_a_mission_is(http):
    heard = []

    async def hear(progress, total, message):
        heard.append((progress, total, message))

    async with host(http) as client:
        told = await client.call_tool("ask", {"sentence": "double(21)"}, progress_callback=hear)
    assert told.structured_content["value"] == 42
    assert any(message.startswith("validating") for _, _, message in heard)


async def test_a_mission_that_takes_long_is_looked_at_later(http, monkeypatch):
    monkeypatch.setattr("bat_os.gateway.mcp.toolbox.PATIENCE", 0.5)
    http.kernel.gate.clear()
    try:
        async with host(http) as client:
            told = (await client.call_tool("ask", {"sentence": "slow_one()"})).structured_content
            assert told["kind"] == "running"
            http.kernel.gate.set()
            await http.until_done(f"/missions/{told['brief_id']}")
            ended = await client.call_tool("mission", {"brief_id": told["brief_id"]})
        assert ended.structured_content["state"] == "complete"
    finally:
        http.kernel.gate.set()


async def test_the_same_method_of_clones_is_one_tool(http):
    await teach(http, "genesis_obj", "def grow(self, days):\n    return days + 1\n")
    clone = {"target": "genesis_obj", "selector": "clone", "args": ["twin_obj"]}
    assert (await http.ask("POST", "/verbs/send", clone)).status == 200
    async with host(http) as client:
        tools = await tools_of(client)
        assert [name for name in tools if name.endswith("__grow")] == ["genesis_obj__grow"]
        which = tools["genesis_obj__grow"].input_schema["properties"]["object"]
        assert {"genesis_obj", "twin_obj"} <= {*which["enum"]}
        for given in ({"days": 2}, {"days": 2, "object": "twin_obj"}):
            called = await client.call_tool("genesis_obj__grow", given)
            assert called.structured_content == {"result": 3}
        wrong = await client.call_tool("genesis_obj__grow", {"days": 2, "object": "robin_obj"})
        assert wrong.is_error
    deleted = {"target": "twin_obj", "body": {"force": True}}
    await http.ask("POST", "/verbs/delete", deleted)


async def test_a_scope_shows_its_tools_only(http):
    names = {}
    for scope in ("read", "send", "teach"):
        async with host(http, scope) as client:
            names[scope] = {*await tools_of(client)}
            if scope != "teach":
                with pytest.raises(MCPError):
                    await client.call_tool("teach", {"object": "genesis_obj", "source": LITRES})
    assert names["read"] == {"find", "why", "search", "mission"}
    assert {"ask", "genesis_obj__litres"} <= names["send"]
    assert names["teach"] - names["send"] == {"teach", "unlearn"}


async def test_objects_and_documents_are_resources(http):
    document = {"body": {"title": "Minutes", "text": "The regatta is in May. " * 3}}
    learned = await http.ask("POST", "/verbs/learn", document)
    assert learned.status == 200, learned
    async with host(http) as client:
        found = {str(one.uri): one for one in (await client.list_resources()).resources}
        read = await client.read_resource("batos://objects/genesis_obj")
        assert json.loads(read.contents[0].text)["name"] == "genesis_obj"
        (kept,) = [uri for uri, one in found.items() if one.name == "Minutes"]
        read = await client.read_resource(kept)
        assert "regatta" in read.contents[0].text
        assert len((await client.list_resource_templates()).resource_templates) == 2
        for unknown in ("batos://objects/nobody_obj", "batos://documents/0", "file:///etc/passwd"):
            with pytest.raises(MCPError):
                await client.read_resource(unknown)


async def test_personas_are_prompts(http):
    async with host(http) as client:
        assert {one.name for one in (await client.list_prompts()).prompts} >= {"robin", "question"}
        told = await client.get_prompt("brick", {"question": "How?"})
        assert told.messages[0].content.text.startswith("You are BRICK")
        assert told.messages[0].content.text.endswith("How?")


async def test_who_may_not_come_in_does_not(http):
    raw = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")]
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    assert (await http.rude("POST", "/mcp", asked, raw)).status == 401
    strange = [*raw, *http.token().items(), ("origin", "https://example.org")]
    assert (await http.rude("POST", "/mcp", asked, strange)).status == 403


async def test_a_session_belongs_to_the_token_that_began_it(http):
    raw = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")]
    about = {"protocolVersion": "2025-11-25", "capabilities": {},
             "clientInfo": {"name": "t", "version": "1"}}  # fmt: skip
    begin = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": about}
    began = await http.rude("POST", "/mcp", begin, [*raw, *http.token("own").items()])
    named = ("mcp-session-id", began.headers["mcp-session-id"])
    asked = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
    other = await http.rude("POST", "/mcp", asked, [*raw, named, *http.token("send").items()])
    assert other.status == 404


async def test_a_token_has_so_many_sessions_and_a_new_one_ends_the_oldest(http):
    raw = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")]
    about = {"protocolVersion": "2025-11-25", "capabilities": {},
             "clientInfo": {"name": "t", "version": "1"}}  # fmt: skip
    begin = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": about}
    asked = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}

    async def began(scope):
        answer = await http.rude("POST", "/mcp", begin, [*raw, *http.token(scope).items()])
        return ("mcp-session-id", answer.headers["mcp-session-id"])

    async def lives(session, scope):
        headers = [*raw, session, *http.token(scope).items()]
        return (await http.rude("POST", "/mcp", asked, headers)).status != 404

    other = await began("learn")
    first, second = await began("send"), await began("send")
    for _ in range(MAX_PER_TOKEN - 2):
        await began("send")
    assert await lives(first, "send")
    await began("send")
    assert await lives(first, "send"), "it was used"
    assert not await lives(second, "send")
    assert await lives(other, "learn"), "each token has its own"


async def test_no_tool_stands_for_what_only_the_owner_may():
    """Whatever verb a tool asks for, its scope covers it; none needs the owner."""
    for tool in GENERAL:
        verb = "say" if tool.name == "ask" else _VERBS[tool.name][0]
        assert SCOPE_OF[verb] != PERSON
        assert covers(tool.scope, SCOPE_OF[verb]), tool.name


async def test_no_yes_of_a_host_is_consent(http, tmp_path):
    names = await furnish(http, tmp_path)
    draw, before = random.Random(11), await held(http)  # noqa: S311 - no secret
    async with host(http, "own") as client:
        for _ in range(30):
            for words in (draw.choice(SAID).format(**names), draw.choice(AGREED)):
                told = await client.call_tool("ask", {"sentence": words})
                if (told.structured_content or {}).get("needs") == "grant":
                    assert "batos ask " in told.content[0].text
        for selector in ("forget", "grant"):
            sent = {"object": "knowledge_catalog_obj", "selector": selector, "args": ["x"]}
            assert (await client.call_tool("send", sent)).is_error
    assert await held(http) == before
    assert (tmp_path / "todo.md").read_text() == "call Ann\n"


@pytest.mark.parametrize("mode", ERAS)
async def test_a_host_starts_it_itself(http, mode):
    words = [
        "-W",
        "ignore",
        str(ROOT / "batos.py"),
        "mcp",
        "--home",
        str(http.home),
        "--may",
        "teach",
    ]
    started = StdioServerParameters(command=sys.executable, args=words)
    async with Client(started, mode=mode) as client:
        assert {"ask", "teach", "genesis_obj__litres"} <= {*await tools_of(client)}
        called = await client.call_tool("genesis_obj__litres", {"plants": 2})
        assert called.structured_content == {"result": 4.0}
        told = await client.call_tool("ask", {"sentence": "what is 17% of 340"})
        assert told.content[0].text == "57.8"


@pytest.mark.parametrize("by", ["http", "stdio"])
async def test_the_inspector_of_npm_lists_and_calls(http, by):
    if by == "http":
        authorization = http.token()["authorization"]
        words = [f"http://{http.me}/mcp", "--transport", "http"]
        words += ["--header", f"Authorization: {authorization}"]
    else:
        words = [sys.executable, "-W", "ignore", str(ROOT / "batos.py"), "mcp"]
        words += [f"--home={http.home}", "--may=teach"]
    listed = await inspect(*words, "--method", "tools/list")
    assert {"ask", "genesis_obj__litres"} <= {tool["name"] for tool in listed["tools"]}
    called = await inspect(*words, "--method", "tools/call", "--tool-name", "genesis_obj__litres",
                           "--tool-arg", "plants=2")  # fmt: skip
    assert called["structuredContent"] == {"result": 4.0}
    found = await inspect(*words, "--method", "resources/list")
    assert "batos://objects/genesis_obj" in {one["uri"] for one in found["resources"]}


async def inspect(*words):
    """Return what the command line of the MCP project's inspector says."""
    program = node_program("@modelcontextprotocol/inspector", "cli", "build", "cli.js")
    command = [*program, "--cli", *words]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return json.loads(out)


@pytest.mark.parametrize("name", ["claude", "claude-code", "cursor", "vscode", "http"])
async def test_a_host_is_told_how_to_start_it(tmp_path, name):
    text = write_for(name, tmp_path, "learn")
    if name == "claude-code":
        assert text.startswith("claude mcp add batos -- ")
        return
    (servers,) = json.loads(text).values()
    if name == "http":
        assert servers["batos"]["url"].endswith("/mcp")
        return
    asked = [servers["batos"]["command"], *servers["batos"]["args"], "--print", "http"]
    shown = await asyncio.create_subprocess_exec(*asked, stdout=asyncio.subprocess.PIPE)
    assert b"Bearer TOKEN" in (await shown.communicate())[0]


async def test_names_and_texts_are_what_every_host_takes():
    assert name_of("a_obj", "b") == "a_obj__b"
    for target, selector in (("größe", "x"), ("o" * 200, "s" * 60), ("a b", "c")):
        name = name_of(target, selector)
        assert len(name) <= MAX_NAME
        assert name.isascii()
        assert name.replace("_", "").replace("-", "").isalnum()
    assert name_of("a b", "c") != name_of("a_b", "c")
    assert clean("a\x1b[2J\n\u202eb") == "a [2J b"
    assert len(clean("x" * 900)) == MAX_TEXT
    assert clean("x" * MAX_TEXT) == "x" * MAX_TEXT
