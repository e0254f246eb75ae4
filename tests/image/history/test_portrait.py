"""bat_os.image.history.portrait: what differs between two minds."""

import pytest

from bat_os.image.history.portrait import compare


def portrait(**method):
    """Return the portrait of a mind that knows one method."""
    methods = {("genesis_obj", "double"): {"status": "approved", **method}}
    return {"mind": {}, "objects": {}, "methods": methods, "memory": {}, "documents": {}}


@pytest.mark.parametrize(
    ("other", "rows"),
    [
        ({"version": 1, "source": "a"}, []),
        ({"version": 2, "source": "a"}, []),  # learned again, and the same
        ({"version": 1, "source": "b"}, ["changed"]),
        ({"version": 1, "source": "a", "status": "rejected"}, ["changed"]),
    ],
)
def test_methods_are_alike_whatever_the_number_of_their_version(other, rows):
    found = compare(portrait(version=1, source="a"), portrait(**other))["methods"]
    assert [row["what"] for row in found] == rows
