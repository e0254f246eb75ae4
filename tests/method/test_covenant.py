import ast

import pytest

from bat_os.method.covenant import SIGNAL, close_gaps, find_gaps
from bat_os.method.text import find_method


def gaps_in(source):
    return find_gaps(find_method(ast.parse(source), "m"), source)


def method(body):
    return "def m(self, x=None):\n" + "".join(f"    {line}\n" for line in body.split("\n"))


CHANGES = """
self.count = 1
self.count += 1
self.count: int = 1
del self.count
self.a, self.b = 1, 2
self["k"] = 1
self.notes.append(x)
self.stats["k"]["n"] += 1
del self.stats["k"]
self._slots["k"] = x
self._slots.update(k=x)
setattr(self, "k", x)
delattr(self, x)
heapq.heappush(self.queue, x)
random.shuffle(self.cards)
self.cart.items.append(x)
[self.notes.append(y) for y in x]
add = lambda y: self.notes.append(y)
y = self.notes.pop()
notes = self.notes; notes.append(x)
data = self._slots["x"]; data[x] = 1
row = self.rows.get(x); row["n"] = 1
notes = self.notes or []; notes += [x]
one = self.a; two = one.b; two.append(x)
getattr(self, "notes").append(x)
for self.i in x: pass
""".strip().splitlines()


@pytest.mark.parametrize("statement", CHANGES)
def test_a_change_of_self_without_the_signal_is_a_gap(statement):
    assert len(gaps_in(method(statement))) == 1


@pytest.mark.parametrize("statement", CHANGES)
def test_the_signal_keeps_the_covenant_before_or_after_the_change(statement):
    assert not gaps_in(method(f"{statement}\n{SIGNAL}"))
    assert not gaps_in(method(f"{SIGNAL}\n{statement}"))


@pytest.mark.parametrize(
    "statement",
    [
        "return self.count + 1",
        "notes = list(self.notes); notes.append(x)",
        "notes = self.notes[:]; notes.append(x)",
        "total = self.count; total += 1",
        "x.append(self.count)",
        "self.remove(x)",
        "self.send('log', 'append', x)",
        "self._p_changed = True",
        "setattr(self, '_p_changed', True)",
        "class P:\n        def __init__(self): self.x = 1",
        "self.notes.append(x); raise ValueError(x)",
    ],
)
def test_what_does_not_change_self_needs_no_signal(statement):
    assert not gaps_in(method(statement))


PATHS = {
    "a return after the change": ("self.a = 1\nreturn 1", 1),
    "a return before the change": ("if x:\n    return 0\nself.a = 1", 1),
    "a return that changes": ("return self.a.pop()", 1),
    "both branches": ("if x:\n    self.a = 1\n    return 1\nelse:\n    self.b = 1", 2),
    "a signal in one branch only": (f"self.a = 1\nif x:\n    {SIGNAL}\nreturn 1", 1),
    "a signal in both branches": (f"self.a = 1\nif x:\n    {SIGNAL}\nelse:\n    {SIGNAL}", 0),
    "a loop that may not run": ("for y in x:\n    self.a = y\n    self._p_changed = True", 0),
    "a change in a loop": ("for y in x:\n    self.a = y\nreturn 1", 1),
    "a signal in a loop that may not run": (f"self.a = 1\nfor y in x:\n    {SIGNAL}", 1),
    "a break": (f"while True:\n    self.a = 1\n    if x:\n        break\n    {SIGNAL}", 1),
    "a continue": (f"for y in x:\n    self.a = 1\n    if y: continue\n    {SIGNAL}", 1),
    "a return in an endless loop": ("while True:\n    self.a = 1\n    if x: return 1", 1),
    "a change in the second round": (
        "done = False\nwhile x:\n    if done:\n        return 1\n    self.a = 1\n    done = True",
        2,
    ),
    "a handler": ("try:\n    self.a = 1\n    f(x)\nexcept ValueError:\n    return 1\nreturn 2", 2),
    "a change in finally": ("try:\n    return 1\nfinally:\n    self.a.append(1)", 1),
    "a signal in finally": (f"try:\n    return self.a.pop()\nfinally:\n    {SIGNAL}", 0),
    "an else": ("try:\n    f(x)\nexcept E:\n    return 0\nelse:\n    self.a = 1", 1),
    "a with": ("with f(x):\n    self.a = 1\n    return 1", 1),
    "a with that swallows": (
        f"with suppress(E):\n    self.a = 1\n    f(x)\n    {SIGNAL}\nreturn 1",
        1,
    ),
    "a match": ("match x:\n    case 1: self.a = 1\n    case _: return 0", 1),
    "what no path reaches": ("return 1\nself.a = 1", 0),
}


@pytest.mark.parametrize(("body", "count"), PATHS.values(), ids=PATHS.keys())
def test_each_way_out_after_a_change_needs_the_signal(body, count):
    source = method(body)
    gaps = gaps_in(source)
    assert len(gaps) == count
    assert not gaps_in(close_gaps(source, gaps))


@pytest.mark.parametrize(
    ("source", "closed"),
    [
        ("def m(self): self.a = 1", f"def m(self): self.a = 1; {SIGNAL}"),
        ("def m(self): return self.a.pop()\n", f"def m(self): {SIGNAL}; return self.a.pop()\n"),
        ("def m(self):\n  self.a = 1", f"def m(self):\n  self.a = 1\n  {SIGNAL}"),
        ("def m(self):\r\n\tself.a = 1\r\n", f"def m(self):\r\n\tself.a = 1\r\n\t{SIGNAL}\r\n"),
        (
            "def m(self):\n    self.é = 'ü'; return 'ß'  # why\n",
            f"def m(self):\n    self.é = 'ü'; {SIGNAL}; return 'ß'  # why\n",
        ),
        (
            "def m(self):\n    self.a = '''\n  two\n'''\n    # end\n\n\nB = 1\n",
            f"def m(self):\n    self.a = '''\n  two\n'''\n    {SIGNAL}\n    # end\n\n\nB = 1\n",
        ),
        (
            "def m(self):\n    for x in y: self.a.append(x)\n",
            f"def m(self):\n    for x in y: self.a.append(x)\n    {SIGNAL}\n",
        ),
    ],
)
def test_a_gap_is_closed_without_any_other_change_of_the_text(source, closed):
    assert close_gaps(source, gaps_in(source)) == closed
    ast.parse(closed)
