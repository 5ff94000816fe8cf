"""The benchmark of importance, on models that have hardly learned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import importance


@pytest.mark.slow
def test_both_parts_are_measured(tmp_path: Path) -> None:
    importance.main(["--epochs", "1", "--rows", "40", "--runs", "1", "--out", str(tmp_path)])
    figures = json.loads((tmp_path / "importance.json").read_text())["figures"]
    lost, low, high = figures["relations"]["noise"]
    assert low <= lost <= high
    assert {"image", "caption", "accuracy"} <= set(figures["relations"])
    assert figures["speed"]["rows"] == 40
    assert figures["speed"]["predictions that importance costs"] > 0
