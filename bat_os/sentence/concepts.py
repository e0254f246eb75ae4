"""What the words of a wish mean: many words for one concept, and which concepts decide.

    "what is the biggest number in [1, 9]?"  ->  maximum (# list)
    "find the maximum of a list"             ->  maximum (# list)

A thesaurus of everyday words for what is done to numbers, texts, lists and dates; no grammar, no
model. Words that only say how somebody asks mean nothing here and are dropped. Bent words
("sorting", "sizes") are led back to one that the thesaurus, or the wish compared with, knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bat_os.sentence.words import singular, word_set

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

# Each line: a concept, and what else is said for it, without articles; "-" for no concept.
_SAID: Final = """
remove: filter out, delete, drop, erase, eliminate, discard, strip, get rid of, take out, cut out
remove: throw out, take away, cross off, take off, wipe, wipe out
remove duplicate: deduplicate
duplicate: repeated, double entries
add: append, insert, attach
subtract: deduct
sum: total, add up, added up
product: multiply, multiply together, multiply with each other
square: squared
halve: half
double: twice each, twice as much, twice as many
sort: order, arrange, in order, in ascending order, rearrange
sort alphabetically: in alphabetical order, by alphabet, alphabetically, from to z
sort descending: descending, in descending order, descending order, largest first, biggest first
sort descending: from largest to smallest, from high to low
shuffle: mix, mix up, jumble, scramble, randomize, randomise, in random order
reverse: backwards, backward, reversed, in reverse order, in reverse, back to front
count: difference in, number of, amount of, how often, how many, how many times, count times, tally
count: frequency of, count how often, count how many, count how many times
split: separate, break, break apart, cut apart, cut up, cut into pieces, break into pieces
chunk: piece, group, part
merge: combine, concatenate, unite, join together, join, glue, glue together
replace: substitute, exchange
shorten: truncate, trim, abbreviate, cut off
contain: include
start: begin, launch
close: shut
decrease: reduce
search: look for, look up, search for
explain: describe
remember: memorize, memorise, keep in mind, save, store, note down, write down, put down, record
greet: greeting, welcome, salute, say hello, say hello to, say hi to
goodbye: bye, farewell
roll: throw
flip: toss
encrypt: encipher, cipher, encode
decrypt: decipher, decode
spell: spell out
recommend: suggest, suggestion, recommendation
encourage: motivate, cheer up, inspire
purchase: buy
uppercase: upper case, upper case letters, uppercase letters, uppercase characters
uppercase: upper case characters, capitals, capital letters, all caps, big letters
lowercase: lower case, lower case letters, lowercase letters, lowercase characters, small letters
lowercase: little letters
capitalize: capitalise, start with capital, start with capital letter, begin with capital letter
capitalize: first letter uppercase, first letter upper case, big first letter
maximum: max, maximal, largest, biggest, greatest, highest
minimum: min, minimal, smallest, lowest, least
random: arbitrary, randomly, at random, by chance, draw random
frequent: most often, most common, most frequent, occurs most, occurs most often, appears most often
bigger: larger, greater, higher
smaller: lower
longer: more characters, more letters
last: final
first letter: initial letter, first character
last letter: final letter, last character, final character
empty: blank
missing: lack, lacking, gap
valid: correct, proper, well formed
equal: identical, same, match
ignore: apart from, without regard to, regardless of
strong: safe, secure
nice: kind, friendly
absolute: absolute value, magnitude
until: up to, till, not above
age: how old
average: mean
binary: base two
birthday: date of birth
capital: capital city
celsius: centigrade, degrees celsius
center: centre
centimeter: centimetre, centimetres, cm
circle: disc
color: colour
cube root: cubic root, third root
daily: per day, each day, every day
day week: weekday
depth: how deep
die: dice
difference: differ, differs
distance: how far
divisible: divided evenly, evenly divided, divides evenly, divide evenly, multiple of
email: mail, e mail
factor: divisor, divisors
fahrenheit: degrees fahrenheit
fibonacci: fibonacci sequence, fibonacci series, fibonacci number, fibonacci numbers
folder: directory
foot: feet
gram: g
greatest common divisor: gcd, gcf, hcf, greatest common factor, highest common factor
greatest common divisor: largest common divisor, biggest common divisor, highest common divisor
height: how tall, how high
hexadecimal: hex
index: position, at which position
item: element, entry, member
joke: make me laugh, something funny
kilogram: kg, kilo, kilos
kilometer: kilometers, kilometre, kilometres, km
least common multiple: lcm, smallest common multiple, lowest common multiple
length: how long, long, number of characters, count characters, number of letters
liter: litre, litres
loan: credit
meaning: definition
meter: metre, metres
milliliter: ml, millilitre
monthly: per month, each month, every month, a month
movie: film
multiplication table: times table
not: cannot, don t, doesn t, didn t, isn t, aren t, wasn t, weren t, can t, hasn t, haven t, won t
number: integer
palindrome: read same backwards, reads same backwards, same backwards, same forwards and backwards
payment: pay, instalment, installment
percent: percentage, per cent
phone number: telephone number
picture: image, photo, photograph
pound: lb, lbs
price: cost, how expensive
probability: odds, chance, chances, how likely, how probable, likelihood
quote: quotation, saying
remainder: left over
remainder divide: modulo, mod
salary: wage, wages
shopping list: grocery list
size: how large, how big
speed: how fast, velocity
sphere: ball
square root: sqrt, root
story: tale
task: todo, to do, chore
temperature: how warm, how hot, how cold
town: city
url: web address, link
volume: capacity, how much fits
weekly: per week, each week, every week
weight: how heavy, mass
width: how wide, breadth
yearly: per year, each year, every year, annual, annually
-: ascending, smallest first, from smallest to largest, from low to high, keep only, filter
-: work out, figure out, find out, separated by, separated with
"""
# How somebody asks, and verbs that only say that an answer is wanted, or in which form:
# "write 10 in binary", "convert 10 to binary" and "what is 10 in binary?" are one wish.
_ASKING: Final = word_set(
    "a an the of to in on at for from with by into onto between among about using through over as "
    "what which who whom whose how much many is are was were be been am do does did done has have "
    "had having can could will would shall should may might must please kindly just now current "
    "currently it its that this these those there here me my mine you your yours i we us our they "
    "them say tell show give get return report print calculate compute find determine "
    "know ask read need want like let and then so also all every each any some whole entire given "
    "certain convert turn change transform express write put make create produce generate build "
    "construct form compose choose pick select take represent display output provide obtain "
    "receive result answer new s re ll d exactly simply really together one if whether check test "
    "see when where occur appear happen lie go going translate apart keep someone somebody person"
)
# What is done. Wishes that differ in one of these are two.
ACTIONS: Final = word_set(
    "count remove sort reverse sum add subtract product divide split draw merge encrypt decrypt "
    "greet insult roll flip remember forget open close start stop square double halve replace "
    "repeat shuffle round shorten capitalize uppercase lowercase clear swap shift rotate rate "
    "extract copy rename move load send sell increase decrease"
)
# Words that make another thing of those beside them. These have to stand in both wishes, too.
TURNS: Final = word_set(
    "root power difference factor quotient remainder index median mode range longest shortest "
    "last prime any first second third next previous different distinct unique only not no without "
    "but except too than per or often frequent age tomorrow yesterday until descending down "
    "opposite"
)
# What is measured, and what else is counted: "5 feet", "2 words".
MEASURES: Final = word_set(
    "second minute hour day week month year mile kilometer meter centimeter millimeter inch foot "
    "yard acre hectare gram kilogram pound ounce ton liter milliliter gallon pint cup teaspoon "
    "tablespoon celsius fahrenheit kelvin calorie joule watt knot percent euro dollar cent byte "
    "kilobyte megabyte gigabyte"
)
UNITS: Final = MEASURES | word_set("people decimal digit time letter character word line place bit")


def _read_table() -> dict[tuple[str, ...], tuple[str, ...]]:
    table: dict[tuple[str, ...], tuple[str, ...]] = {}
    for line in _SAID.strip().splitlines():
        concept, _, said = line.partition(": ")
        for words in said.split(", "):
            table[tuple(words.split())] = () if concept == "-" else tuple(concept.split())
        if " " in concept:
            table[tuple(concept.split())] = tuple(concept.split())
    return table


_TABLE: Final = _read_table()
_LONGEST: Final = max(map(len, _TABLE))
# What bent words are led back to; "notes" is no form of "not".
_KNOWN: Final = frozenset().union(
    *(words for words in _TABLE if len(words) == 1),
    *_TABLE.values(),
    _ASKING,
    ACTIONS,
    TURNS,
    UNITS,
) - {"not", "no", "but", "per", "any", "or", "too", "than"}
_ENDINGS: Final = ("ing", "ed", "es", "er", "ly", "en", "ation", "ion", "ment", "ness", "ity", "al")


def read_concepts(words: Sequence[str], others: Collection[str] = ()) -> list[str]:
    """Return the concepts of some words, in order; what only asks is left out.

    Args:
        words: In small letters, without articles.
        others: Words that bent ones may be led back to, beside those of the thesaurus.

    >>> read_concepts("what is biggest of".split())
    ['maximum']
    """
    concepts: list[str] = []
    at = 0
    while at < len(words):
        sizes = range(min(_LONGEST, len(words) - at), 0, -1)
        size = next((size for size in sizes if tuple(words[at : at + size]) in _TABLE), 1)
        said = tuple(words[at : at + size])
        if said not in _TABLE:
            said = (unbend(words[at], others),)
        concepts += _TABLE.get(said, () if said[0] in _ASKING or not said[0].isalnum() else said)
        at += size
    return concepts


def unbend(word: str, others: Collection[str] = ()) -> str:
    """Return a known word that ``word`` is a form of, or its singular.

    >>> unbend("sorting"), unbend("dividing"), unbend("bats"), unbend("string")
    ('sort', 'divide', 'bat', 'string')
    """
    found = forms(word)
    for known in (_KNOWN, others):
        for form in found:
            if form in known:
                return form
    return found[0]


def forms(word: str) -> list[str]:
    """Return the words that ``word`` may be a form of, likely ones first."""
    found = [singular(word), word]
    for ending in _ENDINGS:
        stem = word.removesuffix(ending)
        if 3 <= len(stem) < len(word):
            found += [stem[:-1]] if stem[-1] == stem[-2] else []
            found += [stem, f"{stem}e"]
    return [*found, f"{word[:-3]}y"] if word.endswith("ies") else found
