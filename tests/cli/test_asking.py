"""``batos discuss``, ``talks`` and ``experience`` against a real kernel process."""

import json

import pytest

from tests.cli.clients import verb

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.fixture
def home(thinking):
    thinking.gate.set()
    return thinking.home.path


async def test_experience_is_listed_and_written_as_json_lines(home, tmp_path):
    await verb(home, "send", "genesis_obj", "double", "21")
    listed = await verb(home, "experience")
    assert "genesis_obj.double" in listed.out
    assert "provisional" in listed.out
    file = tmp_path / "experience.jsonl"
    written = await verb(home, "experience", "--jsonl", file)
    assert (written.status, "1 records" in written.err) == (0, True)
    (line,) = file.read_text().splitlines()
    assert json.loads(line) == (await verb(home, "experience", "--json")).json["experience"][0]
    assert json.loads((await verb(home, "experience", "--jsonl", "-")).out) == json.loads(line)
    refused = await verb(home, "experience", "--jsonl", tmp_path / "none" / "x.jsonl")
    assert (refused.status, "cannot be written" in refused.err) == (2, True)


async def test_a_question_is_answered_and_the_talk_is_listed(home):
    told = await verb(home, "discuss", "What is it?")
    assert (told.status, told.out.split(":")[0]) == (0, "BRICK")
    assert "not grounded" in told.err
    assert "What is it?" in (await verb(home, "talks")).out
