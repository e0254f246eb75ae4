"""bat_os.cli.licences: nothing ships, and nothing is fetched, that the list does not name."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from bat_os.cli.licences import LISTS, PAGE, UNKNOWN, parts

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "THIRD_PARTY.md").read_text()


def named(kind):
    return set(re.findall(rf"^\| {kind} \| ([^|]+) \|", TABLE, re.MULTILINE))


@pytest.mark.parametrize("file", LISTS)
def test_every_package_that_is_fetched_is_named(file):
    pins = re.findall(r"^([A-Za-z][\w.-]*)==", (ROOT / file).read_text(), re.MULTILINE)
    listed = named(LISTS[file][0]) | named("package")
    assert pins
    assert {re.sub(r"[-_.]+", "-", pin).lower() for pin in pins} <= listed


@pytest.mark.parametrize("file", LISTS)
def test_every_package_that_is_named_is_pinned_in_its_list(file):
    lines = (ROOT / file).read_text().splitlines()
    pinned = {canonicalize_name(re.split(r"[\[=]", line)[0]) for line in lines if "==" in line}
    assert {part.name for part in parts() if part.kind == LISTS[file][0]} <= pinned


def test_every_model_that_a_profile_names_is_there_with_its_licence():
    book = tomllib.loads((ROOT / "bat_os" / "profiles.toml").read_text())
    for name, model in book["models"].items():
        assert f"| model | {name} | {model['source']} | {model['licence']} |" in TABLE


def test_the_libraries_of_the_page_and_the_adapters_are_there():
    assert {file.name for file in PAGE.parent.glob("*.js")} == named("library of the page")
    folders = {
        f"lora_adapters/{path.parent.name}" for path in ROOT.glob("lora_adapters/*/README.md")
    }
    assert folders == named("adapter")
    assert "(Apache-2.0" in (ROOT / "lora_adapters" / "method-writer" / "README.md").read_text()


def test_each_part_has_a_licence():
    rows = [line.split(" | ") for line in TABLE.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 80
    assert [row for row in rows if not row[-1].strip("| ") or "see its files" in row[-1]] == []
    assert [part for part in parts() if part.licence == UNKNOWN and part.kind == "package"] == []
