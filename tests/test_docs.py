"""What the pages say is so: files, links, settings, dependencies, commands."""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from bat_os.cli.launch import find_verb
from tests.cli.clients import chat
from tests.kernels import KernelProcess

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
README = (ROOT / "README.md").read_text()
EXAMPLE = "double the number 21, e.g. 4 gives 8"
LISTS = (
    "requirements-first.txt",
    "requirements.txt",
    "requirements-models.txt",
    "requirements-cluster.txt",
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_and_named_files_are_there(page):
    text = page.read_text()
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    named = re.findall(r"`((?:bat_os|tests|benchmarks|docs)/[\w./-]+)`", text)
    missing = [link for link in links if not (page.parent / link).exists()]
    missing += [name for name in named if not (ROOT / name).exists()]
    assert missing == []


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


def test_the_tests_run_with_the_servers_packages_that_people_install():
    wanted = (ROOT / "requirements-cluster.txt").read_text().splitlines()
    pins = {line for line in wanted if "==" in line}
    assert pins <= {*(ROOT / "tests" / "requirements.txt").read_text().splitlines()}


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
    source = 'def wrap_word_in_stars(self, text):\n    """Wrap it."""\n    return f"*{text}*"\n'
    async with serving.client() as kernel:
        await kernel.request("teach", target="genesis_obj", body={"source": source})
    lines = re.findall(r"^    \./run\.sh (.*?)(?:  +#.*)?$", README, re.MULTILINE)
    commands = [words for line in lines if find_verb(words := shlex.split(line))]
    assert len(commands) > 8
    for words in commands:
        arguments = [str(tmp_path / "kept") if word == "/safe/place" else word for word in words]
        told = subprocess.run(  # noqa: ASYNC221 - nothing else runs meanwhile
            [sys.executable, ROOT / "batos.py", *arguments, "--home", serving.home],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert told.returncode == 0, (words, told.stderr)


def sentences(page):
    """Return (words, what stands under it) of the sentences that a page says, in order."""
    found = []
    for line in re.findall(r"^    (.*)$", page, re.MULTILINE):
        if said := re.match(r"\$ \./run\.sh (.*?)(?:  +#.*)?$", line):
            found.append((shlex.split(said[1]), []))
        elif found:
            found[-1][1].append(line)
    return found


def pattern(lines):
    return ".*".join(re.escape(part) for part in "\n".join(lines).split("..."))


@pytest.mark.system
@pytest.mark.model
@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_the_sentences_of_the_readme_are_answered_as_it_shows(tmp_path):
    shown = sentences(README.split("Three things to try")[0])
    assert len(shown) == 5
    kernel = KernelProcess(tmp_path / "home", "")
    kernel.start(engine="", script="")
    await kernel.until_ready()
    kinds = []
    try:
        for words, lines in shown:
            ended = await chat(kernel.home, *words)
            assert re.fullmatch(pattern(lines), ended.out.rstrip("\n"), re.DOTALL), ended
            kinds.append((await chat(kernel.home, "--json", *words)).json["kind"])
        example = await chat(kernel.home, EXAMPLE)
        assert (example.status, example.out) == (0, "42\n")
    finally:
        kernel.stop()
    marked = re.findall(r"  # (\w+)", README.split("Three things to try")[0])
    assert kinds == marked
    assert len(set(kinds)) == 5


@pytest.mark.system
async def test_the_example_with_an_example_is_verified(kernel_process):
    line = {"contains": "def double_number(self, number)", "text": " return number * 2"}
    kernel_process.script.write_text(json.dumps(line))
    kernel_process.start()
    await kernel_process.until_ready()
    sentence = shlex.split(re.search(r'\./run\.sh ("double a number.*?")', README)[1])[0]
    ended = await chat(kernel_process.home, sentence)
    assert (ended.status, ended.out) == (0, "8\n"), ended


def rows_of(page):
    """Return the cells of each row of the tables of a page, headings left out."""
    lines = (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines()
    rules = [number for number, line in enumerate(lines) if line.startswith("|---")]
    heads = {number for rule in rules for number in (rule - 1, rule)}
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for number, line in enumerate(lines)
        if line.startswith("|") and number not in heads
    ]


@pytest.mark.parametrize("row", rows_of("security.md"), ids=lambda row: row[0][:40])
def test_what_the_page_about_security_promises_is_held_by_tests(row):
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row[-1])
    assert named
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert name in [getattr(node, "name", "") for node in ast.walk(tree)], f"{path}::{name}"


def test_the_site_is_built_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path):
    command = ["-m", "mkdocs", "build", "--strict", "-f", "deploy/mkdocs.yml", "-d", tmp_path]
    built = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=300,
        check=False, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    pages = sorted(tmp_path.rglob("*.html"))
    sources = [page for page in PAGES if ROOT / "docs" in page.parents]
    assert len(pages) >= len(sources)
    loaded = re.compile(
        r"<(?:script|img|iframe)[^>]*\bsrc=[\"']?(?:https?:)?//|<link[^>]*\bhref=[\"']?"
        r"(?:https?:)?//(?![^>]*canonical)|@import|fonts\.g"
    )
    outside = {
        page.name: found[0]
        for page in pages
        if (found := loaded.search(page.read_text(encoding="utf-8")))
    }
    assert outside == {}
    for page in pages:  # each link leads to a file of the site, or to the web
        if page.name == "404.html":  # it is shown anywhere, so its links begin at the root
            continue
        links = re.findall(
            r'<(?:a|img)[^>]*(?:href|src)="(?!\w+:)([^"#]+)', page.read_text(encoding="utf-8")
        )
        missing = [link for link in links if not (page.parent / link).exists()]
        assert missing == [], page
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    for part in ("Ten minutes", "How to", "Reference", "Why it is built so"):
        assert part in text


def test_each_page_of_the_docs_is_in_the_navigation():
    listed = (ROOT / "deploy" / "mkdocs.yml").read_text(encoding="utf-8")
    docs = ROOT / "docs"
    pages = [page.relative_to(docs).as_posix() for page in docs.glob("**/*.md")]
    assert [
        page for page in pages if not re.search(rf"[ -]{re.escape(page)}$", listed, re.MULTILINE)
    ] == []


def test_the_page_of_decisions_has_each_with_its_title_and_every_number():
    folder = ROOT / "docs" / "decisions"
    listed = (folder / "README.md").read_text()
    titles = {page.name: page.read_text().splitlines()[0] for page in folder.glob("[0-9]*.md")}
    rows = re.findall(r"^\| \[(\d+)\]\((\S+)\) \| (.+) \|$", listed, re.MULTILINE)
    assert {name: f"# {number}. {title}" for number, name, title in rows} == titles
    numbers = sorted(int(name[:4]) for name in titles)
    assert [int(number) for number, _, _ in rows] == numbers
    unused = re.search(r"^([\d, and\n]+) were never used", listed, re.MULTILINE)
    missing = {*range(1, numbers[-1])} - {*numbers}
    assert {*map(int, re.findall(r"\d+", unused[1]))} == missing


def test_the_pins_of_the_site_are_those_that_the_tests_use():
    wanted = (ROOT / "deploy" / "requirements-docs.txt").read_text().splitlines()
    pins = {line for line in wanted if "==" in line}
    assert len(pins) == 2
    assert pins <= {*(ROOT / "tests" / "requirements.txt").read_text().splitlines()}
