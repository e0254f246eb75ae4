"""bat_os.image.history.taint: what a document taught reaches those who were shown it."""

import pytest

from bat_os.image.catalog import catalog_in
from bat_os.image.history import marks
from bat_os.image.history import provenance as recall
from bat_os.image.history.provenance import mark_dependants
from bat_os.image.objects import ref_of
from tests.image.history.conftest import VECTOR


@pytest.fixture
def document(change):
    async def put(doc_id="document:x"):
        await change(lambda root, _: catalog_in(root).add(doc_id, "x", ["text"], VECTOR))

    return put


@pytest.fixture
def entry(change):
    """Return a function that gives the catalog's id of a method of the robot."""

    async def of(selector):
        oid = await change(lambda _root, robot: ref_of(robot).oid)
        return f"method:{oid}:{selector}"

    return of


@pytest.fixture
async def chain(learn, document, entry):
    """``a`` cites the document, ``b`` was shown ``a``, ``c`` was shown ``b``, ``d`` none."""
    await document()
    await learn("a", 1, passages=["document:x"], created=1.0)
    await learn("b", 2, passages=[await entry("a")], created=2.0)
    await learn("c", 3, adapted_from=await entry("b"), passages=[await entry("b")], created=3.0)
    await learn("d", 4, passages=["seed:x"], created=4.0)


async def tainted(change):
    rows = await change(lambda root, _: recall.tainted(root))
    return {row["selector"]: list(row["tainted"].get("through", ())) for row in rows}


async def test_a_change_reaches_all_that_was_written_after_what_it_taught(change, chain):
    rows = await change(lambda root, _: mark_dependants(root, "document:x", at=9.0))
    assert [row["selector"] for row in rows] == ["a", "b", "c"]
    assert await tainted(change) == {"a": [], "b": ["robot.a"], "c": ["robot.a", "robot.b"]}


async def test_a_version_that_came_later_than_the_writing_does_not_count(change, chain, learn):
    await learn("a", 11, created=5.0)  # cites nothing, and b was written before it
    await change(lambda root, _: mark_dependants(root, "document:x", at=9.0))
    assert await tainted(change) == {"b": ["robot.a"], "c": ["robot.a", "robot.b"]}


async def test_what_was_written_after_another_version_is_not_reached(change, chain, learn, entry):
    await learn("a", 11, created=5.0)
    await learn("e", 5, passages=[await entry("a")], created=6.0)
    await change(lambda root, _: mark_dependants(root, "document:x", at=9.0))
    assert "e" not in await tainted(change)


async def test_a_method_shown_to_its_own_writer_and_a_circle_come_to_an_end(
    change, learn, document, entry
):
    await document()
    await learn("a", 1, passages=["document:x"], created=1.0)
    await learn("b", 2, passages=[await entry("a")], created=2.0)
    await learn("a", 3, passages=[await entry("a"), await entry("b")], created=3.0)
    await change(lambda root, _: mark_dependants(root, "document:x", at=9.0))
    assert await tainted(change) == {"b": ["robot.a"], "a": ["robot.a", "robot.b"]}


async def test_an_unlearned_method_passes_the_mark_on(change, chain, unlearn):
    await unlearn("b")
    await change(lambda root, _: mark_dependants(root, "document:x", at=9.0))
    assert set(await tainted(change)) == {"a", "c"}


async def test_what_is_written_after_a_tainted_method_is_tainted_from_the_start(
    change, chain, learn, entry
):
    await change(lambda root, _: mark_dependants(root, "document:x", at=9.0))
    await learn("e", 5, passages=[await entry("c")], created=10.0)
    assert (await tainted(change))["e"] == ["robot.a", "robot.b", "robot.c"]

    def clear(root, robot):
        marks.set_mark(root, "taint", robot.slots["c"], {})

    await change(clear)
    await learn("f", 6, passages=[await entry("c")], created=11.0)
    assert "f" not in await tainted(change)


async def test_what_another_mind_was_shown_names_no_object_here(change, learn, document, entry):
    await document()
    await learn("a", 1, passages=["document:x"], created=1.0)
    hop = {"mind": "m", "name": "", "at": 2.0}
    await learn("b", 2, passages=[await entry("a")], created=2.0, through=[hop])
    await learn("c", 3, passages=[await entry("a")], created=2.0,
                through=[hop | {"name": "rehearsal"}])  # fmt: skip
    await change(lambda root, _: mark_dependants(root, "document:x", at=9.0))
    assert set(await tainted(change)) == {"a", "c"}
