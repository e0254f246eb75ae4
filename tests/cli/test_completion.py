"""bat_os.cli.parser: TAB, in real shells where they are installed."""

import asyncio
import os
import shutil
import subprocess
import sys

import pytest

from bat_os.cli.main import COMPLETING
from bat_os.cli.parser import SHELLS, write_script
from tests.cli.clients import ENVIRON, verb
from tests.kernels import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.system]

BASH = """
eval "$SCRIPT"
COMP_LINE="$LINE"; COMP_POINT=${#LINE}; COMP_TYPE=9
read -ra COMP_WORDS <<<"$LINE"; COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_python_argcomplete batos
printf '%s\\n' "${COMPREPLY[@]}"
"""
FISH = 'eval "$SCRIPT"; complete --do-complete "$LINE"'


def press(command, *talk, **environ):
    """Talk to a program at a terminal: type, wait for what it shows, type; return all it showed."""
    ours, theirs = os.openpty()
    shown = ""
    with subprocess.Popen(
        command, env=ENVIRON | environ, stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True,
    ) as program:  # fmt: skip
        os.close(theirs)
        for keys, awaited in batched(talk):
            os.write(ours, keys.encode())
            start = len(shown)
            while awaited not in shown[start:]:
                shown += os.read(ours, 4096).decode("utf-8", "replace")
        program.kill()
    os.close(ours)
    return shown


def batched(talk):
    return zip(talk[::2], talk[1::2], strict=True)


async def run(*command, **environ):
    process = await asyncio.create_subprocess_exec(
        *command, env=ENVIRON | environ, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def complete(line, home, name="bash", program=BASH):
    """Return what TAB at the end of a line offers in a shell."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    out = await run(
        name, "-c", program,
        SCRIPT=write_script(name), LINE=line, BATOS_HOME=str(home), HOME=str(home),
    )  # fmt: skip
    return [word.split("\t")[0].strip() for word in out.splitlines() if word.strip()]


async def test_verbs_are_completed(tmp_path):
    assert {"send", "search", "status"} <= set(await complete("batos s", tmp_path))


async def test_options_are_completed(tmp_path):
    assert await complete("batos logs --fo", tmp_path) == ["--follow"]


async def test_objects_and_their_messages_come_from_the_live_image(thinking):
    home = thinking.home.path
    assert await complete("batos inspect genesis", home) == ["genesis_obj"]
    assert await complete("batos send genesis_obj setS", home) == ["setSlot"]


async def test_without_a_kernel_there_are_no_names_and_no_complaint(tmp_path):
    assert await complete("batos inspect genesis", tmp_path) == []
    assert list(tmp_path.iterdir()) == []


async def test_files_are_completed_where_a_file_is_wanted(tmp_path):
    (tmp_path / "bats.md").write_text("Bats.")
    assert await complete(f"batos learn {tmp_path}/ba", tmp_path) == [f"{tmp_path}/bats.md"]


async def test_fish_completes_verbs(tmp_path):
    assert "status" in await complete("batos sta", tmp_path, name="fish", program=FISH)


@pytest.mark.parametrize("begun", ["", "autoload -Uz compinit && compinit -D; "])
def test_tab_completes_a_verb_in_a_zsh_with_or_without_its_completion_system(tmp_path, begun):
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    shown = press(
        ("zsh", "-f", "-i"),
        f'bindkey -e; {begun}eval "$SCRIPT"; print -r READ""Y\n',
        "READY",
        'batos sta\t\x01print -r -- SHOW""N: \n',  # TAB, to the start of the line, print it
        "SHOWN: batos status",
        SCRIPT=write_script("zsh"), BATOS_HOME=str(tmp_path), HOME=str(tmp_path), TERM="dumb",
    )  # fmt: skip
    assert "not found" not in shown


async def test_what_the_powershell_script_asks_is_answered_into_its_file(tmp_path):
    """PowerShell is on few machines; this asks with the variables that its script sets."""
    answers = tmp_path / "answers"
    asked = {
        "ARGCOMPLETE_USE_TEMPFILES": "1", "_ARGCOMPLETE_STDOUT_FILENAME": str(answers),
        "COMP_LINE": "batos sta", "COMP_POINT": "9", "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_SUPPRESS_SPACE": "0", "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_SHELL": "powershell",
    }  # fmt: skip
    script = write_script("powershell")
    assert [name for name in asked if f"$env:{name} = " not in script] == []

    out = await run(sys.executable, ROOT / "batos.py", BATOS_HOME=str(tmp_path), **asked)

    assert (out, answers.read_text().split()) == ("", ["states", "status"])


@pytest.mark.parametrize("shell", SHELLS)
def test_there_is_a_script_for_each_shell_that_runs_this_installation(shell):
    script = write_script(shell)
    assert COMPLETING in script
    assert str(ROOT / "batos.py") in script


async def test_a_shell_that_is_not_known_is_refused_with_those_that_are(tmp_path):
    ended = await verb(tmp_path, "completion", "cmd")
    assert ended.status == 2
    assert "powershell" in ended.err


async def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    batos = f"'{sys.executable}' '{ROOT / 'batos.py'}'"
    out = await run("bash", "-c", f"{batos} completion bash --home '{tmp_path}' 2>&1 | head -c 7")
    assert out == "command"
