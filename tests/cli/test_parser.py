"""bat_os.cli.parser and help: one grammar, examples that work, mistakes that are named."""

import re
import shlex

import pytest

from bat_os.cli.main import main
from bat_os.cli.parser import guess, verbs_of
from bat_os.cli.verbs import EXIT_STATUSES, make_parser
from bat_os.core.verbs import COMMANDS
from bat_os.errors import ArgumentsError
from tests.kernels import ROOT


@pytest.fixture(scope="module")
def parser():
    return make_parser()


EXAMPLES = [f"{verb.name} {words}" for verb in COMMANDS.values() for words in verb.examples]


@pytest.mark.parametrize("line", EXAMPLES)
def test_an_example_in_the_help_is_understood(parser, line):
    assert parser.read(shlex.split(line)).verb == line.split()[0]


def test_every_verb_has_an_example_and_a_purpose_of_one_line(parser):
    assert {line.split()[0] for line in EXAMPLES} == set(COMMANDS)
    for name, made in verbs_of(parser).items():
        text = made.format_help()
        assert f"  batos {name}" in text
        assert made.description[0].isupper()
        assert len(made.description) < 100


@pytest.mark.parametrize("words", ["--json --home /x -q list", "list --quiet --home /x --json"])
def test_what_every_verb_takes_stands_before_or_after_it(parser, words):
    options = parser.read(words.split())
    assert (str(options.home), options.json, options.quiet) == ("/x", True, True)


def test_without_them_nothing_is_asked_for(parser):
    options = parser.read(["list"])
    assert (options.home, options.json, options.quiet) == (None, False, False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "VERB is missing; batos --help lists them"),
        ("xyzzy", "there is no verb 'xyzzy'; batos --help lists them"),
        ("inspekt", "there is no verb 'inspekt'; did you mean 'inspect'?"),
        ("send genesis_obj", "SELECTOR is missing; write it as: batos send OBJECT SELECTOR [ARGS"),
        ("why genesis_obj double --relpay", "there is no option --relpay; did you mean --replay?"),
        ("list me", "'me' is one argument too many; write it as: batos list ("),
        ("completion tcsh", "no shell 'tcsh'; there are: bash, zsh, fish, powershell; write it as"),
        ("pack --days many", "--days takes a number, and 'many' is none"),
        ("discuss", "QUESTION is missing"),
    ],
)
def test_a_mistake_is_named_with_what_is_right(parser, words, said):
    with pytest.raises(ArgumentsError) as caught:
        parser.read(words.split())
    assert said in str(caught.value)


def test_a_guess_is_made_among_many_and_a_few_are_all_told():
    assert guess("lst", ["list", "learn"]) == "did you mean 'list'?"
    assert guess("zzz", ["list", "learn"]) == "there are: list, learn"
    assert guess("zzz", [f"name{n}" for n in range(50)]) == ""


def test_help_lists_all_verbs_and_the_exit_statuses(capsys):
    for words in (["--help"], ["-h"]):
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code == 0
        told = capsys.readouterr().out
        assert all(re.search(rf"^    {name}\b", told, re.MULTILINE) for name in COMMANDS)
        assert "exit status:" in told
    for before in ([], ["--quiet"], ["--home", "/x"], ["--tcp-port", "0"], ["--profile", "x"]):
        with pytest.raises(SystemExit):
            main([*before, "serve", "--help"])
        assert "usage: batos serve" in capsys.readouterr().out


def test_the_page_about_the_command_line_has_every_exit_status():
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert all(f"| {status} | {when} |" in page for status, when in EXIT_STATUSES.items())


@pytest.mark.parametrize(("alias", "verb"), [("health", "status"), ("shutdown", "stop")])
def test_a_hidden_name_is_the_verb_itself_and_in_no_list(parser, alias, verb):
    assert parser.read([alias]).verb == verb
    assert alias not in verbs_of(parser)
    assert not re.search(rf"^ +{alias}\b", parser.format_help(), re.MULTILINE)
