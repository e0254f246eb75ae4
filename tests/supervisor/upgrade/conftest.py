"""A home with a real image, and a small project under git whose second commit is the upgrade."""

import hashlib
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from bat_os.image.store import ImageStore
from bat_os.supervisor.home import Home
from bat_os.supervisor.upgrade import instructions

GIT = ("git", "-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=0")


@dataclass
class Project:
    """A checkout of version 1, with the commit of version 2 in it."""

    root: Path
    commit: str = ""

    @classmethod
    def with_two_versions(cls, root):
        project = cls(root)
        root.mkdir(parents=True)
        project.git("init", "-q", "-b", "main")
        project.write("1.0")
        project.commit_all("Version 1")
        project.write("2.0")
        project.commit = project.commit_all("Version 2")
        project.git("checkout", "-q", "HEAD~1")
        return project

    def git(self, *words):
        done = subprocess.run(
            [*GIT, *words], cwd=self.root, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def write(self, version, *, format_=2):
        (self.root / "bat_os" / "image" / "migrations").mkdir(parents=True, exist_ok=True)
        (self.root / "bat_os" / "__init__.py").write_text(f'__version__ = "{version}"\n')
        (self.root / "bat_os" / "image" / "migrations" / "__init__.py").write_text(
            f"FORMAT = {format_}\n"
        )
        (self.root / "batos.py").write_text("# starts nothing\n")
        (self.root / "requirements.txt").write_text("psutil\n")

    def commit_all(self, text):
        self.git("add", "-A")
        self.git("commit", "-q", "-m", text)
        return self.git("rev-parse", "HEAD")

    def instructions(self, **changes):
        told = {
            "schema": 1,
            "id": "u1",
            "from": "1.0",
            "to": "2.0",
            "actions": [{"git_ff": {"commit": self.commit}}],
        }
        return json.dumps(instructions.seal(told | changes)).encode()

    def sync(self):
        text = (self.root / "requirements.txt").read_bytes()
        return {
            "pip_sync": {
                "requirements": "requirements.txt",
                "hash": hashlib.sha256(text).hexdigest(),
            }
        }


@pytest.fixture
def project(tmp_path):
    if shutil.which("git") is None:
        pytest.skip("an upgrade is staged with git")
    return Project.with_two_versions(tmp_path / "project")


@pytest.fixture
async def upgrade_home(tmp_path):
    """A home whose image knows one thing, and that takes unsigned upgrades."""
    home = Home(tmp_path / "home")
    home.prepare()
    home.upgrade_keys.write_text("unsigned\n")
    home.upgrade_keys.chmod(0o600)
    image = ImageStore.open(home.path / "live_image.fs")
    await image.transact(lambda root: root.__setitem__("knows", "one"), note="learn")
    await image.close()
    return home
