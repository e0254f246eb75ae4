"""Every method of the seed library does in the real cell what its examples say."""

import pytest

from bat_os.core.values import Ref
from bat_os.ports import Call, ObjectView
from tests.cells.contract import refuse
from tests.library import SEEDS

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.selector)
async def test_a_seed_does_what_its_examples_say(cell, seed):
    for example in seed.examples:
        view = ObjectView(Ref("0" * 16), example.slots)
        call = Call(seed.source, seed.selector, view, example.args, example.kwargs, now=example.now)

        result = await cell.run(call, refuse)

        assert example.accepts(result.value), (example, result.value)
        assert result.delta.changed == example.after
        assert result.delta.removed == ()
