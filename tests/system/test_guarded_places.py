"""Each answer that a question for leave offers, and then hostile methods that try every place."""

import asyncio
import tomllib
from pathlib import Path

import pytest

from bat_os.errors import RemoteError
from bat_os.world import fence
from tests.kernels import ANSWERS, KernelProcess, write_script

pytestmark = pytest.mark.system
LIST = tomllib.loads(Path(fence.__file__).with_name("guarded.toml").read_text(encoding="utf-8"))
SECRET = "SECRET"  # noqa: S105 - what no answer may hold
# It takes what it is given leave for, and tells what it got.
HOSTILE = '''def raid(self, places):
    """Read and change each place."""
    got = []
    for place in places:
        for message in ("read", "append", "remove"):
            try:
                if message == "read":
                    got.append(self.reached.read(place))
                elif message == "append":
                    self.reached.append(place, "evil")
                else:
                    self.reached.remove(place)
            except Exception:
                got.append("")
    return [each for each in got if each]
'''
ENDED = {"done", "failed", "dropped"}


@pytest.fixture
def person(tmp_path, monkeypatch):
    """A home folder with something in each guarded place, in which BAT OS has its home."""
    home = tmp_path / "ann"
    monkeypatch.setenv("HOME", str(home))
    for place in places_of(home):
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            place.write_text(SECRET)
    (home / "notes" / ".git").mkdir(parents=True)
    (home / "notes" / ".git" / "config").write_text(SECRET)
    return home


def places_of(home):
    """Return a file for each kind of guarded place; those that nest are one."""
    groups = ("starts", "keys")
    rows = [row for group in groups for kind in LIST[group].values() for row in kind]
    found = {home / row.removeprefix("~/").replace("*", "x") for row in rows if row[0] != "/"}
    folders = {parent for path in found for parent in path.parents}
    return sorted(path / "inner" if path in folders else path for path in found)


def look(home):
    return {path: path.read_bytes() for path in places_of(home)}


@pytest.fixture
def batos(person, tmp_path):
    made = KernelProcess(person / "batos", write_script(tmp_path / "script.jsonl", ANSWERS))
    yield made.start()
    made.stop()


async def raid(kernel, given, tried):
    """Have a method use what was granted on some places; return what it got, and what was done."""
    await kernel.request(
        "teach", target="genesis_obj",
        body={"source": HOSTILE.replace("self.reached", f"self.{given.removesuffix('_obj')}")},
    )  # fmt: skip
    got = []
    for first in range(0, len(tried), 60):  # a message may ask two hundred times
        body = {"target": "genesis_obj", "selector": "raid"}
        names = [str(path) for path in tried[first : first + 60]]
        got += (await kernel.request("send", args=[names], timeout=120, **body))["result"]
    while True:
        listed = (await kernel.request("effects", body={"all": True}))["effects"]
        if {each["state"] for each in listed} <= ENDED:
            return got, [each["what"] for each in listed if each["state"] == "done"]
        await asyncio.sleep(0.01)


async def test_no_answer_to_a_question_lets_learned_code_out(batos, person):
    await batos.until_ready()
    before = look(person)
    own = [batos.home / name for name in ("run/token", "home.json", "batos.toml", "program.json")]
    places = places_of(person)
    more = [*own, batos.home / "live_image.fs", person / "notes/.git/config",
             fence.__file__, "/etc/passwd", "/proc/self/environ"]  # fmt: skip
    token, raids = (batos.home / "run" / "token").read_bytes(), 0
    async with batos.client() as kernel:
        for path, ways in (("x.txt", 3), ("notes/x.txt", 4)):
            for way in range(1, ways + 1):
                body = {"text": f"append 'milk' to ~/{path}"}
                asked = await kernel.request("say", session="s", body=body)
                assert len(asked["choices"]) == ways, asked
                assert not [each for each in asked["choices"] if each.endswith("~")], asked
                told = await kernel.request("say", session="s", body={"text": str(way)})
                assert told["kind"] == ("said" if way == ways else "acted"), told
                listed = (await kernel.request("grants"))["grants"]
                for given in [each["object"] for each in listed if each["state"] == "live"]:
                    raids += 1
                    got, done = await raid(kernel, given, [*places[raids % 3 :: 3], *more])
                    assert not [each for each in got if SECRET in each or "root:" in each], given
                    assert all("x.txt" in each for each in done), done
                    await kernel.request("revoke", target=given)
    assert raids == 3, "the file, a file in a folder, and that folder"
    assert look(person) == before
    assert (batos.home / "run" / "token").read_bytes() == token
    assert (person / "x.txt").read_text() == "milk\n" * 2


async def test_a_grant_of_the_home_folder_reaches_neither_keys_nor_bat_os(batos, person):
    """A person may say so; it is never offered."""
    await batos.until_ready()
    before, own = look(person), batos.home / "run" / "token"
    token = own.read_bytes()
    tried = [*places_of(person), own, batos.home / "batos.toml", person / "fine.txt"]
    async with batos.client() as kernel:
        for what in ("/", "/proc", "/dev/pts", str(batos.home), str(own), fence.__file__):
            with pytest.raises(RemoteError, match=r"cannot be granted|no grant reaches"):
                await kernel.request("grant", body={"what": what})
        body = {"what": "~", "write": True, "name": "all"}
        assert (await kernel.request("grant", body=body))["object"] == "all_obj"
        got, done = await raid(kernel, "all_obj", tried)
    assert not [each for each in got if SECRET in each]
    assert {each.partition(":")[0].split()[-1] for each in done} == {"~/fine.txt"}
    assert look(person) == before
    assert own.read_bytes() == token
    assert not (batos.home / "batos.toml").exists()
