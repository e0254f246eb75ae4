"""deploy/manual.py: the manual page that man shows."""

import importlib.util
import shutil
import subprocess

import pytest

from bat_os.core.verbs import COMMANDS
from tests.kernels import ROOT

PAGE = ROOT / "deploy" / "batos.1"

pytestmark = pytest.mark.slow


def load_manual():
    spec = importlib.util.spec_from_file_location("manual", ROOT / "deploy" / "manual.py")
    manual = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(manual)
    return manual


def test_the_page_is_the_one_that_the_tables_make():
    manual = load_manual()
    assert PAGE.read_text(encoding="utf-8") == manual.write_manual(), manual.COMMAND


@pytest.mark.skipif(shutil.which("groff") is None, reason="man pages are set by groff")
def test_man_shows_every_verb_and_what_is_typed_as_it_is_typed():
    command = ["groff", "-man", "-ww", "-Tutf8", "-P-cbou", PAGE]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""  # groff warns of what it does not know
    headings = {line.strip() for line in done.stdout.splitlines()}
    assert {f"batos {name}" for name in COMMANDS} <= headings
    assert 'batos ask "double a number" --as "double(21)"' in headings
    assert "--example '5 gives 120'" in headings
