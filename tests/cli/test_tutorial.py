"""The commands of docs/tutorial.md, run in order against a kernel that is killed on the way."""

import asyncio
import re
import shlex

import pytest

from tests.cli.clients import verb
from tests.kernels import ROOT, KernelProcess

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.model, pytest.mark.timeout(600)]

PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
KILLED = "(the daemon is killed and started again)"


def steps():
    """Return (command, what stands under it) of the page, in order."""
    shown = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
    found = []
    for line in re.findall(r"^    (.*)$", shown, re.MULTILINE):
        if line.startswith("$ ") or line == KILLED:
            found.append((line, []))
        elif found:
            found[-1][1].append(line)
    return found


def pattern(lines):
    return ".*".join(re.escape(part) for part in "\n".join(lines).split("..."))


async def test_the_commands_of_the_tutorial_do_what_it_says(tmp_path):
    files = re.findall(r"into `([\w.]+)`:\n\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    for name, text in files:
        (tmp_path / name).write_text(text)
    assert len(files) == 2
    kernel = KernelProcess(tmp_path / "home", "")
    kernel.start(engine="", script="")
    await kernel.until_ready()
    try:
        for command, told in steps():
            if command == KILLED:
                await asyncio.to_thread(kernel.kill)
                kernel.start(engine="", script="")
                await kernel.until_ready()
                continue
            words = shlex.split(command.removeprefix("$ "))
            assert words.pop(0) == "batos"
            given = [
                f"{tmp_path / word}" if (tmp_path / word).is_file() else word for word in words
            ]
            ended = await verb(kernel.home, *given)
            assert ended.status == 0, (command, ended)
            assert re.fullmatch(pattern(told), ended.out.rstrip("\n"), re.DOTALL), (command, ended)
    finally:
        kernel.stop()


def test_the_tutorial_has_the_five_things_that_it_promises():
    assert re.findall(r"^## \d\. (\w+)", PAGE, re.MULTILINE) == [
        "Start", "Say", "Teach", "Ask", "Kill", "Undo",
    ]  # fmt: skip
    assert len(steps()) > 14
