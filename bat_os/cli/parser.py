"""The words of the command line: what a mistake probably meant, and what TAB offers.

    eval "$(batos completion bash)"

The shell asks ``batos`` itself at each TAB (argcomplete), so verbs that are added later are
known at once. Names of objects and messages come from a running kernel; without one, or when
it takes longer than half a second, there are none.
"""

from __future__ import annotations

import argparse
import asyncio
import difflib
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from bat_os.cli.environment import find_home, script_command
from bat_os.cli.language import HelpParser
from bat_os.cli.show.command import Command
from bat_os.client.client import KernelClient
from bat_os.errors import ArgumentsError, BatError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.cli.show.command import Ask

_CHOICE: Final = re.compile(r"argument (.+?): invalid choice: '([^']*)'")
ALIKE: Final = 0.66  # below two thirds, a suggestion misleads
_FEW: Final = 12
_NUMBER: Final = re.compile(r"argument (.+?): invalid (?:int|float) value: '([^']*)'")
_MISSING: Final = "the following arguments are required: "


class Parser(HelpParser):
    """Raises instead of printing and leaving; ``--help`` still does both."""

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong with the command line.

        Raises:
            ArgumentsError: Always; the message has the usage, or a guess.
        """
        if wrong := _CHOICE.match(message):
            message = self._guess_choice(wrong[1], wrong[2])
        elif wrong := _NUMBER.match(message):
            message = f"{wrong[1]} takes a number, and {wrong[2]!r} is none"
        elif message.startswith(_MISSING):
            message = f"{self._name_missing(message.removeprefix(_MISSING))} missing"
        advice = "" if "did you mean" in message else f"; {self._advise()}"
        raise ArgumentsError(f"{self.prog}: {message}{advice}")

    def read(self, words: Sequence[str] | None) -> argparse.Namespace:
        """Return the options in a command line; as ``parse_args``, but the verb complains.

        Raises:
            ArgumentsError: There is something wrong with it.
        """
        words, rest = self._split(sys.argv[1:] if words is None else words)
        options, extra = self.parse_known_args(words)
        if rest:
            dest, those = rest
            setattr(options, dest, [*getattr(options, dest), *those])
        if extra:
            made = verbs_of(self).get(getattr(options, "verb", ""), self)
            made.error(_describe_extra(made, extra[0]))
        return options

    def _split(self, words: Sequence[str]) -> tuple[Sequence[str], tuple[str, list[str]] | None]:
        """Return a command line up to ``--``, and where the words behind that belong.

        argparse itself would take them for too many once an option has come between.
        """
        verbs = verbs_of(self)
        verb = verbs.get(next((word for word in words if word in verbs), ""))
        last = [one for one in verb._actions if not one.option_strings][-1:] if verb else []
        if "--" not in words or not last or last[0].nargs != "*":
            return words, None
        at = [*words].index("--")
        return words[:at], (last[0].dest, [*words[at + 1 :]])

    def _guess_choice(self, name: str, given: str) -> str:
        action = next(one for one in self._actions if _label(one) == name)
        known = [str(choice) for choice in action.choices or () if choice]
        meant = guess(given, known)
        return f"there is no {name.lower()} {given!r}" + (f"; {meant}" if meant else "")

    def _name_missing(self, listed: str) -> str:
        """Return words as usage lines have them; an option keeps its lower case."""
        names = listed.split(", ")
        shown = [name if name.startswith("-") else name.upper() for name in names]
        return f"{', '.join(shown)} {'is' if len(shown) == 1 else 'are'}"

    def _advise(self) -> str:
        if verbs_of(self):
            return f"{self.prog} --help lists them"
        return f"write it as: {usage(self)} ({self.prog} --help says more)"


def guess(given: str, known: Sequence[str]) -> str:
    """Return what was probably meant, or all that there is where that is little.

    >>> guess("lst", ["list", "learn"]), guess("xyz", ["list", "learn"])
    ("did you mean 'list'?", 'there are: list, learn')
    """
    near = difflib.get_close_matches(given, known, n=1, cutoff=ALIKE)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there are: {', '.join(known)}" if len(known) <= _FEW else ""


def verbs_of(parser: argparse.ArgumentParser) -> dict[str, Parser]:
    """Return the parsers of the verbs; argparse tells them by a private name only."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            named = action.choices.items()
            return {name: one for name, one in named if one.get_default("verb") in (None, name)}
    return {}


def usage(parser: argparse.ArgumentParser, *, options: bool = False) -> str:
    """Return one line: the program, its arguments, and with ``options`` those too."""
    shown = [action for action in parser._actions if action.help != argparse.SUPPRESS]
    actions = [
        action for action in shown if options or action.required or not action.option_strings
    ]
    return " ".join([parser.prog, *(show_action(action) for action in actions)])


def show_action(action: argparse.Action) -> str:
    """Return an argument or option as usage lines write it."""
    value = show_value(action)
    if action.option_strings:
        text = action.option_strings[-1] + ("" if action.nargs == 0 else f" {value}")
        return text if action.required else f"[{text}]"
    forms = {"?": f"[{value}]", "*": f"[{value} ...]", "+": f"{value} [{value} ...]"}
    return forms.get(str(action.nargs), value)


def show_value(action: argparse.Action) -> str:
    """Return the word for a value in a usage line."""
    if isinstance(action.metavar, str):
        return action.metavar
    if action.choices is not None:
        return "|".join(str(choice) for choice in action.choices if choice)
    return action.dest.upper()


def _label(action: argparse.Action) -> str:
    """Return the name by which argparse's own messages call an argument."""
    if action.option_strings:
        return "/".join(action.option_strings)
    return action.metavar if isinstance(action.metavar, str) else action.dest


def _describe_extra(parser: argparse.ArgumentParser, word: str) -> str:
    if not word.startswith("-"):
        return f"{word!r} is one argument too many"
    known = [text for action in parser._actions for text in action.option_strings]
    near = difflib.get_close_matches(word.partition("=")[0], known, n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    return f"there is no option {word}{meant}"


NAME: Final = "batos"
SHELLS: Final = ("bash", "zsh", "fish", "powershell")
PATIENCE: Final = 0.5  # seconds that a TAB may wait for the kernel
_FILES: Final = ("backup", "file", "files", "folder", "home", "source", "target")
# Where no ``batos`` is on the PATH the script makes one that runs this very installation.
_MAKE_COMMAND: Final = {
    "bash": 'command -v {name} >/dev/null || {name}() {{ {command} "$@"; }}\n',
    "fish": "type -q {name}; or function {name}; {command} $argv; end\n",
    "powershell": "if (-not (Get-Command {name} -ErrorAction SilentlyContinue)) "
    "{{ function global:{name} {{ & {command} @args }} }}\n",
}


# A zsh whose start-up files do not begin its completion system does not have ``compdef`` yet.
_BEGIN: Final = {"zsh": "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }\n"}


def write_script(shell: str) -> str:
    """Return the text that a shell has to evaluate, once per session."""
    from argcomplete.shell_integration import shellcode  # only completion needs it

    kind = "bash" if shell == "zsh" else shell
    quote = _quote_powershell if shell == "powershell" else shlex.quote
    made = _MAKE_COMMAND[kind].format(
        name=NAME, command=" ".join(map(quote, script_command("batos.py")))
    )
    return _BEGIN.get(shell, "") + made + str(shellcode([NAME], shell=shell))


def _quote_powershell(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def answer(parser: argparse.ArgumentParser) -> None:
    """Answer the shell that has asked for completions, and end the process."""
    import argcomplete  # as above

    argcomplete.autocomplete(
        parser,
        always_complete_options="long",
        default_completer=_complete_name,  # type: ignore[arg-type]  # any callable serves
    )


def _complete_name(
    *, prefix: str, action: argparse.Action, parsed_args: argparse.Namespace, **_: Any
) -> list[str]:
    """Return what a word that names something in the image, or a file, may become."""
    home = find_home(getattr(parsed_args, "home", None)).path
    if action.dest in ("object", "what"):
        return [str(one["name"]) for one in _ask_kernel(home, "list").get("objects", ())]
    if action.dest == "selector":
        told = _ask_kernel(home, "inspect", target=getattr(parsed_args, "object", ""))
        return [*told.get("methods", ()), *told.get("inherited", ())]
    if action.dest == "document":
        return [str(one["doc_id"]) for one in _ask_kernel(home, "documents").get("documents", ())]
    return _list_files(prefix) if action.dest in _FILES else []


def _ask_kernel(home: Path, verb: str, **fields: Any) -> dict[str, Any]:
    """Return what a running kernel answers at once; {} without one."""

    async def ask() -> dict[str, Any]:
        async with KernelClient.at(home, lambda: False) as kernel:
            return await kernel.request(verb, timeout=PATIENCE, **fields)

    try:
        return asyncio.run(ask())
    except BatError:
        return {}


def _list_files(prefix: str) -> list[str]:
    folder, _, start = prefix.rpartition("/")
    base = f"{folder}/" if "/" in prefix else ""
    try:
        found = sorted(Path(base or ".").expanduser().iterdir())
    except OSError:
        return []
    return [
        f"{base}{path.name}/" if path.is_dir() else f"{base}{path.name}"
        for path in found
        if path.name.startswith(start) and (start or not path.name.startswith("."))
    ]


async def _completion(ask: Ask) -> Mapping[str, Any]:
    return {"shell": ask.options.shell, "script": write_script(ask.options.shell)}


COMMANDS: Final[Mapping[str, Command]] = {
    "completion": Command(
        lambda body, screen: screen.answer(body["script"].rstrip("\n")), _completion
    )
}
