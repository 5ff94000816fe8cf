"""Read every cell of a run once before training, so that all bad cells are known at the start."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from multimodal_gen.batch.failures import leave_out
from multimodal_gen.cli.bad_rows import lost_all, plain_error, plain_reason
from multimodal_gen.cli.data import picture_folder
from multimodal_gen.cli.parts import Parts
from multimodal_gen.cli.reporter import Reporter
from multimodal_gen.cli.settings import RunSettings
from multimodal_gen.errors import LoadError, by_number
from multimodal_gen.loaders import Loader
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.rows.cells import is_missing
from multimodal_gen.sequence.sequence import MultimodalSequence

# After this many seconds the reading of a picture is given up, because a run may go on unattended
# overnight.
READ_TIMEOUT = 300.0


def readable_parts(
    settings: RunSettings,
    parts: Parts,
    inputs: dict[str, Loader],
    target: Target,
    reporter: Reporter,
    unlabelled: Sequence[pd.DataFrame] = (),
) -> Parts:
    """Read every cell once, now and not when the test part is read, perhaps a quarter of an hour
    later.

    Args:
        settings: The settings.
        parts: The rows.
        inputs: The inputs.
        target: The target.
        reporter: Gets the reports.
        unlabelled: Rows that were left out before, as they have no label.

    Returns:
        The parts, without rows that cannot be read if --on-error is skip, which are then listed in
        `failures.csv`; the same object if there are none.

    Raises:
        LoadError: If there are such rows, and they may not be left out.
    """
    started = time.perf_counter()
    train_data = MultimodalSequence(
        parts.train,
        inputs,
        target,
        batch_size=64,
        cache=settings.cache,
        cache_limit=settings.cache_limit,
        # Reads every row even if others are bad, so that all bad ones are reported together.
        on_error="blank",
        max_error_rate=1.0,
        read_timeout=READ_TIMEOUT,
    )
    sequences = [train_data.for_evaluation(part) for part in parts]
    reporter.begin("reading", sum(map(len, sequences)))
    for sequence in sequences:
        for _ in sequence:
            reporter.advance()
    reporter.end()
    rows, seconds = sum(map(len, parts)), time.perf_counter() - started
    failures = pd.concat(
        [sequence.failures.drop(columns="epoch") for sequence in sequences]
    ).sort_values("index")
    if failures.empty:
        reporter.say(f"Every cell of the {rows:,} rows can be read ({seconds:.1f} s).")
        if unlabelled:
            _list_failures(settings, pd.concat(unlabelled))
        return parts
    failures = pd.concat([*unlabelled, failures]).sort_values("index", kind="stable")
    rows += sum(map(len, unlabelled))
    lost, first = failures["index"].nunique(), failures.to_dict("records")[0]
    if lost == rows:
        error = LoadError(
            first["error"], index=first["index"], column=first["column"], path=first["path"]
        )
        raise lost_all(plain_error(error), rows, picture_folder(settings))
    if settings.on_error == "raise" or lost > settings.max_error_rate * rows:
        raise _refused(first, lost, rows, parts, settings)
    _list_failures(settings, failures)
    before = sum(map(len, unlabelled))
    more = ("", "") if not before else (" other", f", which lists all {lost:,}")
    reporter.say(
        f"{lost - before:,} of {rows - before:,}{more[0]} rows cannot be loaded and "
        f"{by_number(lost - before, 'is', 'are')} left out: see failures.csv{more[1]} "
        f"({seconds:.1f} s)."
    )
    return Parts(
        *(leave_out(part, one.failures) for part, one in zip(parts, sequences, strict=True))
    )


def _refused(
    first: dict[Any, Any], lost: int, rows: int, parts: Parts, settings: RunSettings
) -> LoadError:
    others = f"{lost - 1:,} more of the {rows:,} rows cannot be loaded. " if lost > 1 else ""
    if settings.on_error == "raise":
        others += f"Fix {by_number(lost, 'it', 'them')}, or leave "
        others += f"{by_number(lost, 'it', 'them')} out with --on-error skip"
    else:
        others += (
            f"That is more than the allowed share of {settings.max_error_rate:g}: fix them, or "
            "raise --max-error-rate"
        )
    reason, received, rest = plain_reason(first["error"]).partition("Received: ")
    reason = (
        f"{reason.rstrip(' .')}. {_marked(first, parts, settings)}{others}; `multimodal-gen "
        f"audit` finds all problems. {received}{rest}".strip()
    )
    return LoadError(reason, index=first["index"], column=first["column"], path=first["path"])


def _list_failures(settings: RunSettings, failures: pd.DataFrame) -> None:
    folder = Path(settings.folder)
    folder.mkdir(parents=True, exist_ok=True)
    # Paths may hold bytes that are not UTF-8; they are written as they are.
    failures.to_csv(folder / "failures.csv", index=False, errors="surrogateescape")


def _marked(bad: dict[Any, Any], parts: Parts, settings: RunSettings) -> str:
    # How to keep a row that lacks a value, if its cell does; or how its cell is split.
    column, option = bad["column"], ""
    if "outside this loader's directory" in bad["error"]:
        return "Its real place must be in --directory, which is now " + (
            f"{picture_folder(settings)!r}. "
        )
    if "the cell is a URL" in bad["error"]:
        return f"URLs are opened with --directory {str(bad['path']).partition('://')[0]}://. "
    if column in (*settings.images, *settings.captions) and "expected a list" in bad["error"]:
        return "If its items are joined by a separator, name it with --item-separator. "
    if column in (*settings.image, *settings.images, *settings.caption, *settings.captions):
        option = "--missing blank"
    elif column in (*settings.number, *settings.date) or isinstance(column, tuple):
        option = "--number-missing mean"
    columns = list(settings.number) if isinstance(column, tuple) else [column]
    cells = [
        cell
        for part in parts
        if option and bad["index"] in part.index
        for cell in part.loc[bad["index"], columns].tolist()
    ]
    if not any(map(is_missing, cells)):
        return ""
    return f"Missing cells are allowed with {option}. "
