"""bat_os.world.shell: named programs run in one folder, and reach nothing else."""

import os
import shutil
import socket

import pytest

from bat_os.errors import ArgumentsError, LimitError, NotFoundError, NotGrantedError
from bat_os.ports import AWAIT
from bat_os.world import shell
from bat_os.world.confined import holds
from bat_os.world.shell import Shell

pytestmark = pytest.mark.skipif(not holds(), reason="this system has no cage")


@pytest.fixture
def work(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "secret.txt").write_text("SECRET")
    return folder


@pytest.fixture
def run(work):
    """Return a function that runs one of some programs in ``work``."""
    driver = Shell(seconds=60)
    scope = driver.scope(f"shell:wc,cat,sh,head {work}")
    return lambda *args: driver.perform(scope, "run", args)


def test_a_program_reads_and_changes_its_folder(run, work):
    told = run("wc", ["-l", "a.txt"])
    assert told == {
        "status": 0, "output": "2 a.txt\n", "errors": "", "timed_out": False, "cut": False,
    }  # fmt: skip
    assert run("cat", [], "from outside ü")["output"] == "from outside ü"
    assert run("sh", ["-c", "pwd; echo three >> a.txt; exit 3"])["status"] == 3
    assert (work / "a.txt").read_text() == "one\ntwo\nthree\n"
    failed = run("cat", ["none"])
    assert failed["status"] == 1
    assert "none" in failed["errors"]


def test_a_program_reaches_nothing_beside_its_folder(run, work):
    for order in (
        "cat ../secret.txt",
        f"cat {work.parent}/secret.txt",
        "cat /etc/passwd",
        "ls ~/..",
    ):
        told = run("sh", ["-c", order])
        assert told["status"] != 0, order
        assert "SECRET" not in told["output"]
    (work / "link").symlink_to(work.parent / "secret.txt")
    assert run("cat", ["link"])["status"] != 0
    assert "HOME=/root" not in run("sh", ["-c", "env"])["output"]
    assert os.environ["PATH"] not in run("sh", ["-c", "env"])["output"]


def test_only_what_was_named_is_run(run):
    for program in ("ls", "/bin/cat", "../cat", "", "cat\0", None, 5):
        with pytest.raises(NotGrantedError):
            run(program, [])


@pytest.mark.parametrize(
    "args", [["a"] * 300, ["x" * 70_000], ["\0"], ["\ud800"], "text", 5, [5], None, {"a": 1}]
)
def test_arguments_are_a_list_of_texts(run, args):
    with pytest.raises(ArgumentsError):
        run("cat", args)


def test_output_is_cut_and_time_is_bounded(work):
    told = Shell(seconds=60).perform(
        Shell().scope(f"shell:head {work}"), "run", ("head", ["-c", "3000000", "/dev/zero"])
    )
    assert (len(told["output"]), told["cut"], told["status"]) == (shell.MAX_OUTPUT, True, 0)
    driver = Shell(seconds=0.5)
    scope = driver.scope(f"shell:sh {work}")
    told = driver.perform(scope, "run", ("sh", ["-c", "echo begun; setsid sleep 600 & sleep 600"]))
    assert (told["status"], told["timed_out"]) == (shell.TIMED_OUT, True)
    assert told["output"] in ("begun\n", "")


def test_a_program_that_does_not_read_is_given_up(run):
    assert run("sh", ["-c", "exit 0"], "x" * (1 << 20))["status"] == 0


def test_a_program_that_takes_too_much_gets_a_coded_error(run, work):
    with pytest.raises(LimitError, match="256 MB") as caught:
        run("sh", ["-c", "cat /dev/zero > big"])
    assert (caught.value.code, caught.value.details) == ("LIMIT_EXCEEDED", {"limit": "file"})
    assert (work / "big").stat().st_size == 256 << 20


def test_a_program_has_no_network(work):
    driver = Shell(seconds=60)
    scope = driver.scope(f"shell:bash {work}")
    with socket.create_server(("127.0.0.1", 0)) as server:
        order = f"echo x > /dev/tcp/127.0.0.1/{server.getsockname()[1]}"
        told = driver.perform(scope, "run", ("bash", ["-c", order]))
    assert told["status"] != 0
    assert "Permission denied" in told["errors"]


def test_a_folder_that_is_another_one_now_is_refused(work):
    driver = Shell()
    scope = driver.scope(f"shell:cat {work}")
    shutil.rmtree(work)
    with pytest.raises(NotFoundError):
        driver.perform(scope, "run", ("cat", ["a.txt"]))
    work.symlink_to(work.parent)
    with pytest.raises(NotGrantedError):
        driver.perform(scope, "run", ("cat", ["secret.txt"]))


def test_a_grant_of_fewer_programs_or_of_a_folder_below_is_a_part(work):
    (work / "deep").mkdir()
    driver = Shell()
    whole = driver.scope(f"shell:cat,wc {work}")
    assert driver.contains(whole, driver.scope(f"shell:wc {work}/deep"))
    assert not driver.contains(driver.scope(f"shell:wc {work}"), whole)
    assert not driver.contains(whole, driver.scope(f"shell:wc {work.parent}"))
    assert driver.describe(whole) == f"running cat, wc in {work}"
    operation = driver.operations(whole)["run"]
    assert (operation.kind, operation.repeatable) == (AWAIT, False)
