"""The year of benchmarks/year.py in short: some days, and all that happens in it."""

import re
import sys

import pytest

from benchmarks import year

pytestmark = [
    pytest.mark.system,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.platform != "linux", reason="its disk is full by a limit of Linux"),
]
SHORT = "--days 2 --requests 6 --words 200 --updates 0 --crashes 1 --patience 1"


def test_some_days_with_a_crash_a_full_disk_and_another_home_lose_nothing(capsys):
    year.main(SHORT.split())  # its bounds are for a year; those that hold at any time are below
    said = capsys.readouterr().out
    rows = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|", said, re.MULTILINE))
    assert "1 x crash, 1 x full disk, 1 x restore" in rows["days; requests; what happened"], said
    assert rows["answered wrongly on the way"] == "0", said
    assert rows["answers of the first day, on the last"] == "the same"
    assert re.match(
        r"4 of 4 lessons, 2 of 2 facts, (\d+) of \1 counted, 2 of 2 documents, 2 of 2 reminders",
        rows["right at the end"],
    ), said
    assert rows["lost"] == "0"
    assert int(rows["daily backups kept"]) > 0
