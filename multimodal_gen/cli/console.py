"""Print errors in one sentence, notes and tables, and handle Ctrl-C.

Nothing here knows what is being trained, and nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import atexit
import errno
import os
import re
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperCommand, TyperGroup

from multimodal_gen.errors import MultimodalError
from multimodal_gen.sequence.keras_inside.backends import missing_backend

# Options of one purpose, under the names that they have in some command here or in other tools.
_SAME_PURPOSE = (
    ("--out", "--name", "--runs", "--output", "--output-dir", "--report"),
    ("--directory", "--folder", "--root", "--image-dir", "--data-dir"),
    ("--fractions", "--split", "--test-size", "--validation-split"),
    ("--label", "--target-column", "--y", "--class"),
    ("--image", "--image-column", "--picture", "--path"),
    ("--caption", "--text-column", "--text"),
    ("--folds", "--cv", "--k", "--splits"),
    ("--threads", "--workers", "--jobs", "--num-workers"),
    ("--hours", "--trials", "--timeout"),
    ("--on-error", "--skip", "--errors"),
)


def meant_by(name: str, options: Sequence[str]) -> list[str]:
    """The options of a command that have the purpose of one that it does not have.

    Args:
        name: The option that it does not have, such as "--name".
        options: Those that it has.
    """
    return [
        option for same in _SAME_PURPOSE if name in same for option in same if option in options
    ]


class OneCommand(TyperCommand):
    """A command that rejects an option given twice, unless the option takes several values."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments like click.

        Raises:
            ValueError: If an option for one value is given twice.
        """
        # click silently takes the last of several values.
        try:
            *_, order = self.make_parser(ctx).parse_args(args=list(args))
        except Exception as error:
            # click suggests names that are spelt alike; one that means the same is better.
            named = getattr(error, "option_name", None)
            if named is not None and hasattr(error, "possibilities"):
                own = [name for one in self.params for name in one.opts]
                error.possibilities = meant_by(named, own) or error.possibilities
            raise
        for param in order:
            several = (
                param.param_type_name != "option"
                or param.multiple
                or getattr(param, "is_flag", False)
            )
            if not several and order.count(param) > 1:
                raise ValueError(
                    f"{param.opts[0]} takes one value. Received: {param.opts[0]} twice"
                )
        rest: list[str] = super().parse_args(ctx, args)
        return rest


class Commands(TyperGroup):
    """A group of commands that handles errors: a wrong argument, a bad table, Ctrl-C, a closed
    pipe.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run a command; exit with 2 for wrong input and with 130 for Ctrl-C."""
        try:
            with _notes(self, ctx), _heeding_ctrl_c():
                return super().invoke(ctx)
        # `main` handles it.
        except BrokenPipeError:
            raise
        except BaseException as error:
            if was_interrupted(error):
                said = str(error) if isinstance(error, KeyboardInterrupt) else ""
                typer.echo(f"Stopped {said}." if said else "Stopped.", err=True)
                raise typer.Exit(INTERRUPTED) from None
            if not isinstance(
                error, MultimodalError | ValueError | TypeError | OSError
            ) or not _is_about_input(error):
                raise
            hint = ""
            if (
                isinstance(error, OSError)
                and error.errno in (errno.ENOSPC, errno.EDQUOT)
                # With a file name, the message of the system says already what is full.
                and error.filename is None
            ):
                hint = ": free some space for the results, and run the same command again"
            said = in_options(" ".join(str(error).split()), _options_of(self, ctx))
            typer.echo(f"Error: {said}{hint}", err=True)
            raise typer.Exit(2) from None

    def main(
        self,
        args: Any = None,
        prog_name: Any = None,
        *_: Any,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line, and exit the process unless `standalone_mode=False`."""
        try:
            code = super().main(args, prog_name, standalone_mode=False, **extra)
            sys.stdout.flush()
        except BrokenPipeError:
            # A reader such as `head` closes the pipe when it has seen enough. Python must not write
            # the rest when it exits either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 1
        except ImportError as error:
            missing = missing_backend(error)
            if missing is None:
                raise
            typer.echo(f"Error: {missing}", err=True)
            code = 1
        except Exception as error:
            # Errors of typer, which it would print over several lines.
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


# An argument or a line of Python, and the option that does the same.
_BOTH = re.compile(r"(?:`[^`]*`|\b\w+=(?:'[^']*'|\"[^\"]*\"|\S+)) \(`(--[^`]+)`\)")


def in_options(message: str, options: Sequence[str] = ()) -> str:
    """A message with options instead of the Python arguments that they stand for.

    Args:
        message: As errors and warnings of the package say it for both.
        options: The options of the command, such as "--date-format". An argument of such a name,
            "`date_format`" or "Received: date_format=...", is named as the option.
    """
    said, received, rest = message.partition("Received: ")
    said = _BOTH.sub(r"\1", said)
    for option in options:
        argument = option.removeprefix("--").replace("-", "_")
        said = said.replace(f"`{argument}`", option)
        rest = re.sub(rf"^{argument}=|(?<=, ){argument}=", f"{option} ", rest)
    # An argument of the command that is no option, such as TABLE.
    return said + received + rest.removeprefix("path=")


def _options_of(group: TyperGroup, ctx: Any) -> list[str]:
    # The options of the command that was called.
    command = group.get_command(ctx, ctx.invoked_subcommand or "")
    names = [name for one in getattr(command, "params", ()) for name in one.opts]
    return [name for name in names if name.startswith("--")]


def leave_now(status: int) -> None:
    """End the process after Ctrl-C: finish files, end worker processes, and do not wait for Keras.

    TensorFlow may wait forever for a thread of its own that needs Python while Python ends.
    """
    # What other modules have registered for the end, such as the last rows of a cache.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


# 128 + 2, the exit status that shells report after Ctrl-C.
INTERRUPTED = 130
_PRESSED = threading.Event()


@contextmanager
def _heeding_ctrl_c() -> Iterator[None]:
    # Code in C or C++ may turn Ctrl-C into a SystemError or an error of a backend, so the signal
    # itself is recorded.
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
    """Whether an error was caused by Ctrl-C."""
    if isinstance(error, Exception) and _PRESSED.is_set():
        return True
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _is_about_input(error: Exception) -> bool:
    if isinstance(error, MultimodalError | OSError):
        return True
    # Checks of this package say what they received. Any other ValueError is a bug and keeps its
    # traceback.
    last = [frame for frame, _ in traceback.walk_tb(error.__traceback__)][-1]
    return last.f_globals.get("__name__", "").startswith("multimodal_gen") and "Received:" in str(
        error
    )


@contextmanager
def _notes(group: TyperGroup, ctx: Any) -> Iterator[None]:
    with warnings.catch_warnings():
        # One line, without the source location that Python adds.
        warnings.showwarning = lambda message, *_, **__: typer.echo(
            f"note: {in_options(str(message), _options_of(group, ctx))}", err=True
        )
        yield


def print_table(
    console: Console,
    title: str | None,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    keep: bool = False,
) -> None:
    """Print a table: words on the left, numbers on the right; with `keep`, only words are wrapped
    where the terminal is narrow. Without rows, only the title.
    """
    lines = list(rows)
    if not lines and title is not None:
        console.print(title, markup=False, highlight=False)
        return
    shown = Table(*columns, title=title)
    for column in shown.columns[1:]:
        column.justify, column.no_wrap = "right", keep
    for words, *numbers in lines:
        shown.add_row(words, *(f"{one:,}" if isinstance(one, int) else str(one) for one in numbers))
    console.print(shown)
