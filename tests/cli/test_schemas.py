"""``--json`` of the verbs is of the forms that docs/schemas.json describes."""

import json

import fastjsonschema
import pytest

from bat_os.cli.verbs import COMMANDS
from tests.cli.clients import verb
from tests.cli.scenario import STEPS, run_all
from tests.kernels import ROOT

# One takes half a minute and a PostgreSQL (test_cluster.py), the other a daemon
# (tests/system/test_watchdog.py).
ELSEWHERE = {"cluster", "restart"}
SCHEMAS = json.loads((ROOT / "docs" / "schemas.json").read_text(encoding="utf-8"))


def check(schema, text):
    fastjsonschema.compile(schema)(json.loads(text))


@pytest.mark.slow
async def test_every_verb_writes_what_its_schema_says(thinking, tmp_path):
    async for verb_name, line, text in run_all(thinking, tmp_path):
        try:
            check(SCHEMAS["verbs"][verb_name], text)
        except fastjsonschema.JsonSchemaException as error:
            pytest.fail(f"batos {line}: {error}\n{text[:2000]}")


def test_there_is_a_schema_for_every_verb_that_is_run_here():
    run = {step.split()[0] for step in STEPS.splitlines()} | ELSEWHERE
    assert run == set(SCHEMAS["verbs"])
    assert run == set(COMMANDS), "add a step to scenario.py and a schema to docs/schemas.json"


@pytest.mark.parametrize("name", sorted(SCHEMAS["verbs"]))
def test_a_schema_takes_no_body_without_its_fields(name):
    schema = SCHEMAS["verbs"][name]
    assert schema["type"] == "object"
    if not schema["required"]:
        return
    with pytest.raises(fastjsonschema.JsonSchemaException):
        check(schema, "{}")


@pytest.mark.slow
@pytest.mark.system
async def test_an_error_is_of_one_form_whoever_raises_it(tmp_path):
    for arguments in (("list",), ("config",)):
        (tmp_path / "batos.toml").write_text("no = 1\n")
        ended = await verb(tmp_path, *arguments, "--json")
        assert ended.status != 0
        check(SCHEMAS["error"], ended.out)
