"""The arguments that commands share: what each is called, what its help says, and how its words are read."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

# The tables that training writes into a run's folder.
_RESULTS = ("predictions", "history", "failures")
_UNITS = {"kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}


class TargetWord(StrEnum):
    """What --target may be."""

    CLASS = "class"
    NUMBER = "number"
    LABELS = "labels"


class AugmentWord(StrEnum):
    """What --augment may be."""

    NONE = "none"
    DEFAULT = "default"
    STRONG = "strong"


class FusionWord(StrEnum):
    """What --fusion may be."""

    JOINT = "joint"
    CONCAT = "concat"
    GATED = "gated"
    LATE = "late"
    MATCH = "match"


class BlankWord(StrEnum):
    """What --missing may be."""

    ERROR = "error"
    BLANK = "blank"


class MissingWord(StrEnum):
    """What --number-missing may be."""

    ERROR = "error"
    MEAN = "mean"


class OnErrorWord(StrEnum):
    """What --on-error may be."""

    RAISE = "raise"
    SKIP = "skip"


class TextWord(StrEnum):
    """What --text may be."""

    NGRAMS = "ngrams"
    TOKENS = "tokens"


def words(value: str | None) -> tuple[str, ...] | None:
    """The words of --split-names."""
    return None if value is None else tuple(word.strip() for word in value.split(","))


def size_in_pixels(value: str) -> tuple[int, int]:
    """The height and width of --image-size."""
    height, _, width = value.partition("x")
    if not (height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise ValueError(f"--image-size must be HEIGHTxWIDTH, as in 64x64. Received: --image-size {value}")
    return int(height), int(width)


def shares(value: str) -> tuple[float, ...]:
    """The numbers of --fractions."""
    try:
        return tuple(float(part) for part in value.split(","))
    except ValueError:
        raise ValueError(
            f"--fractions must be numbers with commas, as in 0.7,0.1,0.2. Received: --fractions {value}"
        ) from None


def size_in_bytes(value: str | None) -> int | None:
    """The bytes of --cache-limit."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(kb|mb|gb|tb)", value.strip().lower())
    if found is None or not float(found[1]):
        raise ValueError(f"--cache-limit must be a size, as in 500MB or 20GB. Received: --cache-limit {value}")
    return int(float(found[1]) * _UNITS[found[2]])


def as_score(value: float, decimals: int = 3) -> str:
    """A score as tables show it: with so many decimals, or "none" where there is nothing to score; a count whole."""
    if isinstance(value, int):
        return f"{value:,}"
    return "none" if value != value else f"{value:,.{decimals}f}"


def check_not_read(option: str, out: Path, table: str, run: Path | None = None) -> None:
    """Refuse a file to be written that is one of those that are read, by whatever spelling or link.

    Args:
        option: The option that names it.
        out: The file to be written.
        table: The file or folder of the table.
        run: The folder of a run, whose tables are its results; or None.
    """
    if not out.exists():
        return
    source = Path(table)
    if source.exists() and out.samefile(source):
        raise ValueError(f"{option} is the table itself; choose another name. Received: {option} {out}")
    told = out.suffix == ".png" or out.stem == "metadata"
    if told and source.is_dir() and source.resolve() in out.resolve().parents:
        raise ValueError(f"{option} is a file of the table's folder; choose another name. Received: {option} {out}")
    if run is not None and run.is_dir() and out.resolve().parent == run.resolve() and out.stem in _RESULTS:
        raise ValueError(f"{option} is a result of the run; choose another name. Received: {option} {out}")


def score_title(name: str) -> str:
    """The name of a score in words; of several numbers, after the name of its column, which stays as it is."""
    column, _, score = name.rpartition(".")
    words = score.replace("_", " ")
    return f"{column}: {words}" if column else words


def run_folder(table: str, name: str | None, runs: Path, *, overwrite: bool, resume: bool) -> Path:
    """The folder of a new run, or of one that is resumed, by --name, --runs, --overwrite and --resume."""
    name = Path(table).resolve().stem if name is None else name
    if Path(name).name != name:
        raise ValueError(f"--name must be the name of a folder, without slashes. Received: --name {name}")
    folder = runs / name
    if resume and overwrite:
        raise ValueError("A run is resumed, or replaced, but not both. Received: --resume --overwrite")
    going_on = resume and (folder / "state").is_dir()
    if folder.exists() and not overwrite and not going_on and (not folder.is_dir() or any(folder.iterdir())):
        state = ", and has no state to resume" if resume else ""
        raise FileExistsError(
            f"{folder} is there already{state}; choose another --name, or replace it with --overwrite."
        )
    return folder


TableFile = Annotated[str, typer.Argument(metavar="TABLE", help="A csv, tsv, jsonl or parquet file, or a folder.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run, such as runs/NAME.")]
Image = Annotated[
    list[str] | None,
    typer.Option("--image", metavar="COLUMN", help="Column of picture paths. Repeat it for more inputs."),
]
Caption = Annotated[
    list[str] | None,
    typer.Option("--caption", metavar="COLUMN", help="Column of texts. Repeat it for more inputs."),
]
Missing = Annotated[
    BlankWord,
    typer.Option("--missing", help="Refuse empty picture and caption cells, or tell the model that they are blank."),
]
Number = Annotated[
    list[str] | None,
    typer.Option("--number", metavar="COLUMN", help="Column of numbers. Repeat it for more; all are one input."),
]
NumberMissing = Annotated[
    MissingWord,
    typer.Option("--number-missing", help="Refuse empty number cells, or read them as the mean of the training rows."),
]
Label = Annotated[
    list[str],
    typer.Option("--label", metavar="COLUMN", help="Column to predict. Repeat it for more numbers or 0/1 labels."),
]
Target = Annotated[
    TargetWord,
    typer.Option("--target", help="Predict one class a row, a number, or any number of labels."),
]
Separator = Annotated[
    str | None,
    typer.Option("--separator", metavar="TEXT", help="What stands between the labels of a cell, such as '|'."),
]
Directory = Annotated[
    str | None,
    typer.Option("--directory", metavar="DIR", help="Where relative picture paths start. Default: the table's folder."),
]
Split = Annotated[
    str | None,
    typer.Option("--split", metavar="COLUMN", help="Column that says train, val or test. Default: a random split."),
]
PartColumn = Annotated[
    str | None, typer.Option("--split", metavar="COLUMN", help="Column that names each row's part, in any words.")
]
ScoredSplit = Annotated[
    str | None, typer.Option("--split", metavar="COLUMN", help="Score only the rows that this column calls test.")
]
SplitNames = Annotated[
    str | None,
    typer.Option("--split-names", metavar="WORDS", help="The three words of --split, if they are not train,val,test."),
]
Shares = Annotated[
    str,
    typer.Option("--fractions", metavar="SHARES", help="Training, validation and test shares of a random split."),
]
Group = Annotated[
    str | None,
    typer.Option("--group", metavar="COLUMN", help="Rows equal in this column stay together in a random split."),
]
ImageSize = Annotated[
    str, typer.Option("--image-size", metavar="HxW", help="Height and width that pictures are brought to, in pixels.")
]
TextMode = Annotated[
    TextWord, typer.Option("--text", help="Read captions as n-grams, best for few rows, or as tokens in order.")
]
Augment = Annotated[
    AugmentWord,
    typer.Option(
        "--augment", help="How much training changes pictures at random. Both default and strong mirror them."
    ),
]
Fusion = Annotated[FusionWord, typer.Option("--fusion", help="How the inputs are joined.")]
Positive = Annotated[
    str | None,
    typer.Option(
        "--positive",
        metavar="CLASS",
        help="For --fusion match: the class whose rows belong together. Default: training finds it.",
    ),
]
Epochs = Annotated[
    int | None,
    typer.Option("--epochs", min=1, metavar="N", help="Most passes over the training rows. Default: by their number."),
]
BatchSize = Annotated[int, typer.Option("--batch-size", min=1, metavar="N", help="Rows of a batch.")]
Seed = Annotated[
    int,
    typer.Option(
        "--seed", min=0, max=2**32 - 1, metavar="N", help="Fixes split, order, augmentation and first weights."
    ),
]
Ablate = Annotated[bool, typer.Option("--ablate", help="Also train a model on each input alone.")]
Name = Annotated[str | None, typer.Option("--name", metavar="NAME", help="Name of the run. Default: the table's name.")]
Runs = Annotated[Path, typer.Option("--runs", metavar="DIR", help="Folder of all runs.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run of this name.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Save states on the way; the same command later resumes from them.")
]
Cache = Annotated[
    str | None,
    typer.Option("--cache", metavar="DIR", help="Keep decoded pictures and ids here for later epochs and runs."),
]
FilledCache = Annotated[
    str, typer.Option("--cache", metavar="DIR", help="The directory to fill; give `train` the same one.")
]
CacheLimit = Annotated[
    str | None,
    typer.Option("--cache-limit", metavar="SIZE", help="Most that the cache may take on disk, such as 20GB."),
]
Threads = Annotated[
    int | None,
    typer.Option("--threads", min=1, metavar="N", help="Threads that read and decode. Default: one a core."),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option("--ignore", metavar="KIND", help="A kind of finding that is fine here. Repeat it for more."),
]
AuditFolder = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Folder of the results. Default: runs/NAME-audit."),
]
CleanTable = Annotated[
    Path | None,
    typer.Option("--drop", metavar="TABLE_OUT", help="Write the table without unusable rows to this file."),
]
OnError = Annotated[
    OnErrorWord,
    typer.Option("--on-error", help="Stop where a row cannot be loaded, or leave such rows out and list them."),
]
MaxErrorRate = Annotated[
    float,
    typer.Option("--max-error-rate", min=0, max=1, metavar="SHARE", help="Most rows that --on-error skip leaves out."),
]
GroupColumn = Annotated[
    str | None,
    typer.Option(
        "--group-column",
        metavar="NAME",
        help="Add this column to --drop's table: duplicates share a number there, for `train --group`.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
PredictionFile = Annotated[Path, typer.Option("--out", metavar="FILE", help="A .csv, .parquet or .jsonl file.")]
PictureFile = Annotated[Path, typer.Option("--out", metavar="FILE", help="A .png, .svg or .pdf file.")]
