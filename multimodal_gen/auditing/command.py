"""What `multimodal-gen audit` does once its arguments are read: loaders that bad rows do not hinder, and the files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from multimodal_gen.auditing.gathering import audit
from multimodal_gen.auditing.parts import parts_of
from multimodal_gen.auditing.report import Audit
from multimodal_gen.loaders import ClassLabel, ImageLoader, Loader, NumericLoader, NumericTarget, TextLoader
from multimodal_gen.loaders.base import is_missing
from multimodal_gen.loaders.target import Target, plain_name, sorted_names
from multimodal_gen.preparation import Reporter, input_names, picture_folder
from multimodal_gen.settings import DataSettings
from multimodal_gen.table import check_columns, read_table
from multimodal_gen.target_choice import make_target

_SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")


def audit_from_settings(
    settings: DataSettings,
    out: Path,
    drop: Path | None,
    group_column: str | None,
    ignore: Sequence[str],
    threads: int | None,
    reporter: Reporter,
) -> Audit:
    """Audit a table and write `problems.csv` and `audit.html` into a folder.

    Args:
        settings: Which table and columns; of the rest only `image_size` and `text` count.
        out: The folder; `state.bin` in it is what a stopped audit goes on from.
        drop: Where to write the clean table, or None.
        group_column: A column of that table to be added: a number that rows with like content share; or None.
        ignore: Kinds that are no problems.
        threads: Threads that read; by default one a core.
        reporter: Who is told.
    """
    if drop is not None and drop.suffix.lower() not in _SUFFIXES:
        raise ValueError(f"--drop must end in one of {', '.join(_SUFFIXES)}. Received: --drop {drop}")
    if group_column is not None and drop is None:
        raise ValueError(f"--group-column needs --drop, whose table gets it. Received: --group-column {group_column}")
    table = read_table(settings.table)
    if group_column in table.columns:
        raise ValueError(f"The table has this column already. Received: --group-column {group_column}")
    with_labels = all(name in table.columns for name in settings.label)
    columns = [*settings.image, *settings.caption, *settings.number, settings.split]
    check_columns(table, [column for column in columns if column is not None])
    _, parts = parts_of(table, settings.split)
    sizes = ", ".join(f"{int((parts.codes == code).sum()):,} {name}" for code, name in enumerate(parts.names))
    reporter.say(f"{settings.table}: {len(table):,} rows ({sizes})")
    if not with_labels:
        absent = next(name for name in settings.label if name not in table.columns)
        reporter.say(f"  there is no column {absent!r}, so labels are left out")
    train = table[parts.codes == 0]
    inputs = _inputs(settings, train)
    target = _target(settings, train) if with_labels else None
    out.mkdir(parents=True, exist_ok=True)
    state = out / "state.bin"

    def progress(cells: int) -> None:
        for _ in range(cells):
            reporter.advance()

    reporter.begin("auditing", len(table) * (len(inputs) + with_labels))
    try:
        report = audit(
            table,
            inputs,
            target,
            split=settings.split,
            ignore=ignore,
            state=state,
            threads=threads,
            progress=progress,
        )
    except KeyboardInterrupt:
        reporter.end()
        reporter.say(f"What was read is kept in {state}; the same command goes on from there.")
        raise
    finally:
        reporter.end()
    report.write_problems(out / "problems.csv")
    report.write_page(out / "audit.html")
    reporter.say(f"Wrote {out / 'problems.csv'} and {out / 'audit.html'}.")
    if drop is not None:
        clean = report.clean(table)
        if group_column is not None:
            clean = clean.assign(**{group_column: report.duplicates.loc[clean.index]})
        write_table(clean, drop)
        reporter.say(f"Wrote {len(clean):,} rows to {drop}, without {len(table) - len(clean):,}.")
    return report


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table in a format that `read_table` reads back, by the ending of the path, without its index."""
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        table.to_parquet(path, index=False)
    elif suffix == ".jsonl":
        names = list(table.columns)
        with path.open("w", encoding="utf-8") as file:
            for row in zip(*(table[name].tolist() for name in names), strict=True):
                cells = {name: None if is_missing(cell) else cell for name, cell in zip(names, row, strict=True)}
                file.write(json.dumps(cells, default=_plain) + "\n")
    else:
        table.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",", encoding="utf-8")


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _inputs(settings: DataSettings, train: pd.DataFrame) -> dict[str, Loader]:
    names = input_names(settings)
    inputs: dict[str, Loader] = {}
    for column in settings.image:
        inputs[names["image", column]] = ImageLoader(
            column,
            directory=picture_folder(settings),
            image_size=settings.image_size,
            missing=settings.missing,
        )
    for column in settings.caption:
        texts = [cell for cell in train[column].tolist() if isinstance(cell, str)]
        inputs[names["caption", column]] = TextLoader.from_texts(
            column, texts, output_mode=settings.text, missing=settings.missing
        )
    if settings.number:
        columns = list(settings.number)
        numbers = train[columns].apply(pd.to_numeric, errors="coerce").dropna()
        inputs["number"] = NumericLoader.from_values(
            columns[0] if len(columns) == 1 else columns, numbers, missing=settings.number_missing
        )
    return inputs


def _target(settings: DataSettings, train: pd.DataFrame) -> Target:
    # Of the rows that have a target; the audit finds those that have none, or one that cannot be read.
    if settings.target == "number":
        return NumericTarget(settings.label[0] if len(settings.label) == 1 else settings.label)
    if settings.target == "labels":
        return make_target(settings, train[~train[list(settings.label)].isna().any(axis=1)])
    (label,) = settings.label
    names = {plain_name(cell) for cell in train[label].tolist() if not is_missing(cell)}
    return ClassLabel(label, sorted_names(names, label))
