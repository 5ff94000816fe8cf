"""The interface for progress reports: in a terminal, in a file, or in a test."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

# How a line begins that notes something about a table.
_NOTE = "note: "


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


class Remembering:
    """Passes reports on, and keeps what they note, for the report of the run.

    Args:
        reporter: Gets the reports.

    Attributes:
        notes: What was noted, without the word "note", and what was warned of.
    """

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self.notes: list[str] = []

    def say(self, line: str) -> None:
        """Pass a line on; a note is kept."""
        if line.startswith(_NOTE):
            self.notes.append(line.removeprefix(_NOTE))
        self.reporter.say(line)

    def begin(self, title: str, steps: int, epochs: int | None = None) -> None:
        """Pass it on."""
        self.reporter.begin(title, steps, epochs)

    def advance(self) -> None:
        """Pass it on."""
        self.reporter.advance()

    def epoch(self, number: int, logs: dict[str, float]) -> None:
        """Pass it on."""
        self.reporter.epoch(number, logs)

    def end(self) -> None:
        """Pass it on."""
        self.reporter.end()

    def finish(self, what: str) -> None:
        """Pass it on."""
        self.reporter.finish(what)

    @contextmanager
    def warnings(self) -> Iterator[None]:
        """Keep what is warned of, too, which is shown as without this."""
        shown = warnings.showwarning

        def show(message: Any, *where: Any, **more: Any) -> None:
            self.notes.append(str(message))
            shown(message, *where, **more)

        with warnings.catch_warnings():
            warnings.showwarning = show
            yield
