"""bat_os.app.discovery: servers on real sockets and files in real caches, sound and hostile."""

import os
import socket
import time
from contextlib import ExitStack

import pytest
from gguf import GGUFWriter

from bat_os.app import discovery
from bat_os.app.discovery import find_caches, find_files, find_servers, read_file, size_on_hub
from bat_os.core.schema import replace
from bat_os.errors import ModelError
from bat_os.models.machine import read_book
from bat_os.models.offers import FoundServer
from tests.model_servers import Hub, Listing, flood, make_ollama, serving, stall

CODER = {
    "capabilities": ["completion", "tools"],
    "model_info": {"qwen2.context_length": 32768, "general.license": "apache-2.0"},
    "parameters": "num_ctx 8192",
}
EMBEDDER = {"capabilities": ["embedding"]}


@pytest.fixture
def start():
    """Start servers that end with the test; return the port of each."""
    with ExitStack() as stack:
        yield lambda server: stack.enter_context(serving(server)).server_port


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def own(name, model, port, context=0, licence=""):
    return FoundServer(name, f"http://127.0.0.1:{port}/v1", model, context, licence)


async def test_each_server_is_asked_in_its_own_protocol_and_the_best_is_first(start):
    listed = {"data": [{"id": "bge-m3"}, {"id": "org/Llama-3.1-8B", "max_model_len": 8192}]}
    chatty = {"id": "gemma-3-4b", "type": "llm", "loaded_context_length": 4096}
    studio = {"data": [{"id": "e", "type": "embeddings"}, chatty]}
    props = {"default_generation_settings": {"n_ctx": 2560}, "model_path": "/m/qwen3-coder.gguf"}
    ports = {
        "ollama": start(make_ollama("nomic-embed-text", "deepseek-r1:8b")),
        "lm-studio": start(Listing({"/api/v0/models": studio})),
        "llama-server": start(Listing({"/v1/models": {"data": [{"id": "m"}]}, "/props": props})),
        "vllm": start(Listing({"/v1/models": listed})),
    }
    assert await find_servers({}, ports=ports) == [
        own("llama-server", "m", ports["llama-server"], 2560),
        own("lm-studio", "gemma-3-4b", ports["lm-studio"], 4096),
        own("vllm", "org/Llama-3.1-8B", ports["vllm"], 8192),
        own("ollama", "deepseek-r1:8b", ports["ollama"], 4096),
    ]


async def test_ollama_is_where_its_variable_says_and_names_its_first_coder(start):
    shown = {"qwen-search": EMBEDDER, "qwen2.5-coder:7b": CODER}
    server = make_ollama("qwen-search", "qwen2.5-coder:7b", "llama3.1:8b", shown=shown.items())
    port = start(server)
    environ = {"OLLAMA_HOST": f"0.0.0.0:{port}"}
    others = {"ollama": closed_port(), "vllm": closed_port()}

    assert await find_servers(environ, ports=others) == [
        own("ollama", "qwen2.5-coder:7b", port, 8192, "apache-2.0")
    ]
    assert [body for path, body in server.asked if body] == [{"model": "qwen2.5-coder:7b"}]
    [named] = await find_servers(environ, "llama3.1:8b", others)
    assert named.model == "llama3.1:8b"
    assert await find_servers(environ, "no-such-model", others) == []


async def test_servers_that_stall_flood_refuse_or_talk_nonsense_are_not_there(start):
    hostile = [
        stall, flood, 401, 404, 500, b"<html>hello</html>", b"{", b"[" * 100_000, {"data": 7},
        {"data": [{"id": "e", "type": "embeddings"}]}, {"data": []},
    ]  # fmt: skip
    ports = {f"s{at}": start(Listing({"/v1/models": reply})) for at, reply in enumerate(hostile)}
    ports["none"] = closed_port()
    started = time.monotonic()

    late = []
    assert await find_servers({}, ports=ports, late=late.append) == []
    assert time.monotonic() - started < 3 * discovery.SECONDS
    assert f"http://127.0.0.1:{ports['none']}" not in late
    assert f"http://127.0.0.1:{ports['s0']}" in late  # something is there, and it is busy


async def test_no_key_is_sent_and_no_redirect_is_followed(start):
    heard = []
    elsewhere = Listing({"/v1/models": {"data": [{"id": "org/Llama-3.1-8B"}]}})

    def send_away(handler, body):
        heard.append({name.lower() for name in handler.headers})
        handler.refuse(302, Location=f"{elsewhere.endpoint}/v1/models")

    start(elsewhere)
    assert await find_servers({}, ports={"vllm": elsewhere.server_port})
    elsewhere.asked.clear()
    ports = {"vllm": start(Listing({"/v1/models": send_away}))}
    assert await find_servers({}, ports=ports) == []
    assert elsewhere.asked == []
    assert len(heard) == 1
    assert not {"authorization", "cookie"} & heard[0]


async def test_a_machine_elsewhere_is_not_asked():
    assert await find_servers({"OLLAMA_HOST": "192.0.2.7:11434"}, ports={}) == []


def write_gguf(path, *, name="Qwen3 4B", arch="qwen3", size=600_000_000, context=40960, chat=True):
    """Write the header of a model, and a hole in place of its weights."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(path, arch)
    writer.add_name(name)
    writer.add_license("apache-2.0")
    writer.add_context_length(context)
    if chat:
        writer.add_chat_template("{{ messages }}")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    os.truncate(path, size)
    return path


def test_files_are_found_in_the_caches_of_other_programs(tmp_path, monkeypatch):
    monkeypatch.setattr("pathlib.Path.home", lambda: tmp_path)
    hub = "hf/hub/models--o--n/snapshots/0123"
    write_gguf(tmp_path / hub / "qwen3-4b-q4.gguf")
    write_gguf(tmp_path / ".lmstudio/models/o/n/qwen2.5-coder-7b.gguf", name="Qwen2.5 Coder")
    write_gguf(tmp_path / "llama/llama-3.2-3b.gguf", name="Llama 3.2", size=700_000_000)
    environ = {"HF_HOME": str(tmp_path / "hf"), "LLAMA_CACHE": str(tmp_path / "llama")}
    caches = find_caches(environ | {"XDG_CACHE_HOME": str(tmp_path / "none")})
    found = find_files(caches)

    assert [file.name for file in found] == ["qwen2.5-coder-7b", "llama-3.2-3b", "qwen3-4b-q4"]
    assert found[0].path == str(tmp_path / ".lmstudio/models/o/n/qwen2.5-coder-7b.gguf")
    assert (found[0].size, found[0].context) == (600_000_000, 40960)
    assert found[0].licence == "apache-2.0"


def test_what_no_persona_can_use_is_not_found(tmp_path):
    write_gguf(tmp_path / "qwen3-embedding-4b.gguf")
    write_gguf(tmp_path / "mmproj-qwen.gguf", arch="clip")
    write_gguf(tmp_path / "qwen3-bert.gguf", arch="nomic-bert")
    write_gguf(tmp_path / "qwen3-4b-base-model.gguf", chat=False)
    write_gguf(tmp_path / "qwen3-4b-00001-of-00003.gguf")
    write_gguf(tmp_path / "qwen3-short.gguf", context=512)
    write_gguf(tmp_path / "qwen3-tiny.gguf", size=1_000_000)
    (tmp_path / "qwen3-forged.gguf").write_bytes(b"GGUF" + b"\xff" * 100)
    os.truncate(tmp_path / "qwen3-forged.gguf", 600_000_000)
    (tmp_path / "qwen3-gone.gguf").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.gguf").mkdir()

    assert find_files([tmp_path, tmp_path / "none"]) == []


def test_one_file_under_two_names_is_found_once(tmp_path):
    write_gguf(tmp_path / "qwen3-4b.gguf")
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "qwen3-4b.gguf").symlink_to(tmp_path / "qwen3-4b.gguf")

    assert len(find_files([tmp_path])) == 1


def test_looking_at_a_cache_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(discovery, "MOST_ENTRIES", 10)
    for number in range(20):
        (tmp_path / f"a{number}").mkdir()
    write_gguf(tmp_path / "z" / "qwen3-4b.gguf")
    deep = tmp_path / "deep" / "/".join("abcdefgh")
    write_gguf(deep / "qwen3-4b.gguf")

    assert find_files([tmp_path]) == []
    assert find_files([tmp_path / "deep"]) == []


def test_looking_at_a_cache_ends_in_time(tmp_path, monkeypatch):
    for number in range(20):
        (tmp_path / f"a{number}").mkdir()
    looks, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looks.append(path) or scandir(path))
    assert find_files([tmp_path]) == []
    assert len(looks) == 21
    monkeypatch.setattr(discovery, "FILE_SECONDS", 0.0)
    assert find_files([tmp_path]) == []
    assert len(looks) == 22


def test_a_file_that_a_person_names_may_be_small_and_of_any_name(tmp_path):
    path = write_gguf(tmp_path / "odd.gguf", name="odd", size=1_000_000)
    assert read_file(path).path == str(path)
    assert read_file(tmp_path / "none.gguf") is None


@pytest.mark.slow
async def test_a_size_is_read_from_the_hubs_file_list(monkeypatch):
    source = replace(read_book().models["Qwen3-4B-Instruct-2507-Q4_K_M"], source="o/n")
    with serving(Hub({source.file: b"GGUF" * 1000, "other.gguf": b"GGUF"})) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        assert await size_on_hub(source) == 4000
        hub.status["api"] = (401, "GatedRepo")
        with pytest.raises(ModelError, match="o/n is gated"):
            await size_on_hub(source)
        monkeypatch.setattr(discovery, "HUB_SECONDS", 1.5)
        hub.answer = stall
        with pytest.raises(ModelError, match="did not answer"):
            await size_on_hub(source)
