"""The page about attacks says what there is."""

from pathlib import Path

from tests.cells.attack_table import ESCAPES, HEAD, judge, read_meta, read_rows

PAGE = (Path(__file__).parents[2] / "docs" / "attacks.md").read_text(encoding="utf-8")


def test_each_attack_has_its_row_with_the_guardians_verdict():
    expected = [
        [path.stem, read_meta(path.read_text(encoding="utf-8"))["kind"], judge(path)]
        for path in ESCAPES
    ]

    assert [row[:3] for row in read_rows(PAGE)] == expected


def test_no_attack_got_through_when_the_page_was_made():
    assert PAGE.startswith(HEAD)
    assert [row for row in read_rows(PAGE) if len(row) != 5 or "THROUGH" in str(row)] == []
