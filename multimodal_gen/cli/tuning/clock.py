"""The time of a search over all its starts, and a trial that ends the process each time."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

# A trial in which so many processes ended is not begun again.
_MOST_STARTS = 3


class Clock:
    """Counts the seconds of a search, and remembers them and the trial that is running.

    Args:
        file: Where they are kept.
        hours: The budget, or None.
    """

    def __init__(self, file: Path, hours: float | None) -> None:
        self.file = file
        self.budget = None if hours is None else 3600 * hours
        self.started = time.monotonic()
        found = json.loads(file.read_text("utf-8")) if file.exists() else {}
        self.before = float(found.get("seconds", 0.0))
        self.trial, self.starts = found.get("trial"), int(found.get("starts", 0))

    @property
    def seconds(self) -> float:
        """Seconds in this process and those before it."""
        return self.before + time.monotonic() - self.started

    @property
    def left(self) -> float | None:
        """Seconds that are left, if there is a budget."""
        return None if self.budget is None else self.budget - self.seconds

    @property
    def over(self) -> bool:
        """Whether the budget is used up."""
        return self.left is not None and self.left <= 0

    def begin(self, trial: int) -> bool:
        """Note that a trial begins; false if the process ended in it too often."""
        self.starts = self.starts + 1 if trial == self.trial else 1
        self.trial = trial
        self.save()
        return self.starts <= _MOST_STARTS

    def end(self) -> None:
        """Note that the trial has ended, or was stopped on purpose."""
        self.trial = None
        self.save()

    def save(self) -> None:
        """Write the seconds, in one step."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.file.with_name(f".{self.file.name}")
        kept = {"seconds": self.seconds, "trial": self.trial, "starts": self.starts}
        temporary.write_text(json.dumps(kept), "utf-8")
        os.replace(temporary, self.file)
