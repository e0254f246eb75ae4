"""``erase`` removes words for good: nothing in the home holds them, and all else is as it was."""

import asyncio
import datetime as dt
import gzip
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from BTrees.OOBTree import OOBTree
from ZODB.TimeStamp import TimeStamp

from bat_os.app.library import load_codex
from bat_os.core.moments import parse_when
from bat_os.core.protocol import pack
from bat_os.errors import ArgumentsError, ConflictError, NotFoundError, RemoteError
from bat_os.image import answered, memory, missions
from bat_os.image.catalog import catalog_in
from bat_os.image.facts import Fact
from bat_os.image.files.chronicle import chronicle
from bat_os.image.files.fork import fork
from bat_os.image.history.moments import read_at, resolve
from bat_os.image.objects import UvmObject, tree_of
from bat_os.image.store import ImageStore
from bat_os.kernel.verbs.erase import erase
from bat_os.kernel.verbs.files import WORKS
from tests.campaign.upkeep_worker import WORD
from tests.forks import PYTHON
from tests.image.files.images import blob_text, make_image, put, slot, teach
from tests.kernel.minds import make_mind, open_mission, script
from tests.kernels import ANSWERS, ROOT, KernelProcess, write_script

WORK = {"words": "", "id": "", "yes": True}


def holds(data, depth=2):
    """Return whether bytes hold the word, also where zlib or gzip packed it; by other means.

    A record of an image is packed, and may hold what is packed once more.
    """
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    if WORD.lower().encode() in data.lower():
        return True
    for start in re.finditer(rb"\x78[\x01\x5e\x9c\xda]", data) if depth else ():
        try:
            part = zlib.decompressobj().decompress(data[start.start() :])
        except zlib.error:
            continue
        if holds(part, depth - 1):
            return True
    return False


def find_word(home):
    """Return every file below a folder that holds the word."""
    files = (path for path in sorted(home.rglob("*")) if path.is_file())
    return [str(path.relative_to(home)) for path in files if holds(path.read_bytes())]


async def tid_of(image):
    return await image.transact(lambda root: root._p_jar.db().lastTransaction().hex(), note="look")


@pytest.fixture
async def image(tmp_path):
    store = await make_image(tmp_path / "home" / "live_image.fs")
    yield store
    await store.close()


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.timeout(300)
async def test_a_word_that_was_put_everywhere_is_in_no_byte_of_the_home(tmp_path):
    kernel = KernelProcess(tmp_path / "home", write_script(tmp_path / "script.jsonl", ANSWERS))
    home = kernel.home
    kernel.start()
    try:
        await kernel.until_ready()
        async with kernel.client() as client:
            await _fill(client, home)
            before = (await client.request("chronicle", timeout=60))["chronicle"]
            listed = await client.request("erase", body={"words": WORD.upper()}, timeout=120)
            assert not listed["erased"]
            assert listed["past"]["records"] > 5
            assert {place["kind"] for place in listed["places"]} >= {
                "object", "method", "document", "request", "talks", "facts"
            }  # fmt: skip
            assert (await client.request("chronicle", timeout=60))["chronicle"] == before
            held = find_word(home)
            assert {"live_image.fs", "metacognition.jsonl", "chat_history"} <= set(held)
            done = await client.request(
                "erase", body={"words": WORD.lower(), "yes": True}, timeout=120
            )
            assert done["erased"]
            assert done["left"] == []
            removals = {one["remove"] for one in done["elsewhere"]}
            assert removals == {
                "batos fork twin --drop", f"rm {home}/all.tar.gz", f"rm -r {home}/safe",
                f"rm {home}/mine.txt",
            }  # fmt: skip
            await client.request("fork.drop", body={"name": "twin"}, timeout=60)
            (home / "all.tar.gz").unlink()
            (home / "mine.txt").unlink()
            for path in sorted((home / "safe").rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            assert find_word(home) == []
            await _look_at_the_rest(client)
    finally:
        kernel.stop()
    assert find_word(home) == []


async def _fill(client, home):
    async def send(selector, *args, **fields):
        return await client.request("send", target="genesis_obj", selector=selector,
                                    args=list(args), timeout=120, **fields)  # fmt: skip

    await send("setSlot", "note", f"my code is {WORD}, and that is all")
    await send("setSlot", "shopping", ["milk", f"a {WORD}"])
    await send("setSlot", "colour", "red")
    for title, text in (
        ("bats", "Bats hang upside down."), ("diary", _text()), (f"about {WORD}", "It is a name.")
    ):  # fmt: skip
        await client.request("learn", body={"title": title, "text": text}, timeout=120)
    for source in (
        f'def greet(self):\n    """Greet {WORD}."""\n    return "hello"\n',
        "def treble(self, number):\n    return number * 3\n",
    ):
        await client.request("teach", target="genesis_obj", body={"source": source}, timeout=60)
    await send("double", 21, body={"text": "double the number"}, key=f"key-{WORD}-1")
    with pytest.raises(RemoteError):
        await send("never_works", 21, body={"text": f"find {WORD}"}, key=f"key-{WORD}-2")
    await client.request("say", body={"text": f"remember that {WORD} is my cat"}, timeout=60)
    await client.request("discuss", body={"text": f"who is {WORD}?"}, timeout=60)
    await client.request("fork", body={"name": "twin"}, timeout=60)
    await client.request("backup", body={"folder": str(home / "safe")}, timeout=60)
    body = {"file": str(home / "all.tar.gz"), "reason": f"before {WORD}"}
    await client.request("archive", body=body, timeout=60)
    (home / "log" / "crash").mkdir(parents=True, exist_ok=True)
    (home / "log" / "kernel.log").write_text(f"INFO all is well\nINFO {WORD} came\n")
    (home / "log" / "crash" / "20261122.json").write_text(json.dumps({"log": [f"x {WORD}"]}))
    (home / "chat_history").write_text(f"\n# 2026\n+remember {WORD.upper()}\n+what is 2 + 2\n")
    (home / "mine.txt").write_text(f"a note of mine: {WORD}")
    (home / "live_image.fs.tr0").write_bytes(b"FS30" + WORD.encode())


def _text():
    return f"Monday was fine. The sun shone.\n\n{WORD} came on Tuesday.\n\nWednesday was quiet."


async def _look_at_the_rest(client):
    slots = (await client.request("inspect", target="genesis_obj", timeout=60))["slots"]
    assert slots["colour"] == "red"
    assert slots["note"] == "my code is [erased], and that is all"
    assert slots["shopping"] == ["milk", "a [erased]"]
    for selector, result in (("double", 42), ("treble", 63)):
        told = await client.request(
            "send", target="genesis_obj", selector=selector, args=[21], timeout=60
        )
        assert told["result"] == result
    titles = [one["title"] for one in (await client.request("documents", timeout=60))["documents"]]
    assert titles == ["bats", "diary"]
    found = await client.request("search", body={"text": "Tuesday", "kind": "document"}, timeout=60)
    assert "[erased] came on Tuesday" in found["passages"][0]["text"]
    versions = await client.request("versions", target="genesis_obj", selector="greet", timeout=60)
    assert versions["current"] == 0
    # The same conversation is written again.
    await client.request("say", body={"text": "what is 2 + 2"}, timeout=60)
    checked = await client.request("verify", timeout=120)
    assert checked["damaged"] == []


async def test_conversations_facts_and_packed_records_go_as_a_whole(image, tmp_path):
    def fill(root):
        tree_of(root, "conversations")["one"] = talk = UvmObject("conversation_one")
        talk.slots = {"exchanges": [{"said": f"I am {WORD}"}]}
        for key, said in (("k1", WORD), ("k2", "Ann")):
            answered.put(root, key, "asked", 1.0, pack({"text": f"I will remember {said}."}), "c")
        for fact_id, said in (("f1", f"{WORD} is very kind"), ("f2", "Ann is kind")):
            memory.keep(root, Fact(fact_id, said, 1.0), np.ones((1, 4), np.float32) / 2)
        meta = {"source": f"{WORD}.md", "pages": 1, "sha256": "0" * 64}
        vectors = np.ones((1, 4), np.float32) / 2
        catalog_in(root).add("diary", "Diary", [f"{WORD} came."], vectors, meta=meta)
        for number in range(200):  # many buckets
            tree_of(root, "experience")[f"{number:04}"] = zlib.compress(pack({"n": number}))
        tree_of(root, "experience")["0100"] = zlib.compress(pack({"wish": f"find {WORD}"}))
        root["about"] = {**root["about"], "name": f"{WORD}'s image"}
        root["inner"] = OOBTree({f"key {WORD}": OOBTree({"a": 1}), "b": OOBTree({WORD: 2})})

    await image.transact(fill, note=f"fill {WORD}")
    done = await erase(image, WORK | {"words": f"{WORD} is very"})
    assert "f2" in await image.transact(lambda root: list(root["facts"]), note="look")
    assert (
        await image.transact(lambda root: WORD.lower() in root["facts_by_word"], note="l") is False
    )
    done = await erase(image, WORK | {"words": WORD})
    assert done["left"] == []

    def look(root):
        assert list(root["conversations"]) == []
        assert list(root["answers"]) == ["k2"]
        assert list(root["facts"]) == ["f2"]
        assert catalog_in(root).doc_ids("fact") == ["fact:f2"]
        (diary,) = catalog_in(root).documents("document", {})
        assert diary.meta == {"source": "[erased].md", "pages": 1}  # and no digest of its source
        assert len(root["experience"]) == 199
        assert root["about"]["name"] == "[erased]'s image"
        assert list(root["inner"]) == ["b"]
        assert list(root["inner"]["b"]) == []

    await image.transact(look, note="look")
    assert find_word(tmp_path / "home") == []


async def test_moments_before_the_words_and_after_the_erasure_are_what_they_were(image):
    await put(image, "robot_obj", colour="blue")
    early = await tid_of(image)
    await put(image, "robot_obj", colour=WORD)
    await put(image, "other_obj", size=1)
    between = await tid_of(image)
    await put(image, "robot_obj", colour="green")
    await erase(image, WORK | {"words": WORD})
    late = await tid_of(image)
    await put(image, "robot_obj", colour="white")

    def colour(root):
        return root["objects"]["robot_obj"].slots["colour"]

    async def at(tid):
        moment = parse_when(tid, dt.datetime.now().astimezone())
        found = await image.transact(lambda root: resolve(root, moment), note="resolve")
        return await read_at(image, found, colour)

    assert await at(early) == "blue"
    assert await at(late) == "green"
    with pytest.raises(NotFoundError, match="was erased"):
        await at(between)
    assert await slot(image, "other_obj", "size") == 1


async def test_what_names_its_words_by_an_id_erases_all_of_its_text(image, tmp_path):
    await put(image, "robot_obj", note=f"hello {WORD}", more="keep this")
    await erase(image, WORK | {"id": "robot_obj.note"})
    assert await slot(image, "robot_obj", "note") == "[erased]"
    assert await slot(image, "robot_obj", "more") == "keep this"
    assert find_word(tmp_path / "home") == []
    with pytest.raises(NotFoundError, match="no document, fact or slot"):
        await erase(image, WORK | {"id": "nobody_obj.note"})


@pytest.mark.parametrize(
    ("words", "match"),
    [("", "say the words"), ("ab", "too short"), ("_ _ _", "too short"), ("x" * 30_000, "most"),
     ("percent of", "the program itself")],
)  # fmt: skip
async def test_words_that_would_harm_are_refused(image, words, match):
    with pytest.raises(ArgumentsError, match=match):
        await erase(image, WORK | {"words": words})


async def test_what_the_program_says_too_goes_where_a_person_said_it_and_stays_where_it_did_not(
    image, tmp_path
):
    mind = make_mind(image, None, script(" return None"))
    await load_codex(mind)
    said = {}

    def look(root):
        catalog = catalog_in(root)
        first = catalog.doc_ids("codex")[0]
        said["codex"] = first
        return catalog.document(first).passages[0]

    line = await image.transact(look, note="look")
    words = " ".join(line.split()[:6])
    before = await tid_of(image)
    await put(image, "robot_obj", note=f"you told me: {words}")
    listed = await erase(image, {"words": words, "id": "", "yes": False})
    done = await erase(image, WORK | {"words": words})
    fates = {one["what"]: one["fate"] for one in done["places"]}
    assert listed["places"] == done["places"]
    assert fates[said["codex"]].startswith("stays")
    assert fates["robot_obj.note"] == "blanked"
    assert words not in await slot(image, "robot_obj", "note")
    assert await image.transact(look, note="look") == line
    assert done["past"]["since"] > TimeStamp(bytes.fromhex(before)).timeTime()
    assert done["left"] == []


async def test_an_example_of_the_manual_is_erased_like_any_other_sentence(image, tmp_path):
    words = "my sister's birthday"
    await put(image, "robot_obj", note=f"{words} is 3 May")
    done = await erase(image, WORK | {"words": words})
    assert [one["what"] for one in done["places"]] == ["robot_obj.note"]
    assert await slot(image, "robot_obj", "note") == "[erased] is 3 May"


async def test_an_erased_source_is_never_another_method(image):
    await teach(image, "robot_obj", f"def wave(self):\n    return '{WORD}'\n")
    await erase(image, WORK | {"words": WORD})

    def look(root):
        method = root["objects"]["robot_obj"].slots["wave"]
        (version,) = method.versions
        return method.current, version.is_whole, version.source

    assert await image.transact(look, note="look") == (
        -1, True, "# The text of this version was erased.\n"
    )  # fmt: skip


async def test_words_of_a_request_that_is_being_worked_on_are_kept_until_it_ends(image, tmp_path):
    mission = await open_mission(image, "wave", text=f"wave to {WORD}")
    with pytest.raises(ConflictError, match=mission):
        await erase(image, WORK | {"words": WORD})
    await image.transact(lambda root: missions.let_go(root, mission), note="let go")
    await erase(image, WORK | {"words": WORD})
    assert find_word(tmp_path / "home") == []
    assert await image.transact(lambda root: list(root["missions"]), note="look") == []


async def test_copies_outside_of_the_home_are_named_and_also_those_that_are_away(image, tmp_path):
    await put(image, "robot_obj", note=WORD)
    kept, away, gone = (tmp_path / name for name in ("my disk", "away", "all"))
    for _ in range(2):
        await WORKS["backup"](image, {"folder": str(kept), "full": False, "copy": False})
    await WORKS["backup"](image, {"folder": str(away), "full": False, "copy": False})
    shutil.rmtree(away)
    await WORKS["export.all"](image, {"folder": str(gone)})
    inside = tmp_path / "home" / "safe"
    await WORKS["backup"](image, {"folder": str(inside), "full": False, "copy": False})
    done = await erase(image, WORK | {"words": WORD})
    assert {one["remove"]: one["what"] for one in done["elsewhere"]} == {
        f"rm -r '{kept}'": f"backup {kept}",
        f"rm -r {away}": f"backup {away}, which may hold them: it cannot be looked at from here",
        f"rm -r {gone}": f"export {gone}",
        f"rm -r {inside}": f"backup {inside}",
    }
    noted = await image.transact(lambda root: chronicle(root, "backup"), note="look")
    assert [entry["folder"] for entry in noted] == [str(kept), str(away)]


async def test_a_fork_loses_the_words_and_names_what_it_began_with(image, tmp_path):
    await put(image, "robot_obj", note=WORD)
    made = await fork(image, "twin")
    twin = ImageStore.open(Path(made["home"]) / "live_image.fs")
    done = await erase(twin, WORK | {"words": WORD})
    assert await slot(twin, "robot_obj", "note") == "[erased]"
    await twin.close()
    assert "cannot be changed" in done["left"][0]
    assert done["elsewhere"] == [
        {"what": "what this fork began with",
         "remove": "of the image that it comes from, batos fork twin --drop"}
    ]  # fmt: skip
    assert await slot(image, "robot_obj", "note") == WORD


@pytest.mark.slow
@pytest.mark.parametrize("point", ["redacted", "written", "switched", "blanked"])
async def test_a_killed_erasure_loses_nothing_else_and_is_ended_by_the_next(tmp_path, point):
    image = await make_image(tmp_path / "home" / "live_image.fs")
    await image.close()
    (tmp_path / "home" / "log").mkdir()
    (tmp_path / "home" / "log" / "kernel.log").write_text(f"{WORD}\nall is well\n")
    assert _work_on(tmp_path, BATOS_FAILPOINT=f"erase.{point}:kill") == -signal.SIGKILL
    image = ImageStore.open(tmp_path / "home" / "live_image.fs")
    assert await slot(image, "robot_obj", "colour") == "red"
    assert await blob_text(image) == b"the weights"
    await image.close()
    assert _work_on(tmp_path) == 0
    assert find_word(tmp_path / "home") == []
    image = ImageStore.open(tmp_path / "home" / "live_image.fs")
    assert await slot(image, "robot_obj", "colour") == "red"
    assert await blob_text(image) == b"the weights"
    await image.close()
    assert "all is well" in (tmp_path / "home" / "log" / "kernel.log").read_text()


def _work_on(folder, **environ):
    command = [PYTHON, "-m", "tests.campaign.upkeep_worker", "erase", str(folder), "toy"]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environ, check=False).returncode


@pytest.mark.skipif(
    importlib.util.find_spec("psycopg2") is None or "BATOS_TEST_POSTGRES" not in os.environ,
    reason="BATOS_TEST_POSTGRES names no PostgreSQL server, or its driver is missing",
)
async def test_words_in_a_database_server_are_erased_with_all_history():
    image = ImageStore.open(os.environ["BATOS_TEST_POSTGRES"])
    await image.transact(lambda root: root.__setitem__("note", WORD), note=f"note {WORD}")
    done = await erase(image, WORK | {"words": WORD})
    assert done["left"] == []
    assert await image.transact(lambda root: root["note"], note="look") == "[erased]"
    await image.close()


async def test_words_with_accents_spaces_and_escapes_are_found_in_every_form(image, tmp_path):
    home = tmp_path / "home"
    (home / "log").mkdir()
    (home / "log" / "kernel.log").write_text(
        "Zu\u0308rich_QUORVEXIL\nz\\u00fcrich quorvexil\nZÜRICH  Quorvexil\nzurich quorvexil\n"
    )
    size = (home / "log" / "kernel.log").stat().st_size
    done = await erase(image, WORK | {"words": "Zürich Quorvexil"})
    assert done["files"] == [str(home / "log" / "kernel.log")]
    lines = (home / "log" / "kernel.log").read_text().splitlines()
    assert [set(line) for line in lines[:3]] == [{"x"}] * 3
    assert lines[3] == "zurich quorvexil"
    assert (home / "log" / "kernel.log").stat().st_size == size


async def test_what_is_written_while_it_runs_is_not_lost(image, tmp_path):
    await put(image, "robot_obj", note=WORD)
    writing = [asyncio.create_task(put(image, f"busy{n}_obj", size=n)) for n in range(30)]
    done = await erase(image, WORK | {"words": WORD})
    await asyncio.gather(*writing)
    assert done["left"] == []
    assert [await slot(image, f"busy{n}_obj", "size") for n in range(30)] == list(range(30))
    await image.close()
    again = ImageStore.open(tmp_path / "home" / "live_image.fs")
    assert await slot(again, "robot_obj", "note") == "[erased]"
    assert await slot(again, "busy29_obj", "size") == 29
    await again.close()


async def test_a_transaction_that_saw_the_words_runs_again_without_them(image):
    await put(image, "robot_obj", note=WORD)
    begun, erased, seen = threading.Event(), threading.Event(), []

    def write(root):
        robot = root["objects"]["robot_obj"]
        seen.append(robot.slots["note"])
        begun.set()
        erased.wait(60)
        robot.set_slot("copy", robot.slots["note"])

    writing = asyncio.create_task(image.transact(write, note="copy the note"))
    await asyncio.to_thread(begun.wait, 60)
    await erase(image, WORK | {"words": WORD})
    erased.set()
    await writing
    assert seen == [WORD, "[erased]"]
    assert await slot(image, "robot_obj", "copy") == "[erased]"
