"""What the pages say is so: files, links, settings, dependencies, commands."""

import json
import re
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
README = (ROOT / "README.md").read_text()
LISTS = ("requirements-first.txt", "requirements.txt", "requirements-models.txt")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_and_named_files_are_there(page):
    text = page.read_text()
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    named = re.findall(r"`((?:bat_os|tests|benchmarks|docs)/[\w./-]+)`", text)
    missing = [link for link in links if not (page.parent / link).exists()]
    missing += [name for name in named if not (ROOT / name).exists()]
    assert missing == []


def test_the_file_tree_of_the_readme_is_the_top_level():
    tree = README.split("## The files")[1]
    shown = set(re.findall(r"(?:^|\s)([\w.-]+(?:/|\.(?:sh|bat|py|jsonl|txt)))", tree))
    for name in shown:
        assert any((base / name).exists() for base in (ROOT, ROOT / "bat_os")), name
    folders = {p.name for p in (ROOT / "bat_os").iterdir() if (p / "__init__.py").exists()}
    assert folders <= {name.rstrip("/") for name in shown}


def test_every_pinned_package_has_its_reason():
    text = (ROOT / "docs" / "dependencies.md").read_text()
    for file in LISTS:
        for name in re.findall(r"^([\w-]+)==", (ROOT / file).read_text(), re.MULTILINE):
            assert re.search(rf"\b{re.escape(name)}\b", text), name


def test_every_requirement_is_pinned_exactly():
    for file in (*LISTS, "tests/requirements.txt"):
        lines = (ROOT / file).read_text().splitlines()
        wanted = [line for line in lines if line and not line.startswith(("#", "-r "))]
        assert all(re.fullmatch(r"[\w.\[\]-]+==[\w.]+", line) for line in wanted), file


def test_the_pins_agree_with_what_the_packages_require():
    text = "".join((ROOT / file).read_text() for file in LISTS[:2])
    pins = dict(re.findall(r"^([\w-]+)==(\S+)", text, re.MULTILINE))
    assert len(pins) > 30
    against = []
    for name in pins:
        for line in metadata.requires(name) or ():
            wanted = Requirement(line)
            if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
                continue
            if (pin := pins.get(wanted.name)) and not wanted.specifier.contains(pin):
                against.append(f"{name} requires {line}, not {pin}")
    assert against == []


@pytest.mark.system
async def test_the_commands_of_the_readme_work(serving, tmp_path):
    source = 'def report_current_system_time(self):\n    """Tell it."""\n    return "now"\n'
    async with serving.client() as kernel:
        await kernel.request("teach", target="genesis_obj", body={"source": source})
    commands = re.findall(
        r"^    \.venv/bin/python (batos\.py .*?)(?:  +#.*)?$", README, re.MULTILINE
    )
    assert len(commands) >= 4
    for command in commands:
        script, *arguments = shlex.split(command.replace("/safe/place", str(tmp_path / "kept")))
        told = subprocess.run(  # noqa: ASYNC221 - nothing else runs meanwhile
            [sys.executable, ROOT / script, *arguments, "--home", serving.home],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert told.returncode == 0, (command, told.stderr)


@pytest.mark.system
async def test_the_example_with_an_example_is_verified(kernel_process):
    line = {"contains": "def double_number(self, number)", "text": " return number * 2"}
    kernel_process.script.write_text(json.dumps(line))
    kernel_process.start()
    await kernel_process.until_ready()
    sentence = shlex.split(re.search(r'\./run\.sh ("double a number.*?")', README)[1])[0]
    told = subprocess.run(  # noqa: ASYNC221 - nothing else runs meanwhile
        [sys.executable, ROOT / "chat_client.py", "--home", kernel_process.home, sentence],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (told.returncode, told.stdout.strip()) == (0, "8"), told.stderr
    assert "learned now (verified, reproduces the example)" in told.stderr
