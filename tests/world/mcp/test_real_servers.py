"""Servers that others wrote, from the package registries, as objects of a real image."""

import asyncio
import json
import shutil
import subprocess
from dataclasses import replace

import pytest

from bat_os.app.library import load_library
from bat_os.core.brief import Brief
from bat_os.core.protocol import Request
from bat_os.core.verbs import check
from bat_os.errors import ServerError
from bat_os.kernel.turn import take_turn
from bat_os.kernel.verbs import VERBS
from bat_os.world.mcp.driver import Mcp
from tests.kernel.conftest import cell, image, make  # noqa: F401 - fixtures
from tests.kernel.minds import make_mind, script
from tests.node import node_program
from tests.world.mcp.servers import installed

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow, pytest.mark.system]
pytest.importorskip("mcp", reason="the package mcp is not installed")


@pytest.fixture
async def mind(image, cell):  # noqa: F811 - a fixture
    driver = Mcp()
    made = replace(make_mind(image, cell, script(" return 1")), drivers={"mcp": driver})
    await load_library(made)
    yield made
    driver.close()


@pytest.fixture
def grant(mind):
    async def run(name, *program, **more):
        body = {"name": name, "program": [*map(str, program)], **more}
        return await VERBS["grant-mcp"](
            mind, check(Request("grant-mcp", body=body)), lambda told: None
        )

    return run


@pytest.fixture
def send(mind):
    async def run(target, selector, *args, **kwargs):
        brief = Brief(target, selector, args, kwargs)
        return (await take_turn(mind.image, mind.cell, brief, reach=mind)).value

    return run


def program(name):
    found = installed(name)
    if not found:
        pytest.skip(f"{name} is not installed; tests/requirements.txt has it")
    return found


async def test_the_time_server(grant, send):
    told = await grant("time", program("mcp-server-time"), trusted=True)
    kinds = {tool["signature"]: tool["kind"] for tool in told["tools"]}
    assert kinds == {
        "get_current_time(timezone)": "read",
        "convert_time(source_timezone, time, target_timezone)": "read",
    }
    answer = await send("time_obj", "get_current_time", "Asia/Tokyo")
    assert answer["datetime"].endswith("+09:00")
    noon = await send("time_obj", "convert_time", "Asia/Tokyo", "12:00", "UTC")
    assert noon["time_difference"] == "-9.0h"
    with pytest.raises(ServerError, match="Nowhere"):
        await send("time_obj", "get_current_time", "Nowhere/City")


async def test_the_git_server_reads_adds_and_commits_once(grant, send, tmp_path):
    server, git = program("mcp-server-git"), shutil.which("git")
    if git is None:
        pytest.skip("git is not installed")
    (tmp_path / "a.txt").write_text("hello\n")
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "Begin"]):
        await asyncio.to_thread(
            subprocess.run, [git, "-C", str(tmp_path), *words], check=True, timeout=60
        )
    told = await grant("git", server, "--repository", tmp_path, trusted=True, write=[str(tmp_path)])
    kinds = {tool["message"]: tool["kind"] for tool in told["tools"]}
    assert (kinds["git_log"], kinds["git_commit"]) == ("read", "await")
    log = await send("git_obj", "git_log", str(tmp_path), max_count=1)
    assert "Begin" in json.dumps(log)
    (tmp_path / "b.txt").write_text("more\n")
    for key, mail in (("user.name", "Ann"), ("user.email", "ann@example.org")):
        await asyncio.to_thread(
            subprocess.run, [git, "-C", str(tmp_path), "config", key, mail], check=True, timeout=60
        )
    await send("git_obj", "git_add", str(tmp_path), ["b.txt"])
    await send("git_obj", "git_commit", str(tmp_path), "Go on")
    log = json.dumps(await send("git_obj", "git_log", str(tmp_path), max_count=9))
    assert (log.count("Go on"), log.count("Begin")) == (1, 1)


async def test_the_server_for_files_stays_in_its_folder(grant, send, tmp_path):
    package = "@modelcontextprotocol/server-filesystem"
    node, server = node_program(package, "dist", "index.js")
    box = tmp_path / "box"
    box.mkdir()
    (box / "a.txt").write_text("hello")
    (tmp_path / "outside.txt").write_text("secret")
    told = await grant("box", node, server, box, trusted=True, write=[str(box)])
    kinds = {tool["message"]: tool["kind"] for tool in told["tools"]}
    assert (kinds["read_text_file"], kinds["write_file"]) == ("read", "await")
    answer = await send("box_obj", "read_text_file", str(box / "a.txt"))
    assert "hello" in json.dumps(answer)
    with pytest.raises(ServerError):
        await send("box_obj", "read_text_file", str(tmp_path / "outside.txt"))
