"""Evidence as a rule sees it: what it declared, and nothing else."""

from __future__ import annotations

from typing import Any


class DeclaredEvidence:
    """What a rule sees: the evidence it declared, and nothing else."""

    def __init__(self, evidence: object, needs: tuple[str, ...]) -> None:
        self._evidence = evidence
        self._needs = frozenset(needs)

    def __getattr__(self, name: str) -> Any:
        if name not in self._needs:
            raise AttributeError(f"evidence {name!r} is not among the rule's needs")
        return getattr(self._evidence, name)
