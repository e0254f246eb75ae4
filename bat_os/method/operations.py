"""What programs by example are made of: short expressions, one a line.

In an expression X is the value, and K and M are constants: marks of the examples for the kind
``mark``, small whole numbers for ``count``, the common length of all results for ``width``. The
tags say in words what it does; the words for them in each language are in
``bat_os/sentence/languages/examples.toml``.
"""

from __future__ import annotations

import ast
import copy
import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from bat_os.core import syntax

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_GROWTH: Final = 300  # largest number that an operation with a big result is tried with

# kind of the value > kind of the result | cost | kinds of K and M | tags | expression
_TABLE: Final = """
text > text | 1.2 | | upper | X.upper()
text > text | 1.2 | | lower | X.lower()
text > text | 1.4 | | title capital | X.title()
text > text | 1.3 | | capital | X[:1].upper() + X[1:]
text > text | 1.2 | | reverse | X[::-1]
text > text | 1.6 | | swapcase | X.swapcase()
text > text | 1.5 | | trim | X.strip()
text > text | 1.3 | | swap reverse word | ' '.join(X.split()[::-1])
text > text | 1.8 | | reverse word | ' '.join(w[::-1] for w in X.split())
text > text | 1.6 | | sort letter | ''.join(sorted(X))
text > text | 1.8 | | sort word | ' '.join(sorted(X.split()))
text > text | 1.3 | | first word | X.split()[0]
text > text | 1.3 | | last word | X.split()[-1]
text > text | 1.8 | | second word | X.split()[1]
text > text | 2.4 | | third word | X.split()[2]
text > text | 1.3 | | remove space | X.replace(' ', '')
text > text | 1.5 | | first letter | X[0]
text > text | 1.5 | | last letter | X[-1]
text > text | 1.9 | | second letter | X[1]
text > text | 2.2 | | third letter | X[2]
text > text | 1.4 | | remove first letter | X[1:]
text > text | 1.4 | | remove last letter | X[:-1]
text > text | 1.6 | | first letter initial | ''.join(w[0] for w in X.split())
text > text | 1.7 | | first letter initial capital | ''.join(w[0] for w in X.split()).upper()
text > text | 1.4 | | digit keep | ''.join(c for c in X if c.isdigit())
text > text | 1.6 | | digit remove | ''.join(c for c in X if not c.isdigit())
text > text | 1.5 | | letter keep | ''.join(c for c in X if c.isalpha())
text > text | 1.8 | | letter number keep | ''.join(c for c in X if c.isalnum())
text > text | 1.6 | | vowel remove | ''.join(c for c in X if c.lower() not in 'aeiou')
text > text | 1.8 | | vowel keep | ''.join(c for c in X if c.lower() in 'aeiou')
text > text | 1.8 | | capital keep | ''.join(c for c in X if c.isupper())
text > text | 1.7 | | unique letter | ''.join(dict.fromkeys(X))
text > text | 1.9 | | unique word | ' '.join(dict.fromkeys(X.split()))
text > text | 1.7 | | double letter repeat | ''.join(c * 2 for c in X)
text > text | 2.0 | | middle letter | X[len(X) // 2]
text > text | 2.0 | | longest word | max(X.split(), key=len)
text > text | 2.2 | | shortest word | min(X.split(), key=len)
text > text | 1.3 | count | repeat | X * K
text > text | 1.7 | slice | first letter | X[:K]
text > text | 1.7 | slice | last letter | X[-K:]
text > text | 1.9 | slice | remove first letter | X[K:]
text > text | 1.9 | slice | remove last letter | X[:-K]
text > text | 1.4 | mark | remove | X.replace(K, '')
text > text | 1.4 | mark mark | replace | X.replace(K, M)
text > text | 1.3 | mark | before | X.split(K)[0]
text > text | 1.4 | mark | after | X.split(K)[-1]
text > text | 2.4 | mark | middle second | X.split(K)[1]
text > text | 1.7 | mark | before | X.rsplit(K, 1)[0]
text > text | 1.7 | mark | after | X.split(K, 1)[1]
text > text | 1.3 | mark | between join letter | K.join(X)
text > text | 1.5 | mark | reverse | K.join(X.split(K)[::-1])
text > text | 1.5 | letter | remove letter | X.replace(K, '')
text > text | 2.0 | letter letter | replace letter | X.replace(K, M)
text > text | 2.2 | mark slice | mask last | K * (len(X) - M) + X[-M:]
text > text | 2.4 | mark slice | mask first | X[:M] + K * (len(X) - M)
text > text | 2.2 | mark | mask | K * len(X)
text > text | 1.5 | width | pad zero | X.zfill(K)
text > text | 1.9 | width mark | pad right | X.rjust(K, M)
text > text | 2.0 | width mark | pad left | X.ljust(K, M)
text > number | 1.2 | | count letter length | len(X)
text > number | 1.4 | | count word | len(X.split())
text > number | 1.4 | | count vowel | sum(c.lower() in 'aeiou' for c in X)
text > number | 2.0 | | count consonant | sum(c.isalpha() and c.lower() not in 'aeiou' for c in X)
text > number | 2.0 | | count unique letter | len(set(X))
text > number | 1.9 | | count digit | sum(c.isdigit() for c in X)
text > number | 2.0 | | count capital | sum(c.isupper() for c in X)
text > number | 1.9 | mark | count | X.count(K)
text > number | 2.1 | letter | count letter | X.count(K)
text > number | 2.1 | mark | count | len(X.split(K))
text > number | 1.3 | | number | int(X)
text > number | 1.9 | | sum digit | sum(int(c) for c in X if c.isdigit())
text > number | 2.2 | | alphabet letter | ord(X.lower()) - 96
text > list | 1.2 | | word split | X.split()
text > list | 1.2 | | letter split | list(X)
text > list | 1.2 | mark | split | X.split(K)
text > list | 1.5 | mark | split trim | [w.strip() for w in X.split(K)]
text > list | 1.8 | | number find | [int(w) for w in X.split()]
text > list | 1.8 | mark | number split | [int(w) for w in X.split(K)]
text > flag | 1.5 | | palindrome | X == X[::-1]
text > flag | 1.6 | | upper | X.isupper()
text > flag | 1.8 | | lower | X.islower()
text > flag | 1.6 | | digit number | X.isdigit()
text > flag | 1.9 | | letter | X.isalpha()
text > flag | 1.9 | | vowel first | X[:1].lower() in 'aeiou'
text > flag | 1.6 | mark | contain | K in X
text > flag | 2.3 | letter | contain letter | K in X
number > number | 1.6 | | square | X ** 2
number > number | 1.8 | | cube | X ** 3
number > number | 1.9 | | minus negative | -X
number > number | 2.2 | | positive absolute | abs(X)
number > number | 2.2 | grows | factorial | math.factorial(X)
number > number | 2.1 | grows | power | 2 ** X
number > number | 1.8 | | sum digit | sum(int(c) for c in str(X))
number > number | 2.1 | | root | X ** 0.5
number > number | 1.9 | | reverse digit | int(str(X)[::-1])
number > number | 2.0 | | digit count length | len(str(X))
number > number | 2.2 | | sum all | X * (X + 1) // 2
number > number | 2.2 | | square next | X ** 2 + 1
number > number | 2.5 | | square previous | X ** 2 - 1
number > number | 2.3 | | round | round(X)
number > number | 2.6 | | last digit | X % 10
number > number | 2.5 | count | halve divide round | X // K
number > number | 2.5 | count | remainder | X % K
number > number | 2.6 | count | round | round(X, K)
number > text | 1.0 | | text | str(X)
number > text | 1.3 | width | pad zero | str(X).zfill(K)
number > text | 2.0 | width mark | pad right | str(X).rjust(K, M)
number > text | 1.3 | | decimal money | f'{X:.2f}'
number > text | 1.6 | | decimal | f'{X:.1f}'
number > text | 1.4 | | thousand comma | f'{X:,}'
number > text | 1.8 | grows | binary | f'{X:b}'
number > text | 2.0 | | hexadecimal | f'{X:x}'
number > text | 2.0 | grows mark | repeat | K * X
number > text | 2.3 | grows letter | repeat | K * X
number > flag | 1.2 | | even | X % 2 == 0
number > flag | 1.2 | | odd | X % 2 == 1
number > flag | 1.8 | | positive | X > 0
number > flag | 1.9 | | negative | X < 0
number > flag | 2.0 | count | divisible | X % K == 0
number > flag | 1.9 | grows | prime | X > 1 and all(X % n for n in range(2, X))
number > list | 1.7 | grows | count upto | list(range(1, X + 1))
number > list | 2.0 | grows | count upto | list(range(X))
number > list | 1.7 | | digit split | [int(c) for c in str(X)]
number > list | 2.0 | grows | divisor | [n for n in range(1, X + 1) if X % n == 0]
list > number | 1.2 | | sum add | sum(X)
list > number | 1.3 | | largest maximum | max(X)
list > number | 1.3 | | smallest minimum | min(X)
list > number | 1.3 | | count length | len(X)
list > number | 1.7 | | average | sum(X) / len(X)
list > number | 1.8 | | product multiply | math.prod(X)
list > any | 1.5 | | first | X[0]
list > any | 1.5 | | last | X[-1]
list > any | 2.1 | | second | X[1]
list > any | 2.2 | | second largest | sorted(X)[-2]
list > any | 1.9 | | longest | max(X, key=len)
list > any | 2.0 | | shortest | min(X, key=len)
list > list | 1.3 | | sort | sorted(X)
list > list | 1.4 | | sort descending | sorted(X, reverse=True)
list > list | 1.3 | | reverse | X[::-1]
list > list | 1.6 | | unique | list(dict.fromkeys(X))
list > list | 1.8 | | unique sort | sorted(set(X))
list > list | 1.6 | | remove first | X[1:]
list > list | 1.6 | | remove last | X[:-1]
list > list | 2.0 | slice | first | X[:K]
list > list | 2.0 | slice | last | X[-K:]
list > list | 1.7 | | even keep | [n for n in X if n % 2 == 0]
list > list | 1.8 | | odd keep | [n for n in X if n % 2 == 1]
list > list | 1.8 | | sort length | sorted(X, key=len)
list > text | 1.2 | | join | ''.join(X)
list > text | 1.2 | mark | join | K.join(X)
list > text | 1.6 | mark | join | K.join(map(str, X))
"""
# Numbers on a line; the constants follow from the examples.
_LINES: Final = """
number > number | 1.3 | | add plus sum | X + K
number > number | 1.5 | | subtract minus | X - K
number > number | 2.3 | | subtract minus | K - X
number > number | 1.0 | | multiply times | X * K
number > number | 1.5 | | divide | X / K
number > number | 1.7 | | multiply add | X * K + M
"""
# Two values at once, X and Y.
_PAIRS: Final = """
number > number | 1.2 | | add sum | X + Y
number > number | 1.3 | | multiply times product area | X * Y
number > number | 1.4 | | subtract minus difference | X - Y
number > number | 1.9 | | subtract minus | Y - X
number > number | 1.6 | | divide | X / Y
number > number | 2.0 | | divide | Y / X
number > number | 2.1 | grows | power | X ** Y
number > number | 1.8 | | largest maximum | max(X, Y)
number > number | 1.8 | | smallest minimum | min(X, Y)
number > number | 2.0 | | remainder | X % Y
number > number | 2.0 | | difference | abs(X - Y)
number > number | 2.1 | | divisor | math.gcd(X, Y)
number > number | 2.1 | | multiple | math.lcm(X, Y)
number > number | 2.0 | | average middle | (X + Y) / 2
number > flag | 1.7 | | larger | X > Y
number > flag | 2.0 | | smaller | X < Y
number > flag | 2.1 | | divisible | X % Y == 0
number > flag | 2.2 | | same equal | X == Y
text > number | 1.8 | | count | X.count(Y)
text > flag | 1.7 | | contain | Y in X
text > flag | 1.9 | | same equal | X == Y
text > flag | 2.0 | | first | X.startswith(Y)
text > flag | 2.0 | | last | X.endswith(Y)
text > text | 1.8 | | remove | X.replace(Y, '')
text > list | 1.8 | | split | X.split(Y)
"""


@dataclass(frozen=True, slots=True)
class Operation:
    """One line of the table."""

    takes: str  # kind of X
    gives: str  # kind of the result; "any" for the items of a list
    cost: float  # how unlikely it is meant; a bit of information each
    constants: tuple[str, ...]  # kinds of K and M
    tags: tuple[str, ...]
    text: str  # the expression
    run: Callable[..., Any]
    grows: bool  # the result may be huge

    def write(self, names: Mapping[str, ast.expr]) -> ast.expr:
        """Return the expression with these in place of X, Y, K and M."""
        tree: ast.expr = _Filler(names).visit(syntax.parse(self.text, "eval")).body
        return tree


class _Filler(ast.NodeTransformer):
    def __init__(self, names: Mapping[str, ast.expr]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return copy.deepcopy(self._names.get(node.id, node))


@cache
def operations() -> tuple[Operation, ...]:
    """Return what is done with one value, in the order of the table."""
    return tuple(map(_read, _TABLE.strip().splitlines()))


@cache
def pair_operations() -> tuple[Operation, ...]:
    """Return what is done with two values."""
    return tuple(map(_read, _PAIRS.strip().splitlines()))


@cache
def line_operations() -> dict[str, Operation]:
    """Return what puts numbers on a line, by expression."""
    return {each.text: each for each in map(_read, _LINES.strip().splitlines())}


def _read(line: str) -> Operation:
    kinds, cost, constants, tags, text = (part.strip() for part in line.split("|", 4))
    takes, gives = kinds.split(" > ")
    wanted = constants.split()
    # These lines are part of the program; values reach them as arguments only.
    run = eval(f"lambda X, K=None, M=None, Y=None: {text}", {"math": math})  # noqa: S307
    return Operation(
        takes, gives, float(cost), tuple(kind for kind in wanted if kind != "grows"),
        tuple(tags.split()), text, run, "grows" in wanted,
    )  # fmt: skip
