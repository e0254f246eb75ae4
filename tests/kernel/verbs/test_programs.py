"""What programs ask for: the graph, pages of it, what was committed, a model's text, vectors."""

import pytest

from bat_os.errors import ArgumentsError, ChangedError
from bat_os.image.objects import UvmObject, find

SOURCE = "def treble(self, number):\n    return number * 3\n"


async def make_many(mind, count):
    def work(root):
        first = None
        for number in range(count):
            obj = root["objects"][f"thing_{number:05}"] = UvmObject(f"thing_{number:05}")
            obj.set_slot("before", first)
            first = obj

    await mind.image.transact(work, note="make many")


async def test_ten_thousand_objects_are_listed_page_by_page(mind, ask):
    await make_many(mind, 10_000)
    for verb, part in (("list", "objects"), ("graph", "nodes")):
        seen, after = [], ""
        while True:
            page = await ask(verb, target="", after=after)
            seen += [row["name"] for row in page[part]]
            if not (after := page["next"]):
                break
        assert len(seen) == len(set(seen)) >= 10_000
        assert seen == sorted(seen)


async def test_the_graph_shows_what_refers_to_what_and_a_new_serial_for_a_new_version(mind, ask):
    await make_many(mind, 3)
    nodes = {row["name"]: row for row in (await ask("graph", target=""))["nodes"]}
    assert nodes["thing_00002"]["refers"] == ["thing_00001"]
    await ask("teach", source=SOURCE)
    one = (await ask("inspect"))["serial"]
    await ask("teach", source=SOURCE.replace("3", "1 * 3"))
    two = (await ask("inspect"))["serial"]
    assert one < two
    (genesis,) = [r for r in (await ask("graph", target=""))["nodes"] if r["name"] == "genesis_obj"]
    assert genesis["serial"] == two
    assert ["treble", "taught"] in genesis["methods"]


async def test_what_was_seen_has_to_be_so_still(mind, ask):
    seen = (await ask("inspect"))["serial"]
    await ask("teach", source=SOURCE, if_serial=seen)
    with pytest.raises(ChangedError) as refused:
        await ask("teach", source=SOURCE.replace("3", "1 * 3"), if_serial=seen)
    now = (await ask("inspect"))["serial"]
    assert refused.value.details["serial"] == now
    with pytest.raises(ChangedError):
        await ask("unlearn", "treble", if_serial=seen)
    await ask("unlearn", "treble", if_serial=now)


async def test_moments_are_listed_newest_first_and_page_by_page(mind, ask):
    for number in range(7):
        await mind.image.transact(
            lambda root, n=number: find(root, "genesis_obj").set_slot("n", n), note=f"set {number}"
        )
    first = await ask("moments", target="", limit=3)
    assert [row["note"] for row in first["moments"]] == ["set 6", "set 5", "set 4"]
    assert first["moments"][0]["names"] == ["genesis_obj"]
    then = await ask("moments", target="", limit=3, before=first["before"])
    assert [row["note"] for row in then["moments"]] == ["set 3", "set 2", "set 1"]
    ids, before = [], ""
    while True:
        page = await ask("moments", target="", limit=2, before=before)
        ids += [row["id"] for row in page["moments"]]
        if not (before := page["before"]):
            break
    assert ids == sorted(set(ids), reverse=True)
    assert len(ids) >= 8


async def test_a_persona_goes_on_with_a_conversation(mind, ask):
    told = await ask("generate", target="", messages=[["system", "Be brief."], ["user", "hello"]])
    assert told["text"].strip() == "return number * 2"
    assert told["persona"] == "ROBIN"
    for wrong in ([], [["user"]], [["tool", "x"]], [["user", 1]], ["x"], [["user", "x"]] * 101):
        with pytest.raises(ArgumentsError):
            await ask("generate", target="", messages=wrong)
    with pytest.raises(ArgumentsError):
        await ask("generate", target="", messages=[["user", "x"]], persona_id="NOBODY")


async def test_texts_become_vectors_as_search_has_them(mind, ask):
    told = await ask("embed", target="", input=["a bat", "a bat", "tax"])
    one, two, other = told["vectors"]
    assert one == two != other
    assert sum(x * x for x in one) == pytest.approx(1.0, abs=1e-3)
    for wrong in ([], [1], ["x"] * 257):
        with pytest.raises(ArgumentsError):
            await ask("embed", target="", input=wrong)
