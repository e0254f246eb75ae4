"""bat_os.cli.chat.waiting: what is shown of a brief while it runs, in a pipe."""

import asyncio
import io
import time

import pytest
from rich.console import Console

from bat_os.cli.chat.waiting import TALL, Pulse, Waiting
from bat_os.cli.console import Screen

ANNOUNCED = "event", {"text": "I can try to learn f(1); about 12 s.", "expected": 12}


def state(name, **detail):
    return {"state": name, "persona": "BRICK", "does": "does it", "detail": detail or {"goal": "g"}}


@pytest.fixture
def tell(capsys):
    def tell(*replies):
        with Waiting(Screen()) as waiting:
            for kind, body in replies:
                waiting.show(kind, body)
        return capsys.readouterr().err

    return tell


async def test_states_are_lines_with_who_does_what(tell):
    told = tell(
        ("accepted", {"awakening": ""}), ANNOUNCED, ("event", state("decomposing", goal="Do it."))
    )
    first, second = told.splitlines()
    assert first == "I can try to learn f(1); about 12 s."
    assert second.split() == ["0.0", "s", "DECOMPOSING", "BRICK", "Do", "it."]


async def test_a_kernel_that_has_gone_is_told_of_once_and_so_is_its_return(tell):
    told = tell(
        ("lost", {}), ("lost", {}), ("accepted", {"awakening": ""}), ("event", state("validating"))
    )
    gone, back, _ = told.splitlines()
    assert "the daemon is down; waiting for it to restart" in gone
    assert "the daemon is back" in back


async def test_an_image_that_wakes_up_says_so(tell):
    assert "the image is waking up: taking a model" in tell(
        ("accepted", {"awakening": "taking a model"})
    )


async def test_text_in_the_making_is_one_block_per_text(tell):
    def piece(text, *, begins):
        return "event", {"persona": "ALFRED", "text": text, "begins": begins}

    told = tell(
        piece("def f(self):\n", begins=True),
        piece(" return", begins=False),
        piece(" 1\x1b[2J", begins=False),
        piece("other", begins=True),
        ("event", state("validating", candidates=8)),
    )
    assert told.splitlines()[:3] == ["def f(self):", " return 1\\x1b[2J", "other"]
    assert "VALIDATING" in told.splitlines()[3]


def test_on_a_terminal_the_end_of_a_text_in_the_making_is_above_the_line():
    console = Console(file=io.StringIO(), width=40)
    pulse = Pulse(console, time.monotonic())
    pulse.doing = "writing"
    pulse.text = "".join(f"line {at}\n" for at in range(30))
    console.print(pulse)
    *text, line = console.file.getvalue().splitlines()
    assert text == [f"line {at}" for at in range(30 - TALL, 30)]
    assert line.endswith("s  writing")


async def until_said(capsys, text):
    said = ""
    while text not in said:
        await asyncio.sleep(0.01)
        said += capsys.readouterr().err
    return said


async def test_in_a_pipe_a_line_now_and_then_says_what_goes_on(capsys):
    with Waiting(Screen(), seldom=0.01) as waiting:
        waiting.show("accepted", {"awakening": ""})
        await until_said(capsys, "accepted: 0 s\n")
        waiting.show("event", state("synthesizing", passages=["one"]))
        said = await until_said(capsys, "synthesizing: 0 s\nsynthesizing: 0 s\n")
        assert "accepted" not in said
    capsys.readouterr()
    await asyncio.sleep(0.03)
    assert capsys.readouterr().err == "", "nothing is waited for any more"


async def test_a_text_in_the_making_is_not_broken_by_such_a_line(capsys):
    with Waiting(Screen(), seldom=0.01) as waiting:
        waiting.show("event", state("synthesizing"))
        waiting.show("event", {"persona": "ALFRED", "text": "def f(self):", "begins": True})
        capsys.readouterr()
        await asyncio.sleep(0.05)
        assert capsys.readouterr().err == ""


@pytest.mark.parametrize("screen", [Screen(as_json=True), Screen(quiet=True)])
async def test_with_json_or_quiet_there_is_no_such_line(capsys, screen):
    with Waiting(screen, seldom=0.01) as waiting:
        waiting.show("event", state("synthesizing"))
        await asyncio.sleep(0.05)
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "")
