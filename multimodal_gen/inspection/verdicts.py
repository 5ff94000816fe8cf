"""Compare the predictions for a table with the truth, in words, and find the worst rows. Nothing
here draws.

The target decides what is right (`Target.judge`); this file decides how to show it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.inspection.layout import GREEN, GREY, INK, RED
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.loaders.targets.judgement import Judgement
from multimodal_gen.rows.table import cells_of

_Words = list[tuple[str, str, str]]


@dataclass(frozen=True)
class Verdicts:
    """What to show for every row.

    Args:
        worst_first: `(rows,) int64`: the wrong rows by position, the most confident mistake or
            largest error first.
        title: Says how many are right, or how large errors are.
        kind: What the rows of `worst_first` are called.
        words: Position -> paragraphs: text, colour and weight.
    """

    worst_first: np.ndarray
    title: str
    kind: str
    words: Callable[[int], _Words]


def verdicts_on(target: Any, table: pd.DataFrame, predictions: pd.DataFrame) -> Verdicts:
    """Compare predictions with the truth.

    Args:
        target: A target that judges predictions, such as `ClassLabel`, `NumericTarget` or
            `MultiLabel`.
        table: The rows, with the target's column.
        predictions: The result of `Bundle.predict` for them.

    Raises:
        ValueError: If the target cannot judge, or the predictions do not belong to this table and
            target.
    """
    received = (
        f"{len(predictions)} predictions for {len(table)} rows, "
        f"columns={list(predictions.columns)[:5]}"
    )
    judgement = None
    if isinstance(target, Target):
        columns = list(target.decode_outputs(np.zeros((1, *target.output_shape), "float32")))
        refusal = ValueError(
            "`predictions` must be the result of Bundle.predict for the sequence's table: its "
            f"index and the columns {columns[:5]}. Received: {received}"
        )
        if not predictions.index.equals(table.index):
            raise refusal
        try:
            judgement = target.judge(cells_of(table, target.column), predictions)
        # The target looks up its own columns, so these predictions are from another target.
        except KeyError:
            raise refusal from None
    if judgement is None:
        raise ValueError(
            "`sequence` must have a target that judges predictions, such as ClassLabel, "
            f"NumericTarget or MultiLabel. Received: target={target!r}"
        )
    # Predicted numbers are never exactly right, so all rows are ranked by their error.
    wrong = np.ones(len(table), bool) if judgement.right is None else ~judgement.right
    kind = (
        "rows, the largest error first"
        if judgement.right is None
        else "wrong rows, the most confident first"
    )
    return Verdicts(
        _worst(wrong, judgement.badness), judgement.title, kind, lambda row: _words(judgement, row)
    )


def _words(judgement: Judgement, row: int) -> _Words:
    said = judgement.words(row)
    if judgement.right is None:
        return [*((one, INK, "bold") for one in said[:-1]), (said[-1], GREY, "normal")]
    if judgement.right[row]:
        return [(f"✓ {said[0]}", GREEN, "bold")]
    return [(f"✗ said {said[0]}", RED, "bold"), *((f"is {one}", INK, "bold") for one in said[1:])]


def _worst(wrong: np.ndarray, badness: np.ndarray) -> np.ndarray:
    rows = np.flatnonzero(wrong)
    # Rows without a known error or confidence come last.
    order: np.ndarray = rows[np.argsort(-np.nan_to_num(badness[rows], nan=-np.inf), kind="stable")]
    return order
