"""How often the right tool is chosen, its arguments filled, and a wish about files answered.

python -m benchmarks.agent                    all figures, with a daemon of its own: minutes
python -m benchmarks.agent --only tools       one part: tools, methods, attacks, able, wishes, ...
python -m benchmarks.agent --home HOME        the wishes by the daemon of that home
python -m benchmarks.agent --others PYTHON    also the longer wishes by smolagents' two agents, on
                                              the default model; ``agent_others.py`` says how

Tools are ranked by MiniLM; where none leads, the default model says how likely the request is.
``agent_cases.py`` and ``agent_later.py`` say what each set of requests is.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bat_os.client.client import KernelClient
from bat_os.engines.gguf import packaged_gguf
from bat_os.engines.llamacpp import LlamaCppEngine
from bat_os.engines.minilm import MiniLmEmbedder, packaged_minilm
from bat_os.errors import KernelUnreachableError
from bat_os.image.quotes import ask
from bat_os.kernel.agent.arguments import fill
from bat_os.kernel.agent.choosing import (
    NEAR,
    SURE,
    Offer,
    compared,
    context_of,
    lead,
    plain,
    rank,
    things_in,
    weigh,
)
from bat_os.kernel.agent.distil import distil
from bat_os.kernel.agent.phrases import own_words
from bat_os.ports import Prompt, Sampling
from bat_os.sentence.reading import read_sentence
from benchmarks.agent_cases import FRESH, KNOWN, LONGER, NEW, OTHER, OTHER_TOOLS, TOOLS
from benchmarks.agent_later import LAST, LAST_TOOLS, LATER, LATER_TOOLS
from benchmarks.mission import start, stop, until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bat_os.kernel.agent.choosing import Ranked
    from bat_os.sentence.reading import Sentence
    from benchmarks.agent_cases import Request

NOW: Final = dt.datetime(2026, 11, 24, 10, tzinfo=dt.UTC)  # when the requests are made
ROOT: Final = Path(__file__).parents[1]
CHANGES: Final = frozenset(
    {
        *("remember", "write_file", "remind", "send_mail"),
        *("add_event", "play_music", "set_light", "start_timer"),
        *("book_table", "add_expense", "set_heating", "resize_image", "lock_door"),
        *("extend_loan", "order_taxi", "report_bug", "log_workout", "print_document"),
    }
)
FILES: Final = {
    "todo.md": "buy milk\ncall Ann at 5\nwater the plants\n", "plan.md": "milk and bread\n",
    "jan.csv": "day,km\n1,5\n2,7\n", "card.txt": "name: Ann\nphone: 555 0199\n",
    "index.txt": "plan.md\n", "sub/deep.txt": "a deep one\n",
}  # fmt: skip
# One step each; what the value of the answer has to be, or have.
WISHES: Final[tuple[tuple[str, Any], ...]] = (
    ("how large is {n}/todo.md?", 40), ("how many bytes has {n}/plan.md?", 15),
    ("what is the size of {n}/card.txt?", 26), ("when was {n}/todo.md changed?", "202"),
    ("when did I edit {n}/plan.md last?", "202"), ("how old is {n}/card.txt?", "202"),
    ("find the files in {n} that end in .md", "plan.md"),
    ("which files in {n} end in .csv?", "jan.csv"),
    ("look for the word bread in {n}", "plan.md"), ("search {n} for 'Ann'", "card.txt"),
    ("which files in {n} mention milk?", "todo.md"), ("where does {n} say 'plants'?", "todo.md"),
    ("list the files in {n}", "todo.md"), ("what is in the folder {n}/sub?", "deep.txt"),
    ("show me {n}/plan.md", "milk and bread"), ("what is written in {n}/card.txt?", "555 0199"),
    ("open {n}/index.txt", "plan.md"), ("print the file {n}/todo.md", "water the plants"),
    ("when was the file {n}/jan.csv modified?", "202"), ("name all files in {n}", "jan.csv"),
)  # fmt: skip


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, help="of a daemon that runs (default: a fresh one)")
    parser.add_argument("--others", type=Path, help="an interpreter that has smolagents")
    parser.add_argument("--seconds", type=int, default=60, help="for a wish of the others")
    parser.add_argument("--only", choices=[*PARTS, "wishes", *OTHERS], help="this part alone")
    options = parser.parse_args()
    for name, part in PARTS.items():
        if options.only in (None, name):
            part()
    if options.only in (None, "wishes"):
        ask_daemon(options.home)
    for kind in OTHERS:
        if options.others is not None and options.only in (None, kind):
            others(options.others, kind, options.seconds)
    if options.others is None:
        print("smolagents: skipped; --others names an interpreter that has it")
    return 0


def ask_daemon(home: Path | None) -> None:
    """Print what a daemon answers: that of a home, or one that is started for it."""
    if home is not None:
        asyncio.run(wishes(home))
        return
    with tempfile.TemporaryDirectory(prefix="batos-home-") as name:
        kernel = start(Path(name))
        try:
            asyncio.run(until(Path(name), "ready"))
            asyncio.run(wishes(Path(name)))
        finally:
            stop(kernel)


def methods() -> None:
    """Print how many traces become a method that gives the answer of the trace."""
    from tests.kernel.agent.test_distil import JUDGED, TRACES, run  # needs the test's packages

    right = wrong = 0
    for request, params, steps, answer in TRACES.values():
        source = distil("do_it", params, steps, answer, request).source
        good = bool(source) and run(source, "do_it", params, steps) == answer
        right, wrong = right + good, wrong + (bool(source) and not good)
    for request, params, steps, answer in JUDGED.values():
        wrong += bool(distil("do_it", params, steps, answer, request).source)
    print(f"methods of traces: {right}/{len(TRACES)} (aim: 24 of 30), {wrong} wrong ones (aim: 0)")


def held(what: str, name: str, aim: int) -> None:
    """Print how many tests of the agent pass whose names are like this."""
    tests = ["-q", "-p", "no:cacheprovider", "tests/kernel/agent", "-k", name]
    command = [sys.executable, "-m", "pytest", *tests]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    passed = re.search(r"(\d+) passed", done.stdout)
    print(f"{what}: {passed[1] if passed else 0} (aim: {aim})")


def others(python: Path, kind: str, seconds: int) -> None:
    """Print how many of the longer wishes an agent of smolagents answers on the default model."""
    library = importlib.import_module("xllamacpp")  # heavy, and it has no types
    parameters = library.CommonParams()
    parameters.n_ctx, parameters.n_parallel, parameters.verbosity = 8192, 1, -1
    parameters.warmup, parameters.ui, parameters.offline = False, False, True
    parameters.model.path = str(packaged_gguf())
    server = library.Server(parameters)
    with tempfile.TemporaryDirectory(prefix="batos-agent-") as name:
        lay_out(Path(name))
        wanted = {wish.format(n=name): value for wish, value in LONGER}
        asked = Path(name).with_suffix(".json")
        asked.write_text(json.dumps([*wanted]), encoding="utf-8")
        script = Path(__file__).with_name("agent_others.py")
        url = f"{server.listening_address}/v1"
        command = [python, script, kind, url, name, str(seconds), asked]
        try:
            done = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False
            )
        finally:
            asked.unlink()
    said = [line for line in done.stdout.splitlines() if line.startswith('{"wish"')]
    lines = [json.loads(line) for line in said]  # its library prints, too
    if not lines:
        print(f"smolagents {kind}: skipped; {python} cannot run it")
        return
    ended = [line for line in lines if not line["said"].startswith("(LateError")]
    right = sum(str(wanted[line["wish"]]) in line["said"] for line in ended)
    told = f"{right}/{len(lines)} longer wishes right, {len(ended)} ended within {seconds} s"
    print(f"smolagents {kind}, the default model: {told}")


async def choices() -> None:
    """Print how many of the requests get the right tool, and whole arguments."""
    read = {each.text: _read(each.text) for each in (*KNOWN, *NEW, *FRESH, *OTHER, *LATER, *LAST)}
    every = TOOLS | OTHER_TOOLS | LATER_TOOLS | LAST_TOOLS
    said = {name: (tool.about, _plain(_read(tool.example))) for name, tool in every.items()}
    known = {name: (compared(name, about), example) for name, (about, example) in said.items()}
    texts = [*(one for pair in known.values() for one in pair), *map(_plain, read.values())]

    async def folder() -> Path:
        return packaged_minilm()

    async def model() -> Path:
        return packaged_gguf()

    embedder = MiniLmEmbedder(folder)
    try:
        rows = dict(zip(texts, await embedder.embed(texts), strict=True))
    finally:
        await embedder.close()
    engine = LlamaCppEngine("smollm2", model)
    offers = {
        name: Offer(
            name, tuple(tool.parameters), tuple(tool.parameters), said[name],
            np.stack([rows[one] for one in known[name]]), name in CHANGES,
        )
        for name, tool in every.items()
    }  # fmt: skip
    sets = (
        ("known", KNOWN, TOOLS), ("new", NEW, TOOLS), ("fresh", FRESH, TOOLS),
        ("other tools", OTHER, OTHER_TOOLS), ("later tools", LATER, LATER_TOOLS),
        ("last tools", LAST, LAST_TOOLS),
    )  # fmt: skip
    try:
        for title, requests, tools in sets:
            offered = [offers[name] for name in tools]
            for how, scorer in (("ranked", None), ("weighed", engine)):
                await _show(f"{title}, {how}", requests, read, rows, offered, scorer)
    finally:
        await engine.close()


async def _weighed(
    engine: LlamaCppEngine, text: str, row: Any, ranked: list[Ranked], offers: Sequence[Offer]
) -> list[Ranked]:
    """Return a ranking as ``Toolbox.weigh`` leaves it."""
    if lead(ranked) >= SURE:
        return ranked
    by_name = {offer.name: offer for offer in offers}
    near = [
        Prompt((), context_of(by_name[one.name], row, alike=True))  # each has an example
        for one in ranked[:NEAR]
    ]
    drawn = await engine.generate(near, Sampling(given=f" {text}"))
    return weigh(ranked, [one.likelihood for one in drawn])


async def _show(
    title: str, requests: Sequence[Request], read: dict[str, Sentence], rows: Any,
    offers: Sequence[Offer], engine: LlamaCppEngine | None,
) -> None:  # fmt: skip
    right = sure = sure_right = near = 0
    whole = Counter[str]()
    for each in requests:
        sentence = read[each.text]
        text = _plain(sentence)
        question = ask(sentence.text, sentence.language).is_question
        ranked = rank(text, rows[text], things_in(sentence), offers, is_question=question)
        if engine is not None:
            ranked = await _weighed(engine, text, rows[text], ranked, offers)
        right += ranked[0].name == each.tool
        near += each.tool in [one.name for one in ranked[:2]]
        if lead(ranked) >= SURE:
            sure, sure_right = sure + 1, sure_right + (ranked[0].name == each.tool)
        whole[_call(each, sentence)] += 1
    count = len(requests)
    aim = " (aim: 36)" if title == "last tools, weighed" else ""
    print(f"{title}: right tool {right}/{count}{aim}, among the first two {near}/{count}")
    calls = ", ".join(f"{whole[how]} {how}" for how in ("right", "asked", "wrong"))
    print(f"  taken without a question {sure}, of these right {sure_right}; whole calls: {calls}")


def _call(asked: Request, sentence: Sentence) -> str:
    """Return whether the call of a request is right, lacks something that is asked, or is wrong."""
    tool = (TOOLS | OTHER_TOOLS | LATER_TOOLS | LAST_TOOLS)[asked.tool]
    names = tuple(tool.parameters)
    schema = {name: tool.schema.get(name, {"type": "string"}) for name in names}
    own = own_words([f"{asked.tool.replace('_', ' ')} {tool.about}", tool.example])
    given, lacking = fill(sentence.text, things_in(sentence), names, names, own, schema)
    if lacking:
        return "asked"
    wanted = {name: _bare(value) for name, value in asked.arguments.items()}
    return "right" if {name: _bare(value) for name, value in given.items()} == wanted else "wrong"


def _bare(value: Any) -> str:
    """Return a value without the small word that it may begin with: "the hall", "on Monday"."""
    said = re.sub(r"^(?:the|a|an|on|some) ", "", str(value), flags=re.IGNORECASE)
    return str(Path(said).expanduser()) if said.startswith("~") else said


OTHERS: Final = ("ToolCallingAgent", "CodeAgent")  # of smolagents
PARTS: Final = {
    "tools": lambda: asyncio.run(choices()),
    "methods": methods,
    "attacks": lambda: held(
        "attacks that reached no effect", "obeys_what_it_reads or orders_in_errors", 33
    ),
    "able": lambda: held(
        "longer wishes by the scripted able model: sets of ten, all right", "longer_wishes", 2
    ),
}


async def wishes(home: Path) -> None:
    """Print how many wishes about real files are answered, and how many become methods."""
    with tempfile.TemporaryDirectory(prefix="batos-agent-") as name:
        lay_out(Path(name))
        async with KernelClient.at(home) as kernel:
            given = await kernel.request("grant", body={"what": name}, timeout=60)
            try:
                await _ask_all(kernel, name, "one step", WISHES, 16)
                await _ask_all(kernel, name, "two and more steps", LONGER, 5)
            finally:
                await kernel.request("revoke", target=given["object"], timeout=60)


def lay_out(folder: Path) -> None:
    """Write the files that the wishes are about."""
    for path, text in FILES.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


async def _ask_all(
    kernel: KernelClient, folder: str, title: str, asked: Sequence[tuple[str, Any]], aim: int
) -> None:
    right = learned = 0
    for wish, wanted in asked:
        body = {"text": wish.format(n=folder), "once": True}
        told = await _say(kernel, body)
        ok = _answers(told, wanted)
        right, learned = right + ok, learned + bool(told.get("learned"))
        print(f"  {'right' if ok else 'WRONG'}  {wish}  {told['kind']}: {told['text'][:60]!r}")
    print(f"wishes of {title}: {right}/{len(asked)} right (aim: {aim}), {learned} became methods")


async def _say(kernel: KernelClient, body: dict[str, Any]) -> dict[str, Any]:
    """Return the answer; a daemon that is too busy to be heard of is asked again with the key."""
    key = os.urandom(8).hex()
    for _ in range(4):
        with contextlib.suppress(KernelUnreachableError):
            return await kernel.request("say", body=body, timeout=300, ik=key)
    return await kernel.request("say", body=body, timeout=300, ik=key)


def _answers(told: dict[str, Any], wanted: Any) -> bool:
    return told["kind"] in ("computed", "recalled") and holds(told["value"], wanted)


def holds(value: Any, wanted: Any) -> bool:
    """Return whether an answer is the wanted number, or has the wanted text."""
    return bool(value == wanted) if isinstance(wanted, int) else str(wanted) in str(value)


def _read(text: str) -> Sentence:
    return read_sentence(text, NOW, "en")


def _plain(sentence: Sentence) -> str:
    return plain(sentence.text, things_in(sentence))


if __name__ == "__main__":
    sys.exit(main())
