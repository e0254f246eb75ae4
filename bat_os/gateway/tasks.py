"""Tasks, messages and parts of A2A, in the words of both of its versions, and where tasks stand.

a mission: IDLE > DECOMPOSING ... > COMPLETE | FAILED
a task:    submitted > working ...  > completed | failed, canceled, input or auth required
"""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.readable import show_value
from bat_os.core.values import to_wire

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Parts = Sequence[Mapping[str, Any]]

SUBMITTED, WORKING, COMPLETED = "submitted", "working", "completed"
FAILED, CANCELED, WANTS, LEAVE = "failed", "canceled", "input-required", "auth-required"
_BY_CODE: Final[Mapping[str, str]] = {
    "CANCELLED": CANCELED, "EXAMPLE_WANTED": WANTS, "APPROVAL_WANTED": WANTS,
    "GRANT_WANTED": LEAVE, "EFFECT_WANTED": LEAVE,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Task:
    """How a task stands."""

    id: str
    context: str
    state: str
    text: str = ""  # what a person reads
    data: Mapping[str, Any] | None = None  # what a program reads

    @property
    def is_open(self) -> bool:
        """Return whether it goes on by itself."""
        return self.state in (SUBMITTED, WORKING)


@dataclass(frozen=True, slots=True)
class Words:
    """What we say without a task."""

    text: str
    context: str


def task_of(context: str, told: Mapping[str, Any]) -> Task:
    """Return the task that a mission is, as the verb ``brief.get`` tells of it."""
    answer = told["answer"]
    if answer is None:
        stage = str(told["state"]).lower()
        return Task(told["brief_id"], context, SUBMITTED if stage == "idle" else WORKING, stage)
    return ended(told["brief_id"], context, answer["type"], answer["body"])


def ended(named: str, context: str, kind: str, body: Mapping[str, Any]) -> Task:
    """Return the task of a mission that has ended with this reply."""
    if kind == "error":
        data = {"code": body["code"], "retryable": body["retryable"]}
        return Task(named, context, state_of(body["code"]), body["message"], data)
    value = body.get("result")
    return Task(named, context, COMPLETED, show_value(value, "en"), {"result": to_wire(value)})


def state_of(code: str) -> str:
    """Return where a task stands whose mission has ended with an error.

    >>> state_of("EXAMPLE_WANTED"), state_of("SANDBOX_FAILED")
    ('input-required', 'failed')
    """
    return _BY_CODE.get(code, FAILED)


@dataclass(frozen=True, slots=True)
class Dialect:
    """The words of one version: 1.0, or those before it."""

    is_old: bool

    def parts(self, text: str, data: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return a text, and data if there are some, as parts."""
        made: list[dict[str, Any]] = [{"text": text}] if text or data is None else []
        made += [] if data is None else [{"data": dict(data)}]
        return [{"kind": next(iter(part)), **part} for part in made] if self.is_old else made

    def message(self, text: str, context: str, task: str = "") -> dict[str, Any]:
        """Return a message of ours."""
        made: dict[str, Any] = {
            "messageId": secrets.token_hex(8), "contextId": context, "parts": self.parts(text),
            "role": "agent" if self.is_old else "ROLE_AGENT",
        }  # fmt: skip
        made |= {"taskId": task} if task else {}
        return made | ({"kind": "message"} if self.is_old else {})

    def status(self, task: Task) -> dict[str, Any]:
        """Return where a task stands, with what there is to say of it."""
        state = task.state
        if not self.is_old:
            state = f"TASK_STATE_{state.upper().replace('-', '_')}"
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        made: dict[str, Any] = {"state": state, "timestamp": now}
        if task.text and task.state != COMPLETED:
            made["message"] = self.message(task.text, task.context, task.id)
        return made

    def artifacts(self, task: Task) -> list[dict[str, Any]]:
        """Return what came of a task."""
        if task.state != COMPLETED:
            return []
        parts = self.parts(task.text, task.data)
        return [{"artifactId": "answer", "name": "answer", "parts": parts}]

    def task(self, task: Task) -> dict[str, Any]:
        """Return a task."""
        made = {
            "id": task.id, "contextId": task.context, "status": self.status(task),
            "artifacts": self.artifacts(task), "history": [],
        }  # fmt: skip
        return made | ({"kind": "task"} if self.is_old else {})

    def update(self, task: Task) -> list[dict[str, Any]]:
        """Return what a stream says when a task has come so far."""
        about = {"taskId": task.id, "contextId": task.context}
        made = [{**about, "artifact": each, "lastChunk": True} for each in self.artifacts(task)]
        last = {**about, "status": self.status(task)}
        if self.is_old:
            own = [{"kind": "artifact-update", **each} for each in made]
            return [*own, {"kind": "status-update", "final": not task.is_open, **last}]
        return [*({"artifactUpdate": each} for each in made), {"statusUpdate": last}]

    def answer(self, told: Task | Words) -> dict[str, Any]:
        """Return a task, or a message of ours, as the result of a message."""
        if isinstance(told, Task):
            return self.task(told) if self.is_old else {"task": self.task(told)}
        made = self.message(told.text, told.context)
        return made if self.is_old else {"message": made}
