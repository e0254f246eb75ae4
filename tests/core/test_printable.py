"""What is shown of a text from anywhere: everything that hides or reorders others is spelt out."""

import json
import re
import sys
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from bat_os.core.digest import digest
from bat_os.core.printable import CONTROL, ON_A_LINE, SHORT, show_asked, show_control
from bat_os.gateway.assets import PAGE

# How a sign is drawn: they stand behind hearts and arrows in plain texts.
PLAIN = {0xFE0E, 0xFE0F}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def hidden_on_the_page():
    """Return the code points that the page's filter knows, read from its pattern."""
    source = (PAGE / "safe.js").read_text()
    inner = re.search(r"const HIDDEN =\s+/\[(.*)\]/gu;", source)[1]
    points = [int(a or b, 16) for a, b in re.findall(r"\\u(?:(\w{4})|\{(\w+)\})", inner)]
    marks = re.sub(r"\\u(?:\w{4}|\{\w+\})", "x", inner)
    found, at = set(), 0
    while marks:
        last = 1 if marks.startswith("x-x") else 0
        found.update(range(points[at], points[at + last] + 1))
        at, marks = at + 1 + last, marks[3 if last else 1 :]
    return found


def test_the_terminal_and_the_page_know_the_same_characters():
    mine = {code for code in range(sys.maxunicode + 1) if CONTROL.match(chr(code))}
    assert mine == hidden_on_the_page()


def test_every_character_that_is_seen_by_nobody_is_known():
    for code in range(sys.maxunicode + 1):
        kind = unicodedata.category(chr(code))
        if kind in ("Cc", "Cs", "Zl", "Zp") and chr(code) not in "\t\n":
            assert CONTROL.match(chr(code)), hex(code)
    for code in (*range(0x200B, 0x2010), 0x2060, 0x2061, 0xFEFF, 0xAD, 0x180E, 0x3164, 0x115F,
                 *range(0xE0000, 0xE0080), 0x34F, 0xFFA0):  # fmt: skip
        assert CONTROL.match(chr(code)), hex(code)
    assert not any(CONTROL.match(chr(code)) for code in PLAIN)


def test_json_stays_json():
    text = "a\U000e0041b\u202e"
    assert json.loads(show_control(json.dumps(text, ensure_ascii=False))) == text


@given(VALUES, VALUES)
def test_what_looks_the_same_is_the_same(one, other):
    assert (show_asked(one) == show_asked(other)) == (repr(one) == repr(other))


@given(VALUES)
def test_nothing_that_is_asked_hides_or_breaks_a_line(value):
    shown = show_asked(value)
    assert not CONTROL.search(shown)
    assert "\n" not in shown
    assert "\t" not in shown


def test_what_is_long_shows_its_ends_and_a_path_or_a_recipient_is_never_cut():
    assert "b" * SHORT not in show_asked("a\n" + "b" * SHORT)
    path = "/" + "p" * (ON_A_LINE - 1)
    text = "first line\n" + "x" * 10_000 + " last words"
    shown = show_asked([path, {"to": ["ann@example.org"], "body": text}])
    for part in (path, "ann@example.org", "first line", "last words", digest(text), "10,022 B"):
        assert part in shown
    assert len(shown) < 7_000
