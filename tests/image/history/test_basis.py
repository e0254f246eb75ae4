"""bat_os.image.history.basis: a method is stale once something under it has changed."""

import pytest

from bat_os.image.catalog import catalog_in
from bat_os.image.history import basis, marks, staleness
from bat_os.image.history.versions import Skill, install
from bat_os.image.objects import UvmObject
from tests.image.history.conftest import VECTOR

SOURCE = "def total(self, n):\n    return self.add(n) + self.colour() + other.gone(n)\n"


@pytest.fixture
async def total(change, learn):
    """A method that calls one of its parent's, and whose writer was shown a document."""
    await change(lambda root, _: catalog_in(root).add("document:x", "x", ["text"], VECTOR))
    await learn("add", 1)
    skill = Skill("total", SOURCE, "taught", {"passages": ["document:x", "seed:1"]}, "t", VECTOR)
    await change(lambda root, _: install(root, root["objects"]["child"], skill))


def changed(root, _robot=None):
    child = root["objects"]["child"]
    found = basis.changes(root, child, child.slots["total"])
    return [(one["what"], one["name"], one["change"]) for one in found]


async def test_nothing_is_stale_at_first(change, total):
    assert await change(changed) == []
    assert await change(lambda root, _: staleness.stale(root, 1.0)) == []


async def test_a_callee_that_has_another_version_or_is_gone_is_named(
    change, total, learn, unlearn, redo
):
    await learn("add", 2)
    assert await change(changed) == [("callee", "add", "version 1 -> 2")]
    await unlearn("add")
    assert await change(changed) == [("callee", "add", "gone")]
    await redo("add", 1)
    assert await change(changed) == []


async def test_a_callee_of_another_object_is_told(change, total, learn):
    await learn("add", 1, name="child")
    assert await change(changed) == [("callee", "add", "of another object, version 1 -> 1")]


async def test_other_parents_and_documents_are_named(change, total):
    def work(root, robot):
        other = root["objects"]["other"] = UvmObject("other", ())
        root._p_jar.add(other)
        root["objects"]["child"].parents = (robot, other)
        catalog_in(root).add("document:x", "x", ["another text"], VECTOR)

    await change(work)
    assert await change(changed) == [
        ("parents", "robot, other", "changed"), ("passage", "document:x", "changed"),
    ]  # fmt: skip
    await change(lambda root, _: catalog_in(root).remove("document:x"))
    assert ("passage", "document:x", "forgotten") in await change(changed)


async def test_what_is_verified_again_stands_on_what_is_there_now(change, total, learn):
    await learn("add", 2)

    def verify(root, _):
        child = root["objects"]["child"]
        basis.note(root, child, child.slots["total"])

    await change(verify)
    assert await change(changed) == []


async def test_the_list_has_the_marks_too(change, total, learn):
    await learn("add", 2)

    def mark(root, robot):
        taint = {"at": 1.0, "document": "document:y", "what": "changed", "version": 2}
        marks.set_mark(root, "taint", robot.slots["add"], taint)
        return staleness.stale(root, 1.0)

    rows = {row["selector"]: row for row in await change(mark)}
    assert rows["total"]["changes"][0]["name"] == "add"
    assert rows["add"]["tainted"]["document"] == "document:y"


async def test_of_a_method_without_a_record_it_says_that_nothing_is_known(change, total, learn):
    await learn("add", 2)

    def forget(root, _):
        marks.set_mark(root, basis.BASIS, root["objects"]["child"].slots["total"], {})

    await change(forget)
    assert await change(changed) == [("record", "of what it stands on", "not known")]
    (row,) = await change(lambda root, _: staleness.stale(root, 1.0))
    assert row["selector"] == "total"
