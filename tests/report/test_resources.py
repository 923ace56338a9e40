"""The machine over time: the sentence, the figures and the charts say the same."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from synthetic import SyntheticRun

from slowprobe.report.resource_figures import resource_figures
from slowprobe.report.resource_words import in_words, loop_mean, table, tiles
from slowprobe.report.resources import MOST_POINTS, resources
from slowprobe.run.schema import Resources as Reading

from . import samples


def test_the_loop_is_told_from_the_start_up() -> None:
    use = samples.resources(2)
    assert loop_mean(use, use.worker_cores) == pytest.approx(1.8, abs=0.03)
    said = in_words(use)
    assert said.startswith("While it trained, the run kept 6.9") or said.startswith("While it trained, the run kept 7")
    assert "Other processes took 0.3." in said and "by 4.01 MiB a minute" in said and "Backward" in said


def test_a_calm_run_says_little() -> None:
    use = msgspec.structs.replace(samples.resources(), growth_bytes_s=None, new_memory_bytes_s=None, other_cores=[0.0])
    assert in_words(use).count(".") <= 3 and "grew" not in in_words(use) and "Other" not in in_words(use)
    assert not any("workers" in label for label, _ in tiles(use))


def test_charts_stack_who_had_them() -> None:
    drawn = resource_figures(samples.resources(2))
    assert [trace["name"] for trace in drawn["cores"]["data"]] == ["training process", "its workers", "other processes"]
    assert len(drawn["host-memory"]["data"]) == 2
    assert len(resource_figures(samples.resources())["host-memory"]["data"]) == 1
    assert resource_figures(None) == {}


def test_the_table_is_short_and_reaches_the_end() -> None:
    use = samples.resources(2)
    rows = table(use)
    assert len(rows) <= 24 and rows[-1][0] == "60.0 s" and all(len(row) == 7 for row in rows)


def test_a_long_run_is_thinned_and_keeps_its_peak(tmp_path: Path) -> None:
    run = SyntheticRun(tmp_path)
    for _ in range(20):
        run.train()
    evidence = run.evidence()
    evidence.run.records.extend(
        Reading(
            at_ns=at * 10**9,
            cpu_s=0.5 * at,
            rss_bytes=10**9 if at == 777 else 10**8,
            system_busy_s=1.5 * at,
            available_bytes=10**10,
        )
        for at in range(1, 1001)
    )
    use = resources(evidence)
    assert use is not None and len(use.end_s) <= MOST_POINTS and use.end_s[-1] == 1000
    assert max(use.training_bytes) == 10**9
    assert set(use.training_cores) == {0.5} and set(use.other_cores) == {1.0}
