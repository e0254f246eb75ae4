"""bat_os.cli.show.system: the settings that count, and who said them."""

import os
import re

import pytest

from bat_os.cli.show.system import write_example
from bat_os.core.settings import FILE, Settings, describe_allowed, resolve
from tests.cli.clients import verb
from tests.kernels import ROOT


def test_the_example_sets_nothing_and_is_right_when_its_comments_are_taken_away():
    assert resolve(write_example(), {}, {}).settings == Settings()
    told = re.sub(r"^# (\w+ = )", r"\1", write_example(), flags=re.MULTILINE)
    found = resolve(told, {}, {})
    assert found.settings == Settings()
    assert [name for name, origin in found.origins.items() if origin == "default"] == [
        "home",
        "failpoint",
    ]


def test_the_settings_page_has_every_setting_its_default_and_what_it_takes():
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| `(.*?)` \| (.*?) \|", page, re.MULTILINE)
    example = re.findall(r"^# (\w+) = (.*)$", write_example(), re.MULTILINE)
    assert rows == [
        (name, default, describe_allowed(name)) for name, default in [*example, ("failpoint", '""')]
    ]


@pytest.mark.slow
@pytest.mark.system
async def test_config_says_where_each_value_comes_from_without_a_kernel(tmp_path):
    (tmp_path / FILE).write_text("threads = 2\ncandidates = 4\n")
    ended = await verb(tmp_path, "config", "--json", BATOS_CANDIDATES="5")
    told = {one["name"]: (one["value"], one["origin"]) for one in ended.json["settings"]}
    assert told["threads"] == (2, "batos.toml, line 1")
    assert told["candidates"] == (5, "BATOS_CANDIDATES")
    assert told["home"] == (os.fspath(tmp_path), "--home")
    assert told["cell"] == ("auto", "default")


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.parametrize("arguments", [("config",), ("serve",)])
async def test_a_wrong_file_is_one_clear_line_and_no_traceback(tmp_path, arguments):
    (tmp_path / FILE).write_text("tcp_prot = 2\n")
    ended = await verb(tmp_path, *arguments)
    assert ended.status in (2, 78)
    assert ended.err.count("\n") == 1
    assert "line 1: 'tcp_prot' is not a setting; did you mean tcp_port?" in ended.err


@pytest.mark.slow
@pytest.mark.system
async def test_a_profile_that_there_is_not_is_named_with_who_said_it(tmp_path):
    ended = await verb(tmp_path, "config", BATOS_PROFILE="huge")
    assert ended.status == 2
    assert "BATOS_PROFILE" in ended.err
    assert "tiny" in ended.err
