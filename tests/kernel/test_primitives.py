"""bat_os.kernel.primitives: what is private stays private, in every form of a message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.core.values import Ref
from bat_os.errors import ArgumentsError, CellError, NotFoundError
from bat_os.kernel.primitives import PRIMITIVES, run_primitive
from bat_os.kernel.snapshot import ObjectSnapshot, ReadSet


@pytest.mark.parametrize("selector", sorted(PRIMITIVES))
@given(
    args=st.lists(st.sampled_from(["_pin", "about", 7]), max_size=3),
    kwargs=st.dictionaries(
        st.sampled_from(["name", "selector", "value"]), st.sampled_from(["_pin", "about", 7])
    ),
)
def test_a_primitive_from_outside_never_shows_nor_changes_what_is_private(selector, args, kwargs):
    seen = ObjectSnapshot(
        Ref("0" * 16, "vault"), {"_pin": "secret", "about": 1}, {"_pin", "about"}, frozenset(), ()
    )
    if selector == "clone":
        return  # a copy keeps its private slots private
    try:
        answer = run_primitive(selector, ReadSet(), seen, (args, kwargs), from_outside=True)
    except (ArgumentsError, CellError, NotFoundError):
        answer = None
    assert answer != "secret"
    assert seen.slots["_pin"] == "secret"
    assert "_pin" not in (*seen.changed, *seen.removed)
