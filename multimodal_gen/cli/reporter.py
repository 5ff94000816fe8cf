"""The interface for progress reports: in a terminal, in a file, or in a test."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Gets reports about the progress of a run."""

    def say(self, line: str) -> None:
        """One line about what was found or done."""

    def begin(self, title: str, steps: int, epochs: int | None = None) -> None:
        """A longer task begins, with this many steps."""

    def advance(self) -> None:
        """One step is done."""

    def epoch(self, number: int, logs: dict[str, float]) -> None:
        """An epoch is done; epochs count from 1."""

    def end(self) -> None:
        """The task is done."""

    def finish(self, what: str) -> None:
        """A model is trained and scored, and its results are written."""
