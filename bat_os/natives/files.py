"""files_obj: files and folders that a person granted, and nothing beside them.

``world`` is the kernel's way to the driver, for the object that the message goes to. The prototype
has no grant; ``batos grant FOLDER`` makes an object that inherits from it and has one.
"""

from __future__ import annotations

from typing import Any, Protocol


class World(Protocol):
    """What one object may reach, for one turn."""

    async def perform(self, operation: str, *args: Any) -> Any:
        """Return what the world answers; the same to the same question of one message.

        Raises:
            GrantWantedError: The object has no grant.
            NotGrantedError: Its grant does not reach that far, or has ended.
        """


async def read(path: str = "", start: int = 0, *, world: World) -> str:
    """Return the text of a file, from the byte ``start``: at most 1 MB."""
    return str(await world.perform("read", path, start))


async def names(path: str = "", *, world: World) -> list[str]:
    """Return the names in a folder, sorted; those of folders end in "/"."""
    return list(await world.perform("names", path))


async def facts(path: str = "", *, world: World) -> dict[str, Any]:
    """Return ``kind`` (file, folder or other), ``bytes`` and ``changed``, a moment in UTC."""
    return dict(await world.perform("facts", path))


async def find(pattern: str, path: str = "", *, world: World) -> list[str]:
    """Return the paths whose last part fits a pattern such as ``*.txt``; 200 at most."""
    return list(await world.perform("find", pattern, path))


async def search(text: str, path: str = "", *, world: World) -> list[dict[str, Any]]:
    """Return ``path``, ``line`` and ``text`` of the lines that contain a text; 200 at most."""
    return list(await world.perform("search", text, path))


async def write(path: str, text: str, *, world: World) -> int:
    """Make a text what a file holds, once the message is committed; return its bytes."""
    return int(await world.perform("write", path, text))


async def append(path: str, text: str, *, world: World) -> int:
    """Add a text at the end of a file, on a line of its own; return its bytes."""
    return int(await world.perform("append", path, text))


async def remove(path: str, *, world: World) -> bool:
    """Delete a file, once the message is committed."""
    return bool(await world.perform("remove", path))
