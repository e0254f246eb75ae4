"""Greetings, thanks and the like: answered with a line, since nothing is to be learned from them.

Only a sentence of such words alone: "say hello to Ann" is a request, and ``hello()`` a message.
"""

from __future__ import annotations

import re
from typing import Final

EXAMPLE: Final = "double the number 21, e.g. 4 gives 8"
_ABOUT: Final = (
    "Say what you want, and BAT OS answers; what it cannot do yet, it learns. For example: "
    f"{EXAMPLE}"
)
# What such a sentence consists of, longer phrases first, and how the answer to it begins.
_HELLO: Final = (
    "hello|hi|hey|hiya|howdy|hallo|greetings|good (?:morning|afternoon|evening|day)|"
    "nice to meet you|pleased to meet you|how are you(?: doing)?(?: today)?|how's it going|"
    "how is it going|what's up|are you there"
)
_THANKS: Final = "thanks|thank you|thx|cheers|well done|good job|great job|nice work|ok|okay"
_BYE: Final = (
    "goodbye|good bye|bye bye|bye|good night|see you(?: later| soon| tomorrow)?|farewell|take care"
)
_WHO: Final = (
    "help(?: me)?|what can you do(?: for me)?|what do you do|what can i (?:do|say|ask)(?: here)?|"
    "who are you|what are you|how does this work|how do you work"
)
_KINDS: Final = (
    (_HELLO, "Hello. "),
    (_THANKS, "You are welcome. "),
    (_BYE, "Goodbye. "),
    (_WHO, ""),
)
_BESIDE: Final = (
    "there|again|all|everyone|everybody|friend|my friend|bat os|batos|alfred|brick|robin|babs|"
    "very much|so much|a lot|for (?:that|this|your help|everything)|and|oh|please"
)
_CORE: Final = "|".join(kind for kind, _ in _KINDS)
_TALK: Final = re.compile(rf"(?:(?:{_BESIDE}) )*(?:{_CORE})(?: (?:{_CORE}|{_BESIDE}))*")
_FIRST: Final = tuple(
    (re.compile(rf"(?:(?:{_BESIDE}) )*(?:{kind})\b"), begin) for kind, begin in _KINDS
)
_APOSTROPHE: Final = "\N{RIGHT SINGLE QUOTATION MARK}"  # what a keyboard may write for '
# Letters, blanks and what ends or parts a sentence: brackets, digits and quotes mean something.
_PLAIN: Final = re.compile(r"[A-Za-z\s,.!?;:'-]{2,80}")


def reply_to(sentence: str) -> str:
    """Return the answer to a greeting or the like; "" if the sentence may be a request.

    >>> reply_to("Hi there!").split(".")[0], reply_to("thanks a lot").split(".")[0]
    ('Hello', 'You are welcome')
    >>> reply_to("say hello to Ann"), reply_to("hello()"), reply_to("good morning in French")
    ('', '', '')
    """
    plain = sentence.strip().lower().replace(_APOSTROPHE, "'")
    if not _PLAIN.fullmatch(plain):
        return ""
    said = " ".join(re.findall(r"[a-z']+", plain))
    if not _TALK.fullmatch(said):
        return ""
    return next(begin for kind, begin in _FIRST if kind.match(said)) + _ABOUT
