"""Which tests are nearest to a change: ``./run.sh test --quick`` runs them, as far as time allows.

The changed files are those that git names: not yet committed, or else of the last commit. A test
file is as far from a change as there are imports between them; 0 is the file itself. A file that
is no module counts for the modules and tests that name it or its folder. What mirrors a changed
module comes first, then the nearest, of these the quickest by tests/seconds.json.
"""

import ast
import json
import subprocess
from collections import deque
from pathlib import Path

ROOT = Path(__file__).parents[1]
SECONDS = ROOT / "tests" / "seconds.json"
USUAL = 5.0  # seconds of a file that was never measured
# The main job: a sentence is answered, a method learned, and both are there after a kill.
SMOKE = (
    "tests/system/test_mission.py::test_what_is_not_understood_is_learned_and_then_known",
    "tests/system/test_recovery.py::test_ten_learned_methods_answer_after_ten_kills",
    "tests/system/test_conversation.py::test_a_guess_is_confirmed_by_yes_and_is_then_a_method",
)


def read_seconds():
    """The seconds of each test file in the last measured run."""
    return json.loads(SECONDS.read_text(encoding="utf-8")) if SECONDS.exists() else {}


def find_changes():
    """The changed files, and where they were found, in words."""
    files = _ask_git("status", "--porcelain", "--no-renames", "-z", "--untracked-files=all")
    if names := [line[3:] for line in files]:
        return names, "what is not committed"
    return _ask_git("show", "--format=", "--name-only", "-z", "HEAD"), "the last commit"


def _ask_git(*words):
    told = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in told.stdout.split("\0") if name.strip()]


def rank(changed):
    """The test files that a change reaches, the nearest first: [(distance, file)]."""
    texts = {_name(path): path.read_text(encoding="utf-8") for path in _find_sources()}
    users = _invert({name: _imports(name, text, texts) for name, text in texts.items()})
    start = [name for name in changed if name in texts]
    for name in changed:
        if name not in texts:
            start += _find_users(name, texts)
    distances = dict.fromkeys(start, 0)
    waiting = deque(distances)
    while waiting:
        name = waiting.popleft()
        for user in users.get(name, ()):
            if user not in distances:
                distances[user] = distances[name] + 1
                waiting.append(user)
    mirrors = {_mirror(name) for name in changed}
    seconds = read_seconds()
    tests = [
        (0 if name in mirrors else distance, seconds.get(name, USUAL), name)
        for name, distance in distances.items()
        if name.startswith("tests/") and Path(name).name.startswith("test_")
    ]
    return [(distance, name) for distance, _, name in sorted(tests)]


def choose(ranked, budget):
    """Divide files into those that fit into ``budget`` seconds of one process, and the rest."""
    seconds, chosen, left = read_seconds(), [], []
    for _, name in ranked:
        cost = seconds.get(name, USUAL)
        (chosen if cost <= budget else left).append(name)
        budget -= cost if cost <= budget else 0
    return chosen, left


def _find_users(name, texts):
    """Who names a file that is no module, or its folder, and the tests of that folder."""
    path = Path(name)
    words = (path.name, f'"{path.parent.name or path.name}"')
    folder = Path("tests", *path.parent.parts[1:]).as_posix()
    return [
        user
        for user, text in texts.items()
        if any(word in text for word in words) or Path(user).parent.as_posix() == folder
    ]


def _find_sources():
    paths = [path for top in ("bat_os", "tests") for path in sorted((ROOT / top).rglob("*.py"))]
    return [path for path in paths if "cases" not in path.parts]  # inputs, not modules


def _name(path):
    return path.relative_to(ROOT).as_posix()


def _mirror(name):
    path = Path(name)
    inner = path.parts[1:-1] if path.parts[0] == "bat_os" else path.parts[:-1]
    return Path("tests", *inner, f"test_{path.stem}.py").as_posix()


def _imports(name, text, known):
    """The files of ours that a file imports, anywhere in it; and the conftest above a test."""
    found = {f"{Path(*Path(name).parts[:n])}/conftest.py" for n in range(1, len(Path(name).parts))}
    for node in ast.walk(ast.parse(text)):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for module in modules:
            base = module.replace(".", "/")
            found |= {f"{base}.py", f"{base}/__init__.py"}
    return found & known.keys() - {name}


def _invert(imports):
    users = {}
    for name, targets in imports.items():
        for target in targets:
            users.setdefault(target, []).append(name)
    return users
