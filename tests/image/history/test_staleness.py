"""bat_os.image.history.staleness: the library and grants count for methods that send to others."""

from bat_os.image.history import basis, entries, marks, staleness
from bat_os.image.history.versions import Skill, install
from tests.image.history.conftest import VECTOR

SENDS = "def miles(self, n):\n    return self.units.convert(n, 'km', 'mile')\n"
PURE = "def twice(self, n):\n    return n * 2\n"


async def learn(change, selector, source):
    skill = Skill(selector, source, "taught", {}, selector, VECTOR)
    await change(lambda root, robot: install(root, robot, skill))


def stale(root, _robot=None):
    return [
        (row["selector"], [(one["what"], one["change"]) for one in row["changes"]], row["broken"])
        for row in staleness.stale(root, 1.0)
    ]


async def test_another_library_makes_what_sends_to_others_stale(change):
    await change(lambda root, _: root.update(library={"stamp": "a", "objects": ()}))
    await learn(change, "miles", SENDS)
    await learn(change, "twice", PURE)
    assert await change(stale) == []
    await change(lambda root, _: root.update(library={"stamp": "b", "objects": ()}))
    assert await change(stale) == [("miles", [("library", "another version")], "")]
    await change(lambda root, robot: basis.note(root, robot, robot.slots["miles"]))
    assert await change(stale) == []


async def test_a_method_that_does_not_hold_any_more_is_marked_until_it_does(change):
    await learn(change, "twice", PURE)

    def settle(why):
        return lambda root, robot: staleness.settle(root, robot, robot.slots["twice"], why, at=2.0)

    await change(settle("twice(2) gives 5, not 4"))
    assert await change(stale) == [("twice", [], "twice(2) gives 5, not 4")]
    await learn(change, "twice", PURE.replace("2", "3"))  # the mark speaks of the other version
    assert await change(stale) == []
    await change(settle("x"))
    await change(settle(""))
    assert await change(stale) == []
    assert await change(lambda root, r: marks.noted(root, r.slots["twice"], "broken")) == {}


async def test_what_is_tainted_or_fails_is_not_shown_to_a_writer(change):
    await learn(change, "twice", PURE)

    def sound(root, robot):
        return entries.is_sound(root, f"method:{robot._p_oid.hex()}:twice")

    assert await change(sound)
    assert await change(lambda root, _: entries.is_sound(root, "seed:x"))
    mark = {"at": 1.0, "document": "d", "what": "changed", "version": 1}
    await change(lambda root, robot: marks.set_mark(root, "taint", robot.slots["twice"], mark))
    assert not await change(sound)
