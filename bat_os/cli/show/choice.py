"""A better mind is one question away: ``batos models choose``, and the question at a first start.

    look ──→ at most three lines ──→ a number, or Enter ──→ stored, written down, restarted

Nothing is fetched without a yes, and in a pipe nothing is asked. The daemon stores the model while
the old one goes on answering. Only then is the choice written to the home, and the daemon
restarted.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from bat_os.cli.connection import WITHDRAWN, may_come
from bat_os.cli.environment import draft_setting, load
from bat_os.cli.progress import Progress
from bat_os.cli.show.command import is_interactive, read_line
from bat_os.core.settings import DEFAULT, FILE
from bat_os.errors import (
    ArgumentsError,
    BatError,
    KernelUnreachableError,
    ModelError,
    NotFoundError,
    RemoteError,
)
from bat_os.models import offers, profiles
from bat_os.models.machine import check_own, look_at_machine, measure_bandwidth, read_book, read_own
from bat_os.models.profiles import FALLBACK
from bat_os.supervisor.home import Home, is_held, write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.cli.console import Screen
    from bat_os.cli.show.command import Ask
    from bat_os.models.offers import Offer
    from bat_os.models.profiles import ProfileBook

PATIENCE: Final = 10.0  # seconds for the kernel to end what it reads or fetches
SERVER_PATIENCE: Final = 3.0  # seconds for a model server to take a connection
LONGEST: Final = 86_400.0  # seconds for a download; Ctrl-C ends it earlier
RESTART: Final = 300.0  # seconds for a kernel to be ready again
LOOK: Final = 0.1
TRIES: Final = 3
CONTEXT: Final = 4096  # tokens, of a stored file whose header is not here to be read
LATER: Final = "nothing changes; batos models choose asks at any time"
ASKED: Final = "models-asked"  # in the home's run folder: the question of the first start was put
AGAIN: Final = "again"  # in that file: a server was late, so the next start looks once more


async def store_model(ask: Ask, name: str, source: str) -> Mapping[str, Any]:
    """Have the kernel store a model, with progress; Ctrl-C ends it without a trace."""
    body = {"name": name, "source": source}
    try:
        with Progress(ask.screen) as bar:
            return await ask.kernel.request(
                "models.add", timeout=LONGEST, on_event=bar.hear, body=body
            )
    except asyncio.CancelledError:
        if await asyncio.shield(_withdraw(ask, name)):
            raise asyncio.CancelledError(WITHDRAWN) from None
        raise


async def _withdraw(ask: Ask, name: str) -> bool:
    """End an intake that this client began; return True if it ended without a model."""
    try:
        answer = await ask.kernel.request("models.cancel", timeout=PATIENCE, body={"name": name})
    except (RemoteError, KernelUnreachableError):
        ask.screen.note("the daemon may continue with it; batos models shows it when it is there")
        return False
    return bool(answer["cancelled"])


async def choose_mind(ask: Ask) -> Mapping[str, Any]:
    """Return what was chosen, by name or by a question; without a terminal, the offers."""
    if os.environ.get("BATOS_KEY_FILE"):
        raise ArgumentsError("choose on the machine of the daemon: its home keeps the choice")
    name = ask.options.name
    if name:
        return await _carry_out(ask, await _find(ask, name))
    ask.screen.note("looking for model servers and files on this machine")
    offered, late = await _offers(ask, on_hub=True)
    for url in late:
        ask.screen.note(f"{url} did not answer in time; batos models choose looks again")
    if ask.options.json or not is_interactive():
        return {"offers": offers.as_plain(offered)}
    if len(offered) == 1:
        ask.screen.note("nothing better runs here, lies here or fits; batos models fit says why")
        return {"chosen": ""}
    picked = await _pick(ask, offered, await _now(ask))
    return await _carry_out(ask, picked) if picked else {"chosen": ""}


async def ask_once(ask: Ask) -> None:
    """Put the question at the first start in a terminal, once, if there is something better.

    Silent in a pipe, in CI, and where a profile was chosen already.
    """
    mark = ask.home / "run" / ASKED
    settled = mark.exists() and mark.read_text() != AGAIN
    if settled or not is_interactive() or os.environ.get("CI"):
        return
    try:
        health = await ask.kernel.request("health", timeout=PATIENCE)
        chosen = load(ask.home, os.environ).origins["profile"] != DEFAULT
    except BatError:  # there is time for the question at the next start
        return
    scripted = any(row.get("engine") == "scripted" for row in health["models"]["models"])
    if chosen or scripted or health["profile"] != FALLBACK or os.environ.get("BATOS_KEY_FILE"):
        return
    offered, late = await _offers(ask, on_hub=False)
    if len(offered) == 1:
        again = bool(late) and not mark.exists()  # one more look; after that it is left alone
        for url in late if again else ():
            ask.screen.note(f"{url} did not answer in time; the next start looks again")
        mark.write_text(AGAIN if again else "")
        return
    ask.screen.note("BAT OS answers with a small model already. What shall it think with?")
    picked = await _pick(ask, offered, FALLBACK)
    mark.write_text("")
    if picked is None:
        ask.screen.note(LATER)
    else:
        show(await _carry_out(ask, picked), ask.screen)


def show(body: Mapping[str, Any], screen: Screen) -> None:
    """Write what a choice came to, or what there is to choose."""
    if "offers" in body:
        rows = [(_name_choice(offer), *offers.as_row(offer)[1:]) for offer in body["offers"]]
        screen.table(rows, ("CHOOSE", *offers.HEADS[1:]))
        screen.note("batos models choose NAME chooses one: a word of the first column")
    elif not body["chosen"]:
        screen.note(LATER)
    else:
        screen.say(f"{body['name']} is chosen: profile {body['profile']}")
        screen.note(f"batos canary {body['name']} shows what comes out better and worse with it")
        if overruled := body.get("overruled"):
            screen.note(f"but {overruled} counts more than {FILE}; start without it", "yellow")
        elif not body["restarted"]:
            screen.note("the daemon uses it from its next start on (./run.sh restart)")


def _name_choice(offer: Mapping[str, Any]) -> str:
    """Return the word that chooses an offer, and its model where the word does not say it."""
    key, name = str(offer["key"]), str(offer["name"])
    return key if name in key else f"{key} ({name})"


async def _offers(ask: Ask, *, on_hub: bool) -> tuple[list[Offer], list[str]]:
    """Return the offers for this machine, and the addresses of servers that were late.

    With ``on_hub``, the offers have the sizes that the hub says.
    """
    from bat_os.app.discovery import look  # httpx and numpy, which only this needs

    late: list[str] = []
    found = await look(ask.home, os.environ, late.append)
    book = await asyncio.to_thread(read_book, ask.home)
    made = offers.make_offers(book, found.machine, found.servers, found.files, found.bandwidth)
    if not on_hub:
        return made, late
    return list(await asyncio.gather(*(_with_size(book, offer) for offer in made))), late


async def _with_size(book: ProfileBook, offer: Offer) -> Offer:
    """Return an offer with the size of the hub's file list, if the hub says it."""
    from bat_os.app.discovery import size_on_hub

    if not offer.download:
        return offer
    try:
        sizes = await asyncio.gather(*(size_on_hub(book.models[name]) for name in offer.models))
    except ModelError:  # offline, gated, or gone: the figure in the book is about right
        return offer
    return replace(offer, download=sum(sizes), exact=True)


async def _find(ask: Ask, name: str) -> Offer:
    """Return the offer that a name means: a profile, SERVER or SERVER:MODEL, a GGUF file or model.

    Raises:
        NotFoundError: Nothing of that name is on this machine.
        ArgumentsError: The machine cannot run it.
    """
    from bat_os.app import discovery

    book = await asyncio.to_thread(read_book, ask.home)
    machine = await asyncio.to_thread(look_at_machine, ask.home)
    bandwidth = await asyncio.to_thread(measure_bandwidth, machine.cores - 1)
    if name in book.profiles:
        profile = book.profile(name)
        if lacks := offers.explain_misfit(profile, machine):
            raise ArgumentsError(f"profile {name} does not fit this machine: it {lacks}")
        for line in book.conditions(profile):
            ask.screen.note(line)
        if name == offers.SERVER:
            await _check_server(book)
        return offers.offer_profile(book, profile, bandwidth)
    kind, _, model = name.partition(":")
    if kind in discovery.PORTS:
        return await _find_server(kind, model)
    if name.endswith(".gguf"):
        path = await asyncio.to_thread(lambda: Path(name).expanduser().absolute())
        if (file := await asyncio.to_thread(discovery.read_file, path)) is not None:
            return offers.offer_file(book, file, bandwidth)
        raise NotFoundError(f"{path} is not there, or not a GGUF file of a chat model")
    if (stored := await _find_stored(ask, name)) is not None:
        return offers.offer_file(book, stored, bandwidth, name)
    known = ", ".join((*book.profiles, *discovery.PORTS))
    raise NotFoundError(
        f"{name[:100]!r} cannot be chosen; it takes {known}, a GGUF file, or such a model of the "
        "image (batos models)"
    )


async def _find_server(kind: str, model: str) -> Offer:
    """Return the offer of a server on this machine, with a model of that name if it is given."""
    from bat_os.app.discovery import PORTS, find_servers

    late: list[str] = []
    servers = await find_servers(os.environ, model, {kind: PORTS[kind]}, late.append)
    if mine := [server for server in servers if server.kind == kind]:
        return offers.offer_server(mine[0])
    if late:
        raise NotFoundError(f"{late[0]} did not answer in time; try it again")
    what = f"model {model}" if model else "model that can write code"
    raise NotFoundError(f"no {kind} on this machine answers with a {what}")


async def _find_stored(ask: Ask, name: str) -> offers.FoundFile | None:
    """Return the GGUF file that the image has as a model of a name; None if it has none."""
    from bat_os.app.discovery import read_file

    rows: Mapping[str, Any] = {}
    with contextlib.suppress(KernelUnreachableError):  # nobody to ask
        rows = await _stored(ask)
    if name not in rows or rows[name]["kind"] != "gguf":
        return None
    row = rows[name]
    source = str(row["source"])
    if source.startswith("/") and (file := await asyncio.to_thread(read_file, Path(source))):
        return file
    return offers.FoundFile(source or name, name, row["size"], CONTEXT, row["licence"])


async def _check_server(book: ProfileBook) -> None:
    """Check that something answers where the profile for servers looks for one.

    Raises:
        NotFoundError: Nothing does.
    """
    address = book.models[offers.SERVED].source
    parts = urlsplit(address)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(SERVER_PATIENCE):
            _, writer = await asyncio.open_connection(parts.hostname, port)
    except (OSError, TimeoutError):
        raise NotFoundError(
            f"no model server answers at {address}; start one (ollama serve), or name its address "
            "in profiles.toml of the home (docs/models.md)"
        ) from None
    writer.close()


async def _now(ask: Ask) -> str:
    """Return the profile that counts now."""
    try:
        return str((await ask.kernel.request("health", timeout=PATIENCE))["profile"])
    except BatError:
        return load(ask.home, os.environ).settings.profile


async def _pick(ask: Ask, offered: list[Offer], now: str) -> Offer | None:
    """Return the offer that a person picks; None to change nothing."""
    ask.screen.table(
        [[str(number), *offer.row()] for number, offer in enumerate(offered, 1)],
        ("", *offers.HEADS),
    )
    ask.screen.note("speeds are estimates: bytes per second of memory, by the bytes of the weights")
    place = next((n for n, offer in enumerate(offered, 1) if offer.profile == now), 0)
    keeps = f"Enter keeps {place}" if place else f"Enter keeps the profile {now}"
    for _ in range(TRIES):
        line = (await read_line(f"1 to {len(offered)}; {keeps}: ")).strip()
        if not line or line == str(place):
            return None
        if line.isdecimal() and 1 <= int(line[:3]) <= len(offered):
            return offered[int(line[:3]) - 1]
    return None


async def _carry_out(ask: Ask, offer: Offer) -> dict[str, Any]:
    """Store what an offer needs, write it down, and restart the kernel if one runs."""
    own, settings = _drafts(ask.home, offer)
    stored = await _stored(ask) if offer.models else {}
    for name, source in offer.models.items():
        if name not in stored:
            ask.screen.note(f"{name}: licence {offer.licence}")
            await store_model(ask, name, source)
    # In this order: whenever this is killed, the profile that the settings name is there.
    ask.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if own:
        write_whole(ask.home / profiles.FILE, own)
    write_whole(ask.home / FILE, settings)
    origin = load(ask.home, os.environ).origins["profile"]
    body = {"chosen": offer.key, "name": offer.name, "profile": offer.profile}
    if not origin.startswith(FILE):
        return body | {"restarted": False, "overruled": origin}
    now = await _restart(ask)
    overruled = {"overruled": "the daemon's BATOS_PROFILE or --profile"}
    return body | {"restarted": bool(now)} | (overruled if now not in ("", offer.profile) else {})


def _drafts(home: Path, offer: Offer) -> tuple[str, str]:
    """Return the new texts of the home's profiles.toml and batos.toml, checked."""
    own = offers.write_block(read_own(home), offer.block)
    check_own(own, home).profile(offer.profile)
    return own, draft_setting(home, "profile", offer.profile)


async def _stored(ask: Ask) -> dict[str, Any]:
    """Return the models of the image, by name."""
    rows = (await ask.kernel.request("models", timeout=60.0))["models"]
    return {row["name"]: row for row in rows if row.get("digest")}


async def _restart(ask: Ask) -> str:
    """Have the watchdog start the kernel anew; return its profile, "" if no watchdog runs."""
    home = Home(ask.home)
    if not is_held(home.lock):
        return ""
    try:
        before = (await ask.kernel.request("health"))["boot"]
        await ask.kernel.request("shutdown", body={"restart": True})
    except (KernelUnreachableError, RemoteError):  # the next start uses it
        return ""
    give_up = time.monotonic() + RESTART
    with Progress(ask.screen) as bar:
        while time.monotonic() < give_up and may_come(home):
            bar.hear("", {"text": "restarting the daemon"})
            await asyncio.sleep(LOOK)
            with contextlib.suppress(KernelUnreachableError):
                health = await ask.kernel.request("health", timeout=PATIENCE)
                if health["boot"] != before and (health["ready"] or health["problem"]):
                    return str(health["profile"])
    raise KernelUnreachableError("the daemon did not come back; batos logs says why")
