"""What the command line tells: a bar that fits, time that is left, Ctrl-C in whatever form it
comes, quiet endings.
"""

from __future__ import annotations

import io
import re
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from multimodal_gen.cli import progress
from multimodal_gen.cli.app import app
from multimodal_gen.cli.progress import ProgressReporter

LOGS = {
    "loss": 1.5,
    "prediction_loss": 0.5,
    "val_loss": 0.25,
    "accuracy": 0.5,
    "val_accuracy": 0.75,
}


def bar_of(width: int, title: str = "both", logs: dict[str, float] = LOGS) -> str:
    """The bar after the twelfth epoch, as a terminal of that width shows it."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    reporter = ProgressReporter(console)
    reporter.begin(title, 400, 40)
    for _ in range(200):
        reporter.advance()
    reporter.epoch(12, logs)
    assert reporter.bar is not None
    shown = Console(file=io.StringIO(), width=width, color_system=None)
    shown.print(reporter.bar.get_renderable())
    reporter.end()
    text = shown.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize(
    ("width", "kept"),
    [
        (120, "both epoch 13/40  loss 0.500  val loss 0.250  val accuracy 0.750"),
        (80, "both epoch 13/40  val loss 0.250  val accuracy 0.750"),
        (66, "both epoch 13/40  val accuracy 0.750"),
        (60, "both epoch 13/40  val accuracy 0.750"),
        (50, "both epoch 13/40"),
    ],
)
def test_in_a_narrow_terminal_the_losses_go_first_and_the_bar_and_the_time_stay(
    width: int, kept: str
) -> None:
    shown = bar_of(width)
    assert shown.count("\n") == 1
    assert re.match(re.escape(kept) + r" +━{4,}.* (-:--:--|\d:\d\d:\d\d) left", shown), shown


def test_a_long_name_of_an_input_takes_the_room_of_the_losses_too() -> None:
    assert re.match(
        r"photo_from_the_front epoch 13/40  val accuracy 0.750 +━{4,}.* left",
        bar_of(80, "photo_from_the_front"),
    )


def lines_of(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lines of a run of 10 epochs whose first step takes 60 seconds, and each epoch 5 more."""
    monkeypatch.setattr(progress.time, "perf_counter", lambda: clock[0])
    console = Console(file=io.StringIO(), width=100)
    reporter = ProgressReporter(console)
    reporter.begin("both", 20, 10)
    clock[0] += 60
    for epoch in (1, 2):
        reporter.advance()
        clock[0] += 5
        reporter.epoch(epoch, LOGS)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text.splitlines()


def test_the_time_left_does_not_count_that_the_first_step_compiles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = lines_of([1000.0], monkeypatch)
    assert first.endswith("65 s, at most 45 s left")
    assert second.endswith("70 s, at most 40 s left")


def run_train(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, raised: Any, *more: str
) -> tuple[int, str]:
    def stopped(settings: Any, reporter: Any, curves: Any) -> None:
        reporter.begin("both", 400, 40)
        for epoch in range(1, 14):
            reporter.epoch(epoch, LOGS)
        raised()

    monkeypatch.setattr("multimodal_gen.cli.train.run", stopped)
    monkeypatch.setattr(signal, "getsignal", lambda number: signal.default_int_handler)
    arguments = ["train", "a.csv", "--caption", "c", "--runs", str(tmp_path), *more]
    result = CliRunner().invoke(app, arguments)
    assert "Traceback" not in result.output
    return result.exit_code, result.stderr


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def press_it_below_c() -> None:
    # What CPython says where C code comes back with a result although Ctrl-C is pending.
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt as error:
        raise SystemError("<built-in function> returned a result with an exception set") from error


def press_it_in_a_backend() -> None:
    # As a backend that makes an error of its own, and keeps nothing of what it came from.
    with suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    raise RuntimeError("INTERNAL: callback failed")


@pytest.mark.parametrize("raised", [press_ctrl_c, press_it_below_c, press_it_in_a_backend])
def test_ctrl_c_says_where_the_run_was_and_what_is_kept_whatever_a_library_makes_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, raised: Any
) -> None:
    before = signal.getsignal(signal.SIGINT)
    code, errors = run_train(monkeypatch, tmp_path, raised)
    monkeypatch.undo()
    assert code == 130
    assert errors == (
        "Stopped in epoch 14 of 40, training on both; nothing is kept, because --resume was not "
        "given.\n"
    )
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_of_a_run_with_states_says_where_they_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    code, errors = run_train(monkeypatch, tmp_path, press_ctrl_c, "--resume")
    assert code == 130
    assert "states are kept in" in errors and "the same command resumes from there" in errors


def test_a_system_error_without_ctrl_c_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    def broken() -> None:
        raise SystemError("a bug")

    monkeypatch.setattr("multimodal_gen.cli.train.run", lambda *_: broken())
    result = CliRunner().invoke(app, ["train", "a.csv", "--caption", "c", "--runs", str(tmp_path)])
    assert isinstance(result.exception, SystemError)


def test_output_that_nobody_reads_to_its_end_ends_quietly_and_the_package_is_a_program() -> None:
    line = f"{sys.executable} -m multimodal_gen train --help | head -c 20"
    done = subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == ("Usage: multimodal-ge", "")


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize(
    "command", ["train", "audit", "preview", "cache", "evaluate", "predict", "explain"]
)
def test_help_names_every_option_whole_at_every_width_and_flags_have_no_type(
    command: str, width: int
) -> None:
    text = (
        CliRunner()
        .invoke(app, [command, "--help"], env={"COLUMNS": str(width)}, terminal_width=width)
        .output
    )
    assert max(map(len, text.splitlines())) <= width
    assert "bool" not in text.lower() and "…" not in text
    pattern = r"^  (?:-h, )?--[a-z-]+.*?(?=^  (?:-h, )?--|\Z)"
    explained = [
        " ".join(one.split()) for one in re.findall(pattern, text, re.MULTILINE | re.DOTALL)
    ]
    assert len(explained) >= 3
    for one in explained:
        # A sentence to its full stop, and in brackets (escaped by the oldest typer) what is the
        # default.
        assert re.search(r"\w.*\.( \\?\[[^\]]+\])?$", one), one


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["audit", "x.csv", "--name", "shop"], "--out"),
        (["audit", "x.csv", "--folder=pictures"], "--directory"),
        (["train", "x.csv", "--out", "here"], "--name, --runs"),
        (["train", "x.csv", "--test-size", "0.2"], "--fractions, --split"),
        (["cache", "x.csv", "--jobs", "2"], "--threads"),
    ],
)
def test_an_option_that_has_another_name_here_is_named(given: list[str], meant: str) -> None:
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 2 and f"{meant})" in " ".join(done.output.split()), done.output
