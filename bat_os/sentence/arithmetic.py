"""Runs of numbers and operators: "(3 + 4) * 2", "12 times 7 plus 3", "a third of 90 minus 4".

A root in words takes what stands right behind it: "the square root of 16 times 2" is 8. Orders in a
row are one expression too: "add 3 and 4, then multiply by 2".

What is read is written as calculator_obj takes it: digits, + - * / % ^ and parentheses.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from bat_os.method.text import words as word_set
from bat_os.sentence import quantities
from bat_os.sentence.numerals import MINUS, plain

if TYPE_CHECKING:
    from bat_os.sentence.numerals import Number
    from bat_os.sentence.values import Page, Value

    Found = tuple[list[Value], int]

MAX_STEPS: Final = 120  # parts of one expression
FUNCTIONS: Final = word_set(
    "sqrt cbrt abs round floor ceil ln log log10 log2 exp sin cos tan factorial"
)
_SIGNS: Final = {
    "+": "+", "-": "-", "\u2212": "-", "\u2013": "-", "*": "*", "\u00d7": "*", "\u00b7": "*",
    "/": "/", "\u00f7": "/", "^": "^", "%": "%", "x": "*",
}  # fmt: skip
_SUM: Final = ["number", "unit", "number", "unit", "unit"]  # kinds of "3 kg plus 200 g in grams"
_EXPONENTS: Final = {"²": "^2", "³": "^3"}


class _Run:
    """An expression in the making, and the last point where it was whole."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.depth = self.operators = 0
        self.whole: tuple[str, int] | None = None
        self.currency = ""  # of its amounts of money

    def mark(self, end: int) -> None:
        """Keep what there is, if it can end here."""
        if not self.depth and self.operators:
            self.whole = "".join(self.parts).strip(), end


def read_expression(page: Page, at: int) -> Found | None:
    """Return the longest expression with an operator at ``at``."""
    word = page.words[at]
    opens = word.text == "(" or word.low in FUNCTIONS
    if opens and at and page.words[at - 1].text == "(":
        return None  # it was tried from the outermost one
    if _is_remainder(page, at):
        return None
    run = _Run()
    _scan(page, at, run)
    whole = _read_orders(page, at) or run.whole
    if whole is None:
        return None
    text, end = whole
    is_other = _is_range(page, at, end) or (run.currency and not _is_of_money(page, at, end))
    if is_other or quantities.read_unit(page, end, after=page.number(end - 1)):
        return None
    return [page.value("expression", text, at, end)], end


def _is_of_money(page: Page, at: int, end: int) -> bool:
    """Return whether amounts are calculated with: no discount ("- 20%"), no span ("5-10 euros")."""
    words = page.words[at:end]
    percent = page.language.phrases("percent", "words")
    spans = any(word.text in MINUS and word.tight for word in words[1:])
    return not spans and not any(word.text == "%" or word.low in percent for word in words)


def _is_remainder(page: Page, at: int) -> bool:
    """Return whether the words before ask for what a division leaves."""
    cues = page.language.phrases("arithmetic", "remainder")
    before = (cues.match(page.words, at - back) for back in (1, 2, 3) if at >= back)
    return any(cue and cue[1] == at for cue in before)


def _read_orders(page: Page, at: int) -> tuple[str, int] | None:
    """Return "add 3 and 4, then multiply by 2" as an expression; None unless orders follow."""
    language, words = page.language, page.words
    first = language.phrases("orders").match(words, at)
    one = page.number(first[1]) if first else None
    glue = language.phrases("arithmetic", "between").match(words, one.end) if one else None
    two = page.number(glue[1]) if glue else None
    if first is None or one is None or glue is None or two is None:
        return None
    left, right = (two, one) if glue[0] == "from" else (one, two)
    text = f"({_written(left, first=True)} {first[0]} {_written(right, first=False)})"
    end, orders = two.end, 1
    while orders < MAX_STEPS and (more := _next_order(page, end)) is not None:
        text, end, orders = f"({text} {more[0]} {more[1]})", more[2], orders + 1
    return (text, end) if orders > 1 else None


def _next_order(page: Page, at: int) -> tuple[str, str, int] | None:
    """Return (sign, number, index behind) of ", then multiply by 2"."""
    language, words = page.language, page.words
    at += at < len(words) and words[at].text == ","
    glue = language.phrases("arithmetic", "then").match(words, at)
    order = language.phrases("orders").match(words, glue[1]) if glue else None
    if order is None:
        return None
    by = language.phrases("arithmetic", "by").match(words, order[1])
    number = page.number((by or order)[1])
    return (order[0], _written(number, first=False), number.end) if number else None


def _scan(page: Page, at: int, run: _Run) -> None:
    wants_number = True
    for _ in range(MAX_STEPS):
        page.steps -= 1
        if page.steps < 0 or at >= len(page.words) or page.words[at].kind == "literal":
            return
        next_at = _operand(page, at, run) if wants_number else _operator(page, at, run)
        if next_at is None:
            return
        at, wants_number = next_at


def _operand(page: Page, at: int, run: _Run) -> tuple[int, bool] | None:
    """Read a number, an opening parenthesis, a function or a sign."""
    words = page.words
    word = words[at]
    opens = at + 1 < len(words) and words[at + 1].text == "("
    if opens and (word.low in FUNCTIONS or word.text in MINUS):
        run.parts.append(f"{word.low}(" if word.low in FUNCTIONS else "-(")
        run.depth, run.operators = run.depth + 1, run.operators + 1
        return at + 2, True
    if word.text == "(":
        run.parts.append("(")
        run.depth += 1
        return at + 1, True
    root = page.language.phrases("roots").match(words, at)
    if root is not None and root[1] < len(words):
        return _root(page, root, run)
    return _number(page, at, run)


def _number(page: Page, at: int, run: _Run) -> tuple[int, bool] | None:
    """Read a number, and the "of" behind a percentage or a part in words."""
    if (money := quantities.read_money(page, at)) is not None:
        return _amount(money, run)
    words, number = page.words, page.number(at)
    if number is None or (number.single and not _is_one(page, at)):
        return None
    run.parts.append(_written(number, first=not run.parts))
    sign, end = _behind(page, number, run)
    run.parts.append(sign)
    run.mark(end)
    part = sign == "%" or (0 < number.value < 1 and words[at].text[0] not in "0.,")
    of = page.language.phrases("arithmetic", "of").match(words, end) if part else None
    if of is None:
        return end, False
    run.parts.append(" * ")
    return of[1], True


def _amount(money: Found, run: _Run) -> tuple[int, bool] | None:
    """Read an amount of money, of the currency of those before it."""
    (value,), end = money
    amount, currency = value.value["amount"], value.value["currency"]
    if run.currency not in ("", currency):
        return None
    run.currency = currency
    run.parts.append(f"({amount})" if amount < 0 and run.parts else str(amount))
    run.mark(end)
    return end, False


def _root(page: Page, root: tuple[str, int], run: _Run) -> tuple[int, bool] | None:
    """Read a root in words with the number behind it, or up to the parenthesis that opens."""
    name, at = root
    run.parts.append(f"{name}(")
    if page.words[at].text == "(":
        run.depth, run.operators = run.depth + 1, run.operators + 1
        return at + 1, True
    number = page.number(at)
    if number is None or number.single:
        return None
    run.parts.append(f"{_written(number, first=True)})")
    run.mark(number.end)
    return number.end, False


def _is_one(page: Page, at: int) -> bool:
    """Return whether an article is a one: "one plus one", and not "3 times a cup"."""
    if page.words[at].low not in page.language.phrases("numbers", "words"):
        return False
    ends = at + 1 >= len(page.words) or page.words[at + 1].kind == "mark"
    return ends or bool(_sign_at(page, at + 1)[0])


def _written(number: Number, *, first: bool) -> str:
    """Return a number as calculator_obj takes it, exactly."""
    value, shown = number.value, plain(number.value)
    if value.denominator > 1 and Fraction(str(shown)) != value:
        return f"({value})"
    return f"({shown})" if value < 0 and not first else str(shown)


def _behind(page: Page, number: Number, run: _Run) -> tuple[str, int]:
    """Return a sign of percent or factorial behind a number, and the index behind it."""
    words, end = page.words, number.end
    percent = page.language.phrases("percent", "words").match(words, end)
    if percent:
        return "%", percent[1]
    sign = words[end].text if end < len(words) else ""
    if sign == "%" and not _goes_on(page, end + 1):
        return "%", end + 1
    if sign == "!" and number.digits and words[end].tight and _is_asked(page, end):
        run.operators += 1
        return "!", end + 1
    return "", end


def _is_asked(page: Page, at: int) -> bool:
    """Return whether ``5!`` is a factorial: "what is 5!", "5! / 3!", and not "give me 5!"."""
    asks = page.language.phrases("arithmetic", "asks")
    return page.words[0].low in asks or at + 1 < len(page.words) or at == 1


def _goes_on(page: Page, at: int) -> bool:
    return at < len(page.words) and (page.words[at].kind == "digits" or page.words[at].text == "(")


def _operator(page: Page, at: int, run: _Run) -> tuple[int, bool] | None:
    """Read an operator, a power behind a number, or a closing parenthesis."""
    words = page.words
    word = words[at]
    if word.text == ")":
        if not run.depth:
            return None
        run.parts.append(")")
        run.depth -= 1
        run.mark(at + 1)
        return at + 1, False
    power = page.language.phrases("powers").match(words, at)
    if power or word.text in _EXPONENTS:
        run.parts.append(power[0] if power else _EXPONENTS[word.text])
        run.operators += 1
        end = power[1] if power else at + 1
        run.mark(end)
        return end, False
    sign, end = _sign_at(page, at)
    if not sign:
        return None
    run.parts.append(sign if sign == "^" else f" {sign} ")
    run.operators += 1
    return end, True


def _sign_at(page: Page, at: int) -> tuple[str, int]:
    words = page.words
    if words[at].text == "*" and at + 1 < len(words) and words[at + 1].text == "*":
        return "^", at + 2
    match = page.language.phrases("operators").match(words, at)
    return match or (_SIGNS.get(words[at].low, ""), at + 1)


def _is_range(page: Page, at: int, end: int) -> bool:
    """Return whether it is "1-10", from one number up to a larger one, and not a subtraction."""
    words = page.words[at:end]
    if len(words) != 3 or words[1].text not in ("-", "\u2013") or not words[1].tight:
        return False
    if not words[2].tight or not words[0].text.isdecimal() or not words[2].text.isdecimal():
        return False
    alone = len([word for word in page.words if word.kind != "mark"]) == 2
    return int(words[0].text) < int(words[2].text) and not alone


def settle_sum(page: Page, values: list[Value]) -> list[Value]:
    """Return the values of "3 kg plus 200 g in grams" as an expression in grams."""
    if [value.kind for value in values] != _SUM:
        return values
    first, unit, second, other, wanted = values
    at = next((i for i, word in enumerate(page.words) if word.start >= unit.end), 0)
    sign, end = _sign_at(page, at)
    size, to = quantities.size_of(wanted.value), wanted.value
    joined = sign in ("+", "-") and page.words[end].start == second.start
    alike = all(quantities.measure_alike(each.value, to) for each in (unit, other))
    if not (joined and alike and size and size[1] and second.value >= 0):
        return values
    one = quantities.in_unit(first.value, unit.value, to)
    two = quantities.in_unit(second.value, other.value, to)
    said = page.text[first.start : wanted.end]
    return [
        replace(first, kind="expression", value=f"{one} {sign} {two}", end=wanted.end, text=said)
    ]
