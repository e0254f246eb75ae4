"""The ten commonest mistakes: one clear line that says what to do, no traceback, no status 0.

Each is made with the real commands, as a person makes it, and once more with ``--json``.
"""

import asyncio
import ctypes
import json
import os
import socket
import subprocess
import sys
from dataclasses import replace

import fastjsonschema
import pytest

from bat_os.app.wiring import assemble
from bat_os.cli.environment import kernel_command
from bat_os.core.settings import Settings
from bat_os.engines.scripted import HashEmbedder
from bat_os.image.catalog_service import CatalogService
from bat_os.image.migrations import FORMAT, OLDEST
from bat_os.image.store import ImageStore
from bat_os.supervisor.home import Home
from tests.cli.clients import ENVIRON, verb
from tests.forks import PYTHON
from tests.kernels import ROOT, ThinkingKernel

pytestmark = [pytest.mark.system, pytest.mark.slow]

SCHEMA = json.loads((ROOT / "docs" / "schemas.json").read_text(encoding="utf-8"))["error"]
NOBODY = 65534
DROP_FROM_BOUNDING_SET = 24
# Of these, root has what lets it into everybody's files.
FILE_CAPABILITIES = (1, 2, 3)


async def refuse(home, *words, **environ):
    """Run ``batos`` words; return (status, its one line, the code in its JSON)."""
    plain = await verb(home, *words, **environ)
    line = one_line(plain)
    code, _, said = line.partition(" ")
    told = (await verb(home, *words, "--json", **environ)).json
    fastjsonschema.compile(SCHEMA)(told)
    assert (told["error"]["code"], told["error"]["message"]) == (code, said)
    return plain.status, said, code


def one_line(ended):
    """Return what a refused command said; nothing else may be there."""
    assert ended.status != 0
    assert ended.out == ""
    assert ended.err.count("\n") == 1, ended.err
    return ended.err.rstrip("\n")


def serve(home, *words, program="batos.py", first="serve", **options):
    """Run a kernel, or the watchdog, that is expected to refuse; return (status, line)."""
    environ = ENVIRON | {"BATOS_ENGINE": "scripted", "BATOS_SCRIPT": os.devnull}
    ended = subprocess.run(
        [PYTHON, ROOT / program, first, "--home", home, *words],
        env=environ, capture_output=True, text=True, timeout=60, check=False, **options,
    )  # fmt: skip
    lines = [line for line in ended.stderr.splitlines() if " INFO " not in line]
    assert "Traceback" not in ended.stderr
    assert ended.returncode != 0
    return ended.returncode, lines[-1]


def start(home, **options):
    return serve(home, "--wait", program="min_watchdog_service.py", first="start", **options)


def lose_rights():
    """Let root be a user like any other where files are concerned; runs before ``exec``."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in FILE_CAPABILITIES:
        libc.prctl(DROP_FROM_BOUNDING_SET, capability, 0, 0, 0)


# ---- 1: the kernel is not running -------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    ["list", "send genesis_obj double 3", "learn README.md", "ask double 3", "watch", "missions"],
)
async def test_where_no_kernel_runs_it_says_how_to_start_one(tmp_path, words):
    status, line, code = await refuse(tmp_path, *words.split())
    assert (status, code) == (3, "UNREACHABLE")
    assert line == (
        f"no daemon serves {tmp_path}; start one with ./run.sh (or batos-watchdog start)"
    )


# ---- 2: the wrong port ------------------------------------------------------------------


async def test_at_a_port_where_nothing_listens_it_names_the_address_and_who_told_it(tmp_path):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # nobody else gets it, and nothing listens
        address = f"tcp://127.0.0.1:{held.getsockname()[1]}"
        run = tmp_path / "run"
        run.mkdir()
        (run / "token").write_text("t")
        endpoint = run / "endpoint.json"
        endpoint.write_text(json.dumps({"boot": "b", "ipc": "", "tcp": address, "pid": 1 << 22}))
        status, line, code = await refuse(tmp_path, "documents")
    assert (status, code) == (3, "UNREACHABLE")
    assert line == (
        f"no daemon answers at {address}, which {endpoint} names; start one with ./run.sh"
    )


async def test_a_wrong_port_of_a_kernel_elsewhere_is_named(tmp_path):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{held.getsockname()[1]}"
        made = (await verb(tmp_path, "keys", "make", "ann", "--connect", address, "--json")).json
        status, line, code = await refuse(tmp_path, "documents", BATOS_KEY_FILE=made["file"])
    assert (status, code) == (3, "UNREACHABLE")
    assert f"no daemon answers at {address}; is it running" in line
    status, line, code = await refuse(tmp_path, "list", BATOS_CONNECT=address)
    assert (status, code) == (2, "INVALID_ARGS")
    assert "needs a key: run `./run.sh keys make NAME`" in line


@pytest.mark.parametrize(
    ("port", "why"), [("99999", "must be a port, 0 (any) or -1 (none)"), ("http", "takes a number")]
)
def test_a_port_that_is_none_is_refused_with_what_it_takes(tmp_path, port, why):
    status, line = serve(tmp_path, "--tcp-port", port)
    assert status in (2, 78)
    assert "--tcp-port" in line
    assert why in line


# ---- 3: no model ------------------------------------------------------------------------


class Modelless(ThinkingKernel):
    """A kernel of the smallest profile, into whose image nobody has taken a model."""

    async def __aenter__(self):
        self.home.prepare()
        parts = assemble(self.home, Settings(home=str(self.home.path)))
        words = HashEmbedder()
        catalog = CatalogService(parts.mind.image, words)
        self.mind = replace(parts.mind, embedder=words, catalog=catalog)
        return await self.serve(parts)


async def test_without_a_model_it_says_which_is_missing_and_how_to_get_one(tmp_path):
    async with Modelless(tmp_path / "home") as kernel:
        ended = await verb(kernel.home.path, "send", "genesis_obj", "double", "3")
        line = one_line(ended)
        assert ended.status == 1
        assert line.startswith(
            "MODEL_UNAVAILABLE the image has no model SmolLM2-135M-Instruct-Q4_1 "
            "(./run.sh models lists them); "
        )
        assert line.endswith("./run.sh models fit shows which profile fits (BATOS_PROFILE=NAME)")
        again = await verb(kernel.home.path, "send", "genesis_obj", "double", "3", "--json")
        assert (again.status, again.json["error"]["code"]) == (1, "MODEL_UNAVAILABLE")


# ---- 4: a stale lock, and one that is held ----------------------------------------------


async def test_what_a_killed_kernel_left_is_told_at_once_and_stops_no_new_one(kernel_process):
    kernel_process.start()
    await kernel_process.until_ready()
    kernel_process.kill()
    home = kernel_process.home
    status, line, code = await refuse(home, "list")
    assert (status, code) == (3, "UNREACHABLE")
    assert "no daemon answers at ipc://" in line
    assert line.endswith("start one with ./run.sh")
    assert (home / "live_image.fs.lock").is_file()
    kernel_process.start()
    await kernel_process.until_ready()
    assert (await verb(home, "list")).status == 0


async def test_an_image_that_another_process_holds_is_named_with_how_to_stop_that(thinking):
    home = thinking.home.path
    status, line = serve(home, "--tcp-port", "0")
    held = f"another process holds the image {home}/live_image.fs; stop it first (./run.sh stop)"
    assert (status, line) == (78, f"batos: {held}")
    thinking.home.endpoint.rename(home / "elsewhere")  # a kernel that nobody finds
    status, line, code = await refuse(home, "verify")
    assert (status, line, code) == (1, held, "STORAGE_ERROR")


# ---- 5: another user's directory --------------------------------------------------------


@pytest.fixture
def closed(tmp_path):
    """A home that this user may not enter, and how a process has to begin to be this user."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "run").mkdir()
    is_root = os.getuid() == 0
    if is_root:
        os.chown(home, NOBODY, NOBODY)
    home.chmod(0o700 if is_root else 0)
    yield home, lose_rights if is_root else None
    home.chmod(0o700)


@pytest.mark.skipif(sys.platform != "linux", reason="takes rights away as Linux does")
@pytest.mark.parametrize("words", ["list", "verify", "logs", "config", "stop", "keys list"])
def test_someone_elses_home_is_named_with_whose_it_is(closed, words):
    home, begin = closed
    for as_json in (False, True):
        ended = subprocess.run(
            [PYTHON, ROOT / "batos.py", *words.split(), "--home", home,
             *(["--json"] if as_json else [])],
            env=ENVIRON, capture_output=True, text=True, preexec_fn=begin, check=False,
        )  # fmt: skip
        said = json.loads(ended.stdout)["error"]["message"] if as_json else ended.stderr
        assert ended.returncode == 2
        assert "Traceback" not in ended.stderr
        assert f"{home} " in said
        assert "choose one of your own: BATOS_HOME=FOLDER, or --home FOLDER" in said
        assert ("belongs to user" in said) == (begin is not None)


@pytest.mark.skipif(sys.platform != "linux", reason="takes rights away as Linux does")
def test_no_kernel_starts_in_someone_elses_home(closed):
    home, begin = closed
    for status, line in (serve(home, preexec_fn=begin), start(home, preexec_fn=begin)):
        assert status == 78
        assert "choose one of your own: BATOS_HOME=FOLDER, or --home FOLDER" in line


@pytest.mark.skipif(sys.platform != "linux", reason="takes rights away as Linux does")
def test_the_doctor_says_so_in_one_line_and_looks_at_the_rest(closed):
    home, begin = closed
    ended = subprocess.run(
        [PYTHON, ROOT / "batos.py", "doctor", "--quick", "--json", "--home", home],
        env=ENVIRON, capture_output=True, text=True, preexec_fn=begin, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    checks = json.loads(ended.stdout)["checks"]
    assert [one["name"] for one in checks if one["state"] == "broken"] == ["home"]
    assert {"python", "packages", "machine", "disk"} <= {one["name"] for one in checks}


# ---- 6: bad TOML ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "threads = = 3\n",
            "not valid TOML: Invalid value (at line 1, column 11); write NAME = VALUE",
        ),
        ("\nthread = 3\n", ", line 2: 'thread' is not a setting; did you mean threads?"),
        ("\ncell = 'mont'\n", ", line 2: cell must be auto, zygote or monty, not 'mont'"),
        ("threads = '3'\n", ", line 1: threads must be a whole number from 0 to 256, not '3'"),
    ],
)
async def test_bad_settings_are_named_with_file_line_and_what_is_allowed(tmp_path, text, said):
    file = tmp_path / "batos.toml"
    file.write_text(text)
    status, line, code = await refuse(tmp_path, "config")
    assert (status, code) == (2, "INVALID_ARGS")
    assert line.startswith(str(file))
    assert said in line
    in_the_log = line.replace("./run.sh config", "batos config")  # nobody pastes from there
    assert serve(tmp_path) == (78, f"batos: {in_the_log}")


async def test_the_watchdog_and_status_say_what_the_kernel_said_and_nothing_else(tmp_path):
    (tmp_path / "batos.toml").write_text("thread = 3\n")
    status, line = start(tmp_path)
    assert status == 1
    why = f"{tmp_path}/batos.toml, line 1: 'thread' is not a setting; did you mean threads?"
    assert line == f"BAT OS did not start: {why}"
    told = await verb(tmp_path, "status")
    assert told.status == 3
    assert f"  because  {why}\n" in told.out


# ---- 7, 8: an unknown object, a wrong number of arguments -------------------------------


@pytest.fixture
def home(thinking):
    thinking.gate.set()
    return thinking.home.path


@pytest.mark.parametrize("words", ["inspect genesis_ob", "send genesis_ob double 3"])
async def test_an_object_that_there_is_not_gets_a_guess(home, words):
    status, line, code = await refuse(home, *words.split())
    assert (status, code) == (1, "NOT_FOUND")
    assert line == "there is no object 'genesis_ob'; did you mean 'genesis_obj'?"


async def test_a_message_that_was_misspelt_gets_a_guess(home):
    await verb(home, "send", "genesis_obj", "double", "3")
    for words in ("why genesis_obj duble", "source genesis_obj duble", "send genesis_obj duble 3"):
        status, line, _ = await refuse(home, *words.split())
        assert status == 1
        assert line.endswith("did you mean 'double'?")


@pytest.mark.parametrize("numbers", [[], ["1", "2"]])
async def test_a_message_with_too_few_or_many_arguments_is_shown_as_it_is_written(home, numbers):
    await verb(home, "send", "genesis_obj", "double", "3")
    status, line, code = await refuse(home, "send", "genesis_obj", "double", *numbers)
    assert (status, code) == (1, "SANDBOX_FAILED")
    assert line.startswith("TypeError: double() ")
    assert line.endswith("; write it as double(number)")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "send genesis_obj",
            "./run.sh send: SELECTOR is missing; write it as: ./run.sh send OBJECT",
        ),
        ("inspect", "./run.sh inspect: OBJECT is missing; write it as: ./run.sh inspect OBJECT ("),
        ("inspect a b", "./run.sh inspect: 'b' is one argument too many; write it as"),
        ("inspekt a", "./run.sh: there is no verb 'inspekt'; did you mean 'inspect'?"),
        ("teach a b --exampel x", "there is no option --exampel; did you mean --example?"),
        ("models ad", "./run.sh models: there is no action 'ad'; did you mean 'add'?"),
        ("search bats --limit few", "takes a number, and 'few' is none"),
    ],
)
async def test_wrong_words_are_named_with_the_right_ones(tmp_path, words, said):
    status, line, code = await refuse(tmp_path, *words.split())
    assert (status, code) == (2, "INVALID_ARGS")
    assert said in line


# ---- 9: the disk is full ----------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="sets the limit of another process")
async def test_on_a_full_disk_it_says_to_free_some_space(serving):
    import resource

    image = serving.home / "live_image.fs"
    hard = resource.prlimit(serving.process.pid, resource.RLIMIT_FSIZE)[1]
    size = image.stat().st_size
    resource.prlimit(serving.process.pid, resource.RLIMIT_FSIZE, (size, hard))
    status, line, code = await refuse(serving.home, "send", "genesis_obj", "give_seven")
    assert (status, code) == (1, "STORAGE_FULL")
    assert line == "the disk is full; free some space and ask again"
    resource.prlimit(serving.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    assert (await verb(serving.home, "send", "genesis_obj", "give_seven")).out == "7\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
async def test_an_answer_that_finds_no_room_is_no_silent_success():
    with open("/dev/full", "wb") as full:  # noqa: ASYNC230, PTH123 - a device
        ended = subprocess.run(  # noqa: ASYNC221 - nothing else runs in this loop
            [PYTHON, ROOT / "batos.py", "config", "example"],
            env=ENVIRON, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert ended.returncode == 1
    assert ended.stderr.startswith("STORAGE_FULL ")
    assert ended.stderr.count("\n") == 1, ended.stderr


# ---- 10: an image of a newer version ----------------------------------------------------


async def test_an_image_of_a_newer_program_is_left_as_it_is(kernel_process):
    kernel_process.start()
    await kernel_process.until_ready()
    home = kernel_process.home
    kernel_process.stop()
    image = ImageStore.open(home / "live_image.fs")

    def age(root):
        root["about"] = dict(root["about"]) | {"format": FORMAT + 1}

    await image.transact(age, note="come from the future")
    await image.close()
    before = (home / "live_image.fs").read_bytes()
    said = f"the image has format {FORMAT + 1}, and this program reads {OLDEST} to {FORMAT}; "
    status, line = await asyncio.to_thread(serve, home, "--tcp-port", "0")
    assert status == 78
    assert line == f"batos: {said}start the newer program that wrote it, or restore a backup"
    for words in ("pack", "fork trial", "verify", f"backup {home.parent}/backup"):
        status, line, code = await refuse(home, *words.split())
        assert (status, code) == (1, "STORAGE_ERROR")
        assert line.startswith(said)
    assert (home / "live_image.fs").read_bytes() == before


@pytest.mark.skipif(sys.platform != "linux", reason="gives files away as Linux does")
@pytest.mark.parametrize("whose", ["theirs", "ours"])
def test_a_planted_program_is_not_run(tmp_path, whose):
    home, ran, python = tmp_path / "home", tmp_path / "ran", tmp_path / "python"
    Home(home).prepare()
    python.write_text(f"#!/bin/sh\nid -u > {ran}\n")
    python.chmod(0o755)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "batos.py").write_text("")
    planted = {"tree": str(tmp_path / "tree"), "python": str(python), "version": "9", "commit": ""}
    (home / "program.json").write_text(json.dumps(planted))
    if whose == "theirs":
        if os.getuid() != 0:
            pytest.skip("only root can give a file away")
        os.chown(home / "program.json", NOBODY, NOBODY)
        ended = subprocess.run(
            [PYTHON, ROOT / "min_watchdog_service.py", "run", "--home", home],
            env=ENVIRON, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert (ended.returncode, "belongs to user" in ended.stderr) == (78, True)
    else:
        assert kernel_command(Home(home))[0] == sys.executable
    assert not ran.exists()
