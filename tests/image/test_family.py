"""bat_os.image.family: clones, children, parents and lessons in any order, against a model."""

import numpy as np
import pytest
import transaction
import ZODB
from BTrees.OOBTree import OOBTree
from hypothesis import given
from hypothesis import strategies as st

from bat_os.errors import ArgumentsError, BatError
from bat_os.image import family
from bat_os.image.catalog import catalog_in
from bat_os.image.history import entries, marks, versions
from bat_os.image.history.versions import Skill, install
from bat_os.image.objects import UvmObject

VECTOR = np.eye(1, 8, dtype=np.float32)
SELECTORS = ("hop", "wave")


@pytest.fixture
def root():
    with OpenRoot() as opened:
        yield opened


class OpenRoot:
    """The root of an empty image in memory, for one test."""

    def __enter__(self):
        self.database = ZODB.DB(None)
        self.connection = self.database.open(transaction.TransactionManager())
        root = self.connection.root()
        for name in ("objects", "missions", "unfinished", "keys"):
            root[name] = OOBTree()
        catalog_in(root)
        root["objects"]["n0"] = UvmObject("n0")
        self.connection.add(root["objects"]["n0"])
        return root

    def __exit__(self, *_):
        self.connection.transaction_manager.abort()
        self.connection.close()
        self.database.close()


def teach(root, obj, selector, number):
    source = f"def {selector}(self):\n    return {number}\n"
    install(root, obj, Skill(selector, source, "taught", {}, selector, VECTOR))


class Model:
    """The same world in a few dictionaries: what answers, along the parents, depth first."""

    def __init__(self):
        self.own = {"n0": {}}
        self.last = {"n0": {}}
        self.parents = {"n0": []}

    def line(self, name, seen=None):
        seen = [] if seen is None else seen
        if name not in seen:
            seen.append(name)
            for parent in self.parents[name]:
                self.line(parent, seen)
        return seen

    def answer(self, name, selector):
        return next(
            (self.own[each][selector] for each in self.line(name) if selector in self.own[each]),
            None,
        )

    def copy(self, name, new):
        self.own[new], self.last[new] = dict(self.own[name]), dict(self.last[name])
        self.parents[new] = list(self.parents[name])


def answer_of(obj, selector):
    found = obj.lookup(selector)
    return None if found is None else int(found[1].version.source.rpartition(" ")[2])


WHICH = st.integers(0, 5)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["clone", "derive", "delete"]), WHICH),
        st.tuples(st.sampled_from(["unlearn", "redo", "teach"]), WHICH, st.sampled_from(SELECTORS)),
        st.tuples(st.just("parents"), WHICH, st.lists(WHICH, max_size=3)),
    ),
    max_size=25,
)


@given(steps=STEPS)
def test_any_order_of_changes_keeps_what_a_simple_model_says(steps):
    with OpenRoot() as root:
        model, objects = Model(), root["objects"]
        for number, (what, which, *more) in enumerate(steps, 1):
            if not (names := sorted(objects)):
                return
            name, new = names[which % len(names)], f"n{number}"
            others = [names[one % len(names)] for one in (more[0] if what == "parents" else ())]
            try:
                change(root, what, name, new, number, more[:1], others)
            except BatError:
                assert not may(model, what, name, more[:1], others)
            else:
                assert may(model, what, name, more[:1], others)
                follow(model, what, name, new, number, more[:1], others)
            assert sorted(objects) == sorted(model.own)
            for each in objects:
                assert [one.name for one in objects[each].lineage()] == model.line(each)
                for selector in SELECTORS:
                    assert answer_of(objects[each], selector) == model.answer(each, selector)


def change(root, what, name, new, number, selector, others):
    obj = root["objects"][name]
    if what in ("clone", "derive"):
        getattr(family, what)(root, obj, new)
    elif what == "delete":
        family.delete(root, obj)
    elif what == "parents":
        family.set_parents(obj, [root["objects"][one] for one in others])
    elif what == "teach":
        teach(root, obj, selector[0], number)
    elif what == "unlearn":
        versions.unlearn(root, obj, selector[0], at=1.0)
    else:
        picked = versions.pick(root, obj, selector[0])
        move = {"at": 1.0, "what": "redo"}
        versions.make_current(root, obj, picked, VECTOR, move)


def may(model, what, name, selector, others):
    if what == "delete":
        return not any(name in line for line in model.parents.values())
    if what == "parents":
        below = any(name in model.line(one) for one in others)
        return len({*others}) == len(others) and not below
    if what == "unlearn":
        return selector[0] in model.own[name]
    if what == "redo":
        return selector[0] not in model.own[name] and selector[0] in model.last[name]
    return True


def follow(model, what, name, new, number, selector, others):
    if what == "clone":
        model.copy(name, new)
    elif what == "derive":
        model.own[new], model.last[new], model.parents[new] = {}, {}, [name]
    elif what == "delete":
        for each in (model.own, model.last, model.parents):
            del each[name]
    elif what == "parents":
        model.parents[name] = others
    elif what == "teach":
        model.own[name][selector[0]] = model.last[name][selector[0]] = number
    elif what == "unlearn":
        del model.own[name][selector[0]]
    else:
        model.own[name][selector[0]] = model.last[name][selector[0]]


def test_a_clone_of_an_object_with_100_methods_shares_all_texts(root):
    robot = root["objects"]["n0"]
    for number in range(100):
        teach(root, robot, f"method_{number}", number)
    twin = family.clone(root, robot, "twin")
    root._p_jar.transaction_manager.commit()
    shared = [
        (held.versions[0], twin.slots[name].versions[0]) for name, held in robot.slots.items()
    ]
    assert len(shared) == 100
    assert all(one is other for one, other in shared)
    assert all(robot.slots[name] is not twin.slots[name] for name in robot.slots)
    assert len(catalog_in(root).documents("method")) == 100  # and none for the clone
    assert len(list(entries.learned(root, copies=True))) == 200


def test_a_clone_gets_the_mark_of_a_document_that_changes(root):
    robot = root["objects"]["n0"]
    about = {"passages": ["document:harbour"]}
    source = "def wave(self):\n    return 1\n"
    install(root, robot, Skill("wave", source, "verified", about, "wave", VECTOR))
    twin = family.clone(root, robot, "twin")
    found = {method._p_oid for method in entries.citing(root, "document:harbour")}
    assert found == {robot.slots["wave"]._p_oid, twin.slots["wave"]._p_oid}
    versions.unlearn(root, robot, "wave", at=1.0)
    assert [entries.holder_of(root, twin.slots["wave"])] == [twin]
    assert marks.moves(root, twin.slots["wave"]) == ()


def test_a_line_of_ancestors_and_a_row_of_parents_have_an_end(root):
    obj = root["objects"]["n0"]
    for _ in range(family.MAX_ANCESTORS):
        obj = family.derive(root, obj)
    with pytest.raises(ArgumentsError, match="at most 200 ancestors"):
        family.derive(root, obj)
    many = [family.derive(root, root["objects"]["n0"]) for _ in range(family.MAX_PARENTS + 1)]
    with pytest.raises(ArgumentsError, match="at most 20 parents"):
        family.set_parents(obj, many)


def test_only_what_others_hold_keeps_an_object(root):
    robot = root["objects"]["n0"]
    child = family.derive(root, robot, "child")
    child.set_slot("me", [child])
    assert list(family.referrers(root, child)) == []
    hidden = family.derive(root, child)
    robot.set_slot("spare", {"of": hidden})
    (found,) = family.referrers(root, child)
    assert found.what == "the object in n0.spare (its child)"
    family.delete(root, child, force=True)
    assert hidden.parents == (robot,)
    assert "child" not in root["objects"]
