"""A short form of the campaign; the long one is ``python -m tests.campaign.history``."""

import pytest

from tests.campaign.history import WORKS, Campaign


@pytest.mark.slow
@pytest.mark.system
async def test_a_kill_in_the_middle_of_any_work_leaves_the_old_or_the_new_state(tmp_path):
    found = await Campaign(tmp_path, seed=7).run(len(WORKS))
    assert sum(found.values()) == len(WORKS)
