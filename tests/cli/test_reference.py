"""The reference pages are what the table of verbs says."""

import pytest

from bat_os.cli.reference import COMMAND, pages

pytestmark = pytest.mark.slow


def test_the_pages_are_those_that_the_table_makes():
    for path, text in pages().items():
        assert path.read_text(encoding="utf-8") == text, f"make {path.name} again: {COMMAND}"
