"""An outbox that is copied with its image: only the home that staged an effect does it."""

import shutil

import pytest

from bat_os.app.library import load_library
from bat_os.core.brief import Brief
from bat_os.core.protocol import Request
from bat_os.core.verbs import check
from bat_os.errors import GrantWantedError, NotGrantedError
from bat_os.image import outbox
from bat_os.image.files.backup import back_up
from bat_os.image.files.fork import fork
from bat_os.image.files.restore import restore
from bat_os.kernel.turn import take_turn
from bat_os.kernel.verbs import VERBS
from bat_os.kernel.verbs.files import WORKS
from bat_os.kernel.verbs.moments import send_at
from bat_os.supervisor.home import Home
from bat_os.supervisor.upgrade.staging import put_back
from tests.kernels import ThinkingKernel

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def world(tmp_path):
    folder = tmp_path / "world"
    folder.mkdir()
    return folder


async def ask(mind, verb, **fields):
    return await VERBS[verb](mind, check(Request(verb, **fields)), lambda _: None)


@pytest.fixture
async def home(tmp_path, world):
    """A home that no kernel serves: three effects are staged, and the first one was begun."""
    async with ThinkingKernel(tmp_path / "home") as kernel:
        mind = kernel.mind
        await load_library(mind)
        mind.orchestrator.performer = None  # it sleeps, and nobody wakes it
        await ask(mind, "grant", body={"what": str(world), "write": True, "name": "out"})
        for number in range(3):
            brief = Brief("out_obj", "append", ("log.txt", str(number)))
            await take_turn(mind.image, mind.cell, brief, commit_reads=False, reach=mind)
        before = {"there": False, "content": None}
        await mind.image.transact(
            lambda root: outbox.change(root, 1, state="performing", boot="x", before=before),
            note="begin one",
        )
        await fork(mind.image, "trial")
        await back_up(mind.image, tmp_path / "backup")
    return tmp_path / "home"


async def serve(home):
    """Return the states of the outbox once a kernel has served a home in peace."""
    async with ThinkingKernel(home) as kernel:
        await kernel.mind.orchestrator.performer.settle(30)
        return await kernel.mind.image.transact(
            lambda root: [each.state for each in outbox.pending(root)], note="look"
        )


async def test_the_home_itself_does_what_it_has_staged(home, world):
    assert await serve(home) == []
    assert (world / "log.txt").read_text().split() == ["0", "1", "2"]


@pytest.mark.parametrize("way", ["fork", "restore", "copy", "upgrade taken back"])
async def test_a_copy_holds_what_its_original_has_staged(home, world, tmp_path, way):
    other = tmp_path / "other"
    if way == "fork":
        other = home / "forks" / "trial"
    elif way == "restore":
        restore(tmp_path / "backup", other)
    elif way == "copy":
        shutil.copytree(home, other, symlinks=True, ignore=shutil.ignore_patterns("*.sock"))
    else:
        put_back(tmp_path / "backup", home / "live_image.fs", tmp_path / "side")
        other = home
    assert await serve(other) == ["held"] * 3
    assert await serve(other) == ["held"] * 3, "the next start, too"
    assert not (world / "log.txt").exists()
    async with ThinkingKernel(other) as kernel:
        for number in (1, 2):
            told = await ask(kernel.mind, "effects.redo", body={"number": number})
            assert told["state"] == "done"
        await ask(kernel.mind, "effects.drop", body={"number": 3})
    assert (world / "log.txt").read_text().split() == ["0", "1"]


@pytest.mark.parametrize("way", ["fork", "restore", "copy"])
async def test_a_copy_reaches_nothing_until_it_is_granted_there(home, world, tmp_path, way):
    (world / "a.txt").write_text("secret")
    other = tmp_path / "other"
    if way == "fork":
        other = home / "forks" / "trial"
    elif way == "restore":
        restore(tmp_path / "backup", other)
    else:
        shutil.copytree(home, other, symlinks=True, ignore=shutil.ignore_patterns("*.sock"))

    async def send(mind, selector, *args):
        brief = Brief("out_obj", selector, args)
        await take_turn(mind.image, mind.cell, brief, commit_reads=False, reach=mind)
        await mind.orchestrator.performer.settle(30)

    for _ in range(2):  # the next start, too
        async with ThinkingKernel(other) as kernel:
            for message in (("read", "a.txt"), ("write", "a.txt", "x")):
                with pytest.raises(NotGrantedError, match="another home, and this is a copy"):
                    await send(kernel.mind, *message)
            listed = await ask(kernel.mind, "grants")
            assert [one["state"] for one in listed["grants"]] == ["asleep"]
    assert (world / "a.txt").read_text() == "secret"
    async with ThinkingKernel(other) as kernel:
        await ask(kernel.mind, "grant", body={"what": str(world), "write": True, "name": "out"})
        await send(kernel.mind, "write", "a.txt", "x")
    assert (world / "a.txt").read_text() == "x"
    async with ThinkingKernel(other) as kernel:
        await send(kernel.mind, "write", "a.txt", "y")
    async with ThinkingKernel(home) as kernel:
        await send(kernel.mind, "append", "a.txt", "z")
    assert (world / "a.txt").read_text().startswith("y")
    assert "z" in (world / "a.txt").read_text(), "at home nothing has changed"


async def test_a_grant_that_sleeps_can_be_taken_back(home):
    async with ThinkingKernel(home / "forks" / "trial") as kernel:
        told = await ask(kernel.mind, "revoke", target="out_obj")
        assert told["revoked"] == ["out_obj"]
        listed = await ask(kernel.mind, "grants")
        assert [one["state"] for one in listed["grants"]] == ["revoked"]


async def test_the_past_and_what_is_on_trial_change_nothing(home, world):
    async with ThinkingKernel(home) as kernel:
        mind = kernel.mind
        await mind.orchestrator.performer.settle(30)
        request = check(
            Request(
                "send", target="out_obj", selector="write", args=("b.txt", "x"), body={"at": "now"}
            )
        )
        with pytest.raises(NotGrantedError, match="the past"):
            await send_at(mind, request, lambda _: None)
        before = {"target": "out_obj", "selector": "write", "args": ("b.txt", "x")}
        told = await ask(mind, "rehearse", **before)
        assert told["answer"]["body"]["code"] == "NOT_GRANTED"
    assert [path.name for path in world.iterdir()] == ["log.txt"]


async def test_an_id_stays_with_its_home_and_a_copy_gets_another(tmp_path):
    home = Home(tmp_path / "home")
    first = home.read_id()
    assert home.read_id() == first
    (tmp_path / "home").rename(tmp_path / "moved")
    assert Home(tmp_path / "moved").read_id() == first, "it is the same files"
    shutil.copytree(tmp_path / "moved", tmp_path / "copy")
    assert Home(tmp_path / "copy").read_id() not in ("", first)
    (tmp_path / "copy" / "home.json").write_text("{")
    assert Home(tmp_path / "copy").read_id()


@pytest.mark.parametrize("way", ["fork", "restore", "copy", "pack"])
async def test_a_label_goes_where_the_image_goes(tmp_path, world, way):
    (world / "a.txt").write_text("secret")
    (tmp_path / "out").mkdir()
    home, other = tmp_path / "home", tmp_path / "other"

    async def send(mind, selector):
        brief = Brief("genesis_obj", selector)
        await take_turn(mind.image, mind.cell, brief, commit_reads=False, reach=mind)

    async with ThinkingKernel(home) as kernel:
        mind = kernel.mind
        await load_library(mind)
        for name, folder in (("notes", world), ("out", tmp_path / "out")):
            await ask(mind, "grant", body={"what": str(folder), "write": True, "name": name})
        for source in (
            "def keep(self):\n    self.kept = self.notes.read('a.txt')\n",
            "def tell(self):\n    self.out.append('b.txt', self.kept)\n",
        ):
            await ask(mind, "teach", target="genesis_obj", body={"source": source})
        await send(mind, "keep")
        if way == "pack":
            await WORKS["pack"](mind.image, {"policy": None, "days": 0})
            other = home
        elif way == "fork":
            await fork(mind.image, "trial")
            other = home / "forks" / "trial"
        elif way == "restore":
            await back_up(mind.image, tmp_path / "backup")
            restore(tmp_path / "backup", other)
    if way == "copy":
        shutil.copytree(home, other, symlinks=True, ignore=shutil.ignore_patterns("*.sock"))
    async with ThinkingKernel(other) as kernel:
        if way != "pack":  # its grants sleep, until a person gives them again
            for name, folder in (("notes", world), ("out", tmp_path / "out")):
                body = {"what": str(folder), "write": True, "name": name}
                await ask(kernel.mind, "grant", body=body)
        with pytest.raises(GrantWantedError, match="would send something read from"):
            await send(kernel.mind, "tell")
    assert not (tmp_path / "out" / "b.txt").exists()
