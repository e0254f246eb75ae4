"""bat_os.method.mutate: small changes to a method."""

import ast

import pytest

from bat_os.method.mutate import MOST, make_variants
from tests.library import SEEDS


@pytest.mark.parametrize(
    ("body", "mended"),
    [
        ("return json.loads(text)", "return json.loads(text)[key]"),
        ("return key in text", "return list(key in text)"),
        ("return len(text) < 5 and key", "return len(text) <= 5 and key"),
        ("return text + key", "return text * key"),
        ("return Counter(text)[key]", "return Counter(text.split())[key]"),
        ("return text[1:] + key", "return text[2:] + key"),
        ("return text[1:] + key", "return text[0:] + key"),
    ],
)
def test_common_slips_are_among_the_changes(body, mended):
    found = make_variants(f"def get(self, text, key):\n    {body}\n", "get")
    assert f"def get(self, text, key):\n    {mended}" in found


def test_an_argument_that_is_left_out_comes_first():
    found = make_variants("def get(self, text, key):\n    return text\n", "get")
    assert found[0].endswith("return text[key]")


@pytest.mark.parametrize("source", ["", "x = 1", "def (", "def f(self):\n    pass\n"])
def test_what_answers_nothing_has_no_variants(source):
    assert make_variants(source, "f") == []


def test_every_variant_is_another_program_and_there_are_never_many():
    for seed in SEEDS[::20]:
        found = make_variants(seed.source, seed.selector)
        assert len(found) == len(set(found)) <= MOST
        assert ast.unparse(ast.parse(seed.source)) not in found
        for source in found:
            ast.parse(source)
