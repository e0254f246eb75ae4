"""shell_obj: programs that a person named, in one folder, without a network.

``world`` is the kernel's way to the driver, as in ``files``. The prototype has no grant; ``batos
grant 'shell:git,wc ~/project'`` makes an object that inherits from it and has one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bat_os.natives.files import World


async def run(
    program: str, args: list[str] | tuple[str, ...] = (), stdin: str = "", *, world: World
) -> dict[str, Any]:
    """Run a program, and return its ``status``, ``output``, ``errors``, ``cut``, ``timed_out``."""
    return dict(await world.perform("run", program, list(args), stdin))
