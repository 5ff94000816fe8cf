"""The declarations of the command line's options and arguments: name, type and help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from multimodal_gen.cli.option_words import (
    BlankWord,
    FusionWord,
    MissingWord,
    OnErrorWord,
    TargetWord,
)

TableFile = Annotated[
    str, typer.Argument(metavar="TABLE", help="A csv, tsv, jsonl, parquet file, shards or folder.")
]
RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="The folder of a run, such as runs/NAME.")
]
Image = Annotated[
    list[str] | None,
    typer.Option(
        "--image",
        metavar="COLUMN",
        help="Column of picture paths. Repeat it for more inputs. Default, if no input is named: "
        "each column is taken for what it holds.",
    ),
]
Caption = Annotated[
    list[str] | None,
    typer.Option("--caption", metavar="COLUMN", help="Column of texts. Repeat it for more inputs."),
]
Missing = Annotated[
    BlankWord,
    typer.Option(
        "--missing",
        help="Reject empty picture and caption cells, or mark them as missing for the model.",
    ),
]
Number = Annotated[
    list[str] | None,
    typer.Option(
        "--number",
        metavar="COLUMN",
        help="Column of numbers. Repeat it for more; together they are one input.",
    ),
]
NumberMissing = Annotated[
    MissingWord,
    typer.Option(
        "--number-missing",
        help="Reject empty cells of numbers and dates, or read them as the mean of the training "
        "rows, or flag them for the model too.",
    ),
]
Category = Annotated[
    list[str] | None,
    typer.Option(
        "--category",
        metavar="COLUMN",
        help="Column of categories, such as brands. Repeat it for more inputs.",
    ),
]
Date = Annotated[
    list[str] | None,
    typer.Option("--date", metavar="COLUMN", help="Column of dates. Repeat it for more inputs."),
]
DateFormat = Annotated[
    str | None,
    typer.Option(
        "--date-format",
        metavar="FORMAT",
        help="How dates with the year last are read: 'day first' or 'month first'; or a format "
        "such as %d.%m.%y.",
    ),
]
Label = Annotated[
    list[str],
    typer.Option(
        "--label",
        metavar="COLUMN",
        help="Column to predict. Repeat it for more numbers or 0/1 labels.",
    ),
]
Target = Annotated[
    TargetWord,
    typer.Option("--target", help="Predict one class per row, a number, or any number of labels."),
]
Separator = Annotated[
    str | None,
    typer.Option(
        "--separator", metavar="TEXT", help="What separates the labels in a cell, such as '|'."
    ),
]
Directory = Annotated[
    str | None,
    typer.Option(
        "--directory",
        metavar="DIR",
        help="Folder of picture paths, or start of URLs, such as https://. Default: the table's.",
    ),
]
Split = Annotated[
    str | None,
    typer.Option(
        "--split",
        metavar="COLUMN",
        help="Column that says train, val or test. Default: a random split.",
    ),
]
PartColumn = Annotated[
    str | None,
    typer.Option(
        "--split", metavar="COLUMN", help="Column that names each row's part, in any words."
    ),
]
ScoredSplit = Annotated[
    str | None,
    typer.Option(
        "--split", metavar="COLUMN", help="Score only the rows that are test in this column."
    ),
]
ScoredGroup = Annotated[
    str | None,
    typer.Option(
        "--group",
        metavar="COLUMN",
        help="Rows with the same value count as one case in the intervals.",
    ),
]
SplitNames = Annotated[
    str | None,
    typer.Option(
        "--split-names",
        metavar="WORDS",
        help="The three words of --split, if they are not train,val,test.",
    ),
]
Shares = Annotated[
    str,
    typer.Option(
        "--fractions",
        metavar="SHARES",
        help="Training, validation and test shares of a random split.",
    ),
]
Group = Annotated[
    str | None,
    typer.Option(
        "--group",
        metavar="COLUMN",
        help="Rows with equal values here stay together in a random split.",
    ),
]
Fusion = Annotated[
    FusionWord,
    typer.Option(
        "--fusion",
        help="How the inputs are joined. attend is for pixels, --text tokens, and several items.",
    ),
]
Positive = Annotated[
    str | None,
    typer.Option(
        "--positive",
        metavar="CLASS",
        help="For --fusion match: the class whose rows match. Default: training finds it.",
    ),
]
Epochs = Annotated[
    int | None,
    typer.Option(
        "--epochs",
        min=1,
        metavar="N",
        help="Maximum passes over the training rows. Default: by their number.",
    ),
]
BatchSize = Annotated[int, typer.Option("--batch-size", min=1, metavar="N", help="Rows per batch.")]
Seed = Annotated[
    int,
    typer.Option(
        "--seed",
        min=0,
        # Keras seeds the global generator of NumPy too, which takes no larger number.
        max=2**32 - 1,
        metavar="N",
        help="Fixes split, order, augmentation and initial weights.",
    ),
]
Ablate = Annotated[bool, typer.Option("--ablate", help="Also train a model on each input alone.")]
Name = Annotated[
    str | None,
    typer.Option("--name", metavar="NAME", help="Name of the run. Default: the table's name."),
]
Runs = Annotated[Path, typer.Option("--runs", metavar="DIR", help="Folder of all runs.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace an earlier run of this name.")
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume", help="Save states while training; the same command later resumes from them."
    ),
]
Cache = Annotated[
    str | None,
    typer.Option(
        "--cache",
        metavar="DIR",
        help="Keep decoded pictures and ids here for later epochs and runs.",
    ),
]
FilledCache = Annotated[
    str,
    typer.Option(
        "--cache", metavar="DIR", help="The directory to fill; pass the same one to `train`."
    ),
]
CacheLimit = Annotated[
    str | None,
    typer.Option(
        "--cache-limit", metavar="SIZE", help="Maximum size of the cache on disk, such as 20GB."
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        metavar="N",
        help="Threads that read and decode. Default: one per core, up to 8.",
    ),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option(
        "--ignore",
        metavar="KIND",
        help="A kind of finding that is not a problem. Repeat it for more.",
    ),
]
AuditFolder = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Folder of the results. Default: runs/NAME-audit."),
]
CleanTable = Annotated[
    Path | None,
    typer.Option(
        "--drop", metavar="TABLE_OUT", help="Write the table without unusable rows to this file."
    ),
]
AuditPredictions = Annotated[
    Path | None,
    typer.Option(
        "--predictions",
        metavar="FILE",
        help="Class probabilities by models not trained on these rows; shows labels that are "
        "likely wrong.",
    ),
]
OnError = Annotated[
    OnErrorWord,
    typer.Option(
        "--on-error",
        help="Stop if a row cannot be loaded, or leave such rows out and list them.",
    ),
]
MaxErrorRate = Annotated[
    float,
    typer.Option(
        "--max-error-rate",
        min=0,
        max=1,
        metavar="SHARE",
        help="Largest share of rows that --on-error skip may leave out.",
    ),
]
GroupColumn = Annotated[
    str | None,
    typer.Option(
        "--group-column",
        metavar="NAME",
        help=(
            "Add this column to --drop's table: duplicates share a number there, for `train "
            "--group`."
        ),
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
PredictionFile = Annotated[
    Path, typer.Option("--out", metavar="FILE", help="A .csv, .parquet or .jsonl file.")
]
PictureFile = Annotated[
    Path, typer.Option("--out", metavar="FILE", help="A .png, .svg or .pdf file.")
]
