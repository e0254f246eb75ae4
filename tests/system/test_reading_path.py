"""The path of a message in docs/architecture.md, against a trace of a real kernel."""

import re

import pytest

from tests.reading_path import PAGE, TABLES, count_lines, trace

pytestmark = [pytest.mark.system, pytest.mark.slow]
# A table shows the path of one message; more than this is not read in one sitting.
MOST_LINES = {"known": 5_840, "learned": 13_560}


def rows_of(which):
    """Return the files of a table in the page, with the lines that it says each has."""
    page = PAGE.read_text(encoding="utf-8")
    table = page.partition(f"<!-- path: {which} -->")[2].partition("<!-- end -->")[0]
    rows = re.findall(r"^\| \d+ \| `(.+?)` \| (\d+) \|", table, re.MULTILINE)
    return {name: int(lines) for name, lines in rows}


@pytest.mark.parametrize("which", TABLES)
def test_each_file_of_the_path_is_shown_with_its_raw_lines(which):
    shown = rows_of(which)
    assert shown
    assert shown == {name: count_lines(name) for name in shown}  # python -m tests.reading_path
    assert sum(shown.values()) <= MOST_LINES[which]


async def test_the_page_shows_the_files_that_a_real_mission_runs_through(tmp_path):
    traced = await trace(tmp_path / "home")
    known, learned = (set(rows_of(which)) for which in TABLES)

    assert known | learned == {*traced["known"], *traced["learned"]}
    # A fresh child is made when there is time: the files for that are in either table.
    forking = {name for name in traced["known"] if name.startswith("cells/")}
    assert known ^ set(traced["known"]) <= forking | {n for n in known if n.startswith("cells/")}
