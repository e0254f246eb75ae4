"""The engine that asks a model server: llama-server, Ollama, vLLM, or any that speaks OpenAI.

    generate -> one request per different prompt -> Event -> Row -> completions
        cancel, deadline, close or a cancelled task close the connections

Servers accept different fields. What goes beyond the common API (``top_k``, several
answers to one request, going on from a prefill) is tried, and left out from then on if
the server refuses it:

    prefill:  llama-server's own template and the raw prompt, which is exact; else a last
              message of the assistant that is to be continued; else an instruction
    schema:   ``response_format``; else the parameters of the tools, and one has to be called;
              else nothing holds the model to it, and who reads the answer checks it
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.digest import digest
from bat_os.engines.base import EngineBase, Halt, Row, check_sampling, is_done, make_rows
from bat_os.engines.model_server import Breaker, Connection, Policy, printable
from bat_os.errors import ModelError, ModelOutputError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence

    import httpx2

    from bat_os.engines.model_server import Choice, Event
    from bat_os.ports import Completion, Prompt, Sampling

MAX_LIST_BYTES: Final = 1 << 20
MAX_TEMPLATE_BYTES: Final = 1 << 22
BYTES_PER_TOKEN: Final = 8192  # of a stream; llama-server's events have under 1000
MAX_STREAM_BYTES: Final = 1 << 26
_REFUSED: Final = frozenset({400, 422})
_NO_TEMPLATES: Final = frozenset({400, 403, 404, 405, 422, 500, 501})
_SEEDS: Final = 2**31 - 1
_FORMS: Final = ("format", "tool", "free")  # ways to hold an answer to a schema, the surest first
_TOOL: Final = "answer"
_ABOUT: Final = "Give the answer."
_NOT_NAME: Final = re.compile(r"[^a-zA-Z0-9_-]")  # in the name of a function
_NO_HEALTH: Final = _NO_TEMPLATES - {500}  # vLLM says there whether its engine still lives
_SIZES: Final = ("n_vocab", "n_embd", "n_params", "n_ctx_train", "size")  # of llama-server's file
_CONTINUE: Final = "\n\nBegin your answer with exactly this text, and go on from there:\n"


@dataclass
class _Dialect:
    """What one server accepts, as far as it is known."""

    templates: bool = True  # it renders chats (llama-server)
    extras: bool = True  # it accepts fields beyond the common API
    copies: bool = True  # it gives several answers to one request
    form: str = _FORMS[0]  # how a schema is sent to it: one of _FORMS


class OpenAiEngine(EngineBase):
    """Adapter of the port ``ModelEngine``.

    Args:
        name: For messages and ``stats``.
        url: Of the API, such as ``http://127.0.0.1:8080/v1``; https, or on this machine.
        key: Sent as bearer token; never shown.
        model: Which of the server's models; "" is its first.
        policy: How patient to be.

    Raises:
        SettingsError: ``url`` cannot be used.
    """

    kind = "openai"
    place = "on a server"

    def __init__(
        self, name: str, url: str, *, key: str = "", model: str = "", policy: Policy | None = None
    ) -> None:
        super().__init__(name)
        policy = policy or Policy()
        self._connection = Connection(url, key, policy)
        self._breaker = Breaker(policy)
        self._running: set[asyncio.Future[None]] = set()
        self._wanted = self._model = model
        self._resident = False
        self._dialect = _Dialect()
        self._gate = asyncio.Semaphore(policy.requests)

    async def load(self) -> None:
        """Ask the server which models it has. Idempotent."""
        self._check_open()
        if not self._resident:
            async with self._connection.client() as client:
                with self._watched():
                    await self._look_up(client)

    @property
    def url(self) -> str:
        """Address of the server's API."""
        return self._connection.url

    async def look(self) -> str:
        """Return what the server's model is known by, wherever the server is.

        Raises:
            ModelError: The server does not answer, or does not have the model.
        """
        async with self._connection.client() as client:
            with _tolerating(_NO_HEALTH):
                async with self._connection.stream(client, self._beside("/health"), None):
                    pass
            return await self._look_up(client)

    async def unload(self) -> None:
        """Wait for the running calls and forget the server; it keeps its own memory."""
        if self._running:
            await asyncio.wait(set(self._running))
        self._resident = False

    async def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        *,
        adapter: str = "",
        cancel: threading.Event | None = None,
        on_text: Callable[[int, str], None] | None = None,
    ) -> list[Completion]:
        """Return one completion per prompt; see ``ports.ModelEngine``."""
        check_sampling(sampling)
        if adapter:
            raise self._no_adapters(adapter)
        self._check_open()
        rows = make_rows(len(prompts), sampling.stop, on_text)
        halted = Halt(cancel, sampling.seconds, self._closed)
        async with self._connection.client() as client:
            job = asyncio.ensure_future(self._answer(client, prompts, rows, sampling))
            self._running.add(job)
            try:
                if await is_done(job, halted):
                    job.result()
            finally:
                job.cancel()
                await asyncio.gather(job, return_exceptions=True)
                self._running.discard(job)
        return self._finish(rows)

    def stats(self) -> dict[str, Any]:
        """Return plain facts; see ``ports.ModelEngine``."""
        return self._stats(
            "resident" if self._resident else "unloaded",
            url=self._connection.url,
            model=self._model,
            closed_for=round(self._breaker.closed_for, 1),
        )

    async def close(self) -> None:
        """End what is being asked. Idempotent."""
        self._closed.set()
        await self.unload()

    def _check_open(self) -> None:
        super()._check_open()
        if wait := self._breaker.closed_for:
            raise ModelError(
                f"model {self._name}: the server at {self._connection.url} failed several times; "
                f"it is asked again in {wait:.0f} s"
            )

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Note in the breaker how the server does in this block."""
        try:
            yield
        except ModelError as error:
            if error.details.get("down"):
                self._breaker.fail()
            raise
        self._breaker.succeed()

    def _beside(self, path: str) -> str:
        return self.url.removesuffix("/v1") + path

    async def _look_up(self, client: httpx2.AsyncClient) -> str:
        started, server = time.monotonic(), self._connection
        answer = await server.fetch(client, f"{server.url}/models", None, MAX_LIST_BYTES)
        data = answer.get("data")
        if type(data) is not list or not all(
            type(entry) is dict and type(entry.get("id")) is str for entry in data
        ):
            raise ModelOutputError("the model server's list of models cannot be read")
        wanted = self._wanted
        fitting = [e for e in data if e["id"] == wanted or e["id"].startswith(f"{wanted}:")]
        entry = next(iter(fitting if wanted else data), None)
        if entry is None:
            has = printable(", ".join(e["id"] for e in data[:5])) or "none"
            raise ModelError(
                f"the model server at {server.url} has no model {wanted}; it has: {has}"
            )
        self._model = entry["id"]
        known = [entry.get(key) for key in ("id", "owned_by", "root", "meta")]
        facts = json.dumps([server.url, *known], sort_keys=True)
        self._digest = digest(facts)
        self._load_seconds = time.monotonic() - started
        self._resident = True
        return digest(json.dumps(await self._identify(client, entry), sort_keys=True))

    async def _identify(self, client: httpx2.AsyncClient, entry: Mapping[str, Any]) -> list[Any]:
        """Return what the same model has in common on any machine; folders may differ."""
        names = entry["id"], entry.get("root")
        known: list[Any] = [str(n).rsplit("/", 1)[-1] if str(n)[:1] == "/" else n for n in names]
        meta = entry.get("meta")
        known += [meta.get(key) for key in _SIZES] if type(meta) is dict else []
        if entry.get("owned_by") == "library":  # Ollama, whose list of tags has digests
            with suppress(ModelOutputError), _tolerating(_NO_TEMPLATES):
                url = self._beside("/api/tags")
                tags = (await self._connection.fetch(client, url, None, MAX_LIST_BYTES))["models"]
                known += [tag["digest"] for tag in tags if tag["name"] == entry["id"]]
        return known

    async def _answer(
        self,
        client: httpx2.AsyncClient,
        prompts: Sequence[Prompt],
        rows: list[Row],
        sampling: Sampling,
    ) -> None:
        alike: dict[Prompt, list[Row]] = {}
        for prompt, row in zip(prompts, rows, strict=True):
            alike.setdefault(prompt, []).append(row)
        with self._watched():
            if prompts and not self._resident:
                await self._look_up(client)
            call = _Call(self._connection, client, self._model, sampling, self._dialect, self._gate)
            await _all_or_none(call.ask(prompt, members) for prompt, members in alike.items())


@dataclass(frozen=True)
class _Call:
    """The requests of one call."""

    server: Connection
    client: httpx2.AsyncClient
    model: str
    sampling: Sampling
    dialect: _Dialect  # what is learned of the server is noted there
    gate: asyncio.Semaphore  # as many requests as the server should have at the same time

    async def ask(self, prompt: Prompt, rows: Sequence[Row]) -> None:
        """Fill ``rows`` with answers to ``prompt``, in one request if the server can."""
        together = len(rows) > 1 and self.dialect.copies
        if together:
            with _tolerating(_REFUSED):
                await self._request(prompt, rows, 0)
        left = [(index, row) for index, row in enumerate(rows) if not row.ended]
        await _all_or_none(self._request(prompt, [row], index) for index, row in left)
        if together and left:
            self.dialect.copies = False  # it works, one by one

    async def _request(self, prompt: Prompt, rows: Sequence[Row], offset: int) -> None:
        """Ask once; again without what the server refuses, and never again with that."""
        *ways, last = self._ways()
        for way in ways:
            with _tolerating(_REFUSED):
                await self._send(prompt, rows, offset, *way)
                self.dialect.extras, self.dialect.form = way
                return
        await self._send(prompt, rows, offset, *last)
        self.dialect.extras, self.dialect.form = last

    def _ways(self) -> list[tuple[bool, str]]:
        """Return whether extras are sent and how a schema is, of each attempt."""
        dialect = self.dialect
        ways = [(extras, dialect.form) for extras in (True, False) if dialect.extras or not extras]
        if self.sampling.schema:
            ways += [(False, form) for form in _FORMS[_FORMS.index(dialect.form) + 1 :]]
        return ways

    async def _send(
        self, prompt: Prompt, rows: Sequence[Row], offset: int, extras: bool, form: str
    ) -> None:
        path, body = await self._compose(prompt, extras, form)
        body["seed"] = (self.sampling.seed + offset) % _SEEDS
        if len(rows) > 1:
            body["n"] = len(rows)
        answer = _Answer(rows, prompt.prefill if path == "/chat/completions" else "")
        if "tools" in body:
            answer.offered = {name: tool for name, tool, _ in calls_of(self.sampling.schema or {})}
        most = (1 << 16) + 4 * len(prompt.prefill) * len(rows)
        most += BYTES_PER_TOKEN * self.sampling.max_tokens * len(rows)
        async with (
            self.gate,
            self.server.stream(self.client, self.server.url + path, body) as reply,
            aclosing(self.server.read_events(reply, min(most, MAX_STREAM_BYTES))) as events,
        ):
            async for event in events:
                answer.take(event)
                if answer.is_cut:
                    return
        answer.check()

    async def _compose(self, prompt: Prompt, extras: bool, form: str) -> tuple[str, dict[str, Any]]:
        """Return path and body of a request."""
        sampling = self.sampling
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if extras:
            body |= {"top_k": sampling.top_k, "min_p": 0.0}
            body |= {"return_progress": True, "timings_per_token": True}
        messages = [{"role": role, "content": text} for role, text in prompt.messages]
        raw = await self._render(messages) if prompt.prefill and extras else None
        if raw is not None:
            constraint = {"json_schema": dict(sampling.schema)} if sampling.schema else {}
            return "/completions", body | constraint | {"prompt": raw + prompt.prefill}
        if prompt.prefill and extras:
            messages.append({"role": "assistant", "content": prompt.prefill})
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        elif prompt.prefill:
            messages[-1]["content"] += _CONTINUE + prompt.prefill
        if sampling.schema:
            body |= _constrain(dict(sampling.schema), form)
        return "/chat/completions", body | {"messages": messages}

    async def _render(self, messages: list[dict[str, str]]) -> str | None:
        """Return the chat as the server's template writes it; None if it does not render."""
        if not self.dialect.templates:
            return None
        url = self.server.url.removesuffix("/v1") + "/apply-template"
        text = None
        with suppress(ModelOutputError), _tolerating(_NO_TEMPLATES):
            body = {"messages": messages}
            answer = await self.server.fetch(self.client, url, body, MAX_TEMPLATE_BYTES)
            text = answer.get("prompt")
        self.dialect.templates = isinstance(text, str)
        return text if isinstance(text, str) else None


def _constrain(schema: dict[str, Any], form: str) -> dict[str, Any]:
    """Return the fields of a request that hold the answer to a schema."""
    if form == "format":
        named = {"name": _TOOL, "strict": True, "schema": schema}
        return {"response_format": {"type": "json_schema", "json_schema": named}}
    if form == "tool":
        calls = [
            {"name": name, "description": tool or _ABOUT, "parameters": parameters}
            for name, tool, parameters in calls_of(schema)
        ]
        forced: Any = {"type": "function", "function": {"name": _TOOL}}
        several = {"tool_choice": "required", "parallel_tool_calls": False}
        tools = [{"type": "function", "function": call} for call in calls]
        return {"tools": tools} | (several if len(calls) > 1 else {"tool_choice": forced})
    return {}


def calls_of(schema: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Return what a server is offered for a schema: a name, the tool behind it, its parameters.

    A schema that leaves the choice between ``{"tool": NAME, "args": {...}}`` of several tools and
    other objects offers each as one, other objects by the first field that they have to have. Any
    other schema is the parameters of a tool ``answer``.
    """
    found, ways = [], schema.get("anyOf", [schema])
    for way in ways if len(ways) > 1 else [schema]:
        parts = way.get("properties", {})
        if parts.keys() == {"tool", "args"} and "const" in parts["tool"]:
            tool = str(parts["tool"]["const"])
            found.append((_NOT_NAME.sub("__", tool)[:64], tool, parts["args"]))
        else:
            needed = way.get("required") or [_TOOL]
            found.append((str(needed[0]) if way is not schema else _TOOL, "", way))
    names = {name for name, _, _ in found}
    return found if len(names) == len(found) else [(_TOOL, "", schema)]


@contextmanager
def _tolerating(statuses: frozenset[int]) -> Iterator[None]:
    """Pass over a refusal with one of these statuses."""
    try:
        yield
    except ModelError as error:
        if error.details.get("status") not in statuses:
            raise


class _Answer:
    """The rows of one request, and what the server said of them."""

    def __init__(self, rows: Sequence[Row], prefill: str) -> None:
        self._rows = rows
        self._echoes = [_Echo(prefill) for _ in rows]
        self._heard: set[int] = set()
        self._open = set(range(len(rows)))
        self._said = [""] * len(rows)  # beside the call of a tool, which is what counts
        self._calls = [""] * len(rows)  # the arguments of that tool
        self._names = [""] * len(rows)  # as it is offered
        self.offered: dict[str, str] = {}  # of the tools; one has to be called, if there are any

    @property
    def is_cut(self) -> bool:
        """True when all rows have ended, and the server still goes on with at least one."""
        return bool(self._open) and all(row.ended for row in self._rows)

    def take(self, event: Event) -> None:
        """Add what the server says to the rows."""
        if event.read is not None:
            for row in self._rows:
                row.read, cached = event.read
                row.reused = min(cached, row.read)
        for choice in event.choices:
            self._add(choice, event.drawn)
        if len(self._rows) == 1 and not self._open and event.counted is not None:
            self._rows[0].tokens = max(self._rows[0].tokens, event.counted)

    def _add(self, choice: Choice, drawn: int | None) -> None:
        at = choice.index or 0
        if at >= len(self._rows):
            raise ModelOutputError("the model server sent an answer that was not asked for")
        row, echo = self._rows[at], self._echoes[at]
        self._heard.add(at)
        text = echo.pass_on(self._take_call(at, choice) if self.offered else choice.new_text)
        if choice.finish_reason:
            text += echo.rest()
            self._open.discard(at)
        if text:
            row.add(text, max(1, (drawn or row.tokens + 1) - row.tokens))
        if choice.finish_reason:
            row.end(finished=choice.finish_reason in ("stop", "tool_calls"))

    def _take_call(self, at: int, choice: Choice) -> str:
        """Return the arguments of the tool once they are whole, or what was said instead."""
        self._said[at] += choice.new_text
        if choice.called is not None:
            name, given = choice.called
            if name and name not in self.offered:
                raise ModelOutputError(
                    f"the model called {printable(name)!r}, which it was not offered"
                )
            self._names[at] = self._names[at] or name
            self._calls[at] += given
        if not choice.finish_reason:
            return ""
        tool, given = self.offered.get(self._names[at], ""), self._calls[at]
        if tool:
            return f'{{"tool": {json.dumps(tool)}, "args": {given or "{}"}}}'
        return given or self._said[at]

    def check(self) -> None:
        """Raise an error if the stream is over and an answer is not."""
        if not self._heard:
            raise ModelOutputError("the model server sent no answer")
        if any(not self._rows[index].ended for index in self._heard):
            text = "the model server broke off in the middle of an answer; ask again"
            raise ModelError(text, down=True)


class _Echo:
    """Drops ``prefill`` from the start of an answer that repeats it."""

    def __init__(self, prefill: str) -> None:
        self._prefill = prefill
        self._held = ""
        self._open = bool(prefill)

    def pass_on(self, text: str) -> str:
        """Return the text that is certainly not an echo and was not returned yet."""
        if not self._open:
            return text
        self._held += text
        if self._prefill.startswith(self._held) and self._held != self._prefill:
            return ""
        return self.rest().removeprefix(self._prefill)

    def rest(self) -> str:
        """Return what is still held back; the answer is over, or it is not an echo."""
        held, self._held, self._open = self._held, "", False
        return held


async def _all_or_none(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Await all of ``work``; the first error ends the rest."""
    tasks = [asyncio.ensure_future(part) for part in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
