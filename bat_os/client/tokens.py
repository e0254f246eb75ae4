"""Tokens of HTTP clients, and what proves the page: kept as SHA-256, for the owner's eyes only.

    keys/tokens.json     name -> digest, scope, when it ends
    keys/pages.json      digest of a page's secret -> digest of its cookie, when both end
    run/tokens.json      name -> when it was used last, to the minute
    run/login.json       digest of a code that ``batos open`` wrote: good once, for a minute
    run/open.html        leads a browser to the page with that code, so no command line has it

The files are looked at again when they change, so a token is made and revoked at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import html
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bat_os.client.keys import check_name, read_owned, write_owned, write_private
from bat_os.core.scopes import PERSON, SCOPES
from bat_os.errors import ArgumentsError, NotFoundError, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

PREFIX: Final = "bat_"
MINUTE: Final = 60.0
MAX_TOKENS: Final = 1000
DAY: Final = 86_400.0
MAX_DAYS: Final = 3_650
CODE_SECONDS: Final = 60.0
PAGE_SECONDS: Final = 12 * 3600.0
MAX_PAGES: Final = 100  # that are open at a time; the oldest go first
PAGE: Final = "page"  # the name that a page's requests come under; no token may have it


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request over HTTP."""

    name: str
    scope: str  # one of ``SCOPES``; ``person`` for the page

    @property
    def is_page(self) -> bool:
        """Return True for the owner's own page, which its secret and its cookie prove."""
        return self.scope == PERSON


class Proof(NamedTuple):
    """What a page shows with each request.

    Cookies go to every port of a host, so another server on this machine gets the cookie. The
    secret is kept where the browser tells ports apart, and no request carries it by itself.
    """

    cookie: str  # closed to scripts
    secret: str


class TokenRing:
    """The tokens of one home."""

    def __init__(self, home: Path) -> None:
        self._tokens = home / "keys" / "tokens.json"
        self._pages = home / "keys" / "pages.json"
        self._code = home / "run" / "login.json"
        self._way = home / "run" / "open.html"
        self._used = home / "run" / "tokens.json"
        self._seen: dict[Path, tuple[tuple[int, int, int], dict[str, Any]]] = {}
        # The tokens as they were read last, and their names by digest: a stream asks per line.
        self._indexed: tuple[dict[str, Any], dict[str, str]] = ({}, {})

    def make(self, name: str, scope: str, days: float) -> str:
        """Return a new token; nothing but its digest is kept.

        Raises:
            ArgumentsError: The name is invalid or taken, or the scope is unknown.
            SettingsError: The file cannot be used.
        """
        known = self._live()
        if check_name(name) in known or name == PAGE:
            raise ArgumentsError(f"{name} is taken by a token; revoke it, or choose another name")
        if scope not in SCOPES:
            raise ArgumentsError(f"no scope {scope[:60]!r}; there are: {', '.join(SCOPES)}")
        if not 0 < days <= MAX_DAYS:
            raise ArgumentsError(f"a token is good for up to {MAX_DAYS} days")
        if len(known) >= MAX_TOKENS:
            raise ArgumentsError(f"there are {MAX_TOKENS} tokens already; revoke some")
        token = PREFIX + secrets.token_urlsafe(24)
        until = time.time() + days * DAY
        write_owned(
            self._tokens, known | {name: {"sha256": _digest(token), "may": scope, "until": until}}
        )
        return token

    def revoke(self, name: str) -> None:
        """Revoke a token, from the next request on.

        Raises:
            NotFoundError: There is none of that name.
        """
        known = self._live()
        if name not in known:
            raise NotFoundError(f"no token {name[:60]!r}; tokens: {list(known)}")
        del known[name]
        write_owned(self._tokens, known)

    def listed(self) -> dict[str, dict[str, Any]]:
        """Return name -> scope, end and last use (0: none) of the tokens that are good."""
        used = self._read(self._used)
        return {
            name: {"may": row["may"], "until": row["until"], "used": used.get(name, 0.0)}
            for name, row in self._live().items()
        }

    def find(self, token: str) -> Caller | None:
        """Return whose token it is; None if it is not good. Never raises."""
        if not token.startswith(PREFIX):
            return None
        kept = self._read(self._tokens)
        if kept is not self._indexed[0]:
            self._indexed = kept, {row["sha256"]: name for name, row in kept.items()}
        name = self._indexed[1].get(_digest(token), "")
        row = kept.get(name)
        if row is None or row["until"] <= time.time() or row["may"] not in SCOPES:
            return None
        self._note_use(name)
        return Caller(name, row["may"])

    def _note_use(self, name: str) -> None:
        """Keep when a token was used, at most once a minute: it is asked for with each request."""
        used, now = self._read(self._used), time.time()
        if now - used.get(name, 0.0) > MINUTE:
            with contextlib.suppress(OSError, SettingsError):
                tokens = self._read(self._tokens)
                live = {known: at for known, at in used.items() if known in tokens}
                write_owned(self._used, live | {name: now})

    def write_code(self) -> str:
        """Return a code that lets one page in, once, within a minute."""
        code = secrets.token_urlsafe(24)
        write_owned(self._code, {"sha256": _digest(code), "until": time.time() + CODE_SECONDS})
        return code

    def write_way(self, page: str) -> Path:
        """Return a file that leads a browser to ``page``; any user can see command lines."""
        lead = f'<!doctype html><meta http-equiv="refresh" content="0; url={html.escape(page)}">\n'
        write_private(self._way, lead)
        return self._way

    def redeem(self, code: str) -> Proof | None:
        """Return the proof for a page that has a code; None if the code is not good."""
        try:
            kept = read_owned(self._code)
            if kept["sha256"] != _digest(code):
                return None
            self._code.unlink()
            self._way.unlink(missing_ok=True)
            is_good = kept["until"] > time.time()
        except (SettingsError, OSError, KeyError, TypeError):
            return None
        if not is_good:
            return None
        proof = Proof(secrets.token_urlsafe(32), secrets.token_urlsafe(32))
        newest = sorted(self._open_pages().items(), key=lambda item: -item[1]["until"])
        row = {"cookie": _digest(proof.cookie), "until": time.time() + PAGE_SECONDS}
        write_owned(self._pages, dict(newest[: MAX_PAGES - 1]) | {_digest(proof.secret): row})
        return proof

    def find_page(self, proof: Proof) -> Caller | None:
        """Return the owner at a page; None if the proof is not good. Never raises.

        All tabs of a browser share the newest cookie, and each has a secret of its own: so a
        cookie is good for the secret of any page that is open.
        """
        known = self._open_pages()
        is_good = _digest(proof.secret) in known and _digest(proof.cookie) in {
            row["cookie"] for row in known.values()
        }
        return Caller(PAGE, PERSON) if is_good else None

    def _open_pages(self) -> dict[str, Any]:
        """Return the pages that have not ended; one of an older program is none."""
        now, known = time.time(), self._read(self._pages)
        return {secret: row for secret, row in known.items()
                if isinstance(row, dict) and row["until"] > now}  # fmt: skip

    def close_pages(self) -> None:
        """Make what all pages show useless."""
        self._pages.unlink(missing_ok=True)

    def _live(self) -> dict[str, Any]:
        """Return the tokens that have not ended, as they are kept.

        Raises:
            SettingsError: The file cannot be used.
        """
        if not self._tokens.exists():
            return {}
        now = time.time()
        return {name: row for name, row in read_owned(self._tokens).items() if row["until"] > now}

    def _read(self, path: Path) -> dict[str, Any]:
        """Return what a file holds; nothing if it cannot be used."""
        try:
            facts = path.stat()
            seen = (facts.st_ino, facts.st_mtime_ns, facts.st_size)
            known = self._seen.get(path)
            if known is None or known[0] != seen:  # it is replaced with every change
                known = self._seen[path] = (seen, _checked(path, read_owned(path)))
            return known[1]
        except (OSError, SettingsError):
            self._seen.pop(path, None)
            return {}


def _checked(path: Path, data: dict[str, Any]) -> dict[str, Any]:
    """Return data of one of the two files, if it has their form."""
    rows = [row if isinstance(row, dict) else {"until": row} for row in data.values()]
    for row in rows:
        texts = [row.get("sha256", ""), row.get("may", ""), row.get("cookie", "")]
        if type(row.get("until")) not in (int, float) or {*map(type, texts)} != {str}:
            raise SettingsError(f"{path} is not a file of tokens")
    return data


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
