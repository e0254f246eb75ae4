"""Where the minutes of the tests go: by folder, file, mark, fixture and test.

    python -m benchmarks.suite [FILE]

FILE is what ``pytest --times FILE`` wrote (``.ci/run`` does: ``tests/check.py --times``). Without
one the whole suite runs first. The page docs/tests.md gets the new tables, and tests/seconds.json
the seconds of each file, by which the next run begins with the longest.

Seconds are those of one process, as they pass; several processes share them.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import textwrap
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROOT = Path(__file__).resolve().parents[1]
PAGE, SECONDS = ROOT / "docs" / "tests.md", ROOT / "tests" / "seconds.json"
MARKED = re.compile(r"(?<=<!-- made by benchmarks.suite -->\n).*?(?=<!-- end -->)", re.DOTALL)
FOLDERS, FILES, FIXTURES, TESTS = 20, 30, 20, 20  # rows


def sum_files(tests: Mapping[str, list[float]]) -> dict[str, tuple[int, float]]:
    """Return for each file how many tests it has, and their seconds."""
    files: dict[str, tuple[int, float]] = defaultdict(lambda: (0, 0.0))
    for test, parts in tests.items():
        count, seconds = files[name := test.partition("::")[0]]
        files[name] = count + 1, seconds + sum(parts[:3])
    return dict(files)


def render(book: Mapping[str, Any]) -> str:
    """Return the tables as Markdown."""
    tests: dict[str, list[float]] = book["tests"]
    files = sum_files(tests)
    total = sum(seconds for _, seconds in files.values())
    folders: dict[str, tuple[int, float]] = defaultdict(lambda: (0, 0.0))
    for name, (count, seconds) in files.items():
        folder = "/".join(name.split("/")[:2])
        folders[folder] = folders[folder][0] + count, folders[folder][1] + seconds
    phases = [sum(parts[n] for parts in tests.values()) / 60 for n in range(4)]
    said = (
        f"{len(tests):,} tests, {total / 60:.1f} minutes as they pass: {phases[1]:.1f} in tests, "
        f"{phases[0]:.1f} in set-up, {phases[2]:.1f} in taking down. "
        f"The processors worked for {phases[3]:.1f} minutes; the rest is waiting."
    )
    lines = [*textwrap.wrap(said, 100), ""]
    by_time = lambda rows: sorted(rows, key=lambda row: -row[2])  # noqa: E731
    lines += _table("folder", by_time((n, c, s) for n, (c, s) in folders.items())[:FOLDERS], total)
    lines += _table("file", by_time((n, c, s) for n, (c, s) in files.items())[:FILES], total)
    marks = ((f"`{name}`", count, seconds) for name, (count, seconds) in book["marks"].items())
    lines += _table("mark", by_time(marks), total)
    made = ((f"`{n}`", c, s) for n, (c, s) in book["fixtures"].items())
    lines += _table("fixture (made)", by_time(made)[:FIXTURES], total)
    longest = ((f"`{n}`", 1, sum(parts[:3])) for n, parts in tests.items())
    lines += _table("test", by_time(longest)[:TESTS], total)
    return "\n".join(lines)


def _table(title: str, rows: Iterable[tuple[str, int, float]], total: float) -> list[str]:
    lines = [f"| {title} | count | seconds | share |", "|---|---:|---:|---:|"]
    lines += [f"| {n} | {c:,} | {s:,.1f} | {s / total:.1%} |" for n, c, s in rows]
    return [*lines, ""]


def measure() -> Path:
    """Run the suite as ``./run.sh test`` does; return its times."""
    path = Path(tempfile.mkdtemp()) / "times.json"
    command = [sys.executable, "tests/check.py", f"--times={path}"]
    subprocess.run(command, cwd=ROOT, check=False)
    return path


def main() -> int:
    """Sum one run and write the page."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else measure()
    book = json.loads(path.read_text(encoding="utf-8"))
    tables = render(book)
    print(tables)
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(MARKED.sub(lambda _: tables, page), encoding="utf-8")
    rows = sorted((name, round(s, 1)) for name, (_, s) in sum_files(book["tests"]).items())
    SECONDS.write_text(json.dumps(dict(rows), indent=0) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
