"""Labels: what was read stays marked wherever it goes, and nothing else is."""

from dataclasses import replace

import pytest

from bat_os.app.library import load_library
from bat_os.cells.monty.monty_cell import MontyCell
from bat_os.core.brief import Brief
from bat_os.errors import BatError, GrantWantedError
from bat_os.image import grants
from bat_os.image.history.uses import flush
from bat_os.image.objects import find
from bat_os.kernel.turn import take_turn
from tests.kernel.minds import make_mind, script
from tests.world.scripted import Scripted

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def driver():
    return Scripted({"/notes": "the secret is 42", "/diary": "dear diary", "/out": ""})


@pytest.fixture
async def mind(image, cell, driver):
    mind = replace(make_mind(image, cell, script(" return 1")), drivers={"files": driver})
    await load_library(mind)
    return mind


@pytest.fixture
async def granted(ask, mind):
    for box in ("/notes", "/diary", "/out"):
        await ask("grant", what=box)


@pytest.fixture
def taught(taught):
    """Return a function that teaches methods."""

    async def teach_all(*sources, **fields):
        for source in sources:
            await taught(source, **fields)

    return teach_all


@pytest.fixture
def run(mind):
    """Return a function that sends a message and returns the whole answer."""

    async def send(selector, *args, target="genesis_obj", **brief):
        return await take_turn(
            mind.image, mind.cell, Brief(target, selector, args, **brief), reach=mind
        )

    return send


async def names(mind, label):
    return await mind.image.transact(
        lambda root: sorted(find(root, oid).name for oid in label), note="look"
    )


async def labels_in(mind, name="genesis_obj"):
    held = await mind.image.transact(lambda root: dict(find(root, name).labels), note="look")
    return {slot: await names(mind, label) for slot, label in held.items()}


READ = "def read_it(self):\n    return self.notes.read()"
KEEP = "def keep_it(self):\n    self.kept = self.notes.read()\n    self._p_changed = True"
USE = "def use_it(self):\n    return self.kept"


async def test_an_answer_carries_the_grants_that_it_is_from(granted, taught, run, mind):
    await taught(READ)
    assert await names(mind, (await run("read_it")).label) == ["notes_obj"]
    assert (await run("slotNames")).label == frozenset()


async def test_an_error_carries_the_label_too(granted, taught, run, mind):
    await taught("def fail(self):\n    return self.notes.read('/notes/none')")
    with pytest.raises(BatError) as caught:
        await run("fail")
    assert await names(mind, caught.value.details["label"]) == ["notes_obj"]


async def test_a_slot_keeps_the_label_and_who_reads_it_takes_it_over(granted, taught, run, mind):
    await taught(KEEP, USE, "def other(self):\n    return self.plain")
    await run("setSlot", "plain", 1)
    await run("keep_it")
    assert await labels_in(mind) == {"kept": ["notes_obj"]}
    assert await names(mind, (await run("use_it")).label) == ["notes_obj"]
    assert await names(mind, (await run("kept")).label) == ["notes_obj"]
    assert await names(mind, (await run("getSlot", "kept")).label) == ["notes_obj"]
    assert await names(mind, (await run("slotNames")).label) == ["notes_obj"]
    for selector in ("plain", "other"):  # beside it nothing is labelled
        assert (await run(selector)).label == frozenset()


async def test_a_slot_that_was_overwritten_or_removed_says_only_what_it_now_says(
    granted, taught, run, mind
):
    await taught(
        KEEP, USE,
        "def wipe(self):\n    if self.notes.read():\n        del self.plain\n",
        "def has_plain(self):\n    return hasattr(self, 'plain')",
    )  # fmt: skip
    await run("setSlot", "plain", 1)
    await run("keep_it")
    await run("setSlot", "kept", "mine")
    assert await labels_in(mind) == {}
    assert (await run("use_it")).label == frozenset()
    await run("wipe")
    gone = await run("has_plain")
    assert (gone.value, await names(mind, gone.label)) == (False, ["notes_obj"])
    assert await names(mind, (await run("respondsTo", "plain")).label) == ["notes_obj"]


LOOKS = [
    "self.kept", "getattr(self, 'kept', '')", "self.send(self, 'getSlot', 'kept')",
    "self.send(self, 'kept')", "hasattr(self, 'kept')", "dict(self._slots)", "len(self._slots)",
    "'kept' in self._slots", "[one for one in self._slots]", "self._slots.copy()",
    "self._slots.get('kept')", "sorted(self._slots)", "self.respondsTo('kept')",
    "self.slotNames()", "self.clone().kept()", "self.clone().getSlot('kept')",
    "self.derive().kept()", "self.clone().clone().slotNames()",
]  # fmt: skip


@pytest.mark.parametrize("look", LOOKS)
async def test_every_way_to_look_at_a_labelled_slot_brings_its_label(
    granted, taught, run, mind, look
):
    await taught(KEEP, f"def look(self):\n    return str({look})")
    await run("keep_it")
    assert await names(mind, (await run("look")).label) == ["notes_obj"]


@pytest.mark.parametrize(
    "look",
    ["self.plain", "getattr(self, 'nothing', 0)", "hasattr(self, 'nothing')", "self.double(2)"],
)
async def test_what_does_not_look_at_it_has_no_label(granted, taught, run, look):
    await taught(
        KEEP, "def double(self, n):\n    return 2 * n", f"def look(self):\n    return {look}"
    )
    await run("setSlot", "plain", 1)
    await run("keep_it")
    assert (await run("look")).label == frozenset()


async def test_a_reference_in_a_labelled_slot_is_reached_with_its_label(granted, taught, run, mind):
    await taught(
        "def choose(self):\n    made = self.clone()\n    made.setSlot('n', 7)\n"
        "    self.chosen = made if self.notes.read() else None\n    self._p_changed = True",
        "def use_it(self):\n    return self.chosen.n()",
        "def by_name(self):\n    return self.send('chosen', 'n')",
    )
    await run("choose")
    for selector in ("use_it", "by_name"):
        answer = await run(selector)
        assert (answer.value, await names(mind, answer.label)) == (7, ["notes_obj"])


async def test_labels_go_where_copies_children_and_names_go(granted, taught, run, ask, mind):
    await taught(KEEP, USE)
    await run("keep_it")
    await run("clone", "twin_obj")
    await ask("derive", name="kid_obj")
    assert await labels_in(mind, "twin_obj") == {"kept": ["notes_obj"]}
    for target in ("twin_obj", "kid_obj"):
        answer = await run("use_it", target=target)
        assert await names(mind, answer.label) == ["notes_obj"]
    await ask("rename", target="twin_obj", name="double_obj")
    assert await labels_in(mind, "double_obj") == {"kept": ["notes_obj"]}
    await run("setSlot", "kept", "own", target="kid_obj")  # what hides it is not from there
    assert (await run("use_it", target="kid_obj")).label == frozenset()


async def test_parents_that_were_set_by_what_was_read_are_labelled(granted, taught, run, mind):
    await taught(
        "def place(self):\n    self.made = self.derive()",
        "def move(self):\n    if self.notes.read():\n        self.made.setParents([self.notes])",
        "def ask_it(self):\n    return self.made.parents()",
    )
    await run("place")
    assert (await run("ask_it")).label == frozenset()
    await run("move")
    assert await names(mind, (await run("ask_it")).label) == ["notes_obj"]


async def test_facts_and_documents_keep_the_label(granted, taught, run, mind):
    for name in ("memory_obj", "knowledge_catalog_obj"):
        await run("setSlot", name.partition("_")[0], {"ref": name})
    await taught(
        "def note(self):\n    self.memory.remember('I saw ' + self.notes.read())",
        "def recall_it(self):\n    return self.memory.facts(5)",
        "def write_up(self):\n"
        "    self.knowledge.index_document('mine', self.notes.read() + '. It is so.', {})",
        "def look_up(self):\n    return self.knowledge.search('secret 42', 5, 'document')",
    )
    await run("note")
    await run("write_up")
    for selector in ("recall_it", "look_up"):
        answer = await run(selector)
        assert "42" in str(answer.value)
        assert await names(mind, answer.label) == ["notes_obj"]


async def test_a_message_brings_the_label_that_its_arguments_have(granted, taught, run, mind):
    await taught("def keep(self, text):\n    self.kept = text\n    return text")
    label = (await run("read", target="notes_obj")).label
    await run("keep", "42", label=tuple(label))
    assert await labels_in(mind) == {"kept": ["notes_obj"]}


async def test_the_label_is_that_of_the_whole_run_whenever_it_wrote(granted, taught, run, mind):
    await taught(
        "def early(self):\n    self.mark = 1\n    self.send(self, 'mark')\n"
        "    if '42' not in self.notes.read():\n        del self.mark"
    )
    await run("early")
    assert await labels_in(mind) == {"mark": ["notes_obj"]}


async def test_a_change_that_was_taken_back_brings_the_label_back(
    granted, taught, run, ask, mind, latest
):
    await taught(KEEP)
    await run("keep_it")
    await run("setSlot", "kept", "mine")
    await ask("undo", transaction=await latest())
    assert await labels_in(mind) == {"kept": ["notes_obj"]}


async def test_an_export_says_that_a_slot_is_from_elsewhere(granted, taught, run, ask, mind):
    await run("clone", "carrier_obj")
    await taught(KEEP, target="carrier_obj")
    await run("keep_it", target="carrier_obj")
    text = (await ask("export", target="carrier_obj"))["text"]
    await ask("import", text=text, **{"as": "brought_obj"})
    assert (await labels_in(mind, "brought_obj"))["kept"] == ["notes_obj"]


async def test_the_other_cell_asks_for_what_its_source_names(granted, taught, run, mind):
    await taught(KEEP, USE, "def other(self):\n    return self.plain")
    await run("setSlot", "plain", 1)
    await run("keep_it")
    cell = MontyCell()
    try:
        other = replace(mind, cell=cell)
        answers = [
            await take_turn(other.image, cell, Brief("genesis_obj", name), reach=other)
            for name in ("use_it", "other")
        ]
    finally:
        await cell.close()
    assert [one.value for one in answers] == ["the secret is 42", 1]
    assert [await names(mind, one.label) for one in answers] == [["notes_obj"], []]


async def test_a_grant_that_is_part_of_another_one_is_a_source_of_its_own(
    granted, ask, run, mind, driver
):
    driver.boxes["/notes/2026"] = "new"
    await ask("narrow", target="notes_obj", what="/notes/2026", name="new")
    answer = await run("read", target="new_obj")
    assert await names(mind, answer.label) == ["new_obj"]
    with pytest.raises(GrantWantedError):
        await run("search", "x", target="out_obj", label=tuple(answer.label))
    await ask("allow", source="notes_obj", sink="out_obj")  # its outer one may: so may the part
    await run("search", "x", target="out_obj", label=tuple(answer.label))
    assert driver.done == [("/out", "search", "x", "")]
    chain = await mind.image.transact(
        lambda root: [one.name for one in grants.links(root, next(iter(answer.label)))], note="look"
    )
    assert chain == ["new_obj", "notes_obj"]


async def test_grants_say_when_they_were_used_last_and_why_names_them(
    granted, taught, run, ask, mind
):
    await taught(READ, "def plain(self):\n    return 1")
    before = {one["object"]: one["used"] for one in (await ask("grants"))["grants"]}
    assert before["notes_obj"] == {"count": 0, "last": 0.0}
    await run("read_it")
    await run("read_it")
    waiting = {one["object"]: one["used"] for one in (await ask("grants"))["grants"]}
    await flush(mind.image)
    written = {one["object"]: one["used"] for one in (await ask("grants"))["grants"]}
    assert waiting == written
    assert (written["notes_obj"]["count"], written["diary_obj"]["count"]) == (2, 0)
    (reached,) = (await ask("why", "read_it"))["grants"]
    assert (reached["object"], reached["what"], reached["state"]) == ("notes_obj", "/notes", "live")
    assert reached["used"]["count"] == 2
    assert (await ask("why", "plain"))["grants"] == []


async def test_a_part_is_not_shown_as_live_once_the_whole_has_ended(granted, ask, driver, mind):
    driver.boxes["/notes/2026"] = "new"
    await ask("narrow", target="notes_obj", what="/notes/2026", name="new")
    oid = await mind.image.transact(lambda root: grants.named(root, "notes_obj").oid, note="look")
    await mind.image.transact(
        lambda root: root[grants.GRANTS].update({oid: {**root[grants.GRANTS][oid], "until": 1.0}}),
        note="end",
    )
    states = {one["object"]: one["state"] for one in (await ask("grants"))["grants"]}
    assert (states["notes_obj"], states["new_obj"]) == ("ended", "ended")
