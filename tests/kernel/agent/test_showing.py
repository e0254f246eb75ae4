"""bat_os.kernel.agent.showing: the words of a request, and what they do not name."""

import pytest

from bat_os.core.brief import Brief
from bat_os.kernel.agent.showing import request_of


@pytest.mark.parametrize(
    "wish", ["sum the squares of 3, 4 and 5", "total these: 1.5, 2.5", "join Ann, Ben and Eve"]
)
def test_the_words_of_a_request_may_name_a_list(wish):
    assert request_of(Brief("genesis_obj", "x", (), {}, wish)) == wish
    assert request_of(Brief("genesis_obj", "x", ("~/a.md",), {}, wish)) == f"{wish}: ~/a.md"
