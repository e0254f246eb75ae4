"""bat_os.image.migrations: images that earlier programs wrote, opened by this one."""

import asyncio
import shutil
from pathlib import Path

import numpy as np
import pytest

from bat_os.app.offline import do_work
from bat_os.core.personas import PERSONAS
from bat_os.core.settings import IMAGE
from bat_os.errors import FormatError, RemoteError, StorageError
from bat_os.image import missions
from bat_os.image.awakening import awaken
from bat_os.image.catalog import catalog_in
from bat_os.image.files.restore import restore
from bat_os.image.migrations import FORMAT, OLDEST, STEPS, migrate
from bat_os.image.objects import UvmObject
from bat_os.image.store import ImageStore
from bat_os.kernel.primitives import PRIMITIVES
from tests.kernels import ThinkingKernel

IMAGES = Path(__file__).parents[1] / "cases" / "images"


def open_it(root):
    return awaken(root, image_id="x", created=0.0, personas=PERSONAS, primitives=PRIMITIVES)


async def transact(image, work):
    return await image.transact(work, note="look")


def count_transactions(root):
    return sum(1 for _ in root._p_jar.db().storage.iterator())


def read_log(root):
    """Return the id of each transaction by its note; of equal notes, a list in order."""
    log = {}
    for one in root._p_jar.db().storage.iterator():
        log.setdefault(one.description.decode(), []).append(one.tid.hex())
    return log


@pytest.fixture
async def old(tmp_path):
    """A copy of the image that a kernel of format 3 wrote; cases/images/README.md has its story."""
    (tmp_path / "home").mkdir(mode=0o700)
    shutil.copy(IMAGES / "format-3.fs", tmp_path / "home" / "live_image.fs")
    image = ImageStore.open(tmp_path / "home" / "live_image.fs")
    yield image
    await image.close()


@pytest.fixture
async def served(old, tmp_path):
    """The present kernel on that image, and the ids of its transactions by their notes."""
    log = await transact(old, read_log)
    await old.close()
    async with ThinkingKernel(tmp_path / "home") as running, running.client() as kernel:
        running.gate.set()
        yield kernel.request, log


# --- an image of format 3 ---


async def test_an_image_of_format_3_opens_with_its_objects_and_missions(old):
    before = await transact(old, lambda root: dict(root["about"]))
    assert before["format"] == 3
    assert await transact(old, open_it) is False

    def look(root):
        states = [missions.check(root, one).mission.state for one in missions.ids_after(root, "")]
        robot = root["objects"]["robot_obj"]
        return (
            root["about"]["id"],
            robot.slots["colour"],
            robot.slots["greet"].version.number,
            [str(state) for state in states],
            len(missions.unfinished(root)),
        )

    states = ["complete", "complete", "failed", "decomposing"]
    assert await transact(old, look) == (before["id"], "red", 1, states, 1)


async def test_before_it_is_converted_the_image_is_backed_up_as_it_was(served, tmp_path):
    restore(tmp_path / "home" / "backups" / "format-3", tmp_path / "back")
    image = ImageStore.open(tmp_path / "back" / "live_image.fs")
    try:
        about = await transact(image, lambda root: dict(root["about"]))
    finally:
        await image.close()
    assert about["format"] == 3
    ask, _ = served
    assert (await ask("list"))["objects"]


async def test_what_an_image_of_format_3_knows_of_its_methods_is_still_told(served):
    ask, _ = served
    double = await ask("why", target="genesis_obj", selector="double")
    assert (double["status"], double["mission"]["rounds"]) == ("verified", 1)
    assert double["whole"] is True
    assert double["tainted"]["document"] == "document:notes/harbour.md"
    assert [move["what"] for move in double["moves"]] == ["unlearn", "redo"]
    assert double["examples"] == [{"args": [21], "kwargs": {}, "result": 42}]
    greet = await ask("versions", target="robot_obj", selector="greet")
    assert (greet["current"], greet["pinned"], len(greet["versions"])) == (1, 1, 2)
    seven = await ask("why", target="robot_obj", selector="give_seven")
    assert (seven["status"], seven["approval"]["by"]) == ("verified", "ARCHITECT")
    source = "def greet(self, name):\n    return name\n"
    with pytest.raises(RemoteError, match="pinned"):
        await ask("teach", target="robot_obj", selector="greet", body={"source": source})


async def test_methods_of_an_image_of_format_3_answer(served):
    ask, _ = served
    greet = await ask("send", target="robot_obj", selector="greet", args=["Ada"])
    double = await ask("send", target="genesis_obj", selector="double", args=[8])
    assert (greet["result"], double["result"]) == ("Hello, Ada", 16)


async def test_an_image_of_format_3_can_be_read_as_it_was(served):
    ask, log = served
    second = log["teach greet"][1]
    then = await ask("inspect", target="robot_obj", body={"at": second})
    assert (then["slots"]["colour"], list(then["methods"])) == ("red", ["greet"])
    told = await ask(
        "send", target="robot_obj", selector="greet", args=["Ada"], body={"at": second}
    )
    assert told["result"] == "Good day, Ada"
    changes = await ask("diff", body={"a": second, "b": log["pin greet"][0]})
    assert [(row["object"], row["selector"]) for row in changes["methods"]] == [
        ("genesis_obj", "double"),
        ("robot_obj", "greet"),
    ]
    passages = await ask("search", body={"text": "ships at night", "at": second})
    assert "two lights" in passages["passages"][0]["text"]


async def test_the_catalog_of_an_image_of_format_3_is_searched_and_added_to(served):
    ask, _ = served
    passages = await ask("search", body={"text": "ships at night", "kind": "document"})
    assert "three lights" in passages["passages"][0]["text"]
    skills = await ask("find", body={"text": "double a number"})
    assert skills["skills"][0]["selector"] == "double"
    tides = {"title": "Tides", "text": "The tide turns twice a day."}
    await ask("learn", body=tides, timeout=120)
    passages = await ask("search", body={"text": "when does the tide turn", "kind": "document"})
    assert passages["passages"][0]["title"] == "Tides"
    verified = await ask("verify", timeout=60)
    assert verified["damaged"] == []


async def test_a_mission_of_an_image_of_format_3_is_resumed(served):
    ask, _ = served
    body = {"text": "Give one."}
    about = {"target": "robot_obj", "selector": "slow_one", "ik": "waiting"}
    told = await ask("brief", body=body, timeout=120, **about)
    assert (told["result"], told["learned"]) == (1, True)


async def test_segments_of_format_3_are_searched_merged_and_removed(tmp_path):
    shutil.copy(IMAGES / "format-3-segments.fs", tmp_path / "image.fs")
    image = ImageStore.open(tmp_path / "image.fs")
    axes = np.eye(8, dtype=np.float32)

    def search(root, word):
        hits = catalog_in(root).search([word], axes[:1], top_k=1, filters=None)
        return [(hit.doc_id, hit.position) for hit in hits]

    assert await transact(image, lambda root: search(root, "entry1x8")) == [("document:1", 8)]
    await transact(image, lambda root: catalog_in(root).add("new", "New", ["fresh"], axes[:1]))
    assert await transact(image, lambda root: search(root, "fresh")) == [("new", 0)]
    assert await transact(image, lambda root: catalog_in(root).remove("document:1"))
    assert await transact(image, lambda root: search(root, "entry1x8")) == [("new", 0)]
    await image.close()


@pytest.fixture
async def shared(tmp_path):
    """The present kernel on an image whose clones share their methods, as format 3 had it."""
    (tmp_path / "home").mkdir(mode=0o700)
    shutil.copy(IMAGES / "format-3-clones.fs", tmp_path / "home" / "live_image.fs")
    async with ThinkingKernel(tmp_path / "home") as running, running.client() as kernel:
        yield kernel.request


async def test_a_clone_of_format_3_is_independent_of_its_prototype_from_then_on(shared):
    spare = (await shared("inspect", target="kiosk_obj"))["slots"]["spare"]["oid"]
    names = ("shop_obj", "kiosk_obj", "stand_obj", spare)
    source = "def greet(self, name):\n    return name\n"
    await shared("unpin", target="stand_obj", selector="tax")
    await shared("unlearn", target="stand_obj", selector="tax")
    await shared("teach", target="kiosk_obj", selector="greet", body={"source": source})
    greeted = [
        (await shared("send", target=name, selector="greet", args=["Ada"]))["result"]
        for name in names
    ]
    assert greeted == ["Good day, Ada", "Ada", "Good day, Ada", "Good day, Ada"]
    taxes = {
        name: (await shared("inspect", target=name, selector="tax"))["methods"]["tax"]
        for name in names
    }
    assert [taxes[name]["status"] for name in names] == ["taught", "taught", "unlearned", "taught"]
    assert [taxes[name].get("pinned", 0) for name in names] == [1, 1, 0, 1]


async def test_clones_of_format_3_keep_examples_moves_taint_and_origin(shared):
    for name in ("shop_obj", "kiosk_obj", "stand_obj"):
        double = await shared("why", target=name, selector="double")
        assert double["tainted"]["document"] == "document:Doubling"
        assert double["mission"]["rounds"] == 1
        treble = await shared("versions", target=name, selector="treble")
        assert (treble["current"], [move["what"] for move in treble["moves"]]) == (0, ["unlearn"])
        assert treble["versions"][0]["examples"] == 1
        await shared("redo", target=name, selector="treble")
    recalled = await shared("recall", body={"document": "document:Doubling"})
    holders = sorted(row["object"] for row in recalled["methods"])
    assert holders[1:] == ["kiosk_obj", "shop_obj", "stand_obj"]  # and the one without a name


async def test_parting_the_clones_of_format_3_copies_no_text(tmp_path):
    path = tmp_path / "image.fs"
    shutil.copy(IMAGES / "format-3-clones.fs", path)
    image = ImageStore.open(path)
    before = path.stat().st_size
    await transact(image, migrate)
    records = 3 * (4 + 4 + 1) + 4  # per clone its methods, what is noted beside them, itself
    assert before < path.stat().st_size < before + records * 500
    await image.close()


# --- the mechanism ---


def add_motto(root):
    root["objects"]["motto_obj"] = UvmObject("motto_obj")


def drop_colour(root):
    root["objects"]["robot_obj"].remove_slot("colour")


async def test_all_steps_run_in_order_in_one_transaction(old):
    before = await transact(old, count_transactions)
    steps = {5: drop_colour, 4: add_motto, 3: None}
    assert await transact(old, lambda root: migrate(root, steps)) == 3

    def look(root):
        objects = root["objects"]
        return root["about"]["format"], "motto_obj" in objects, objects["robot_obj"].slots

    assert (await transact(old, look))[:2] == (5, True)
    assert "colour" not in (await transact(old, look))[2]
    assert await transact(old, count_transactions) == before + 1


async def test_a_step_that_fails_leaves_the_image_as_it_was(old):
    def fail(_root):
        raise StorageError("no")

    with pytest.raises(StorageError):
        await transact(old, lambda root: migrate(root, {4: add_motto, 5: fail}))
    names = await transact(old, lambda root: (root["about"]["format"], set(root["objects"])))
    assert names[0] == 3
    assert "motto_obj" not in names[1]


@pytest.mark.parametrize("claim", [None, "3", 0, -1, True])
async def test_an_image_that_does_not_say_its_format_is_refused(old, claim):
    def spoil(root):
        root["about"] = {**root["about"], "format": claim}
        open_it(root)

    with pytest.raises(StorageError, match="as its format"):
        await transact(old, spoil)


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (FORMAT + 1, "start the newer program that wrote it"),
        (OLDEST - 1, "start the program that wrote it, export what you need"),
    ],
)
async def test_an_image_of_another_format_is_refused_with_what_to_do(image, number, advice):
    await transact(image, open_it)

    def change(root):
        root["about"] = {**root["about"], "format": number}

    await transact(image, change)
    with pytest.raises(FormatError, match=advice) as caught:
        await transact(image, open_it)
    assert caught.value.details == {"format": number, "known": FORMAT}


async def test_opening_an_image_of_this_format_changes_nothing(image):
    await transact(image, open_it)
    before = await transact(image, count_transactions)
    await transact(image, open_it)
    assert await transact(image, count_transactions) == before


def test_there_is_a_step_to_every_format_after_the_oldest():
    assert sorted(STEPS) == list(range(OLDEST + 1, FORMAT + 1))


async def test_there_is_an_image_of_every_format_that_opens():
    names = await asyncio.to_thread(lambda: {path.name for path in IMAGES.glob("format-*.fs")})
    assert {f"format-{number}.fs" for number in range(OLDEST, FORMAT + 1)} <= names


@pytest.mark.parametrize(("verb", "format_after"), [("space", 6), ("pack", FORMAT)])
async def test_a_verb_that_writes_converts_an_older_image_as_a_start_does(
    tmp_path, verb, format_after
):
    shutil.copy(IMAGES / "format-6.fs", tmp_path / IMAGE)
    await do_work(tmp_path, verb, {})
    image = ImageStore.open(tmp_path / IMAGE)
    assert await transact(image, lambda root: root["about"]["format"]) == format_after
    await image.close()
    assert (tmp_path / "backups" / "format-6").exists() is (verb == "pack")


# --- what waits in an image ---


@pytest.fixture(params=["format-4-waiting.fs", "format-5.fs", "format-6.fs", "format-7.fs"])
async def waiting(request, tmp_path):
    """The present kernel on an image with missions that ended and one that waits."""
    (tmp_path / "home").mkdir(mode=0o700)
    shutil.copy(IMAGES / request.param, tmp_path / "home" / "live_image.fs")
    async with ThinkingKernel(tmp_path / "home") as running, running.client() as kernel:
        yield running, kernel.request


async def test_what_waits_in_an_older_image_lies_on_a_desk_and_is_found_by_its_key(waiting):
    running, ask = waiting

    def look(root):
        found = {key: missions.id_of(root, key) for key in ("ended", "turn", "failed", "waiting")}
        desks = {kernel: missions.ids_on(desk) for kernel, desk in root["unfinished"].items()}
        waits = [name for desk in root["unfinished"].values() for name in desk if name[:1] == "#"]
        return found, desks, len(waits) + sum(map(len, root["keys"].values()))

    found, desks, keys = await transact(running.mind.image, look)
    assert desks == {"": [found["waiting"]]}
    assert keys == 4
    again = {"args": ["colour", "red"], "ik": "turn"}
    turn = await ask("send", target="robot_obj", selector="setSlot", **again)
    assert turn["brief_id"] == found["turn"]
    running.gate.set()
    body = {"text": "Give one."}
    told = await ask("brief", target="robot_obj", selector="slow_one", ik="waiting", body=body)
    assert (told["result"], told["brief_id"]) == (1, found["waiting"])
    assert await transact(running.mind.image, missions.unfinished) == []
