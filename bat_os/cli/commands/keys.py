"""``batos keys``: who may come in from other machines. Works without a kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.commands.command import Command
from bat_os.client.keys import KeyRing
from bat_os.errors import ArgumentsError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from bat_os.cli.commands.command import Ask
    from bat_os.cli.console import Screen


async def _keys(ask: Ask) -> Mapping[str, Any]:
    options, ring = ask.options, KeyRing(ask.home)
    if options.do == "list":
        allowed = ring.allowed()
        return {"server": ring.server()[0] if allowed else "", "allowed": allowed}
    if not options.name:
        raise ArgumentsError(f"batos keys {options.do} needs a NAME")
    if options.do == "make":
        path = ring.make(options.name, options.connect, options.server)
        return {"made": options.name, "file": str(path), "allowed": not options.server}
    if options.do == "allow":
        ring.allow(options.name, options.key)
        return {"allowed": options.name}
    ring.revoke(options.name)
    return {"revoked": options.name}


def _words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "do", choices=["make", "list", "allow", "revoke"], metavar="ACTION",
        help="make a key for a client; list who may come in; allow a public key; revoke one",
    )  # fmt: skip
    parser.add_argument("name", nargs="?", default="", help="of the key")
    parser.add_argument("key", nargs="?", default="", help="allow: a public key made elsewhere")
    parser.add_argument(
        "--connect", default="", metavar="tcp://HOST:PORT", help="make: the kernel's address"
    )
    parser.add_argument(
        "--server", default="", metavar="KEY", help="make: public key of a kernel elsewhere"
    )


def _show(body: Mapping[str, Any], screen: Screen) -> None:
    if "made" in body:
        screen.answer(body["file"])
        screen.note("Carry this file to the client's machine, and set BATOS_KEY_FILE to it there.")
        if not body["allowed"]:
            screen.note("The other kernel has to allow its public key: batos keys allow NAME KEY")
    elif "server" in body:
        screen.table(list(body["allowed"].items()), ("NAME", "PUBLIC KEY"))
        screen.note(f"this kernel's public key: {body['server'] or 'none yet; batos keys make'}")
    else:
        screen.answer(" ".join(map(str, next(iter(body.items())))))


COMMANDS: Final[Mapping[str, Command]] = {
    "keys": Command("say who may come in from other machines", _keys, _words, _show),
}
