"""The drivers: each passes the one contract suite."""

import pytest

from bat_os.world.confined import holds
from bat_os.world.files import Files
from bat_os.world.mcp.driver import Mcp
from bat_os.world.shell import Shell
from bat_os.world.web import Web
from tests.world import hosts
from tests.world.contract import *  # noqa: F403
from tests.world.contract import Case
from tests.world.mcp.servers import hostile
from tests.world.scripted import Scripted


def files(folder):
    notes = folder / "notes"
    (notes / "deep" / "er").mkdir(parents=True)
    (notes / "a.txt").write_text("milk\n")
    (folder / "beside").mkdir()
    return Case(
        Files(), str(notes), str(notes / "deep"), str(folder / "beside"), "a.txt",
        deeper=str(notes / "deep" / "er"), named=(str(notes / "a.txt"), "a.txt"),
        refused=(str(folder / "none"), "relative/path"),
        asks={
            "read": ("a.txt",), "names": (), "facts": ("a.txt",), "find": ("*.txt",),
            "search": ("milk",),
        },
        outside=(("read", ("../beside",)), ("names", ("/",)), ("search", ("x", ".."))),
        missing=(("read", ("none.txt",)), ("names", ("none",))),
    )  # fmt: skip


def web(host):
    return Case(
        Web(pause=0), f"{host.url}/docs", f"{host.url}/docs/deep", f"{host.url}/other", "a.html",
        deeper=f"{host.url}/docs/deep/er", named=(f"{host.url}/docs/a.html",),
        claimed=("HTTPS://EXAMPLE.ORG", "http://10.0.0.1"),
        refused=("ftp://example.org", "https://a:b@example.org"),
        asks={
            "fetch": ("a.html",), "links": ("a.html",), "json": ("v.json",), "facts": ("a.html",),
        },
        outside=(
            ("fetch", ("../other",)), ("json", ("http://example.org/",)), ("links", ("//x.org",)),
        ),
        missing=(("fetch", ("none.html",)), ("facts", ("none",))),
    )  # fmt: skip


def shell(folder):
    if not holds():
        pytest.skip("this system has no cage")
    for name in ("work/deep/er", "beside"):
        (folder / name).mkdir(parents=True)
    (folder / "work" / "a.txt").write_text("milk\n")
    return Case(
        Shell(), f"shell:wc,cat {folder}/work", f"shell:wc {folder}/work/deep",
        f"shell:wc {folder}/beside", "cat",
        deeper=f"shell:wc {folder}/work/deep/er",
        refused=(
            "shell:", f"shell: {folder}", "shell:wc", f"shell:no-such-program {folder}",
            f"shell:wc {folder}/none", "shell:wc relative", "shell:wc /",
        ),
        outside=(("run", ("sh", ["-c", "id"])), ("run", ("/bin/cat", ["a.txt"]))),
    )  # fmt: skip


def scripted():
    boxes = {"/a": "milk", "/a/b": "bread", "/a/b/c": "salt", "/z": "SECRET"}
    return Case(
        Scripted(boxes), "/a", "/a/b", "/z", "/a/b",
        deeper="/a/b/c", named=("/a/b/c",), refused=("a", "/none"),
        asks={"read": ("/a/b",), "facts": ("/a/b",)},
        outside=(("read", ("/z",)), ("facts", ("/",))), missing=(("read", ("/a/none",)),),
    )  # fmt: skip


def servers(driver):
    met = driver.meet("hostile", hostile(reads=["get_sum", "echo", "image"]))

    def part(*names):
        return met | {"tools": {name: met["tools"][name] for name in names}}

    return Case(
        driver, "whole", "part", "beside", {"b": 2},
        deeper="deeper",
        asks={"get_sum": ({"b": 2},), "echo": ({"text": "milk"},), "image": ({"text": ""},)},
        outside=(("hang", ({"text": ""},)), ("both", ({"text": ""},)), ("no_such_tool", ({},))),
        met={
            "whole": part("get_sum", "echo", "image", "both"), "part": part("get_sum", "echo"),
            "deeper": part("get_sum"),
            "beside": met | {"program": [*met["program"], "x"], "tools": part("image")["tools"]},
        },
    )  # fmt: skip


MCP = pytest.param("mcp", marks=[pytest.mark.slow, pytest.mark.system])


@pytest.fixture(params=["files", "web", "shell", "scripted", MCP])
def case(request, tmp_path):
    if request.param == "files":
        yield files(tmp_path)
    elif request.param == "shell":
        yield shell(tmp_path)
    elif request.param == "scripted":
        yield scripted()
    elif request.param == "mcp":
        pytest.importorskip("mcp", reason="the package mcp is not installed")
        driver = Mcp()
        yield servers(driver)
        driver.close()
    else:
        pages = {
            "/docs/a.html": hosts.PAGE, "/docs/v.json": hosts.answers_json({"v": 1}),
            "/other": "SECRET",
        }  # fmt: skip
        with hosts.Host(pages) as host:
            yield web(host)
