"""What an edit of the dataset saves beside workers that could hide its cost."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from slowprobe.diagnose.rules import _batch_cost
from slowprobe.timeline.loop_changes import Factor, Reload
from slowprobe.timeline.replay import Outlook

WORKERS, EDIT = Reload(1, 2), Reload(1, fetch=Factor(0.0, 0.0, 0.0))


def beside(monkeypatch: pytest.MonkeyPatch, workers_s: float, both_s: float, edit_s: float) -> float:
    """Of a loop of 10 s that takes so long with workers, with both, and with the edit alone."""
    known = {(WORKERS,): workers_s, (WORKERS, EDIT): both_s, (EDIT,): edit_s}

    def outlook(changes: list[Reload]) -> Outlook:
        after = known[tuple(changes)]
        return Outlook(10.0, after, after, after)

    monkeypatch.setattr(_batch_cost, "_settings", lambda *_: WORKERS)
    run: Any = SimpleNamespace(replay=SimpleNamespace(outlook=outlook), partition=SimpleNamespace(loop_s=10.0))
    return _batch_cost.saved_share_beside_workers(run, cast(Any, None), EDIT)


def test_workers_that_hide_the_cost_leave_nothing_to_save(monkeypatch: pytest.MonkeyPatch) -> None:
    assert beside(monkeypatch, workers_s=4.0, both_s=4.0, edit_s=4.0) == pytest.approx(0.0)


def test_an_edit_that_makes_workers_needless_is_judged_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers beside a quick step win 2 s and cost their queue; without the work there is no need for them."""
    assert beside(monkeypatch, workers_s=8.0, both_s=7.8, edit_s=4.0) == pytest.approx(0.5)


def test_workers_that_win_nothing_hide_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert beside(monkeypatch, workers_s=10.0, both_s=6.0, edit_s=5.0) == pytest.approx(0.5)
