"""bat_os.models.servers: what servers say that they have, and which of it can write code."""

import pytest

from bat_os.errors import SettingsError
from bat_os.models.servers import (
    CHATTER,
    CODER,
    OLLAMA_CONTEXT,
    THINKER,
    UNKNOWN,
    Candidate,
    rank,
    read_ollama,
    read_ollama_model,
    read_openai,
    read_props,
    read_reply,
    sort_candidates,
)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("qwen2.5-coder:7b", CODER),
        ("codellama/CodeLlama-7b-Instruct-hf", CODER),
        ("codestral:22b", CODER),
        ("devstral:latest", CODER),
        ("deepseek-coder-v2:16b-lite-instruct-q4_K_M", CODER),
        ("Qwen3-4B-Instruct-2507-Q4_K_M", CHATTER),
        ("llama3.2:1b", CHATTER),
        ("gemma3:4b", CHATTER),
        ("mistral-nemo", CHATTER),
        ("phi-4", CHATTER),
        ("granite3.3:8b", CHATTER),
        ("deepseek-r1:8b", THINKER),
        ("gpt-oss:20b", THINKER),
        ("qwen3-4b-thinking-2507", THINKER),
        ("nomic-embed-text:latest", None),
        ("text-embedding-bge-m3", None),
        ("Qwen3-Embedding-4B", None),
        ("Qwen3-Reranker-4B", None),
        ("whisper-large-v3", None),
        ("stable-diffusion-3", None),
        ("llama-guard3:8b", None),
        ("qwen2.5:0.5b", None),
        ("smollm2:135m", None),
        ("SmolLM2-360M-Instruct", None),
        ("qwen3-coder:480b-cloud", None),
        ("gpt-oss:120b-cloud", None),
        ("something-nobody-knows", None),
    ],
)
def test_a_name_shows_whether_a_model_writes_code(name, place):
    assert rank(name) == place


def test_what_a_server_says_counts_more_than_a_name():
    assert rank("my-own-model", can=["completion", "tools"]) == UNKNOWN
    assert rank("qwen3:8b", can=["completion", "thinking"]) == THINKER
    assert rank("qwen-for-search", can=["embedding"]) is None


def test_the_first_that_writes_code_is_first_and_thinkers_are_last():
    names = ["nomic-embed-text", "deepseek-r1:8b", "llama3.1:8b", "qwen2.5-coder:7b", "gemma3:4b"]
    found = [Candidate(name) for name in names]

    assert [one.name for one in sort_candidates(found)] == [
        "qwen2.5-coder:7b", "llama3.1:8b", "gemma3:4b", "deepseek-r1:8b",
    ]  # fmt: skip
    assert [one.name for one in sort_candidates(found, "nomic-embed-text")] == ["nomic-embed-text"]
    assert sort_candidates(found, "no such") == []
    assert sort_candidates([Candidate("llama3.1:8b", context=512)]) == []


def test_ollamas_models_that_run_elsewhere_are_left_out():
    reply = {
        "models": [
            {"name": "llama3.1:8b", "size": 4_000_000_000, "details": {"parameter_size": "8.0B"}},
            {"name": "tuned", "details": {"parameter_size": "494.03M", "family": "qwen2"}},
            {"name": "kimi-k2:1t", "remote_host": "https://ollama.com:443"},
            {"name": "a\nb"},
            {"name": "x" * 300},
        ]
    }
    assert [(one.name, one.rank) for one in read_ollama(reply)] == [
        ("llama3.1:8b", CHATTER),
        ("tuned", None),
    ]


@pytest.mark.parametrize(
    ("parameters", "setting", "context"),
    [
        ("temperature 0.7\nnum_ctx                        16384\nstop x", 0, 16384),
        ("num_ctx 999999", 0, 32768),
        ("", 0, OLLAMA_CONTEXT),
        ("", 8192, 8192),
    ],
)
def test_ollama_runs_a_model_with_less_context_than_it_could_have(parameters, setting, context):
    shown = {
        "capabilities": ["completion", "insert"],
        "model_info": {"qwen2.context_length": 32768, "general.license": "apache-2.0", "x": None},
        "parameters": parameters,
        "license": "Apache License\nVersion 2.0",
    }
    told = read_ollama_model(Candidate("qwen2.5-coder:7b"), shown, setting)

    assert (told.context, told.licence, told.rank) == (context, "apache-2.0", CODER)
    bare = read_ollama_model(Candidate("x"), {"license": "  MIT Licence\nPermission"})
    assert bare.licence == "MIT Licence"


def test_each_server_says_in_its_own_field_what_context_it_runs():
    assert read_openai({"data": [{"id": "m", "root": "org/Llama", "max_model_len": 8192}]}) == [
        Candidate("m", "org/Llama", (), 8192)
    ]
    studio = {"id": "m", "type": "llm", "max_context_length": 99_000, "loaded_context_length": 4096}
    assert read_openai({"data": [studio, {"id": "e", "type": "embeddings"}]}) == [
        Candidate("m", "", ("llm",), 4096),
        Candidate("e", "", ("embeddings",)),
    ]
    [one] = read_openai({"data": [{"id": "local", "meta": {"n_params": 134_000_000}}]})
    assert one.rank is None
    props = {"default_generation_settings": {"n_ctx": 2560}, "model_path": r"C:\m\qwen3-4b.gguf"}
    told = read_props(Candidate("local"), props)
    assert (told.context, told.rank) == (2560, CHATTER)


@pytest.mark.parametrize(
    "reply",
    [None, [], {}, {"data": 1}, {"data": [{"id": 7}]}, {"data": [{"id": "m", "type": 5}]},
     {"data": [{"id": "m", "max_model_len": -1}]}],
)  # fmt: skip
def test_a_reply_that_is_something_else_is_refused(reply):
    with pytest.raises(SettingsError):
        read_openai(reply)


def test_a_reply_that_is_no_json_is_refused():
    with pytest.raises(SettingsError):
        read_reply(b"<html>")
    with pytest.raises(SettingsError):
        read_ollama({"models": [{"model": "no name"}]})
