"""Ordinary methods, as a model writes them, run in the cell as they are."""

import json
import re
from pathlib import Path

import pytest

from bat_os.core.values import Ref
from bat_os.ports import Call, ObjectView
from tests.cells.contract import refuse

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]
METHODS = sorted((Path(__file__).parents[1] / "cases" / "methods").glob("*.py"))


@pytest.mark.parametrize("path", METHODS, ids=lambda path: path.stem)
async def test_an_ordinary_method_does_what_it_says(cell, path):
    source = path.read_text(encoding="utf-8")
    meta = json.loads(source.split("# META ", 1)[1].splitlines()[0])
    name = re.search(r"^def (\w+)\(self", source, re.MULTILINE)[1]
    slots = meta.get("slots", {})
    view = ObjectView(Ref("0" * 16), slots)

    result = await cell.run(
        Call(source, name, view, tuple(meta["args"]), meta.get("kwargs", {})), refuse
    )

    if "expect" in meta:
        assert result.value == meta["expect"]
    else:
        assert re.search(meta["regex"], str(result.value))
    assert {**slots, **result.delta.changed} == meta.get("slots_after", slots)
