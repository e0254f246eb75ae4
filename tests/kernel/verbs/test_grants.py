"""Grants: a person gives them, they are walked at every call, and nothing else makes one."""

from dataclasses import replace

import pytest

from bat_os.app.library import load_library
from bat_os.core.brief import Brief
from bat_os.core.protocol import Request
from bat_os.core.verbs import check
from bat_os.errors import (
    ArgumentsError,
    CellError,
    GrantWantedError,
    NotFoundError,
    NotGrantedError,
)
from bat_os.image import grants
from bat_os.image.history.uses import flush
from bat_os.image.objects import find
from bat_os.kernel.learning.trial import try_turn
from bat_os.kernel.reach import Answers
from bat_os.kernel.turn import Candidate, take_turn
from bat_os.kernel.verbs.moments import send_at
from bat_os.ports import READ, Operation
from bat_os.world.files import Files
from tests.kernel.minds import make_mind, script

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Counting(Files):
    """The real driver, which counts what it is asked."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def perform(self, scope, operation, args):
        self.asked.append((operation, *args))
        return super().perform(scope, operation, args)


@pytest.fixture
def driver():
    return Counting()


@pytest.fixture
async def mind(image, cell, driver):
    mind = replace(make_mind(image, cell, script(" return 1")), drivers={"files": driver})
    await load_library(mind)
    return mind


@pytest.fixture
def notes(tmp_path):
    folder = tmp_path / "notes"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("one\ntwo\n")
    (folder / "deep" / "b.txt").write_text("deep")
    return folder


@pytest.fixture
def send(mind):
    """Return a function that sends a message and returns the value."""

    async def run(target, selector, *args, **kwargs):
        brief = Brief(target, selector, args, kwargs)
        return (await take_turn(mind.image, mind.cell, brief, reach=mind)).value

    return run


async def test_a_granted_folder_is_an_object_that_methods_read(ask, taught, send, notes):
    told = await ask("grant", what=str(notes))
    assert (told["object"], told["state"]) == ("notes_obj", "live")
    assert await send("notes_obj", "read", "a.txt") == "one\ntwo\n"
    await taught("def count_lines(self, path):\n    return len(self.notes.read(path).splitlines())")
    assert await send("genesis_obj", "count_lines", "a.txt") == 2
    (listed,) = (await ask("grants"))["grants"]
    assert (listed["object"], listed["operations"][:2]) == ("notes_obj", ["read", "names"])


async def test_without_a_grant_a_message_says_what_it_wants(send, taught, notes):
    with pytest.raises(GrantWantedError) as caught:
        await send("files_obj", "read", str(notes / "a.txt"))
    assert caught.value.details == {
        "driver": "files", "operation": "read", "what": [str(notes / "a.txt")]
    }  # fmt: skip
    await send("genesis_obj", "setSlot", "files", {"ref": "files_obj"})
    await taught(
        "def greedy(self):\n    try:\n        return self.files.read('/etc/passwd')\n"
        "    except Exception:\n        return 'went on'"
    )
    with pytest.raises(GrantWantedError):
        await send("genesis_obj", "greedy")


async def test_a_clone_reaches_nothing(ask, send, notes):
    await ask("grant", what=str(notes))
    await send("notes_obj", "clone", "twin_obj")
    with pytest.raises(GrantWantedError):
        await send("twin_obj", "read", "a.txt")
    assert await send("notes_obj", "read", "a.txt") == "one\ntwo\n"


async def test_a_child_reaches_nothing_whatever_its_parents_are(ask, send, taught, notes):
    await ask("grant", what=str(notes))
    await ask("derive", target="notes_obj", name="kid_obj")
    with pytest.raises(GrantWantedError):
        await send("kid_obj", "read", "a.txt")
    await taught("def sneak(self):\n    return self.notes.derive().read('a.txt')\n")
    with pytest.raises(GrantWantedError):
        await send("genesis_obj", "sneak")


async def test_an_object_with_a_grant_is_renamed_with_it_and_deleted_without(ask, send, notes):
    await ask("grant", what=str(notes))
    await ask("rename", target="notes_obj", name="papers_obj")
    assert await send("papers_obj", "read", "a.txt") == "one\ntwo\n"
    assert [one["object"] for one in (await ask("grants"))["grants"]] == ["papers_obj"]
    with pytest.raises(ArgumentsError) as caught:
        await ask("delete", target="papers_obj")
    assert "its grant" in caught.value.details["referrers"]
    gone = await ask("delete", target="papers_obj", force=True)
    assert (await ask("grants"))["grants"][0]["state"] == "revoked"
    await ask("undo", transaction=gone["transaction"])
    with pytest.raises(NotGrantedError, match="ended"):
        await send("papers_obj", "read", "a.txt")


async def test_a_revoked_grant_is_dead_at_the_next_message_and_so_is_what_it_holds(
    ask, send, notes
):
    await ask("grant", what=str(notes))
    await ask("narrow", target="notes_obj", what=str(notes / "deep"))
    assert await send("deep_obj", "read", "b.txt") == "deep"
    with pytest.raises(NotGrantedError):
        await send("deep_obj", "read", str(notes / "a.txt"))
    assert (await ask("revoke", target="notes_obj"))["revoked"] == ["notes_obj", "deep_obj"]
    for target, path in (("notes_obj", "a.txt"), ("deep_obj", "b.txt")):
        with pytest.raises(NotGrantedError, match="ended"):
            await send(target, "read", path)
    states = {one["object"]: one["state"] for one in (await ask("grants"))["grants"]}
    assert states == {"notes_obj": "revoked", "deep_obj": "revoked"}
    assert (await ask("revoke", target="notes_obj"))["revoked"] == []


async def test_a_part_is_never_more_than_the_whole(ask, notes, tmp_path):
    await ask("grant", what=str(notes / "deep"), only="names")
    for wanted in ({"what": str(notes)}, {"what": str(tmp_path)},
                   {"what": str(notes / "deep"), "only": "names,read"}):  # fmt: skip
        with pytest.raises(ArgumentsError, match="not a part"):
            await ask("narrow", target="deep_obj", name="more", **wanted)
    assert len((await ask("grants"))["grants"]) == 1


async def test_messages_that_were_not_granted_are_refused(ask, send, notes):
    await ask("grant", what=str(notes), only="names")
    assert await send("notes_obj", "names") == ["a.txt", "deep/"]
    with pytest.raises(NotGrantedError, match="no grant to read"):
        await send("notes_obj", "read", "a.txt")


async def test_a_grant_ends_when_its_time_is_over(ask, send, notes, monkeypatch):
    told = await ask("grant", what=str(notes), hours=2)
    assert await send("notes_obj", "read", "a.txt") == "one\ntwo\n"
    monkeypatch.setattr("bat_os.kernel.reach.time.time", lambda: told["until"])
    with pytest.raises(NotGrantedError, match="ended"):
        await send("notes_obj", "read", "a.txt")


async def test_a_method_has_no_way_to_make_a_grant(ask, send, taught, image, notes):
    """What a method can do to objects gives neither its object nor a new one a grant."""
    await ask("grant", what=str(notes / "deep"))
    await taught(
        "def steal(self):\n"
        "    twin = self.deep.clone()\n"
        "    twin.setSlot('scope', {'path': '/'})\n"
        "    twin.setSlot('about', 'files: /')\n"
        "    self.deep.setSlot('scope', {'path': '/'})\n"
        "    self.deep.setSlot('path', '/')\n"
        "    try:\n"
        "        return self.deep.read('/etc/hostname')\n"
        "    except RuntimeError as error:\n"
        "        return str(error)"
    )
    assert "is not in" in await send("genesis_obj", "steal")
    given = await image.transact(lambda root: [one.name for one in grants.every(root)], note="look")
    assert given == ["deep_obj"]
    for selector in ("grant", "narrow", "revoke", "give"):
        assert selector not in await send("deep_obj", "selectors")


async def test_a_message_that_runs_again_is_given_the_same_answer(
    ask, taught, mind, notes, driver, monkeypatch
):
    await ask("grant", what=str(notes))
    await taught(
        "def copy_it(self):\n    self.text = self.notes.read('a.txt')\n    return self.text"
    )
    overtaken = []
    real = mind.image.transact

    async def overtake(work, *, note="", **more):
        if note.startswith("genesis_obj copy_it") and not overtaken:
            overtaken.append(note)
            (notes / "a.txt").write_text("changed meanwhile")
            await real(lambda root: root["objects"]["genesis_obj"].set_slot("x", 1), note="move on")
        return await real(work, note=note, **more)

    monkeypatch.setattr(mind.image, "transact", overtake)
    brief = Brief("genesis_obj", "copy_it")
    answer = await take_turn(mind.image, mind.cell, brief, reach=mind)
    assert answer.value == "one\ntwo\n"
    assert overtaken
    assert driver.asked == [("read", "a.txt", 0)]


async def test_candidates_are_tried_on_one_world(ask, mind, notes, driver):
    await ask("grant", what=str(notes))
    answers = Answers()
    values = []
    for body in ("len(self.notes.read('a.txt'))", "self.notes.read('a.txt').count('o')"):
        trial = Candidate("try_it", f"def try_it(self):\n    return {body}")
        brief = Brief("genesis_obj", "try_it")
        values.append((await try_turn(mind.image, mind.cell, brief, trial, mind, answers)).value)
        (notes / "a.txt").write_text("oooooooooooooooo")
    assert values == [8, 2]
    assert len(driver.asked) == 1


async def test_one_message_asks_the_world_so_often_and_no_more(ask, taught, send, notes, driver):
    await ask("grant", what=str(notes))
    await taught("def flood(self):\n    return sum(len(self.notes.names()) for _ in range(1000))")
    with pytest.raises(CellError, match="200 times"):
        await send("genesis_obj", "flood")
    assert len(driver.asked) <= 201


async def test_the_past_does_not_reach_the_world(ask, mind, notes, driver):
    await ask("grant", what=str(notes))
    request = check(
        Request("send", target="notes_obj", selector="read", args=("a.txt",), body={"at": "now"})
    )
    with pytest.raises(NotGrantedError, match="the past"):
        await send_at(mind, request, lambda told: None)
    assert not driver.asked


async def test_names_that_are_taken_and_objects_without_a_grant_are_refused(ask, notes):
    await ask("grant", what=str(notes))
    assert (await ask("grant", what=str(notes)))["object"] == "notes_2_obj"
    with pytest.raises(ArgumentsError, match="--as NAME"):
        await ask("grant", what=str(notes), name="notes")
    assert (await ask("grant", what=str(notes), name="diary"))["object"] == "diary_obj"
    with pytest.raises(NotFoundError, match="no grant"):
        await ask("revoke", target="genesis_obj")
    with pytest.raises(ArgumentsError, match="it has read"):
        await ask("grant", what=str(notes), name="x", only="wipe")


async def test_what_was_revoked_is_granted_again_to_the_same_object_and_nothing_else_with_it(
    ask, mind, notes, tmp_path
):
    first = await ask("grant", what=str(notes))
    (tmp_path / "out").mkdir()
    await ask("grant", what=str(tmp_path / "out"))
    await ask("narrow", target="notes_obj", what=str(notes / "a.txt"), name="part")
    await ask("allow", source="notes_obj", sink="out_obj")
    await ask("revoke", target="notes_obj")
    other = tmp_path / "other" / "notes"
    other.mkdir(parents=True)
    with pytest.raises(ArgumentsError, match="--as NAME"):
        await ask("grant", what=str(other), name="notes")
    again = await ask("grant", what=str(notes))
    assert (again["object"], again["state"]) == (first["object"], "live")
    states = {one["object"]: one["state"] for one in (await ask("grants"))["grants"]}
    assert states == {"notes_obj": "live", "part_obj": "revoked", "out_obj": "live"}
    assert (await ask("flows"))["flows"] == []


async def test_what_the_world_answers_is_no_fault_of_the_method(ask, taught, send, notes):
    await ask("grant", what=str(notes))
    await taught("def first(self, path):\n    return self.notes.read(path)[0]")
    for path in ("gone.txt", "lost.txt", "missing.txt"):
        with pytest.raises(CellError, match=path):
            await send("genesis_obj", "first", path)
    await ask("revoke", target="notes_obj")
    with pytest.raises(CellError, match="has ended"):
        await send("genesis_obj", "first", "a.txt")
    why = await ask("why", "first")
    assert (why["faults"], why["failing"]) == ([], {})


async def test_what_a_method_makes_of_an_answer_is_its_own_fault(ask, taught, send, notes):
    await ask("grant", what=str(notes))
    await taught(
        "def first(self, path):\n    try:\n        return self.notes.read(path)\n"
        "    except Exception as error:\n        raise ValueError('I gave up') from error"
    )
    with pytest.raises(CellError, match="gave up"):
        await send("genesis_obj", "first", "gone.txt")
    assert len((await ask("why", "first"))["faults"]) == 1


async def test_why_names_the_grants_that_a_method_has_used(ask, taught, send, notes, mind):
    await ask("grant", what=str(notes))
    await ask("grant", what=str(notes / "deep"), name="deep")
    source = (
        "def read_one(self, deep):\n"
        "    return self.deep.read('b.txt') if deep else self.notes.read('a.txt')"
    )
    await taught(source)
    assert (await ask("why", "read_one"))["grants"] == []
    await send("genesis_obj", "read_one", False)
    (used,) = (await ask("why", "read_one"))["grants"]
    assert (used["object"], used["used"]["count"]) == ("notes_obj", 1)
    await flush(mind.image)
    assert (await ask("why", "read_one"))["grants"] == [used]
    await send("genesis_obj", "read_one", True)
    await send("notes_obj", "read", "a.txt")  # a person, and no method
    both = {one["object"]: one["used"]["count"] for one in (await ask("why", "read_one"))["grants"]}
    assert both == {"notes_obj": 1, "deep_obj": 1}


class Outside:
    """A driver of pages or of programs that answers what it was asked."""

    def __init__(self, name):
        self.name = name

    def claims(self, what):
        return False

    def describe(self, scope):
        return scope["path"]

    def operations(self, scope):
        return {"fetch": Operation(READ), "run": Operation(READ)}

    def contains(self, outer, inner):
        return outer == inner

    def perform(self, scope, operation, args):
        return {"status": 0, "output": str(args)} if operation == "run" else f"page {args[0]}"


@pytest.mark.parametrize(
    ("slot", "call", "command", "answer"),
    [
        ("web", "fetch('a.html')", "batos grant https://HOST", "page a.html"),
        ("shell", "run('wc')['output']", "batos grant 'shell:PROGRAM", "['wc', [], '']"),
    ],
)
async def test_learned_code_reaches_pages_and_programs_once_they_are_granted(
    mind, taught, slot, call, command, answer
):
    driver = Outside(slot)
    mind = replace(mind, drivers={slot: driver})
    await taught(f"def look(self):\n    return self.{slot}.{call}")

    async def look():
        brief = Brief("genesis_obj", "look")
        return (await take_turn(mind.image, mind.cell, brief, reach=mind)).value

    with pytest.raises(GrantWantedError, match=command):
        await look()

    def grant(root):
        about = {"given": 1.0, "operations": ("fetch", "run")}
        grants.give(root, driver, {"path": "/x"}, "x_obj", **about)
        find(root, "genesis_obj").set_slot(slot, find(root, "x_obj"))

    await mind.image.transact(grant, note="grant")
    assert await look() == answer
