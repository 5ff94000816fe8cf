"""Who is told how a run goes: in a terminal, in a file, or in a test."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Who is told how a run goes."""

    def say(self, line: str) -> None:
        """One line about what was found or done."""

    def begin(self, title: str, steps: int, epochs: int | None = None) -> None:
        """A longer piece of work begins, of so many steps in all."""

    def advance(self) -> None:
        """One step is done."""

    def epoch(self, number: int, logs: dict[str, float]) -> None:
        """An epoch is done; they count from 1."""

    def end(self) -> None:
        """The piece of work is done."""

    def finish(self, what: str) -> None:
        """A model is trained and scored, and its results are written."""
