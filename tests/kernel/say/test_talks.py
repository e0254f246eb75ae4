"""Talks of two and three turns in four languages, through the real library: cases/talks.toml."""

import math
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")
FILE = Path(__file__).parents[2] / "cases" / "talks.toml"
TALKS = tomllib.loads(FILE.read_text(encoding="utf-8"))["talk"]


def fits(turn, body):
    """Return what of an answer is not as it should be, or ""."""
    wanted, value, text = turn.get("value"), body["value"], body["text"].casefold()
    if "kind" in turn and body["kind"] != turn["kind"]:
        return "kind"
    if type(wanted) in (int, float):
        if type(value) not in (int, float) or not math.isclose(value, wanted, rel_tol=1e-3):
            return "value"
    elif wanted is not None and value != wanted:
        return "value"
    if "any" in turn and not any(each.casefold() in text for each in turn["any"]):
        return "any"
    missing = [each for each in turn.get("has", ()) if each.casefold() not in text]
    found = [each for each in turn.get("lacks", ()) if each.casefold() in text]
    return ", ".join([*missing, *found])


@pytest.mark.parametrize("talk", TALKS, ids=lambda talk: talk["turns"][0]["say"])
async def test_a_talk_goes_on_as_people_talk(said, talk):
    for turn in talk["turns"]:
        body = await said(turn["say"])
        assert not fits(turn, body), (turn, body)
