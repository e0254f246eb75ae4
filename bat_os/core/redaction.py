"""Keys, tokens and passwords in texts that may be shown to others: what looks like one goes. Pure.

A net under those who know what they write: nothing that is secret is looked for by its value.
"""

from __future__ import annotations

import re
from typing import Final

GONE: Final = "[removed]"
_RULES: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), kept)
    for pattern, kept in (
        # user and password of an address, and what follows its question mark
        (r"(\w+://)[^\s/@]+@", rf"\1{GONE}@"),
        (r"(\w+://[^\s?\"']+\?)[^\s\"']+", rf"\1{GONE}"),
        (r"\b(authorization|proxy-authorization|cookie)\b(\"?\s*[:=]\s*).+", rf"\1\2{GONE}"),
        (r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", rf"\1 {GONE}"),
        (
            r"([\w-]*(?:token|secret|passw(?:or)?d|passphrase|api[_-]?key|access[_-]?key)[\w-]*"
            r"[\"']?\s*[:=]\s*[\"']?)[^\s\"',;}]+",
            rf"\1{GONE}",
        ),
        (r"(--(?:token|key|password|secret)[ =])\S+", rf"\1{GONE}"),
        # tokens by the way they begin: BAT OS, OpenAI, GitHub, Hugging Face, Slack, AWS
        (r"\b(?:bat_|sk-|gh[opsu]_|github_pat_|hf_|xox[abp]-|AKIA)[\w-]{12,}", GONE),
        # what is long and has no words: keys and digests in base64 and hexadecimal
        (r"\b[0-9a-f]{32,}\b", GONE),
        (r"(?<![\w/+])(?=[\w/+-]*\d)(?=[\w/+-]*[A-Z])[\w/+-]{40,}={0,2}", GONE),
    )
)


def hide_secrets(text: str) -> str:
    """Return a text without what looks like a key, a token or a password.

    >>> hide_secrets("GET http://ann:pw@host/x?key=1 api_key=abc --token t0k")
    'GET http://[removed]@host/x?[removed] api_key=[removed] --token [removed]'
    """
    for pattern, kept in _RULES:
        text = pattern.sub(kept, text)
    return text
