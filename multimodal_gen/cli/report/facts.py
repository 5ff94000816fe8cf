"""What is known of a run: all that its report says is here, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.bundle.bundle import Bundle
from multimodal_gen.bundle.folds.result import CrossValidation
from multimodal_gen.bundle.judging.resamples import interval_of, resamples_of
from multimodal_gen.bundle.judging.scores import RESAMPLES, groups_of
from multimodal_gen.cli.parts import Parts, split_in_words
from multimodal_gen.cli.report.data import Data, data_of
from multimodal_gen.cli.report.mistakes import Mistakes, mistakes_of, mistakes_of_folds
from multimodal_gen.cli.settings import RunSettings
from multimodal_gen.loaders import Loader
from multimodal_gen.loaders.targets.balance import classes_where_known
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.loaders.targets.numbers import NumericTarget
from multimodal_gen.rows.cells import shown_name
from multimodal_gen.rows.table import cells_of

# As many columns as are named beside an input.
_MOST_COLUMNS = 4


@dataclass(frozen=True)
class Known:
    """What is known before training.

    Args:
        settings: The settings, as `metrics.json` has them.
        data: The rows.
        split: How they were assigned to parts.
        notes: What was found in the table, in sentences.
        left_out: How many rows could not be read, and are in no part.
    """

    settings: Mapping[str, Any]
    data: Data
    split: str
    notes: Sequence[str]
    left_out: int


@dataclass(frozen=True)
class Facts:
    """What is known after training.

    Args:
        known: What was known before.
        metrics: The content of `metrics.json`.
        inputs: The names of the inputs, and the columns of each.
        parameters: How many numbers the saved model has.
        kept: Which epoch is kept of how many, or None if another model than the network is.
        confusion: `(classes, classes) int64`, test rows by true and predicted class; None if rows
            do not have one class each.
        errors: For predicted numbers, one row for each: the mean error, what half and nine tenths
            of the errors are below by size, and the largest, the first three with their 95 %
            intervals; None for other targets.
        mistakes: The worst rows, explained.
        main: What the scores of the page are called in the details of the metrics.
        scored: What a row is called that they are of.
        folds: How many folds there were, each predicted by a model of the others; 0 for one model.
    """

    known: Known
    metrics: Mapping[str, Any]
    inputs: Mapping[str, Sequence[str]]
    parameters: int
    kept: tuple[int, int] | None
    confusion: np.ndarray | None
    errors: pd.DataFrame | None
    mistakes: Mistakes
    main: str
    scored: str = "test row"
    folds: int = 0

    def called(self, name: str) -> str:
        """An input by its name, and by its columns if these are called otherwise."""
        columns = [shown_name(one) for one in self.inputs.get(name, [name])]
        if columns == [str(name)]:
            return str(name)
        more = len(columns) - _MOST_COLUMNS
        listed = columns if more < 2 else [*columns[:_MOST_COLUMNS], f"{more:,} more columns"]
        return f"{name} ({', '.join(listed)})"


def known_of(
    settings: RunSettings, parts: Parts, target: Target, notes: Sequence[str], left_out: int
) -> Known:
    """Collect what is known before training.

    Args:
        settings: The settings.
        parts: The rows.
        target: The target.
        notes: What was found in the table.
        left_out: How many rows could not be read.
    """
    return Known(
        asdict(settings),
        data_of(settings, parts, target),
        split_in_words(settings, parts),
        list(notes),
        left_out,
    )


def facts_of(
    known: Known,
    metrics: Mapping[str, Any],
    bundle: Bundle,
    history: Any,
    parts: tuple[pd.DataFrame, pd.DataFrame],
    predictions: pd.DataFrame,
    *,
    probe: bool,
) -> Facts:
    """Collect what is known after training, and explain the worst rows.

    Args:
        known: What was known before.
        metrics: The content of `metrics.json`.
        bundle: The trained model.
        history: The result of `fit_with_recipe`.
        parts: The training and the test rows.
        predictions: What the bundle predicts for the test rows.
        probe: Whether the bundle is the linear probe beside the network of the history.
    """
    train, test = parts
    target = bundle.target
    assert isinstance(target, Target)
    return Facts(
        known,
        metrics,
        {name: _columns_of(loader) for name, loader in bundle.inputs.items()},
        int(bundle.model.count_params()),
        None if probe else (history.best_epoch + 1, len(history.epoch)),
        _confusion(target, test, predictions) if target.one_class else None,
        _errors(target, test, predictions, groups_of(test, known.settings["group"]))
        if isinstance(target, NumericTarget)
        else None,
        mistakes_of(bundle, test, predictions, train),
        str(next(iter(metrics))),
    )


def facts_of_folds(
    known: Known,
    metrics: Mapping[str, Any],
    main: str,
    result: CrossValidation,
    rows: pd.DataFrame,
) -> Facts:
    """Collect what is known after a cross-validation, by the predictions out of fold.

    Args:
        known: What was known before.
        metrics: The content of `metrics.json`.
        main: What the scores of all rows are called in its details.
        result: The finished cross-validation.
        rows: The rows of the folds.
    """
    bundle, predictions = result.bundles[0], result.out_of_fold.iloc[:, 1:]
    target = bundle.target
    assert isinstance(target, Target)
    return Facts(
        known,
        metrics,
        {name: _columns_of(loader) for name, loader in bundle.inputs.items()},
        int(result.ensemble.model.count_params()),
        None,
        _confusion(target, rows, predictions) if target.one_class else None,
        _errors(target, rows, predictions, groups_of(rows, known.settings["group"]))
        if isinstance(target, NumericTarget)
        else None,
        mistakes_of_folds(result, rows),
        main,
        "row",
        len(result.bundles),
    )


def _columns_of(loader: Loader) -> list[str]:
    return [loader.column] if isinstance(loader.column, str) else list(loader.column)


def _confusion(target: Target, test: pd.DataFrame, predictions: pd.DataFrame) -> np.ndarray:
    truth = classes_where_known(target, test)
    places = {name: place for place, name in enumerate(target.class_names)}
    said = np.array([places[one] for one in predictions.iloc[:, 0].tolist()], "int64")
    counts = np.zeros((len(places), len(places)), "int64")
    # Rows whose class the model cannot know are left out.
    np.add.at(counts, (truth[truth >= 0], said[truth >= 0]), 1)
    return counts


def _errors(
    target: NumericTarget, test: pd.DataFrame, predictions: pd.DataFrame, groups: np.ndarray
) -> pd.DataFrame:
    cells = cells_of(test, target.column)
    truth = target.unscale(np.stack([target.read(cell) for cell in cells]))
    off = predictions[list(target.names)].to_numpy("float64") - truth
    rows = [
        {
            **_with_interval("mean", one, None, groups),
            **_with_interval("half", np.abs(one), 0.5, groups),
            **_with_interval("most", np.abs(one), 0.9, groups),
            "all": np.abs(one).max(),
        }
        for one in off.T
    ]
    return pd.DataFrame(rows, index=[shown_name(name) for name in target.names])


def _with_interval(
    name: str, values: np.ndarray, share: float | None, groups: np.ndarray
) -> dict[str, float]:
    # The mean, or what a share of the values is below, and its interval over the rows or groups.
    _, own = np.unique(groups, return_inverse=True)
    order = np.argsort(values)
    drawn = []
    for counts in resamples_of(own, RESAMPLES, 0):
        if share is None:
            drawn.append(counts @ values / counts.sum(axis=1))
            continue
        below = counts[:, order].cumsum(axis=1)
        places = (below >= share * below[:, -1:]).argmax(axis=1)
        drawn.append(values[order][places])
    low, high = interval_of(np.concatenate(drawn))
    value = values.mean() if share is None else np.quantile(values, share)
    return {name: float(value), f"{name}_low": low, f"{name}_high": high}
