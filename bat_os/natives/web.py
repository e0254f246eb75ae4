"""web_obj: pages of a host that a person granted, and nothing beside them.

``world`` is the kernel's way to the driver, as in ``files``. The prototype has no grant; ``batos
grant https://example.org`` makes an object that inherits from it and has one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bat_os.natives.files import World


async def fetch(url: str = "", *, world: World) -> str:
    """Return the readable text of a page, its title first: at most 1 MB."""
    return str(await world.perform("fetch", url))


async def links(url: str = "", *, world: World) -> list[dict[str, str]]:
    """Return ``url`` and ``text`` of the links of a page, each URL once."""
    return list(await world.perform("links", url))


async def json(url: str = "", *, world: World) -> Any:
    """Return what a page says in JSON, as plain data."""
    return await world.perform("json", url)


async def facts(url: str = "", *, world: World) -> dict[str, Any]:
    """Return ``url`` after redirects, ``kind``, ``bytes``, ``title``, and ``read``, in UTC."""
    return dict(await world.perform("facts", url))


async def post(url: str, data: Any = "", *, world: World) -> dict[str, Any]:
    """Send data, a text or what JSON can say, and return ``status`` and ``text``."""
    return dict(await world.perform("post", url, data))
