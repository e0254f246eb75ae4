"""``batos models choose`` and the question of a first start: a person types, servers are real."""

import os
import re
import threading

import pytest

from bat_os.client.client import KernelClient
from bat_os.core.settings import FILE
from bat_os.models.machine import read_book
from tests.app.test_discovery import write_gguf
from tests.cli.clients import verb
from tests.cli.terminal import CTRL_C, CTRL_D, Terminal
from tests.kernels import ThinkingKernel
from tests.model_servers import Hub, make_ollama, serving, stall
from tests.system.test_watchdog import watchdog

pytestmark = [pytest.mark.system, pytest.mark.slow]
BATOS = {"script": "batos.py", "columns": 180}
KEEPS = r"Enter keeps \d: "
# A profile that fits any machine, whose model is on the hub of the test.
MODEL = "Qwen3-4B-Instruct-2507-Q4_K_M"
SMALL = """
[profiles.cpu.needs]
ram = "1 MB"
disk = "1 MB"
cores = 1
[models."Qwen3-4B-Instruct-2507-Q4_K_M"]
source = "o/n"
"""
# No profile of the program fits any machine, but for the smallest.
LARGE = "".join(f'[profiles.{name}.needs]\nram = "9000 GB"\n' for name in ("cpu", "8gb", "24gb"))


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def ollama():
    with serving(make_ollama("nomic-embed-text", "qwen2.5-coder:7b", "llama3.1:8b")) as server:
        yield server


@pytest.fixture
def here(tmp_path, ollama):
    """The environment of a person on whose machine nothing but this Ollama is to be found."""
    return {
        "HOME": str(tmp_path / "person"), "HF_HOME": str(tmp_path / "hf"), "CI": "",
        "OLLAMA_HOST": ollama.endpoint, "HF_ENDPOINT": "http://127.0.0.1:9",
    }  # fmt: skip


@pytest.fixture
def hub(monkeypatch):
    with serving(Hub({f"{MODEL}.gguf": b"GGUF" + os.urandom(3 << 20)})) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)  # of the kernel in this process
        yield server


def chosen(home):
    """Return the profile that the home's settings name; "" where nothing was written."""
    file = home / FILE
    return file.read_text().strip() if file.exists() else ""


async def test_in_a_pipe_nothing_is_asked_and_nothing_is_written(home, here):
    ended = await verb(home, "models", "choose", given=b"1\n", **here)
    assert ended.status == 0
    assert ended.out.splitlines()[0].split()[:2] == ["CHOOSE", "WHERE"]
    first = re.split(" {2,}", ended.out.splitlines()[1])
    assert first[:2] == ["ollama:qwen2.5-coder:7b", "ollama here"]
    assert ended.out.splitlines()[-1].startswith("tiny")
    assert max(map(len, ended.out.splitlines())) <= 80
    assert "./run.sh models choose NAME" in ended.err
    told = (await verb(home, "models", "choose", "--json", given=b"1\n", **here)).json
    assert told["offers"][0]["key"] == "ollama:qwen2.5-coder:7b"
    assert not home.exists()


async def test_enter_keeps_the_small_one(home, here):
    async with Terminal(home, "models", "choose", **BATOS, **here) as terminal:
        await terminal.until("qwen2.5-coder:7b")
        await terminal.until(KEEPS)
        terminal.press("\r")
        await terminal.until("nothing changes")
        assert await terminal.end() == 0
    assert chosen(home) == ""


async def test_where_nothing_is_better_nothing_is_asked(home, here, ollama):
    home.mkdir()
    (home / "profiles.toml").write_text(LARGE)
    ollama.replies["/api/tags"] = {"models": [{"name": "nomic-embed-text"}]}
    async with Terminal(home, "models", "choose", **BATOS, **here) as terminal:
        await terminal.until("nothing better runs here, lies here or fits")
        await terminal.until("nothing changes")
        assert await terminal.end() == 0
    ollama.replies["/api/tags"] = stall
    async with Terminal(home, "models", "choose", **BATOS, **here) as terminal:
        await terminal.until("did not answer in time; .+ models choose looks again")
        await terminal.until("nothing better runs here, lies here or fits")
        assert await terminal.end() == 0


async def test_ctrl_c_at_the_question_leaves_and_writes_nothing(home, here):
    async with Terminal(home, "models", "choose", **BATOS, **here) as terminal:
        await terminal.until(KEEPS)
        terminal.press(CTRL_C)
        assert await terminal.end() == 130
    assert not (home / FILE).exists()


async def test_a_number_chooses_and_what_a_person_wrote_stays(home, here):
    home.mkdir()
    (home / FILE).write_text("threads = 1  # mine\n")
    async with Terminal(home, "models", "choose", **BATOS, **here) as terminal:
        await terminal.until(KEEPS)
        terminal.press("seven\r")
        await terminal.until(KEEPS)
        terminal.press("1\r")
        await terminal.until("qwen2.5-coder:7b is chosen: profile server")
        await terminal.until("from its next start on")
        assert await terminal.end() == 0
    assert chosen(home) == 'threads = 1  # mine\nprofile = "server"'
    served = read_book(home).models["served"]
    assert (served.source, served.file) == (f"{here['OLLAMA_HOST']}/v1", "qwen2.5-coder:7b")
    assert served.context == 4096


async def test_a_name_chooses_without_a_question(home, here):
    told = (await verb(home, "models", "choose", "ollama:llama3.1:8b", "--json", **here)).json
    assert (told["profile"], told["restarted"]) == ("server", False)
    assert read_book(home).models["served"].file == "llama3.1:8b"
    assert (await verb(home, "models", "choose", "ollama", **here)).status == 0
    assert read_book(home).models["served"].file == "qwen2.5-coder:7b"
    assert (await verb(home, "models", "choose", "server", **here)).status == 0
    assert read_book(home).models["served"].source == f"{here['OLLAMA_HOST']}/v1"
    assert chosen(home) == 'profile = "server"'


async def test_the_profile_for_servers_is_refused_where_none_answers(home, here):
    home.mkdir()
    own = "[models.served]\nsource = 'http://127.0.0.1:9/v1'\n"
    (home / "profiles.toml").write_text(own)
    ended = await verb(home, "models", "choose", "server", **here)
    assert ended.status == 1
    assert "no model server answers at http://127.0.0.1:9/v1; start one" in ended.err
    assert chosen(home) == ""


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ollama:none", "NOT_FOUND no ollama on this machine answers with a model none"),
        ("hal9000", "NOT_FOUND 'hal9000' cannot be chosen; it takes tiny, cpu"),
        ("none.gguf", "NOT_FOUND"),
        ("24gb", "INVALID_ARGS profile 24gb does not fit this machine: it needs"),
    ],
)
async def test_what_cannot_be_chosen_is_refused_with_what_can(home, here, name, says):
    ended = await verb(home, "models", "choose", name, **here)
    assert (ended.status, ended.out) == (1, "") or ended.status == 2
    assert says in ended.err
    assert not home.exists()


async def test_a_variable_that_counts_more_is_named(home, here):
    ended = await verb(home, "models", "choose", "ollama", BATOS_PROFILE="tiny", **here)
    assert "but BATOS_PROFILE counts more than batos.toml" in ended.err


@pytest.fixture
async def kernel(home, hub):
    """A kernel that knows the model of the hub."""
    home.mkdir()
    (home / "profiles.toml").write_text(SMALL)
    async with ThinkingKernel(home) as thinking, thinking.client() as client:
        yield client


async def stored(kernel):
    return [row["name"] for row in (await kernel.request("models"))["models"] if row.get("digest")]


async def test_a_download_needs_a_yes_and_is_stored_before_it_counts(home, kernel, here, hub):
    here["HF_ENDPOINT"] = hub.endpoint
    async with Terminal(home, "models", "choose", **BATOS, **here) as terminal:
        await terminal.until(r"Qwen3-4B-Instruct-2507-Q4_K_M +on the hub +3 MB ")
        assert hub.ranges == []
        await terminal.until(KEEPS)
        terminal.press("2\r")
        await terminal.until("is chosen: profile cpu")
        assert await terminal.end() == 0
    assert chosen(home) == 'profile = "cpu"'
    assert len(hub.ranges) == 1
    assert await stored(kernel) == [MODEL]
    assert (home / "profiles.toml").read_text() == SMALL


async def test_ctrl_c_ends_a_download_without_a_trace(home, kernel, here, hub):
    hub.cut, hub.hold = 1 << 20, threading.Event()
    async with Terminal(home, "models", "choose", "cpu", **BATOS, **here) as terminal:
        await terminal.until(r"o/n: 1\.0 MB of 3\.1 MB")
        assert list((home / "run" / "new" / MODEL).rglob("*.part"))
        terminal.press(CTRL_C)
        assert await terminal.end() == 130
    hub.hold.set()
    assert not (home / "run" / "new" / MODEL).exists()
    assert await stored(kernel) == []
    assert chosen(home) == ""


async def test_a_broken_download_keeps_what_came_and_the_next_one_resumes(home, kernel, here, hub):
    hub.cut = 1 << 20
    ended = await verb(home, "models", "choose", "cpu", **here)
    assert ended.status == 0
    assert hub.ranges == [None, f"bytes={1 << 20}-"]
    assert await stored(kernel) == [MODEL]


async def test_a_file_here_is_stored_as_it_is(home, kernel, here, tmp_path):
    path = write_gguf(tmp_path / "my model.gguf", size=100_000)
    told = (await verb(home, "models", "choose", path, "--json", **here)).json
    assert (told["profile"], told["name"]) == ("found", "my-model")
    [first] = await stored(kernel)
    assert read_book(home).profile("found").models == (first,)
    assert (home / "profiles.toml").read_text().startswith(SMALL)
    modes = {(home / name).stat().st_mode & 0o777 for name in (FILE, "profiles.toml")}
    assert modes == {0o600}

    # What the image has is chosen by its name, and nothing is stored.
    assert (await verb(home, "models", "choose", "ollama", **here)).status == 0
    path.rename(tmp_path / "moved.gguf")
    told = (await verb(home, "models", "choose", first, "--json", **here)).json
    assert (told["profile"], told["name"]) == ("found", first)
    assert await stored(kernel) == [first]
    assert read_book(home).profile("found").models == (first,)

    # Another file of that name is another model, also after a choice of something else.
    other = write_gguf(tmp_path / "b" / "my model.gguf", size=100_001)
    assert (await verb(home, "models", "choose", "ollama", **here)).status == 0
    assert (await verb(home, "models", "choose", other, **here)).status == 0
    [second] = read_book(home).profile("found").models
    rows = {row["name"]: row for row in (await kernel.request("models"))["models"]}
    assert rows[second]["source"] == str(other)
    assert rows[first]["digest"] != rows[second]["digest"]


async def test_the_first_start_in_a_terminal_asks_once_and_the_daemon_is_restarted(
    home, here, ollama
):
    home.mkdir()
    personas = "".join(
        f"[profiles.tiny.personas.{name}]\nmodel = 'quiet'\n"
        for name in ("ALFRED", "BRICK", "ROBIN", "BABS")
    )
    quiet = f"[models.quiet]\nsource = '{here['OLLAMA_HOST']}/v1'\nfile = 'llama3.1:8b'\n"
    quiet += "engine = 'openai'\nlicence = 'MIT'\ncontext = 4096\n"
    (home / "profiles.toml").write_text(quiet + personas + LARGE)
    assert watchdog(home, "start", BATOS_TCP_PORT="-1").returncode == 0
    try:
        await see_that_a_late_server_is_looked_for_again(home, here, ollama)
        await see_the_question(home, here)
        async with KernelClient.at(home) as kernel:
            assert (await kernel.request("health", timeout=60))["profile"] == "server"
    finally:
        watchdog(home, "stop")


async def test_a_start_chooses_by_its_option_and_that_counts_more(home, here):
    assert watchdog(home, "start", "--profile", "server", BATOS_TCP_PORT="-1").returncode == 0
    try:
        async with KernelClient.at(home) as kernel:
            assert (await kernel.request("health", timeout=60))["profile"] == "server"
        told = (await verb(home, "models", "choose", "tiny", "--json", **here)).json
        assert told["restarted"]
        assert told["overruled"] == "the daemon's BATOS_PROFILE or --profile"
    finally:
        watchdog(home, "stop")


async def see_that_a_late_server_is_looked_for_again(home, here, ollama):
    listed = ollama.replies["/api/tags"]
    ollama.replies["/api/tags"] = stall
    async with Terminal(home, columns=180, **here) as terminal:
        await terminal.until("did not answer in time; the next start looks again")
        await leave(terminal)
    ollama.replies["/api/tags"] = listed


async def see_the_question(home, here):
    async with Terminal(home, columns=180, **here | {"CI": "true"}) as terminal:
        await leave(terminal)
        assert "Enter keeps" not in terminal.raw
    async with Terminal(home, columns=180, **here) as terminal:
        await terminal.until("What shall it think with")
        await terminal.until(KEEPS)
        terminal.press(CTRL_C)
        await leave(terminal)
    async with Terminal(home, columns=180, **here) as terminal:
        await terminal.until(KEEPS)
        terminal.press("1\r")
        await terminal.until("is chosen: profile server")
        await leave(terminal)
    async with Terminal(home, columns=180, **here) as terminal:
        await terminal.say("/models choose")
        await terminal.until("Enter keeps 1: ")
        terminal.press("\r")
        await terminal.until("nothing changes")
        await leave(terminal)
        assert terminal.raw.count("What shall it think with") == 0


async def leave(terminal):
    await terminal.say(CTRL_D, end="")
    assert await terminal.end() == 0
