"""SHA-256 of text and bytes: what names a source, a brief, a document, a request."""

from __future__ import annotations

import hashlib


def digest(content: str | bytes) -> str:
    """Return the SHA-256 in hexadecimal; text counts as UTF-8, lone surrogates included."""
    if isinstance(content, str):
        content = content.encode(errors="surrogatepass")
    return hashlib.sha256(content).hexdigest()
