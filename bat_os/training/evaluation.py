"""Asks a model for examples that it has not learned from, and counts what it gets right.

    question -> greedy answer -> fix-ups -> covenant -> audit -> cell: every case of the example

The same path as a mission's first candidate, without the image. What the model wrote runs in
a cell and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bat_os.core.prompts import STOP, read_method
from bat_os.core.values import Ref
from bat_os.errors import CellError, CellUnavailableError, NotFoundError, ProtocolError
from bat_os.method.fixups import apply_fixups
from bat_os.method.guardian import PersistenceGuardian
from bat_os.ports import Call, ObjectView, Sampling
from bat_os.training.examples import ask_plainly

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bat_os.ports import Cell, ModelEngine, Nested, NestedReply
    from bat_os.training.examples import Example

_BATCH: Final = 8
_RECEIVER: Final = Ref("0" * 16, "pupil_obj")


@dataclass(frozen=True, slots=True)
class Mark:
    """What came of one question."""

    example: Example  # what was asked
    source: str  # what the model wrote, mended as in a mission
    problem: str = ""  # why it is wrong; "" where it is right


async def examine(
    engine: ModelEngine,
    cell: Cell,
    examples: Sequence[Example],
    *,
    adapter: str = "",
    tell: Callable[[Mark], None] = lambda mark: None,
) -> list[Mark]:
    """Return one mark per example, in order.

    ``adapter`` names one that the engine knows; "" asks the base model.

    Raises:
        ModelError: The model cannot be had.
        CellUnavailableError: No learned code can run on this machine.
    """
    marks = []
    sampling = Sampling(stop=STOP)  # greedy, and as long as a method of the profile tiny
    for first in range(0, len(examples), _BATCH):
        some = examples[first : first + _BATCH]
        prompts = [ask_plainly(example) for example in some]
        answers = await engine.generate(prompts, sampling, adapter=adapter)
        for example, answer in zip(some, answers, strict=True):
            marks.append(await mark_answer(cell, example, answer.text))
            tell(marks[-1])
    return marks


async def mark_answer(cell: Cell, example: Example, answer: str) -> Mark:
    """Return the mark for the body that a model wrote."""
    guardian, selector = PersistenceGuardian(), example.selector
    source, _ = apply_fixups(read_method(example.to_brief(), answer), selector)
    source = guardian.repair(source, selector)
    if findings := guardian.audit(source, selector).lines():
        return Mark(example, source, findings[0])
    for case in example.cases:
        call = Call(source, selector, ObjectView(_RECEIVER, case.slots), case.args, seed=1)
        try:
            result = await cell.run(call, _refuse)
        except CellUnavailableError:
            raise
        except (CellError, ProtocolError) as error:
            return Mark(example, source, str(error))
        if not case.accepts(result.value, result.delta.changed):
            return Mark(example, source, f"{case.args!r} gave {result.value!r}"[:200])
    return Mark(example, source)


async def _refuse(nested: Nested) -> NestedReply:
    raise NotFoundError(f"there is no object {nested.target}")
