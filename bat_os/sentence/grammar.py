"""The forms of an English request: what is said around and beside the request itself.

Each function takes the tokens of a sentence and returns the tokens that are left, together with
what it read out of the others: politeness, the target, "create a method that", and

"my name is Ann, greet me"              greet 'Ann'
"add twelve and thirty"                 add 12 and 30
"draw a box with width 2, height 3"     draw a box       width=2, height=3
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from bat_os.method.text import words as word_set
from bat_os.sentence.tokens import ARTICLES, PREPOSITIONS, Token, singular
from bat_os.sentence.wishes import LEARN

JOINERS: Final = frozenset({",", "and", "or", "&"})
# Patterns below read the first tokens as one text: words and marks with one blank after
# each, "\0" for a literal.
_LEAD_TOKENS: Final = 40
_POLITE: Final = re.compile(
    r"(?:(?:please|kindly|hey|hi|ok|okay|just|now|then|,|can you|could you|would you|will you|"
    r"(?:i|we) (?:want|need|wish)(?: you)? to|(?:i|we) would like(?: you)? to|"
    r"(?:i|we)'d like(?: you)? to|let's|let us|try to|help me(?: to)?) )+"
)
_POLITE_END: Final = re.compile(r"(?:(?: |^)(?:please|thanks|thank you|for me|[.!?,]))+ $")
_ASKED: Final = re.compile(
    r"(?:ask|tell|order) (?:the )?(?!me |you |us |him |her )([^\W\d]\w*) to "
)
_MADE: Final = re.compile(r"(?:have|let|make|get) ([^\W\d]\w*_obj) (?:to )?")
_LET: Final = re.compile(
    r"let (?:the )?(?!me |us |it |him |her |them |there )([^\W\d]\w*) (?!be |to )(?=[^\W\d])"
)
_ADDRESSED: Final = re.compile(r"([^\W\d]\w*_obj) [,:] ")
_AT_END: Final = re.compile(r" (?:on|for|in|to|by|with|using|of) ([^\W\d]\w*_obj) $")
_FRAME: Final = re.compile(
    r"(?:(?:create|write|make|build|learn|define|add|implement|develop|design|generate|"
    r"give me|(?:i|we) (?:want|need)|teach (?:yourself|it)) (?:me )?)?"
    r"(?:(?:a|an|the|another|new|simple|small|short|python|useful) )*"
    r"(?:method|function|skill|routine|procedure) "
    r"(?:(?:called|named) (?P<name>\S+) )?"
    r"(?P<link>(?:, )?(?:that|which|who|to|for) )?"
    r"(?:(?:can|could|will|should|must|is able to) )?"
)
_WHETHER: Final = re.compile(
    r"(?:(?:check|determine|test|decide|say|see|show me|tell me|find out|know|return) )?"
    r"(?:if|whether) "
)
_COUNT: Final = re.compile(r"(?:(?:tell|show) me )?how many ")
_QUESTION: Final = re.compile(
    r"(?:(?:(?:what|who|which)(?: is|'s| are| was| were)|how much is|(?:tell|give|show|get) me|"
    r"what(?! (?:can|do|does|should|could|would) )) )(?!you )"
)
_COPULAS: Final = word_set("is are there does do has have")
_COLLECTIONS: Final = word_set(
    "list array sequence series collection tuple data people children men women"
)
_TOTALS: Final = word_set(
    "average mean median mode sum total maximum max minimum min largest smallest "
    "biggest lowest highest sort product"
)
_NOT_PLURAL: Final = word_set("times plus minus is has does was this always perhaps")
_NOT_NAMES: Final = word_set(
    "celsius fahrenheit kelvin fibonacci roman morse caesar pascal euclidean python english "
    "french german spanish italian dutch latin greek russian chinese japanese arabic portuguese"
)
# fmt: off
_ONES: Final = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)
_TENS: Final = (
    "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
)
# fmt: on
_NUMBERS: Final = {word: value for value, word in enumerate(_ONES)} | {
    word: 10 * value for value, word in enumerate(_TENS, start=2)
}
# After these a number word is a value; before a noun ("two numbers") it tells how many.
_AFTER_NUMBER: Final = (
    JOINERS
    | PREPOSITIONS
    | word_set("plus minus times divided multiplied is gives becomes please together . ! ? ) ; :")
)
_INTRODUCTION: Final = re.compile(
    r"(?:my name is|my (?:\w+ ){1,3}(?:is|are)|i am|i'm|(?:i|we) have(?: got)?|i've got|"
    r"here(?: is|'s| are)|given|there(?: is| are)|this is|these are) "
)
_PRONOUNS: Final = word_set("me it them him her these those")
_GIVING: Final = word_set("give gives return returns answer answers say says")
_LOOK: Final = 60  # tokens of an introduction, at most


@dataclass(frozen=True, slots=True)
class Frame:
    """What a sentence says around the request."""

    tokens: list[Token]  # the request itself
    name: Token | None = None  # the token after "called", or None
    lead: str = ""  # a verb for the description, if the request has none


def strip_politeness(tokens: list[Token]) -> list[Token]:
    """Return the tokens without "could you please" and "thanks"; never nothing."""
    match = _POLITE.match(_lead(tokens))
    rest = tokens[_count(match) :]
    tail = rest[-_LEAD_TOKENS:]
    if match := _POLITE_END.search(_lead(tail)):
        rest = rest[: len(rest) - _count(match)]
    return rest or tokens


def take_target(tokens: list[Token]) -> tuple[str, list[Token]]:
    """Return (name, rest) for "ask NAME to" and the like; the name is "" without one."""
    lead = _lead(tokens)
    for pattern in (_ASKED, _MADE, _LET, _ADDRESSED):
        if match := pattern.match(lead):
            place = len(lead[: match.start(1)].split())
            return tokens[place].text, tokens[_count(match) :]
    tail = tokens[-_LEAD_TOKENS:]
    if len(tokens) > 2 and (match := _AT_END.search(_lead(tail))):
        return tokens[-1].text, tokens[:-2]
    return "", tokens


def strip_frame(tokens: list[Token]) -> Frame:
    """Return the request inside of "create a method that ..." or "what is the ..."."""
    lead = _lead(tokens)
    if match := _FRAME.match(lead):
        name = None
        if match["name"]:
            name = tokens[len(lead[: match.start("name")].split())]
        rest = tokens[_count(match) :]
        return Frame(_to_imperative(rest, (match["link"] or "").strip(" ,")), name)
    return _strip_question(tokens, lead)


def read_name(token: Token | None) -> list[str]:
    """Return the words of a name that was given, ``areaOfCircle`` taken apart."""
    if token is None:
        return []
    text = str(token.value) if token.kind == "literal" else token.text
    return re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text).lower())


def fold_literals(tokens: list[Token]) -> list[Token]:
    """Return the tokens with names as literals, and "numbers 1, 2 and 3" as one list."""
    tokens = mark_names(tokens)
    folded: list[Token] = []
    at = 0
    while at < len(tokens):
        if tokens[at].kind != "literal":
            folded.append(tokens[at])
            at += 1
            continue
        run, at = _literal_run(tokens, at)
        run = _split_thousands(run, folded)
        if (len(run) > 1 and _wants_list(folded, len(run))) or _are_many_numbers(run):
            text = ", ".join(token.text for token in run)
            folded.append(Token("literal", f"[{text}]", [token.value for token in run]))
        else:
            folded.extend(run)
    return folded


def _lead(tokens: list[Token]) -> str:
    shown = ("\0" if token.kind == "literal" else token.low for token in tokens[:_LEAD_TOKENS])
    return "".join(f"{text} " for text in shown)


def _count(match: re.Match[str] | None) -> int:
    return len(match.group().split()) if match else 0


def _strip_question(tokens: list[Token], lead: str) -> Frame:
    if match := _COUNT.match(lead):
        asked = tokens[_count(match) :]
        # "does 'banana' have" reads as "in 'banana'".
        rest = [
            Token("word", "in") if token.low == "does" else token
            for token in asked
            if token.low == "does" or token.low not in _COPULAS
        ]
        return Frame([Token("word", "count"), *rest])
    for pattern, verb in ((LEARN, ""), (_WHETHER, "say whether"), (_QUESTION, "return")):
        if (match := pattern.match(lead)) and len(tokens) > _count(match):
            return Frame(_without_filler(tokens[_count(match) :]), lead=verb)
    return Frame(tokens)


def _without_filler(tokens: list[Token]) -> list[Token]:
    """Return "time now" for "(what) time is it now"."""
    for at in range(1, len(tokens) - 1):
        if (tokens[at].low, tokens[at + 1].low) in (("is", "it"), ("was", "it")):
            return tokens[:at] + tokens[at + 2 :]
    return tokens


def _to_imperative(tokens: list[Token], link: str) -> list[Token]:
    """Return "report the time" for "(that) reports the time" or "(for) reporting ..."."""
    result = list(tokens)
    for i, token in enumerate(tokens):
        first = i == 0 or (link != "for" and tokens[i - 1].low == "and")
        if not first or token.kind != "word":
            continue
        if link in ("that", "which", "who"):
            result[i] = Token("word", _from_third_person(token.low))
        elif link == "for" and len(token.low) > 5 and token.low.endswith("ing"):
            result[i] = Token("word", _from_gerund(token.low))
    return result


def _from_third_person(verb: str) -> str:
    irregular = {"is": "is", "has": "have", "does": "do"}
    if verb in irregular:
        return irregular[verb]
    if verb.endswith("ies") and len(verb) > 4:
        return verb[:-3] + "y"
    if verb.endswith(("sses", "shes", "ches", "xes", "zzes", "oes")):
        return verb[:-2]
    return verb[:-1] if verb.endswith("s") and not verb.endswith(("ss", "us", "is")) else verb


def _from_gerund(verb: str) -> str:
    stem = verb[:-3]
    if stem[-1] == stem[-2] and stem[-1] not in "dlsfz":
        return stem[:-1]
    silent = ("at", "iz", "ut", "c", "v", "rs", "rg", "dg", "bl", "tl", "gl", "dl", "pl", "ak")
    return stem + "e" if stem.endswith((*silent, "us", "uar", "mpar", "writ", "mov")) else stem


def mark_names(tokens: list[Token]) -> list[Token]:
    """Return the tokens with ``Alice Smith`` in "greet Alice Smith" as one literal."""
    if any(token.text in ("The", "A", "An", "Of", "To", "In") for token in tokens[1:]):
        return tokens  # A Title With Capitals
    marked: list[Token] = []
    known = False  # it goes on with what an article began: "the Hundred Acre Wood"
    for i, token in enumerate(tokens):
        follows = tokens[i + 1] if i + 1 < len(tokens) else None
        known = token.text[:1].isupper() and i > 0 and (known or tokens[i - 1].low in ARTICLES)
        if not i or known or not _is_name(token) or tokens[i - 1].low in (".", "!", "?"):
            marked.append(token)
        elif marked[-1].kind == "literal" and tokens[i - 1].kind == "word":
            name = f"{marked[-1].value} {token.text}"
            marked[-1] = Token("literal", name, name)
        elif follows is None or _ends_name(follows):
            marked.append(Token("literal", token.text, token.text))
        else:
            marked.append(token)
    return marked


def _is_name(token: Token) -> bool:
    text = token.text
    return (
        token.kind == "word"
        and text[:1].isupper()
        and text[1:].replace("-", "").islower()
        and text.isalpha()
        and token.low not in _NOT_NAMES
    )


def _ends_name(token: Token) -> bool:
    """Return False before a noun: "the Gauss formula" is about no one."""
    return (
        token.kind != "word"
        or _is_name(token)
        or token.low in PREPOSITIONS | {"and", "or", "is", "please"}
        or token.low.endswith("ly")
    )


def _literal_run(tokens: list[Token], at: int) -> tuple[list[Token], int]:
    """Return the literals from ``at`` on that only commas and "and" part, and the end."""
    run = [tokens[at]]
    end = at + 1
    while True:
        follows = end
        while follows < len(tokens) and tokens[follows].low in JOINERS:
            follows += 1
        if follows == end or follows == len(tokens) or tokens[follows].kind != "literal":
            return run, end
        run.append(tokens[follows])
        end = follows + 1


def _split_thousands(run: list[Token], before: list[Token]) -> list[Token]:
    """Return three numbers for the "100,200,300" of "sum 100,200,300"."""
    parts = run[0].text.split(",")
    if len(run) > 1 or type(run[0].value) is not int or len(parts) < 3:
        return run
    if not _wants_list(before, len(parts)):
        return run
    return [Token("literal", part, int(part)) for part in parts]


def _are_many_numbers(run: list[Token]) -> bool:
    return len(run) > 3 and all(type(token.value) in (int, float) for token in run)


def _wants_list(before: list[Token], count: int) -> bool:
    """Return True if the words before a run of literals speak of several things."""
    words = [token.low for token in before if token.kind == "word"]
    words = [word for word in words if word not in ARTICLES | PREPOSITIONS]
    if not words:
        return False
    noun = words[-1]
    if noun in _COLLECTIONS or (noun in _TOTALS and count > 2):
        return True
    return len(words) > 1 and singular(noun) != noun and noun not in _NOT_PLURAL


def read_numbers(tokens: list[Token]) -> list[Token]:
    """Return the tokens with "five" and "twenty-one" as numbers, where they are values."""
    read = list(tokens)
    for at in range(len(tokens) - 1, -1, -1):
        value = _number(tokens[at])
        follows = read[at + 1] if at + 1 < len(read) else None
        if value is None or not (follows is None or follows.low in _AFTER_NUMBER):
            continue
        if at and tokens[at - 1].low in _GIVING:  # "return seven": the answer, no argument
            continue
        if value == 1 and not _counts_on(read, at):  # "add one to it each time"
            continue
        read[at] = Token("literal", str(value), value)
    return read


def _number(token: Token) -> int | None:
    if token.kind != "word":
        return None
    tens, dash, ones = token.low.partition("-")
    if dash and tens in _TENS and _NUMBERS.get(ones, 0) in range(1, 10):
        return _NUMBERS[tens] + _NUMBERS[ones]
    return _NUMBERS.get(token.low)


def _counts_on(tokens: list[Token], at: int) -> bool:
    """Return True for the "one" of "one and two": a joiner and another number come next."""
    rest = [token for token in tokens[at + 1 : at + 4] if token.low not in JOINERS]
    joined = at + 1 < len(tokens) and tokens[at + 1].low in JOINERS | {"to", "plus"}
    return joined and any(token.kind == "literal" for token in rest)


def take_introduction(tokens: list[Token]) -> list[Token]:
    """Return the request of "I have X. Do it", with what was introduced in the place of "it"."""
    head = tokens[:_LOOK]
    lead = "".join(f"{'0' if token.kind == 'literal' else token.low} " for token in head)
    if not _INTRODUCTION.match(lead):
        return tokens
    end = _end_of_introduction(head)
    values = [token for token in mark_names(tokens[:end]) if _is_listed(token)]
    while values and values[-1].kind != "literal":
        values.pop()
    wish = tokens[end + 1 :]
    if not values or not any(token.kind == "word" for token in wish):
        return tokens
    place = next((at for at, token in enumerate(wish) if token.low in _PRONOUNS), None)
    if place is None:
        while wish[-1].kind == "mark":
            wish = wish[:-1]
        return [*wish, *values]
    return [*wish[:place], *values, *wish[place + 1 :]]


def _end_of_introduction(tokens: list[Token]) -> int:
    """Return the place of the mark between the introduction and the request, or the end."""
    for marks in (".;:!", ",", ("and",)):
        for at, token in enumerate(tokens[:-1]):
            follows = tokens[at + 1]
            fits = follows.kind == "word" and follows.low not in JOINERS
            if token.kind != "literal" and token.low in marks and at > 1 and fits:
                return at
    return len(tokens)


def _is_listed(token: Token) -> bool:
    return token.kind == "literal" or token.low in JOINERS


def take_pairs(tokens: list[Token]) -> tuple[list[Token], dict[str, Any]]:
    """Return (rest, kwargs) for "with width 2 and height 3"; one pair alone names nothing."""
    for start, token in enumerate(tokens):
        if token.low != "with":
            continue
        pairs: dict[str, Any] = {}
        at = start + 1
        while at + 1 < len(tokens) and _is_pair(*tokens[at : at + 2]):
            pairs[tokens[at].low] = tokens[at + 1].value
            at += 2
            while at < len(tokens) and tokens[at].low in JOINERS:
                at += 1
        if len(pairs) > 1:
            return tokens[:start] + tokens[at:], pairs
    return tokens, {}


def _is_pair(name: Token, value: Token) -> bool:
    plain = name.kind == "word" and name.low.isascii() and name.low.isidentifier()
    return plain and value.kind == "literal" and name.low not in PREPOSITIONS
