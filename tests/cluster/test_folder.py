"""bat_os.cluster.folder: who lives is who holds a file."""

import pytest

from bat_os.cluster.folder import LARGEST, FolderCluster


@pytest.fixture
def join(tmp_path):
    """Return a function that lets a kernel join the cluster in a folder that is not there yet."""
    joined = []

    def join(kernel, **about):
        joined.append(FolderCluster(tmp_path / "cluster"))
        joined[-1].join(kernel, about)
        return joined[-1]

    yield join
    for each in joined:
        each.leave()


def test_kernels_see_each_other_with_what_each_says_of_itself(join):
    first, second = join("ab", host="one"), join("cd", host="two")
    told = {"ab": {"host": "one"}, "cd": {"host": "two"}}
    assert first.look() == second.look() == told
    second.leave()
    assert first.look() == {"ab": {"host": "one"}}


@pytest.mark.parametrize("damage", [b"{", b"\xff", b"[]", b'"' + b"x" * LARGEST, None])
def test_a_kernel_lives_whatever_became_of_what_it_says(join, tmp_path, damage):
    first, _ = join("ab", host="one"), join("cd", host="two")
    said = tmp_path / "cluster" / "cd.json"
    said.unlink() if damage is None else said.write_bytes(damage)
    assert first.look()["cd"] == {}
