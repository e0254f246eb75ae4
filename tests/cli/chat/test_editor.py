"""bat_os.cli.chat.editor: what goes on in the next line."""

import pytest

from bat_os.cli.chat.editor import is_whole


@pytest.mark.parametrize(
    "text",
    [
        "", "calculate the factorial of 5", "what's the time?", "the dogs' tails",
        "it is 5 o'clock",
        "genesis_obj.double(21)", "greet 'Ann'", 'say "it\'s late"', "it is late :( again",
        "greet 'it''s'", "a) first", r"say 'it\'s late'", '/send o f \'["a"]\'', "f({'a': [1, 2]})",
    ],
)  # fmt: skip
def test_a_sentence_is_whole_whatever_its_apostrophes(text):
    assert is_whole(text)


@pytest.mark.parametrize(
    "text", ["f(", "f([1, 2", "sort [3,\n 1", "greet 'Ann", 'say "hello', "f({'a': (1, 2}", 'f(")"']
)
def test_an_open_bracket_or_quote_goes_on(text):
    assert not is_whole(text)


@pytest.mark.parametrize("text", ["f(\n", "greet 'Ann\n  ", "f([\n1,\n"])
def test_an_empty_line_ends_whatever_is_open(text):
    assert is_whole(text)
