"""A training that is killed at random moments ends with the bytes of one that was left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from kill_runs import kill_runs


@pytest.mark.slow
@pytest.mark.parametrize("processes", [0, 2])
def test_killed_trainings_end_with_the_same_bytes_and_leave_nothing_behind(
    processes: int, tmp_path: Path
) -> None:
    assert kill_runs(tmp_path, 2, processes) >= 1
