"""bat_os.cli.update: which version is taken, from real repositories, and who signs."""

import subprocess

import pytest

from bat_os.cli import update
from bat_os.errors import UpgradeError
from bat_os.supervisor.home import Home
from bat_os.supervisor.program import Program
from bat_os.supervisor.upgrade import instructions

PROGRAM = '__version__ = "{}"\n'


def git(folder, *words):
    names = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=0")
    done = subprocess.run(["git", *names, *words], cwd=folder, capture_output=True, check=True)
    return done.stdout.decode().strip()


def commit(folder, version):
    (folder / "bat_os").mkdir(parents=True, exist_ok=True)
    (folder / "bat_os" / "__init__.py").write_text(PROGRAM.format(version))
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", version)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def places(tmp_path):
    """(what is followed, a clone of it, a second remote of the clone)."""
    origin = tmp_path / "origin"
    origin.mkdir()
    git(origin, "init", "-q", "-b", "main")
    commit(origin, "1.0.0")
    for name in ("clone", "friend"):
        git(tmp_path, "clone", "-q", str(origin), name)
    git(tmp_path / "clone", "remote", "add", "friend", str(tmp_path / "friend"))
    return origin, tmp_path / "clone", tmp_path / "friend"


def find(clone):
    return update.find(clone, Program(clone, clone / "python", "1.0.0", ""))


def test_a_tag_of_another_remote_or_beside_the_branch_decides_nothing(places):
    origin, clone, friend = places
    commit(friend, "99.0.0")
    git(friend, "tag", "v99.0.0")
    git(clone, "fetch", "-q", "--tags", "friend")
    git(origin, "checkout", "-q", "-b", "trial")
    commit(origin, "50.0.0")
    git(origin, "tag", "v50.0.0")
    git(origin, "checkout", "-q", "main")
    assert find(clone).commit == ""
    wanted = commit(origin, "1.1.0")
    git(origin, "tag", "v1.1.0")
    commit(origin, "1.2.0")
    found = find(clone)
    assert (found.commit, found.version) == (wanted, "1.1.0")


def test_without_tags_the_branch_is_followed_and_without_one_among_remotes_that_is_said(places):
    origin, clone, _friend = places
    wanted = commit(origin, "1.1.0")
    assert find(clone).commit == wanted
    git(clone, "branch", "--unset-upstream")
    with pytest.raises(UpgradeError, match="which of friend, origin to follow: git branch -u"):
        find(clone)


@pytest.mark.parametrize("state", ["a tag", "a branch of no upstream", "a branch of a branch"])
def test_a_checkout_that_follows_nothing_follows_its_only_remote(places, state):
    origin, clone, _friend = places
    git(clone, "remote", "remove", "friend")
    git(clone, "remote", "rename", "origin", "of/theirs")
    git(clone, "tag", "v1.0.0")
    words = {"a tag": ["v1.0.0"], "a branch of no upstream": ["-b", "mine", "--no-track"]}
    git(clone, "checkout", "-q", *words.get(state, ["-b", "mine", "--track", "main"]))
    git(origin, "branch", "-m", "main", "trunk")
    wanted = commit(origin, "1.1.0")
    git(origin, "tag", "v1.1.0")
    assert find(clone).commit == wanted


def test_a_key_whose_line_was_not_written_is_named_at_the_next_update(tmp_path):
    home = Home(tmp_path)
    home.upgrade.mkdir()
    instructions.make_key(home.upgrade / update.KEY)
    home.upgrade_keys.write_text("# keys of ours")  # without an end of line
    line = instructions.public_line(home.upgrade / update.KEY)
    for _ in range(2):
        update._own_key(home)
        assert home.upgrade_keys.read_text() == f"# keys of ours\n{line}\n"


def test_what_a_killed_update_left_of_a_key_does_not_stop_the_next_one(tmp_path):
    home = Home(tmp_path)
    home.upgrade.mkdir()
    (home.upgrade / "update.new").write_text("half")
    key = update._own_key(home)
    assert home.upgrade_keys.read_text() == f"{instructions.public_line(key)}\n"
