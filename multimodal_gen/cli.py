"""The command line: which arguments there are, and what is printed in the end.

A thin client: `training.py` runs, `preparation.py` makes rows and loaders of a table, `console.py` tells and catches.
Keras, TensorFlow and pandas are imported inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from multimodal_gen import __version__, options
from multimodal_gen.console import Commands, ProgressReporter, print_table, starting

_SUFFIXES = (".csv", ".parquet", ".jsonl")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"multimodal-gen {__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=Commands,
    name="multimodal-gen",
    help="Train, score and use models on tables of images, captions and labels.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    pass


@app.command()
def train(
    table: options.TableFile,
    image: options.Image = None,
    caption: options.Caption = None,
    missing: options.Missing = options.BlankWord.ERROR,
    label: options.Label = "label",
    number: options.Number = None,
    number_missing: options.NumberMissing = options.MissingWord.ERROR,
    directory: options.Directory = None,
    split: options.Split = None,
    split_names: options.SplitNames = None,
    fractions: options.Shares = "0.7,0.1,0.2",
    group: options.Group = None,
    image_size: options.ImageSize = "64x64",
    text: options.TextMode = options.TextWord.NGRAMS,
    fusion: Annotated[options.FusionWord, typer.Option(help="How the inputs are joined.")] = options.FusionWord.JOINT,
    epochs: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Passes at most; by default, chosen by the number of rows.")
    ] = None,
    batch_size: options.BatchSize = 64,
    seed: options.Seed = 0,
    ablate: Annotated[bool, typer.Option("--ablate", help="Train a model on each input alone too.")] = False,
    # Declared, as typer 0.27 takes a metavar that is the option's own name in capitals for its declaration.
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Name of the run; by default the table's.")
    ] = None,
    runs: Annotated[Path, typer.Option(metavar="DIR", help="Folder of all runs.")] = Path("runs"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run of this name.")] = False,
    resume: options.Resume = False,
    on_error: options.OnError = options.OnErrorWord.RAISE,
    max_error_rate: options.MaxErrorRate = 0.1,
    cache: options.Cache = None,
    cache_limit: options.CacheLimit = None,
) -> None:
    """Train a classifier, score it on test rows, and save everything in runs/NAME."""
    folder = options.run_folder(table, name, runs, overwrite=overwrite, resume=resume)
    data = _data_settings(locals()) | {"cache": cache, "cache_limit": options.size_in_bytes(cache_limit)}
    console = Console()
    with starting(console):
        from multimodal_gen import training
    data |= {"fusion": fusion.value, "epochs": epochs, "ablate": ablate, "resume": resume, "on_error": on_error.value}
    data["max_error_rate"] = max_error_rate
    settings = training.RunSettings(**data, folder=str(folder))
    reporter = ProgressReporter(console)
    try:
        metrics = training.run(settings, reporter)
    except KeyboardInterrupt:
        if resume:
            reporter.say(f"States are kept in {folder / 'state'}; the same command goes on from there.")
        raise
    finally:
        reporter.end()
    scores = metrics["details"]["scores"]
    rows = [
        (trained_on, f"{one['balanced_accuracy']:.3f}", f"{one['accuracy']:.3f}", f"{one['seconds']:.0f}")
        for trained_on, one in scores.items()
    ]
    columns = ("trained on", "balanced accuracy", "accuracy", "seconds")
    print_table(console, "Scores on the test rows", columns, rows)
    reporter.say(f"Saved in {folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")


@app.command("cache")
def fill(
    table: options.TableFile,
    cache: Annotated[str, typer.Option(metavar="DIR", help="The directory to fill; give `train` the same one.")],
    cache_limit: options.CacheLimit = None,
    image: options.Image = None,
    caption: options.Caption = None,
    missing: options.Missing = options.BlankWord.ERROR,
    label: options.Label = "label",
    directory: options.Directory = None,
    split: options.Split = None,
    split_names: options.SplitNames = None,
    fractions: options.Shares = "0.7,0.1,0.2",
    group: options.Group = None,
    image_size: options.ImageSize = "64x64",
    text: options.TextMode = options.TextWord.NGRAMS,
    seed: options.Seed = 0,
    threads: options.Threads = None,
) -> None:
    """Decode every picture and encode every caption ahead of training, and list those that are bad."""
    number, number_missing, batch_size = None, options.MissingWord.ERROR, 64
    data = _data_settings(locals())
    limit = options.size_in_bytes(cache_limit)
    from multimodal_gen.filling import fill_from_settings
    from multimodal_gen.preparation import DataSettings

    reporter = ProgressReporter(Console())
    filled = fill_from_settings(DataSettings(**data), cache, limit, threads, reporter)
    reporter.say(f"{filled.cells:,} cells are read, {filled.bad:,} are bad.")
    for error in filled.errors:
        typer.echo(" ".join(str(error).split()), err=True)
    if filled.bad > len(filled.errors):
        typer.echo(f"and {filled.bad - len(filled.errors):,} more.", err=True)
    if filled.bad or filled.incomplete:
        raise typer.Exit(1)


@app.command()
def audit(
    table: options.TableFile,
    image: options.Image = None,
    caption: options.Caption = None,
    missing: options.Missing = options.BlankWord.ERROR,
    label: options.Label = "label",
    number: options.Number = None,
    number_missing: options.NumberMissing = options.MissingWord.ERROR,
    directory: options.Directory = None,
    split: Annotated[str | None, typer.Option(metavar="COLUMN", help="Column that names the parts.")] = None,
    image_size: options.ImageSize = "64x64",
    text: options.TextMode = options.TextWord.TOKENS,
    ignore: options.Ignore = None,
    out: options.AuditFolder = None,
    drop: options.CleanTable = None,
    group_column: options.GroupColumn = None,
    threads: options.Threads = None,
) -> None:
    """Look at every cell: broken, odd, double and contradictory ones. Exit status 1 if there are any."""
    group, split_names, fractions, batch_size, seed = None, None, "0.7,0.1,0.2", 64, 0
    data = _data_settings(locals())
    from multimodal_gen.auditing.command import audit_from_settings
    from multimodal_gen.preparation import DataSettings

    out = out or Path("runs") / f"{Path(table).resolve().stem}-audit"
    console = Console()
    reporter = ProgressReporter(console)
    report = audit_from_settings(DataSettings(**data), out, drop, group_column, ignore or (), threads, reporter)
    title = f"{len(report.problems):,} problems in {len(report.duplicates):,} rows"
    print_table(console, title, ("problem", "findings"), report.counts.items())
    for note in report.notes:
        reporter.say(f"note: {note}")
    if report.counts:
        raise typer.Exit(1)


@app.command()
def evaluate(
    run: options.RunFolder,
    table: options.TableFile,
    directory: options.Directory = None,
    split: Annotated[str | None, typer.Option(metavar="COLUMN", help="Score only rows that are test here.")] = None,
    split_names: options.SplitNames = None,
    on_error: options.OnError = options.OnErrorWord.RAISE,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Score a trained model on the rows of a table."""
    console = Console()
    bundle, rows = _open(console, run, table, directory)
    from multimodal_gen.applying import scores_of

    scores = scores_of(bundle, rows, split, options.words(split_names), on_error.value)
    if as_json:
        typer.echo(json.dumps(scores))
        return
    ProgressReporter(console).say(f"{run} on {scores['rows']:,} rows of {table}")
    values = [(score.replace("_", " "), f"{value:.4f}") for score, value in list(scores.items())[1:]]
    print_table(console, None, ("score", "value"), values)


@app.command()
def predict(
    run: options.RunFolder,
    table: options.TableFile,
    out: Annotated[Path, typer.Option(metavar="FILE", help="A .csv, .parquet or .jsonl file.")],
    directory: options.Directory = None,
) -> None:
    """Predict every row of a table, in its order, into a file. Exit status 1 if most rows cannot be loaded."""
    if out.suffix not in _SUFFIXES:
        raise ValueError(f"--out must end in one of {', '.join(_SUFFIXES)}. Received: --out {out}")
    console = Console()
    bundle, rows = _open(console, run, table, directory)
    from multimodal_gen.applying import predict_to_file

    if not predict_to_file(bundle, rows, out, ProgressReporter(console)):
        raise typer.Exit(1)


@app.command()
def preview(
    table: options.TableFile,
    out: Annotated[Path, typer.Option(metavar="FILE", help="A .png, .svg or .pdf file.")],
    image: options.Image = None,
    caption: options.Caption = None,
    missing: options.Missing = options.BlankWord.ERROR,
    label: options.Label = "label",
    number: options.Number = None,
    number_missing: options.NumberMissing = options.MissingWord.ERROR,
    directory: options.Directory = None,
    split: options.Split = None,
    split_names: options.SplitNames = None,
    fractions: options.Shares = "0.7,0.1,0.2",
    group: options.Group = None,
    image_size: options.ImageSize = "64x64",
    text: options.TextMode = options.TextWord.NGRAMS,
    seed: options.Seed = 0,
) -> None:
    """Draw training rows as a model would be given them: augmented, with captions and labels."""
    if out.suffix not in (".png", ".svg", ".pdf"):
        raise ValueError(f"--out must end in .png, .svg or .pdf. Received: --out {out}")
    batch_size = 12
    data = _data_settings(locals())
    console = Console()
    with starting(console):
        from multimodal_gen import plots, preparation
        from multimodal_gen.sequence import MultimodalSequence
    reporter = ProgressReporter(console)
    settings = preparation.DataSettings(**data)
    parts = preparation.read_parts(settings, reporter)
    inputs, target = preparation.make_loaders(settings, parts.train, reporter)
    sequence = MultimodalSequence(parts.train, inputs, target, batch_size=batch_size, shuffle=True, seed=seed)
    figure = plots.show_batch(sequence, rows=3)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out)
    reporter.say(f"Wrote {out}.")


def _data_settings(arguments: dict[str, Any]) -> dict[str, Any]:
    names = ("table", "image", "caption", "label", "directory", "split", "group", "batch_size", "seed")
    return {
        **{name: arguments[name] for name in names},
        "missing": arguments["missing"].value,
        "number": tuple(arguments["number"] or ()),
        "number_missing": arguments["number_missing"].value,
        "split_names": options.words(arguments["split_names"]),
        "fractions": options.shares(arguments["fractions"]),
        "image_size": options.size_in_pixels(arguments["image_size"]),
        "text": arguments["text"].value,
    }


def _open(console: Console, run: Path, table: str, directory: str | None) -> tuple[Any, Any]:
    # The bundle of a run, and the rows of a table whose pictures lie beside it.
    with starting(console):
        from multimodal_gen.bundle import load_bundle
        from multimodal_gen.table import read_table
    rows = read_table(table)
    folder = Path(table) if Path(table).is_dir() else Path(table).parent
    return load_bundle(run, directory=directory or folder), rows


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
