"""bat_os.cli.show.command: what people write on a command line, as what a request holds."""

import pytest

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
