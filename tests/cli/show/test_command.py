"""bat_os.cli.show.command: what people write on a command line, as what a request holds."""

import pytest

from bat_os.cli.console import Screen
from bat_os.cli.show import command
from bat_os.cli.show.command import read_example
from bat_os.errors import ArgumentsError


@pytest.mark.parametrize(
    ("text", "said"),
    [("treble(2) gives 6", 'written "2 gives 6"'), ("percent(10, 50) -> 5", '"10, 50 gives 5"'),
     ("treble", "is not an example")],
)  # fmt: skip
def test_an_example_in_another_form_is_answered_with_the_form(text, said):
    with pytest.raises(ArgumentsError, match=said):
        read_example(text)


def test_each_state_of_a_mission_is_shown_with_the_time_since_it_was_asked_for(monkeypatch, capsys):
    clock = iter([10.0, 12.5, 14.0])
    monkeypatch.setattr(command.time, "monotonic", lambda: next(clock))
    show = command.show_states(Screen())
    for state in ("delegating", "synthesizing"):
        show("event", {"state": state, "persona": "BABS", "does": "searches"})
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["2.5", "s", "DELEGATING"], ["4.0", "s", "SYNTHESIZING"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "args", "result"),
    [
        ("'Ann' gives 'Hello, Ann!'", ["Ann"], "Hello, Ann!"),
        ("'a', 2 gives ['b', 'c']", ["a", 2], ["b", "c"]),
        ("it's gives 4", ["it's"], 4),
        ("(1, 2) gives {'a', 'b'}", ["(1, 2)"], "{'a', 'b'}"),
        ("'" + "x" * 20_000 + "' gives 1", ["'" + "x" * 20_000 + "'"], 1),
    ],
)
def test_texts_of_an_example_may_stand_in_single_quotes(text, args, result):
    example = read_example(text)
    assert (example["args"], example["result"]) == (args, result)
