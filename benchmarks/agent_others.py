"""The same wishes with smolagents' agents, on the same model. Runs in an environment of its own.

    python3 -m venv ~/smol && ~/smol/bin/pip install smolagents openai
    python -m benchmarks.agent --others ~/smol/bin/python

The benchmark starts this file with that interpreter for each of two agents, beside a server of the
default model, and reads one line of JSON per wish. Nothing of BAT OS is imported here.
"""

from __future__ import annotations

import fnmatch
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

MAX_STEPS = 8


def make_tools(tool: Any, folder: Path) -> list[Any]:
    """Return what BAT OS has for files, as tools of smolagents."""

    def place(path: str) -> Path:
        found = (folder / path).resolve()
        if not found.is_relative_to(folder.resolve()):
            raise ValueError(f"{path} is not in {folder}")
        return found

    @tool
    def read(path: str) -> str:
        """Read a text file and return what is in it.

        Args:
            path: The file.
        """
        return place(path).read_text(encoding="utf-8")

    @tool
    def names(path: str) -> list:
        """List the names of the files in a folder.

        Args:
            path: The folder.
        """
        found = place(path).iterdir()
        return sorted(one.name + "/" * one.is_dir() for one in found)

    @tool
    def facts(path: str) -> dict:
        """Say when a file was changed last, how many bytes it has, whether it is a folder.

        Args:
            path: The file.
        """
        state = place(path).stat()
        changed = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(state.st_mtime))
        kind = "folder" if place(path).is_dir() else "file"
        return {"kind": kind, "bytes": state.st_size, "changed": changed}

    @tool
    def find(pattern: str, path: str) -> list:
        """Find files by a pattern of their names.

        Args:
            pattern: Such as *.txt.
            path: The folder.
        """
        every = [one for one in place(path).rglob("*") if one.is_file()]
        return sorted(one.name for one in every if fnmatch.fnmatch(one.name, pattern))

    @tool
    def search(text: str, path: str) -> list:
        """Find the lines that contain a text in the files of a folder.

        Args:
            text: What is looked for.
            path: The folder.
        """
        return [
            {"path": one.name, "line": number, "text": line}
            for one in sorted(place(path).rglob("*"))
            if one.is_file()
            for number, line in enumerate(one.read_text(encoding="utf-8").splitlines(), start=1)
            if text in line
        ]

    return [read, names, facts, find, search]


class LateError(BaseException):
    """A wish takes too long; nothing between here and ``main`` may catch that and try again."""


def late(*_: Any) -> None:
    """End a wish that takes too long."""
    raise LateError


def main() -> int:
    """Answer each wish of a file with one of the agents; print a line of JSON for each."""
    import smolagents  # only here: it is a requirement of this file alone

    name, url, folder, seconds = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    wishes = json.loads(Path(sys.argv[5]).read_text(encoding="utf-8"))
    model = smolagents.OpenAIServerModel(
        "default", api_base=url, api_key="none", temperature=0.0, max_tokens=256
    )
    tools = make_tools(smolagents.tool, folder)
    signal.signal(signal.SIGALRM, late)
    for number, wish in enumerate(wishes):
        kind = getattr(smolagents, name)
        agent = kind(tools=tools, model=model, max_steps=MAX_STEPS, verbosity_level=0)
        begun, said = time.monotonic(), ""
        signal.alarm(seconds if number else 2 * seconds)  # first, its prompt is read
        try:
            said = str(agent.run(wish))
        except BaseException as error:  # noqa: BLE001 - whatever its agent dies of
            said = f"({type(error).__name__}: {error})"[:200]
        finally:
            signal.alarm(0)
        spent = round(time.monotonic() - begun, 1)
        print(json.dumps({"wish": wish, "said": said[:2000], "seconds": spent}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
