"""The labelled sentences: every one names a method of the library that takes its arguments."""

import json
from collections import Counter
from pathlib import Path

import pytest

import bat_os.training
from bat_os.app.library import read_shelf
from bat_os.method.text import parse_method
from bat_os.natives.table import describe

FOLDER = Path(bat_os.training.__file__).parent / "sentences"
KINDS = {"world", "creative", "files", "device", "opinion", "talk", "nonsense", "function"}
METHODS = {(one.name, each.selector): each for one in read_shelf() for each in one.methods}


def read(place):
    return [json.loads(line) for line in place.read_text(encoding="utf-8").splitlines()]


FILES = {place.stem: read(place) for place in sorted(FOLDER.glob("*.jsonl"))}


def parameters(method):
    """Return the names of a method's parameters; an optional one ends in ``=``."""
    if method.primitive:
        shown = describe(method.primitive)["signature"].partition("(")[2].rstrip(")")
        return [each.partition("=")[0] + "=" * ("=" in each) for each in shown.split(", ") if each]
    return [each.arg for each in parse_method(method.source, method.selector)[1].args.args[1:]]


@pytest.mark.parametrize("name", FILES)
def test_a_sentence_names_a_method_that_takes_its_arguments_or_says_why_none_fits(name):
    for line in FILES[name]:
        text = line["text"]
        assert text == text.strip() != "", line
        assert line["lang"] in {"en", "de", "fr", "es"}, line
        if line["target"] is None:
            assert set(line) == {"text", "lang", "target", "kind"}, line
            assert line["kind"] in KINDS, line
        else:
            assert set(line) == {"text", "lang", "target", "selector", "args"}, line
            names = parameters(METHODS[line["target"], line["selector"]])
            needed = sum(not each.endswith("=") for each in names)
            assert needed <= len(line["args"]) <= len(names), line


def test_a_sentence_has_one_label():
    said = Counter(
        (line["lang"], line["text"].casefold()) for lines in FILES.values() for line in lines
    )
    assert [text for text, count in said.items() if count > 1] == []


def test_enough_sentences_are_no_skill_and_they_are_of_all_kinds():
    for lang, least in {"en": 300, "de": 90, "fr": 90, "es": 90}.items():
        kinds = [line["kind"] for line in FILES["other"] if line["lang"] == lang]
        assert len(kinds) >= least
        assert set(kinds) == KINDS
