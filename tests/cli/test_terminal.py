"""bat_os.cli.terminal: whatever a text holds, a terminal shows it and does not obey."""

import ast
import asyncio
import contextlib
import inspect
import json
import logging
import os
import pty
import re
import subprocess
import sys
import tempfile

import pytest

from bat_os.app.logs import Journal
from bat_os.cli.terminal import LogFormatter
from bat_os.core.fields import schema_of
from bat_os.core.printable import CONTROL, show_control
from bat_os.errors import ArgumentsError
from tests.forks import PYTHON
from tests.kernels import ROOT

BIDI = "".join(map(chr, [0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]))
HOSTILE = (
    f"A\x1b]0;OWNED\x07\x1b[2J\x9b1A[link=http://evil]B[/link][red]\rC\x08\x7f\x85{BIDI}\u2028Z"
)
DRAWN = re.compile(  # what the client itself sends: colours, a line rewritten, a hidden cursor
    r"\x1b\[[0-9;]*m|\r\x1b\[K|\r?\x1b\[2K|\x1b\[1A|\x1b\[\?25[lh]|\r(?=\x1b\[)"
)


class Anything(str):
    """A hostile text that is also a map of such texts, for fields that may hold anything."""

    def __getitem__(self, key):
        return Anything(HOSTILE) if isinstance(key, str) else str.__getitem__(self, key)

    def __iter__(self):
        return iter([Anything(HOSTILE)] * 2)

    def __format__(self, form):
        return format(1.0 if form.endswith("f") else str(self), form)

    def get(self, _key, _default=None):
        return Anything(HOSTILE)

    def items(self):
        return {HOSTILE: Anything(HOSTILE)}.items()

    def keys(self):
        return [HOSTILE]

    def values(self):
        return [Anything(HOSTILE)]


class Body(dict):
    """A map that has further fields, hostile ones, wherever a renderer looks for one."""

    def __missing__(self, key):
        return Anything(HOSTILE)


def make(schema):
    """Return a value of a schema in which every text, and every key of a map, is hostile."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "any")
    kind = kind if isinstance(kind, str) else kind[0]
    if kind == "array":
        return [make(schema.get("items", {}))] * 2
    if kind == "object":
        fields = schema.get("properties") or {HOSTILE: {}}
        return Body({name: make(inner) for name, inner in fields.items()})
    texts = {"string": HOSTILE, "any": Anything(HOSTILE)}
    return texts.get(kind) or {"integer": 1, "number": 1.0, "boolean": True}[kind]


TABLE = [{HOSTILE: HOSTILE, "b": 2}, {HOSTILE: 3, "b": HOSTILE}]
SCREEN = {
    "answer": [(HOSTILE,)],
    "say": [(HOSTILE,)],
    "table": [([[HOSTILE, 1]], (HOSTILE, "b")), ([[HOSTILE * 9, 1]] * 2, (HOSTILE * 3, HOSTILE))],
    "code": [(HOSTILE,)],
    "data": [({HOSTILE: [HOSTILE]},)],
    "piece": [(HOSTILE,)],
    "draft": [(HOSTILE,)],
    "note": [(HOSTILE,), (HOSTILE, "yellow")],
    "event": [("event", {"state": HOSTILE, "persona": HOSTILE, "does": HOSTILE}, 1.0),
              ("event", {"state": "failed", "detail": {"reason": HOSTILE}}, 1.0),
              ("event", {"detail": {"queries": [HOSTILE]}}, 1.0)],
    "result": [({"result": value, "printed": HOSTILE, "target": HOSTILE, "selector": HOSTILE,
                 "status": HOSTILE, "kwargs": {HOSTILE: HOSTILE}, "why": HOSTILE},)
               for value in (HOSTILE, TABLE, [HOSTILE] * 9, {HOSTILE: [HOSTILE] * 9}, HOSTILE * 9)],
    "error": [({"code": HOSTILE, "message": HOSTILE},), ({"code": "BUSY", "message": HOSTILE},)],
}  # fmt: skip
# Values of fields that a renderer takes apart, where the notation of replies says too little.
PARTS = {
    "doctor": {"checks": [{"name": HOSTILE, "state": "broken", "found": HOSTILE,
                           "advice": HOSTILE}]},
    "ask": {"kind": "guess", "choices": [HOSTILE], "undo": HOSTILE,
            "sources": [{"kind": "fact", "title": HOSTILE, "text": f"{HOSTILE} more", "at": 1}]},
    "restore": {"objects": {HOSTILE: 1}},
    "cluster": {"waits": [1.0, 1.0, 1.0]},
    "chronicle": {"chronicle": [{"kind": "archive", "at": 1, "file": HOSTILE, "reason": HOSTILE},
                                {"kind": "fork", "at": 1, "name": HOSTILE, "tid": HOSTILE},
                                {"kind": HOSTILE, "at": 1, "before": 1, "after": 1, "days": 1}]},
    "forks": {"forks": [{"name": HOSTILE, "made": 1, "running": HOSTILE, "bytes": 1,
                         "home": HOSTILE}]},
    "space": {"kinds": {HOSTILE: {"objects": HOSTILE, "bytes": 1}}, "forks": [{"bytes": 1}],
              "history": 1, "file": 1, "free": 1,
              "blobs": {"files": HOSTILE, "bytes": 1},
              "policy": {"auto": True, "floor": 1, "days": 1.0}},
    "keys": {"server": HOSTILE, "allowed": {HOSTILE: HOSTILE}},
    "talks": {"talks": [{"asked": 1, "question": HOSTILE,
                         "answers": [{"persona": HOSTILE, "text": HOSTILE}]}]},
}  # fmt: skip


def draw_all():
    """Run each renderer of the command line with hostile text; in a process on a terminal."""
    from bat_os.cli.console import Screen
    from bat_os.cli.terminal import guard_streams
    from bat_os.cli.verbs import COMMANDS, make_parser
    from bat_os.core.verbs import COMMANDS as VERBS

    guard_streams()
    for as_json, plain in ((False, False), (False, True), (True, False)):
        screen = Screen(as_json=as_json, plain=plain)
        for name, calls in SCREEN.items():
            for given in calls:
                getattr(screen, name)(*given)
    screen = Screen()
    drawn = []
    for name, command in COMMANDS.items():
        reply = make(schema_of(VERBS[name].prints or VERBS[name].reply))
        body = Body(reply | PARTS.get(name, {}))
        command.show(body, screen)
        drawn.append(name)
    draw_progress(screen)
    asyncio.run(draw_waiting(screen))
    print(HOSTILE)  # noqa: T201 - what is tried
    print(HOSTILE, file=sys.stderr)  # noqa: T201 - what is tried
    with contextlib.suppress(ArgumentsError, SystemExit):
        make_parser().read([HOSTILE])
    print(f"END {json.dumps(drawn)}")  # noqa: T201 - what the test reads
    raise ValueError(HOSTILE)  # the traceback is Python's own


def draw_progress(screen):
    from bat_os.cli.progress import Progress

    with Progress(screen, 2) as bar:
        bar.show(HOSTILE, HOSTILE)
        bar.say(HOSTILE)
        bar.done(HOSTILE)
        bar.begin(HOSTILE)
        bar.hear("event", {"text": HOSTILE, "done": 1, "total": 2})
        bar.end()


async def draw_waiting(screen):
    from bat_os.cli.chat.waiting import Waiting

    with Waiting(screen) as waiting:
        waiting._come_alive()
        waiting.show("event", {"text": HOSTILE, "expected": 5})
        waiting.show("accepted", {"awakening": HOSTILE})
        waiting.show("event", {"text": HOSTILE, "persona": HOSTILE, "begins": True})
        waiting._pulse._live.refresh()
        waiting.show(
            "event",
            {"state": "decomposing", "detail": {"goal": HOSTILE}, "does": HOSTILE,
             "persona": HOSTILE},
        )  # fmt: skip


def on_terminal(code, columns=100):
    """Return what a process writes to its terminal."""
    master, slave = pty.openpty()
    environ = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns)}
    environ.pop("NO_COLOR", None)
    with tempfile.TemporaryFile() as kept:
        child = subprocess.Popen(
            [PYTHON, "-c", code], stdin=slave, stdout=slave, stderr=slave, cwd=ROOT, env=environ
        )
        os.close(slave)
        while True:
            try:
                data = os.read(master, 65536)
            except OSError:
                break
            if not data:
                break
            kept.write(data)
        child.wait()
        os.close(master)
        kept.seek(0)
        return kept.read().decode()


@pytest.mark.parametrize("columns", [100, 24])
def test_no_renderer_lets_a_text_through_that_a_terminal_obeys(columns):
    written = on_terminal("from tests.cli.test_terminal import draw_all; draw_all()", columns)
    rest = DRAWN.sub("", written.replace("\r\n", "\n"))
    found = CONTROL.search(rest)
    assert not found, rest[max(found.start() - 300, 0) : found.end() + 20]
    assert "http://evil" in rest  # as the text that it is
    from bat_os.cli.verbs import COMMANDS

    last = re.search(r"END (\[.*?\])", re.sub(r"\s+", " ", rest))
    assert last, rest[-1500:]  # a renderer failed: give it in PARTS what it takes apart
    assert json.loads(last[1]) == list(COMMANDS)
    assert "ValueError" in rest[rest.rindex("END") :]


def test_the_terminal_of_these_tests_would_show_a_leak():
    written = on_terminal(f"print({HOSTILE!r})")
    assert CONTROL.search(DRAWN.sub("", written.replace("\r\n", "\n")))


def test_every_way_out_of_a_screen_is_among_those_that_are_tried():
    from bat_os.cli.console import Screen

    public = {name for name, _ in inspect.getmembers(Screen, inspect.isfunction) if name[0] != "_"}
    assert public == set(SCREEN)


def test_only_what_draws_goes_behind_the_guard_or_makes_a_console():
    drawing = {"cli/canvas.py", "cli/progress.py", "cli/chat/editor.py"}
    package = ROOT / "bat_os"
    behind, consoles = set(), set()
    for path in package.rglob("*.py"):
        names = {
            getattr(node.func, "id", getattr(node.func, "attr", ""))
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call)
        }
        where = str(path.relative_to(package))
        behind |= {where} if names & {"unguarded", "create_output"} else set()
        consoles |= {where} if names & {"Console", "print_formatted_text"} else set()
    assert behind == drawing
    assert consoles == set()


def test_every_program_guards_its_streams():
    for path in (ROOT / "bat_os/cli").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.name in ("main.py", "watchdog.py", "entry.py"):
            assert "    return run_guarded(" in text, path


def test_the_line_editor_shows_no_name_that_turns_the_line():
    code = (
        "from bat_os.cli.chat.editor import _make_output as make; from tests.cli.test_terminal"
        " import HOSTILE; out = make();"
        " out.write(HOSTILE); out.write('\\r\\n'); out.write('B'); out.flush()"
    )
    written = on_terminal(code)
    assert not CONTROL.search(written.replace("\r", ""))
    assert written.endswith("\r\nB")


@pytest.mark.parametrize("char", HOSTILE)
def test_text_of_json_stays_json_when_it_is_made_safe(char):
    line = json.dumps({"a": char}, ensure_ascii=False)
    assert json.loads(show_control(line)) == {"a": char}


def test_a_record_of_the_log_is_one_line_whatever_it_names():
    formatter = LogFormatter("%(levelname)s %(name)s: %(message)s")
    forged = f"x\n2026-11-22 INFO kernel: all is well\r{HOSTILE}"
    error = ValueError(forged)
    found = ValueError, error, None
    record = logging.LogRecord("k", 40, "f", 1, "request %s", (forged,), found)
    first, *rest = formatter.format(record).split("\n")
    assert first.startswith(r"ERROR k: request x\n2026")
    assert rest
    assert all(line.startswith("    ") for line in rest)
    assert not CONTROL.search(first + "".join(rest))


async def test_the_journal_holds_no_control_character_and_the_same_event(tmp_path):
    journal = Journal(tmp_path / "j.jsonl")
    journal.write({"text": HOSTILE, "more": "ümlaut"})
    await journal.close()
    text = await asyncio.to_thread((tmp_path / "j.jsonl").read_text, encoding="utf-8")
    assert not CONTROL.search(text)
    assert "ümlaut" in text
    assert json.loads(text) == {"text": HOSTILE, "more": "ümlaut"}
