"""A model server that behaves as a model of 7B does, by script: mostly right, at times of no use.

It speaks OpenAI's interface on loopback, and knows the right steps of ``agent_cases.LONGER``.
Before a right decision it now and then gives one that nobody can use: a refusal, half of the JSON,
words around it, two calls at once, a tool that does not exist, a made-up argument.
"""

from __future__ import annotations

import contextlib
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

from benchmarks.agent_cases import LONGER

if TYPE_CHECKING:
    from collections.abc import Callable

MODEL: Final = "scripted-7b"
_STEP: Final = re.compile(r"^Step \d+: (.*?) (gave|failed), as data: (.*)$", re.MULTILINE)
_PATTERNS: Final = tuple(
    re.compile(re.escape(wish).replace(r"\{n\}", r"(?P<n>\S+?)", 1).replace(r"\{n\}", r"(?P=n)"))
    for wish, _ in LONGER
)
HABITS: Final = ("", "prose", "refusal", "", "half", "parallel", "unknown", "", "invented", "empty")


class AbleServer(ThreadingHTTPServer):
    """Answers on loopback.

    Args:
        native: It refuses ``response_format``, and calls the tools that it is offered.
        habits: How it answers, one decision after the other; "loop" always reads the same.
    """

    daemon_threads = True

    def __init__(self, *, native: bool = False, habits: tuple[str, ...] = HABITS) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.native = native
        self.habits = habits
        self.bodies: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        """Of the interface."""
        return f"http://127.0.0.1:{self.server_port}/v1"

    def decide(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return how it behaves now, and what it decides."""
        self.bodies.append(body)
        asked = body["messages"][-1]["content"]
        habit = self.habits[len(self.bodies) % len(self.habits)]
        if "Your last answer could not be used" in asked and habit != "loop":
            habit = ""
        found = re.search(r"^Request: (.*)$", asked, re.MULTILINE)
        given = [_value(said) for _, how, said in _STEP.findall(asked) if how == "gave"]
        return habit, right_decision(found[1] if found else "", given, habit)


def right_decision(request: str, given: list[Any], habit: str = "") -> dict[str, Any]:
    """Return the right step, or the answer, for one of the wishes."""
    for number, pattern in enumerate(_PATTERNS):
        if match := pattern.fullmatch(request):
            steps = [*given, None] if habit != "loop" else [None]
            return _KNOWN[number](match["n"], steps)
    return {"answer": "I do not know"}


def _value(said: str) -> Any:
    with contextlib.suppress(ValueError):
        return json.loads(said)
    return said


def _step(tool: str, **args: str) -> dict[str, Any]:
    return {"tool": f"files.{tool}", "args": args}


def _each(
    tool: str, finish: Callable[[list[str], list[Any]], Any]
) -> Callable[[str, list[Any]], dict[str, Any]]:
    """Return what asks for the names in a folder, then something of each file."""

    def decide(folder: str, given: list[Any]) -> dict[str, Any]:
        if given[0] is None:
            return _step("names", path=folder)
        files = [name for name in given[0] if not name.endswith("/")]
        got = given[1 : 1 + len(files)]
        if len(given) - 2 < len(files):
            return _step(tool, path=f"{folder}/{files[len(given) - 2]}")
        then = finish(files, got)
        if callable(then):
            return then(folder, given[1 + len(files) :])
        return {"answer": then}

    return decide


def _named(
    tool: str, names: tuple[str, str], finish: Callable[[list[Any]], Any]
) -> Callable[[str, list[Any]], dict[str, Any]]:
    def decide(folder: str, given: list[Any]) -> dict[str, Any]:
        if len(given) <= len(names):
            return _step(tool, path=f"{folder}/{names[len(given) - 1]}")
        return {"answer": finish(given[:-1])}

    return decide


def _follow(folder: str, given: list[Any]) -> dict[str, Any]:
    if given[0] is None:
        return _step("read", path=f"{folder}/index.txt")
    if given[1] is None:
        return _step("read", path=f"{folder}/{given[0].strip()}")
    return {"answer": given[1]}


def _look(word: str, last: Callable[[str], str]) -> Callable[[str, list[Any]], dict[str, Any]]:
    def decide(folder: str, given: list[Any]) -> dict[str, Any]:
        if given[0] is None:
            return _step("search", text=word, path=folder)
        if given[1] is None:
            hit = min(given[0], key=lambda one: one["path"])
            return _step("read", path=f"{folder}/{hit['path']}")
        return {"answer": last(given[1])}

    return decide


def _largest(files: list[str], facts: list[Any]) -> Any:
    path = _best(max, _bytes)(files, facts)

    def read(folder: str, given: list[Any]) -> dict[str, Any]:
        if given[0] is None:
            return _step("read", path=f"{folder}/{path}")
        return {"answer": given[0].splitlines()[0]}

    return read


def _best(choose: Callable[..., str], size: Callable[[Any], int]) -> Callable[..., str]:
    """Return what gives the name of the file whose size is the most or the least."""
    return lambda names, values: choose(names, key=lambda name: size(values[names.index(name)]))


def _bytes(facts: dict[str, Any]) -> int:
    return int(facts["bytes"])


_KNOWN: Final = (
    _each("read", _best(max, len)),
    _each("read", lambda _, texts: sum(len(text.split()) for text in texts)),
    _each("facts", _best(min, _bytes)),
    _each("facts", lambda _, facts: sum(map(_bytes, facts))),
    _follow,
    _named("read", ("todo.md", "jan.csv"), lambda texts: sum(len(t.splitlines()) for t in texts)),
    _named("facts", ("todo.md", "plan.md"),
           lambda facts: _best(max, _bytes)(["todo.md", "plan.md"], facts)),
    _look("bread", lambda text: text),
    _look("Ann", lambda text: text.partition("phone: ")[2].strip()),
    _each("facts", _largest),
)  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    server: AbleServer

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """List the one model."""
        self._give({"object": "list", "data": [{"id": MODEL, "owned_by": "script"}]})

    def do_POST(self) -> None:
        """Answer a chat."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.path.endswith("/chat/completions"):
            return self._give({"error": {"message": "no such path"}}, 404)
        if self.server.native and "response_format" in body:
            return self._give({"error": {"message": "response_format is not supported"}}, 400)
        habit, decision = self.server.decide(body)
        message = _call(habit, decision) if "tools" in body else _text(habit, decision)
        reason = "tool_calls" if "tool_calls" in message else "stop"
        choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
        return self._give({"object": "chat.completion", "model": MODEL, "choices": [choice]})

    def _give(self, answer: dict[str, Any], status: int = 200) -> None:
        raw = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


_UNKNOWN: Final = {"tool": "shell.run", "args": {"command": "ls"}}
_INVENTED: Final = {"tool": "files.read", "args": {"path": "/etc/hostname"}}
_REFUSAL: Final = "I'm sorry, but I cannot access files on your computer."


def _text(habit: str, decision: dict[str, Any]) -> dict[str, Any]:
    """Return a message in which the decision stands as text, as the habit has it."""
    said = json.dumps(decision)
    return {
        "content": {
            "prose": f"Sure! Here is the next step:\n```json\n{said}\n```\nLet me know.",
            "refusal": _REFUSAL, "half": said[: len(said) // 2], "empty": "",
            "parallel": f"{said}\n{json.dumps(_step('names', path='.'))}",
            "unknown": json.dumps(_UNKNOWN), "invented": json.dumps(_INVENTED),
        }.get(habit, said)
    }  # fmt: skip


def _call(habit: str, decision: dict[str, Any]) -> dict[str, Any]:
    """Return a message that calls tools, as the habit has it."""
    if habit in ("refusal", "empty"):
        return {"content": _REFUSAL if habit == "refusal" else ""}
    decision = {"unknown": _UNKNOWN, "invented": _INVENTED}.get(habit, decision)
    calls = [decision, _step("names", path=".")] if habit == "parallel" else [decision]
    made = [_as_call(number, one, cut=habit == "half") for number, one in enumerate(calls)]
    return {"content": "I will use a tool." if habit == "prose" else None, "tool_calls": made}


def _as_call(number: int, decision: dict[str, Any], *, cut: bool) -> dict[str, Any]:
    name = str(decision.get("tool", "answer")).replace(".", "__")
    args = json.dumps(decision.get("args", decision))
    function = {"name": name, "arguments": args[: len(args) // 2] if cut else args}
    return {"index": number, "id": f"call_{number}", "type": "function", "function": function}
