"""What the command line and its user tell each other: errors as one sentence, notes, progress with
the time left.

Nothing here knows what is being trained; and nothing heavy is imported before a command asks for
it.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import tempfile
import threading
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
from typer.core import TyperCommand, TyperGroup

from multimodal_gen.errors import MultimodalError
from multimodal_gen.sequence.keras_inside.backends import missing_backend


class OneCommand(TyperCommand):
    """A command that refuses an option given twice, unless the option takes several values."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments, as click does.

        Raises:
            ValueError: If an option for one value is given twice.
        """
        *_, order = self.make_parser(ctx).parse_args(args=list(args))
        for param in order:
            several = (
                param.param_type_name != "option"
                or param.multiple
                or getattr(param, "is_flag", False)
            )
            if not several and order.count(param) > 1:
                raise ValueError(
                    f"{param.opts[0]} takes one value. Received: {param.opts[0]} given twice"
                )
        rest: list[str] = super().parse_args(ctx, args)
        return rest


class Commands(TyperGroup):
    """A group of commands in which errors end: a wrong argument, a bad table, Ctrl-C, a reader that
    has gone.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run a command; exit with 2 for wrong input and with 130 for Ctrl-C."""
        try:
            with _notes(), _heeding_ctrl_c():
                return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except BaseException as error:
            if was_interrupted(error):
                said = str(error) if isinstance(error, KeyboardInterrupt) else ""
                typer.echo(f"Stopped {said}." if said else "Stopped.", err=True)
                raise typer.Exit(130) from None
            if not isinstance(
                error, MultimodalError | ValueError | TypeError | OSError
            ) or not _is_about_input(error):
                raise
            hint = ""
            if (
                isinstance(error, OSError)
                and error.errno in (errno.ENOSPC, errno.EDQUOT)
                and error.filename is None
            ):
                hint = ": make room where the results go, and run the same command again"
            typer.echo(f"Error: {' '.join(str(error).split())}{hint}", err=True)
            raise typer.Exit(2) from None

    def main(
        self,
        args: Any = None,
        prog_name: Any = None,
        *_: Any,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line, and leave the process unless `standalone_mode=False`."""
        try:
            code = super().main(args, prog_name, standalone_mode=False, **extra)
            sys.stdout.flush()
        except BrokenPipeError:
            # As `head` closes the pipe when it has seen enough. Nothing may be written when Python
            # ends, either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 1
        except ImportError as error:
            missing = missing_backend(error)
            if missing is None:
                raise
            typer.echo(f"Error: {missing}", err=True)
            code = 1
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


_PRESSED = threading.Event()


@contextmanager
def _heeding_ctrl_c() -> Iterator[None]:
    # Below C and C++, Ctrl-C may come out as a SystemError, or as an error of the backend's own: so
    # it is noted.
    _PRESSED.clear()
    mine = threading.current_thread() is threading.main_thread()
    if not mine or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def note(number: int, frame: Any) -> None:
        _PRESSED.set()
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def was_interrupted(error: BaseException | None) -> bool:
    """Whether an error is what became of Ctrl-C."""
    if isinstance(error, Exception) and _PRESSED.is_set():
        return True
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _is_about_input(error: Exception) -> bool:
    if isinstance(error, MultimodalError | OSError):
        return True
    # This package's own checks say what they received; any other ValueError is a bug and keeps its
    # traceback.
    last = [frame for frame, _ in traceback.walk_tb(error.__traceback__)][-1]
    return last.f_globals.get("__name__", "").startswith("multimodal_gen") and "Received:" in str(
        error
    )


@contextmanager
def _notes() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: typer.echo(f"Note: {message}", err=True)
        yield


def _start_keras() -> None:
    """Import Keras and wake its backend, without the lines that TensorFlow's C++ part writes
    whatever it is told.
    """
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

            # Seeding imports TensorFlow on the other backends too, and the first array looks for
            # devices.
            keras.utils.set_random_seed(0)
            keras.ops.zeros(())
        except BaseException:
            held_back.seek(0)
            os.write(stderr, held_back.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


# Columns of a terminal that the bar, the time left and the blanks between them need.
_BAR = 24


class ProgressReporter:
    """Tells how a run goes: a bar with the time left in a terminal, a line an epoch in a file.

    Args:
        console: Where to.

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
        """Print one line as it is."""
        self.console.print(
            line, markup=False, highlight=False, soft_wrap=not self.console.is_terminal
        )

    def begin(self, title: str, steps: int, epochs: int | None = None) -> None:
        """Start a bar of so many steps."""
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
        """Show what an epoch gave; they count from 1."""
        assert self.epochs is not None
        self.place = (
            f"epoch {min(number + 1, self.epochs)} of {self.epochs}, training on {self.title}"
        )
        values = [f"{text} {logs[name]:.3f}" for name, text in _watched(logs).items()]
        if self.bar is not None:
            words = [f"{self.title} epoch {min(number + 1, self.epochs)}/{self.epochs}", *values]
            # In a narrow terminal the losses go first.
            while len(words) > 1 and len("  ".join(words)) + _BAR > self.console.width:
                words.pop(1)
            self.bar.update(self.task, description="  ".join(words))
            return
        now = time.perf_counter()
        if self.first_epoch is None:
            self.first_epoch = number
        # The first step compiles the model, which the epochs to come need not.
        steady = now - (self.first_step or self.started)
        left = steady / (number - self.first_epoch + 1) * (self.epochs - number)
        place = f"epoch {number:>{len(str(self.epochs))}}/{self.epochs}"
        self.say(
            "  ".join(
                ["", place, *values, f"{now - self.started:.0f} s, at most {left:.0f} s left"]
            )
        )

    def end(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def finish(self, what: str) -> None:
        """Take note of what was trained, scored and written."""
        self.finished.append(what)


def _watched(logs: dict[str, float]) -> dict[str, str]:
    # Of the figures of an epoch those to show, and what they are called. The loss that training
    # minimises may hold more than validation's, so where the part that both have is known, that is
    # shown.
    loss = "prediction_loss" if "prediction_loss" in logs else "loss"
    names = {loss: "loss", "val_loss": "val loss", "val_accuracy": "val accuracy"}
    return {name: text for name, text in names.items() if name in logs}


@contextmanager
def starting(console: Console) -> Iterator[None]:
    """Start Keras, showing that it takes its time; for the imports of the package's own modules
    too.
    """
    with console.status("Starting Keras") if console.is_terminal else nullcontext():
        _start_keras()
        yield


def print_table(
    console: Console, title: str | None, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Print a table: words on the left, numbers on the right."""
    shown = Table(*columns, title=title)
    for column in shown.columns[1:]:
        column.justify = "right"
    for words, *numbers in rows:
        shown.add_row(words, *(f"{one:,}" if isinstance(one, int) else str(one) for one in numbers))
    console.print(shown)
