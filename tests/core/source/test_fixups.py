import ast
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bat_os.core.source.fixups import apply_fixups

METHODS = sorted((Path(__file__).parents[2] / "cases" / "methods").glob("*.py"))


def fix(source, selector="m", *slots):
    return apply_fixups(source, selector, frozenset(slots))


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
        f"{line}\ndef m(self, x):\n    {body}\n",
        ("import_missing",),
    )


def test_an_unsafe_module_is_never_imported():
    source = "def m(self):\n    return os.getcwd()\n"
    assert fix(source) == (source, ())


def test_an_import_goes_after_the_docstring_and_before_a_decorator():
    source = '"""About."""\n@cache\ndef f():\n    return math.pi\ndef m(self):\n    return f()\n'
    text, _ = fix(source)
    assert text.startswith('"""About."""\nimport math\n@cache\n')


def test_two_missing_imports_are_both_added():
    text, _ = fix("def m(self):\n    return math.pi * random.random()\n")
    assert text.startswith("import math\nimport random\ndef m")


def test_a_module_taken_for_the_class_becomes_the_class():
    text, rules = fix("import datetime\ndef m(self):\n    return datetime.now()\n")
    assert text == "from datetime import datetime\ndef m(self):\n    return datetime.now()\n"
    assert rules == ("mend_datetime",)


def test_mixed_uses_of_the_module_are_qualified_one_by_one():
    text, _ = fix(
        "import datetime\ndef m(self):\n    return datetime.now() - datetime.timedelta(days=1)\n"
    )
    assert "return datetime.datetime.now() - datetime.timedelta(days=1)" in text


def test_a_class_taken_for_the_module_loses_the_prefix():
    text, _ = fix(
        "from datetime import datetime\ndef m(self):\n    return datetime.datetime.now()\n"
    )
    assert text == "from datetime import datetime\ndef m(self):\n    return datetime.now()\n"


def test_a_name_of_the_module_taken_from_the_class_is_imported_too():
    text, _ = fix(
        "from datetime import datetime\ndef m(self):\n"
        "    return datetime.now() + datetime.timedelta(days=1)\n"
    )
    assert text.startswith("from datetime import datetime, timedelta\n")
    assert text.endswith("return datetime.now() + timedelta(days=1)\n")


@pytest.mark.parametrize(
    ("head", "mended"),
    [
        ("def m():", "def m(self):"),
        ("def m(a, b=1):", "def m(self, a, b=1):"),
        ("def m(*parts):", "def m(self, *parts):"),
        ("def m(\n    a,\n):", "def m(self, \n    a,\n):"),
    ],
)
def test_a_missing_self_becomes_the_first_parameter(head, mended):
    assert fix(f"{head}\n    return 1\n") == (f"{mended}\n    return 1\n", ("add_self",))


@pytest.mark.parametrize("call", ["m(n - 1)", "self.m(n - 1)"])
def test_a_method_that_calls_itself_hands_self_on(call):
    text, rules = fix(f"def m(self, n):\n    return 1 if n < 2 else n * {call}\n")
    assert text == "def m(self, n):\n    return 1 if n < 2 else n * m(self, n - 1)\n"
    assert rules == ("pass_self",)


def test_a_recursive_function_without_self_gets_it_in_both_places():
    text, rules = fix("def m(n):\n    return 1 if n < 2 else n * m(n - 1)\n")
    scope = {}
    exec(text, scope)  # noqa: S102 (the text above)
    assert scope["m"](None, 5) == 120
    assert rules == ("add_self", "pass_self")


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
    assert text == f"def m(self, x):\n    {mended}\n"
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


@pytest.mark.parametrize(
    "rest",
    [
        "This method returns one.\n",
        "```\n\nIt works because:\n- it is one\n",
        "print(m(1))\n",
        "if __name__ == '__main__':\n    print(m(1))\n",
        "def m(self):\n    return 2\n",
        "class:\n",
    ],
)
def test_what_stands_after_the_method_is_cut_off(rest):
    source = "import math\n\ndef m(self):\n    return math.floor(1.5)\n"
    assert fix(source + rest) == (source, ("cut_rest",))


def test_a_fence_and_a_sentence_before_the_method_are_cut_off():
    source = "Here is the code:\n```python\nLIMIT = 3\ndef m(self):\n    return LIMIT\n```\n"
    assert fix(source)[0] == "LIMIT = 3\ndef m(self):\n    return LIMIT\n"


def test_a_docstring_at_the_margin_survives_the_cut():
    source = 'def m(self):\n    """Say\none.\n"""\n    return 1\n'
    assert fix(source + "Some words here\n")[0] == source


def test_tabs_mixed_with_spaces_become_spaces():
    text, rules = fix("def m(self):\n\tx = 1\n    return x\n")
    assert text == "def m(self):\n    x = 1\n    return x\n"
    assert rules == ("expand_tabs",)


def test_tabs_and_trailing_words_are_mended_together():
    text, rules = fix("def m(self):\n\tx = 1\n    return x\nThat is all.\n")
    assert text == "def m(self):\n    x = 1\n    return x\n"
    assert rules == ("expand_tabs", "cut_rest")


@pytest.mark.parametrize("source", ["", "def", "def m(self", "\0", "'\ud800'", "x" * 30_000])
def test_what_cannot_be_mended_comes_back_as_it_was(source):
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


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, max_size=25).map("".join))
def test_any_text_comes_back_as_itself_or_as_python(source):
    text, rules = fix(source, "m", "count", "x")
    assert (text == source) == (not rules)
    if rules:
        ast.parse(text)
