"""One key through all doors, and a kernel that is killed while clients wait at each of them."""

import asyncio
import signal
from types import SimpleNamespace

import httpx2
import openai
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from bat_os.app.library import load_library
from bat_os.supervisor.home import Home
from tests.gateway.conftest import opened
from tests.gateway.test_streams import Events
from tests.kernels import KernelProcess, ThinkingKernel, write_script

pytestmark = pytest.mark.asyncio
# At which transition the kernel dies, and the method that is being learned then.
METHODS = {
    "decomposing": "give_one",
    "delegating": "give_two",
    "synthesizing": "give_three",
    "validating": "give_four",
    "complete": "give_five",
}


class LaterError(Exception):
    """What a client got that may ask again."""


async def by_zeromq(http, name):
    async with http.kernel.client() as client:
        # This machine's owner can name the key of anybody.
        told = await client.request(
            "say", timeout=60, ik=f"http:a-own:{name}", body={"text": f"{name}()"}
        )
    return told["value"]


async def by_http(http, name):
    body, key = {"body": {"text": f"{name}()"}}, {"idempotency-key": name}
    answer = await http.ask("POST", "/verbs/say", body, headers=key)
    if answer.status == 503:
        assert answer.json["retryable"]
        raise LaterError
    assert answer.status == 200, answer
    return answer.json["value"]


async def by_openai(http, name):
    token = http.token()["authorization"].removeprefix("Bearer ")
    base = f"http://{http.me}/v1"
    async with openai.AsyncOpenAI(base_url=base, api_key=token, max_retries=0) as client:
        asked, key = [{"role": "user", "content": f"{name}()"}], {"idempotency-key": name}
        try:
            done = await client.chat.completions.create(
                model="batos", messages=asked, extra_headers=key
            )
        except openai.InternalServerError as error:
            if error.status_code != 503:
                raise
            raise LaterError from error
    return 7 if done.choices[0].message.content.startswith("I think 7.") else None


async def by_mcp(http, name):
    headers = http.token() | {"idempotency-key": name}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as client,
        Client(streamable_http_client(f"http://{http.me}/mcp", http_client=client)) as host,
    ):
        told = await host.call_tool("ask", {"sentence": f"{name}()"})
    if told.is_error:
        assert '"retryable":true' in told.content[0].text.replace(" ", "")
        raise LaterError
    return told.structured_content["value"]


DOORS = (by_zeromq, by_http, by_openai, by_mcp)


async def stored(http, name):
    """Return how many missions there are, and versions of the method."""
    missions = (await http.ask("GET", "/missions?limit=200")).json["missions"]
    body = {"target": "genesis_obj", "selector": name}
    versions = (await http.ask("POST", "/verbs/versions", body)).json["versions"]
    return len(missions), len(versions)


async def test_one_key_through_all_doors_is_one_mission(tmp_path):
    async with ThinkingKernel(tmp_path / "home") as kernel, opened(kernel) as http:
        await load_library(kernel.mind)
        asking = [asyncio.create_task(door(http, "give_seven")) for door in DOORS]
        await asyncio.sleep(0.2)
        kernel.gate.set()
        assert await asyncio.gather(*asking) == [7] * 4
        assert [await door(http, "give_seven") for door in DOORS] == [7] * 4, "and afterwards"
        assert await stored(http, "give_seven") == (1, 1)


async def test_all_who_wait_get_the_one_answer_when_the_kernel_is_killed(tmp_path):
    answers = {f"def {name}(self": " return 7" for name in METHODS.values()}
    process = KernelProcess(tmp_path / "home", write_script(tmp_path / "script.jsonl", answers))
    kernel = SimpleNamespace(home=Home(process.home), client=process.client)
    try:
        process.start(tcp_port=-1)
        await process.until_ready()
        async with opened(kernel) as http:
            for count, (state, name) in enumerate(METHODS.items(), 1):
                process.kill()
                process.start(tcp_port=-1, failpoint=f"{state}:kill")
                await process.until_ready()
                events = await Events.open(http, "/events")
                asking = [asyncio.create_task(door(http, name)) for door in DOORS[1:]]
                assert await asyncio.to_thread(process.wait) == -signal.SIGKILL, state
                process.start(tcp_port=-1)
                await process.until_ready()
                told = await asyncio.gather(*asking, return_exceptions=True)
                assert all(one == 7 or type(one) is LaterError for one in told), (state, told)
                assert [await door(http, name) for door in DOORS] == [7] * 4, state
                assert await stored(http, name) == (count, 1), state
                await events.until("gap")
                events.close()
    finally:
        process.stop()


async def test_what_is_said_through_all_doors_with_one_key_is_done_once(tmp_path):
    said, key = "remind me tomorrow at 9 to call Ann", {"idempotency-key": "k"}
    async with ThinkingKernel(tmp_path / "home") as kernel, opened(kernel) as http:
        await load_library(kernel.mind)
        body = {"body": {"text": said}}
        first = await http.ask("POST", "/verbs/say", body, headers=key)
        assert "call Ann" in first.json["text"]
        again = await http.ask("POST", "/verbs/say", body, headers=key)
        assert again.raw == first.raw
        async with kernel.client() as client:
            assert await client.request("say", ik="http:a-own:k", **body) == first.json
        async with (
            httpx2.AsyncClient(headers=http.token() | key, timeout=60) as client,
            Client(streamable_http_client(f"http://{http.me}/mcp", http_client=client)) as host,
        ):
            told = (await host.call_tool("ask", {"sentence": said})).structured_content
        assert told["text"] == first.json["text"]
        assert len((await http.ask("POST", "/verbs/schedules", {})).json["schedules"]) == 1
