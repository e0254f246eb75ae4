"""The driver of docs/writing-a-driver.md passes what every driver passes."""

import re
from pathlib import Path

import pytest

from tests.world.contract import *  # noqa: F403
from tests.world.contract import Case

PAGE = Path(__file__).parents[2] / "docs" / "writing-a-driver.md"


@pytest.fixture
def case(tmp_path):
    for name in ("a/b", "c"):
        (tmp_path / name).mkdir(parents=True)
    driver, example = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    names = {"Case": Case, "__name__": "space"}
    exec(compile(driver + example, PAGE.name, "exec"), names)  # noqa: S102  # our own page
    return names["make_case"](tmp_path)
