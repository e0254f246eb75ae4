"""The campaign on a cluster, in short: kernels and the server are killed under load."""

import pytest

from tests.campaign.cluster import campaign
from tests.storages import storage_of

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.mark.parametrize("kind", ["zeo", "postgres"])
async def test_nothing_is_lost_or_done_twice_while_kernels_and_the_server_are_killed(
    tmp_path, kind
):
    with storage_of(kind) as engine:
        found = await campaign(tmp_path, engine, kills=2, server_kills=2)
    assert found["kills"] == 4
    assert found["answered"] == found["briefs"] > 0
    assert (found["lost"], found["twice"], found["unfinished"]) == ([], [], [])
