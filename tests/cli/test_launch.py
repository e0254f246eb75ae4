"""bat_os.cli.launch: what the words after run.sh mean, with nothing installed."""

import subprocess
import sys

import pytest

from bat_os.cli.chat.arguments import make_parser
from bat_os.cli.launch import ALONE, HELP, WITH_WORDS, describe_verb, find_verb, guess
from bat_os.cli.parser import verbs_of
from bat_os.cli.verbs import make_parser as make_verbs
from bat_os.core.verbs import COMMANDS
from tests.kernels import ROOT

LOADED = """
import sys
before = set(sys.modules)
import bat_os.cli.entry
print([name for name in sys.modules if name.partition(".")[0] not in sys.stdlib_module_names
       and name.partition(".")[0] != "bat_os" and name not in before])
"""


def test_the_verbs_are_those_of_batos_and_those_alone_take_no_words():
    takes = {
        name: any(not action.option_strings for action in parser._actions)
        for name, parser in verbs_of(make_verbs()).items()
    }
    assert {name for name, words in takes.items() if words} == WITH_WORDS
    assert {name for name, words in takes.items() if not words} | {
        "serve",
        "health",
        "shutdown",
    } == ALONE


def test_before_a_set_up_the_help_of_a_verb_has_its_words_options_and_examples():
    made = verbs_of(make_verbs())
    for name, verb in COMMANDS.items():
        told = describe_verb(name, "./run.sh")
        assert all(f"  ./run.sh {name} {words}".rstrip() in told for words in verb.examples)
        for action in made[name]._actions:
            named = action.option_strings[-1:] or [action.metavar or action.dest]
            if action.dest not in ("help", "home", "mind", "json", "plain", "quiet", "at"):
                assert named[0].lower() in told.lower(), (name, action)


@pytest.mark.parametrize(
    "sentence", [["hello"], ["thanks"], ["bye"], ["list"], ["time"], ["two words"], []]
)
def test_what_is_no_slip_of_a_verb_is_not_taken_for_one(sentence):
    assert guess(sentence) == ""


def test_a_verb_is_looked_for_behind_the_options_of_every_verb_only():
    assert find_verb(["--json", "-q", "--home", "x", "list"]) == "list"
    assert find_verb(["--fresh", "list"]) == ""
    assert find_verb(["--as", "list", "x"]) == ""
    assert find_verb(["--home"]) == ""


def test_the_options_of_the_client_stand_in_the_help_of_the_launcher():
    for option in ("--json", "--fresh", "--as", "--help"):
        assert f"{{me}} {option}" in HELP
    assert make_parser("./run.sh").prog == "./run.sh"


@pytest.mark.slow
def test_set_up_needs_the_standard_library_only():
    told = subprocess.run(
        [sys.executable, "-S", "-c", LOADED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert told.stdout == "[]\n"
