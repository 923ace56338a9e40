"""Asks one rule about one run, as the engine does."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from slowprobe.diagnose.engine import LoadedRule, _ask
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Outcome
from slowprobe.diagnose.rule import Diagnosis
from slowprobe.timeline.replay import Outlook


@dataclass
class Verdict:
    """The outcome, and each diagnosis with its replay."""

    outcome: Outcome
    found: list[tuple[Diagnosis, Outlook]]

    @property
    def status(self) -> str:
        return self.outcome.status

    @property
    def diagnosis(self) -> Diagnosis:
        assert self.status == "found", self.outcome
        return self.found[0][0]

    @property
    def saved_s(self) -> float:
        return self.found[0][1].saved_s

    @property
    def lines(self) -> list[int]:
        return [where.line for where in self.diagnosis.where]


def ask(rule_id: str, evidence: Evidence) -> Verdict:
    module = import_module(f"slowprobe.diagnose.rules.{rule_id.replace('-', '_')}")
    return Verdict(*_ask(LoadedRule(rule_id, module.RULE, module.__doc__ or "", module), evidence))
