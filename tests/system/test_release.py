"""deploy/release.py: checksums and a software bill of materials, the same each time."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bat_os.cli.licences import parts

ROOT = Path(__file__).parents[2]
GIT = ("git", "-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=0")

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A repository with what is tracked here, as it is now."""
    pytest.importorskip("cyclonedx", reason="needs deploy/requirements-release.txt")
    root = tmp_path_factory.mktemp("project")
    command = ["git", "ls-files", "bat_os", "deploy", "lora_adapters", "*.txt", "*.toml", "*.md",
               "*.jsonl", "LICENSE", "batos.py"]  # fmt: skip
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*GIT, *words], cwd=root, check=True)
    return root


def release(root, out):
    command = [sys.executable, root / "deploy" / "release.py", "--no-checks", "--out", out]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_release_is_the_same_twice_and_its_sums_are_right(project, tmp_path):
    done = [release(project, tmp_path / name) for name in ("one", "two")]
    assert [each.returncode for each in done] == [0, 0], done[0].stderr
    assert done[0].stdout == done[1].stdout
    for line in (tmp_path / "one" / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        assert hashlib.sha256((tmp_path / "one" / name).read_bytes()).hexdigest() == digest
    bom = json.loads((tmp_path / "one" / "sbom.cdx.json").read_text())
    assert bom["bomFormat"] == "CycloneDX"
    assert {each["name"] for each in bom["components"]} == {part.name for part in parts()[1:]}
    assert all(each["licenses"] for each in bom["components"])


def test_what_is_not_committed_or_tagged_wrongly_is_not_released(project, tmp_path):
    subprocess.run([*GIT, "tag", "v99.0.0"], cwd=project, check=True)
    assert "HEAD is v99.0.0" in release(project, tmp_path / "out").stderr
    subprocess.run([*GIT, "tag", "-d", "v99.0.0"], cwd=project, check=True, capture_output=True)
    (project / "LICENSE").write_text("mine")
    assert "commit or take back" in release(project, tmp_path / "out").stderr
