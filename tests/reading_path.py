"""The files that a message runs through, traced in a real kernel.

``docs/architecture.md`` has one table for a known message and one for a learned one. Both are
written by this module and compared by a test, so the path that the page shows is the path that
is measured: every file with code that ran between the request and its reply, in the order in
which it was first entered, with its raw lines. Only the client's side and code that runs in the
cell's own process are not in it.

    python -m tests.reading_path            print the tables
    python -m tests.reading_path --write    put them into docs/architecture.md
"""

from __future__ import annotations

import ast
import asyncio
import re
import sys
import tempfile
import threading
from pathlib import Path

import bat_os
from tests.kernels import ThinkingKernel

PACKAGE = Path(bat_os.__file__).parent
PAGE = PACKAGE.parent / "docs" / "architecture.md"
NOT_THE_KERNEL = ("client/",)  # runs in the same process here
ON_A_TIMER = (
    "image/files/ability.py",
    "kernel/heap.py",
    "kernel/idle/",
)  # every second, whether a message comes or not
TABLES = ("known", "learned")
PATIENCE = 300  # seconds: what is traced is slow, and more so on a busy machine


class Trace:
    """Files of the package in the order in which code of them first ran."""

    def __init__(self):
        self.files = {}
        self.is_on = False

    def __call__(self, frame, event, _argument):
        name = frame.f_code.co_filename
        if self.is_on and event == "call" and name.startswith(str(PACKAGE)):
            self.files.setdefault(Path(name).relative_to(PACKAGE).as_posix())

    async def of(self, awaitable):
        """Return what ran in any thread until ``awaitable`` was done."""
        self.files.clear()
        self.is_on = True
        sys.setprofile(self)
        try:
            await awaitable
        finally:
            self.is_on = False
            sys.setprofile(None)
        besides = (*NOT_THE_KERNEL, *ON_A_TIMER)
        return [name for name in self.files if not name.startswith(besides)]


async def trace(home):
    """Return {"known": files, "learned": files} of one message each, sent to a real kernel."""
    recorder = Trace()
    threading.setprofile(recorder)  # for the threads that the kernel starts
    try:
        async with ThinkingKernel(home) as kernel, kernel.client() as client:
            kernel.gate.set()
            send = {"target": "genesis_obj", "selector": "double"}

            def ask(number, **fields):
                send_it = {**send, "kwargs": {"number": number}, **fields}
                return client.request("send", timeout=PATIENCE, **send_it)

            # One mission before: what a kernel does once after its start is not in the path.
            warm = {"target": "genesis_obj", "selector": "give_seven", "ik": "warm"}
            await client.request("send", timeout=PATIENCE, **warm)
            # Understanding a wish reads the words of the library, once.
            wish = {"text": "double the number 4", "once": True}
            await client.request("say", timeout=PATIENCE, body=wish)
            learned = await recorder.of(ask(4, ik="first", body={"text": "Double a number."}))
            known = await recorder.of(ask(5))
    finally:
        threading.setprofile(None)
    return {"known": known, "learned": [name for name in learned if name not in known]}


def count_lines(name):
    return len((PACKAGE / name).read_text(encoding="utf-8").splitlines())


def describe(name):
    """Return the first line of a module's docstring, without its full stop."""
    text = ast.get_docstring(ast.parse((PACKAGE / name).read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].rstrip(".").replace("|", "\\|")


def draw(files, page=""):
    """Return a Markdown table of the files; the words that the page has for a file are kept."""
    words = dict(re.findall(r"^\| \d+ \| `(.+?)` \| \d+ \| (.*) \|$", page, re.MULTILINE))
    rows = [
        f"| {n} | `{name}` | {count_lines(name)} | {words.get(name) or describe(name)} |"
        for n, name in enumerate(files, 1)
    ]
    total = sum(count_lines(name) for name in files)
    return "\n".join(
        ["| # | file | lines | what happens |", "|---|---|---|---|", *rows,
         f"| | {len(files)} files | {total:,} | |"]
    )  # fmt: skip


def replace_table(page, which, table):
    """Return the page with the table between the two marks of ``which`` replaced."""
    marks = rf"(<!-- path: {which} -->\n).*?(<!-- end -->)"
    return re.sub(marks, lambda match: f"{match[1]}{table}\n{match[2]}", page, flags=re.DOTALL)


def main():
    with tempfile.TemporaryDirectory() as folder:
        files = asyncio.run(trace(Path(folder) / "home"))
    page = PAGE.read_text(encoding="utf-8")
    for which in TABLES:
        page = replace_table(page, which, draw(files[which], page))
        if "--write" not in sys.argv:
            sys.stdout.write(f"{which}\n{draw(files[which])}\n\n")
    if "--write" in sys.argv:
        PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
