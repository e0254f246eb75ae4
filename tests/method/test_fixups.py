import ast
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bat_os.method.fixups import RULES, apply_fixups
from bat_os.method.rules.places import Wanted
from bat_os.method.text import MAX_SOURCE, parses
from tests.library import SEEDS

NOTHING = frozenset()
METHODS = sorted((Path(__file__).parents[1] / "cases" / "methods").glob("*.py"))


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


# ---- layout


@pytest.mark.parametrize(
    "first", ["   return x", "     return x", " return x", "  y = x\n    return y"]
)
def test_a_first_line_that_is_indented_wrongly_is_put_under_the_docstring(first):
    text, rules = fix(f'def m(self, x):\n    """Say x."""\n{first}\n')
    assert text == f'def m(self, x):\n    """Say x."""\n    {first.lstrip(" ")}\n'
    assert rules == ("align_body",)


def test_a_body_that_is_indented_too_far_is_moved_as_a_whole():
    body = "      if x:\n        return 1\n      return 2\n"
    text, rules = fix(f'def m(self, x):\n    """Say x."""\n{body}')
    moved = "    if x:\n      return 1\n    return 2\n"
    assert text == f'def m(self, x):\n    """Say x."""\n{moved}'
    assert rules == ("align_body",)


def test_a_fence_inside_the_method_is_dropped():
    text, rules = fix("def m(self, x):\n    ```python\n    return x\n    ```\n")
    assert text == "def m(self, x):\n    return x\n"
    assert rules == ("drop_fences",)


@pytest.mark.parametrize(
    "rest", ["print(m(", "if x >", "# so\n    y = [1,\n         2,", '"""It is']
)
def test_an_unfinished_end_that_is_never_reached_is_dropped(rest):
    text, rules = fix(f"def m(self, x):\n    return x + 1\n    {rest}")
    assert ast.unparse(ast.parse(text)) == "def m(self, x):\n    return x + 1"
    assert rules == ("drop_unfinished",)


def test_an_unfinished_end_that_matters_is_not_dropped():
    source = "def m(self, x):\n    if x:\n        return 1\n    y = ]"
    assert fix(source) == (source, ())


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


@pytest.mark.parametrize(
    ("line", "mended"),
    [
        ("return f'name: {self.name}'", "return f'name: {self.user_name}'"),
        ("return self.user", "return self.user_name"),
        ("return self.task[0]", "return self.tasks[0]"),
    ],
)
def test_a_part_of_the_name_of_one_slot_means_that_slot(line, mended):
    slots = frozenset({"user_name", "tasks"})
    assert mend(line, head="def m(self):", slots=slots) == (mended, ("name_slot",))


def test_a_part_of_the_names_of_two_slots_is_left_alone():
    slots = frozenset({"user_name", "dog_name"})
    assert mend("return self.name", head="def m(self):", slots=slots)[1] == ()


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


# ---- arguments


@pytest.mark.parametrize(
    "sample",
    [
        "x = [1, 2, 3]",
        "x = 5",
        "x = -1.5",
        "x: int = 5",
        "x = input('x: ')",
        "x = int(input())",
        "x = {'a': [1]}",
    ],
)
def test_a_sample_value_that_overwrites_a_parameter_is_dropped(sample):
    assert mend(f"{sample}\nreturn x") == ("return x", ("keep_argument",))


@pytest.mark.parametrize(
    "body",
    [
        "y = x\nx = 5\nreturn x + y",
        "x = []\nreturn x",
        "x = None\nreturn x",
        "x = x or 5\nreturn x",
        "y = 5\nreturn x + y",
        "if x is None:\n    x = 5\nreturn x",
        "x = y = 5\nreturn x + y",
    ],
)
def test_a_parameter_that_is_changed_for_a_reason_stays_changed(body):
    assert mend(body) == (body, ())


def test_a_sample_value_for_an_optional_parameter_stays():
    assert mend("x = 5\nreturn x", head="def m(self, x=1):")[1] == ()


def test_what_is_asked_for_on_the_terminal_is_the_parameter():
    body = "a = int(input('first'))\nb = int(input('second'))\nreturn a + b"
    text, rules = mend(body, head="def m(self, x, y):")
    assert text == "a = int(x)\nb = int(y)\nreturn a + b"
    assert rules == ("ask_argument",)


def test_what_is_asked_for_without_a_parameter_for_it_is_left_alone():
    assert mend("return int(input()) + x")[1] == ()


@pytest.mark.parametrize("line", ["return 3 * radius ** 2 + radius", "return f'{radius}'"])
def test_the_one_unknown_name_is_the_one_unused_parameter(line):
    assert mend(line) == (line.replace("radius", "x"), ("use_argument",))


def test_the_one_unknown_slot_is_the_one_unused_parameter():
    text, rules = mend("return 3 * self.radius ** 2", slots=frozenset({"colour"}))
    assert (text, rules) == ("return 3 * x ** 2", ("use_argument",))


@pytest.mark.parametrize(
    ("head", "line"),
    [
        ("def m(self, x):", "return radius * x"),  # x is used
        ("def m(self, x, y):", "return radius"),  # which of the two?
        ("def m(self, x):", "return radius * pie"),
        ("def m(self, x):", "return helper(1)"),
        ("def m(self, x):", "return [i, i + 1]"),  # a loop that was forgotten
        ("def m(self, x):", "return {key: 1}"),
        ("def m(self, x):", "return self.radius"),  # perhaps there is such a slot
        ("def m(self, x):", "return 7"),
    ],
)
def test_a_name_that_may_mean_something_else_is_left_alone(head, line):
    assert mend(line, head=head) == (line, ())


# ---- modules


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (
            "import pytz\nreturn x.astimezone(pytz.timezone('Asia/Tokyo'))",
            "import zoneinfo\ndef m(self, x):\n"
            "    return x.astimezone(zoneinfo.ZoneInfo('Asia/Tokyo'))",
        ),
        (
            "from pytz import timezone, utc\nreturn x.astimezone(timezone('UTC')), utc",
            "import zoneinfo\ndef m(self, x):\n"
            "    return x.astimezone(zoneinfo.ZoneInfo('UTC')), zoneinfo.ZoneInfo(\"UTC\")",
        ),
        ("return np.mean(x)", "import statistics\ndef m(self, x):\n    return statistics.mean(x)"),
        (
            "import numpy as np\nreturn np.sum(x) / np.sqrt(4)",
            "import math\ndef m(self, x):\n    return sum(x) / math.sqrt(4)",
        ),
        (
            "from numpy.random import choice as pick\nreturn pick(x)",
            "import random\ndef m(self, x):\n    return random.choice(x)",
        ),
    ],
)
def test_a_package_that_is_not_here_is_replaced_by_what_python_has(body, lines):
    indented = body.replace("\n", "\n    ")
    text, rules = fix(f"def m(self, x):\n    {indented}\n")
    assert text == f"{lines}\n"
    assert rules[0] == "use_stdlib"


@pytest.mark.parametrize(
    "line",
    ["return np.array(x)", "return np.mean(np.array(x))", "statistics = 1; return np.mean(x)"],
)
def test_a_package_that_has_no_twin_in_python_is_left_alone(line):
    assert mend(line)[1] == ()


def test_an_import_that_is_neither_safe_nor_used_is_dropped():
    text, rules = fix(
        "import os, sys\nimport math\ndef m(self, x):\n"
        "    import os.path  # for files\n    return math.floor(x)\n"
    )
    assert text == "import math\ndef m(self, x):\n    return math.floor(x)\n"
    assert rules == ("drop_imports",)


def test_an_import_that_is_used_stays_whatever_it_is():
    assert mend("import os\nreturn os.getcwd()")[1] == ()


def test_names_of_annotations_are_imported():
    text, rules = fix("def m(self, x: List[int]) -> Optional[str]:\n    return x\n")
    assert text.startswith("from typing import List\nfrom typing import Optional\n")
    assert rules == ("import_missing",)


# ---- results


@pytest.mark.parametrize(
    ("statement", "mended", "rule"),
    [
        ("return print(x)", "return x", "return_print"),
        (
            "if x:\n    return print(1)\nreturn 2",
            "if x:\n    return 1\nreturn 2",
            "return_print",
        ),
        ("print(x)\nreturn", "return x\nreturn", "return_printed"),
        ("print(x)\nreturn None", "return x\nreturn None", "return_printed"),
        (
            "try:\n    print(1 / x)\nexcept ZeroDivisionError:\n    print('none')",
            "try:\n    return 1 / x\nexcept ZeroDivisionError:\n    return 'none'",
            "return_printed",
        ),
        ("x + 1", "return x + 1", "return_result"),
        ("y = x + 1\ny", "y = x + 1\nreturn y", "return_result"),
        ("', '.join(x)", "return ', '.join(x)", "return_result"),
        ("y = x + 1", "y = x + 1\nreturn y", "return_result"),
        (
            "found = []\nfor n in x:\n    found.append(n)",
            "found = []\nfor n in x:\n    found.append(n)\nreturn found",
            "return_result",
        ),
        (
            "total = 0\nfor n in x:\n    total += n",
            "total = 0\nfor n in x:\n    total += n\nreturn total",
            "return_result",
        ),
    ],
)
def test_what_a_method_has_in_hand_at_its_end_is_returned(statement, mended, rule):
    assert mend(statement) == (mended, (rule,))


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
        "pass",
    ],
)
def test_a_method_without_one_clear_result_keeps_its_end(body):
    assert mend(body) == (body, ())


@pytest.mark.parametrize(
    ("inner", "call"),
    [
        ("def m(self, x):\n    return x * 2", "return m(self, x)"),
        ("def double(n):\n    return n * 2", "return double(x)"),
        ("import math\ndef half(n):\n    return math.floor(n / 2)", "return half(x)"),
    ],
)
def test_a_function_that_is_only_defined_inside_is_called(inner, call):
    assert mend(inner) == (f"{inner}\n{call}", ("call_inner",))


def test_an_inner_function_with_other_parameters_is_not_called():
    assert mend("def double(a, b):\n    return a + b")[1] == ()


# ---- all rules together


def test_the_names_of_the_rules_are_those_of_the_functions():
    assert {name: rule.__name__ for name, rule in RULES.items()} == {name: name for name in RULES}


def test_several_faults_are_mended_in_one_go():
    source = (
        "Here you are:\n```python\nimport os\ndef m(n):\n"
        "    print(datetime.now().year - math.floor(age))\n```\nIt prints the year.\n"
    )
    text, rules = fix(source)
    assert text == (
        "from datetime import datetime\nimport math\ndef m(self, n):\n"
        "    return datetime.now().year - math.floor(n)\n"
    )
    assert rules == (
        "cut_rest",
        "add_self",
        "use_argument",
        "drop_imports",
        "import_missing",
        "return_printed",
    )


def unparse(source):
    return ast.unparse(ast.parse(source)) + "\n"


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
@settings(max_examples=100, deadline=None)
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
@settings(max_examples=150, deadline=None)
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


@settings(max_examples=200, deadline=None)
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
@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, max_size=25).map("".join))
def test_any_text_comes_back_as_itself_or_as_python(source):
    text, rules = fix(source, "m", "count", "x")
    assert (text == source) == (not rules)
    if rules:
        ast.parse(text)
