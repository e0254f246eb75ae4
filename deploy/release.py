"""Make a release: ``python deploy/release.py [--no-checks] [--out FOLDER]``, from a clean checkout.

    all checks > the wheel, built twice, same bytes > batos.exe, which holds it > SBOM (CycloneDX)
    > SHA256SUMS > a Homebrew formula and a winget manifest, with --address where the files will be

With a tag ``vN.N.N`` at HEAD, the version in ``bat_os/__init__.py`` has to be that one. What it
writes depends on the commit alone: the times in it are those of the commit.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
import zipfile
from importlib import resources
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import bat_os  # noqa: E402 - of this checkout
from bat_os.cli.licences import Part, parts  # noqa: E402 - as above

LICENCES = LicenseFactory()
NAMESPACE = uuid.UUID("4a0c7a3e-3d0e-5b1a-9c57-0b6f6a6e6f73")  # of the serial numbers of our SBOMs


def run(*words: str) -> str:
    """Return what a command prints; end the release where it fails."""
    done = subprocess.run(words, cwd=ROOT, text=True, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise SystemExit(f"release: {' '.join(words)} failed with status {done.returncode}")
    return done.stdout.strip()


def build(folder: Path, moment: str) -> Path:
    """Build the wheel in ``folder``; return it."""
    os.environ["SOURCE_DATE_EPOCH"] = moment
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation",
        "-w", str(folder), str(ROOT))  # fmt: skip
    [wheel] = folder.glob("*.whl")
    return wheel


def describe(part: Part) -> Component:
    """Return a part as the SBOM names it."""
    kind = ComponentType.LIBRARY
    if part.kind in ("model", "adapter"):
        kind = ComponentType.MACHINE_LEARNING_MODEL
    elif part.kind in ("training data", "words"):
        kind = ComponentType.DATA
    package = PackageURL("pypi", None, part.name, part.version) if "package" in part.kind else None
    return Component(
        name=part.name, version=part.version, type=kind, purl=package,
        licenses=[LICENCES.make_from_string(part.licence)], bom_ref=f"{part.kind}:{part.name}",
    )  # fmt: skip


def write_exe(path: Path, wheel: Path, moment: str) -> None:
    """Write a program for Windows that installs the wheel, which it holds, and becomes it."""
    when = dt.datetime.fromtimestamp(max(int(moment), 315_532_800), dt.UTC).timetuple()[:6]
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in {
            "__main__.py": (ROOT / "deploy" / "winget" / "start.py").read_bytes(),
            "version": bat_os.__version__.encode(),
            wheel.name: wheel.read_bytes(),
        }.items():
            archive.writestr(zipfile.ZipInfo(name, when), content)
    launcher = resources.files("distlib").joinpath("t64.exe").read_bytes()
    path.write_bytes(launcher + b"#!/usr/bin/env python\n" + data.getvalue())


def write_packages(folder: Path, address: str, files: dict[str, str]) -> None:
    """Write the Homebrew formula and the winget manifest of files, whose sums are given."""
    [wheel] = [name for name in files if name.endswith(".whl")]
    facts = {
        "version": bat_os.__version__, "address": address,
        "homepage": address.partition("/releases")[0],
        "sha256": files[wheel], "exe_sha256": files["batos.exe"].upper(),
    }  # fmt: skip
    for kind in ("homebrew", "winget"):
        (folder / kind).mkdir()
        for template in sorted((ROOT / "deploy" / kind).glob("*[!p][!y]")):
            text = template.read_text(encoding="utf-8").format(**facts)
            (folder / kind / template.name).write_text(text, encoding="utf-8")


def write_sbom(path: Path, moment: str, commit: str) -> None:
    """Write the CycloneDX list of all parts."""
    own, *others = parts()
    program, held = describe(own), list(map(describe, others))
    bom = Bom(components=held, serial_number=uuid.uuid5(NAMESPACE, commit))
    bom.metadata.timestamp = dt.datetime.fromtimestamp(int(moment), dt.UTC)
    bom.metadata.component = program
    bom.register_dependency(program, held)
    make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_to_file(
        str(path), allow_overwrite=True, indent=2
    )


def main() -> None:
    """Make the release in ``--out``."""
    parser = argparse.ArgumentParser(description="Make a release from a clean checkout.")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--address", default="", help="of the folder that the files will be in")
    parser.add_argument("--no-checks", action="store_true", help="leave the checks to someone else")
    options = parser.parse_args()
    if run("git", "status", "--porcelain", "--untracked-files=no"):
        raise SystemExit("release: commit or take back what is changed, then run it again")
    tag = run("git", "tag", "--points-at", "HEAD", "--list", "v*")
    if tag and tag != f"v{bat_os.__version__}":
        raise SystemExit(f"release: HEAD is {tag}, and the program says {bat_os.__version__}")
    if not options.no_checks:
        subprocess.run([sys.executable, "tests/check.py"], cwd=ROOT, check=True)
    options.out.mkdir(parents=True, exist_ok=True)
    for old in options.out.iterdir():
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    moment, commit = run("git", "log", "-1", "--format=%ct"), run("git", "rev-parse", "HEAD")
    wheel = build(options.out, moment)
    with tempfile.TemporaryDirectory() as again:
        if build(Path(again), moment).read_bytes() != wheel.read_bytes():
            raise SystemExit("release: two builds of the wheel differ")
    write_exe(options.out / "batos.exe", wheel, moment)
    write_sbom(options.out / "sbom.cdx.json", moment, commit)
    sums = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(options.out.iterdir())
    }
    lines = [f"{number}  {name}\n" for name, number in sums.items()]
    (options.out / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")
    if options.address:
        write_packages(options.out, options.address.rstrip("/"), sums)
    sys.stdout.write("".join(lines))


if __name__ == "__main__":
    main()
