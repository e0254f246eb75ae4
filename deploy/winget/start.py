"""``batos.exe`` for winget: installs the wheel that it holds, once, and becomes that program.

    %LOCALAPPDATA%/batos-program/VERSION    a virtual environment; the home is .../batos

deploy/release.py puts it and the wheel behind a launcher, which finds Python on the PATH. Standard
library only. Not yet run on Windows itself: docs/platforms.md.
"""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path


def install(own: Path, folder: Path) -> None:
    """Install the wheel in the file ``own`` into a virtual environment in ``folder``."""
    venv.create(folder, with_pip=True, clear=True)
    with zipfile.ZipFile(own) as archive:
        [wheel] = [name for name in archive.namelist() if name.endswith(".whl")]
        archive.extract(wheel, folder)
    words = "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--quiet"
    subprocess.run([folder / "Scripts" / "python.exe", *words, folder / wheel], check=True)
    (folder / "installed").touch()


def main() -> int:
    """Install what is missing, then run it; return its status."""
    own = Path(sys.argv[0]).resolve()
    with zipfile.ZipFile(own) as archive:
        version = archive.read("version").decode()
    data = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    folder = data / "batos-program" / version
    if not (folder / "installed").exists():
        sys.stderr.write(f"Installing BAT OS {version} into {folder}\n")
        install(own, folder)
    return subprocess.run([folder / "Scripts" / "batos.exe", *sys.argv[1:]], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
