"""bat_os.image.history.provenance: methods by origin, withdrawn together, and taint."""

import pytest

from bat_os.errors import ArgumentsError, NotFoundError
from bat_os.image.catalog import catalog_in
from bat_os.image.history import marks
from bat_os.image.history import provenance as recall
from bat_os.image.history.provenance import Origin
from tests.image.history.conftest import VECTOR, listed

DIGEST = "ab" * 32


@pytest.fixture
async def three(learn):
    await learn("a", 1, model="small", model_digest=DIGEST, passages=["document:x"], mission="m1")
    await learn("b", 2, model="small", model_digest=DIGEST, adapter="polite", mission="m2")
    await learn("c", 3, model="big", passages=["document:x", "document:y"])


def names(rows):
    return [row["selector"] for row in rows]


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        ("model", "small", ["a", "b"]),
        ("model", DIGEST, ["a", "b"]),
        ("model", DIGEST[:8].upper(), ["a", "b"]),
        ("model", "ab", []),
        ("model", "big", ["c"]),
        ("adapter", "polite", ["b"]),
        ("document", "document:x", ["a", "c"]),
        ("document", "document", []),
        ("mission", "m2", ["b"]),
    ],
)
async def test_methods_are_found_by_where_they_come_from(change, three, kind, value, found):
    rows = await change(lambda root, _: recall.find(root, Origin(kind, value)))
    assert names(rows) == found


async def test_the_current_version_alone_counts(change, three, learn):
    await learn("a", 9, model="big")
    rows = await change(lambda root, _: recall.find(root, Origin("model", "small")))
    assert names(rows) == ["b"]


async def test_a_recall_withdraws_all_in_one_transaction_pinned_ones_too(change, three):
    def work(root, robot):
        marks.set_mark(root, "pinned", robot.slots["a"], 1)
        return recall.withdraw(root, Origin("model", "small"), recall_id="r1", at=3.0)

    assert names(await change(work)) == ["a", "b"]
    assert await change(listed) == ["c"]
    (record,) = await change(lambda root, _: recall.recalls(root))
    assert (record["id"], record["value"], record["undone"]) == ("r1", "small", None)
    picked, left = await change(lambda root, _: recall.withdrawn(root, "r1"))
    assert ([one.selector for one in picked], left) == (["a", "b"], [])


async def test_a_recall_of_nothing_leaves_no_record(change, three):
    await change(
        lambda root, _: recall.withdraw(root, Origin("model", "none"), recall_id="r", at=1.0)
    )
    assert await change(lambda root, _: recall.recalls(root)) == []


async def test_what_was_learned_anew_meanwhile_is_left_alone(change, three, learn):
    await change(
        lambda root, _: recall.withdraw(root, Origin("mission", "m2"), recall_id="r", at=1.0)
    )
    await learn("b", 22)
    picked, (left,) = await change(lambda root, _: recall.withdrawn(root, "r"))
    assert picked == []
    assert left["reason"] == "b has version 2 by now"


async def test_a_method_whose_object_is_gone_is_left_out_with_the_reason(change, three):
    def work(root, _):
        recall.withdraw(root, Origin("mission", "m2"), recall_id="r", at=1.0)
        root["recalls"]["r"]["methods"][0]["oid"] = "f" * 16  # as after a pack
        return recall.withdrawn(root, "r")

    picked, (left,) = await change(work)
    assert picked == []
    assert left["reason"] == "robot is not in the image any more"


async def test_an_unknown_recall_is_not_found(change):
    with pytest.raises(NotFoundError, match="no recall 'x'"):
        await change(lambda root, _: recall.withdrawn(root, "x"))


@pytest.mark.parametrize(
    "body", [{}, {"model": ""}, {"model": 5}, {"model": "a", "document": "b"}, {"person": "x"}]
)
def test_an_origin_is_exactly_one_name(body):
    with pytest.raises(ArgumentsError):
        recall.read_origin(body)


@pytest.fixture
async def documents(change):
    def add(root, _robot):
        for doc_id in ("document:x", "document:y"):
            catalog_in(root).add(doc_id, doc_id, ["text"], VECTOR)

    await change(add)


async def test_a_document_that_the_catalog_does_not_have_taints_nobody(change, three):
    assert await change(lambda root, _: recall.mark_dependants(root, "document:x", at=1.0)) == []


async def test_a_changed_document_taints_those_who_cite_it_and_no_other(change, three, documents):
    rows = await change(lambda root, _: recall.mark_dependants(root, "document:x", at=4.0))
    assert names(rows) == ["a", "c"]
    assert names(await change(lambda root, _: recall.tainted(root))) == ["a", "c"]
    mark = await change(lambda root, robot: marks.flags(robot.slots["a"])["tainted"])
    assert mark == {"at": 4.0, "document": "document:x", "what": "changed", "version": 1}
    assert await change(lambda root, robot: marks.flags(robot.slots["b"])) == {}


async def test_a_new_version_is_not_tainted_by_what_the_old_one_cited(
    change, three, documents, learn
):
    await change(lambda root, _: recall.mark_dependants(root, "document:y", at=4.0))
    await learn("c", 4)
    assert await change(lambda root, robot: marks.taint(root, robot.slots["c"])) == {}
