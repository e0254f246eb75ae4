"""bat_os.image.history.versions: unlearn, redo, and the catalog in step with both."""

import pytest

from bat_os.core.digest import digest
from bat_os.errors import ArgumentsError, ConflictError, NotFoundError
from bat_os.image import family
from bat_os.image.catalog import catalog_in
from bat_os.image.history import marks, versions
from bat_os.image.objects import Method
from tests.image.history.conftest import VECTOR, listed


def answers(selector):
    def work(_root, robot):
        found = robot.lookup(selector)
        return None if found is None else found[1].version.source

    return work


async def test_of_ten_methods_the_unlearned_one_alone_is_not_understood(change, learn, unlearn):
    for number in range(10):
        await learn(f"m{number}", number)
    await unlearn("m3")
    rest = [f"m{n}" for n in range(10) if n != 3]
    assert [bool(await change(answers(s))) for s in rest] == [True] * 9
    assert await change(answers("m3")) is None
    assert await change(listed) == rest


async def test_redo_brings_the_same_source_and_the_entry_back(change, learn, unlearn, redo):
    await learn("wave", 7)
    before = await change(answers("wave"))
    entry = await change(lambda root, _: catalog_in(root).documents("method")[0].meta)
    await unlearn("wave")
    assert await redo("wave") == digest(before)
    assert await change(answers("wave")) == before
    assert await change(lambda root, _: catalog_in(root).documents("method")[0].meta) == entry


async def test_redo_goes_back_to_the_version_that_was_unlearned_last(change, learn, unlearn, redo):
    await learn("wave", 1)
    await learn("wave", 2)
    await redo("wave", 1)
    await unlearn("wave")
    await redo("wave")
    assert "return 1" in await change(answers("wave"))


async def test_a_version_that_becomes_current_is_the_one_that_the_search_finds(change, learn, redo):
    await learn("wave", 1)
    await learn("wave", 2)
    await redo("wave", 1)
    (document,) = await change(lambda root, _: catalog_in(root).documents("method"))
    assert "return 1" in document.meta["source"]


async def test_what_cannot_be_moved_says_why(change, learn, unlearn, redo):
    await learn("wave")
    with pytest.raises(ArgumentsError, match="not unlearned"):
        await redo("wave")
    with pytest.raises(ArgumentsError, match="current already"):
        await redo("wave", 1)
    with pytest.raises(NotFoundError, match="has no version 9; it has 1 to 1"):
        await redo("wave", 9)
    await unlearn("wave")
    with pytest.raises(ArgumentsError, match="unlearned already"):
        await unlearn("wave")
    with pytest.raises(NotFoundError, match=r"no learned method 'fly'; it learned wave"):
        await unlearn("fly")
    with pytest.raises(NotFoundError, match="wave belongs to robot"):
        await change(lambda root, _: versions.own(root["objects"]["child"], "wave"))


async def test_a_built_in_method_has_no_versions(change):
    def work(_root, robot):
        robot.set_slot("clone", Method("clone", primitive="clone"))
        versions.locate(robot, "clone")

    with pytest.raises(NotFoundError, match="built into the kernel"):
        await change(work)


async def test_a_version_that_came_meanwhile_refuses_the_move(change, learn, unlearn):
    await learn("wave", 1)
    await unlearn("wave")
    picked = await change(lambda root, robot: versions.pick(root, robot, "wave"))
    await learn("wave", 2)
    with pytest.raises(ConflictError, match="changed by someone else"):
        await change(
            lambda root, robot: versions.make_current(root, robot, picked, VECTOR, {"at": 1.0})
        )


async def test_a_damaged_source_does_not_become_current(change, learn, unlearn, redo):
    await learn("wave", 1)
    await unlearn("wave")

    def damage(_root, robot):
        robot.slots["wave"].versions[0].source = "def wave(self):\n    return 666\n"

    await change(damage)
    with pytest.raises(ArgumentsError, match="not what was committed"):
        await redo("wave")


async def test_a_pinned_method_keeps_its_version(change, learn, unlearn, redo):
    await learn("wave", 1)
    await learn("wave", 2)
    await change(lambda root, robot: marks.set_mark(root, "pinned", robot.slots["wave"], 2))
    with pytest.raises(ArgumentsError, match="pinned to version 2"):
        await redo("wave", 1)
    with pytest.raises(ArgumentsError, match="pinned to version 2"):
        await unlearn("wave")
    assert await change(lambda _, robot: marks.flags(robot.slots["wave"])) == {"pinned": 2}


async def test_a_pin_does_not_make_a_running_turn_stale(change, learn):
    await learn("wave")

    def serial(_root, robot):
        robot.slots["wave"]._p_activate()
        return robot.slots["wave"]._p_serial

    before = await change(serial)
    await change(lambda root, robot: marks.set_mark(root, "pinned", robot.slots["wave"], 1))
    assert await change(serial) == before


async def test_the_moves_are_kept_and_shown_with_the_versions(change, learn, unlearn, redo):
    await learn("wave", 1, persona="ARCHITECT", created=1.0)
    await unlearn("wave")
    await redo("wave")
    told = await change(lambda root, _: versions.overview(root, root["objects"]["child"], "wave"))
    assert [(m["what"], m["version"], m["at"]) for m in told["moves"]] == [
        ("unlearn", 1, 5.0),
        ("redo", 1, 6.0),
    ]
    (row,) = told["versions"]
    assert (told["object"], told["current"]) == ("robot", 1)
    assert (row["current"], row["persona"], row["whole"]) == (True, "ARCHITECT", True)


async def test_the_list_of_moves_is_bounded(change, learn):
    await learn("wave")

    def move(root, robot):
        for n in range(marks.MAX_MOVES + 5):
            marks.add_move(root, robot.slots["wave"], {"at": float(n), "what": "pin"})
        return marks.moves(root, robot.slots["wave"])

    moves = await change(move)
    assert (len(moves), moves[0]["at"]) == (marks.MAX_MOVES, 5.0)


async def test_two_versions_are_compared_line_by_line(change, learn):
    await learn("wave", 1)
    await learn("wave", 2)
    told = await change(lambda _, robot: versions.compare(robot, "wave", 1, 2))
    assert "-    return 1\n+    return 2" in told["diff"]
    assert await change(lambda _, robot: versions.compare(robot, "wave", 2, 2)) == {
        "selector": "wave",
        "same": True,
        "diff": "",
    }


async def test_a_clone_is_found_once_the_prototype_answers_no_more(change, learn, unlearn, redo):
    await learn("wave", 1)
    await learn("hop", 1)
    await change(lambda root, robot: family.clone(root, robot, "twin") and None)

    async def titles():
        return [d.title for d in await change(lambda root, _: catalog_in(root).documents("method"))]

    assert await titles() == ["robot.wave", "robot.hop"]
    await unlearn("wave")
    assert await titles() == ["twin.wave", "robot.hop"]
    await redo("wave")
    await learn("hop", 2)
    assert sorted(await titles()) == ["robot.hop", "robot.wave", "twin.hop", "twin.wave"]


async def test_what_is_noted_beside_a_method_goes_with_its_clone_and_then_its_own_way(
    change, learn, unlearn, redo
):
    await learn("wave", 1)
    await unlearn("wave")
    await redo("wave")

    def clone(root, robot):
        marks.set_mark(root, "pinned", robot.slots["wave"], 1)
        twin = family.clone(root, robot, "twin")
        marks.set_mark(root, "pinned", robot.slots["wave"], 0)
        return versions.overview(root, twin, "wave")

    told = await change(clone)
    assert ([move["what"] for move in told["moves"]], told["pinned"]) == (["unlearn", "redo"], 1)
    await learn("wave", 2)
    twin = await change(lambda root, _: versions.overview(root, root["objects"]["twin"], "wave"))
    robot = await change(lambda root, robot: versions.overview(root, robot, "wave"))
    assert (twin["current"], len(twin["versions"]), twin["pinned"]) == (1, 1, 1)
    assert (robot["current"], len(robot["versions"]), robot["pinned"]) == (2, 2, 0)
    with pytest.raises(ArgumentsError, match="pinned"):
        await learn("wave", 3, name="twin")
