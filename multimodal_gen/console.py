"""What the command line and its user tell each other: errors as one sentence, notes, progress with the time left.

Nothing here knows what is being trained; and nothing heavy is imported before a command asks for it.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from typer.core import TyperGroup

from multimodal_gen.errors import MultimodalError


class Commands(TyperGroup):
    """A group of commands in which errors end: a wrong argument, a bad table, Ctrl-C."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; exit with 2 for wrong input and with 130 for Ctrl-C."""
        try:
            with _notes():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("Stopped.", err=True)
            raise typer.Exit(130) from None
        except (MultimodalError, ValueError, TypeError, OSError) as error:
            if not _is_about_input(error):
                raise
            hint = ""
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT) and error.filename is None:
                hint = ": make room where the results go, and run the same command again"
            typer.echo(f"Error: {' '.join(str(error).split())}{hint}", err=True)
            raise typer.Exit(2) from None

    def main(self, args: Any = None, prog_name: Any = None, *_: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run the command line, and leave the process unless `standalone_mode=False`."""
        try:
            code = super().main(args, prog_name, standalone_mode=False, **extra)
        except Exception as error:
            # Typer's own errors, which it would spread over several lines.
            if not standalone_mode or not hasattr(error, "format_message"):
                raise
            command = getattr(getattr(error, "ctx", None), "command_path", "multimodal-gen")
            message = error.format_message().rstrip(".")
            if message:
                typer.echo(f"Error: {message}; see {command} --help", err=True)
            code = 2
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else 0)
        return code


def _is_about_input(error: Exception) -> bool:
    if isinstance(error, MultimodalError | OSError):
        return True
    # This package's own checks say what they received; any other ValueError is a bug and keeps its traceback.
    last = [frame for frame, _ in traceback.walk_tb(error.__traceback__)][-1]
    return last.f_globals.get("__name__", "").startswith("multimodal_gen") and "Received:" in str(error)


@contextmanager
def _notes() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: typer.echo(f"Note: {message}", err=True)
        yield


def _start_keras() -> None:
    """Import Keras and wake its backend, without the lines that TensorFlow's C++ part writes whatever it is told."""
    if "keras" in sys.modules or os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") == "0":
        return
    # Its Python part warns of models that are built one after the other, as --ablate does.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held_back:
        stderr = os.dup(2)
        os.dup2(held_back.fileno(), 2)
        try:
            import keras

            # Seeding imports TensorFlow on the other backends too, and the first array looks for devices.
            keras.utils.set_random_seed(0)
            keras.ops.zeros(())
        except BaseException:
            held_back.seek(0)
            os.write(stderr, held_back.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


class ProgressReporter:
    """Tells how a run goes: a bar with the time left in a terminal, a line an epoch in a file.

    Args:
        console: Where to.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar: Progress | None = None

    def say(self, line: str) -> None:
        """Print one line as it is."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=not self.console.is_terminal)

    def begin(self, title: str, steps: int, epochs: int | None = None) -> None:
        """Start a bar of so many steps."""
        self.title, self.epochs, self.started = title, epochs, time.perf_counter()
        self.text = "" if epochs is None else f"epoch 1/{epochs}"
        if self.console.is_terminal:
            self.bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=None),
                TimeRemainingColumn(),
                TextColumn("left"),
                console=self.console,
                transient=True,
                expand=True,
            )
            self.task = self.bar.add_task(f"{title} {self.text}", total=steps)
            self.bar.start()

    def advance(self) -> None:
        """Count one step."""
        if self.bar is not None:
            self.bar.advance(self.task)

    def epoch(self, number: int, logs: dict[str, float]) -> None:
        """Show what an epoch gave; they count from 1."""
        assert self.epochs is not None
        texts = {"loss": "loss", "val_loss": "val loss", "val_accuracy": "val accuracy"}
        values = {name: f"{text} {logs[name]:.3f}" for name, text in texts.items() if name in logs}
        if self.bar is not None:
            # The bar has room for less, in 80 columns.
            values.pop("val_loss", None)
            place = f"{self.title} epoch {min(number + 1, self.epochs)}/{self.epochs}"
            self.bar.update(self.task, description="  ".join([place, *values.values()]))
            return
        spent = time.perf_counter() - self.started
        left = spent / number * (self.epochs - number)
        place = f"epoch {number:>{len(str(self.epochs))}}/{self.epochs}"
        self.say("  ".join(["", place, *values.values(), f"{spent:.0f} s, about {left:.0f} s left"]))

    def end(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


@contextmanager
def starting(console: Console) -> Iterator[None]:
    """Start Keras, showing that it takes its time; for the imports of the package's own modules too."""
    with console.status("Starting Keras") if console.is_terminal else nullcontext():
        _start_keras()
        yield


def print_table(console: Console, title: str | None, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table: words on the left, numbers on the right."""
    shown = Table(*columns, title=title)
    for column in shown.columns[1:]:
        column.justify = "right"
    for words, *numbers in rows:
        shown.add_row(words, *(f"{one:,}" if isinstance(one, int) else str(one) for one in numbers))
    console.print(shown)
