"""Ordinary methods, as a model writes them, run in each cell as they are."""

import json
import re
from pathlib import Path

import pytest

from bat_os.core.values import Ref
from bat_os.errors import CellError
from bat_os.ports import Call, ObjectView
from tests.cells.contract import refuse

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]
METHODS = sorted((Path(__file__).parents[1] / "cases" / "methods").glob("*.py"))
# What Monty lacks for a method.
LACKING = {
    "m07_dataclass": "dataclasses.asdict",
    "m21_textwrap": "import of textwrap",
    "m31_contextmanager": "import of contextlib",
    "m35_heapq": "import of heapq",
    "m37_hash_b64_uuid": "import of uuid",
    "m45_custom_exception": "classes with inheritance",
    "n01_generators": "yield",
    "n03_inheritance": "import of abc",
    "n04_frozen_dataclass": "dataclass(order=)",
    "n07_recursion": "yield",
    "n09_time_zones": "import of zoneinfo",
    "n10_sort_by_key": "import of operator",
    "n12_sets_tuples_bytes": "import of struct",
    "n18_enum": "import of enum",
    "n20_csv_report": "import of io",
}


def make_case(path):
    """Return the call of a case, and what its comment says of it."""
    source = path.read_text(encoding="utf-8")
    meta = json.loads(source.split("# META ", 1)[1].splitlines()[0])
    name = re.search(r"^def (\w+)\(self", source, re.MULTILINE)[1]
    view = ObjectView(Ref("0" * 16), meta.get("slots", {}))
    return Call(source, name, view, tuple(meta["args"]), meta.get("kwargs", {})), meta


@pytest.mark.parametrize("path", METHODS, ids=lambda path: path.stem)
async def test_an_ordinary_method_does_what_it_says(any_cell, path):
    if any_cell.stats()["kind"] == "monty" and path.stem in LACKING:
        pytest.skip(LACKING[path.stem])
    call, meta = make_case(path)

    result = await any_cell.run(call, refuse)

    if "expect" in meta:
        assert result.value == meta["expect"]
    else:
        assert re.search(meta["regex"], str(result.value))
    slots = dict(call.view.slots)
    assert {**slots, **result.delta.changed} == meta.get("slots_after", slots)


@pytest.mark.parametrize("name", LACKING)
async def test_a_method_that_monty_cannot_run_names_what_is_lacking(monty, name):
    call, _ = make_case(METHODS[0].with_stem(name))

    with pytest.raises(CellError, match="not possible here") as caught:
        await monty.run(call, refuse)

    assert caught.value.details["kind"] == "unsupported"
    assert caught.value.details["feature"] == LACKING[name]
