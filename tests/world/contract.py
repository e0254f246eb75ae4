"""What every driver of the world promises. A test module fills ``Case`` and imports the tests.

from tests.world.contract import *

@pytest.fixture
def case(tmp_path): return Case(driver=..., ...)
"""

import json
from dataclasses import dataclass, field

import pytest

from bat_os.core.values import check
from bat_os.errors import ArgumentsError, BatError, NotFoundError, NotGrantedError
from bat_os.ports import AWAIT, READ, STAGE, Deed, Operation, StagingDriver

__all__ = [
    "Case",
    "test_a_reading_operation_answers_plain_data_of_bounded_size",
    "test_a_scope_is_a_part_of_itself_and_parts_of_parts_are_parts",
    "test_a_scope_survives_json",
    "test_arguments_that_do_not_fit_have_a_code",
    "test_it_claims_what_it_takes",
    "test_it_reaches_what_is_named_in_a_scope_and_nothing_beside",
    "test_its_operations_say_what_they_do",
    "test_perform_stays_in_the_scope",
    "test_what_cannot_be_granted_has_a_code",
    "test_what_is_not_there_has_a_code",
]

MAX_ANSWER = 1 << 20  # bytes, as ``Driver.perform`` says
# Values that an argument may have, since learned code chooses them.
STRANGE = (
    None, True, -1, 2**70, 1.5, float("nan"), "", "\0", "x" * 100_000, "\ud800", b"\0\xff", [], {},
    [[]], {"a": {"b": None}}, "../..", "/", "~", "%2e%2e", "\r\n",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One driver, and what of its world a test can ask for."""

    driver: object
    what: str  # a thing that a person may grant
    part: str  # a thing in it
    beside: str  # a thing of its kind that is not in it
    inside: str  # a thing in ``what``, as the first argument of an operation names it
    named: tuple = ()  # what a person says for something in ``what``
    deeper: str = ""  # a thing in ``part``, if there can be one
    claimed: tuple = ()  # more that a person may say for a thing of this driver
    refused: tuple = ("",)  # what cannot be granted
    asks: dict = field(default_factory=dict)  # READ operation -> arguments that have an answer
    outside: tuple = ()  # (operation, arguments) that reach beyond ``what``
    missing: tuple = ()  # (operation, arguments) about what is not there
    met: dict = field(default_factory=dict)  # of a driver of servers: their scopes, by name

    def scope(self, what=""):
        what = what or self.what
        return self.met[what] if self.met else self.driver.scope(what)

    def perform(self, operation, *args):
        return self.driver.perform(self.scope(), operation, args)


def test_a_scope_survives_json(case):
    for what in (case.what, case.part, case.beside):
        scope = case.scope(what)
        again = json.loads(json.dumps(scope))
        assert again == dict(scope)
        assert case.driver.describe(again) == case.driver.describe(scope)
        assert case.driver.operations(again) == case.driver.operations(scope)


def test_it_claims_what_it_takes(case):
    for what in (case.what, case.part, *case.claimed):
        assert case.driver.claims(what) is not bool(case.met), "a server has a verb of its own"
    scope = case.scope()
    assert type(case.driver.name) is str
    assert case.driver.name.isidentifier()
    for said in (case.driver.describe(scope), case.driver.short_name(scope)):
        assert type(said) is str
        assert "\n" not in said
    assert case.driver.describe(scope)


def test_a_scope_is_a_part_of_itself_and_parts_of_parts_are_parts(case):
    contains, whole = case.driver.contains, case.scope()
    part, beside = case.scope(case.part), case.scope(case.beside)
    deeper = case.scope(case.deeper or case.part)
    for scope in (whole, part, beside, deeper):
        assert contains(scope, scope)
    assert contains(whole, part)
    assert contains(part, deeper)
    assert contains(whole, deeper)
    assert not contains(part, whole)
    assert not contains(whole, beside)
    assert not contains(beside, whole)
    assert not contains(part, beside)


def test_it_reaches_what_is_named_in_a_scope_and_nothing_beside(case):
    reaches, whole = case.driver.reaches, case.scope()
    for named in case.named:
        assert reaches(whole, named)
        assert not reaches(case.scope(case.beside), named)
    for strange in (case.beside, "", "\0", "x" * 100_000, "../..", "~nobody/x", "http://[", "none"):
        assert not reaches(whole, strange)


def test_its_operations_say_what_they_do(case):
    operations = case.driver.operations(case.scope())
    assert operations
    for name, operation in operations.items():
        assert name.isidentifier()
        assert isinstance(operation, Operation)
        assert operation.kind in (READ, STAGE, AWAIT)
        if operation.kind == READ:
            assert not operation.repeatable, "that is said of what changes the world"
    assert set(case.asks) <= {name for name, each in operations.items() if each.kind == READ}


def test_a_reading_operation_answers_plain_data_of_bounded_size(case):
    for operation, args in case.asks.items():
        answer = case.perform(operation, *args)
        check(answer)
        assert len(repr(answer).encode("utf-8", "replace")) <= 2 * MAX_ANSWER
        assert case.perform(operation, *args) == answer, "and the same again"


def test_perform_stays_in_the_scope(case):
    for operation, args in case.outside:
        with pytest.raises((NotGrantedError, ArgumentsError)):
            case.perform(operation, *args)


def test_what_is_not_there_has_a_code(case):
    for operation, args in case.missing:
        with pytest.raises(NotFoundError):
            case.perform(operation, *args)


def test_what_cannot_be_granted_has_a_code(case):
    for what in ("", "\0", *case.refused):
        with pytest.raises((ArgumentsError, NotFoundError)):
            case.driver.scope(what)


def test_arguments_that_do_not_fit_have_a_code(case):
    """Whatever learned code passes, a driver answers plain data or with a code.

    That there are too few arguments or too many is found by ``bat_os.kernel.reach``: a TypeError.
    What is staged was pretended before, so only what can be pretended has to be performed.
    """
    for operation, says in case.driver.operations(case.scope()).items():
        staged = says.kind == STAGE and isinstance(case.driver, StagingDriver)
        for args in [(each,) for each in STRANGE] + [(case.inside, each) for each in STRANGE]:
            try:
                if staged:
                    check(case.driver.pretend(Deed(case.scope(), operation, args)))
                check(case.perform(operation, *args))
            except (BatError, TypeError):
                continue
