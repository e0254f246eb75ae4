"""The rules of the style guide that no linter holds."""

import ast
import importlib.util
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from bat_os import errors

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "bat_os"
MODULES = sorted(PACKAGE.rglob("*.py"))
BESIDE = sorted([*ROOT.glob("benchmarks/*.py"), *ROOT.glob("deploy/*.py")])
LAYERS = sorted(path for path in PACKAGE.iterdir() if (path / "__init__.py").exists())
SCRIPTS = ("batos.py", "chat_client.py", "min_watchdog_service.py")
MAX_MODULE, MAX_FUNCTION, MAX_SCRIPT = 500, 60, 8
MIN_MODULE = 60  # with a single importer


def count_lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_module(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=name_module)
def test_a_module_is_short_enough_to_be_read_at_once(path):
    assert count_lines(path) <= MAX_MODULE


@pytest.mark.parametrize("path", MODULES, ids=name_module)
def test_a_function_fits_on_a_page(path):
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(parse(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno + 1 > MAX_FUNCTION
    ]
    assert long == []


@pytest.mark.parametrize("path", MODULES, ids=name_module)
def test_exceptions_are_defined_in_one_place(path):
    if path.name == "errors.py":
        return
    strays = [
        node.name
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ClassDef)
        and any(re.search(r"(Error|Exception)\b", ast.unparse(base)) for base in node.bases)
    ]
    assert strays == []


def test_the_error_tree_in_the_docstring_is_the_tree_of_the_classes():
    parents, drawn = [], []
    for indent, name in re.findall(r"^( +)(\w+Error)\b", errors.__doc__ or "", re.MULTILINE):
        depth = len(indent) // 4
        drawn.append((name, parents[depth - 2] if depth > 1 else "Exception"))
        parents[depth - 1 :] = [name]

    real = [
        (name, kind.__base__.__name__)
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ]

    assert drawn == real


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("__init__.py")), ids=name_module)
def test_a_folder_says_more_than_its_name(path):
    said = ast.get_docstring(parse(path)) or ""
    assert len(said.split()) > 4, said


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_at_the_top_only_hands_over(name):
    assert count_lines(ROOT / name) <= MAX_SCRIPT


def imports_of(path: Path) -> set[Path]:
    """Return the modules of the package that this one imports, for types and in functions too.

    To import a module of another folder runs that folder's ``__init__`` first.
    """
    imported = set()
    for node in ast.walk(parse(path)):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("bat_os"):
            continue
        base = ROOT.joinpath(*node.module.split("."))
        targets = [(base / alias.name).with_suffix(".py") for alias in node.names]
        imported |= {t if t.exists() else base.with_suffix(".py") for t in targets}
        imported |= {
            folder / "__init__.py"
            for folder in (base, *base.parents)
            if folder.is_relative_to(PACKAGE) and not path.is_relative_to(folder)
        }
    return {module for module in imported if module.exists() and module != path}


def imported_by_text(path: Path) -> set[Path]:
    """Return the modules of the package that ``import_module`` gets as text.

    Of a name that is made at run time, all modules of its folder count.
    """
    found: set[Path] = set()
    for node in ast.walk(parse(path)):
        if not isinstance(node, ast.Call) or "import_module" not in ast.unparse(node):
            continue
        for name in node.args:  # also of what hands it on, such as ``to_thread``
            parts = name.values if isinstance(name, ast.JoinedStr) else [name]
            text = str(getattr(parts[0], "value", "")) if parts else ""
            if text.startswith("bat_os."):
                place = ROOT.joinpath(*text.removesuffix(".").split("."))
                found |= set(place.glob("*.py")) if len(parts) > 1 else {place.with_suffix(".py")}
    return {module for module in found if module.exists() and module != path}


def test_a_module_that_is_imported_by_the_text_of_its_name_is_seen(tmp_path):
    path = tmp_path / "reader.py"
    path.write_text(
        "from importlib import import_module\nimport importlib\n"
        'import_module("bat_os.cli.main")\nimport_module("json")\n'
        'importlib.import_module(f"bat_os.natives.{where}")\n'
    )
    found = imported_by_text(path)
    assert {PACKAGE / "cli" / "main.py", PACKAGE / "natives" / "clock.py"} <= found
    assert not [one for one in found if not one.is_relative_to(PACKAGE)]


@cache
def all_imports() -> dict[Path, set[Path]]:
    return {path: imports_of(path) for path in MODULES}


# Whose error is named to people: that of learned code; of an event; of a check of the doctor.
NAMES_CLASSES = ("cells/zygote/child.py", "core/mission.py", "image/history/experience.py",
                 "cli/doctor/report.py", "natives/calculator.py")  # fmt: skip


@pytest.mark.parametrize("path", MODULES, ids=name_module)
def test_an_error_says_what_is_wrong_and_names_no_class_of_ours(path):
    if path.relative_to(PACKAGE).as_posix() in NAMES_CLASSES:
        return
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"type\((?:error|e|fault|event)\)\.__name__(?! ==)", text) == []


def test_no_modules_import_each_other_in_a_circle():
    waiting = {path: targets | imported_by_text(path) for path, targets in all_imports().items()}
    while leaves := [path for path, targets in waiting.items() if not targets]:
        for leaf in leaves:
            del waiting[leaf]
        for targets in waiting.values():
            targets.difference_update(leaves)
    # what is left is circles and what imports from them; the latter has no importer in turn
    while tops := [p for p in waiting if not any(p in targets for targets in waiting.values())]:
        for top in tops:
            del waiting[top]
    assert sorted(map(name_module, waiting)) == []


@pytest.mark.parametrize("path", BESIDE, ids=name_module)
def test_what_a_script_beside_the_package_imports_from_it_is_there(path):
    imported = [
        (node.module, alias.name)
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bat_os")
        for alias in node.names
    ]
    missing = [
        f"{module}.{name}"
        for module, name in imported
        if importlib.util.find_spec(module) is None
        or (
            not hasattr(importlib.import_module(module), name)
            and importlib.util.find_spec(f"{module}.{name}") is None
        )
    ]
    assert missing == []


@pytest.mark.parametrize("layer", LAYERS, ids=name_module)
def test_no_two_modules_of_a_layer_have_the_same_name(layer):
    names = Counter(path.stem for path in layer.rglob("*.py") if path.stem != "__init__")
    assert [name for name, count in names.items() if count > 1] == []


def test_a_small_module_is_one_that_several_import():
    importers = Counter(target for targets in all_imports().values() for target in targets)
    assert [
        name_module(path)
        for path in MODULES
        if path.stem != "__init__" and count_lines(path) < MIN_MODULE and importers[path] == 1
    ] == []


def words_for_people(path: Path) -> str:
    """Return the prose of a page without its code, or what a module's strings say, line by line."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        code = re.compile(r"^```.*?^```|^    [^\n]*$|`[^`\n]*`", re.DOTALL | re.MULTILINE)
        return code.sub("", text)
    return "\n".join(
        node.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


# What the style guide bans, apart from the name of a failpoint.
ODD_ENGLISH = re.compile(
    r"\b((?<!accept\.)told|whoever|whomever|whom|of which|that which"
    r"|(?<!there )is no (?!longer|more|less|such)\w+|takes? in\b|taken in|goes on where"
    r"|comes? near|stands? (?:in for|there|beside|for)"
    r"|return nothing (?:when|unless)|bears)\b",
    re.IGNORECASE,
)
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("lora_adapters/**/*.md")]


@pytest.mark.parametrize("path", [*PAGES, *MODULES], ids=name_module)
def test_people_are_addressed_in_plain_english(path):
    assert [match[0] for match in ODD_ENGLISH.finditer(words_for_people(path))] == []


@pytest.mark.parametrize("path", PAGES, ids=name_module)
def test_prose_is_wrapped(path):
    text = re.sub(
        r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    assert [line for line in text.splitlines() if len(line) > 100 and is_prose(line)] == []


def is_prose(line: str) -> bool:
    """Return False for rows of tables, code, and lines that a link alone makes long."""
    return line[:1] not in ("|", "!", "<") and line[:4].strip() != "" and "](" not in line


def test_the_windows_launcher_is_plain_ascii_with_windows_line_ends():
    text = (ROOT / "puter.bat").read_bytes()
    assert text.isascii()
    assert text.count(b"\r\n") == text.count(b"\n")
