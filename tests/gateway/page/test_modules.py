"""The page's files: each module parses, is small, has its texts, and opens no way for HTML."""

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bat_os.gateway.assets import PAGE, Assets

ROOT = Path(__file__).parents[3]
MODULES = sorted(PAGE.glob("*.js"))
TEXTS = {path.stem: json.loads(path.read_text()) for path in sorted(PAGE.glob("texts/*.json"))}
MOST = 400  # lines of a module
KEY = re.compile(r"\bt\(\s*\"([\w.]+)\"")
# What writes HTML, runs text as code, or opens another address.
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|dangerouslySetInnerHTML|\beval\(|"
    r"new Function|srcdoc|\bstyle=\"|https?://(?!www\.w3\.org/2000/svg)"
)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_a_module_parses_and_is_small(path, tmp_path):
    text = path.read_text()
    assert len(text.splitlines()) <= MOST
    assert text.startswith("//"), "a module begins with what it is for"
    assert not FORBIDDEN.search(text), FORBIDDEN.search(text)
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    copy = tmp_path / f"{path.stem}.mjs"  # node reads .js as a script unless told
    copy.write_text(text)
    done = subprocess.run([node, "--check", copy], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def texts_of(language):
    """All texts of a language: the first ones, and those of parts that are loaded later."""
    found = [own for stem, own in TEXTS.items() if stem.split(".")[-1] == language]
    every = {key: text for own in found for key, text in own.items()}
    assert len(every) == sum(map(len, found)), "a key is there twice"
    return every


def test_every_text_that_is_named_is_there_in_every_language():
    assert texts_of("en").keys() == texts_of("de").keys()
    named = {key for path in MODULES for key in KEY.findall(path.read_text())}
    assert named - texts_of("en").keys() == set()


def test_every_text_takes_the_same_values_in_every_language():
    german = texts_of("de")
    for key, text in texts_of("en").items():
        names = set(re.findall(r"\{\w+\}", text))
        assert names == set(re.findall(r"\{\w+\}", german[key])), key
        assert text.count("|") == german[key].count("|"), key


def test_no_module_imports_in_a_circle():
    names = {path.name for path in MODULES}
    imports = {
        path.name: set(re.findall(r'from "\./([\w.]+)"', path.read_text())) & names
        for path in MODULES
    }
    while imports:
        free = {name for name, needs in imports.items() if not needs & imports.keys()}
        assert free, f"these import each other: {sorted(imports)}"
        imports = {name: needs for name, needs in imports.items() if name not in free}


def test_what_the_first_module_needs_is_asked_for_at_once():
    """A browser finds an import only when it has read the module: level by level, each a trip."""
    needed, left = set(), ["main.js"]
    while left:
        name = left.pop()
        needed.add(name)
        found = re.findall(
            r'^import [^;]*?from "\./([\w./]+)"', (PAGE / name).read_text(), re.MULTILINE
        )
        left += {*found} - needed
    named = re.findall(
        r'="modulepreload" href="/page/([\w./]+)"', (PAGE / "index.html").read_text()
    )
    assert sorted(named) == sorted(needed - {"main.js"})


def test_the_libraries_are_those_that_the_documentation_names():
    table = (ROOT / "docs" / "dependencies.md").read_text()
    for path in sorted((PAGE / "vendor").glob("*.js")):
        line = next(line for line in table.splitlines() if f"`{path.name}`" in line)
        assert hashlib.sha256(path.read_bytes()).hexdigest() in line, path.name


def test_only_files_of_the_page_are_served():
    files = Assets().files
    assert {"index.html", "main.js", "vendor/preact.js", "texts/de.json"} <= files.keys()
    assert not [name for name in files if name.endswith((".sh", ".py")) or ".." in name]
