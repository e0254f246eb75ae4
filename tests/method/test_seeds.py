import ast
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from bat_os.core.brief import Brief, goal
from bat_os.errors import ArgumentsError
from bat_os.method.fixups import apply_fixups
from bat_os.method.guardian import PersistenceGuardian
from bat_os.method.seeds import parse_seeds
from tests.library import SEEDS

BRIEFS = Path(__file__).parents[1] / "cases" / "briefs.jsonl"
BODY_LINES = 8
PARAMETERS = ("number", "numbers", "items", "text", "data", "value")

GOOD = {
    "wish": '"Double a number."',
    "source": "\"\"\"\ndef double(self, number):\n    '''Double a number.'''\n"
    '    return number * 2\n"""',
    "examples": "[{ args = [2], value = 4 }]",
}


def write(**changes):
    """Return the text of a library with one entry."""
    fields = {name: text for name, text in {**GOOD, **changes}.items() if text}
    return "[[seed]]\n" + "".join(f"{name} = {text}\n" for name, text in fields.items())


def write_source(text, wish="Double a number."):
    return write(wish=f'"{wish}"', source=f"'''\n{text}'''")


def test_the_library_has_methods_of_all_kinds():
    assert len(SEEDS) >= 400
    assert sum(seed.pure for seed in SEEDS) >= 300
    assert sum(not seed.pure for seed in SEEDS) >= 60


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.selector)
def test_a_seed_is_what_the_guardian_and_the_rules_let_pass_unchanged(seed):
    guardian = PersistenceGuardian()

    assert guardian.audit(seed.source, seed.selector).lines() == ()
    assert guardian.repair(seed.source, seed.selector) == seed.source
    for slots in (None, frozenset(seed.examples[0].slots)):
        assert apply_fixups(seed.source, seed.selector, slots) == (seed.source, ())


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.selector)
def test_a_seed_reads_like_the_question_that_it_is_shown_for(seed):
    lines = seed.source.split("\n")

    assert len(seed.also) >= 2
    for wish in seed.wishes:
        assert goal(Brief("object", seed.selector, text=wish)) == wish
    assert lines[0] == f"def {seed.selector}({', '.join(('self', *seed.params))}):"
    assert lines[1] == f'    """{seed.wish}"""'
    assert 1 <= len(lines) - 2 <= BODY_LINES
    assert max(map(len, lines)) <= 100


def test_a_seed_that_is_not_pure_uses_self_and_a_pure_one_does_not():
    for seed in SEEDS:
        assert seed.pure == ("self" not in seed.source.split("\n", 1)[1])


def test_what_a_brief_may_call_a_parameter_is_no_other_name_in_a_seed():
    for seed in SEEDS:
        names = {
            node.id if isinstance(node, ast.Name) else node.arg
            for node in ast.walk(ast.parse(seed.source))
            if isinstance(node, ast.arg)
            or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
        }
        assert (names - set(seed.params)).isdisjoint(PARAMETERS), seed.selector


def test_seeds_have_different_words_and_different_methods():
    for parts in (
        [seed.selector for seed in SEEDS],
        [seed.wish.casefold() for seed in SEEDS],
        [seed.source.split('"""', 2)[2] for seed in SEEDS],
    ):
        assert [part for part, count in Counter(parts).items() if count > 1] == []


def test_no_seed_is_one_of_the_briefs_that_learning_is_measured_with():
    briefs = [json.loads(line) for line in BRIEFS.read_text(encoding="utf-8").splitlines()]
    taken = {bare(brief["brief"]) for brief in briefs} | {brief["selector"] for brief in briefs}

    assert taken.isdisjoint(bare(wish) for seed in SEEDS for wish in seed.wishes)
    assert taken.isdisjoint(seed.selector for seed in SEEDS)


def bare(wish):
    """Return the words of a wish, small and without the smallest ones."""
    return " ".join(w for w in re.findall(r"[a-z]+", wish.lower()) if w not in ("a", "the", "of"))


def test_other_ways_to_ask_become_sentences():
    (seed,) = parse_seeds(write(also='["twice a number", "how much is 2x"]'))

    assert seed.also == ("Twice a number.", "How much is 2x.")
    assert seed.wishes == ("Double a number.", *seed.also)


def test_other_ways_to_ask_may_be_left_out():
    (seed,) = parse_seeds(write())

    assert seed.wishes == ("Double a number.",)


def test_an_example_knows_what_it_accepts():
    text = write(examples='[{ kwargs = { number = 2 }, one_of = [4, "four"], after = { n = 1 } }]')

    (seed,) = parse_seeds(text)

    (example,) = seed.examples
    assert (seed.selector, seed.params, seed.pure) == ("double", ("number",), True)
    assert (example.args, example.kwargs, example.after) == ((), {"number": 2}, {"n": 1})
    assert example.accepts(4.0)
    assert example.accepts("four")
    assert not example.accepts(5)


def test_an_example_may_be_at_a_moment():
    (seed,) = parse_seeds(write(examples="[{ now = 1970-01-01T00:01:00Z, value = 0 }]"))

    assert seed.examples[0].now == 60


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[seed]", "not valid TOML"),
        ("x = " + "[" * 10_000, "not valid TOML"),
        ("#" * 1_000_001, "longer than"),
        ("seed = 1", "seed must be a list, not 1"),
        ("other = 1", "other is not known"),
        ("seed = [1]", "seed 1: it must be a map, not 1"),
        (write(examples=""), "seed 1: examples is missing"),
        (write(extra="1"), "seed 1: extra is not known"),
        (write(wish="1"), "seed 1: wish must be a text, not 1"),
        (write(wish='"Double a number"'), "seed 1: wish must be one line"),
        (write(wish='"double a number."'), "seed 1: wish must be one line"),
        (write(wish='"Double  a number."'), "seed 1: wish must be one line"),
        (write(source="1"), "seed 1: source must be a text"),
        (write_source("x = " + "1" * 600), "source must be a text of at most 600"),
        (write_source("def double(self"), "line 1 of the source"),
        (write_source("x = 1\n"), "one function and nothing else"),
        (write_source("import math\ndef double(self):\n    pass\n"), "one function and nothing"),
        (write_source('def double(self, n):\n    """Half."""\n'), "docstring must be the wish"),
        (write_source("def clone_(this):\n    pass\n"), "must be self and plain names"),
        (write_source("def double(self, n=1):\n    pass\n"), "must be self and plain names"),
        (write_source("def double(self, *n):\n    pass\n"), "must be self and plain names"),
        (write_source("def __init__(self):\n    pass\n"), "cannot name a slot or a message"),
        (write(also="1"), "also must be a list of at most 4 items"),
        (write(also='["a1", "a2", "a3", "a4", "a5"]'), "also must be a list of at most 4 items"),
        (write(also="[1]"), r"also\[0\] must be a text, not 1"),
        (write(also='["twice."]'), "must be one line without an end"),
        (write(also='["twice  it"]'), "must be one line without an end"),
        (write(also='[""]'), "must be one line without an end"),
        (write(also='["double a number"]'), "the wish 'Double a number.' comes twice"),
        (write(also='["twice", "Twice"]'), "the wish 'Twice.' comes twice"),
        (write(examples="[]"), "examples must be a list of at least 1 items"),
        (write(examples="[{}]"), r"examples\[0\]: needs either value or one_of"),
        (write(examples="[{ value = 1, one_of = [1] }]"), "needs either value or one_of"),
        (write(examples="[{ one_of = [] }]"), "one_of must be a list of at least 1 items"),
        (write(examples="[{ args = 1, value = 1 }]"), "args must be a list"),
        (write(examples="[{ arg = [1], value = 1 }]"), "arg is not known; did you mean args?"),
        (write(examples='[{ slots = { "a b" = 1 }, value = 1 }]'), "cannot name a slot"),
        (write(examples="[{ now = 2024-01-01, value = 1 }]"), "now must be a time with its zone"),
        (
            write(examples="[{ now = 2024-01-01T00:00:00, value = 1 }]"),
            "now must be a time with its zone",
        ),
        (write() + write(), "seed 2: the wish 'Double a number.' comes twice"),
    ],
)
def test_a_library_that_is_not_right_is_refused_with_the_place(text, complaint):
    with pytest.raises(ArgumentsError, match=complaint):
        parse_seeds(text)


def test_two_seeds_cannot_have_one_selector():
    other = write().replace("Double a number.", "Twice a number.")

    with pytest.raises(ArgumentsError, match="seed 2: the selector 'double' comes twice"):
        parse_seeds(write() + other)
