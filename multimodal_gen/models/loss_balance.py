"""Weights that make the losses of several targets count alike, whatever their units.

Nothing here is learned or changes while training: the weights are plain numbers for
`compile(loss_weights=)`, which Keras saves with the model.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pandas as pd

from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.reading import read_rows
from multimodal_gen.models.outputs import outputs_of
from multimodal_gen.rows.table import cells_of
from multimodal_gen.sequence.reader import BatchReader

# Rows of which a mean loss is known to about two hundredths, which is enough for a weight.
_MOST_ROWS = 2_000
# Below this all rows have the same value, and there is nothing to divide by.
_LEAST_LOSS = 1e-8


def balanced_loss_weights(target: Mapping[str, Any], data: Any) -> dict[str, float]:
    """Weigh the loss of each target by 1 / the loss of the best constant prediction.

    The losses of several targets are added, so one with large numbers drowns the others: a price in
    cents beside a class, or a class beside a hundred rare labels. With these weights every loss
    starts at about 1, and what is left of it is the share that the model does not explain.

    The constant is the mean of the training rows: their class shares, how often each label comes,
    or the mean number.

    Args:
        target: Name -> target, as for `build_fusion_classifier`.
        data: The training rows, a `MultimodalSequence` with these targets; the labels of up to
            2,000 of its rows are read. Its weights of rows count.

    Returns:
        Name -> weight, for `compile(loss_weights=)`. A target that has one value in all rows gets
        the weight 1.

    Raises:
        TypeError: If `target` is not a mapping, or `data` is not a MultimodalSequence.
        ValueError: If a target is not among those of `data`, or no row can be read.
        LoadError: If a cell cannot be read, unless `data` skips such rows.

    Example:
        weights = balanced_loss_weights(targets, train_data)
        model.compile("adam", loss=losses, loss_weights=weights)
    """
    if not isinstance(target, Mapping):
        raise TypeError(
            "Losses are balanced between several targets: pass a mapping of names to targets. "
            f"Received: target={target!r}"
        )
    outputs_of(target)
    if not isinstance(data, BatchReader):
        raise TypeError(
            "`data` must be the MultimodalSequence of the training rows, whose labels are read. "
            f"For other data pass weights of your own. Received: {type(data).__name__}"
        )
    if missing := [name for name in target if name not in data.assembly.targets]:
        raise ValueError(
            "`data` must have the targets whose losses are weighed; it has "
            f"{list(data.assembly.targets)}. Received: target with {missing}"
        )
    size = len(data.assembly.table)
    places = np.linspace(0, size - 1, min(size, _MOST_ROWS)).astype("int64")
    return {name: 1.0 / _loss_of_constant(name, one, data, places) for name, one in target.items()}


def loss_weights_for(given: Any, target: Any, data: Any, verbose: Any) -> dict[str, float] | None:
    """The weights that an argument `loss_weights` asks for; balanced ones are printed.

    Args:
        given: "balanced", a mapping of target names to numbers, or None for none.
        target: The target, or the mapping of targets.
        data: The training data.
        verbose: Whether to print, as `fit` is told it.

    Raises:
        TypeError: If it is something else, or there is a single target.
        ValueError: If it does not have a positive number for each target, and no others.
    """
    if given is None:
        return None
    if not isinstance(target, Mapping) or not (isinstance(given, Mapping) or given == "balanced"):
        raise TypeError(
            '`loss_weights` must be "balanced" or map the names of several targets to numbers. '
            f"Received: loss_weights={given!r}, target={target!r}"
        )
    if isinstance(given, Mapping):
        values = [given.get(name) for name in target]
        if set(given) != set(target) or not all(
            isinstance(one, int | float) and 0 <= one < np.inf for one in values
        ):
            raise ValueError(
                "`loss_weights` must have a number of at least 0 for each target; they are "
                f"{list(target)}. Received: loss_weights={dict(given)!r}"
            )
        return dict(given)
    weights = balanced_loss_weights(target, data)
    if verbose:
        said = ", ".join(f"{name} {weight:.3g}" for name, weight in weights.items())
        sys.stdout.write(f"Weights of the losses: {said}\n")
    return weights


@dataclass(frozen=True)
class _Rows:
    # Rows of a table, as `Weights` asks for them.
    table: pd.DataFrame
    positions: np.ndarray
    padding: int = 0

    @property
    def excluded(self) -> np.ndarray:
        return np.zeros(len(self.positions), bool)

    def cells(self, column: str | tuple[str, ...]) -> list[Any]:
        return cells_of(self.table, column, self.positions)

    def label(self, row: int) -> Any:
        return self.table.index[self.positions[[row]]].tolist()[0]

    def located(self, error: LoadError, row: int) -> LoadError:
        return error

    def bucket(self) -> int:
        return 0


def _loss_of_constant(name: str, target: Any, data: BatchReader, places: np.ndarray) -> float:
    assembly = data.assembly
    rows = _Rows(assembly.table, places)
    labels = [rows.label(row) for row in range(len(places))]
    read = list(read_rows(target, rows.cells(target.column), labels))
    errors = [one for one in read if isinstance(one, LoadError)]
    if errors and (assembly.on_error == "raise" or len(errors) == len(read)):
        raise errors[0]
    good = {place: one for place, one in enumerate(read) if not isinstance(one, LoadError)}
    truth = np.stack(list(good.values()))
    weights = assembly.weights.of(_Rows(assembly.table, places[list(good)]), {name: truth})
    own = np.ones(len(good), "float32") if weights is None else weights[name]
    if not own.any():
        return 1.0
    shares = truth.reshape(len(truth), -1).astype("float64")
    if target.activation == "softmax" and shares.shape[1] != target.units:
        shares = np.eye(target.units)[shares[:, 0].astype("int64")]
    constant = np.average(shares, axis=0, weights=own).astype("float32")
    outputs = np.tile(constant, (len(truth), 1))
    found = float(keras.ops.convert_to_numpy(target.loss(truth, outputs, sample_weight=own)))
    return found if found > _LEAST_LOSS else 1.0
