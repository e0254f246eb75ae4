"""bat_os.cli.language and the catalogs: what a person reads, in the language of the terminal."""

import asyncio
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from functools import cache

import pytest
from babel.messages.pofile import read_po
from rich.cells import cell_len

from bat_os.cli import launch
from bat_os.cli.answer import IN_CHAT, notes_on
from bat_os.cli.chat import slash
from bat_os.cli.console import Screen
from bat_os.cli.language import find_language
from bat_os.cli.parser import verbs_of
from bat_os.sentence.texts import text
from bat_os.sentence.wording import LANGUAGES, read_catalog, read_wording
from tests.cli.clients import verb
from tests.cli.terminal import Terminal
from tests.cli.test_terminal import DRAWN, on_terminal
from tests.kernels import ROOT

GERMAN = LANGUAGES / "wording.de.po"
DE = read_wording("de").translate
HEBREW, ARABIC = "שלום עולם, זה טקסט", "مرحبا بالعالم"


@cache
def load_words():
    spec = importlib.util.spec_from_file_location("words", ROOT / "deploy" / "words.py")
    words = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(words)
    return words


def catalog():
    with GERMAN.open("rb") as source:
        return read_po(source, locale="de")


def test_every_text_of_the_code_is_in_german_with_the_same_values():
    # deploy/words.py --write puts new ones in
    assert load_words().missing(catalog()) == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda message: setattr(message, "string", ""), "is not translated"),
        (lambda message: setattr(message, "string", "{nichts}"), "has the values ['nichts']"),
        (lambda message: message.flags.add("fuzzy"), "is marked fuzzy"),
    ],
)
def test_a_translation_that_is_wrong_is_named(change, found):
    words, german = load_words(), catalog()
    change(german["there is no object {value}"])
    (line,) = words.missing(german)
    assert "there is no object {value}" in line
    assert found in line


def test_a_text_that_is_new_in_the_code_is_missed(tmp_path):
    words = load_words()
    tree = words.ast.parse(
        'def f(n, who):\n    raise NotFoundError(f"no such {who}")\n'
        "def g(n):\n    raise NotFoundError(f\"{n} file{'s' * (n != 1)} went\")\n"
    )
    found = [each for each, _ in words.Scope(tree, words.Path("bat_os/kernel/new.py")).found]
    assert found == ["no such {who}", ("{n} file went", "{n} files went")]


def test_our_reader_of_catalogs_reads_what_babel_reads():
    theirs = {
        (each.id,) if isinstance(each.id, str) else tuple(each.id): (
            [each.string] if isinstance(each.string, str) else [*each.string]
        )
        for each in catalog()
        if each.id
    }
    assert dict(read_catalog(GERMAN.read_text(encoding="utf-8"))) == theirs
    assert len(theirs) > 1_500


@pytest.mark.parametrize(
    ("said", "german"),
    [
        ("there is no object 'ann'", "es gibt kein Objekt 'ann'"),
        ("erased", "gelöscht"),
        # a text within a text, after a semicolon, after what it is about, on a line of its own
        ("forgotten: erased", "vergessen: erased"),  # a value is nobody's to translate
        ("./x: erased; nothing is proposed", "./x: gelöscht; nichts ist vorgeschlagen"),
        ("erased\nnothing is proposed", "gelöscht\nnichts ist vorgeschlagen"),
        ("erased\nthe model needs more room", "gelöscht\nthe model braucht more room"),
        # plural
        ("5 passages", "5 Textstellen"),
        ("1 passage", "1 Textstelle"),
        ("no passages", "no passages"),
        ("quite another text of somebody", "quite another text of somebody"),
        ("", ""),
    ],
)
def test_a_text_is_found_again_by_its_template(said, german):
    assert DE(said) == german


def test_braces_and_percent_signs_of_a_value_are_left_alone():
    assert DE("there is no object '{name} %s {{'") == "es gibt kein Objekt '{name} %s {{'"


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, "en"),
        ({"LANG": "de_AT.UTF-8"}, "de"),
        ({"LANG": "en_GB.UTF-8", "LC_MESSAGES": "de_DE"}, "de"),
        ({"LANG": "de_DE", "LC_ALL": "en_US"}, "en"),
        ({"LANG": "en_US", "LANGUAGE": "sv:de"}, "de"),  # there are no Swedish texts
        ({"LANG": "sv_SE"}, "en"),
        ({"LANG": "de_DE", "LANGUAGE": "de", "LC_ALL": "C"}, "en"),  # as scripts set it
        ({"LANG": "en_US", "BATOS_LOCALE": "de"}, "de"),
        ({"LANG": "../../etc/passwd"}, "en"),
    ],
)
def test_the_language_is_that_of_the_terminal(environ, language):
    assert find_language(environ) == language


def test_states_in_a_table_of_ours_are_german_and_a_persons_table_stays_as_it_is(
    monkeypatch, capsys
):
    monkeypatch.setattr("bat_os.cli.console.translate", DE)
    rows, heads = [("failed", "failed"), (7, "failed")], ("STATE", "MESSAGE")
    Screen(plain=True).table(rows, heads)
    assert capsys.readouterr().out.split()[2:] == ["gescheitert", "failed", "7", "failed"]
    Screen(plain=True).table(rows, heads, as_is=True)
    assert capsys.readouterr().out.split() == [*heads, "failed", "failed", "7", "failed"]


async def test_errors_and_help_are_german_and_json_is_english(tmp_path):
    german = {"LANGUAGE": "de", "LC_ALL": "de_DE.UTF-8"}
    ended = await verb(tmp_path, "lst", **german)
    assert ended.err.endswith("verb unbekannt: 'lst'; war 'list' gemeint?\n"), ended
    ended = await verb(tmp_path, "list", **german)
    assert ended.status == 3
    assert "kein Dienst bedient" in ended.err
    ended = await verb(tmp_path, "list", "--json", **german)
    assert "no daemon serves" in ended.json["error"]["message"]
    ended = await verb(tmp_path, "list", LC_ALL="C", LANGUAGE="de")
    assert "no daemon serves" in ended.err


async def test_a_file_in_the_home_adds_a_language_and_changes_texts(tmp_path):
    (tmp_path / "wording.sv.po").write_text(
        'msgid ""\nmsgstr ""\n"Plural-Forms: nplurals=2; plural=(n != 1);\\n"\n\n'
        'msgid "BAT OS is not running."\nmsgstr "BAT OS körs inte."\n'
    )
    home = {"BATOS_HOME": str(tmp_path), "LC_ALL": "sv_SE.UTF-8"}
    ended = await verb(tmp_path, "status", LANGUAGE="", **home)
    assert ended.out.startswith("BAT OS körs inte.\n"), ended


def test_the_help_of_every_verb_is_german(monkeypatch):
    from bat_os.cli import language
    from bat_os.cli.verbs import make_parser

    monkeypatch.setattr(language, "translate", DE)
    made = make_parser()
    english = {name: each.description for name, each in verbs_of(made).items()}
    shown = made.format_help()
    assert "nennt die benannten Objekte" in shown
    for name, each in verbs_of(made).items():
        shown = each.format_help()
        assert shown.startswith("Aufruf: batos"), shown
        assert english[name] not in " ".join(shown.split()), name


@pytest.mark.parametrize("script", ["chat_client.py", "min_watchdog_service.py"])
async def test_the_help_of_each_script_is_german(tmp_path, script):
    environ = os.environ | {"LANGUAGE": "de", "LC_ALL": "de_DE.UTF-8", "BATOS_HOME": str(tmp_path)}
    command = [sys.executable, ROOT / script, "--help"]
    done = await asyncio.to_thread(
        subprocess.run, command, env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"Aufruf: {script}"), done
    assert "Optionen:" in done.stdout
    assert not re.search(r"\b(the|is|what|home directory)\b", done.stdout), done.stdout


@pytest.mark.parametrize("me", ["./run.sh", "batos"])
def test_the_help_of_the_launcher_and_of_the_chat_is_german(tmp_path, monkeypatch, me):
    monkeypatch.setattr(launch, "translate", DE)
    monkeypatch.setattr(slash, "translate", DE)
    shown = launch.describe(["--help"], me)
    shown += slash.SlashVerbs(tmp_path, Screen()).overview()
    assert f"{me} start " in shown
    assert "Alle Befehle:" in shown
    said = re.sub(r'"[^"]*"', "", shown)  # examples of sentences
    assert not re.search(r"\b(the|is|what|of|it)\b", said), shown
    assert max(map(cell_len, shown.splitlines())) <= 98


def test_notes_beside_an_answer_have_its_language():
    body = {"kind": "acted", "text": "Gut.", "undo": "mach das rückgängig", "language": "de"}
    assert [*notes_on(body, IN_CHAT)] == ["um es zurückzunehmen: „mach das rückgängig“"]
    body |= {"language": "en", "undo": "undo that"}
    assert [*notes_on(body, IN_CHAT)] == ['to take it back: "undo that"']


def test_an_error_within_an_answer_has_the_language_of_the_answer():
    assert text("de", "tools.failed", error="there is no object 'ann'") == (
        "Das ging nicht: es gibt kein Objekt 'ann'."
    )


def narrow(arguments, home, **environ):
    """Return what a verb writes to a terminal of 80 columns."""
    lines = "; ".join(f"os.environ[{key!r}] = {value!r}" for key, value in environ.items())
    words = [*arguments, "--home", str(home)]
    return on_terminal(
        f"import os, sys; {lines or 'pass'}; from bat_os.cli.main import main; main({words!r})", 80
    )


@pytest.mark.parametrize("language", ["en", "de"])
def test_doctor_and_help_fit_eighty_columns(tmp_path, language):
    for arguments in (["doctor", "--quick"], ["--help"], ["schedule", "--help"]):
        environ = {"LANGUAGE": language, "LC_ALL": "de_DE.UTF-8", "BATOS_HOME": str(tmp_path)}
        written = narrow(arguments, tmp_path, **environ).replace("\r\x1b[K", "\n")
        written = DRAWN.sub("", written).replace("\r\n", "\n")
        assert len(written.splitlines()) > 10
        wide = [line for line in written.splitlines() if cell_len(line) > 80]
        assert all(" " not in line.strip().rpartition("  ")[2] for line in wide), wide  # one word


def test_plain_output_has_no_colour_and_redraws_nothing(tmp_path):
    coloured = narrow(["doctor", "--quick"], tmp_path)
    assert "\x1b[" in coloured
    for arguments, environ in (
        (["doctor", "--quick", "--plain"], {}),
        (["--plain", "doctor", "--quick"], {}),
        (["doctor", "--quick"], {"NO_COLOR": "1"}),
    ):
        written = narrow(arguments, tmp_path, **environ).replace("\r\n", "\n")
        assert "\x1b" not in written
        assert "\r" not in written
        assert re.search(r"^ok +python", written, re.MULTILINE)


def draw_right_to_left():
    from bat_os.cli.console import Screen

    screen = Screen()
    screen.answer(HEBREW)
    screen.table([[HEBREW, ARABIC], ["a", "b"]], ("WHAT", "VALUE"))
    screen.note(f"{HEBREW}: {ARABIC}", as_is=True)
    screen.result({"result": {"text": HEBREW}, "selector": "say", "target": "x"})


def test_text_from_right_to_left_reaches_the_terminal_unbroken():
    code = "from tests.cli.test_language import draw_right_to_left as draw; draw()"
    written = DRAWN.sub("", on_terminal(code, 80)).replace("\r\n", "\n")
    assert written.count(HEBREW) == 4
    assert written.count(ARABIC) == 2
    assert "\\u" not in written  # letters are not spelt out; what turns other text around is
    rows = [line for line in written.splitlines() if ARABIC in line and HEBREW in line]
    assert all(cell_len(line) <= 80 for line in rows)


async def test_the_plain_chat_writes_right_to_left_and_no_spinner(tmp_path):
    async with Terminal(tmp_path, "--plain", HEBREW, columns=80, LANGUAGE="de") as terminal:
        await terminal.until("BAT OS")
        terminal.press("n\r")
        assert await terminal.end() == 3
        assert "\x1b" not in terminal.raw


def test_the_wheel_has_the_catalog():
    from hatchling.builders.wheel import WheelBuilder

    assert shutil.which  # the builder is pure Python
    files = {each.distribution_path for each in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert "bat_os/sentence/languages/wording.de.po" in files
