"""Fetching a model from a hub: a small server on loopback speaks the hub's language."""

import asyncio
import hashlib
import json
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bat_os.engines.hub import Fetched, RemoteFile, choose_files, fetch
from bat_os.errors import ArgumentsError, ModelError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
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


class Hub(ThreadingHTTPServer):
    """One repository, o/n. ``cut`` bytes are sent of the weights before the line breaks."""

    daemon_threads = True

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), Answer)
        self.files = files
        self.sizes = {}  # name -> announced size, where it is not the real one
        self.status = {}  # part of a path -> (status, X-Error-Code)
        self.cut = 0
        self.hold = None  # an event: the cut line is kept open, and dribbles, until it is set
        self.ranges = []

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.server_port}"

    def info(self):
        return {"id": "o/n", "sha": COMMIT, "siblings": [self.sibling(name) for name in self.files],
                "cardData": {"license": "apache-2.0"}}  # fmt: skip

    def sibling(self, name):
        content = self.files[name]
        size = self.sizes.get(name, len(content))
        git = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
        entry = {"rfilename": name, "size": size, "blobId": git.hexdigest()}
        if name.endswith(".safetensors"):
            sha256 = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"size": size, "sha256": sha256, "pointerSize": 130}
        return entry


class Answer(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        for part, (status, code) in self.server.status.items():
            if part in self.path:
                self.send_response(status)
                self.send_header("X-Error-Code", code)
                self.send_header("Content-Length", "0")
                return self.end_headers()
        if self.path.startswith("/api/models/o/n/revision/main"):
            return self.give(200, json.dumps(self.server.info()).encode())
        content = self.server.files[self.path.removeprefix(f"/o/n/resolve/{COMMIT}/")]
        wanted = self.headers.get("Range")
        if "model.safetensors" in self.path:
            self.server.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        return self.give(206 if wanted else 200, content[start:])

    def give(self, status, content):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        cut, self.server.cut = self.server.cut, 0
        if not cut or len(content) < cut:
            self.server.cut = cut
            return self.wfile.write(content)
        self.wfile.write(content[:cut])
        self.close_connection = True
        if self.server.hold is not None:
            while not self.server.hold.wait(0.05) and cut < len(content) - 1:
                self.wfile.write(content[cut : cut + 1])
                cut += 1
        return None


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Hub(dict(FILES))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


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
