"""The OpenAI interface, as the clients that people use speak it."""

import asyncio
import os
import random
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import openai
import pytest
import pytest_asyncio

from bat_os.app.library import load_library
from tests.gateway.test_consent import AGREED, SAID, furnish, held

pytestmark = pytest.mark.asyncio(loop_scope="module")
PROMPTS = Path(__file__).parent / "prompts"


@pytest_asyncio.fixture(autouse=True, scope="module", loop_scope="module")
async def _library(http):
    await load_library(http.kernel.mind)


@asynccontextmanager
async def client_of(http, scope="teach", **more):
    token = http.token(scope)["authorization"].removeprefix("Bearer ")
    base = f"http://{http.me}/v1"
    async with openai.AsyncOpenAI(base_url=base, api_key=token, **more) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(http):
    async with client_of(http) as made:
        yield made


def user(text):
    return [{"role": "user", "content": text}]


async def missions(http):
    return len((await http.ask("GET", "/missions?limit=200")).json["missions"])


async def chat(client, text, model="batos", **more):
    """Return the whole of a streamed answer: its texts by field, and the last chunks."""
    told, chunks = {"content": "", "reasoning_content": ""}, []
    stream = await client.chat.completions.create(
        model=model, messages=user(text), stream=True, **more
    )
    async for chunk in stream:
        chunks.append(chunk)
        for choice in chunk.choices:
            for name, value in choice.delta.model_dump(exclude_none=True).items():
                told[name] = told.get(name, "") + value
    return told, chunks


async def test_models_are_listed_and_looked_up(client):
    names = [model.id async for model in client.models.list()]
    assert names[:2] == ["batos", "batos-known"]
    assert {"robin", "brick", "alfred", "babs", "all-minilm-l6-v2"} <= {*names}
    assert (await client.models.retrieve("batos/genesis_obj")).id == "batos/genesis_obj"
    for unknown in ("gpt-4o", "batos/nobody_obj"):
        with pytest.raises(openai.NotFoundError) as raised:
            await client.models.retrieve(unknown)
        assert raised.value.code == "NOT_FOUND"


async def test_a_known_skill_answers_and_no_model_is_counted(client):
    done = await client.chat.completions.create(model="batos", messages=user("what is 17% of 340"))
    assert done.choices[0].message.content == "57.8"
    assert done.choices[0].finish_reason == "stop"
    assert done.usage.total_tokens == 0
    assert done.model_extra["batos"]["reading"] == "percent_of(17, 340)"


async def test_the_next_message_goes_on_with_the_talk(client):
    messages = user("what is 17% of 340")
    for asked, answer in (("and of 80?", "13.6"), ("and of 100?", "17")):
        done = await client.chat.completions.create(model="batos", messages=messages)
        messages.append({"role": "assistant", "content": done.choices[0].message.content})
        messages += user(asked)
        done = await client.chat.completions.create(model="batos", messages=messages)
        assert done.choices[0].message.content == answer
    other = await client.chat.completions.create(model="batos", messages=user("and of 80?"))
    assert other.choices[0].message.content != "13.6"


async def test_a_stream_tells_what_is_learned_and_what_it_took(client):
    told, chunks = await chat(client, "double(21)", stream_options={"include_usage": True})
    assert told["content"].startswith("I think 42.")
    assert "synthesizing: " in told["reasoning_content"]
    assert "return number * 2" in told["reasoning_content"]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-2].model_extra["batos"]["learned"] is True
    assert (chunks[-1].choices, chunks[-1].usage.completion_tokens) == ([], 0)
    assert all(chunk.usage is None for chunk in chunks[:-1])


async def test_a_persona_answers_as_its_model_does(client):
    told, chunks = await chat(client, "how are you?", "robin")
    assert told["content"] == " pass"
    facts = chunks[-1].model_extra["batos"]
    assert (facts["kind"], facts["model_calls"]) == ("said", 1)
    done = await client.chat.completions.create(
        model="robin", messages=user("how are you?"), stop=["as", "x"]
    )
    assert done.choices[0].message.content == " p"
    assert done.usage.completion_tokens > 0
    stopped, _ = await chat(client, "how are you?", "robin", stop="as")
    assert stopped["content"] == " p"


@pytest.mark.parametrize("name", sorted(path.name for path in PROMPTS.iterdir()))
async def test_what_a_program_asks_by_itself_is_no_mission(http, client, name):
    before = await missions(http)
    told, chunks = await chat(client, (PROMPTS / name).read_text())
    assert (told["content"], chunks[-1].model_extra["batos"]["kind"]) == (" pass", "said")
    assert await missions(http) == before


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
        {"response_format": {"type": "json_object"}},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": {"type": "string"}},
            }
        },
    ],
)
async def test_a_request_for_a_form_is_no_wish(http, client, more):
    before = await missions(http)
    done = await client.chat.completions.create(
        model="batos", messages=user("frob the number 4, e.g. 1 gives 7"), **more
    )
    # What a script answers to a schema: it got there.
    answer = '{"queries": ["how to write a method"]}' if "response_format" in more else " pass"
    assert (done.choices[0].message.content, done.choices[0].message.tool_calls) == (answer, None)
    assert await missions(http) == before


async def test_a_key_is_answered_once(http, client):
    before = await missions(http)
    key = {"Idempotency-Key": "milk"}
    for _ in range(2):
        done = await client.chat.completions.create(
            model="batos", messages=user("remember('milk')"), extra_headers=key
        )
        assert done.choices[0].message.content.startswith("I think milk.")
    assert await missions(http) == before + 1


async def test_nothing_is_learned_where_that_is_not_wanted(http):
    before = await missions(http)
    async with client_of(http, "send") as sending, client_of(http) as teaching:
        for client, model in ((sending, "batos"), (teaching, "batos-known")):
            done = await client.chat.completions.create(model=model, messages=user("give_seven()"))
            assert done.model_extra["batos"]["kind"] == "unable"
    assert await missions(http) == before
    async with client_of(http, "read", max_retries=0) as reading:
        assert [model.id async for model in reading.models.list()]
        with pytest.raises(openai.PermissionDeniedError):
            await reading.chat.completions.create(model="batos", messages=user("hello"))


async def test_an_object_answers_under_its_own_name(http, client):
    made = {"target": "genesis_obj", "selector": "derive", "args": ["pot_obj"]}
    assert (await http.ask("POST", "/verbs/send", made)).status == 200
    source = "def litres(self, plants):\n    '''Water for plants.'''\n    return plants * 3\n"
    taught = await http.ask(
        "POST", "/verbs/teach", {"target": "pot_obj", "body": {"source": source}}
    )
    assert taught.status == 200, taught
    told, _ = await chat(client, "litres(4)", "batos/pot_obj")
    assert told["content"] == "12"
    told, _ = await chat(client, "never_before(4)", "batos/pot_obj")
    newest = (await http.ask("GET", "/missions?limit=1")).json["missions"][0]
    assert newest["target"] == "pot_obj"
    assert "batos/pot_obj" in [model.id async for model in client.models.list()]


def formed(schema):
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


async def test_errors_have_the_form_that_clients_read(http, client):
    async with client_of(http, max_retries=0) as strange:
        strange.api_key = "wrong"
        with pytest.raises(openai.AuthenticationError) as refused:
            await strange.models.list()
        assert refused.value.body["type"] == "authentication_error"
    for wrong in (
        {"messages": []}, {"messages": user("hi"), "n": 2}, {"messages": [{"content": "hi"}]},
        {"messages": user([{"type": "image_url", "image_url": {"url": "http://a/b"}}])},
        {"messages": user("  ")}, {"messages": user("hi"), "temperature": "hot"},
        {"messages": user("hi"), "response_format": {"type": "yaml"}},
        {"messages": user("hi"), "response_format": {"type": "json_schema"}},
        {"messages": user("hi"), "response_format": formed({"type": "nonsense"})},
        {"messages": user("hi"), "response_format": formed({"enum": ["x" * 10_000]})},
    ):  # fmt: skip
        with pytest.raises(openai.BadRequestError) as bad:
            await client.chat.completions.create(model="batos", **wrong)
        assert bad.value.code == "INVALID_ARGS"
        assert bad.value.response.headers["x-should-retry"] == "false"
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.create(model="batos/nobody_obj", messages=user("hi"))
    with pytest.raises(openai.APIError) as late:  # the status was sent
        await chat(client, "hello", "robin", temperature=9)
    assert late.value.code == "INVALID_ARGS"


async def test_texts_become_vectors(client):
    made = await client.embeddings.create(
        model="all-minilm-l6-v2", input=["water the garden", "tax law"]
    )
    plain = await client.embeddings.create(
        model="all-minilm-l6-v2", input="tax law", encoding_format="float"
    )
    assert made.data[1].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6)
    assert made.usage.prompt_tokens == 5
    many = await client.embeddings.create(model="all-minilm-l6-v2", input=["a", "b"] * 150)
    assert [each.index for each in many.data] == [*range(300)]
    for wrong in ([1, 2, 3], [[1, 2]], [], "", ["a", 1]):
        with pytest.raises(openai.BadRequestError):
            await client.embeddings.create(model="all-minilm-l6-v2", input=wrong)


async def test_no_yes_of_a_chat_is_consent(http, tmp_path):
    """Grants, flows and facts stay as they are, whatever is said in whatever order."""
    names = await furnish(http, tmp_path)
    draw, before = random.Random(7), await held(http)  # noqa: S311 - no secret
    async with client_of(http, "own") as client:
        messages = []
        for _ in range(40):
            for words in (draw.choice(SAID).format(**names), draw.choice(AGREED)):
                messages += user(words)
                done = await client.chat.completions.create(model="batos", messages=messages)
                text = done.choices[0].message.content
                messages.append({"role": "assistant", "content": text})
                if done.model_extra["batos"].get("needs") == "grant":
                    assert "batos ask " in text
    assert await held(http) == before
    assert (tmp_path / "todo.md").read_text() == "call Ann\n"


async def run(http, *words, **environ):
    """Run a program of others against the gateway; return what it says."""
    token = http.token("teach")["authorization"].removeprefix("Bearer ")
    known = {"OPENAI_API_KEY": token, "OPENAI_BASE_URL": f"http://{http.me}/v1", "NO_COLOR": "1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "ignore", *words, env={**os.environ, **known, **environ},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode().strip()


async def test_llm_talks_to_the_mind(http, tmp_path):
    (tmp_path / "extra-openai-models.yaml").write_text(
        f"- {{model_id: batos, model_name: batos, api_base: 'http://{http.me}/v1',"
        " api_key_name: batos}\n"
    )
    token = http.token("teach")["authorization"].removeprefix("Bearer ")
    own = {"LLM_USER_PATH": str(tmp_path), "LLM_LOAD_PLUGINS": ""}
    await run(http, "-m", "llm", "keys", "set", "batos", "--value", token, **own)
    said = await run(http, "-m", "llm", "-m", "batos", "what is 17% of 340", **own)
    assert said == "57.8"


async def test_langchain_talks_to_the_mind(http):
    said = await run(http, "-c", LANGCHAIN)
    assert said.splitlines() == ["57.8", "57.8", "384"]


LANGCHAIN = """
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
model = ChatOpenAI(model="batos")
print(model.invoke("what is 17% of 340").content)
print("".join(piece.content for piece in model.stream("what is 17% of 340")))
of = OpenAIEmbeddings(model="all-minilm-l6-v2", check_embedding_ctx_length=False)
print(len(of.embed_query("tax law")))
"""


async def test_litellm_talks_to_the_mind(http):
    pytest.importorskip("litellm", reason="its wheel has 41 MB; pip install litellm==1.83.0")
    said = await run(http, "-c", LITELLM, LITELLM_LOCAL_MODEL_COST_MAP="True")
    assert said.splitlines()[-2:] == ["57.8", "57.8"]


LITELLM = """
import litellm
asked = dict(model="openai/batos", messages=[{"role": "user", "content": "what is 17% of 340"}])
print(litellm.completion(**asked).choices[0].message.content)
parts = litellm.completion(stream=True, **asked)
print("".join(part.choices[0].delta.content or "" for part in parts))
"""
