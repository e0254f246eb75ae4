"""bat_os.image.objects: slots, parents, lookup, cloning, methods."""

import pytest

from bat_os.core.digest import digest
from bat_os.core.values import Ref
from bat_os.errors import ArgumentsError, DamagedError, NotFoundError, NotPlainError
from bat_os.image.objects import Method, UvmObject, freeze, ref_of, thaw


def make(name, *parents, **slots):
    obj = UvmObject(name, parents)
    for key, value in slots.items():
        obj.set_slot(key, value)
    return obj


def test_own_slots_come_before_parents_and_left_before_right():
    top = make("top", x="top", y="top", z="top")
    left, right = make("left", top, y="left"), make("right", x="right", z="right")
    child = make("child", left, right, x="own")
    found = {key: child.lookup(key)[1] for key in "xyz"}
    assert found == {"x": "own", "y": "left", "z": "top"}


def test_lookup_goes_depth_first():
    grand = make("grand", x="grand")
    child = make("child", make("left", grand), make("right", x="right"))
    holder, value = child.lookup("x")
    assert (holder.name, value) == ("grand", "grand")


def test_a_cycle_among_the_parents_ends():
    one, other = make("one"), make("other")
    one.parents, other.parents = (other,), (one,)
    assert one.lookup("missing") is None
    assert [obj.name for obj in one.lineage()] == ["one", "other"]


def test_a_chain_deeper_than_the_recursion_limit_is_searched():
    obj = make("top", x=1)
    for _ in range(5000):
        obj = UvmObject("", (obj,))
    assert obj.lookup("x")[1] == 1


def test_an_unlearned_method_does_not_hide_an_inherited_one():
    parent, child = make("parent"), UvmObject("child")
    child.parents = (parent,)
    old, new = Method("wave"), Method("wave")
    old.add_version("def wave(self): pass", "taught", {})
    parent.set_slot("wave", old)
    child.set_slot("wave", new)
    assert child.lookup("wave") == (parent, old)


@pytest.mark.parametrize("value", [object(), len, lambda: 1, [lambda: 1], {"a": object()}])
def test_a_value_that_is_no_plain_data_is_refused_when_it_is_set(value):
    obj = UvmObject("o")
    with pytest.raises(NotPlainError, match="slot 'x'"):
        obj.set_slot("x", value)
    assert obj.slots == {}


@pytest.mark.parametrize(
    "name", ["", "1a", "a b", "__class__", "_p_oid", "_v_x", "send", "ä", "x" * 101]
)
def test_a_name_that_cannot_be_a_slot_is_refused(name):
    with pytest.raises(ArgumentsError):
        UvmObject("o").set_slot(name, 1)


def test_a_clone_has_copies_of_the_slots_and_the_same_parents():
    parent = make("parent")
    original = make("original", parent, notes=[["a"]])
    twin = original.clone("twin")
    twin.slots["notes"][0].append("b")
    assert original.slots["notes"] == [["a"]]
    assert twin.parents[0] is parent


def test_removing_a_slot_shows_the_inherited_one_again():
    child = make("child", make("parent", x=1), x=2)
    child.remove_slot("x")
    assert child.lookup("x")[1] == 1
    with pytest.raises(NotFoundError):
        child.remove_slot("x")


def test_a_method_keeps_all_its_versions():
    method = Method("wave")
    first = method.add_version("def wave(self): return 1", "provisional", {"seed": 1})
    second = method.add_version("def wave(self): return 2", "verified", {})
    assert (first.number, second.number, method.version) == (1, 2, second)
    assert first.sha256 == digest("def wave(self): return 1")


def test_a_source_that_is_not_what_was_committed_is_refused():
    method = Method("wave")
    method.add_version("def wave(self): return 1", "taught", {}).source += "#"
    with pytest.raises(DamagedError, match="damaged"):
        method.version  # noqa: B018 - the access is what raises


async def test_objects_inside_values_are_references_outside(image):
    def store(root):
        root["friend"], root["me"] = UvmObject("friend"), UvmObject("me")
        root["me"].set_slot("friends", [root["friend"], {"best": root["friend"]}])

    await image.transact(store, note="store")
    frozen, ref = await image.transact(
        lambda root: (freeze(root["me"].slots["friends"]), ref_of(root["friend"])), note="read"
    )
    assert frozen == [ref, {"best": ref}]
    assert isinstance(ref, Ref)
    back = await image.transact(
        lambda root: thaw(frozen, lambda _: root["friend"])[0] is root["friend"], note="thaw"
    )
    assert back
