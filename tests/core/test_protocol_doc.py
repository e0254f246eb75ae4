"""docs/protocol.md says what the code does."""

import importlib
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

from bat_os import errors
from bat_os.core import protocol
from bat_os.core.brief import Brief
from bat_os.core.fields import schema_of
from bat_os.core.mission import BriefAccepted, Mission
from bat_os.core.protocol import Request
from bat_os.core.verbs import REQUESTS
from bat_os.kernel.canary.verb import make_canary_verbs
from bat_os.kernel.dispatcher import Dispatcher
from bat_os.kernel.forge.smithy import make_forge_verbs
from bat_os.kernel.missions.feed import notice
from bat_os.kernel.service import Kernel
from bat_os.kernel.verbs import VERBS, missions
from bat_os.kernel.verbs.models import make_model_verbs
from bat_os.models.roster import Roster
from tests.kernels import ROOT

PAGE = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")


def rows(heading):
    """Return the cells of each row of the table under a heading, without the head."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def test_the_page_names_every_verb_that_works_step_by_step():
    named = re.findall(
        r"`([a-z.]+)`", PAGE.split("Verbs that work step by step (")[1].split(")")[0]
    )
    assert set(named) == {verb.name for verb in REQUESTS.values() if verb.in_steps}


def test_the_page_has_every_code_of_the_tree_and_no_other():
    known: dict[str, set[bool]] = {}
    for kind in vars(errors).values():
        # RemoteError is what a client raises; branches are not raised, and stand for their leaves.
        if isinstance(kind, type) and issubclass(kind, errors.BatError):
            known.setdefault(kind.code, set()).add(kind.retryable)
    words = {frozenset({True}): "yes", frozenset({False}): "no"}
    expected = {code: words.get(frozenset(says), "either") for code, says in known.items()}
    assert {row[0].strip("`"): row[1] for row in rows("Errors")} == expected


async def test_the_page_has_every_verb_of_the_kernel_and_no_other():
    verbs = {
        **VERBS,
        **make_model_verbs(SimpleNamespace(roster=Roster({}, {}, 0)), SimpleNamespace()),
        **make_forge_verbs(SimpleNamespace()),
        **make_canary_verbs(SimpleNamespace()),
    }
    mind = SimpleNamespace(image=None, on_erase=[])
    dispatcher = Dispatcher(mind, None, lambda: {"boot": "b"}, lambda: None, verbs)
    assert set(dispatcher._verbs) == {verb.name for verb in REQUESTS.values()}
    assert sorted(row[0].strip("`") for row in rows("Verbs")) == sorted(dispatcher._verbs)


def test_the_page_has_a_version_of_its_own_that_goes_with_the_protocol():
    version = re.search(r"^Version of this page: (\d+)\.(\d+) ", PAGE, re.MULTILINE)
    assert version, "no version"
    assert int(version[1]) == protocol.VERSION
    assert PAGE.startswith(f"# The wire, version {protocol.VERSION}\n")


def reply(verb):
    return set(schema_of(REQUESTS[verb].reply)["properties"])


def test_health_and_hello_have_the_fields_of_the_table_and_no_other():
    mind = SimpleNamespace(
        profile=SimpleNamespace(name="tiny"),
        options=SimpleNamespace(polite=True),
        roster=SimpleNamespace(stats=dict),
        cell=SimpleNamespace(stats=dict),
        catalog=SimpleNamespace(waits_since=0.0),
        drivers={},
        cluster=None,
        image=SimpleNamespace(
            storage=SimpleNamespace(getSize=int),
            database=SimpleNamespace(counted={"commits": 0, "conflicts": 0}),
        ),
    )
    facts = Kernel(mind, [], [], lambda event: None).about()
    assert reply("health") == set(facts)
    assert reply("hello") == {"version", "protocol", "boot", "image_id", "limits"}


def test_an_event_and_a_listed_mission_have_the_fields_of_the_page():
    mission = Mission(Brief("genesis_obj", "double")).advance(BriefAccepted())
    event = re.search(r"an `event` per state \((.*?)\)", PAGE, re.DOTALL)[1]
    assert set(re.findall(r"`(\w+)`", event)) == set(notice("m", mission, {}))
    listed = schema_of(REQUESTS["missions"].reply)["properties"]["missions"]["items"]
    assert set(listed["properties"]) == {*missions._LISTED, "problem", "label", "waits", "whole"}


def test_the_limits_on_the_page_are_the_constants_of_the_code():
    limits = rows("Limits")
    assert len(limits) > 8
    for what, most, constant in limits:
        module, name = constant.strip("`").rsplit(".", 1)
        assert getattr(importlib.import_module(module), name) == int(most), what


def test_the_page_names_every_field_of_a_request():
    named = {name for row in rows("Envelope") for name in re.findall(r"`(\w+)`", row[0])}
    renamed = {"key": "ik", "ttl": "ttl_ms"}
    set_here = {"caller", "plain", "size"}  # by the kernel, of each request that comes in
    known = {renamed.get(name, name) for name in Request.__struct_fields__} - set_here
    assert named == known | {"v", "re"}


@pytest.mark.slow
@pytest.mark.system
async def test_the_example_on_the_page_works(serving):
    example = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1]
    told = subprocess.run(  # noqa: ASYNC221 - nothing else runs meanwhile
        [sys.executable, "-c", example.replace("data/run", f"{serving.home}/run")],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert told.stdout == "success 42\n"
