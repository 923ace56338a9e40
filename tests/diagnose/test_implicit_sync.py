"""The rule's slow case and its neighbours stand in test_item_sync.py; here: what leaves it quiet."""

from __future__ import annotations

from diagnose.device import about, ahead

RULE = "implicit-sync"


def test_fixed_passes(tmp_path):
    assert about(RULE, tmp_path, ahead).status == "passed"
