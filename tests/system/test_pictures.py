"""The pictures of docs/world.md are what a real kernel says."""

import pytest

from tests.pictures import FOLDER, draw, hold

pytestmark = [pytest.mark.system, pytest.mark.slow]


async def test_the_pictures_show_what_is_said(tmp_path):
    told = await hold(tmp_path)
    assert {path.stem for path in FOLDER.glob("*.svg")} == set(told)
    for name, lines in told.items():
        drawn = (FOLDER / f"{name}.svg").read_text(encoding="utf-8")
        assert draw(lines) == drawn, f"{name} is another: python -m tests.pictures --write"
