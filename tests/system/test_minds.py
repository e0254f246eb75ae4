"""Two minds are compared, whether kernels serve them or not, and neither is changed."""

import hashlib
import json

import pytest

from bat_os.core.settings import IMAGE
from bat_os.image.objects import UvmObject
from bat_os.image.store import ImageStore
from tests.system.test_history import about, send, teach, verb

pytestmark = pytest.mark.system
TREBLE = "def treble(self, n):\n    return n * 3\n"


def hashes(home):
    files = sorted(path for path in home.rglob("*") if path.is_file() and "run" not in path.parts)
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


async def edit(home, work):
    store = ImageStore.open(home / IMAGE)
    try:
        await store.transact(work, note="edit")
    finally:
        await store.close()


def grow(root):
    """Change a slot, add an object without a name and one that refers to it, drop a method."""
    genesis, traits = root["objects"]["genesis_obj"], root["objects"]["traits_obj"]
    arm = UvmObject("", (traits,))
    arm.set_slot("length", 3)
    robot = root["objects"]["robot_obj"] = UvmObject("robot_obj", (genesis,))
    robot.set_slot("arm", arm)
    genesis.set_slot("colour", "blue")
    genesis.slots["give_nine"].current = -1
    genesis._p_changed = True


@pytest.fixture
async def fork(serving):
    """Return the home of a fork that differs from the mind it was made of, which is served."""
    async with serving.client() as kernel:
        await teach(kernel, TREBLE)
        await teach(kernel, "def give_nine(self):\n    return 9\n")
        await send(kernel, "setSlot", "colour", "red")
        body = {"title": "notes", "text": "Bats hang upside down.", "source": "notes"}
        await kernel.request("learn", timeout=60, body=body)
        await kernel.request("fork", timeout=60, body={"name": "trial"})
        await teach(kernel, TREBLE.replace("3", "3.0"))
        await kernel.request("send", target="memory_obj", selector="remember",
                             args=["the key is under the mat"])  # fmt: skip
    home = serving.home / "forks" / "trial"
    await edit(home, grow)
    return home


async def test_a_fork_is_compared_with_the_mind_that_runs(serving, fork):
    before = hashes(fork)
    ended = await verb(serving.home, "diff", "--with", "trial", "--json")
    assert ended.status == 0, ended.err
    told = ended.json
    assert [mind["name"] for mind in told["minds"]] == ["", "trial"]
    objects = {row["object"]: row for row in told["objects"]}
    assert objects["robot_obj"]["what"] == objects["robot_obj.arm"]["what"] == "new"
    (colour,) = objects["genesis_obj"]["slots"]
    assert (colour["slot"], colour["before"], colour["after"]) == ("colour", "'red'", "'blue'")
    methods = {row["selector"]: row for row in told["methods"]}
    assert {name: row["what"] for name, row in methods.items()} == {
        "treble": "changed", "give_nine": "gone",
    }  # fmt: skip
    assert "-    return n * 3.0\n+    return n * 3" in methods["treble"]["diff"]
    assert [(row["fact"], row["what"]) for row in told["memory"]] == [
        ("the key is under the mat", "gone")
    ]
    assert told["documents"] == []
    assert hashes(fork) == before  # not even an index was written

    shown = await verb(serving.home, "diff", "--with", "trial")
    assert "changed genesis_obj.treble: - taught by ARCHITECT, + taught by ARCHITECT" in shown.out
    assert "gone    memory: the key is under the mat" in shown.out
    async with serving.client() as kernel:  # it goes on as before
        assert await send(kernel, "treble", 2) == 6
        assert (await about(kernel, "why", "treble"))["version"] == 2


async def test_homes_are_compared_at_their_moments(serving, fork, tmp_path):
    async with serving.client() as kernel:
        listed = (await about(kernel, "versions", "treble"))["versions"]
        when = (await kernel.request("forks", timeout=60))["forks"][0]["tid"]
    assert len(listed) == 2
    ended = await verb(fork, "diff", when, when, "--home", str(serving.home), "--json")
    assert ended.status == 0, ended.err  # --home of the fork comes last: it is the second
    told = ended.json
    assert [told[kind] for kind in ("objects", "methods", "memory", "documents")] == [
        [],
        [],
        [],
        [],
    ]
    alike = await verb(fork, "diff", when, when, "--home", str(serving.home))
    assert "the two are alike" in alike.err
    now = (await verb(fork, "diff", "--home", str(serving.home), "--json")).json
    assert json.dumps(now["methods"]) != "[]"


async def test_what_cannot_be_compared_is_said(serving, tmp_path):
    for words, code in (
        (["--with", "nowhere"], "NOT_FOUND"),
        ([], "INVALID_ARGS"),
        (["--with", "x", "--home", str(tmp_path)], "INVALID_ARGS"),
        (["soon", "--with", str(serving.home)], "INVALID_ARGS"),
        (["2020-01-01", "--with", str(serving.home)], "NOT_FOUND"),
    ):
        ended = await verb(serving.home, "diff", *words)
        assert ended.status in (1, 2)
        assert ended.err.split()[0] == code, (words, ended.err)
