"""The PersistenceGuardian: source text in, findings out; or the source with the covenant kept.

A filter and a teacher, not the security boundary: it keeps out what cannot work or would break
the covenant, and says in one sentence what to write instead. What it cannot see (loops that
never end, memory, messages) the cell stops. It reads any text, never raises and runs nothing.

    text -> size, syntax (text) -> shape, names (audit) -> covenant -> AuditReport
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Final

from bat_os.method import covenant
from bat_os.method.allowed import SAFE_MODULES
from bat_os.method.audit import Finding, find, walk
from bat_os.method.text import find_method, parse, parse_method, parses

# Rules of an audit that refuse what reaches out of the arguments and ``self``.
REACHING: Final = frozenset({"import", "module", "name"})
__all__ = ["REACHING", "SAFE_MODULES", "AuditReport", "Finding", "PersistenceGuardian"]


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What an audit found, in the order of lines."""

    findings: tuple[Finding, ...]

    @property
    def accepted(self) -> bool:
        """Whether there is nothing to object to."""
        return not self.findings

    def lines(self) -> tuple[str, ...]:
        """Return one line per finding: ``"line 3: import of os. Use only ..."``."""
        return tuple(f"line {f.line}: {f.message}. {f.advice}" for f in self.findings)


class PersistenceGuardian:
    """Audits and repairs the source of one method. Stateless; at most 0.1 s per text."""

    def audit(self, source: str, selector: str) -> AuditReport:
        """Return what is wrong with ``source`` as the method ``selector``.

        A method that breaks the covenant is not accepted: ``repair`` it first.
        """
        tree = parse(source)
        if not isinstance(tree, ast.Module):
            return AuditReport((find(tree.line, tree.rule, tree.message),))
        findings = walk(tree, selector)
        method = find_method(tree, selector)
        if method is not None:
            findings += [
                find(gap.line, "covenant", "self is changed but not signalled on this way out")
                for gap in covenant.find_gaps(method, source)
            ]
        return AuditReport(tuple(sorted(dict.fromkeys(findings), key=lambda f: f.line)))

    def repair(self, source: str, selector: str) -> str:
        """Return ``source`` with ``self._p_changed = True`` wherever the covenant misses it.

        Nothing else changes. What cannot be repaired comes back as it was.
        """
        parsed = parse_method(source, selector)
        gaps = covenant.find_gaps(parsed[1], source) if parsed is not None else ()
        repaired = covenant.close_gaps(source, gaps)
        return repaired if gaps and parses(repaired) else source
