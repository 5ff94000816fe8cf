"""What `evaluate` and `predict` of the command line do once their arguments are read and the bundle is open."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from multimodal_gen.bundle import Bundle
from multimodal_gen.errors import LoadError
from multimodal_gen.preparation import Reporter, given_parts, lost_all


def scores_of(
    bundle: Bundle,
    rows: pd.DataFrame,
    split: str | None,
    split_names: tuple[str, ...] | None,
    on_error: str,
    folder: str,
) -> dict[str, float]:
    """The scores of a bundle on rows that are test in a column, or on all; "rows" counts those that are scored.

    Args:
        bundle: The bundle.
        rows: The table.
        split: The column, or None.
        split_names: Its words for training, validation and test, if they are not the usual ones.
        on_error: "raise", or "skip" to score the rows that can be loaded.
        folder: Where relative paths start, for errors.
    """
    if split is not None:
        rows = given_parts(rows, split, split_names).test
    try:
        scores = bundle.evaluate(rows, on_error=on_error)
    except LoadError as error:
        raise lost_all(error, len(rows), folder) if on_error == "skip" else error from None
    return {"rows": len(rows) - int(scores.get("left_out", 0)), **scores}


def predict_to_file(bundle: Bundle, rows: pd.DataFrame, out: Path, folder: str, reporter: Reporter) -> bool:
    """Predict every row into a file, in its order, with the index in the first column.

    Args:
        bundle: The bundle.
        rows: The table.
        out: A .csv, .jsonl or .parquet file.
        folder: Where relative paths start, for errors.
        reporter: Who is told.

    Returns:
        Whether at least half of the rows have a prediction; where not, a folder may be the wrong one.
    """
    try:
        predictions = bundle.predict(rows)
    except LoadError as error:
        # It is one only where no row could be loaded.
        raise lost_all(error, len(rows), folder) from None
    lost = int(predictions.iloc[:, 0].isna().sum())
    frame = with_index(predictions)
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".csv":
        frame.to_csv(out, index=False)
    elif out.suffix == ".jsonl":
        frame.to_json(out, orient="records", lines=True, force_ascii=False)
    else:
        frame.to_parquet(out, index=False)
    without = f", and {lost:,} rows without one" if lost else ""
    reporter.say(f"Wrote {len(rows) - lost:,} predictions to {out}{without}.")
    if lost <= len(rows) / 2:
        return True
    reporter.say(f"Most rows have none: is --directory {folder} the folder where their paths start?")
    return False


def with_index(predictions: pd.DataFrame) -> pd.DataFrame:
    """Predictions with the table's index as their first column, for files that keep no index."""
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
