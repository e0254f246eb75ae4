"""The cell in Monty: the contract as far as its language goes, and where it ends."""

import asyncio
import contextlib
import datetime as dt
import json
import resource
from dataclasses import replace
from typing import ClassVar

import psutil
import pytest

from bat_os.cells.call_protocol import answer_checks
from bat_os.cells.monty.monty_cell import MISSING, MontyCell
from bat_os.cells.monty.session import MARK, MontyTalk
from bat_os.core.values import Ref
from bat_os.errors import CellError
from bat_os.ports import Delta, NestedReply
from tests.cells.contract import BENIGN, LAMP, ROBOT, CellContract, fail, make_call, run

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]
# Forty lists that share their parts: nothing in Monty, terabytes where they are written out.
BOMB = "    x = [1]\n    for _ in range(40):\n        x = [x, x]\n"


@pytest.fixture
def cell_for(monty):
    return lambda source: monty


class TestContract(CellContract):
    lacking: ClassVar[dict[str, str]] = {
        "test_plain_data_goes_in_and_comes_back_exactly[UUID]": "Monty has no UUID",
        "test_a_slot_that_cannot_be_kept_is_refused_where_it_is_set": (
            "Monty runs nothing when an attribute is set: it is refused at the end"
        ),
        "test_an_answer_with_a_plain_form_takes_it[collections.OrderedDict(a=1)-plain2]": (
            "Monty has no OrderedDict"
        ),
        "test_an_answer_with_a_plain_form_takes_it[enum.Enum('C', 'RED').RED-1]": (
            "Monty has no enum"
        ),
        "test_an_answer_with_a_plain_form_takes_it[bytearray(b'x')-x]": "Monty has no bytearray",
        "test_an_answer_without_a_plain_form_is_refused[(i for i in [])]": (
            "a generator expression is a list in Monty"
        ),
        "test_an_answer_without_a_plain_form_is_refused[object()]": "Monty makes no bare objects",
    }


@pytest.mark.parametrize("value", ["lambda: 1", "print", "ValueError('x')", "1j", "[len]", "m"])
async def test_a_slot_that_cannot_be_kept_is_refused_at_the_end(monty, value):
    error = await fail(monty, f"def m(self):\n    self.x = {value}")

    assert error.details["kind"] == "refused"
    assert str(error).startswith("slot 'x' cannot be a ")


async def test_text_that_looks_like_a_function_is_text(monty):
    source = "def m(self):\n    self.x = \"<function '<lambda>' at 0xc>\"\n    return 'range(0, 3)'"

    result = await run(monty, source)

    assert result == replace(result, value="range(0, 3)")
    assert result.delta == Delta({"x": "<function '<lambda>' at 0xc>"})


async def test_its_own_exception_is_told_with_its_line(monty):
    error = await fail(monty, "def m(self):\n    x = 1\n    raise ValueError('no such bat')")

    assert str(error) == "ValueError on line 3: no such bat"
    details = {"kind": "raised", "type": "ValueError", "line": 3, "text": "no such bat"}
    assert error.details == details


async def test_the_line_is_the_one_of_the_source_after_rewriting(monty):
    source = "def m(self):\n    d = {1: 2}\n    del d[1]\n    self._slots['a'] = 1\n    return d[1]"

    assert (await fail(monty, source)).details["line"] == 5


async def test_what_is_refused_outside_of_a_long_source_has_the_line_that_asked_for_it(monty):
    source = "def m(self):\n" + "    x = 1\n" * 900 + "    return self.send(1, 'm')"

    assert (await fail(monty, source)).details["line"] == 902


async def test_source_that_does_not_compile_names_its_line(monty):
    error = await fail(monty, "def m(self):\n    return (1 +\n")

    assert error.details["type"] == "SyntaxError"
    assert error.details["line"] == 2


@pytest.mark.parametrize("kind", ["SystemExit", "KeyboardInterrupt", "BaseException"])
async def test_no_exception_slips_out_of_the_call(monty, kind):
    error = await fail(monty, f"def m(self):\n    raise {kind}('x')")

    assert error.details["type"] == kind


async def test_a_source_without_the_method_says_so(monty):
    assert "defines no function 'm'" in str(await fail(monty, "def n(self):\n    return 1"))


@pytest.mark.parametrize(
    ("body", "feature"),
    [
        ("yield 1", "yield"),
        ("import os\n    import textwrap", "import of textwrap"),
        ("return vars(self)", "the built-in vars"),
        ("return dir(self)", "the built-in dir"),
        ("from collections import OrderedDict", "collections.OrderedDict"),
        ("import collections as c\n    return c.OrderedDict()", "collections.OrderedDict"),
        ("import re\n    return re.template", "re.template"),
        ("x = 1\n    del x", "del of a variable or a slice"),
        ("return 'b'.translate({})", "str.translate"),
        ("return (5).bit_length()", "int.bit_length"),
        ("import statistics", "import of statistics"),
        ("import string", "import of string"),
        (
            "class A:\n        @property\n        def x(self): pass",
            "property, staticmethod and classmethod",
        ),
        ("class A:\n        def __len__(self): pass", "__len__ in a class"),
        ("class A(Exception): pass", "classes with inheritance"),
    ],
)
async def test_what_the_language_lacks_is_named(monty, body, feature):
    error = await fail(monty, f"def m(self):\n    {body}")

    assert error.details["kind"] == "unsupported"
    assert error.details["feature"] == feature
    assert error.details["line"] in (2, 3, 4)
    assert str(error).startswith(f"not possible here: {feature}")


async def test_some_of_what_it_lacks_is_written_otherwise(monty):
    source = (
        "import re\ndef m(self, row):\n    def twice(m):\n        return m.group() * 2\n"
        "    return [sorted(row, key=str.lower), list(map(str.upper, row)),\n"
        "            next(x for x in row if x > 'a'), next((x for x in row if x > 'z'), None),\n"
        "            re.sub('[ab]', twice, 'abc', count=1), re.sub('', lambda m: '-', 'ab'),\n"
        "            re.sub('A', lambda m: 'x', 'aba', flags=re.I)]"
    )

    result = await run(monty, source, ["b", "C", "a"])

    rows = [["a", "b", "C"], ["B", "C", "A"], "b", None]
    assert result.value == [*rows, "aabc", "-a-b-", "xbx"]


async def test_a_value_that_monty_cannot_hold_is_named(monty):
    late = dt.datetime(2026, 10, 25, 2, 30, fold=1)  # noqa: DTZ001 - what is lost is shown

    error = await fail(monty, "def m(self):\n    return self.x", slots={"x": late})

    assert error.details["feature"] == "a moment with fold=1"


async def test_slots_that_a_method_does_not_name_are_not_handed_over(monty):
    late = dt.datetime(2026, 10, 25, 2, 30, fold=1)  # noqa: DTZ001 - would be refused

    result = await run(monty, "def m(self):\n    return self.y", slots={"x": late, "y": 2})

    assert result.value == 2
    assert result.delta == Delta()


async def test_entries_and_slots_can_be_deleted(monty):
    source = (
        "def m(self):\n    del self.tree['a']['b'], \n    del self.row[0]\n    del self.old\n"
        "    self.new = 1\n    del self.new\n"
        "    return [hasattr(self, 'old'), getattr(self, 'old', 7), 'new' in self._slots]"
    )
    slots = {"tree": {"a": {"b": 1, "c": 2}}, "row": [1, 2], "old": 1}

    result = await run(monty, source, slots=slots)

    assert result.value == [False, 7, False]
    assert result.delta == Delta({"tree": {"a": {"c": 2}}, "row": [2]}, ("old",))


async def test_slots_are_reached_by_computed_names(monty):
    source = (
        "def m(self, n):\n    setattr(self, n, getattr(self, 'a') + 1)\n"
        "    self._slots[n + 'x'] = 5\n    return sorted(self._slots)"
    )

    result = await run(monty, source, "b", slots={"a": 1})

    assert result.value == ["a", "b", "bx"]
    assert result.delta == Delta({"b": 2, "bx": 5})


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        ([1], "self.x = [True]", [True]),
        ([1], "self.x = [1.0]", [1.0]),
        ({"a": 1, "b": 2}, "self.x = {'b': 2, 'a': 1}", {"b": 2, "a": 1}),
        ("a", "self.x = 'b'; self.x = 'a'", None),
        ("<lamp>", "self.x = self.lamp", LAMP),
        ((1, 2), "from collections import deque; self.x = list(deque(self.x))", [1, 2]),
        ([0.0], "self.x[0] = -0.0", [-0.0]),
        (dt.timedelta(1), "self.x += self.x", dt.timedelta(2)),
    ],
    ids=str,
)
async def test_a_change_counts_by_value_and_type(monty, before, change, after):
    slots = {"x": before, "lamp": LAMP}

    result = await run(monty, f"def m(self):\n    {change}", slots=slots)

    assert repr(result.delta.changed.get("x")) == repr(after)
    assert result.delta.changed.keys() <= {"x"}


async def test_references_that_come_with_an_answer_understand_messages(monty):
    source = (
        "def m(self):\n    found = self.send('catalog', 'find')\n    self.kept = found\n"
        "    return [found[0].shine(), found[0].get('x'), found[0] == self.lamp, found[1] == self]"
    )
    seen, deltas = [], []

    async def send(nested):
        seen.append((nested.target, nested.selector))
        deltas.append(nested.delta)
        return NestedReply([Ref(LAMP.oid, "other"), ROBOT] if not seen[1:] else 1)

    result = await monty.run(make_call(source, slots={"lamp": LAMP}), send)

    assert result.value == [1, 1, True, True]
    assert seen == [("catalog", "find"), (LAMP, "shine"), (LAMP, "get")]
    assert deltas == [Delta(), Delta({"kept": [LAMP, ROBOT]}), Delta()]
    assert result.delta == Delta()


async def test_an_endless_loop_ends_at_the_deadline_with_its_process(monty):
    error = await fail(monty, "def m(self):\n    while True:\n        pass", deadline=0.2)

    assert error.details["kind"] == "deadline"
    assert str(error) == "took longer than 0.2 s"


async def test_sleeping_counts_as_time(monty):
    error = await fail(monty, "import time\ndef m(self):\n    time.sleep(9)", deadline=0.2)

    assert error.details["kind"] == "deadline"


@pytest.mark.parametrize("value", ["'x' * (300 << 20)", "[0] * 10 ** 9", "list(range(10 ** 9))"])
async def test_memory_is_limited(monty, value):
    assert (await fail(monty, f"def m(self):\n    return {value}")).details["kind"] == "limit"


async def test_methods_may_sleep(monty):
    source = (
        "import asyncio, time\ndef m(self):\n    time.sleep(0.01)\n    async def one(n):\n"
        "        await asyncio.sleep(0.01)\n        return n\n    async def both():\n"
        "        return await asyncio.gather(one(1), one(2))\n    return asyncio.run(both())"
    )

    assert (await run(monty, source)).value == [1, 2]


async def test_endless_recursion_is_an_error_of_the_method(monty):
    error = await fail(monty, "def m(self):\n    return m(self)")

    assert error.details["type"] == "RecursionError"


async def test_printing_is_kept_up_to_the_limit(monty):
    source = "import sys\ndef m(self):\n    print('a', 1)\n    print('b', file=sys.stderr)"

    assert sorted((await run(monty, source)).printed.splitlines()) == ["a 1", "b"]

    error = await fail(monty, "def m(self):\n    print('x' * 70_000)")
    assert error.details["kind"] == "limit"


@pytest.mark.slow
@pytest.mark.parametrize(
    "source",
    [
        "    return x",
        "    self.x = x",
        "    self.send('a', 'b', x)",
        "    nowhere(x)",
        "    _bat_ask(x)",
        "    x[0].foo",
        "    _bat_refs[0] = x",
        "    print(x)",
        "    raise ValueError(str(x))",
        "    import os\n    os.getenv('a', x)",
        "    import json\n    return json.dumps(x)",
        "    global _bat_encode\n    _bat_encode = lambda *a: x\n    return 1",
        "    global _bat_json\n    _bat_json = 1\n    return x",
        "    global _bat_report\n    _bat_report = lambda p: x\n    return 1",
    ],
)
async def test_a_value_that_unfolds_without_end_never_reaches_the_kernel(monty, source):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    async def send(nested):
        return NestedReply(None)

    with contextlib.suppress(CellError):
        result = await monty.run(make_call(f"def m(self):\n{BOMB}{source}", deadline=1), send)
        assert result.value is None

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10
    assert (await run(monty, BENIGN)).value == 42


FORGED = {
    "nothing": "",
    "no JSON": "\\x1e{",
    "no list": "\\x1e{}",
    "an unknown end": '\\x1e["gone", 1, {}, []]',
    "an unknown tag": '\\x1e["done", {"q": 1}, {}, []]',
    "a reference it was not given": '\\x1e["done", {"r": 1}, {}, []]',
    "a date that is none": '\\x1e["done", {"da": [1, 13, 1]}, {}, []]',
    "a set of lists": '\\x1e["done", {"s": [[]]}, {}, []]',
    "a slot of persistence": '\\x1e["done", 1, {"_p_oid": 1}, []]',
    "a slot of the class": '\\x1e["done", 1, {"__class__": 1}, []]',
    "a slot that is no name": '\\x1e["done", 1, {"a b": 1}, []]',
    "a removed slot that was not there": '\\x1e["done", 1, {}, ["nope"]]',
    "a list without end": "\\x1e" + "[" * 100_000,
    "very many parts": '\\x1e["done", [' + "[]," * 600_000 + "[]], {}, []]",
    "a number without end": '\\x1e["done", ' + "1" * 5_000 + ", {}, []]",
}


@pytest.mark.parametrize("name", FORGED)
async def test_a_forged_end_is_malformed(monty, name):
    source = (
        "import sys\ndef m(self, text):\n    global _bat_report\n"
        "    def _bat_report(parts):\n        print(text, file=sys.stderr)\n    return 1"
    )

    with pytest.raises(CellError) as caught:
        await run(monty, source, FORGED[name].replace("\\x1e", "\x1e"), deadline=20)

    assert caught.value.details["kind"] == "malformed"


async def test_a_message_that_was_not_told_is_malformed(monty):
    assert (await fail(monty, "def m(self):\n    _bat_ask()")).details["kind"] == "malformed"


async def test_the_same_seed_draws_the_same_numbers(monty):
    source = "import random\ndef m(self):\n    return [random.random() for _ in range(3)]"

    drawn = [(await run(monty, source, seed=seed)).value for seed in (5, 5, 6, None, None)]

    assert drawn[0] == drawn[1]
    assert len({tuple(row) for row in drawn}) == 4


async def test_the_clock_stands_where_the_caller_says(monty):
    source = (
        "import datetime, time\ndef m(self):\n"
        "    return [time.time(), datetime.datetime.now(datetime.timezone.utc)]"
    )
    now = dt.datetime(2001, 9, 9, 1, 46, 40, tzinfo=dt.UTC)

    assert (await run(monty, source, now=now.timestamp())).value == [now.timestamp(), now]


async def test_a_time_zone_can_be_given():
    cell = MontyCell(spares=0, zone="Asia/Tokyo")
    source = (
        "from datetime import datetime\ndef m(self):\n"
        "    return datetime(2026, 1, 1).astimezone().utcoffset().total_seconds()"
    )

    assert (await run(cell, source)).value == 9 * 3600
    await cell.close()


async def test_one_call_leaves_nothing_for_the_next(monty):
    await run(monty, "import math\ndef m(self):\n    global left, sorted\n    left = sorted = 3")

    source = (
        "def m(self):\n    try:\n        return left\n"
        "    except NameError:\n        print(sorted([2, 1]))"
    )
    assert (await run(monty, source)).printed == "[1, 2]\n"


async def test_a_cancelled_call_ends_its_process(monty):
    entered = asyncio.Event()

    async def wait(nested):
        entered.set()
        await asyncio.Event().wait()

    call = make_call("def m(self):\n    self.send('x', 'y')", deadline=60)
    task = asyncio.create_task(monty.run(call, wait))
    await entered.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await run(monty, BENIGN)).value == 42


async def test_the_attacks_of_the_self_test_all_fail(monty):
    report = await monty.self_test()

    assert report["through"] == []
    assert report["ok"] is True
    assert len(report["held"]) >= 10


def new_processes(before):
    return set(psutil.Process().children()) - before


async def test_a_session_that_was_killed_is_told():
    before = set(psutil.Process().children())
    cell = MontyCell(spares=0)

    async def kill(nested):
        for process in new_processes(before):
            process.kill()
        return NestedReply(None)

    with pytest.raises(CellError) as caught:
        await cell.run(make_call("def m(self):\n    self.send('x', 'y')"), kill)

    assert caught.value.details["kind"] == "died"
    assert (await run(cell, BENIGN)).value == 42
    await cell.close()


async def test_a_spare_that_was_killed_is_replaced():
    before = set(psutil.Process().children())
    cell = MontyCell(spares=1)
    await cell.start()
    for process in new_processes(before):
        process.kill()

    assert (await run(cell, BENIGN)).value == 42
    await cell.close()


async def test_closing_ends_a_call_that_never_ends():
    cell = MontyCell(spares=1)
    await cell.start()
    loop = "import sys\ndef m(self):\n    self.send('x', 'y')\n    while True:\n        pass"
    entered = asyncio.Event()

    async def answer(nested):
        entered.set()
        return NestedReply(None)

    task = asyncio.create_task(cell.run(make_call(loop, deadline=60), answer))
    await entered.wait()
    await cell.close()

    with pytest.raises(CellError) as caught:
        await task
    assert caught.value.details["kind"] == "died"


async def test_what_is_missing_is_told_in_sentences():
    assert all(len(text) > 5 for text in MISSING)
    assert any("inheritance" in text for text in MISSING)


# Everything that a line of a session holds, and what a tampered prelude may put in its place.
SEND = ["send", {"r": 0}, "x", [1], {"a": {"t": [1]}}, {"s": {"d": {"k": 1}}}, []]
DONE = [
    "done",
    {"m": [{"t": [1]}, {"i": "0x1"}]},
    {"s": {"dt": [2026, 1, 2, 3, 4, 5, 0, 0, None]}},
    [],
]
LINES = {"send": SEND, "done": DONE, "refused": ["refused", "why"]}
TAGS = ("d", "m", "t", "s", "z", "dt", "da", "ti", "td", "n", "i", "f", "b", "r", "q")
CONTENTS = (
    "\ud800",
    None,
    True,
    -1,
    5,
    1e300,
    "",
    "x" * 200,
    [],
    [1],
    [[]],
    [None] * 9,
    {},
    {"d": 1},
    {"a": []},
)
ODD_VALUES = (*CONTENTS, *({tag: content} for tag in TAGS for content in CONTENTS),
              {"d": {}, "t": []}, {"s": [[1]]}, {"m": [1]}, {"m": [[], 1]})  # fmt: skip


def places(value, path=()):
    yield path
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(part, (*path, key))


def change(value, path, odd):
    if not path:
        return odd
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = change(value[path[0]], path[1:], odd)
    return copy


@pytest.mark.parametrize("name", LINES)
async def test_a_line_with_any_part_forged_is_read_or_malformed_and_nothing_else(name, monkeypatch):
    call = make_call("def m(self):\n    return 1\n")
    lines = [change(LINES[name], path, odd) for path in list(places(LINES[name]))[1:]
             for odd in ODD_VALUES]  # fmt: skip
    lines += [LINES[name][:end] for end in range(len(LINES[name]))] + [[*LINES[name], 1]]
    for line in lines:
        talk = MontyTalk(None, None, call)
        talk._heard = [f"{MARK}{json.dumps(line)}"]
        try:
            with answer_checks():
                (talk._read_send if line[:1] == ["send"] else talk._end)()
        except CellError as error:
            str(error).encode()  # a client can be told


@pytest.mark.parametrize(
    "body",
    [
        '    _bat_report(["send", {"d": [1]}, "x", [], {}, {}, []])\n    return _bat_ask()',
        '    _bat_report(["send", {"r": 0}, "x", [], [], {}, []])\n    return _bat_ask()',
        '    _bat_report(["send", {"r": 0}, "x", [], None, {}, []])\n    return _bat_ask()',
        '    _bat_report(["send", {"r": 0}, "x" * 1000000, [], {}, {}, []])\n    return _bat_ask()',
        '    _bat_report(["send", "x" * 101, "x", [], {}, {}, []])\n    return _bat_ask()',
        '    _bat_report(["send", {"r": 0}, "x", [], {"y" * 101: 1}, {}, []])\n    _bat_ask()',
        '    _BAT_WRITERS[int] = lambda value: {"d": 5}\n    return 1',
        '    _bat_report(["done", 1, {}, []])\n    return _bat_ask()',
    ],
)
async def test_a_forged_line_ends_its_call_and_no_other(monty, body):
    error = await fail(monty, f"def m(self):\n{body}")

    assert error.details["kind"] == "malformed"
    assert (await run(monty, BENIGN)).value == 42
