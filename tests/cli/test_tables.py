"""bat_os.cli.tables: rows fit into any width."""

import io

import pytest
from rich.console import Console

from bat_os.cli.tables import lay_out

HEADS = ("BRIEF", "STATE", "PROBLEM")
ROWS = [["01a1ff6f74e56176e1226feb", "failed", "none of 8 candidates is good enough: 8 x nothing"],
        ["01a1ff6f747a2979beba037b", "complete", ""]]  # fmt: skip


def draw(width, rows=ROWS, heads=HEADS):
    console = Console(file=io.StringIO(), width=width)
    console.print(lay_out(rows, heads, width))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_wide_window_has_a_row_in_a_line():
    head, first, second = draw(120)
    assert head.split() == list(HEADS)
    assert first.startswith("01a1ff6f74e56176e1226feb  failed    none of 8")
    assert second.split() == ["01a1ff6f747a2979beba037b", "complete"]


def test_in_a_smaller_one_the_widest_column_wraps_and_no_other():
    lines = draw(60)
    assert lines[1].startswith("01a1ff6f74e56176e1226feb  failed    none of 8")
    assert lines[2].startswith(" " * 36)


@pytest.mark.parametrize("width", [18, 24, 40])
def test_in_a_narrow_one_heads_stand_beside_their_cells(width):
    lines = draw(width)
    assert all(len(line) <= width for line in lines)
    heads = [head for line in lines for head in line.split()[:1] if head in HEADS]
    assert heads == [*HEADS, *HEADS]
    assert lines[0].startswith("BRIEF")


def test_wide_characters_count_as_two():
    assert draw(40, [["日本語", "x"]], ("A", "B"))[1] == "日本語  x"
