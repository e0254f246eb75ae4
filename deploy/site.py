"""For mkdocs: links that leave docs/, to the code or to README.md, become names of files.

In the repository they lead somewhere; in a site that is read offline there is nothing behind them.
"""

from __future__ import annotations

import re
from typing import Any

_OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+(?!docs/)[^)]*\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return a page without links to what is not part of the site."""
    depth = page.file.src_uri.count("/") + 1

    def keep(found: re.Match[str]) -> str:
        return found[1] if found[0].count("../") >= depth else found[0]

    return _OUTSIDE.sub(keep, markdown)
