"""Verbs about models: what is where, what fits this machine, add, remove, pin."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.language import translate
from bat_os.cli.show import choice
from bat_os.cli.show.command import Command
from bat_os.core.ability import Ability
from bat_os.errors import ArgumentsError
from bat_os.models.machine import look_at_machine, read_book
from bat_os.models.profiles import choose, fit, show_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.cli.console import Screen
    from bat_os.cli.show.command import Ask


async def _models(ask: Ask) -> Mapping[str, Any]:
    action, name = ask.options.action, ask.options.name
    if action == "fit":
        return _fit(ask)
    if action == "choose":
        return await choice.choose_mind(ask)
    if action and not name:
        raise ArgumentsError(f"batos models {action} needs the name of a model")
    if action == "add":
        return await choice.store_model(ask, name, _locate(ask.options.source))
    verb = f"models.{action}" if action else "models"
    body = {"name": name} if action else {}
    if action == "cancel":  # Ctrl-C ends an intake
        body["what"] = "exam"
    return await ask.kernel.request(verb, timeout=60.0, body=body)


def _locate(source: str) -> str:
    """Return a file or folder by its whole path: the kernel has another working directory."""
    place = Path(source or "/nowhere").expanduser()
    return str(place.absolute()) if place.exists() else source


def _fit(ask: Ask) -> Mapping[str, Any]:
    book, machine = read_book(ask.home), look_at_machine(ask.home)
    best = choose(book, machine)
    rows = [
        {"name": profile.name, "ok": (found := fit(profile, machine)).ok,
         "reasons": list(found.reasons), "purpose": profile.purpose,
         "models": list(profile.models), "conditions": list(book.conditions(profile))}
        for profile in book.profiles.values()
    ]  # fmt: skip
    return {"profiles": rows, "best": best.name}


def _show(body: Mapping[str, Any], screen: Screen) -> None:
    if "profiles" in body:
        _show_fit(body, screen)
    elif "chosen" in body or "offers" in body:
        choice.show(body, screen)
    elif "exam" in body and "models" not in body:
        screen.note(f"{_exam(body['exam'])}; batos models shows how far it has come")
    elif "models" not in body:
        screen.say(_describe_change(body))
        if others := ", ".join(body.get("same_as", ())):
            screen.note(f"{body['name']} has the same files as {others}; they are stored once")
    else:
        _show_models(body, screen)


def _describe_change(body: Mapping[str, Any]) -> str:
    """Return what ``models add``, ``remove`` or ``cancel`` has done."""
    if "cancelled" in body:
        return "cancelled" if body["cancelled"] else "nothing of it was running"
    if "adapters" in body:
        count, size = body["files"], show_size(body["bytes"])
        gone = f"{body['name']}: removed, {count} file{'s' * (count != 1)}, {size}"
        without = body["adapters"]
        return f"{gone}; without a base now: {', '.join(without)}" if without else gone
    about = [str(body[key]) for key in ("kind", "engine") if body.get(key)]
    return ", ".join([f"{body.get('name')}: stored", *about, _size(body.get("size", 0))])


def _show_fit(body: Mapping[str, Any], screen: Screen) -> None:
    for row in body["profiles"]:
        mark = "ok" if row["ok"] else "no"
        best = "  (the best that fits)" if row["name"] == body["best"] else ""
        screen.answer(f"{mark}  {row['name']:<8} {row['purpose']}{best}")
        for reason in (*row["reasons"], *row["conditions"]):
            screen.say(f"             {reason}")
    screen.note("batos models choose NAME chooses one, or BATOS_PROFILE=NAME for one start")


def _show_models(body: Mapping[str, Any], screen: Screen) -> None:
    rows = [
        (model["name"], model.get("kind") or model.get("engine", ""), _size(model.get("size", 0)),
         _where(model), _size(model.get("bytes", 0) if "state" in model else 0),
         _ago(model.get("idle_seconds")), _seconds(model.get("load_seconds")), _bond(model))
        for model in body["models"]
    ]  # fmt: skip
    heads = ("MODEL", "KIND", "STORED", "WHERE", "MEMORY", "LAST USE", "LOAD", "ADAPTERS")
    screen.table(rows, heads)
    if "profile" not in body:  # of the past
        return
    _show_abilities(body, screen)
    parts = [translate(f"profile {body['profile']}")]
    gpu = body.get("gpu") or {}
    for name, purse in ((translate("memory"), body), (translate("GPU memory"), gpu)):
        if purse.get("budget"):
            size, used = _size(purse["budget"]), _size(purse.get("used", 0))
            parts.append(translate(f"{name} for models: {size}, used: {used}"))
    screen.note("; ".join(parts), as_is=True)
    for line in body.get("unused", ()):
        screen.note(line)


def _show_abilities(body: Mapping[str, Any], screen: Screen) -> None:
    names = [field.name for field in fields(Ability)]
    rows = [
        (model["name"], known["adapter"] or "-", *(_percent(known.get(name)) for name in names))
        for model in body["models"]
        for known in model.get("abilities", ())
    ]
    if rows:
        screen.answer("")
        screen.table(rows, ("ABILITY OF", "THROUGH", *map(str.upper, names)))
    if exam := body.get("exam"):
        screen.note(_exam(exam))


def _exam(exam: Mapping[str, Any]) -> str:
    parts = []
    if "part" in exam:
        parts = [f"exam running: {exam['name']}, {exam['part']}: {exam['done']} of {exam['of']}"]
    elif "waiting" in exam:
        parts = [f"exams that wait: {', '.join(exam['waiting'])}"]
    failed = exam.get("failed", {})
    parts += [f"the last exam of {name} failed: {why}" for name, why in failed.items()]
    return "; ".join(parts) or "no exam"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _where(model: Mapping[str, Any]) -> str:
    """Return where a model is: stored only, or in which memory, and whether it stays there."""
    if "state" not in model:
        return "stored"
    place = " on the GPU" if model.get("device") == "cuda" and model["state"] == "resident" else ""
    return f"{model['state']}{place}{', pinned' if model.get('pinned') else ''}"


def _bond(model: Mapping[str, Any]) -> str:
    """Return what an adapter belongs to, or which adapters a model has."""
    if base := model.get("base"):
        return f"on {base}"
    return ", ".join(model.get("adapters") or ())


def _size(count: int | None) -> str:
    return show_size(count) if count else "-"


def _seconds(seconds: float | None) -> str:
    return f"{seconds:.1f} s" if seconds else "-"


def _ago(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.0f} s ago" if seconds < 120 else f"{seconds / 60:.0f} min ago"


COMMANDS: Final[Mapping[str, Command]] = {"models": Command(_show, _models)}
