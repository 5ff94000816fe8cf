"""The command line: its commands, their arguments, and what they print at the end.

A thin client: `train.py` trains, `data.py` makes rows and loaders from a table, `console.py` prints
and catches errors. Keras, TensorFlow and pandas are imported inside the commands, so `--help`
answers at once.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from multimodal_gen._version import __version__
from multimodal_gen.cli import (
    explain_options,
    fold_options,
    option_values,
    options,
    predict_options,
    table_commands,
)
from multimodal_gen.cli.arguments import TRAINED, takes
from multimodal_gen.cli.compare import compare
from multimodal_gen.cli.console import (
    INTERRUPTED,
    Commands,
    OneCommand,
    leave_now,
    was_interrupted,
)
from multimodal_gen.cli.evaluate import evaluate
from multimodal_gen.cli.export import export
from multimodal_gen.cli.opening import details_of, opened
from multimodal_gen.cli.option_words import FusionWord, OnErrorWord
from multimodal_gen.cli.pack import pack
from multimodal_gen.cli.progress import ProgressReporter, what_is_kept
from multimodal_gen.cli.run_tables import print_folds, print_run
from multimodal_gen.cli.serve import serve
from multimodal_gen.cli.settings import RunSettings
from multimodal_gen.cli.starting import starting
from multimodal_gen.cli.tune import tune

_SUFFIXES = (".csv", ".parquet", ".jsonl")


def _show_version(wanted: bool) -> None:
    if wanted:
        # On stderr, so that a script that asks for the version reads nothing else.
        with starting(Console(stderr=True)):
            import keras

        typer.echo(
            f"multimodal-gen {__version__}, Keras {keras.__version__} on {keras.backend.backend()}"
        )
        raise typer.Exit


app = typer.Typer(
    cls=Commands,
    name="multimodal-gen",
    help="Train, score and use models on tables of images, captions and labels.",
    no_args_is_help=True,
    add_completion=False,
    # `Commands` handles errors; for a bug Python prints its own traceback.
    pretty_exceptions_enable=False,
    # No boxes, because they cut off names of options in a narrow terminal.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help="Show this version and Keras's, and exit.",
        ),
    ] = False,
) -> None:
    pass


@app.command(cls=OneCommand)
@takes(*TRAINED)
def train(
    table: options.TableFile,
    data: dict[str, Any],
    fusion: options.Fusion = FusionWord.JOINT,
    positive: options.Positive = None,
    epochs: options.Epochs = None,
    ablate: options.Ablate = False,
    balance: fold_options.Balance = False,
    folds: fold_options.Folds = None,
    name: options.Name = None,
    runs: options.Runs = Path("runs"),
    overwrite: options.Overwrite = False,
    resume: options.Resume = False,
    on_error: options.OnError = OnErrorWord.RAISE,
    max_error_rate: options.MaxErrorRate = 0.1,
    cache: options.Cache = None,
    cache_limit: options.CacheLimit = None,
    tensorboard: fold_options.Tensorboard = False,
    mlflow: fold_options.Mlflow = None,
) -> None:
    """Train a model, score it on test rows, and save everything in runs/NAME."""
    settings = RunSettings(
        **data,
        folder="",
        fusion=fusion.value,
        positive=positive,
        epochs=epochs,
        ablate=ablate,
        folds=folds,
        balance=balance,
        cache=cache,
        cache_limit=option_values.size_in_bytes(cache_limit),
        resume=resume,
        on_error=on_error.value,
        max_error_rate=max_error_rate,
    )
    try:
        folder = option_values.run_folder(table, name, runs, overwrite=overwrite, resume=resume)
    except FileExistsError:
        _check_columns(settings)
        raise
    settings = replace(settings, folder=str(folder))
    console = Console()
    with starting(console):
        from multimodal_gen.cli import folds as validation
        from multimodal_gen.cli import train as training
        from multimodal_gen.cli.curves import Curves
        from multimodal_gen.cli.run_data import fetching_once
    reporter = ProgressReporter(console)
    try:
        with fetching_once(settings):
            one = training if folds is None else validation
            metrics = one.run(settings, reporter, Curves(tensorboard, mlflow))
    except BaseException as error:
        if not was_interrupted(error):
            raise
        # An empty folder would look like a run, and the next one would need --overwrite.
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
        # `Commands` prints this after "Stopped".
        kept = what_is_kept(folder, resume, reporter, folds is not None)
        raise KeyboardInterrupt(kept) from None
    finally:
        reporter.end()
    (print_run if folds is None else print_folds)(reporter, metrics["details"], folder)
    reporter.say(f"Saved in {folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")


def _check_columns(settings: Any) -> None:
    # A run of this name exists because an earlier command went further than this one may: whoever
    # misspelt a column would otherwise replace it in vain.
    from multimodal_gen.cli.columns import check_named_columns
    from multimodal_gen.cli.given_table import read_given

    check_named_columns(read_given(settings.table), settings)


app.command(cls=OneCommand)(tune)
app.command("cache", cls=OneCommand)(table_commands.fill)
app.command(cls=OneCommand)(table_commands.audit)
app.command(cls=OneCommand)(pack)


app.command(cls=OneCommand)(evaluate)


@app.command(cls=OneCommand)
def predict(
    run: options.RunFolder,
    table: options.TableFile,
    out: options.PredictionFile,
    coverage: predict_options.Coverage = None,
    costs: predict_options.CostFile = None,
    directory: options.Directory = None,
) -> None:
    """Predict every row of a table into a file, in the table's order.

    Exit status 1 if most rows cannot be loaded.
    """
    if out.suffix not in _SUFFIXES:
        raise ValueError(f"--out must end in one of {', '.join(_SUFFIXES)}. Received: --out {out}")
    # Checked before the model is loaded, let alone run.
    option_values.check_not_read("--out", out, table, run)
    option_values.check_coverage_and_costs(coverage, costs)
    console = Console()
    bundle, rows, folder = opened(console, run, table, directory)
    from multimodal_gen.cli.predict import predict_to_file
    from multimodal_gen.cli.sureness import More

    more = More(bundle, coverage, costs, details_of(run))
    if not predict_to_file(bundle, rows, out, folder, ProgressReporter(console), more):
        raise typer.Exit(1)


@app.command(cls=OneCommand)
def explain(
    run: options.RunFolder,
    table: options.TableFile,
    rows: explain_options.Rows = None,
    of: explain_options.Class = None,
    target: explain_options.TargetName = None,
    out: explain_options.Page = None,
    directory: options.Directory = None,
) -> None:
    """Write a page that shows which pixels, words and columns made the predictions.

    Exit status 1 if no row can be loaded.
    """
    out = run / "explanations.html" if out is None else out
    if out.suffix != ".html":
        raise ValueError(f"--out must end in .html. Received: --out {out}")
    option_values.check_not_read("--out", out, table)
    console = Console()
    bundle, frame, folder = opened(console, run, table, directory)
    from multimodal_gen.cli.explain import explain_to_page, rows_named

    chosen = rows_named(rows, len(frame))
    reporter = ProgressReporter(console)
    if not explain_to_page(bundle, frame, chosen, of, target, out, folder, reporter):
        raise typer.Exit(1)


app.command(cls=OneCommand)(export)
app.command(cls=OneCommand)(serve)
app.command(cls=OneCommand)(compare)
app.command(cls=OneCommand)(table_commands.preview)


def main() -> None:
    """Run the command line."""
    try:
        app(prog_name="multimodal-gen")
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            leave_now(INTERRUPTED)
        raise


if __name__ == "__main__":
    main()
