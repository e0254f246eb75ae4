import importlib
import re
import types
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bat_os.method.allowed import SAFE_MODULES, is_public
from bat_os.method.guardian import PersistenceGuardian

CASES = Path(__file__).parents[1] / "cases"
METHODS = sorted((CASES / "methods").glob("*.py"))
ESCAPES = sorted((CASES / "escapes").glob("*.py"))
LEFT_TO_THE_CELL = {
    "e49_list_growth",
    "e51_sum_range",
    "e53_native_stack",
    "e61_send_to_vault",
    "e65_print_flood",
    "e67_message_storm",
    "e71_self_ref_value",
    "e87_float_nan_bigdec",
    "f05_huge_int",
    "f07_regex_bomb",
    "f17_endless_iterable",
    "f34_surrogates",
    "f43_half_a_million_parts",
    "f47_slots_that_grow",
    "f48_removed_twice",
    "f50_numbers_that_signal",
    "f52_tuples_of_one_hash",
    "f53_many_sets_of_one_hash",
}
GUARDIAN = PersistenceGuardian()


def audit(source, selector="m"):
    return GUARDIAN.audit(source, selector)


def rules(source):
    return {finding.rule for finding in audit(source).findings}


def method(*lines):
    return "".join(f"{line}\n" for line in ("def m(self, x=None):", *(f"    {s}" for s in lines)))


def read(path):
    source = path.read_text()
    return source, re.search(r"^def (\w+)\(self", source, re.MULTILINE)[1]


def test_the_cases_are_there():
    assert len(METHODS) == 47
    assert len(ESCAPES) == 113


@pytest.mark.parametrize("path", METHODS, ids=lambda path: path.stem)
def test_an_ordinary_method_is_accepted_once_it_keeps_the_covenant(path):
    source, selector = read(path)
    assert audit(GUARDIAN.repair(source, selector), selector).lines() == ()


@pytest.mark.parametrize("path", METHODS, ids=lambda path: path.stem)
def test_the_covenant_is_the_only_complaint_about_an_ordinary_method(path):
    source, selector = read(path)
    assert {finding.rule for finding in audit(source, selector).findings} <= {"covenant"}


@pytest.mark.parametrize("path", METHODS, ids=lambda path: path.stem)
def test_repairing_twice_is_repairing_once(path):
    source, selector = read(path)
    once = GUARDIAN.repair(source, selector)
    assert GUARDIAN.repair(once, selector) == once


@pytest.mark.parametrize("path", ESCAPES, ids=lambda path: path.stem)
def test_an_escape_is_refused_unless_only_the_cell_can_see_it(path):
    source = path.read_text().replace("@PORT@", "1")
    repaired = GUARDIAN.repair(source, "m")
    assert audit(repaired).accepted == (path.stem in LEFT_TO_THE_CELL)


@pytest.mark.parametrize(
    ("rule", "lines"),
    [
        ("import", ["import os"]),
        ("import", ["from . import x"]),
        ("import", ["from math import *"]),
        ("import", ["from io import open"]),
        ("import", ["import urllib.request"]),
        ("module", ["import json", "return json.codecs.open('x')"]),
        ("module", ["import json as j", "return j.decoder"]),
        ("module", ["import io", "return io.open('x')"]),
        ("module", ["import asyncio", "return asyncio.create_subprocess_shell('ls')"]),
        ("module", ["import urllib.parse", "return urllib.request"]),
        ("module", ["import time", "return time()"]),
        ("module", ["import enum", "return enum.bltns"]),
        ("name", ["return eval(x)"]),
        ("name", ["return open(x).read()"]),
        ("name", ["return input('name? ')"]),
        ("name", ["return __builtins__"]),
        ("name", ["return map(getattr, x, x)"]),
        ("attribute", ["return x.__class__.__mro__"]),
        ("attribute", ["return self._p_jar"]),
        ("attribute", ["return x._secret"]),
        ("attribute", ["return getattr(self, '__dict__')"]),
        ("attribute", ["return getattr(x, 'a' + 'b')"]),
        ("string", ["return '__globals__'"]),
        ("string", ["return getattr(self, '__cl' + 'ass__')"]),
        ("format", ["return x.format(self)"]),
        ("format", ["return '{0.name}'.format(self)"]),
        ("format", ["return '{'.format(self)"]),
        ("class", ["return type('T', (), {})"]),
        ("class", ["class T(metaclass=M): pass"]),
        ("class", ["class T:", "    def __reduce__(self): return 1"]),
        ("class", ["@exec", "def f(): pass"]),
        ("store", ["import math", "math.pi = 3"]),
        ("store", ["self.__class__ = x"]),
        ("store", ["setattr(x, 'a', 1)"]),
        ("store", ["f(x).y = 1"]),
        ("value", ["self.f = lambda: 1"]),
        ("loop", ["while True:", "    x = 1"]),
        ("loop", ["while 1:", "    for y in x: break"]),
        ("shape", ["try: pass", "except* ValueError: pass"]),
        ("covenant", ["self.notes.append(x)"]),
    ],
)
def test_each_rule_finds_what_it_is_for(rule, lines):
    assert rule in rules(method(*lines))


@pytest.mark.parametrize(
    "lines",
    [
        ["return [getattr(self, name, 0) for name in ('a', 'b')]"],
        ["self.count = getattr(self, 'count', 0) + 1", "self._p_changed = True"],
        ["import datetime as dt", "return dt.datetime.now(dt.timezone.utc).isoformat()"],
        ["from datetime import datetime", "return datetime.now().strftime('%H:%M')"],
        ["import collections.abc", "return isinstance(x, collections.abc.Mapping)"],
        ["from collections import abc", "return isinstance(x, abc.Mapping)"],
        ["import urllib.parse", "return urllib.parse.quote(x)"],
        ["import random", "random.seed(1)", "return random.random()"],
        ["import asyncio", "async def f(): return 1", "return asyncio.run(f())"],
        ["from decimal import getcontext", "getcontext().prec = 50"],
        [
            "from collections import namedtuple",
            "P = namedtuple('P', 'a b')",
            "return P(1, 2)._asdict()",
        ],
        ["return type(x).__name__"],
        ["return self.send('calculator', 'add', 1, 2)"],
        ["while True:", "    x -= 1", "    if x < 0: break", "return x"],
        ["return '{:>8.2f}|{name}'.format(x, name=1)"],
        [
            "class P:",
            "    def __init__(self, a): self._a = a",
            "    @property",
            "    def a(self): return self._a",
        ],
        ["del self.x", "self._p_changed = True"],
        ["return r'\\d', '\\d'"],
    ],
)
def test_an_everyday_idiom_is_accepted(lines):
    assert audit(method(*lines)).lines() == ()


def test_constants_and_helpers_may_stand_beside_the_method():
    top = (
        "import re\nWORD = re.compile('a+')\nLIMITS = {'a': [1, 2]}\ndef helper(x):\n    return x\n"
    )
    assert audit(top + method("return helper(WORD.findall(x))")).lines() == ()


def test_a_parameter_may_be_named_input():
    assert audit("def m(self, input):\n    return input * 2\n").accepted


@pytest.mark.parametrize(
    "source",
    [
        "",
        "x = 1",
        "def other(self): pass",
        "def m(): pass",
        "def m(this): pass",
        "async def m(self): pass",
        "class m: pass",
        method("pass") + method("pass"),
        method("pass") + "print(1)\n",
        method("pass") + "if True:\n    pass\n",
    ],
)
def test_another_shape_than_one_method_is_refused(source):
    assert "shape" in rules(source)


def test_a_line_of_the_report_says_where_what_and_what_instead():
    report = audit("import os\n" + method("return os.getcwd()"))
    assert not report.accepted
    assert report.lines()[0] == (
        "line 1: import of os. Use only the arguments, self, and safe modules such as math, "
        "datetime, random, re."
    )


def test_repair_adds_the_signal_and_nothing_else():
    source = "# mine\ndef m(self, x):\n    self.notes.append( x )   # keep\n    return  x\n"
    assert GUARDIAN.repair(source, "m") == source.replace(
        "    return", "    self._p_changed = True\n    return"
    )


@pytest.mark.parametrize("source", ["", "def m(self:", "\0", "def other(self): self.a = 1"])
def test_what_repair_cannot_read_comes_back_as_it_was(source):
    assert GUARDIAN.repair(source, "m") == source


@pytest.mark.parametrize("module", sorted(SAFE_MODULES))
def test_no_safe_module_hands_out_another_module(module):
    loaded = importlib.import_module(module)
    leaks = [
        name
        for name, value in vars(loaded).items()
        if is_public(module, name)
        and isinstance(value, types.ModuleType)
        and f"{module}.{name}" not in SAFE_MODULES
    ]
    assert leaks == []


HOSTILE = {
    "long": "x" * 20_001,
    "brackets": "(" * 10_000,
    "calls": "f(" * 29 + "x for x in",
    "attributes": "a" + ".b" * 9_000,
    "import": "import " + "a." * 9_000 + "b",
    "sum": "x = " + "1+" * 9_000 + "1",
    "power": "x = " + "2**" * 6_000 + "2",
    "not": "x = " + "not " * 4_900 + "1",
    "minus": "x = " + "- " * 9_900 + "1",
    "lambda": "x = " + "lambda:" * 2_800 + "1",
    "choice": "x = " + "a if b else " * 1_600 + "c",
    "statements": "a=1;" * 5_000,
    "f-string": "x = f'" + "{a}" * 6_000 + "'",
    "elif": "if a: pass\n" + "elif a: pass\n" * 1_500,
    "digits": "x = " + "9" * 19_000,
    "nul": "\0" * 100,
    "surrogate": "x = '\ud800'",
    "blocks": "".join(" " * i + "if a:\n" for i in range(120)),
    "finally": method(
        "try:", *["    return self.a.pop()"] * 900, "finally:", "    self.b.append(1)"
    ),
}  # fmt: skip


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_text_is_refused_and_comes_back_unrepaired_or_sound(source):
    assert not audit(source).accepted
    repaired = GUARDIAN.repair(source, "m")
    assert repaired == source or "covenant" not in rules(repaired)


PIECES = st.sampled_from(
    [
        "def m(self):\n",
        "    ",
        "        ",
        "self",
        ".a",
        "[x]",
        " = ",
        "return ",
        "try:\n",
        "finally:\n",
        "except E:\n",
        "if x:\n",
        "else:\n",
        "while True:\n",
        "for x in self.a:\n",
        "break\n",
        "continue\n",
        "x",
        ".append(1)",
        "\n",
        "pass\n",
        "import ",
        "os",
        "lambda: ",
        "'__a__'",
        ".format()",
        "'{'",
        "with x:\n",
        "match x:\n",
        "case _:\n",
        "\0",
        "\ud800",
        "; ",
    ]
)


@given(st.text(max_size=80) | st.lists(PIECES, max_size=30).map("".join))
@example("def m(self):\n    self.a = 1\x0c\n")
@example("def m(self):\n    self.a = 1 \\\n\n")
def test_any_text_gets_a_report_and_repair_keeps_the_covenant(source):
    report = audit(source)
    assert report.accepted == (not report.lines())
    repaired = GUARDIAN.repair(source, "m")
    assert "covenant" not in rules(repaired)
    assert rules(repaired) <= rules(source)


STATEMENTS = st.recursive(
    st.sampled_from(
        [
            "self.a = x",
            "self.n.append(x)",
            "return x",
            "return self.n.pop()",
            "pass",
            "raise E",
            "break",
            "continue",
            "self._p_changed = True",
            "y = self.n",
            "y.append(1)",
        ]
    ).map(lambda s: [s]),
    lambda inner: st.tuples(
        st.sampled_from(
            [
                "if x:",
                "for y in x:",
                "while x:",
                "while True:",
                "with x:",
                "try:|finally:",
                "try:|except E:",
                "if x:|else:",
            ]
        ),
        st.lists(inner, min_size=1, max_size=3),
        st.lists(inner, min_size=1, max_size=2),
    ).map(
        lambda t: [
            line
            for head, blocks in zip(t[0].split("|"), t[1:], strict=False)
            for line in [head, *("    " + s for block in blocks for s in block)]
        ]
    ),
    max_leaves=12,
)


@pytest.mark.slow
@given(
    st.lists(STATEMENTS, min_size=1, max_size=3).map(
        lambda blocks: method(*chain.from_iterable(blocks))
    )
)
def test_repair_keeps_the_covenant_whatever_the_flow(source):
    repaired = GUARDIAN.repair(source, "m")
    assert "covenant" not in rules(repaired)
    assert [line for line in repaired.splitlines() if "_p_changed" not in line] == [
        line for line in source.splitlines() if "_p_changed" not in line
    ]


@pytest.mark.parametrize(
    "body",
    [
        "return _bat_ask()", "_BAT_WRITERS[int] = 1", "self._bat_index = 1",
        "def _bat_report(): return 1", "import math as _bat_math", "return dict(_bat_x=1)",
        "return [1 for _bat_x in (1, 2)]", "global _bat_refs", "class _Bat_Ref: pass",
        "try:\n        return 1\n    except ValueError as _bat_e:\n        return 2",
        "match 1:\n        case _bat_x:\n            return 1", "return (lambda _bat_x: 1)(2)",
    ],
)  # fmt: skip
def test_the_names_of_a_cells_own_code_are_refused_wherever_a_name_may_be(body):
    report = PersistenceGuardian().audit(f"def m(self):\n    {body}\n", "m")
    assert any("_bat" in finding.message.casefold() for finding in report.findings), report
    plain = PersistenceGuardian().audit("def m(self):\n    return '_bat_ is a text'\n", "m")
    assert not plain.findings
