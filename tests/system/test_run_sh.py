"""run.sh, bat_os.cli.entry and setup: real shells, a real virtual environment, a real pip."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from bat_os.supervisor.home import FileLock, Home, write_json
from tests.system.checkout import ROOT, SAY, SlowServer, environ, make_tree

SHELLS = [name for name in ("dash", "bash", "sh") if shutil.which(name)]
NAME = "BAT OS 'für' alle & $HOME"  # blanks, quotes, an umlaut, what a shell would expand
# The commands that run.sh itself needs.
TOOLS = ("dirname", "readlink", "cat")

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.name == "nt", reason="run.sh is for POSIX shells"),
]


def run(tree, *arguments, shell="sh", **more):
    return subprocess.run(
        [shell, str(tree / "run.sh"), *arguments],
        capture_output=True,
        encoding="utf-8",
        env=environ(**more),
        check=False,
    )


def begin(tree, *arguments):
    """Start run.sh in a session of its own, as a terminal would."""
    return subprocess.Popen(
        ["sh", str(tree / "run.sh"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=environ(),
        start_new_session=True,
    )


def read_until(process, text):
    """Return the first line of standard error that has ``text``."""
    return next((line for line in process.stderr if text in line), "")


def write_python(folder, name, version):
    """Put a Python on a path that is of another version; return its file."""
    folder.mkdir(exist_ok=True)
    script = folder / name
    script.write_text(f"#!/bin/sh\necho {version}\n")
    script.chmod(0o755)
    return script


def make_tools(folder):
    """Return a folder for PATH with what run.sh needs and no Python."""
    folder.mkdir()
    for name in TOOLS:
        (folder / name).symlink_to(shutil.which(name))
    return folder


def mount(tree, command):
    """Start run.sh after a command that changes mounts, which only this start sees."""
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare")
    shell = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run(
        [*shell, "mount -t tmpfs x /mnt"], capture_output=True, check=False
    ).returncode:
        pytest.skip("mounts are not allowed here")
    return subprocess.run(
        [*shell, f'{command} && cd "$PWD" && exec sh run.sh hello'],
        cwd=tree, capture_output=True, encoding="utf-8", env=environ(), check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """A tree that has been set up."""
    tree = make_tree(tmp_path_factory.mktemp("ready") / NAME)
    done = run(tree, "hello")
    assert done.returncode == 0, done.stderr
    return tree


@pytest.fixture
def bare(tmp_path):
    """A tree that has not been set up."""
    return make_tree(tmp_path / NAME)


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_reads_the_script(shell):
    assert subprocess.run([shell, "-n", str(ROOT / "run.sh")], check=False).returncode == 0


@pytest.mark.parametrize("word", ["--help", "-h", "help"])
@pytest.mark.parametrize("shell", SHELLS)
def test_help_needs_no_set_up(bare, shell, word):
    reply = run(bare, word, shell=shell)
    assert reply.returncode == 0
    assert "./run.sh stop" in reply.stdout
    assert not (bare / ".venv").exists()


@pytest.mark.parametrize(("command", "status"), [("stop", 0), ("status", 3)])
def test_stop_and_status_need_no_set_up(bare, command, status):
    reply = run(bare, command)
    assert reply.returncode == status
    assert "not running" in reply.stdout
    assert not (bare / ".venv").exists()


@pytest.mark.slow
def test_stop_and_status_need_no_whole_set_up(bare):
    subprocess.run([sys.executable, "-m", "venv", bare / ".venv"], check=True)
    stamp = bare / ".venv" / ".setup" / "venv"
    stamp.parent.mkdir()
    stamp.write_text("{}.{}\n".format(*sys.version_info[:2]))
    told = "BAT OS is not running; it is not set up completely.\n"
    for command, status in (("stop", 0), ("status", 3)):
        reply = run(bare, command, BATOS_PYTHON=sys.executable)
        assert (reply.returncode, reply.stdout, reply.stderr) == (status, told, "")


@pytest.mark.parametrize("shell", SHELLS)
def test_without_any_python_it_says_what_is_needed(bare, tmp_path, shell):
    path = make_tools(tmp_path / "tools")
    reply = run(bare, shell=shutil.which(shell), PATH=str(path), BATOS_PYTHON="")
    assert (reply.returncode, reply.stdout) == (1, "")
    assert "needs Python 3.11 or newer" in reply.stderr
    assert "no Python at all" in reply.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_an_old_python_is_named_with_its_version(bare, tmp_path, shell):
    path = make_tools(tmp_path / "tools")
    write_python(path, "python3", "3.9")
    reply = run(bare, shell=shutil.which(shell), PATH=str(path), BATOS_PYTHON="")
    assert (reply.returncode, reply.stdout) == (1, "")
    assert "python3 is Python 3.9" in reply.stderr


def test_an_old_python_that_was_asked_for_is_not_replaced_by_another(bare, tmp_path):
    old = write_python(tmp_path / "old", "python3", "3.10")
    reply = run(bare, BATOS_PYTHON=str(old))
    assert reply.returncode == 1
    assert f"{old} is Python 3.10" in reply.stderr


def test_an_old_python_is_passed_over_when_there_is_a_newer_one(bare, tmp_path):
    path = make_tools(tmp_path / "tools")
    write_python(path, "python3", "3.9")
    (path / "python").symlink_to(sys.executable)
    reply = run(bare, "--help", shell=shutil.which("sh"), PATH=str(path), BATOS_PYTHON="")
    assert (reply.returncode, reply.stderr) == (0, "")


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
    assert reply.stdout == "batos.py ['status']\n"


@pytest.mark.slow
def test_start_opens_no_client(ready):
    reply = run(ready, "start")
    assert (reply.returncode, reply.stderr) == (0, "")
    assert reply.stdout == "min_watchdog_service.py ['start', '--wait']\n"


@pytest.mark.parametrize(
    ("word", "meant"),
    [("statsu", "status"), ("Stop", "stop"), ("hlep", "help"), ("docter", "doctor")],
)
def test_a_word_that_is_nearly_a_command_starts_nothing(bare, word, meant):
    reply = run(bare, word)
    assert (reply.returncode, reply.stdout) == (2, "")
    assert reply.stderr == f"{word}: did you mean {meant}? A request has several words.\n"
    assert not (bare / ".venv").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--wrong"], "unrecognized arguments: --wrong"),
        (["--wrong", "double 21"], "unrecognized arguments: --wrong"),
        (["double 21", "--as"], "--as: expected one argument"),
    ],
)
def test_wrong_options_are_told_before_any_set_up(bare, words, said):
    reply = run(bare, *words)
    assert (reply.returncode, reply.stdout) == (2, "")
    assert reply.stderr.startswith("usage: ./run.sh ")
    assert said in reply.stderr
    assert not (bare / ".venv").exists()


@pytest.mark.parametrize("words", [["list"], ["doctor", "--quick"], ["inspect", "genesis_obj"]])
def test_a_verb_sets_nothing_up(bare, words):
    reply = run(bare, *words)
    assert (reply.returncode, reply.stdout) == (3, "")
    assert reply.stderr == "BAT OS is not set up completely; run ./run.sh start.\n"
    assert not (bare / ".venv").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["list"],
        ["doctor", "--quick"],
        ["status", "--json"],
        ["--json", "list"],
        ["--home", "some where", "-q", "missions"],
        ["--home=x", "health"],
        ["inspect", "genesis_obj"],
        ["inspect"],
        ["send", "genesis_obj", "double", "21"],
        ["find", "--help"],
    ],
)
def test_a_line_that_begins_with_a_verb_is_that_verb_and_starts_nothing(ready, words):
    reply = run(ready, *words)
    assert (reply.returncode, reply.stderr) == (0, "")
    assert reply.stdout == f"batos.py {words}\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["stop", "the", "music"],
        ["test", "my", "idea"],
        ["status quo"],
        ["list", "the", "planets"],
        ["find the largest of 3 and 5"],
        ["--fresh", "inspect my notes"],
        ["--as", "list()", "say what there is"],
        ["hello"],
    ],
)
def test_what_begins_like_a_command_or_verb_may_be_a_wish(ready, words):
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
    assert "run it again" in failed.stderr
    assert repaired.returncode == 0
    assert "[1/1] models" in repaired.stderr


@pytest.mark.slow
def test_the_test_command_installs_the_tools_and_runs_the_checks(ready):
    first = run(ready, "test", "-k", "mission")
    second = run(ready, "test", "tests/core")
    assert "[2/2] test tools" in first.stderr
    assert first.stdout == "check.py ['-k', 'mission']\n"
    assert (second.stderr, second.stdout) == ("", "check.py ['tests/core']\n")


@pytest.fixture
def adopted(ready, bare):
    """A tree with a virtual environment that somebody else made, and none of the steps done."""
    shutil.copytree(ready / ".venv", bare / ".venv", symlinks=True)
    shutil.rmtree(bare / ".venv" / ".setup")
    (bare / ".venv" / "theirs").touch()
    return bare


@pytest.fixture
def slow(adopted):
    """The server of that tree's first step, which waits for ``gate``."""
    [wheel] = adopted.glob("library-*.whl")
    with SlowServer(wheel) as server:
        (adopted / "requirements-first.txt").write_text(f"library @ {server.url}\n")
        yield server


@pytest.mark.slow
def test_an_environment_that_somebody_else_made_is_used_as_it_is(adopted):
    reply = run(adopted, "hello")
    assert reply.returncode == 0, reply.stderr
    assert "Making .venv" not in reply.stderr
    assert (adopted / ".venv" / "theirs").exists()


@pytest.mark.slow
def test_two_first_starts_do_the_work_once(adopted, slow):
    first = begin(adopted, "hello")
    with first:
        assert slow.asked.wait(60)
        second = begin(adopted, "hello")
        with second:
            assert read_until(second, "Waiting")
            slow.gate.set()
            replies = [first.communicate(), second.communicate()]

    assert (first.returncode, second.returncode) == (0, 0), replies
    assert "[1/2] libraries: done" in replies[0][1]
    assert replies[1][1] == ""
    assert [out.splitlines()[-1] for out, _ in replies] == ["chat_client.py ['hello']"] * 2


@pytest.mark.slow
def test_ctrl_c_ends_the_set_up_at_once_and_the_next_start_goes_on(adopted, slow):
    interrupted = begin(adopted, "hello")
    with interrupted:
        assert slow.asked.wait(60)
        os.killpg(interrupted.pid, signal.SIGINT)
        out, err = interrupted.communicate()
    slow.gate.set()
    resumed = run(adopted, "hello")

    assert (interrupted.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "Interrupted. Run it again to resume."
    assert "Traceback" not in err
    assert resumed.returncode == 0, resumed.stderr
    assert "[1/2] libraries: done" in resumed.stderr


@pytest.mark.slow
def test_a_set_up_that_is_killed_leaves_its_installer_to_finish_before_the_next(adopted, slow):
    killed = begin(adopted, "hello")
    with killed:
        assert slow.asked.wait(60)
        killed.kill()
    resumed = begin(adopted, "hello")
    with resumed:
        assert read_until(resumed, "Waiting")
        slow.gate.set()
        out, err = resumed.communicate()

    assert resumed.returncode == 0, err
    assert "[1/2] libraries: done" in err
    assert out.splitlines()[-1] == "chat_client.py ['hello']"


@pytest.mark.slow
def test_an_environment_that_was_killed_in_the_making_is_made_anew(bare):
    killed = begin(bare, "hello")
    with killed:
        assert read_until(killed, "Making .venv")
        killed.kill()

    reply = run(bare, "hello")

    assert reply.returncode == 0, reply.stderr
    assert "chat_client.py ['hello']" in reply.stdout


@pytest.mark.slow
def test_a_broken_python_in_the_environment_is_replaced(bare):
    python = bare / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to("/nowhere/python")
    started = begin(bare, "hello")
    with started:
        assert read_until(started, "making it again")
        assert read_until(started, "Making .venv")
        started.terminate()
    assert started.returncode == 143
    assert not python.is_symlink() or python.exists()


@pytest.mark.slow
def test_on_a_full_disk_it_says_how_much_room_it_needs(bare):
    (bare / ".venv").mkdir()
    reply = mount(bare, "mount -t tmpfs -o size=64k x .venv")
    assert (reply.returncode, reply.stdout) == (1, "")
    assert "Check the disk (0 MB are free; a whole set-up needs" in reply.stderr
    assert "Traceback" not in reply.stderr


@pytest.mark.slow
def test_in_a_folder_that_cannot_be_written_it_says_so(bare):
    reply = mount(bare, "mount --bind . . && mount -o remount,bind,ro .")
    assert (reply.returncode, reply.stdout) == (1, "")
    assert reply.stderr.splitlines() == [
        f"Cannot set up BAT OS in {bare}: Read-only file system.",
        "Move the folder to a place that you can write to, then run it again.",
    ]
