"""What people get for ordinary requests: right, wrong, asked, refused, and how long it took.

    python benchmarks/everyday.py [--cases FILE] [--only CATEGORY] [--limit N] [--json FILE]

Starts a daemon with the shipped default on a fresh home, without a network, and says each turn
through the one-shot client. The cases share the home, in the order of their file. They were
written without a look at what the program knows, and are not for training.

A case is a JSON line: id, category, language, turns, and ``today`` if its answer depends on the
day. Each turn has what is said (``say``), the kinds of replies that serve (``kinds``) and what
the answer has to hold: a ``value`` and how far a number may be off (``near``), or a ``check`` in
Python over the names in ``Words.names``. ``exact`` compares letters as they are, ``without`` are
words that must not be there, ``learn: false`` means that nothing may be learned. With ``expr``
the value is worked out for the day of the run; ``value`` is then the one of ``today``.

    right    the kind serves, and the answer holds
    honest   it asked or was unable where that serves
    wrong    an answer that does not hold, or something learned from what teaches nothing
    guess    a guess that does not hold: it said that nobody has checked it
    open     it asked or was unable where an answer was wanted
    late     past the limit, or an error

"good" is right and honest together. A client that reports a status and no kind counts as one
that asserts what it answers. Seconds are those of the client, its start included.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections import Counter
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.mission import start, stop, until  # noqa: E402 - runs from a checkout

CASES = ROOT / "tests" / "cases" / "requests.jsonl"
CLIENT = ROOT / "chat_client.py"
LIMIT = 60.0  # seconds for a turn
VERDICTS = ("right", "honest", "wrong", "guess", "open", "late")
# What a client without kinds says: error codes, and the status of a greeting and the like.
UNABLE = (
    "NOT_UNDERSTOOD", "SANDBOX_FAILED", "AUDIT_REJECTED", "UNSURE", "NOT_FOUND", "NOT_POSSIBLE",
    "REFUSED", "INVALID_ARGS", "NOT_SERIALIZABLE", "MODEL_UNAVAILABLE",
)  # fmt: skip
TALK = "talk"
MOST_OTHERS = 6  # numbers in an answer that are neither the right one nor in the question
MONTHS = (
    "jan|ene", "feb|fev", "mar", "apr|abr|avr", "may|mai", "jun|juin", "jul|juil",
    "aug|aou|ago", "sep", "oct|okt", "nov", "dec|dez|dic",
)  # fmt: skip
DIGITS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5,
    "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
}  # fmt: skip
_NUMBER = re.compile(r"(?<![\w.,])-?\d+(?:[.,'\u00a0\u202f]\d{3})*(?:[.,]\d+)?(?!\d)")


@dataclass(frozen=True)
class Reply:
    """What the client said: a kind of reply, or ``late`` or ``error``."""

    kind: str
    text: str = ""
    value: Any = None
    learned: bool = False
    seconds: float = 0.0


class Words:
    """The text of an answer as the checks see it.

    Args:
        text: The answer.
        said: The question; its numbers are no news.
        value: The answer as data, where there is any.
        now: When it was asked.
    """

    def __init__(self, text: str, said: str, value: Any, now: datetime) -> None:
        self.text, self.said, self.value, self.now = text, said, value, now
        self.folded = fold(text)

    @cached_property
    def numbers(self) -> list[float]:
        """All numbers of the answer in their likeliest reading."""
        return [readings(one)[0] for one in find_numbers(self.text)]

    @cached_property
    def fresh(self) -> list[float]:
        """The numbers that the question does not have."""
        known = {one for found in find_numbers(self.said) for one in readings(found)}
        return [one for one in self.numbers if one not in known]

    def names(self) -> dict[str, Any]:
        """Return what a check may use."""
        return {
            "text": self.text, "folded": self.folded, "value": self.value, "now": self.now,
            "numbers": self.numbers, "fresh": self.fresh, "near": self.near, "has": self.has,
            "whole": self.whole, "says_date": self.says_date, "says_time": self.says_time,
            "yes": self.has("yes|true|ja|oui|si"), "re": re,
            "no": self.has("no|not|false|nein|nicht|non|isn't"),
        }  # fmt: skip

    def has(self, words: str) -> bool:
        """Say whether one of ``a|b`` is there as a word; ``a*`` is the beginning of one."""
        return any(_find(self.folded, fold(one)) >= 0 for one in words.split("|"))

    def near(self, expected: float, off: float = 0.005) -> bool:
        """Say whether a number is there, in any notation, and few others."""
        found = find_numbers(self.text)
        hit = any(abs(one - expected) <= off for word in found for one in readings(word))
        return hit and len(self.fresh) <= MOST_OTHERS + 1

    def whole(self, low: int, high: int, count: int) -> bool:
        """Say whether there are so many whole numbers, all within the bounds."""
        found = self.numbers if len(self.numbers) == count else self.fresh
        return len(found) == count and all(n == int(n) and low <= n <= high for n in found)

    def says_date(self, month: int, day: int, year: int = 0) -> bool:
        """Say whether a day is named: as 2026-04-06, 6.4., 4/6, 6 April or April 6th."""
        years = {int(one[0]) for one in re.findall(r"\b(\d{4})(-\d\d-\d\d)?\b", self.folded)}
        if year and years and year not in years:
            return False
        name = rf"(?:{MONTHS[month - 1]})[a-z]*\.?"
        return any(
            re.search(pattern, self.folded)
            for pattern in (
                rf"\b\d{{4}}-0?{month}-0?{day}\b",
                rf"(?<![\d./])0?{day}[./]\s?0?{month}\b",
                rf"(?<![\d./])0?{month}/0?{day}\b",
                rf"(?<!\d)0?{day}(?:st|nd|rd|th|er|\.)? (?:of |de )?{name}",
                rf"\b{name} (?:the )?0?{day}(?!\d)",
            )
        )

    def says_time(self, moment: datetime, off: int = 0) -> bool:
        """Say whether a time of the day is named, up to so many minutes off."""
        wanted = moment.hour * 60 + moment.minute
        for hour, minute, half in re.findall(
            r"(?<![\d:])(\d{1,2})(?:[:.h]| uhr )(\d\d)(?!\d)(?::\d\d)? ?([ap]\.?m)?", self.folded
        ):
            hours = int(hour) % 12 + 12 * (half[0] == "p") if half else int(hour)
            apart = abs(hours * 60 + int(minute) - wanted)
            if min(apart, 1440 - apart) <= off:
                return True
        return False


def fold(text: str) -> str:
    """Return a text in lower case, without accents and with single blanks."""
    plain = unicodedata.normalize("NFKD", text.replace("\u2019", "'"))
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    return re.sub(r"\s+", " ", plain).strip().lower()


def find_numbers(text: str) -> list[str]:
    """Return the numbers of a text as they are written; small ones may be words."""
    spelled = re.sub(r"[A-Za-z]+", lambda hit: str(DIGITS.get(hit[0].lower(), hit[0])), text)
    spelled = re.sub(r"(?<=\d)(?=[a-zA-Z°])|(?<=[a-zA-Z$£€¥])(?=\d)", " ", spelled)
    return _NUMBER.findall(spelled)


def readings(number: str) -> list[float]:
    """Return what a written number can mean, the likeliest first.

    >>> readings("1,234"), readings("1.234,5"), readings("-7.5")
    ([1234.0, 1.234], [1234.5], [-7.5])
    """
    digits = re.sub(r"['\u00a0\u202f]", "", number)
    marks = re.findall(r"[.,]", digits)
    if len(set(marks)) > 1:  # the last of the two is the decimal one
        return [float(digits.replace(marks[0], "").replace(",", "."))]
    if len(marks) > 1:
        return [float(re.sub(r"[.,]", "", digits))]
    decimal = float(digits.replace(",", "."))
    if marks and re.search(r"[.,]\d{3}$", digits):
        thousands = float(re.sub(r"[.,]", "", digits))
        return [thousands, decimal] if marks == [","] else [decimal, thousands]
    return [decimal]


def _find(text: str, word: str, begin: int = 0) -> int:
    """Return where a word ends in a text, from ``begin`` on, or -1."""
    ending = "" if word.endswith("*") else r"(?!\w)(?![.,]\d)"
    pattern = rf"(?<!\w)(?<!\d[.,]){re.escape(word.rstrip('*'))}{ending}"
    found = re.compile(pattern).search(text, begin)
    return found.end() if found else -1


# --- judging ------------------------------------------------------------------------------


def judge(turn: dict[str, Any], reply: Reply, now: datetime) -> str:
    """Return the verdict on one turn."""
    if reply.kind in ("late", "error"):
        return "late"
    if reply.learned and not turn.get("learn", True):
        return "wrong"
    if reply.kind in ("asked", "unable"):
        return "honest" if reply.kind in turn["kinds"] else "open"
    kinds = {*turn["kinds"], "guess"} if "computed" in turn["kinds"] else turn["kinds"]
    if reply.kind in kinds and holds(turn, reply, now):
        return "right"
    return "guess" if reply.kind == "guess" else "wrong"


def holds(turn: dict[str, Any], reply: Reply, now: datetime) -> bool:
    """Say whether an answer has what was expected, in its words or as its bare value."""
    bare = reply if reply.value is None else replace(reply, text=show_value(reply.value))
    return any(_is_in(turn, one, now) for one in (reply, bare))


def _is_in(turn: dict[str, Any], reply: Reply, now: datetime) -> bool:
    """Say whether a text has what was expected; the question again never has."""
    words = Words(reply.text, turn["say"], reply.value, now)
    exact = turn.get("exact", False)
    if words.folded in ("", "null") or reply.text.strip() == turn["say"]:
        return False
    if not exact and words.folded == fold(turn["say"]):
        return False
    if any(words.has(one) for one in turn.get("without", ())):
        return False
    if "check" in turn and not bool(eval(turn["check"], words.names())):  # noqa: S307 - own checks
        return False
    return "value" not in turn or has_value(words, expected(turn, now), turn)


def expected(turn: dict[str, Any], now: datetime) -> Any:
    """Return the value that is right at that moment."""
    if "expr" not in turn:
        return turn["value"]
    today = now.date()
    names = {
        "today": today, "timedelta": timedelta, "weekday": lambda day: f"{day:%A}",
        "next_day": lambda month, day: next_day(today, month, day),
    }  # fmt: skip
    found = eval(turn["expr"], names)  # noqa: S307 - this project's own
    return found.isoformat() if isinstance(found, date) else found


def next_day(today: date, month: int, day: int) -> date:
    """Return the next such day of the calendar, which may be today."""
    this = date(today.year, month, day)
    return this if this >= today else date(today.year + 1, month, day)


def has_value(words: Words, value: Any, turn: dict[str, Any]) -> bool:
    """Say whether a value is in an answer, whatever is said around it."""
    names = words.names()
    if isinstance(value, bool):
        return names["yes" if value else "no"] and not names["no" if value else "yes"]
    if isinstance(value, int | float):
        return words.near(value, turn.get("near", 0.005))
    if isinstance(value, list):
        return _are_in_order(words.folded, [fold(str(one)) for one in value])
    if turn.get("exact"):
        return value in words.text
    return _names(words, value)


def _are_in_order(text: str, items: list[str]) -> bool:
    place = 0
    for one in items:
        place = _find(text, one, place)
        if place < 0:
            return False
    return True


def _names(words: Words, value: str) -> bool:
    """Say whether a day, a time of the day or a word is named."""
    if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        day = date.fromisoformat(value)
        return words.says_date(day.month, day.day, day.year)
    if re.fullmatch(r"\d\d:\d\d", value):
        return words.says_time(datetime.fromisoformat(f"2000-01-01T{value}"))
    return words.has(value)


# --- asking -------------------------------------------------------------------------------


def read_reply(status: int | None, stdout: str, seconds: float) -> Reply:
    """Return what the client's exit status and output say; ``status`` None: past the limit."""
    if status is None:
        return Reply("late", seconds=seconds)
    body: Any = None
    for line in stdout.splitlines():
        with contextlib.suppress(ValueError):
            body = json.loads(line)
    if not isinstance(body, dict):
        return Reply("error", stdout.strip(), seconds=seconds)
    if isinstance(error := body.get("error"), dict):
        code = str(error.get("code", ""))
        kind = "late" if code == "DEADLINE" else "error"
        kind = "unable" if code in UNABLE else kind
        kind = "asked" if code.endswith("_WANTED") or code == "AMBIGUOUS" else kind
        return Reply(kind, f"{code} {error.get('message', '')}", seconds=seconds)
    value = body.get("value") if "kind" in body else body.get("result")
    shown = show_value(value)
    learned = bool(body.get("learned"))
    if "kind" in body:
        text = str(body.get("text") or shown)
        return Reply(str(body["kind"]), text, value, learned, seconds)
    kind = "said" if body.get("status") == TALK else "computed"
    printed = str(body.get("printed") or "").strip()
    return Reply(kind, f"{printed} {shown}".strip(), value, learned, seconds)


def show_value(value: Any) -> str:
    """Return a value as a client would write it on one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def ask(home: Path, said: str, session: list[str], limit: float) -> Reply:
    """Say one sentence through the one-shot client; past the limit it is interrupted."""
    command = [sys.executable, str(CLIENT), "--json", "--home", str(home), *session, "--", said]
    started = time.perf_counter()
    client = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    status: int | None
    try:
        stdout, _ = client.communicate(timeout=limit)
        status = client.returncode
    except subprocess.TimeoutExpired:
        client.send_signal(signal.SIGINT)  # it withdraws its mission
        stdout, status = "", None
        try:
            client.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            client.kill()
            client.communicate()
    return read_reply(status, stdout, time.perf_counter() - started)


def has_sessions() -> bool:
    """Say whether the client keeps a conversation under a name."""
    told = subprocess.run(
        [sys.executable, str(CLIENT), "--help"], check=True, capture_output=True, text=True
    )
    return "--session" in told.stdout


def run(home: Path, cases: list[dict[str, Any]], limit: float) -> list[dict[str, Any]]:
    """Say all turns, one after the other; return a record for each. Ctrl-C ends it early."""
    records: list[dict[str, Any]] = []
    keeps = has_sessions()
    with contextlib.suppress(KeyboardInterrupt):
        for case in cases:
            session = ["--session", case["id"]] if keeps else []
            for turn in case["turns"]:
                reply = ask(home, turn["say"], session, limit)
                verdict = judge(turn, reply, datetime.now().astimezone())
                about = {key: case[key] for key in ("id", "category", "language")}
                records.append({**about, "say": turn["say"], "verdict": verdict, **asdict(reply)})
                shown = f"{turn['say'][:48]!r} -> {reply.kind} {reply.text[:60]!r}"
                print(
                    f"{case['id']:<10}{verdict:<7}{reply.seconds:6.2f} s  {shown}",
                    file=sys.stderr, flush=True,
                )  # fmt: skip
    return records


# --- telling ------------------------------------------------------------------------------


def show(records: list[dict[str, Any]]) -> None:
    """Print the table: categories, languages, all."""
    heads = "".join(f"{head:>8}" for head in ("good", *VERDICTS, "p50 s", "p95 s"))
    print(f"\n{'turns':<20}{'n':>5}{heads}")
    for key in ("category", "language"):
        for name in dict.fromkeys(one[key] for one in records):
            _show_row(name, [one for one in records if one[key] == name])
        print()
    _show_row("all", records)


def _show_row(name: str, group: list[dict[str, Any]]) -> None:
    counts = Counter(one["verdict"] for one in group)
    good = (counts["right"] + counts["honest"]) / len(group)
    seconds = sorted(one["seconds"] for one in group)
    p50, p95 = (seconds[min(int(len(group) * part), len(group) - 1)] for part in (0.5, 0.95))
    cells = "".join(f"{counts[one] or '-':>8}" for one in VERDICTS)
    print(f"{name:<20}{len(group):>5}{good:>8.0%}{cells}{p50:>8.2f}{p95:>8.2f}")


def read_cases(path: Path, only: list[str], limit: int) -> list[dict[str, Any]]:
    """Return the cases of some categories, or all; with a limit, spread over the file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    cases = [json.loads(line) for line in lines if line.strip()]
    cases = [one for one in cases if not only or one["category"] in only]
    if 0 < limit < len(cases):
        cases = [cases[at * len(cases) // limit] for at in range(limit)]
    return cases


def main() -> int:
    """Ask, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=Path, default=CASES)
    parser.add_argument("--only", action="append", default=[], metavar="CATEGORY")
    parser.add_argument("--limit", type=int, default=0, help="so many cases, spread over the file")
    parser.add_argument("--seconds", type=float, default=LIMIT, help="that a turn may take")
    parser.add_argument("--json", type=Path, help="write a record of each turn to this file")
    options = parser.parse_args()
    cases = read_cases(options.cases, options.only, options.limit)
    if not cases:
        parser.error("no such cases")
    for name in [one for one in os.environ if one.startswith("BATOS_")]:
        del os.environ[name]  # the shipped default
    # Whatever looks for the network finds a closed port.
    os.environ.update(dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9"))
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="batos-bench-") as folder:
        home = Path(folder) / "home"
        kernel = start(home)
        try:
            asyncio.run(until(home, "ready"))
            records = run(home, cases, options.seconds)
        finally:
            stop(kernel)
    if options.json:
        options.json.write_text(json.dumps(records, ensure_ascii=False, indent=1) + "\n")
    if records:
        show(records)
    print(f"{os.cpu_count()} cores; load before {load:.1f}, after {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
