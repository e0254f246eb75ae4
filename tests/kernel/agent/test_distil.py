"""Traces become methods; what follows from nothing becomes none."""

import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.kernel.agent.distil import Taken, distil
from bat_os.kernel.agent.parts import vary

FILES = {
    "a.txt": "hello 1", "index.txt": "b.txt\n", "b.txt": "bee 2", "n.txt": "41\n",
    "card.txt": "name: Ann\nphone: 555 0199\n", "todo.md": "buy milk\ncall Ann\nwater plants\n",
}  # fmt: skip
SIZES = {"a.txt": 7, "b.txt": 5, "card.txt": 27}
FOLDER = ["a.txt", "b.txt", "card.txt"]


def read(path):
    return Taken("notes", "read", (path,), FILES[path])


def facts(path, prefix=""):
    value = {"kind": "file", "bytes": SIZES[path], "changed": f"2026-11-0{len(path)}T10:00:00"}
    return Taken("notes", "facts", (prefix + path,), value)


NAMES = Taken("notes", "names", ("/n",), FOLDER)
# request, parameters, steps, answer
TRACES = {
    "a value": ("what does a.txt say", [("path", "a.txt")], [read("a.txt")], "hello 1"),
    "a sentence": ("what does a.txt say", [("path", "a.txt")], [read("a.txt")],
                   "a.txt says hello 1."),
    "a file that a file names": ("read the file that index.txt names", [("path", "index.txt")],
                                 [read("index.txt"), read("b.txt")], "bee 2"),
    "a field": ("what is the phone in card.txt", [("path", "card.txt")], [read("card.txt")],
                "555 0199"),
    "how many files": ("how many files are in /n", [("path", "/n")], [NAMES], 3),
    "how many lines": ("how many lines does todo.md have", [("path", "todo.md")],
                       [read("todo.md")], 3),
    "how many words": ("how many words are in todo.md", [("path", "todo.md")], [read("todo.md")],
                       6),
    "the first line": ("what is the first line of todo.md", [("path", "todo.md")],
                       [read("todo.md")], "buy milk"),
    "the last line": ("what is the last line of todo.md", [("path", "todo.md")], [read("todo.md")],
                      "water plants"),
    "the first file": ("which is the first file in /n", [("path", "/n")], [NAMES], "a.txt"),
    "all names": ("list /n", [("path", "/n")], [NAMES], "a.txt, b.txt, card.txt"),
    "all files": ("show all files in /n", [("path", "/n")], [NAMES, *map(read, FOLDER)],
                  [FILES[name] for name in FOLDER]),
    "all files as one": ("show all files in /n", [("path", "/n")], [NAMES, *map(read, FOLDER)],
                         "\n".join(FILES[name] for name in FOLDER)),
    "a size": ("how large is b.txt", [("path", "b.txt")], [facts("b.txt")], 5),
    "a day": ("when was b.txt changed", [("path", "b.txt")], [facts("b.txt")], "2026-11-05"),
    "the largest": ("which is the largest file in /n", [("path", "/n")],
                    [NAMES, *(facts(name, "/n/") for name in FOLDER)], "card.txt"),
    "the smallest": ("which is the smallest file in /n", [("path", "/n")],
                     [NAMES, *(facts(name, "/n/") for name in FOLDER)], "b.txt"),
    "the newest": ("which file in /n is the newest", [("path", "/n")],
                   [NAMES, *(facts(name, "/n/") for name in FOLDER)], "card.txt"),
    "a total": ("how large are the files in /n together", [("path", "/n")],
                [NAMES, *(facts(name, "/n/") for name in FOLDER)], 39),
    "words of all": ("how many words are in all files of /n together", [("path", "/n")],
                     [NAMES, *map(read, FOLDER)], 9),
    "the longest": ("which is the longest text of /n", [("path", "/n")],
                    [NAMES, *map(read, FOLDER)], "card.txt"),
    "those that say": ("which files in /n say bee", [("path", "/n"), ("word", "bee")],
                       [NAMES, *map(read, FOLDER)], ["b.txt"]),
    "how many say": ("how many files in /n say bee", [("path", "/n"), ("word", "bee")],
                     [NAMES, *map(read, FOLDER)], 1),
    "a number": ("what number is in n.txt", [("path", "n.txt")], [read("n.txt")], 41),
    "a time": ("what time is it in Tokyo", [("place", "Tokyo")],
               [Taken("time", "now", ("Tokyo",), {"datetime": "2026-11-23T11:47:25+09:00"})],
               "11:47"),
    "a time in a sentence": ("what time is it in Tokyo", [("place", "Tokyo")],
               [Taken("time", "now", ("Tokyo",), {"datetime": "2026-11-23T11:47:25+09:00"})],
               "In Tokyo it is 11:47."),
    "a write of what was read": ("copy a.txt to c.txt", [("one", "a.txt"), ("other", "c.txt")],
               [read("a.txt"), Taken("notes", "write", ("c.txt", "hello 1"), 7)], 7),
    "a line of what a search found": ("which line mentions milk first",
               [("word", "milk")],
               [Taken("notes", "search", ("milk",), [{"path": "t", "line": 4, "text": "milk"}])],
               4),
    "how often": ("how many times does todo.md say Ann", [("path", "todo.md"), ("word", "Ann")],
                  [read("todo.md")], 1),
    "which is longer": ("is a.txt longer than b.txt longest than",
                        [("path", "a.txt"), ("path2", "b.txt")],
                        [read("a.txt"), read("b.txt")], True),
    "which is newer": ("ist a.txt neuer als card.txt newest than",
                       [("path", "a.txt"), ("path2", "card.txt")],
                       [facts("a.txt"), facts("card.txt")], False),
    "paths of a search": ("which files mention milk", [("word", "milk")],
               [Taken("notes", "search", ("milk",), [{"path": "t", "line": 4}, {"path": "u",
                                                                              "line": 1}])],
               ["t", "u"]),
}  # fmt: skip
JUDGED = {
    "a mood": ("what is the mood of a.txt", [("path", "a.txt")], [read("a.txt")], "friendly"),
    "a summary": ("summarise todo.md", [("path", "todo.md")], [read("todo.md")], "chores"),
    "a line nobody counted to": ("what should I do at the shop according to todo.md",
                                 [("path", "todo.md")], [read("todo.md")], "milk!"),
    "a number from nowhere": ("how good is a.txt", [("path", "a.txt")], [read("a.txt")], 8),
    "a chosen line": ("which task in todo.md is about people", [("path", "todo.md")],
                      [read("todo.md")], "call Ann"),
    "another yes": ("is a.txt longer than b.txt longest than",
                    [("path", "b.txt"), ("path2", "a.txt")], [read("b.txt"), read("a.txt")], True),
    "yes": ("is a.txt nice", [("path", "a.txt")], [read("a.txt")], True),
}  # fmt: skip


def run(source, name, params, steps, change=lambda value: value):
    """Run a method on what the steps gave; a question that was not asked is an error."""
    known = {(s.slot, s.selector, s.args): change(s.value) for s in steps}

    class Slot:
        def __init__(self, slot):
            self.slot = slot

        def __getattr__(self, selector):
            return lambda *args: known[self.slot, selector, args]

    space = {}
    exec(source, space)  # noqa: S102 - written by the code under test
    receiver = types.SimpleNamespace(**{s.slot: Slot(s.slot) for s in steps})
    return space[name](receiver, *(value for _, value in params))


@pytest.mark.parametrize("name", TRACES)
def test_a_trace_becomes_a_method_that_gives_the_same_answer(name):
    request, params, steps, answer = TRACES[name]
    made = distil("do_it", params, steps, answer, request)
    assert run(made.source, "do_it", params, steps) == answer, made.source


@pytest.mark.parametrize("name", TRACES)
def test_the_method_notices_that_the_world_has_changed(name):
    request, params, steps, answer = TRACES[name]
    source = distil("do_it", params, steps, answer, request).source
    try:
        other = run(source, "do_it", params, steps, vary)
    except (KeyError, StopIteration, IndexError, ValueError):
        return  # another answer led to another question
    same = ("how many files", "how often", "a write of what was read", "which is longer",
            "which is newer")  # fmt: skip
    assert other != answer or name in same, source


@pytest.mark.parametrize("name", JUDGED)
def test_a_judgement_becomes_no_method(name):
    request, params, steps, answer = JUDGED[name]
    made = distil("do_it", params, steps, answer, request)
    assert (made.source, made.reason) == ("", "the answer does not follow from what the steps gave")


PLAIN = st.recursive(
    st.text(max_size=30) | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner,
                                                                max_size=4),
)  # fmt: skip


@given(st.lists(PLAIN, max_size=4), PLAIN, st.text(max_size=40))
def test_what_is_distilled_gives_the_answer_of_its_trace(values, answer, request):
    steps = [Taken("box", "get", (number,), value) for number, value in enumerate(values)]
    made = distil("do_it", [("given", "x")], steps, answer, request)
    if made.source:
        assert run(made.source, "do_it", [("given", "x")], steps) == answer


@given(PLAIN)
def test_a_varied_value_differs_and_is_alike(value):
    other = vary(value)
    if value not in ("", [], {}, None) and "\0" not in str(value):
        kind = (type(value), type(other))
        assert kind[0] is kind[1] or value is None
