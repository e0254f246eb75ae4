"""deploy/release.py: checksums and a software bill of materials, the same each time."""

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bat_os.cli.licences import parts

ROOT = Path(__file__).parents[2]
GIT = ("git", "-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=0")
ADDRESS = "https://example.org/bat-os/releases/download/v1"

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
    command = [sys.executable, root / "deploy" / "release.py", "--no-checks", "--out", out,
               "--address", ADDRESS]  # fmt: skip
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


def test_the_formula_and_the_manifest_name_the_files_of_the_release(project, tmp_path):
    assert release(project, tmp_path).returncode == 0
    [wheel] = tmp_path.glob("*.whl")
    formula = (tmp_path / "homebrew" / "bat-os.rb").read_text()
    assert f'url "{ADDRESS}/{wheel.name}", using: :nounzip' in formula
    assert f'sha256 "{hashlib.sha256(wheel.read_bytes()).hexdigest()}"' in formula
    assert 'homepage "https://example.org/bat-os"' in formula
    assert formula.count("{") == formula.count("}") == 2  # Ruby's own
    names = ("BatOS.BatOS.installer.yaml", "BatOS.BatOS.locale.en-US.yaml", "BatOS.BatOS.yaml")
    assert sorted(path.name for path in (tmp_path / "winget").iterdir()) == sorted(names)
    lines = (tmp_path / "winget" / names[0]).read_text().splitlines()
    installer = dict(line.strip("- ").split(": ", 1) for line in lines if ": " in line)
    exe = (tmp_path / "batos.exe").read_bytes()
    assert installer["InstallerUrl"] == f"{ADDRESS}/batos.exe"
    assert installer["InstallerSha256"] == hashlib.sha256(exe).hexdigest().upper()


def test_the_program_for_windows_holds_the_wheel_and_what_installs_it(project, tmp_path):
    assert release(project, tmp_path).returncode == 0
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(tmp_path / "batos.exe") as archive:
        assert archive.read(wheel.name) == wheel.read_bytes()
        assert wheel.name.startswith(f"bat_os-{archive.read('version').decode()}-")
        start = archive.read("__main__.py")
    assert start == (project / "deploy" / "winget" / "start.py").read_bytes()


def test_what_is_not_committed_or_tagged_wrongly_is_not_released(project, tmp_path):
    subprocess.run([*GIT, "tag", "v99.0.0"], cwd=project, check=True)
    assert "HEAD is v99.0.0" in release(project, tmp_path / "out").stderr
    subprocess.run([*GIT, "tag", "-d", "v99.0.0"], cwd=project, check=True, capture_output=True)
    (project / "LICENSE").write_text("mine")
    assert "commit or take back" in release(project, tmp_path / "out").stderr
