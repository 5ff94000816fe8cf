"""The fuzzer itself, for a moment: that it runs, and that it tells good from bad."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT))
from fuzz.mutate import spoil_bytes, spoil_json
from fuzz.runner import judge
from fuzz.targets import TARGETS, Images


@pytest.mark.slow
@pytest.mark.parametrize("target", sorted(TARGETS))
def test_two_seconds_find_nothing(target: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fuzz", target, "--seconds", "2", "--out", str(tmp_path)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ}
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert f"{target}: " in done.stdout and "0 of them bad" in done.stdout


def test_what_is_bad_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = Images()
    (tmp_path / "picture").write_bytes(target.seeds[0]["picture"])
    assert judge(target, tmp_path) is None
    monkeypatch.setattr("fuzz.runner._SECONDS", 0.0)
    assert "took" in str(judge(target, tmp_path))
    monkeypatch.setattr(target, "loaders", [None])
    assert "AttributeError" in str(judge(target, tmp_path))


def test_a_case_follows_from_its_number() -> None:
    for spoil in (
        lambda rng: spoil_bytes(b"abc" * 50, rng, [b"xyz"]),
        lambda rng: spoil_json(b'{"a": [1, {"b": 2}]}', rng),
    ):
        spoiled = [spoil(random.Random(number)) for number in range(200)]
        assert spoiled == [spoil(random.Random(number)) for number in range(200)]
        assert len(set(spoiled)) > 50
