"""docs/cli.md is what the parsers say."""

import pytest

from bat_os.cli.shell.reference import COMMAND, write_page
from tests.kernels import ROOT

pytestmark = pytest.mark.slow


def test_the_page_about_the_command_line_is_the_one_that_the_parsers_make():
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert page == write_page(), f"make it again: {COMMAND}"
