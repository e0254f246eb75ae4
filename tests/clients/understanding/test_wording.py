"""bat_os.clients.understanding.wording: a sentence's words as another name of a skill."""

import ast
from dataclasses import replace

import pytest

from bat_os.clients.translate import translate
from bat_os.clients.understanding.wording import as_another_name
from bat_os.core.source.names import stands_for


def test_what_was_said_sends_what_was_meant_with_the_values_in_their_order():
    said = translate("what do I leave at 10 percent on a bill of 60?")
    source = as_another_name(said, "calculate_tip")
    (function,) = ast.parse(source).body
    first, second = (one.arg for one in function.args.args[1:])
    assert function.name == said.selector
    assert source.endswith(f"return self.calculate_tip({first}, {second})\n")
    assert ast.get_docstring(function).startswith("What do I leave at")


def test_named_values_are_passed_by_name():
    said = translate("how large is a disc with radius=2")
    assert said.kwargs == {"radius": 2}
    source = as_another_name(said, "area")
    assert "return self.area(radius=radius)" in source
    assert stands_for(source, said.selector) == "area"


@pytest.mark.parametrize("word", ['"""', "\\", "a\nb", "\x00", "'''", '\\"'])
def test_whatever_was_said_the_source_is_one_function(word):
    said = replace(translate("leave 10 on 60"), text=f"leave {word} tip {word}")
    source = as_another_name(said, "calculate_tip")
    tree = ast.parse(source)
    assert [type(node) for node in tree.body] == [ast.FunctionDef]
    assert len(tree.body[0].body) == 2
    assert stands_for(source, said.selector) == "calculate_tip"
