"""A handful of attacks, run through the real path, that must all fail.

A look at the machine in front of us: a cell that passes its tests elsewhere may find here a
kernel without this or that. Each attack returns ``"through"`` when it gets what it wants.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, Final, NoReturn

from bat_os.core.values import Ref
from bat_os.errors import CellError, NotFoundError
from bat_os.ports import Call, ObjectView

if TYPE_CHECKING:
    from bat_os.ports import Cell, Nested

_ATTACKS: Final = {
    "read a file": "os.open('/etc/hostname', os.O_RDONLY)",
    "write a file": "os.open('/tmp/bat-os-self-test', os.O_WRONLY | os.O_CREAT)",
    "list a folder": "os.listdir('/')",
    "open a socket": "sys.modules['socket'].socket()",
    "fork": "os.fork() or os._exit(0)",
    "run a program": "os.execv('/bin/true', ['true'])",
    "signal the parent": "os.kill(os.getppid() or 1, 0)",
    "trace the parent": "call('ptrace', 16, os.getppid() or 1)",
    "lift its limits": "sys.modules['resource'].setrlimit(0, (-1, -1))",
    "send a datagram": "sys.modules['socket'].socketpair(1, 2)",
    "take memory": "bytearray(512 << 20)",
}
_PROBE: Final = """
import random
def m(self):
    os, sys = random._os, random._os.sys
    libc = sys.modules["ctypes"].CDLL(None)
    def call(name, *args):
        if getattr(libc, name)(*args) < 0:
            raise OSError(name)
    try:
        {attack}
    except (OSError, MemoryError, ValueError):
        return "held"
    return "through"
"""
_LOOP: Final = """
def m(self):
    while True:
        pass
"""


async def run_attacks(cell: Cell) -> dict[str, Any]:
    """Return ``{"ok": bool, "held": [name], "through": [name]}``, and after all that a sum.

    Raises:
        CellUnavailableError: This machine cannot confine learned code.
    """
    held: list[str] = []
    through: list[str] = []
    for name, attack in _ATTACKS.items():
        answer = await _run(cell, textwrap.dedent(_PROBE).format(attack=attack))
        (held if answer == "held" else through).append(name)
    answer = await _run(cell, _LOOP, deadline=0.2)
    (held if answer == "deadline" else through).append("loop for ever")
    answer = await _run(cell, "def m(self):\n    return 6 * 7\n")
    return {"ok": not through and answer == 42, "held": held, "through": through}


async def _run(cell: Cell, source: str, deadline: float = 3.0) -> Any:
    """Return the answer of ``m``, or the kind of its failure."""
    view = ObjectView(Ref("0" * 16), {})
    try:
        return (await cell.run(Call(source, "m", view, deadline=deadline), _refuse)).value
    except CellError as error:
        return error.details["kind"]


async def _refuse(nested: Nested) -> NoReturn:
    raise NotFoundError(f"no object {nested.target}")
