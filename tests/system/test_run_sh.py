"""run.sh and bat_os.cli.setup: real shells, a real virtual environment, a real pip.

The tree under test has its own small requirement files and two scripts that say how they were
called; what is installed is a wheel that the test makes, so no network is needed.
"""

import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bat_os.supervisor.home import Home, write_json
from bat_os.supervisor.lock import FileLock

ROOT = Path(__file__).parents[2]
SHELLS = [name for name in ("dash", "bash", "sh") if shutil.which(name)]
SAY = "import os, sys\nprint(os.path.basename(sys.argv[0]), sys.argv[1:])\n"

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.name == "nt", reason="run.sh is for POSIX shells"),
]


def make_wheel(folder, name):
    """Write a wheel with one empty module; return the requirement that installs it."""
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"{name}.py,,\n")
    return f"{name} @ {wheel.as_uri()}\n"


def make_tree(folder):
    """Return a small checkout in a directory whose name has blanks, quotes and umlauts."""
    tree = folder / "BAT OS 'für' alle & $HOME"
    (tree / "tests").mkdir(parents=True)
    shutil.copy(ROOT / "run.sh", tree)
    (tree / "bat_os").symlink_to(ROOT / "bat_os")
    (tree / "requirements.txt").write_text(make_wheel(tree, "library"), encoding="utf-8")
    (tree / "requirements-models.txt").write_text(make_wheel(tree, "model"), encoding="utf-8")
    (tree / "tests" / "requirements.txt").write_text(make_wheel(tree, "tool"), encoding="utf-8")
    for name in ("chat_client.py", "min_watchdog_service.py", "tests/check.py"):
        (tree / name).write_text(SAY, encoding="utf-8")
    return tree


def environ(**more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BATOS_")}
    return {**kept, "BATOS_PYTHON": sys.executable, **more}


def run(tree, *arguments, shell="sh", **more):
    return subprocess.run(
        [shell, str(tree / "run.sh"), *arguments],
        capture_output=True,
        encoding="utf-8",
        env=environ(**more),
        check=False,
    )


def begin(tree, *arguments):
    return subprocess.Popen(
        ["sh", str(tree / "run.sh"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=environ(),
    )


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """A tree that has been set up."""
    tree = make_tree(tmp_path_factory.mktemp("ready"))
    done = run(tree, "hello")
    assert done.returncode == 0, done.stderr
    return tree


@pytest.fixture
def bare(tmp_path):
    """A tree that has not been set up."""
    return make_tree(tmp_path)


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_reads_the_script(shell):
    assert subprocess.run([shell, "-n", str(ROOT / "run.sh")], check=False).returncode == 0


@pytest.mark.parametrize("shell", SHELLS)
def test_help_needs_no_set_up(bare, shell):
    reply = run(bare, "--help", shell=shell)
    assert reply.returncode == 0
    assert "./run.sh stop" in reply.stdout
    assert not (bare / ".venv").exists()


@pytest.mark.parametrize(("command", "status"), [("stop", 0), ("status", 3)])
def test_stop_and_status_need_no_set_up(bare, command, status):
    reply = run(bare, command)
    assert reply.returncode == status
    assert "not running" in reply.stdout
    assert not (bare / ".venv").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_without_any_python_it_says_what_is_needed(bare, tmp_path, shell):
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("dirname", "readlink", "cat"):
        (tools / name).symlink_to(shutil.which(name))
    reply = run(bare, shell=shutil.which(shell), PATH=str(tools), BATOS_PYTHON="")
    assert reply.returncode == 1
    assert "needs Python 3.11 or newer" in reply.stderr


def test_an_old_python_is_named_with_its_version(bare, tmp_path):
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\necho 3.9\n")
    old.chmod(0o755)
    reply = run(bare, BATOS_PYTHON=str(old))
    assert reply.returncode == 1
    assert f"{old} is Python 3.9" in reply.stderr


def test_a_named_python_that_does_not_run_is_an_error(bare, tmp_path):
    reply = run(bare, BATOS_PYTHON=str(tmp_path / "none"))
    assert reply.returncode == 1
    assert "does not run" in reply.stderr


@pytest.mark.slow
def test_a_second_start_installs_nothing_and_says_nothing(ready):
    reply = run(ready, "what's", "two  blanks", "", "*")
    assert reply.stderr == ""
    assert reply.stdout.splitlines() == [
        "min_watchdog_service.py ['start', '--wait']",
        """chat_client.py ["what's", 'two  blanks', '', '*']""",
    ]


@pytest.mark.slow
def test_a_set_up_tree_has_libraries_models_and_no_test_tools(ready):
    python = ready / ".venv" / "bin" / "python"
    code = "import library, model; import tool"
    reply = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    assert "No module named 'tool'" in reply.stderr


@pytest.mark.slow
def test_a_link_to_the_script_finds_its_tree(ready, tmp_path):
    link = tmp_path / "batos"
    link.symlink_to(ready / "run.sh")
    reply = subprocess.run(
        [str(link), "status"], capture_output=True, text=True, env=environ(), check=False
    )
    assert reply.stdout == "min_watchdog_service.py ['status']\n"


@pytest.mark.slow
def test_a_sentence_that_begins_like_a_command_goes_to_the_client(ready):
    for words in (["stop", "the", "music"], ["test", "my", "idea"], ["status quo"]):
        assert run(ready, *words).stdout.splitlines()[-1] == f"chat_client.py {words}"


@pytest.mark.slow
def test_the_client_starts_at_once_when_the_kernel_serves(ready, tmp_path):
    home = Home(tmp_path / "home")
    home.prepare()
    write_json(home.status, {"state": "running", "watchdog_pid": os.getpid()})
    with FileLock(home.lock).acquire():
        reply = run(ready, "hello", BATOS_HOME=str(home.path))
    assert reply.stdout == "chat_client.py ['hello']\n"


@pytest.mark.slow
def test_a_failing_watchdog_keeps_the_client_from_starting(ready):
    script = ready / "min_watchdog_service.py"
    script.write_text("raise SystemExit(7)\n")
    reply = run(ready, "hello")
    script.write_text(SAY)
    assert (reply.returncode, reply.stdout) == (7, "")


@pytest.mark.slow
def test_a_failed_step_says_why_and_the_next_start_goes_on_there(ready):
    models = ready / "requirements-models.txt"
    good = models.read_text(encoding="utf-8")
    models.write_text("model @ file:///nowhere/model-1.0-py3-none-any.whl\n")
    failed = run(ready, "hello")
    models.write_text(good + "# changed\n", encoding="utf-8")
    repaired = run(ready, "hello")

    assert (failed.returncode, failed.stdout) == (1, "")
    assert "/nowhere/" in failed.stderr
    assert str(ready / ".venv" / ".setup" / "pip.log") in failed.stderr
    assert "start again" in failed.stderr
    assert repaired.returncode == 0
    assert "[1/1] models" in repaired.stderr


@pytest.mark.slow
def test_the_test_command_installs_the_tools_and_runs_the_checks(ready):
    first = run(ready, "test", "-k", "mission")
    second = run(ready, "test", "tests/core")
    assert "[1/1] test tools" in first.stderr
    assert first.stdout == "check.py ['-k', 'mission']\n"
    assert (second.stderr, second.stdout) == ("", "check.py ['tests/core']\n")


@pytest.mark.slow
def test_two_first_starts_do_the_work_once(bare):
    starts = [begin(bare, "hello"), begin(bare, "hello")]
    replies = [start.communicate() for start in starts]

    assert [start.returncode for start in starts] == [0, 0], replies
    logs = sorted(stderr for _, stderr in replies)
    assert sum("[1/2] libraries: done" in text for text in logs) == 1
    assert sum("waiting" in text for text in logs) == 1


@pytest.mark.slow
def test_a_killed_set_up_is_completed_by_the_next_start(bare):
    killed = begin(bare, "hello")
    with killed:
        assert "Making .venv" in killed.stderr.readline()
        killed.send_signal(signal.SIGKILL)

    reply = run(bare, "hello")

    assert reply.returncode == 0, reply.stderr
    assert "chat_client.py ['hello']" in reply.stdout


@pytest.mark.slow
def test_an_environment_that_somebody_else_made_is_used_as_it_is(bare):
    subprocess.run([sys.executable, "-m", "venv", str(bare / ".venv")], check=True)
    (bare / ".venv" / "theirs").touch()
    reply = run(bare, "hello")
    assert reply.returncode == 0, reply.stderr
    assert "Making .venv" not in reply.stderr
    assert (bare / ".venv" / "theirs").exists()


@pytest.mark.slow
def test_a_broken_python_in_the_environment_is_replaced(bare):
    python = bare / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to("/nowhere/python")
    reply = run(bare, "hello")
    assert reply.returncode == 0, reply.stderr
    assert "making it anew" in reply.stderr
