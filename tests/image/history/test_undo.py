"""bat_os.image.history.undo: the merge of before, after and now."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.errors import ConflictError
from bat_os.image.history.undo import merge_back, read_changes


@pytest.mark.parametrize(
    ("before", "after", "now", "merged"),
    [
        (1, 2, 2, 1),
        ({"a": 1}, {"a": 1, "b": 2}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "c": 3}),
        ({"a": 1, "b": 2}, {"a": 1}, {"a": 5}, {"a": 5, "b": 2}),
        (["x", "y", "z"], ["x", "z"], ["x", "z", "w"], ["x", "y", "z", "w"]),
        (["x"], ["x", "x"], ["x", "x", "y"], ["x", "y"]),
        ({"l": ["x"]}, {"l": ["x", "y"]}, {"l": ["x", "y", "z"]}, {"l": ["x", "z"]}),
    ],
)
def test_a_step_is_taken_out_and_what_came_after_stays(before, after, now, merged):
    assert merge_back(before, after, now) == merged


@pytest.mark.parametrize(
    ("before", "after", "now"),
    [
        (1, 2, 3),
        ([], ["x"], []),
        ({"a": 1}, {"a": 2}, {"a": 3}),
        (["x", "y"], ["y", "x"], ["y", "x", "z"]),
        (1, 1.0, 1),
    ],
)
def test_what_was_changed_since_is_a_conflict(before, after, now):
    with pytest.raises(ConflictError):
        merge_back(before, after, now)


values = st.recursive(
    st.integers(0, 2) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
    max_leaves=8,
)


@given(values, values)
def test_a_step_that_nothing_followed_is_undone_exactly(before, after):
    assert merge_back(before, after, after) == before


async def test_an_object_that_was_written_as_it_was_is_no_change(image, change):
    def work(root, robot):
        robot.slots = {**robot.slots}
        root["objects"]["child"].set_slot("size", 3)

    await change(work)
    tid = await image.transact(lambda root: root._p_jar.db().lastTransaction().hex(), note="look")
    assert [one.name for one in await read_changes(image, tid)] == ["child"]
