"""One process that runs cases after each other, and what is held against a case."""

from __future__ import annotations

import faulthandler
import random
import sys
import time
import traceback
from pathlib import Path

from fuzz.targets import TARGETS, Case

_SECONDS, _BYTES, _HANGS = 5.0, 1e9, 60


def run_cases(name: str, seed: int, first: int, seconds: float, out: Path, count: object) -> None:
    """Run cases from a number on until the time is over; ends with 3 at a bad one, which then lies
    in `out`.
    """
    target = TARGETS[name]()
    write(out / "current", target.seeds[0])
    if problem := judge(target, out / "current"):
        raise SystemExit(f"The unspoiled case is bad: {problem}")
    end, number = time.monotonic() + seconds, first
    while time.monotonic() < end:
        count.value = number  # type: ignore[attr-defined]
        rng = random.Random(f"{name} {seed} {number}")
        write(out / "current", target.spoil(rng.choice(target.seeds), rng))
        faulthandler.dump_traceback_later(_HANGS, exit=True)
        problem = judge(target, out / "current")
        faulthandler.cancel_dump_traceback_later()
        if problem:
            (out / "current" / "problem.txt").write_text(problem)
            sys.exit(3)
        number += 1
    count.value = number - 1  # type: ignore[attr-defined]


def judge(target: object, folder: Path) -> str | None:
    """What is wrong with what a case did, or None."""
    peak = Peak()
    try:
        seconds = target.run(folder)  # type: ignore[attr-defined]
    except BaseException:
        return traceback.format_exc()
    used = peak.read()
    if seconds > _SECONDS:
        return f"took {seconds:.1f} s\n"
    return f"took {used / 1e6:.0f} MB\n" if used > _BYTES else None


class Peak:
    """The most memory in bytes that was used beyond what was in use before; 0 where the system does
    not tell.
    """

    _status = Path("/proc/self/status")

    def __init__(self) -> None:
        self.before = 0
        if self._status.exists():
            Path("/proc/self/clear_refs").write_text("5")
            self.before = self._kilobytes("VmRSS")

    def read(self) -> int:
        """The peak until now."""
        return 1024 * (self._kilobytes("VmHWM") - self.before) if self.before else 0

    def _kilobytes(self, what: str) -> int:
        return int(self._status.read_text().partition(f"{what}:")[2].split()[0])


def write(folder: Path, case: Case) -> None:
    """Put a case into a folder, and nothing else."""
    for path in folder.iterdir():
        path.unlink()
    for name, content in case.items():
        (folder / name).write_bytes(content)
