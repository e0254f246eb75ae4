"""puter.bat: what it is made of everywhere, and what it does with a real Windows Python in Wine.

To run it: ``BATOS_WINE=FOLDER ./run.sh test tests/system/test_puter_bat.py``, with Wine installed.
"""

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.system.checkout import ROOT, SAY, make_tree
from tests.system.windows import Windows, name_path

PUTER = ROOT / "puter.bat"
LINES = PUTER.read_bytes().decode("ascii", "replace").splitlines()
# Lines that only say something: nothing in them is carried out.
SILENT = ("rem ", "echo ")
KEPT = os.environ.get("BATOS_WINE", "")
NAMES = ("BAT OS", "BAT OS (x86) für & me !^")

wine = [
    pytest.mark.system,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not KEPT, reason="opt-in: BATOS_WINE names a folder to keep a Windows in"),
    pytest.mark.skipif(shutil.which("wine") is None, reason="needs Wine"),
]


def test_it_is_ascii_with_the_line_ends_of_windows():
    text = PUTER.read_bytes()
    assert text.isascii()
    assert text.count(b"\n") == text.count(b"\r\n") > 20
    assert text.endswith(b"\r\n")


def test_each_label_is_there_once_and_gone_to():
    labels = [line[1:] for line in LINES if line.startswith(":")]
    wanted = {label for line in LINES for label in re.findall(r"\bgoto (\S+)", line)}
    assert len(labels) == len(set(labels))
    assert wanted <= set(labels)


def test_what_may_hold_blanks_stands_in_quotes():
    for line in LINES:
        if not line.startswith(SILENT):
            bare = re.sub(r'"[^"]*"', "", line)
            assert not re.search(r"%~|%HERE%|%BATOS_PYTHON%|%CHECK%|%BOOT%|%TELL%", bare), line


def test_nothing_is_expanded_twice_and_nothing_wine_or_an_old_windows_lacks_is_used():
    text = "\n".join(LINES)
    assert "DisableDelayedExpansion" in text
    for word in ("timeout", "||", "&&", "choice", "where ", "powershell", "enabledelayedexpansion"):
        assert word not in text.lower().replace("disabledelayedexpansion", "")


def test_it_needs_the_same_python_as_run_sh():
    assert "(3, 11)" in PUTER.read_text(encoding="ascii")
    assert "3.1[1-9]" in (ROOT / "run.sh").read_text(encoding="utf-8")


def test_every_word_goes_to_the_same_set_up_as_that_of_run_sh():
    handed = [line for line in LINES if '"%BOOT%"' in line]
    assert len(handed) == 3
    assert all(line.endswith('-I -c "%BOOT%" "%HERE%" %*') for line in handed)
    for text in ("\n".join(LINES), (ROOT / "run.sh").read_text(encoding="utf-8")):
        assert "from bat_os.cli.entry import main; sys.exit(main())" in text


@pytest.fixture(scope="module")
def windows():
    return Windows(Path(KEPT).absolute())


@pytest.fixture(scope="module", params=NAMES)
def ready(request, windows, tmp_path_factory):
    """A tree that has been set up, and what was said at that."""
    tree = make_tree(tmp_path_factory.mktemp("ready") / request.param, drive="Z:")
    return tree, windows.start("puter.bat", "hello", folder=tree)


@pytest.fixture
def bare(tmp_path):
    return make_tree(tmp_path / NAMES[1], drive="Z:")


class TestInWine:
    """With a real Windows CPython."""

    pytestmark = wine

    def test_help_needs_no_set_up(self, windows, bare):
        reply = windows.start("puter.bat", "--help", folder=bare)
        assert reply.returncode == 0, reply
        assert "puter.bat stop" in reply.stdout
        assert not (bare / ".venv").exists()

    @pytest.mark.parametrize(("command", "status"), [("stop", 0), ("status", 3)])
    def test_stop_and_status_need_no_set_up(self, windows, bare, command, status):
        reply = windows.start("puter.bat", command, folder=bare)
        assert reply.returncode == status, reply
        assert reply.stdout.splitlines() == ["BAT OS is not running; it is not set up."]
        assert not (bare / ".venv").exists()

    def test_wrong_options_and_verbs_need_no_set_up_either(self, windows, bare):
        wrong = windows.start("puter.bat", "--wrong", folder=bare)
        assert (wrong.returncode, wrong.stdout) == (2, ""), wrong
        assert "unrecognized arguments: --wrong" in wrong.stderr
        early = windows.start("puter.bat", "list", folder=bare)
        assert early.returncode == 3, early
        assert "run puter.bat start." in early.stderr
        assert not (bare / ".venv").exists()

    def test_without_any_python_it_says_what_is_needed(self, windows, bare):
        reply = windows.start("puter.bat", "hello", folder=bare, python=False)
        assert (reply.returncode, reply.stdout) == (1, ""), reply
        assert "needs Python 3.11 or newer" in reply.stderr
        assert "Found" not in reply.stderr

    def test_after_a_double_click_that_failed_the_window_stays(self, windows, bare):
        reply = windows.start("puter.bat", folder=bare, python=False)
        assert reply.returncode == 1
        assert "Press any key" in reply.stdout

    def test_a_named_python_that_does_not_run_is_an_error(self, windows, bare):
        reply = windows.start("puter.bat", "hello", folder=bare, BATOS_PYTHON="Z:\\none & no.exe")
        assert (reply.returncode, reply.stdout) == (1, ""), reply
        assert 'BATOS_PYTHON names "Z:\\none & no.exe", which is not one.' in reply.stderr

    def test_the_first_start_sets_up_and_starts_watchdog_and_client(self, ready):
        tree, reply = ready
        assert reply.returncode == 0, reply
        assert "[1/2] libraries: done" in reply.stderr
        assert reply.stdout.splitlines() == [
            "min_watchdog_service.py ['start', '--wait']",
            "chat_client.py ['hello']",
        ]
        assert (tree / ".venv" / "Lib" / "site-packages" / "library.py").exists()

    def test_a_second_start_installs_nothing_and_keeps_the_words_as_they_are(self, windows, ready):
        reply = windows.start("puter.bat", "two  blanks", "it's", "a & b", "", "*", folder=ready[0])
        assert (reply.returncode, reply.stderr) == (0, ""), reply
        words = ["two  blanks", "it's", "a & b", "", "*"]
        assert reply.stdout.splitlines()[-1] == f"chat_client.py {words}"

    def test_it_can_be_started_from_any_folder(self, windows, ready, tmp_path):
        reply = windows.start("call", name_path(ready[0] / "puter.bat"), "status", folder=tmp_path)
        assert reply.stdout.splitlines() == ["min_watchdog_service.py ['status']"], reply

    def test_the_exit_status_of_the_client_is_its_own(self, windows, ready):
        script = ready[0] / "chat_client.py"
        script.write_text("raise SystemExit(7)\n")
        reply = windows.start("puter.bat", "hello", folder=ready[0])
        script.write_text(SAY)
        assert reply.returncode == 7, reply

    def test_a_failed_step_says_why_and_the_next_start_goes_on_there(self, windows, ready):
        models = ready[0] / "requirements-models.txt"
        good = models.read_text(encoding="utf-8")
        models.write_text("model @ file:///Z:/nowhere/model-1.0-py3-none-any.whl\n")
        failed = windows.start("puter.bat", "hello", folder=ready[0])
        models.write_text(good + "# changed\n", encoding="utf-8")
        repaired = windows.start("puter.bat", "hello", folder=ready[0])

        assert (failed.returncode, failed.stdout) == (1, ""), failed
        assert "nowhere" in failed.stderr
        assert "run it again" in failed.stderr
        assert repaired.returncode == 0, repaired
        assert "[1/1] models" in repaired.stderr
