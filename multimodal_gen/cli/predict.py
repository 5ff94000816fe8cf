"""What `evaluate` and `predict` do after their arguments are read and the bundle is loaded."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.bundle.bundle import Bundle
from multimodal_gen.bundle.judging.scores import Scores
from multimodal_gen.bundle.judging.sets import beside
from multimodal_gen.cli.bad_rows import check_rows, lost_all, plain_error, plain_reason, unscored
from multimodal_gen.cli.parts import given_parts
from multimodal_gen.cli.reporter import Reporter
from multimodal_gen.cli.sureness import More
from multimodal_gen.errors import LoadError, TableError, counted
from multimodal_gen.loaders import Loader
from multimodal_gen.rows.cells import cell_text, column_texts, is_missing
from multimodal_gen.rows.table import check_columns

# Separators of labels and of classes of a set in a csv file; the first that no name contains is
# used. The last is a control character, which is unlikely in a name.
_SEPARATORS = ("|", ";", ",", "/", "~", "\x1f")


def scores_of(
    bundle: Bundle,
    rows: pd.DataFrame,
    split: str | None,
    split_names: tuple[str, ...] | None,
    on_error: str,
    folder: str,
    group: str | None = None,
) -> tuple[dict[str, float], Scores]:
    """The scores of a bundle on all rows, or on the test rows of a column; "rows" counts the scored
    rows. With them, their intervals.

    Args:
        bundle: The bundle.
        rows: The table.
        split: The column, or None.
        split_names: Its words for training, validation and test, if they are not the usual ones.
        on_error: "raise", or "skip" to score the rows that can be loaded.
        folder: The base folder of relative paths, in words, for errors.
        group: The column whose equal values are one case in the intervals, or None.
    """
    check_columns_of(bundle, rows)
    if group is not None:
        check_columns(rows, [group])
    rows = scored_rows(rows, split, split_names)
    if on_error == "raise":
        check_rows(bundle, rows, folder)
    try:
        scores = bundle.scores(rows, on_error=on_error, group=group)
    except LoadError as error:
        # With "skip" this happens only if no row could be loaded.
        if on_error == "skip":
            raise lost_all(plain_error(error), len(rows), folder) from None
        raise unscored(error) from None
    counts = {"left_out": scores.left_out} if on_error == "skip" else {}
    return {"rows": scores.rows, **scores.values, **counts}, scores


def scored_rows(
    rows: pd.DataFrame, split: str | None, split_names: tuple[str, ...] | None
) -> pd.DataFrame:
    """The rows that `evaluate` scores: the test rows of a column, or all without one."""
    return rows if split is None else given_parts(rows, split, split_names).test


def check_columns_of(bundle: Bundle, rows: pd.DataFrame) -> None:
    """Make sure that a table has the columns that a bundle's inputs read.

    Raises:
        TableError: If one is missing; it names the input and the column.
    """
    for name, loader in bundle.inputs.items():
        for column in [loader.column] if isinstance(loader.column, str) else loader.column:
            try:
                check_columns(rows, [column])
            except TableError as error:
                said, received, _ = str(error).partition("Received: column=")
                if not received:
                    raise
                raise TableError(
                    f"The input {name!r} of this run reads the column {column!r}. {said.strip()} "
                    f"Rename the column that holds it to {column!r}, or add one. Received: a table "
                    f"without {column!r}"
                ) from None


def predict_to_file(
    bundle: Bundle,
    rows: pd.DataFrame,
    out: Path,
    folder: str,
    reporter: Reporter,
    more: More | None = None,
) -> bool:
    """Predict every row into a file, in order: first the index, then the input columns and
    predictions.

    Args:
        bundle: The bundle.
        rows: The table.
        out: A .csv, .jsonl or .parquet file.
        folder: The base folder of relative paths, in words, for errors.
        reporter: Gets the reports.
        more: Columns to add, or None.

    Returns:
        Whether at least half of the rows have a prediction; if not, the folder may be wrong.
    """
    check_columns_of(bundle, rows)
    try:
        with warnings.catch_warnings():
            # The same is said below in the words of the command line.
            warnings.filterwarnings("ignore", r"[\d,]+ of [\d,]+ rows? .*no prediction; the column")
            predictions = bundle.predict(rows)
    except LoadError as error:
        # `predict` raises it only if no row could be loaded.
        raise lost_all(plain_error(error), len(rows), folder) from None
    loaded = predictions.iloc[:, 0].notna()
    lost = int((~loaded).sum())
    column = predictions.columns[-1]
    if lost:
        predictions[column] = [
            reason if is_missing(reason) else plain_reason(reason) for reason in predictions[column]
        ]
    added = more.columns(predictions) if more is not None else predictions.iloc[:, :0]
    # Why there is no prediction stays last.
    place = predictions.shape[1] - bool(lost)
    whole = beside(predictions.iloc[:, :place], added, predictions.iloc[:, place:])
    frame = with_inputs(with_index(whole), rows, bundle.inputs)
    said = ""
    if out.suffix == ".csv":
        frame, separator = with_joined_labels(frame, bundle.target)
        said = f" Lists are joined with {separator!r}." if separator is not None else ""
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".csv":
        frame.to_csv(out, index=False)
    elif out.suffix == ".jsonl":
        _write_lines(frame, out)
    else:
        frame.to_parquet(out, index=False)
    without = f", and {counted(lost, 'row')} without one" if lost else ""
    reporter.say(f"Wrote {counted(len(rows) - lost, 'prediction')} to {out}{without}.{said}")
    for line in more.in_words(added, loaded) if more is not None else ():
        reporter.say(line)
    if lost:
        first = predictions[column].dropna().iloc[0]
        reporter.say(f"note: column {column!r} says why there is none. The first: {first}")
    if lost <= len(rows) / 2:
        return True
    reporter.say(f"Most rows have no prediction: are their paths relative to --directory {folder}?")
    return False


def _write_lines(frame: pd.DataFrame, out: Path) -> None:
    # Not by pandas, whose JSON rounds to 10 decimals and would lose small probabilities.
    columns = []
    for place in range(frame.shape[1]):
        column = frame.iloc[:, place]
        # JSON has no dates, so they become text.
        cells = column_texts(column) if column.dtype.kind in "mM" else column.tolist()
        columns.append([None if is_missing(cell) else finite(cell) for cell in cells])
    names = list(map(str, frame.columns))
    with out.open("w", encoding="utf-8", newline="") as lines:
        for row in zip(*columns, strict=True):
            line = json.dumps(
                dict(zip(names, row, strict=True)), ensure_ascii=False, default=_as_json
            )
            lines.write(line + "\n")


def _as_json(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return finite(value.tolist())
    return cell_text(value)


def with_index(predictions: pd.DataFrame) -> pd.DataFrame:
    """Predictions with the table's index as their first column, for files that keep no index."""
    # The columns of raw outputs are numbers, and so may classes be.
    frame = predictions.rename(columns=str)
    frame.insert(0, "row" if "row" not in frame else "row_index", frame.index)
    return frame


def finite(value: Any) -> Any:
    """Values as JSON can hold them: None for numbers that are not finite."""
    if isinstance(value, dict):
        return {name: finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def with_inputs(
    frame: pd.DataFrame, table: pd.DataFrame, inputs: Mapping[str, Loader]
) -> pd.DataFrame:
    """Predictions with the columns of the inputs inserted after the first column.

    Lists of texts are written as JSON. Columns of other cells that are not single values, such as
    the bytes of pictures, are left out. A column whose name is taken is called "input_{name}".

    Args:
        frame: The result of `with_index`.
        table: The predicted rows.
        inputs: Input name -> loader of the bundle that predicted them.
    """
    columns = [
        (one.column,) if isinstance(one.column, str) else one.column for one in inputs.values()
    ]
    place = 1
    for column in dict.fromkeys(chain.from_iterable(columns)):
        name = column if column not in frame else f"input_{column}"
        cells = _writable(table[column])
        if cells is not None and name not in frame:
            frame.insert(place, name, cells)
            place += 1
    return frame


def _one_text(cell: Any) -> Any:
    # A list of texts as one text, which loaders of several items read again. Vectors are no texts.
    if isinstance(cell, list | tuple | np.ndarray | pd.api.extensions.ExtensionArray):
        items = list(cell)
        if all(isinstance(item, str) for item in items):
            return json.dumps(items, ensure_ascii=False)
    return cell


def _writable(column: pd.Series) -> Any:
    # Returns cells that every kind of file can hold, or None.
    if column.dtype.kind in "iufbmM":
        return column.to_numpy()
    try:
        texts = column_texts(column)
    except TypeError:
        try:
            texts = column_texts(pd.Series(list(map(_one_text, column.tolist())), dtype=object))
        except TypeError:
            return None
    # Lone surrogates, as in names of files in another encoding, have no UTF-8.
    return [
        text if text is None else text.encode("utf-8", "backslashreplace").decode("utf-8")
        for text in texts
    ]


def with_joined_labels(frame: pd.DataFrame, target: Any) -> tuple[pd.DataFrame, str | None]:
    """Predictions with lists of labels as texts, which a csv file can hold and a target can read.

    Args:
        frame: The result of `with_index` for a bundle's predictions.
        target: The bundle's target, or mapping of targets.

    Returns:
        The table, and a separator that no class contains, or None if there are no lists.
    """
    targets = list(target.values()) if isinstance(target, Mapping) else [target]
    lists = [name for name in frame if any(isinstance(cell, list) for cell in frame[name])]
    if not lists:
        return frame, None
    names = [cell_text(name) for one in targets if one is not None for name in one.class_names]
    separator = next(
        (one for one in _SEPARATORS if not any(one in name for name in names)), _SEPARATORS[-1]
    )
    for column in lists:
        cells = [
            separator.join(map(cell_text, cell)) if isinstance(cell, list) else None
            for cell in frame[column]
        ]
        frame[column] = pd.Series(cells, frame.index, dtype=object)
    return frame, separator
