"""The arguments that commands share: what each is called, what its help says, and how its words are read."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

_UNITS = {"kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}


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


def run_folder(table: str, name: str | None, runs: Path, *, overwrite: bool, resume: bool) -> Path:
    """The folder of a new run, or of one to be gone on with, by --name, --runs, --overwrite and --resume."""
    name = Path(table).resolve().stem if name is None else name
    if Path(name).name != name:
        raise ValueError(f"--name must be the name of a folder, without slashes. Received: --name {name}")
    folder = runs / name
    if resume and overwrite:
        raise ValueError("A run is gone on with, or replaced. Received: --resume --overwrite")
    going_on = resume and (folder / "state").is_dir()
    if folder.exists() and not overwrite and not going_on and (not folder.is_dir() or any(folder.iterdir())):
        state = ", and has no state to go on with" if resume else ""
        raise FileExistsError(
            f"{folder} is there already{state}; choose another --name, or replace it with --overwrite."
        )
    return folder


TableFile = Annotated[str, typer.Argument(metavar="TABLE", help="A csv, tsv, jsonl or parquet file, or a folder.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run, as in runs/NAME.")]
Image = Annotated[str | None, typer.Option(metavar="COLUMN", help="Column of picture paths.")]
Caption = Annotated[str | None, typer.Option(metavar="COLUMN", help="Column of captions.")]
Missing = Annotated[BlankWord, typer.Option(help="What a missing picture or caption is.")]
Number = Annotated[list[str] | None, typer.Option(metavar="COLUMN", help="Column of numbers; may be repeated.")]
NumberMissing = Annotated[MissingWord, typer.Option(help="What a missing number is.")]
Label = Annotated[str, typer.Option(metavar="COLUMN", help="Column of the class.")]
Directory = Annotated[
    str | None, typer.Option(metavar="DIR", help="Where relative picture paths start; by default the table's folder.")
]
Split = Annotated[str | None, typer.Option(metavar="COLUMN", help="Column that says train, val or test.")]
SplitNames = Annotated[
    str | None, typer.Option(metavar="WORDS", help="Its words, where they are others, as in fit,check,final.")
]
Shares = Annotated[str, typer.Option(metavar="SHARES", help="Training, validation, test, without --split.")]
Group = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Rows equal here stay together in a split at random.")
]
ImageSize = Annotated[str, typer.Option(metavar="HxW", help="Height and width that pictures are brought to.")]
TextMode = Annotated[TextWord, typer.Option(help="What captions become.")]
BatchSize = Annotated[int, typer.Option(min=1, metavar="N", help="Rows of a batch.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, metavar="N", help="Fixes everything random.")]
Cache = Annotated[
    str | None, typer.Option(metavar="DIR", help="Keep decoded pictures and ids here, for later epochs and runs.")
]
CacheLimit = Annotated[str | None, typer.Option(metavar="SIZE", help="Most that it may take on disk, as in 20GB.")]
Threads = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Threads that read and decode; by default one a core.")
]
Ignore = Annotated[
    list[str] | None, typer.Option(metavar="KIND", help="A kind that is no problem here; may be repeated.")
]
AuditFolder = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder of the results; by default runs/NAME-audit.")
]
CleanTable = Annotated[
    Path | None, typer.Option(metavar="TABLE_OUT", help="Write the table without unusable rows here.")
]
OnError = Annotated[
    OnErrorWord, typer.Option(help="Stop if a row cannot be loaded, or leave such rows out and list them.")
]
MaxErrorRate = Annotated[
    float, typer.Option(min=0, max=1, metavar="SHARE", help="Most of all rows that --on-error skip may leave out.")
]
GroupColumn = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="A column of --drop's table: the same for duplicates, for `train --group`."),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Save states on the way, and go on with those of a run that was broken off.")
]
