"""The progress of a run: a bar with the time left in a terminal, or a line per epoch in a file; and
what is kept of a run that is stopped.
"""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

# Terminal columns for the bar, the time left and the spaces between.
_BAR = 24


class ProgressReporter:
    """Shows the progress of a run: a bar with the time left in a terminal, a line per epoch in a
    file.

    Args:
        console: The output.

    Attributes:
        place: Where the run is, as in "epoch 3 of 40, training on image"; empty before training.
        finished: What was trained, scored and written.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar: Progress | None = None
        self.place = ""
        self.finished: list[str] = []

    def say(self, line: str) -> None:
        """Print one line unchanged."""
        self.console.print(
            # Brackets in a path are not markup, and in a file lines are not wrapped.
            line,
            markup=False,
            highlight=False,
            soft_wrap=not self.console.is_terminal,
        )

    def begin(self, title: str, steps: int, epochs: int | None = None) -> None:
        """Start a bar with this many steps."""
        self.title, self.epochs, self.started = title, epochs, time.perf_counter()
        self.first_step: float | None = None
        self.first_epoch: int | None = None
        if epochs is not None:
            self.place = f"epoch 1 of {epochs}, training on {title}"
        if self.console.is_terminal:
            self.bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=None),
                TimeRemainingColumn(),
                TextColumn("left"),
                console=self.console,
                # Removes the bar at the end; the printed lines stay.
                transient=True,
                expand=True,
            )
            self.task = self.bar.add_task(
                title if epochs is None else f"{title} epoch 1/{epochs}", total=steps
            )
            self.bar.start()

    def advance(self) -> None:
        """Count one step."""
        if self.first_step is None:
            self.first_step = time.perf_counter()
        if self.bar is not None:
            self.bar.advance(self.task)

    def epoch(self, number: int, logs: dict[str, float]) -> None:
        """Show the results of an epoch; epochs count from 1."""
        assert self.epochs is not None
        self.place = (
            f"epoch {min(number + 1, self.epochs)} of {self.epochs}, training on {self.title}"
        )
        values = [f"{text} {logs[name]:.3f}" for name, text in _watched(logs).items()]
        if self.bar is not None:
            words = [f"{self.title} epoch {min(number + 1, self.epochs)}/{self.epochs}", *values]
            # In a narrow terminal losses are dropped first.
            while len(words) > 1 and len("  ".join(words)) + _BAR > self.console.width:
                words.pop(1)
            self.bar.update(self.task, description="  ".join(words))
            return
        now = time.perf_counter()
        if self.first_epoch is None:
            # A resumed run starts at a later epoch and has spent no time on the earlier ones.
            self.first_epoch = number
        # Not counted: the first step compiles the model, which later epochs need not do.
        steady = now - (self.first_step or self.started)
        left = steady / (number - self.first_epoch + 1) * (self.epochs - number)
        place = f"epoch {number:>{len(str(self.epochs))}}/{self.epochs}"
        self.say(
            "  ".join(
                ["", place, *values, f"{now - self.started:.0f} s, at most {left:.0f} s left"]
            )
        )

    def end(self) -> None:
        """Remove the bar."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def finish(self, what: str) -> None:
        """Record what was trained, scored and written."""
        self.finished.append(what)


def _watched(logs: dict[str, float]) -> dict[str, str]:
    # Chooses the values to show and their titles. The training loss may have terms that the
    # validation loss lacks, so the common part is shown if it is known.
    loss = "prediction_loss" if "prediction_loss" in logs else "loss"
    names = {loss: "loss", "val_loss": "val loss", "val_accuracy": "val accuracy"}
    return {name: text for name, text in names.items() if name in logs}


def what_is_kept(folder: Path, resume: bool, reporter: ProgressReporter, folds: bool) -> str:
    """Where a run was stopped, and what is kept of it, for the message after Ctrl-C.

    Args:
        folder: The folder of the run.
        resume: Whether --resume was given.
        reporter: What reported the run.
        folds: Whether it was one of several folds.
    """
    where = f"in {reporter.place}" if reporter.place else "before training"
    if resume and folds:
        done = ", ".join(reporter.finished) or "none"
        return (
            f"{where}; finished folds are kept in {folder / 'state' / 'folds'} ({done} in this "
            "run), and the same command continues from there"
        )
    if resume:
        return (
            f"{where}; states are kept in {folder / 'state'}, and the same command resumes from "
            "there"
        )
    if reporter.finished and not folds:
        return f"{where}; {folder} has what was finished before: {', '.join(reporter.finished)}"
    return f"{where}; nothing is kept, because --resume was not given"
