"""How the gateway is opened: by a setting, which the watchdog looks at again and again."""

import asyncio
import os
import socket
import sys
import time
from pathlib import Path

import pytest

from bat_os.cli.gateway import make_keeper, read_http
from bat_os.client.tokens import TokenRing
from bat_os.supervisor.home import FileLock, Home, read_json
from bat_os.supervisor.program import Program, point_to
from bat_os.supervisor.report import Status, write_status
from tests.cli.clients import verb
from tests.gateway.conftest import Http
from tests.kernels import ANSWERS, KernelProcess, write_script

pytestmark = [pytest.mark.system, pytest.mark.slow]


async def until(is_so):
    give_up = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < give_up
        await asyncio.sleep(0.05)


async def test_the_setting_opens_http_and_closes_it_and_a_killed_gateway_comes_back(tmp_path):
    home = Home(tmp_path / "home")
    home.prepare()
    made = KernelProcess(home.path, write_script(tmp_path / "script.jsonl", ANSWERS)).start()
    facts = home.path / "run" / "gateway.json"
    environ = {key: text for key, text in os.environ.items() if not key.startswith("BATOS_")}
    try:
        await made.until_ready()
        with make_keeper(home, environ):
            (home.path / "batos.toml").write_text("http_port = 0\n")
            await until(lambda: read_json(facts).get("url"))
            first = read_json(facts)
            http = Http(None, int(first["url"].rpartition(":")[2]), home.path)
            http.tokens["own"] = TokenRing(home.path).make("test", "own", 1)
            assert (await http.ask("GET", "/objects")).status == 200
            os.kill(first["pid"], 9)
            await until(lambda: read_json(facts).get("pid") not in (None, first["pid"]))
            (home.path / "batos.toml").write_text("http_port = -1\n")
            await until(lambda: not facts.exists())
            assert (await verb(home.path, "keys", "list", "--json")).json["tokens"]["test"]
    finally:
        made.stop()


async def test_why_there_is_no_http_is_said_by_status_and_doctor(tmp_path):
    home = Home(tmp_path / "home")
    home.prepare()
    environ = {key: text for key, text in os.environ.items() if not key.startswith("BATOS_")}
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        (home.path / "batos.toml").write_text(f"http_port = {port}\n")
        with FileLock(home.lock).acquire(), make_keeper(home, environ):
            write_status(home, Status("running", os.getpid()))
            why = f"port {port} is taken; set another one: http_port"
            await until(lambda: read_http(home)["problem"] == why)
            assert (await verb(home.path, "status", "--json")).json["http_problem"] == why
            assert f"  http     closed: {why}\n" in (await verb(home.path, "status")).out
            checks = (await verb(home.path, "doctor", "--quick", "--json")).json["checks"]
            [door] = [one for one in checks if why in one["found"]]
            assert (door["name"], door["state"]) == ("doors", "warning")
            (home.path / "batos.toml").write_text("http_port = -1\n")
            await until(lambda: read_http(home)["problem"] == "")


async def test_a_gateway_that_ends_without_a_word_is_named_with_its_status(tmp_path):
    home = Home(tmp_path / "home")
    home.prepare()
    (home.path / "batos.toml").write_text("http_port = 0\n")
    tree = home.versions / "one"
    tree.mkdir(parents=True)
    (tree / "batos.py").write_text("raise SystemExit(9)\n")
    point_to(home, Program(tree, Path(sys.executable), "1.0"))
    with make_keeper(home, os.environ):
        await until(lambda: "the gateway ended with status 9" in read_http(home)["problem"])


async def test_open_says_what_to_do_where_nothing_runs(tmp_path):
    ended = await verb(tmp_path / "home", "open", "--print")
    assert ended.status == 3
    assert "./run.sh start" in ended.err


async def test_without_its_packages_open_says_what_installs_them(tmp_path):
    """The other verbs need no server of HTTP."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nfor name in ('starlette', 'uvicorn', 'httptools'):\n"
        "    sys.modules[name] = None\n"
    )
    environ = {"PYTHONPATH": str(tmp_path)}
    made = KernelProcess(tmp_path / "home", write_script(tmp_path / "script.jsonl", ANSWERS))
    made.start()
    try:
        await made.until_ready()
        told = await verb(made.home, "send", "genesis_obj", "getSlot", '["about"]', **environ)
        assert told.status == 0, told
        refused = await verb(made.home, "open", "--print", **environ)
        assert refused.status == 2
        assert "starlette, uvicorn, httptools" in refused.err
        assert "setup installs it" in refused.err
    finally:
        made.stop()


async def test_a_token_is_shown_once_listed_and_revoked(tmp_path):
    home = tmp_path / "home"
    made = await verb(home, "keys", "token", "phone", "--may", "learn", "--days", "30", "--json")
    token = made.json["token"]
    assert TokenRing(home).find(token).scope == "learn"
    again = await verb(home, "keys", "token", "phone")
    assert again.status == 2
    listed = await verb(home, "keys", "list", "--json")
    assert listed.json["tokens"]["phone"]["may"] == "learn"
    assert token not in listed.out
    assert (await verb(home, "keys", "revoke", "phone")).status == 0
    assert TokenRing(home).find(token) is None
