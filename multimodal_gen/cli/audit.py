"""What `multimodal-gen audit` does after its arguments are read: loaders that tolerate bad rows,
and the files.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from multimodal_gen.cli.audit_steps import AuditSteps
from multimodal_gen.cli.bad_rows import plain_message
from multimodal_gen.cli.columns import check_named_columns
from multimodal_gen.cli.data import items_in, named_inputs, picture_folder
from multimodal_gen.cli.given_table import read_given, rows_in_words
from multimodal_gen.cli.inference import with_inputs
from multimodal_gen.cli.label_checks import check_separator, check_text_labels
from multimodal_gen.cli.option_values import check_not_read
from multimodal_gen.cli.parts import split_column
from multimodal_gen.cli.predicted import check_predictions, read_predictions
from multimodal_gen.cli.reporter import Reporter
from multimodal_gen.cli.settings import DataSettings
from multimodal_gen.cli.target_choice import make_target
from multimodal_gen.cli.unlabelled import unlabelled
from multimodal_gen.errors import counted
from multimodal_gen.inspection.audit.clusters import Parts
from multimodal_gen.inspection.audit.parts import parts_of
from multimodal_gen.inspection.audit.report import Audit
from multimodal_gen.inspection.audit.writing import SUFFIXES, CleanTable
from multimodal_gen.loaders import Loader, NumericTarget
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.rows.cells import cell_text, is_blank
from multimodal_gen.rows.chunks import cells_of_series


def audit_from_settings(
    settings: DataSettings,
    out: Path,
    drop: Path | None,
    group_column: str | None,
    ignore: Sequence[str],
    threads: int | None,
    reporter: Reporter,
    predictions: Path | None = None,
    *,
    deep: bool = False,
) -> Audit:
    """Audit a table and write `problems.csv` and `audit.html` into a folder.

    Args:
        settings: The table and columns; of the other settings, only `image_size` and `text` are
            used.
        out: The folder; a stopped audit resumes from its `state.bin`.
        drop: Where to write the clean table, or None.
        group_column: A column to add to that table: a number shared by rows with the same or
            similar content; or None.
        ignore: Kinds that are not problems.
        threads: Threads that read; by default one per core, up to 8.
        reporter: Gets the reports.
        predictions: A file of class probabilities, by models that were not trained on their rows,
            or None.
        deep: Whether to train models that find wrong labels, and captions of other pictures.
    """
    _check_files(settings, out, drop, group_column, predictions)
    # After the check of file names, because reading a table may take minutes.
    table = read_given(settings.table)
    settings = replace(settings, split=split_column(settings, table, reporter))
    if group_column in table.columns:
        raise ValueError(
            f"The table already has this column. Received: --group-column {group_column}"
        )
    parts = _say_parts(settings, table, reporter)
    clean = None
    if drop is not None:
        clean = CleanTable(Path(settings.table), _without_invented(settings, table), drop)
    train = table[parts.codes == 0]
    settings = _with_inputs(settings, train, table, reporter)
    inputs = named_inputs(replace(settings, augment="none"), train)
    target = None
    # Labels are optional, so that tables to predict on can be audited too.
    if all(name in table.columns for name in settings.label):
        target = _target(settings, train, reporter)
    encoders = _encoders(settings, train)
    shares = None
    if predictions is not None:
        shares = read_predictions(predictions, table)
        check_predictions(predictions, shares, table, target)
    out.mkdir(parents=True, exist_ok=True)
    work = AuditSteps(
        settings, table, inputs, target, ignore, out / "state.bin", threads, reporter, encoders
    )
    report = work.finish(shares, deep=deep)
    report = _in_plain_words(report)
    report.write_problems(out / "problems.csv")
    report.write_page(out / "audit.html")
    reporter.say(f"Wrote {out / 'problems.csv'} and {out / 'audit.html'}.")
    if clean is not None:
        _write_clean(clean, report, settings, group_column, reporter)
    return report


def _encoders(settings: DataSettings, train: pd.DataFrame) -> dict[str, Loader]:
    if settings.image_encoder is None and settings.text_encoder is None:
        return {}
    # Not above, as it imports Keras.
    from multimodal_gen.cli.audit_vectors import encoders_of

    return encoders_of(settings, train)


def _without_invented(settings: DataSettings, table: pd.DataFrame) -> pd.DataFrame:
    # A folder without captions has a column of empty ones, which a csv file cannot hold. Where
    # metadata names the pictures, the columns are its own.
    folder = Path(settings.table)
    invented = "caption" in table and "caption" not in settings.caption and folder.is_dir()
    if not invented or any(folder.rglob("metadata.*")) or (table["caption"] != "").any():
        return table
    return table.drop(columns="caption")


def _in_plain_words(report: Audit) -> Audit:
    # Without the lines of Python in messages, in both files.
    messages = [plain_message(one) for one in report.problems["message"].tolist()]
    findings = [one._replace(message=plain_message(one.message)) for one in report.view.findings]
    return replace(
        report,
        problems=report.problems.assign(message=messages),
        view=replace(report.view, findings=findings),
    )


def _check_files(
    settings: DataSettings,
    out: Path,
    drop: Path | None,
    group_column: str | None,
    predictions: Path | None,
) -> None:
    if drop is not None and drop.suffix.lower() not in SUFFIXES:
        raise ValueError(
            f"--drop must end in one of {', '.join(SUFFIXES)}. Received: --drop {drop}"
        )
    if group_column is not None and drop is None:
        raise ValueError(
            "--group-column needs --drop, because it is added to that table. Received: "
            f"--group-column {group_column}"
        )
    for option, file in (("--drop", drop), ("--out", out / "problems.csv")):
        if file is not None:
            check_not_read(option, file, settings.table)
        if file is None or predictions is None or not (file.exists() and predictions.exists()):
            continue
        if file.samefile(predictions):
            raise ValueError(
                f"{option} is the file of --predictions; choose another name. Received: {option} "
                f"{file}"
            )


def _say_parts(settings: DataSettings, table: pd.DataFrame, reporter: Reporter) -> Parts:
    # Says how many rows each part has, and that labels are left out if they have no column.
    check_named_columns(table, settings, label=False)
    _, parts = parts_of(table, settings.split)
    counts = np.bincount(parts.codes, minlength=len(parts.names)).tolist()
    sizes = ", ".join(f"{n:,} {name}" for n, name in zip(counts, parts.names, strict=True))
    reporter.say(f"{settings.table}: {rows_in_words(table)} ({sizes})")
    absent = next((name for name in settings.label if name not in table.columns), None)
    if absent is not None:
        reporter.say(f"  there is no column {absent!r}, so labels are not audited")
    return parts


def _write_clean(
    clean: CleanTable,
    report: Audit,
    settings: DataSettings,
    group_column: str | None,
    reporter: Reporter,
) -> None:
    kept = ~report.dropped.to_numpy()
    groups = None if group_column is None else report.duplicates.rename(group_column)
    clean.write(kept, groups)
    file = clean.path
    reporter.say(
        f"Wrote {counted(int(kept.sum()), 'row')} to {file}, without {int((~kept).sum()):,}."
    )
    folder = picture_folder(settings)
    elsewhere = Path(folder).resolve() != file.resolve().parent
    if elsewhere and _has_relative_paths(clean.table, settings):
        reporter.say(f"  relative paths in it are relative to {folder}: use --directory {folder}")


def _has_relative_paths(table: pd.DataFrame, settings: DataSettings) -> bool:
    columns = [table[name] for name in settings.image]
    columns += [items_in(table[name], "images", settings) for name in settings.images]
    return any(
        isinstance(cell, str) and not os.path.isabs(cell) and "://" not in cell
        for column in columns
        for cell in cells_of_series(column)
    )


def _with_inputs(
    settings: DataSettings, train: pd.DataFrame, table: pd.DataFrame, reporter: Reporter
) -> DataSettings:
    # Gaps in a column that was found, not named, are no problem.
    found = with_inputs(settings, train, table, reporter)
    gaps = set(found.gaps or ())
    blank = (*found.image, *found.images, *found.caption, *found.captions)
    return replace(
        found,
        missing="blank" if gaps & {*blank} else found.missing,
        number_missing="flag" if gaps & {*found.number, *found.date} else found.number_missing,
    )


def _target(settings: DataSettings, train: pd.DataFrame, reporter: Reporter) -> Target | None:
    # From the rows with a target; the audit reports rows without one or with one that cannot be
    # read.
    if settings.target == "number":
        return NumericTarget(settings.label[0] if len(settings.label) == 1 else settings.label)
    if settings.target == "labels":
        if len(settings.label) == 1:
            check_text_labels(train, settings)
        if settings.separator is not None:
            for note in check_separator(train, settings):
                reporter.say(f"note: {note}")
        there = np.ones(len(train), bool)
        there[[place for place, _ in unlabelled(train, settings)]] = False
        there &= ~train[list(settings.label)].isna().any(axis=1).to_numpy()
        # If there are none, this raises the same error as training.
        return make_target(settings, train[there] if there.any() else train)
    (label,) = settings.label
    # Cells without a class, or with a list, are for the audit to report.
    cells = cells_of_series(train[label])
    usable = [not (is_blank(cell) or pd.api.types.is_list_like(cell)) for cell in cells]
    rows = train[np.array(usable, bool)]
    names = set(map(cell_text, cells_of_series(rows[label])))
    if len(names) == 1:
        reporter.say(f"  column {label!r} holds only {names.pop()!r}, so labels are not audited")
        return None
    return make_target(settings, rows)
