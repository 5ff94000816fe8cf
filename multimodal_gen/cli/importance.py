"""How `train` and `evaluate` measure, keep and print what inputs and columns are worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from rich.console import Console

from multimodal_gen.bundle.bundle import Bundle
from multimodal_gen.bundle.explaining.importance import Importance
from multimodal_gen.bundle.folds.result import CrossValidation
from multimodal_gen.cli.console import print_table
from multimodal_gen.cli.option_values import as_score, score_title
from multimodal_gen.cli.predict import scored_rows
from multimodal_gen.errors import counted
from multimodal_gen.rows.cells import shown_name

# Rows that are enough after training, so that it costs little of a large table.
_MOST_ROWS = 2000
# Inputs and columns of which a table is still read.
_MOST_LINES = 20


def importance_after_training(
    bundle: Bundle, test: pd.DataFrame, group: str | None, seed: int, *, repeats: int = 10
) -> dict[str, Any] | None:
    """What inputs and columns are worth on test rows, as `noted_importance` keeps it; None if there
    is only one.

    Args:
        bundle: The trained model.
        test: The test rows, of which up to 2,000 are drawn.
        group: The column whose equal values are one case, or None.
        seed: Seed of the rows.
        repeats: How often cells are exchanged; once is enough to see that it can be done.
    """
    if not _several_columns(bundle) or len(test) < 2:
        return None
    rows = _enough(test, seed)
    return noted_importance(bundle.importance(rows, repeats=repeats, group=group, seed=seed))


def importance_of_folds(
    result: CrossValidation,
    table: pd.DataFrame,
    group: str | None,
    seed: int,
    *,
    repeats: int = 10,
) -> dict[str, Any] | None:
    """The same on the rows of the folds, each predicted by the model of the other folds.

    Args:
        result: The finished cross-validation.
        table: The rows of the folds, of which up to 2,000 are drawn.
        group: The column whose equal values are one case, or None.
        seed: Seed of the rows.
        repeats: How often cells are exchanged.
    """
    rows = _enough(table, seed)
    folds = result.out_of_fold.iloc[:, 0].loc[rows.index]
    if not _several_columns(result.bundles[0]) or folds.value_counts().min() < 2:
        return None
    return noted_importance(result.importance(rows, repeats=repeats, group=group, seed=seed))


def _several_columns(bundle: Bundle) -> bool:
    columns = {
        column
        for one in bundle.inputs.values()
        for column in ([one.column] if isinstance(one.column, str) else one.column)
    }
    return len(columns) > 1


def _enough(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    return rows if len(rows) <= _MOST_ROWS else rows.sample(_MOST_ROWS, random_state=seed)


def importance_of(
    bundle: Bundle,
    rows: pd.DataFrame,
    split: str | None,
    split_names: tuple[str, ...] | None,
    on_error: str,
    group: str | None,
) -> dict[str, Any]:
    """What inputs and columns are worth on the rows that `evaluate` scores; its arguments are those
    of `predict.scores_of`, which has checked them.
    """
    rows = scored_rows(rows, split, split_names)
    return noted_importance(bundle.importance(rows, on_error=on_error, group=group))


def noted_importance(found: Importance) -> dict[str, Any]:
    """What `metrics.json` and `--json` keep of an importance.

    Args:
        found: The importance.

    Returns:
        "rows", "groups" and "repeats"; "main", the main scores; "scores", score -> for each input
        and column, the most important first, what is lost and its interval; and "by_class", for
        each input, column, class and score of it the same.
    """
    frame = found.to_frame()
    whole = frame["class"].isna()
    names = frame.loc[whole, "score"].unique().tolist()
    by_class = frame[~whole].drop(columns="value")
    by_class["class"] = [shown_name(one) for one in by_class["class"]]
    return {
        "rows": found.rows,
        "groups": found.groups,
        "repeats": found.repeats,
        "main": list(found.main),
        "scores": {name: found.of(name).to_dict("records") for name in names},
        "by_class": by_class.to_dict("records"),
    }


def print_importance(console: Console, found: Mapping[str, Any] | None, file: str) -> None:
    """Print what inputs and columns are worth, for each main score.

    Args:
        console: The output.
        found: As `noted_importance` returns it; nothing is printed of None.
        file: Where everything is.
    """
    if found is None:
        return
    for score in found["main"]:
        lines = found["scores"][score]
        title = f"Lost of the {score_title(score)} when cells are exchanged between rows"
        if len(lines) > _MOST_LINES:
            title += f": the first {_MOST_LINES} of {len(lines):,} lines ({file} has all)"
        rows = [
            (
                shown_name(one["input"]) if one["column"] is None else f"  {one['column']}",
                as_score(one["lost"]),
                _interval(one["low"], one["high"]),
            )
            for one in lines[:_MOST_LINES]
        ]
        print_table(console, title, ("input or column", "lost", "95 % interval"), rows, keep=True)
        names = list(_without_loss(lines))
        if names:
            console.print(
                f"No loss that {_rows_of(found)} can show: {', '.join(names)}",
                markup=False,
                highlight=False,
            )


def _interval(low: float, high: float) -> str:
    return "none" if low != low else f"{low:+z.3f} to {high:+z.3f}"


def _without_loss(lines: list[dict[str, Any]]) -> Iterator[str]:
    # Where nothing is lost of an input, neither is of its columns.
    inputs = {one["input"] for one in lines if one["column"] is None and _can_be_none(one)}
    for one in lines:
        if one["column"] is None and one["input"] in inputs:
            yield shown_name(one["input"])
        elif one["input"] not in inputs and _can_be_none(one):
            yield shown_name(one["column"])


def _can_be_none(line: Mapping[str, Any]) -> bool:
    return bool(line["low"] <= 0 <= line["high"])


def _rows_of(found: Mapping[str, Any]) -> str:
    if found["groups"] < found["rows"]:
        return counted(found["groups"], "group")
    return counted(found["rows"], "row")
