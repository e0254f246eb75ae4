"""Pictures of conversations about the world, made from a real run.

A real kernel answers what ``PICTURES`` has a person say, and each conversation becomes one drawing
of a terminal. A test compares them, so the pictures show what the program says.

    python -m tests.pictures            print the conversations
    python -m tests.pictures --write    draw them into docs/pictures
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import textwrap
from html import escape
from pathlib import Path
from unittest.mock import patch

from tests.kernels import KernelProcess, write_script

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
FILES = {
    "notes/todo.md": "buy milk\ncall Ann at 5\n",
    "notes/jan.csv": "day,km\n1,5\n2,7\n",
    "out/list.txt": "",
    "inbox/old.txt": "old\n",
}
PICTURES = {
    "grant": ("what does ~/notes/todo.md say?", "3", "add up the km in ~/notes/jan.csv"),
    "flow": ("show ~/notes/todo.md", "append that to ~/out/list.txt", "3", "3"),
    "watch": (
        "when a file appears in ~/inbox, count its lines and append that to ~/log.txt",
        "1", "1", "1", "what do you watch?", "stop reading ~/inbox",
    ),
}  # fmt: skip
COLUMNS = 84
SIZE, LINE, WIDE = 14, 20, 8.43  # of the letters, in pixels
COLOURS = {"person": "#8fd6a3", "answer": "#e6e6e6", "choice": "#9db7ff"}


async def hold(folder):
    """Return each conversation as lines of (kind, text), as a new home answers it."""
    person = folder / "ann"
    for name, text in FILES.items():
        path = person / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    kernel = KernelProcess(folder / "home", write_script(folder / "script.jsonl", {}))
    with patch.dict(os.environ, {"HOME": str(person)}):
        kernel.start(tcp_port=-1, locale="en")
    try:
        await kernel.until_ready()
        return await talk(kernel)
    finally:
        kernel.stop()


async def talk(kernel):
    """Return the lines of all conversations."""
    told = {}
    async with kernel.client() as client:
        for name, sentences in PICTURES.items():
            lines = told[name] = []
            for said in sentences:
                body = {"text": said}
                answer = await client.request("say", timeout=120, session=name, body=body)
                lines += [("person", f"you> {said}"), ("answer", answer["text"])]
                lines += [
                    ("choice", f"  {number}  {choice}")
                    for number, choice in enumerate(answer["choices"], 1)
                ]
    return told


def draw(lines):
    """Return a conversation as a drawing of a terminal."""
    rows = [
        (kind, row)
        for kind, text in lines
        for line in text.splitlines()
        for row in textwrap.wrap(line, COLUMNS, subsequent_indent="     ") or [""]
    ]
    height, width = LINE * (len(rows) + 2), round(WIDE * (COLUMNS + 4))
    texts = [
        f'<text x="{round(2 * WIDE)}" y="{LINE * (at + 2)}" fill="{COLOURS[kind]}" '
        f'xml:space="preserve">{escape(row)}</text>'
        for at, (kind, row) in enumerate(rows)
    ]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="monospace" font-size="{SIZE}">',
        f'<rect width="{width}" height="{height}" rx="8" fill="#1d2129"/>',
        *texts, "</svg>", "",
    ])  # fmt: skip


def main(args):
    with tempfile.TemporaryDirectory(prefix="batos-pictures-") as folder:
        told = asyncio.run(hold(Path(folder)))
    for name, lines in told.items():
        print(f"--- {name}", *(text for _, text in lines), sep="\n")  # noqa: T201 - for a person
        if "--write" in args:
            FOLDER.mkdir(exist_ok=True)
            (FOLDER / f"{name}.svg").write_text(draw(lines), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
