"""What all engines say alike: what cannot be asked of them, and that the image lacks a model.

A caller's wishes are checked here before anything loads.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bat_os.errors import ArgumentsError, ModelError

if TYPE_CHECKING:
    from bat_os.errors import ImageError
    from bat_os.ports import Sampling


def check_sampling(sampling: Sampling) -> None:
    """Refuse what no engine can follow; takes half a millisecond where there is a schema.

    Raises:
        ArgumentsError: ``stop`` is no regular expression, or ``schema`` no JSON Schema that
            llguidance can follow; ``details["field"]`` says which.
    """
    try:
        re.compile(sampling.stop)
    except (re.error, RecursionError) as error:
        text = f"stop is no regular expression: {error}; correct it"
        raise ArgumentsError(text, field="stop") from error
    if sampling.schema is not None:
        from llguidance import LLMatcher  # needed only once something is constrained

        try:
            grammar = LLMatcher.grammar_from_json_schema(dict(sampling.schema))
            fault = LLMatcher.validate_grammar(grammar)
        except (ValueError, TypeError, RecursionError) as error:
            fault = str(error)
        if fault:
            raise bad_schema(fault)


def bad_schema(fault: str) -> ArgumentsError:
    """Return the error for a schema that cannot be followed."""
    line = (fault.splitlines() or [""])[0][:200]
    text = f"the JSON Schema cannot be followed: {line}; write it without that"
    return ArgumentsError(text, field="schema")


def not_had(name: str, error: ImageError) -> ModelError:
    """Return what the image says of the model ``name`` as an error of the model."""
    text = str(error) if name in str(error) else f"model {name}: {error}"
    return ModelError(text, **error.details)
