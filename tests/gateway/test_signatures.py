"""What a tool says of a method: schemas that are true, and hints that err on the safe side."""

import pytest

from bat_os.gateway.mcp.signatures import describe, only_reads


def method(body, parameters=""):
    return f"def run(self{parameters}):\n    {body}\n"


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        ("int", {"type": "integer"}), ("str", {"type": "string"}),
        ("list[int]", {"type": "array", "items": {"type": "integer"}}),
        ("dict", {"type": "object"}),
        ("int | None", {"anyOf": [{"type": "integer"}, {"type": "null"}]}), ("Whatever", {}),
        ("list[list[list[list[list[list[int]]]]]]", None),
    ],
)  # fmt: skip
def test_annotations_are_kinds(annotation, kind):
    told = describe(method("return 1", f", x: {annotation}"), "run")
    assert kind is None or told.takes["properties"]["x"] == kind
    assert told.takes["required"] == ["x"]


def test_examples_say_what_no_annotation_does():
    examples = [{"args": ["a", 2], "result": 2}, {"args": ["b"], "kwargs": {"n": 3}, "result": 3.5}]
    told = describe(method("return n", ", s, n=1, *, loud=False"), "run", examples)
    assert told.takes["properties"]["s"] == {"type": "string", "examples": ["a", "b"]}
    assert told.takes["properties"]["n"] == {"type": "number", "examples": [2, 3], "default": 1}
    assert told.takes["properties"]["loud"] == {"default": False}
    assert told.takes["required"] == ["s"]
    assert told.gives["properties"]["result"] == {}


def test_the_kind_of_a_result_is_said_only_if_both_agree():
    source = "def run(self, x) -> {}:\n    return x\n"
    right, wrong = source.format("int"), source.format("str")
    examples = [{"args": [1], "result": 1}]
    assert describe(right, "run", examples).gives["properties"]["result"] == {"type": "number"}
    assert describe(wrong, "run", examples).gives["properties"]["result"] == {}
    assert describe(right, "run").gives["properties"]["result"] == {}


@pytest.mark.parametrize(
    "body",
    ["return x * 2", "return x.upper()", "return self.notes", "return len(self.notes) + x",
     "return [n for n in self.notes if n > x]", "return getattr(self, 'notes', [])",
     "return sorted(self.notes, reverse=True)", "total = self.a + x\n    return total"],
)  # fmt: skip
def test_a_method_that_looks_is_said_to_only_read(body):
    assert only_reads(method(body, ", x"), "run")


@pytest.mark.parametrize(
    "body",
    ["self.notes = x", "self.notes.append(x)", "self.notes[0] = x", "self.a += 1", "del self.a",
     "self.setSlot('a', x)", "return self.lamp.turn_on()", "return self.other(x)",
     "notes = self.notes\n    notes.append(x)", "setattr(self, 'a', x)", "f = self.go\n    f()",
     "return sorted(x, key=self.rank)", "len = self.go\n    return len(x)",
     "return (lambda: self.go())()", "return self(x)", "self.notes[:] = x",
     "for self.a in x: pass", "return max(x, key=self.go)",
     "return [n.go() for n in self.parts]"],
)  # fmt: skip
def test_in_doubt_a_method_changes_something(body):
    assert not only_reads(method(body, ", x"), "run")


def test_what_cannot_be_read_takes_anything():
    told = describe("this is no source", "run")
    assert (dict(told.takes), told.reads) == ({"type": "object"}, False)
