"""Fetching a model from a hub: a small server on loopback speaks the hub's language."""

import asyncio
import os
import socket
import threading

import pytest

from bat_os.engines.hub import TRIES, Fetched, RemoteFile, announce, choose_files, fetch, fetch_here
from bat_os.errors import ArgumentsError, ModelError
from tests.model_servers import COMMIT, Hub, flood, serving

WEIGHTS = os.urandom(3 << 20)
FILES = {
    "config.json": b'{"model_type": "llama"}',
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"a pickle",
    "modeling_evil.py": b"import os",
    "onnx/model.safetensors": b"the same again",
    "LICENSE": b"Apache-2.0",
    "../escape.json": b"{}",
}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(Hub(dict(FILES))) as server:
        yield server


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "model"


def present(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.slow
async def test_a_model_comes_with_its_commit_and_without_pickles_and_code(hub, folder):
    lines = []
    fetched = await fetch("o/n", "main", folder, lines.append, endpoint=hub.endpoint)

    size = sum(len(FILES[name]) for name in ("LICENSE", "config.json", "model.safetensors"))
    assert fetched == Fetched("o/n", COMMIT, "apache-2.0", 3, size)
    assert present(folder) == ["LICENSE", "config.json", "model.safetensors"]
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert lines[0] == "o/n: asking the hub"
    assert lines[-1] == "o/n: 3.1 MB of 3.1 MB, model.safetensors"

    again = await fetch("o/n", "main", folder, lines.append, endpoint=hub.endpoint)
    assert again == fetched
    assert hub.ranges == [None]


@pytest.mark.slow
async def test_a_line_that_breaks_is_taken_up_at_the_last_byte(hub, folder):
    hub.cut = 1 << 20
    await fetch("o/n", "main", folder, print, endpoint=hub.endpoint)

    assert hub.ranges == [None, f"bytes={1 << 20}-"]
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.slow
async def test_a_killed_fetch_goes_on_where_it_was(hub, folder):
    hub.cut, hub.hold = 2 << 20, threading.Event()
    moving = asyncio.Event()

    def see(line):
        if "2.1 MB of" in line:
            moving.set()

    work = asyncio.create_task(fetch("o/n", "main", folder, see, endpoint=hub.endpoint))
    await moving.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    hub.hold.set()
    (part,) = folder.glob(".model.safetensors.*.part")
    came = part.stat().st_size
    await fetch("o/n", "main", folder, print, endpoint=hub.endpoint)

    assert came >= 2 << 20
    assert hub.ranges == [None, f"bytes={came}-"]
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert present(folder) == ["LICENSE", "config.json", "model.safetensors"]


@pytest.mark.slow
async def test_a_model_that_does_not_fit_on_the_disk_is_refused_before_anything_is_fetched(
    hub, folder
):
    hub.sizes["model.safetensors"] = 10**15
    with pytest.raises(ModelError, match=r"o/n needs 1000000\.\d+ GB .* and .* are free") as caught:
        await fetch("o/n", "main", folder, print, endpoint=hub.endpoint)

    assert caught.value.details["needed"] > 10**15 > caught.value.details["free"]
    assert list(folder.iterdir()) == []


@pytest.mark.slow
async def test_what_is_not_as_announced_is_thrown_away(hub, folder):
    announced = hub.info()
    hub.info = lambda: announced
    hub.files = dict(FILES) | {"model.safetensors": WEIGHTS[::-1]}
    with pytest.raises(ModelError, match=r"model\.safetensors is not what the hub announced"):
        await fetch("o/n", "main", folder, print, endpoint=hub.endpoint)

    assert present(folder) == ["LICENSE", "config.json"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "status", "code", "said"),
    [
        ("api", 401, "GatedRepo", "o/n is gated: .* accept terms .*hf auth login"),
        ("resolve", 403, "GatedRepo", "o/n is gated: .* accept terms .*hf auth login"),
        ("api", 404, "RepoNotFound", "no model o/n, or it is private"),
        ("api", 404, "RevisionNotFound", "o/n has no revision main"),
        ("api", 418, "", "the hub answers 418"),
    ],
)
async def test_a_refusal_of_the_hub_is_explained(hub, folder, path, status, code, said):
    hub.status[path] = (status, code)
    with pytest.raises(ModelError, match=said):
        await fetch("o/n", "main", folder, print, endpoint=hub.endpoint)


@pytest.mark.slow
async def test_a_hub_that_wants_fewer_requests_is_asked_again_when_it_says(hub, folder):
    hub.busy = ["0", "1"]
    lines = []
    await fetch("o/n", "main", folder, lines.append, endpoint=hub.endpoint)

    assert lines[1:3] == [
        "the hub is busy; asking again in 0 s",
        "the hub is busy; asking again in 1 s",
    ]
    assert present(folder) == ["LICENSE", "config.json", "model.safetensors"]


@pytest.mark.slow
async def test_a_hub_that_stays_busy_is_an_error_that_says_so(hub, folder):
    hub.busy = ["0"] * 9
    with pytest.raises(ModelError, match="the hub answers 429 for o/n; ask again later"):
        await fetch("o/n", "main", folder, print, endpoint=hub.endpoint)


@pytest.mark.slow
async def test_a_file_that_is_longer_than_announced_is_cut_off_and_refused(hub, folder):
    hub.sizes["model.safetensors"] = 1 << 20
    with pytest.raises(ModelError, match=r"model\.safetensors is larger than the hub announced"):
        await fetch("o/n", "main", folder, print, endpoint=hub.endpoint)


@pytest.mark.slow
async def test_a_file_of_which_no_more_comes_is_asked_for_after_longer_and_longer_pauses(
    hub, folder, monkeypatch
):
    pauses = []
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("bat_os.engines.hub.time.sleep", pauses.append)
    hub.sizes["model.safetensors"] = len(WEIGHTS) + 1
    with pytest.raises(ModelError, match=r"model\.safetensors ends too early; ask again"):
        await asyncio.to_thread(fetch_here, "o/n", "main", folder, print, hub.endpoint, "")
    assert pauses == [1, 2, 4, 8]
    assert hub.ranges == [None] + [f"bytes={len(WEIGHTS)}-"] * TRIES


@pytest.mark.slow
async def test_a_list_without_an_end_is_refused(hub, folder):
    hub.answer = flood
    with pytest.raises(ModelError, match="answer for o/n makes no sense"):
        await fetch("o/n", "main", folder, print, endpoint=hub.endpoint)


@pytest.mark.slow
async def test_the_size_of_a_model_is_asked_for_without_fetching_it(hub, folder):
    size = sum(len(FILES[name]) for name in ("LICENSE", "config.json", "model.safetensors"))

    assert await announce("o/n", "main", endpoint=hub.endpoint) == size
    assert hub.ranges == []
    with pytest.raises(ModelError, match="pickled weights"):
        await announce("o/n", "main", endpoint=hub.endpoint, only="x.gguf")


@pytest.mark.slow
async def test_without_a_network_the_error_says_what_to_do(hub, folder):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(ModelError, match=r"the hub cannot be reached for o/n .*copy the model"):
        await fetch("o/n", "main", folder, print, endpoint=f"http://127.0.0.1:{port}")


@pytest.mark.slow
async def test_an_answer_that_makes_no_sense_is_an_error_and_no_traceback(hub, folder):
    hub.info = lambda: {"id": "o/n", "sha": COMMIT, "siblings": [{"rfilename": "config.json"}]}
    with pytest.raises(ModelError, match="answer for o/n makes no sense"):
        await fetch("o/n", "main", folder, print, endpoint=hub.endpoint)


@pytest.mark.parametrize("repo", ["", "../x", "a/b/c", "a b/c", "-x/y", "a/..", "a\n/b"])
async def test_an_id_that_is_none_is_refused(folder, repo):
    with pytest.raises(ArgumentsError, match="is not an id of a model"):
        await fetch(repo, "main", folder, print)


@pytest.mark.parametrize("revision", ["", "../x", "-x", "a b", "a..b"])
async def test_a_revision_that_is_none_is_refused(folder, revision):
    with pytest.raises(ArgumentsError, match="is not a branch, tag or commit"):
        await fetch("o/n", revision, folder, print)


def chosen(*names, only=""):
    return [file.name for file in choose_files([RemoteFile(name, 1) for name in names], only)]


def test_safetensors_are_taken_once_and_before_other_forms():
    assert chosen(
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "consolidated.safetensors",
        "model-q8_0.gguf",
        "original/params.json",
        "1_Pooling/config.json",
        "tokenizer.model",
        "chat_template.jinja",
        "merges.txt",
        "README.md",
        ".gitattributes",
    ) == [
        "1_Pooling/config.json",
        "chat_template.jinja",
        "merges.txt",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "tokenizer.model",
    ]


def test_of_several_gguf_files_one_has_to_be_chosen():
    names = ("a-q4.gguf", "a-q8-00001-of-00002.gguf", "a-q8-00002-of-00002.gguf", "config.json")
    with pytest.raises(ModelError, match=r"choose one: a-q4\.gguf, a-q8\.gguf"):
        chosen(*names)
    with pytest.raises(ModelError, match=r"no GGUF file b\.gguf; there are: a-q4\.gguf"):
        chosen(*names, only="b.gguf")
    assert chosen(*names, only="*q8*") == ["a-q8-00001-of-00002.gguf", "a-q8-00002-of-00002.gguf"]
    assert chosen("a.gguf", "README.md") == ["a.gguf"]


def test_a_repository_with_nothing_but_pickles_is_refused():
    with pytest.raises(ModelError, match=r"pickled weights .* are not used"):
        chosen("pytorch_model.bin", "config.json")
