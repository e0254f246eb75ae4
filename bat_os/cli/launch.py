"""What the words after run.sh or puter.bat mean. Standard library only: set-up asks this first.

    start restart status stop test  done by the launcher itself, where nothing else is said
    list, inspect robot_obj         a verb of batos, where the line begins with its name
    anything else                   a wish, for the client

A verb that takes no words begins a wish all the same where words follow: "list the planets".
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

import bat_os
from bat_os.cli.language import translate
from bat_os.core.verbs import COMMANDS as VERBS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bat_os.core.fields import Field

COMMANDS: Final = ("start", "restart", "status", "stop", "test")
WITH_WORDS: Final = frozenset(
    verb.name for verb in VERBS.values() if any(field.word[:1].isalpha() for field in verb.fields)
)
ALONE: Final = frozenset(
    name for verb in VERBS.values() for name in (verb.name, *verb.hidden)
) - WITH_WORDS | {"serve"}
HELP: Final = """BAT OS: a living image for local AI.

  {me}                         open the chat
  {me} "a sentence"            ask once, print the answer
  {me} --json "..."            the same, as one JSON object
  {me} --fresh "..."           learn it anew, even if a known skill would serve
  {me} --as "double(5)" "..."  read the sentence as this message, and remember
  {me} --session NAME "..."    in a conversation: a later sentence can refer to it
  {me} --plain                 no colours, nothing redrawn: for screen readers
  {me} open                    start it, and open its page in the browser
  {me} start                   start it and open nothing
  {me} restart                 start it anew; nothing is lost
  {me} status                  say what runs
  {me} stop                    stop it
  {me} VERB ...                what batos VERB does: list, doctor, inspect OBJECT ...
  {me} setup                   say what is installed; --all installs the rest
  {me} test [options]          run all checks, or with --quick those near your change
  {me} --help                  this text; --version says which version this is

A wish that begins with a verb goes in quotes: {me} "find the largest of 3 and 5".
docs/cli.md lists the verbs, {me} VERB --help tells of one. Of them only open sets up
and starts what is missing.

"""
CHECKOUT: Final = """\
The first start sets up .venv beside this file; it needs the network, once. What GPUs, other
models and training need follows in the background (setup --later stops that). The image and
the logs are in data/, or in the directory that BATOS_HOME names. BATOS_PYTHON names the
Python to use (3.11 or newer).
"""
INSTALLED: Final = """\
The first start fetches the default model; it needs the network, once. What GPUs, other models
and training need follows in the background (setup --later stops that). The image and the logs
are in the folder for data of applications ({me} status names it), or in the directory that
BATOS_HOME names.
"""
_BEFORE_VERBS: Final = ("--json", "--quiet", "-q")
_NAMED: Final = ("--home", "--mind")  # with a value
_NEAR: Final = 0.75  # "statsu" is meant to be "status"; "thanks" is not meant to be "talks"


def describe(arguments: Sequence[str], me: str) -> str:
    """Return the help or the version, where a line asks for it; else ""."""
    if arguments[:1] in (["-h"], ["--help"]) or list(arguments) == ["help"]:
        return (translate(HELP) + translate(INSTALLED if me == "batos" else CHECKOUT)).format(me=me)
    return f"BAT OS {bat_os.__version__}\n" if list(arguments) == ["--version"] else ""


def describe_verb(name: str, me: str) -> str:
    """Return the help of a verb from the table alone, for a machine with nothing installed yet."""
    verb = next(one for one in VERBS.values() if name in (one.name, *one.hidden))
    fields = [field for field in verb.fields if field.word]
    lines = [f"{me} {verb.name}: {verb.help}", ""]
    lines += [f"  {_show_word(field):<24} {field.help}".rstrip() for field in fields]
    lines += ["", "Examples:", *(f"  {me} {verb.name} {words}".rstrip() for words in verb.examples)]
    return "\n".join(lines) + f"\n\n{me} start sets up what it needs.\n"


def _show_word(field: Field) -> str:
    """Return how a field is written: ``OBJECT``, ``[SELECTOR]``, ``--limit N``."""
    if "-" in field.word[:1]:
        value = "" if field.kind == "flag" else f" {field.shown or field.dest.upper()}"
        return field.word.split()[-1] + value
    shown = field.shown or field.word.rstrip("?*+").upper()
    return f"[{shown}]" if field.word[-1] in "?*" else shown


def find_command(arguments: Sequence[str]) -> str:
    """Return one of ``COMMANDS``; "" when the line is for batos or the client.

    >>> find_command(["stop"]), find_command(["stop", "the", "music"])
    ('stop', '')
    >>> find_command(["test", "-k", "mission"]), find_command(["test the network"])
    ('test', '')
    """
    if len(arguments) == 1 and arguments[0] in COMMANDS:
        return arguments[0]
    if arguments[:1] == ["test"] and all(
        word[:1] == "-" or word[:5] == "tests" for word in arguments[1:2]
    ):
        return "test"
    return ""


def find_verb(arguments: Sequence[str]) -> str:
    """Return the verb of batos that a line begins with; "" where it is a wish.

    >>> find_verb(["list"]), find_verb(["--json", "inspect", "robot_obj"])
    ('list', 'inspect')
    >>> find_verb(["list", "the", "planets"]), find_verb(["find prime numbers"])
    ('', '')
    """
    words = list(arguments)
    while words and (words[0] in _BEFORE_VERBS or words[0].partition("=")[0] in _NAMED):
        del words[: 2 if words[0] in _NAMED else 1]
    name = words[0] if words else ""
    follows = words[1] if len(words) > 1 else "-"
    if name in WITH_WORDS or (name in ALONE and follows.startswith("-")):
        return name
    return ""


def guess(sentence: Sequence[str]) -> str:
    """Return the command or verb that a single word may have been meant to be, or "".

    >>> guess(["statsu"]), guess(["docter"]), guess(["status quo"]), guess(["thanks"])
    ('status', 'doctor', '', '')
    >>> guess(["why?"])
    ''
    """
    known = sorted({*COMMANDS, *ALONE, *WITH_WORDS, "help"})
    if len(sentence) != 1 or " " in sentence[0] or sentence[0] in known or "?" in sentence[0]:
        return ""
    return next(iter(difflib.get_close_matches(sentence[0], known, n=1, cutoff=_NEAR)), "")
