import ast
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.method.fixups import RULES, Wanted, apply_fixups
from bat_os.method.text import MAX_SOURCE, parses
from tests.library import SEEDS

NOTHING = frozenset()
DRAFTS = Path(__file__).parents[1] / "cases" / "drafts.jsonl"
METHODS = sorted((Path(__file__).parents[1] / "cases" / "methods").glob("*.py"))


def unparse(source):
    return ast.unparse(ast.parse(source)) + "\n"


def fix(source, selector="m", *slots):
    return apply_fixups(source, selector, frozenset(slots) if slots else None)


def mend(body, head="def m(self, x):", **known):
    """Return the mended body of a method without its indentation, and the rules."""
    indented = "".join(f"    {line}\n" for line in body.split("\n"))
    text, rules = apply_fixups(f"{head}\n{indented}", "m", **known)
    lines = text.split("\n")
    assert lines[0] == head
    return "\n".join(line.removeprefix("    ") for line in lines[1:-1]), rules


@pytest.mark.parametrize("path", METHODS, ids=lambda path: path.stem)
def test_a_good_method_is_left_as_it_is(path):
    source = path.read_text()
    selector = re.search(r"^def (\w+)\(self", source, re.MULTILINE)[1]
    assert fix(source, selector) == (source, ())


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("return math.sqrt(x)", "import math"),
        ("return Counter(x)", "from collections import Counter"),
        ("return x + timedelta(days=1)", "from datetime import timedelta"),
        ("return random.randint(1, 6)", "import random"),
        ("return sqrt(x)", "from math import sqrt"),
        ("return datetime.now()", "from datetime import datetime"),
        ("return datetime(2024, 1, x)", "from datetime import datetime"),
        ("return datetime.datetime.now()", "import datetime"),
        ("return time.time()", "import time"),
        ("return time()", "from time import time"),
        ("return urllib.parse.quote(x)", "import urllib.parse"),
        ("return f'{math.pi} {x}'", "import math"),
    ],
)
def test_a_safe_module_that_is_used_is_imported(body, line):
    assert fix(f"def m(self, x):\n    {body}\n") == (
        unparse(f"{line}\ndef m(self, x):\n    {body}\n"),
        ("import_missing",),
    )


def test_an_unsafe_module_is_never_imported():
    source = "def m(self):\n    return os.getcwd()\n"
    assert fix(source) == (source, ())


def test_an_import_goes_after_the_docstring_and_before_a_decorator():
    source = '"""About."""\n@cache\ndef f():\n    return math.pi\ndef m(self):\n    return f()\n'
    text, _ = fix(source)
    assert text.startswith('"""About."""\nimport math\n\n@cache\n')


def test_two_missing_imports_are_both_added():
    text, _ = fix("def m(self):\n    return math.pi * random.random()\n")
    assert text.startswith("import math\nimport random\n\ndef m")


@pytest.mark.parametrize("call", ["m(n - 1)", "self.m(n - 1)"])
def test_a_method_that_calls_itself_hands_self_on(call):
    text, rules = fix(f"def m(self, n):\n    return 1 if n < 2 else n * {call}\n")
    assert text == "def m(self, n):\n    return 1 if n < 2 else n * m(self, n - 1)\n"
    assert rules == ("pass_self",)


@pytest.mark.parametrize(
    ("statement", "mended"),
    [
        ("print(x)", "return x"),
        ("print((x + 1) * 2)", "return (x + 1) * 2"),
        ("print('it is', x)", "return \" \".join(map(str, ('it is', x,)))"),
        ("print(*x)", 'return " ".join(map(str, (*x,)))'),
        ("print(\n        x\n    )", "return (\n        x\n    )"),
        (
            "if x:\n        print(1)\n    else:\n        print(2)",
            "if x:\n        return 1\n    else:\n        return 2",
        ),
    ],
)
def test_what_is_printed_last_is_returned(statement, mended):
    text, rules = fix(f"def m(self, x):\n    {statement}\n")
    assert text == unparse(f"def m(self, x):\n    {mended}\n")
    assert rules == ("return_printed",)


def test_a_method_that_returns_keeps_its_prints():
    source = "def m(self, x):\n    if x:\n        return 1\n    print(x)\n"
    assert fix(source) == (source, ())


def test_a_print_with_an_end_is_left_alone():
    source = "def m(self, x):\n    print(x, end='')\n"
    assert fix(source) == (source, ())


def test_a_slot_used_as_a_bare_name_is_taken_from_self():
    text, rules = fix("def m(self, x):\n    notes.append(x)\n    return notes\n", "m", "notes")
    assert text == "def m(self, x):\n    self.notes.append(x)\n    return self.notes\n"
    assert rules == ("qualify_slots",)


def test_a_slot_counted_up_as_a_bare_name_is_taken_from_self():
    text, _ = fix("def m(self):\n    count += 1\n    return count\n", "m", "count")
    assert text == "def m(self):\n    self.count += 1\n    return self.count\n"


@pytest.mark.parametrize(
    "source",
    [
        "def m(self, notes):\n    return notes\n",
        "def m(self):\n    notes = []\n    return notes\n",
        "def m(self):\n    return [notes for notes in self.notes]\n",
        "def m(self):\n    return len(self.notes)\n",
    ],
)
def test_a_name_of_the_method_itself_is_not_taken_for_a_slot(source):
    assert fix(source, "m", "notes", "len") == (source, ())


@pytest.mark.parametrize("source", ["", "def", "def m(self", "\0", "'\ud800'", "x" * 30_000])
def test_what_cannot_be_mended_comes_back_as_it_was(source):
    assert fix(source) == (source, ())


# ---- brackets


@pytest.mark.parametrize(
    ("line", "mended"),
    [
        ("return (x + 1", "return (x + 1)"),
        ("return sum([int(c) for c in str(x", "return sum([int(c) for c in str(x)])"),
        ("return (x + 1))", "return (x + 1)"),
        ("return max(1, ')' in str(x)))", "return max(1, ')' in str(x))"),
    ],
)
def test_brackets_are_balanced_at_the_end(line, mended):
    assert mend(line) == (mended, ("close_brackets",))


@pytest.mark.parametrize(
    "line", ["return (x] + 1)", "return max(x,", "return (x +", "return [(((x"]
)
def test_brackets_that_are_wrong_otherwise_are_left_alone(line):
    assert mend(line)[1] == ()


# ---- self


@pytest.mark.parametrize(
    ("line", "mended"),
    [
        ("return x.upper() + self.x", "return x.upper() + x"),
        ("return self.math.sqrt(x)", "return math.sqrt(x)"),
        ("return f'x is {self.x}'", "return f'x is {x}'"),
        ("return self.len(x)", "return len(x)"),
        ("return self.gcd(x, 4)", "return gcd(x, 4)"),
    ],
)
def test_what_is_no_part_of_the_receiver_loses_its_self(line, mended):
    text, rules = apply_fixups(f"def m(self, x):\n    {line}\n", "m", NOTHING, frozenset({"area"}))
    assert text.endswith(f"def m(self, x):\n    {mended}\n")
    assert rules[0] == "drop_self"


@pytest.mark.parametrize(
    ("line", "slots"),
    [
        ("return self.x", None),  # nobody said which slots there are
        ("return self.x", frozenset({"x"})),
        ("self.x = x; self._p_changed = True; return self.x", NOTHING),
        ("return self.len(x)", NOTHING),  # nobody said which messages it understands
        ("return self.x if hasattr(self, 'x') else x", NOTHING),
        ("return self.math.sqrt(x)", frozenset({"math"})),
        ("return self.x(1) + x", NOTHING),
    ],
)
def test_what_may_be_part_of_the_receiver_keeps_its_self(line, slots):
    assert mend(line, slots=slots) == (line, ())


def test_a_message_that_the_receiver_understands_is_not_taken_for_a_function():
    known = {"slots": NOTHING, "selectors": frozenset({"len"})}
    assert mend("return self.len(x)", **known) == ("return self.len(x)", ())


def test_a_slot_is_taken_from_self_inside_a_text_that_says_its_name():
    line = "return f'notes {{notes}}: {len(notes)} {notes!r}'"
    text, rules = mend(line, head="def m(self):", slots=frozenset({"notes"}))
    assert text == "return f'notes {{notes}}: {len(self.notes)} {self.notes!r}'"
    assert rules == ("qualify_slots",)


def test_self_is_handed_on_once():
    source = "def m(self, n):\n    return 1 if n < 2 else n * self.m(self, n - 1)\n"
    text, rules = fix(source)
    assert text == source.replace("self.m(self", "m(self")
    assert rules == ("pass_self",)


# ---- modules


def test_an_import_that_is_neither_safe_nor_used_is_dropped():
    text, rules = fix(
        "import os, sys\nimport math\ndef m(self, x):\n"
        "    import os.path  # for files\n    return math.floor(x)\n"
    )
    assert text == "import math\n\ndef m(self, x):\n    return math.floor(x)\n"
    assert rules == ("drop_imports",)


def test_an_import_that_is_used_stays_whatever_it_is():
    assert mend("import os\nreturn os.getcwd()")[1] == ()


def test_names_of_annotations_are_imported():
    text, rules = fix("def m(self, x: List[int]) -> Optional[str]:\n    return x\n")
    assert text.startswith("from typing import List\nfrom typing import Optional\n")
    assert rules == ("import_missing",)


# ---- results


@pytest.mark.parametrize(
    ("statement", "mended"),
    [
        ("print(x)\nreturn", "return x\nreturn"),
        ("print(x)\nreturn None", "return x\nreturn None"),
        (
            "try:\n    print(1 / x)\nexcept ZeroDivisionError:\n    print('none')",
            "try:\n    return 1 / x\nexcept ZeroDivisionError:\n    return 'none'",
        ),
    ],
)
def test_a_print_at_the_end_of_each_branch_is_returned(statement, mended):
    assert mend(statement) == (mended, ("return_printed",))


@pytest.mark.parametrize(
    "body",
    [
        "self.notes.append(x)\nself._p_changed = True",
        "self.seen = x\nself._p_changed = True\ny = x",
        "self.send('lamp', 'toggle')",
        "for n in x:\n    self.send('lamp', n)",
        "if x:\n    return 1\ny = 2",
        "a = []\nb = []\nfor n in x:\n    a.append(n)\n    b.append(n)",
        "raise ValueError(x)",
        "yield x\ny = 1",
        "x + 1",
        "y = x + 1",
        "pass",
    ],
)
def test_a_method_that_prints_nothing_keeps_its_end(body):
    assert mend(body) == (body, ())


# ---- all rules together


def test_several_faults_are_mended_in_one_go():
    source = "def m(self, n):\n    import os\n    print(datetime.now().year - math.floor(n), count"
    text, rules = apply_fixups(source, "m", frozenset({"count"}), NOTHING)
    assert text == unparse(
        "from datetime import datetime\nimport math\ndef m(self, n):\n"
        "    return ' '.join(map(str, (datetime.now().year - math.floor(n), self.count)))\n"
    )
    assert rules == (
        "close_brackets",
        "qualify_slots",
        "drop_imports",
        "import_missing",
        "return_printed",
    )


@pytest.mark.slow
def test_every_rule_fires_on_what_models_wrote():
    drafts = [json.loads(line) for line in DRAFTS.read_text(encoding="utf-8").splitlines()]
    fired = set()
    for draft in drafts:
        known = frozenset(draft["slots"]), NOTHING
        fired.update(apply_fixups(draft["source"], draft["selector"], *known)[1])
    assert fired == set(RULES)


VARIATIONS = {
    "as it is": lambda source: source,
    "with a line end": lambda source: f"{source}\n",
    "with Windows line ends": lambda source: source.replace("\n", "\r\n"),
    "with two spaces": lambda source: re.sub(
        "^ +", lambda hit: hit[0][: len(hit[0]) // 2], source, flags=re.MULTILINE
    ),
    "with comments": lambda source: source.replace(
        "\n    return", "\n    # the result\n    return"
    ),
    "with empty lines": lambda source: source.replace("\n    return", "\n\n    return"),
    "as Python writes it": unparse,
    "without its docstring": lambda source: re.sub(r'\n    """.*"""', "", source),
    "after a constant": lambda source: f'"""About."""\nLIMIT = 3\n\n\n{source}\n',
    "with annotations": lambda source: source.replace("):", ") -> object:", 1),
    "with a local name": lambda source: re.sub(
        r"\n    return (.*)\Z", r"\n    result = \1\n    return result", source
    ),
    "with a helper": lambda source: f"def helper(n):\n    return n\n\n\n{source}",
    "within try": lambda source: re.sub(
        r"\n    return (.*)\Z",
        r"\n    try:\n        return \1\n    except ValueError:\n        return None",
        source,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", VARIATIONS)
def test_a_seed_is_left_as_it_is_in_every_variation(way):
    for seed in SEEDS:
        source = VARIATIONS[way](seed.source)
        slots = frozenset(seed.examples[0].slots)

        mended = apply_fixups(source, seed.selector, slots, frozenset({"getSlot"}))

        assert mended == (source, ()), seed.selector


NAMES = st.from_regex(r"[a-z]{2,6}_[a-z]{2,6}", fullmatch=True)


@pytest.mark.slow
@given(st.sampled_from(SEEDS), st.data())
def test_a_seed_with_other_names_is_left_as_it_is(seed, data):
    source = seed.source
    for name in seed.params:
        new = data.draw(NAMES)
        if not re.search(rf"\b{new}\b|['\"].*\b{name}\b.*['\"]", source):
            source = re.sub(rf"(?<!\.)\b{name}\b", new, source)
    source = VARIATIONS[data.draw(st.sampled_from(sorted(VARIATIONS)))](source)

    mended = apply_fixups(source, seed.selector, frozenset(seed.examples[0].slots))

    assert mended == (source, ())


DAMAGE = st.sampled_from(
    [
        *("", "\n", " ", "    ", "\t", "(", ")", "]", "'", '"""', "self.", "self", ":", "```"),
        *("print(", "#", "return ", "input()", "np.mean", "pytz", "import os\n", "é", "\r", "{"),
        *("\\", "=", "x", "def f(self):\n", "datetime.", "f'{"),
    ]
)


@pytest.mark.slow
@given(st.sampled_from(SEEDS), st.data())
def test_a_damaged_seed_is_mended_once_and_for_all_or_left(seed, data):
    source = f"{seed.source}\n"
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(source)))
        gone = data.draw(st.integers(0, 9))
        source = source[:at] + data.draw(DAMAGE) + source[at + gone :]
    source = source[: data.draw(st.integers(len(source) // 2, len(source)))]
    known = frozenset(seed.examples[0].slots)

    text, rules = apply_fixups(source, seed.selector, known, NOTHING)

    assert (text == source) == (not rules)
    if rules:
        assert parses(text)
    assert apply_fixups(text, seed.selector, known, NOTHING) == (text, ())


@given(st.text(max_size=80), st.sampled_from(sorted(RULES)))
def test_no_rule_raises_on_any_text(text, name):
    for frame in ("{}", "def m(self, x):\n    {}", "def m(self):\n    return f'{{{}}}'"):
        mended = RULES[name](frame.format(text), Wanted("m", frozenset({"count"}), NOTHING))
        assert isinstance(mended, str)


def test_a_repair_does_not_make_a_source_too_long():
    source = "def m(self, x):\n    print('" + "x" * (MAX_SOURCE - 40) + "', x)\n"
    assert len(source) <= MAX_SOURCE
    assert fix(source) == (source, ())


PIECES = st.sampled_from(
    [
        "def m(",
        "self",
        "):\n",
        "    ",
        "print(",
        "x",
        ")",
        "\n",
        "\t",
        "return ",
        "datetime",
        ".",
        "now",
        "import datetime\n",
        "from datetime import datetime\n",
        "m(",
        "count += 1",
        "# é\n",
        "'''",
        '"',
        ";",
    ]
)


@pytest.mark.slow
@given(st.lists(PIECES, max_size=25).map("".join))
def test_any_text_comes_back_as_itself_or_as_python(source):
    text, rules = fix(source, "m", "count", "x")
    assert (text == source) == (not rules)
    if rules:
        ast.parse(text)
