"""Labels that are likely wrong, by the predictions of models that were not trained on their rows.

A row is ranked by the probability that such a model gives its label, as "self-confidence" in
Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels", 2021. A
label is reported if its probability is below a quarter of the label's share of the rows: then the
row's inputs speak against it, by Bayes' rule. `docs/audit.md` compares this with other rules.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.errors import TableError, by_number, shown
from multimodal_gen.inspection.audit.findings import Finding
from multimodal_gen.inspection.audit.reading import name_of
from multimodal_gen.loaders.targets.balance import classes_where_known
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.loaders.targets.known_classes import KnownClasses
from multimodal_gen.rows.cell_numbers import cell_number
from multimodal_gen.rows.cells import cell_text

# A label is unlikely if it is this many times as likely in a row drawn at random.
_TIMES = 4
# How far rounding may carry a probability out of [0, 1].
_TOLERANCE = 1e-3
# Classes that an error names.
_MOST_NAMES = 5
# The columns of a ranking.
COLUMNS = ("label", "probability", "likelier", "likelier_probability", "unlikely")


@dataclass(frozen=True)
class Suspects:
    """What predictions say about labels.

    Attributes:
        findings: The unlikely labels, the least likely first.
        notes: How many there are, and which classes are taken for which.
        ranking: As `Audit.ranked_labels`.
    """

    findings: list[Finding]
    notes: list[str]
    ranking: pd.DataFrame


def no_ranking(index: pd.Index) -> pd.DataFrame:
    """The ranking of an audit without predictions: no row."""
    return pd.DataFrame({name: [] for name in COLUMNS}, index=index[:0])


def probabilities_of(
    predictions: pd.DataFrame, rows: pd.DataFrame, target: Target | None
) -> np.ndarray:
    """Read the class probabilities of a table's rows.

    Args:
        predictions: As given to `audit`.
        rows: The table, with a unique index.
        target: The target.

    Returns:
        `(rows, classes) float64` in the order of the target's classes; NaN in rows without
            predictions.

    Raises:
        TypeError: If the predictions are not a DataFrame.
        ValueError: If the target does not have one class per row, or a number is not a probability.
        TableError: If a class has no column, or the index is not that of rows of the table.
    """
    if not isinstance(predictions, pd.DataFrame):
        raise TypeError(
            "`predictions` must be a DataFrame with a column of probabilities for each class. "
            f"Received: predictions={type(predictions).__name__}"
        )
    if target is None or not target.one_class:
        raise ValueError(
            "`predictions` show which classes are likely wrong, so they need a target with one "
            f"class per row, such as ClassLabel. Received: target={target!r}"
        )
    index = predictions.index
    strange = ~index.isin(rows.index)
    if strange.any() or not index.is_unique or not len(index):
        first = [*index[strange], *index[index.duplicated()], "no rows"][0]
        raise TableError(
            "`predictions` must have the index of the table, or of some of its rows, each once. "
            f"Received: index {first!r}"
        )
    found = predictions[_columns_of(predictions, target)]
    numbers = np.full((len(rows), len(target.class_names)), np.nan)
    own = np.column_stack([_numbers(found.iloc[:, place]) for place in range(found.shape[1])])
    if np.nanmin(own, initial=0) < -_TOLERANCE or np.nanmax(own, initial=0) > 1 + _TOLERANCE:
        row, column = np.argwhere((own < -_TOLERANCE) | (own > 1 + _TOLERANCE))[0]
        raise ValueError(
            "`predictions` must hold probabilities in [0, 1]. Received: "
            f"{own[row, column]:g} at index {index[[row]].tolist()[0]!r}, column "
            f"{found.columns[column]!r}"
        )
    numbers[rows.index.get_indexer(index)] = own
    return numbers


def unlikely_labels(rows: pd.DataFrame, target: Target, probabilities: np.ndarray) -> Suspects:
    """Rank labels by their probability, and find the unlikely ones.

    Args:
        rows: The table.
        target: The target, with one class per row.
        probabilities: From `probabilities_of`.
    """
    classes = classes_where_known(target, rows)
    places = np.flatnonzero((classes >= 0) & ~np.isnan(probabilities).any(axis=1))
    given, shares = classes[places], probabilities[places]
    own = shares[np.arange(len(places)), given]
    others = shares.copy()
    others[np.arange(len(places)), given] = -1
    likelier = others.argmax(axis=1)
    best = others.max(axis=1, initial=-1)
    usual = np.bincount(given, minlength=len(target.class_names)) / max(len(given), 1)
    unlikely = (own * _TIMES < usual[given]) & (best > own)
    order = np.argsort(own, kind="stable")
    names = np.empty(len(target.class_names), object)
    names[:] = target.class_names
    columns = (names[given], own, names[likelier], best, unlikely)
    ranking = pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)), index=rows.index.take(places))
    named = order[unlikely[order]]
    column = name_of(target)
    findings = [
        Finding(
            int(places[one]),
            column,
            "unlikely label",
            f"number {rank:,} of {len(named):,}: {names[given[one]]!r} here, but "
            f"{_share(own[one])} likely by models of other rows; {names[likelier[one]]!r} is "
            f"{_share(best[one])} likely",
        )
        for rank, one in enumerate(named, 1)
    ]
    pairs = Counter((given[one], likelier[one]) for one in named)
    notes = _notes(column, pairs, names, len(places), len(rows))
    return Suspects(findings, notes, ranking.iloc[order])


def _notes(
    column: str,
    pairs: Counter[tuple[int, int]],
    names: np.ndarray,
    judged: int,
    rows: int,
) -> list[str]:
    number = pairs.total()
    covered = "" if judged == rows else f", of {rows:,} in all"
    if not number:
        return [f"{column}: by the predictions, none of {judged:,} labels is unlikely{covered}"]
    (given, likelier), count = pairs.most_common(1)[0]
    return [
        f"{column}: by the predictions, {number:,} of {judged:,} labels "
        f"{by_number(number, 'is', 'are')} unlikely{covered}; most often {names[given]!r} where "
        f"{names[likelier]!r} is likelier ({count:,})"
    ]


def _columns_of(predictions: pd.DataFrame, target: Target) -> list[Any]:
    # A class that has the name of the predicted column has its probability in another one.
    decoded = list(target.decode_outputs(np.zeros((1, *target.output_shape), "float32")))
    first = decoded[0]
    wanted = [
        f"{first}_probability" if cell_text(name) == first else name for name in target.class_names
    ]
    # A file may have written the class 1.0 as "1.0" or as "1"; a column that no class can be called
    # belongs to something else.
    names = [
        name for name in predictions.columns if isinstance(name, str | int | float | np.generic)
    ]
    known = KnownClasses(names)
    places = [known.find(name) for name in wanted]
    missing = [cell_text(name) for name, place in zip(wanted, places, strict=True) if place is None]
    if missing:
        more = f" and {len(missing) - _MOST_NAMES:,} more" if len(missing) > _MOST_NAMES else ""
        raise TableError(
            "`predictions` must have a column of probabilities for each class, as the predictions "
            f"of a Bundle have. Received: columns={list(predictions.columns)[:_MOST_NAMES]}, "
            f"without {', '.join(map(repr, missing[:_MOST_NAMES]))}{more}"
        )
    return [names[place] for place in places if place is not None]


def _numbers(column: pd.Series) -> np.ndarray:
    if column.dtype.kind in "fiu":
        return column.to_numpy("float64")
    found = np.empty(len(column))
    for row, cell in enumerate(column.tolist()):
        try:
            found[row] = cell_number(cell)
        except ValueError:
            raise ValueError(
                "`predictions` must hold probabilities in [0, 1]. Received: "
                f"{shown(cell)} at index {column.index[[row]].tolist()[0]!r}, column "
                f"{column.name!r}"
            ) from None
    return found


def _share(value: float) -> str:
    # One that is not zero does not read as zero, and one that is not certain not as certain.
    if value < 0.0005:
        return "less than 0.1%"
    return f"{min(value, 0.999):.1%}"
