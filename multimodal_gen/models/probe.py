"""Linear probes: the best linear model on features, n-grams, numbers and categories, in seconds.

`fit_linear_probe` reads all rows once as a matrix (`designs.py`), computes the weights with
scikit-learn for several penalties, keeps the penalty that is best on validation rows, and returns a
Keras model (`linear.py`). `comparing.py` says which of several
models is best on such rows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from multimodal_gen.errors import counted
from multimodal_gen.models.auxiliary import FusionModel
from multimodal_gen.models.designs import (
    Block,
    arrays_by_name,
    block_of,
    joined,
    present_in,
    stacked,
)
from multimodal_gen.models.fitting import check_data, check_target, losses_and_metrics
from multimodal_gen.models.linear import LINEAR_KINDS, linear_model
from multimodal_gen.models.linear_fits import STRENGTHS, Fit, Part, best_fit
from multimodal_gen.spec import ArraySpec, by_name, mask_names, with_masks

# Of a table that is larger, the first rows in the order of training are used: numbers in memory,
# and multiplications per step, that take about a minute on one core.
_MAX_NUMBERS, _MAX_WORK = 40_000_000, 400_000_000


def not_linear(inputs: Mapping[str, Any]) -> list[str]:
    """The inputs that a linear probe cannot use: pictures as pixels, and tokens in their order."""
    specs = {name: one if isinstance(one, ArraySpec) else one.spec for name, one in inputs.items()}
    return [name for name, spec in specs.items() if spec.each.kind not in LINEAR_KINDS]


def fit_linear_probe(
    inputs: Mapping[str, Any],
    target: Any,
    train_data: Any,
    validation_data: Any,
    *,
    verbose: str | int = "auto",
) -> FusionModel:
    """Compute the best linear model, and return it as a Keras model.

    Multinomial or logistic regression, or linear regression for numbers, with a squared penalty
    whose strength is chosen on the validation rows, as Radford et al. (2021), "Learning
    transferable visual models from natural language supervision", section 3.2, do. Numbers are
    standardised, and each input is scaled to a mean squared length of 1 before, so that one penalty
    suits all. Nothing is random. Of a table that is too large for about a minute on one core, the
    first rows in the order of `train_data` are used.

    Args:
        inputs: Name -> loader (anything with a `spec`) or `ArraySpec`, of the kinds "features",
            "vector", "ngrams" and "category", or several of such in a cell.
        target: What to predict, or a mapping of targets. Classes, labels of many kinds, or numbers.
        train_data: A `keras.utils.PyDataset` with `num_batches`. Its sample weights count.
        validation_data: Likewise; it chooses the penalty.
        verbose: 0 prints nothing; otherwise one line names the rows and the penalty.

    Returns:
        A compiled model, as from `build_fusion_classifier`.

    Raises:
        TypeError: If the target or the data has the wrong type, or the data is endless.
        ValueError: If an input has another kind, or `train_data` mixes the classes of its rows.

    Example:
        probe = fit_linear_probe(inputs, target, train_data, validation_data)
        table = compare_models({"network": model, "probe": probe}, validation_data)
    """
    model, report = linear_probe(inputs, target, train_data, validation_data)
    if verbose:
        sys.stdout.write(f"{report}\n")
    return model


def linear_probe(
    inputs: Mapping[str, Any],
    target: Any,
    train_data: Any,
    validation_data: Any,
    advance: Callable[[], None] = lambda: None,
) -> tuple[FusionModel, str]:
    """Like `fit_linear_probe`, and returns the line that it prints; `advance` is called after each
    batch.
    """
    check_target(target)
    check_data("train_data", train_data)
    check_data("validation_data", validation_data)
    others = not_linear(inputs)
    if others:
        raise ValueError(
            "A linear probe needs inputs of the kinds "
            f"{', '.join(LINEAR_KINDS)}. For pictures and texts, use their features "
            f"(`from_preset`) or n-grams. Received: {others}"
        )
    model = linear_model(inputs, target)
    rows, checked = _Rows(inputs, target), _Rows(inputs, target)
    limit = rows.read(train_data, advance, limited=True)
    checked.read(validation_data, advance)
    fits = _fits(rows, checked, target)
    _assign(model, rows.blocks, list(fits.values()))
    losses, metrics, _ = losses_and_metrics(target, ())
    model.compile(loss=losses, metrics=metrics)
    return model, _report(rows, fits, limit)


class _Rows:
    # The inputs, labels and weights of all rows of a dataset, as matrices.
    def __init__(self, inputs: Mapping[str, Any], target: Any) -> None:
        self.specs = {
            name: one if isinstance(one, ArraySpec) else one.spec for name, one in inputs.items()
        }
        self.names, self.masks = list(with_masks(inputs)), mask_names(inputs)
        self.blank = {
            name for name, one in inputs.items() if getattr(one, "missing", None) == "blank"
        }
        self.targets = by_name(target)
        self.parts: dict[str, list[Any]] = {name: [] for name in inputs}
        self.presence: dict[str, list[Any]] = {name: [] for name in inputs}
        self.labels: dict[Any, list[np.ndarray]] = {name: [] for name in self.targets}
        self.weights: dict[Any, list[np.ndarray]] = {name: [] for name in self.targets}
        self.blocks: dict[str, Block] = {}

    def read(self, data: Any, advance: Callable[[], None], *, limited: bool = False) -> int | None:
        # Returns the number of rows that is enough, if that was reached.
        found = 0
        for number in range(data.num_batches):
            x, y, weights = keras.utils.unpack_x_y_sample_weight(data[number])
            rows = self._add(arrays_by_name(x, self.names), by_name(y), weights)
            found += rows
            advance()
            most = self._most_rows(rows) if limited else None
            if most is not None and found >= most and number + 1 < data.num_batches:
                return found
        return None

    def _add(self, arrays: Mapping[str, np.ndarray], y: Mapping[Any, Any], weights: Any) -> int:
        rows = 0
        for name, spec in self.specs.items():
            mask = arrays.get(self.masks.get(name, ""))
            self.parts[name].append(block_of(spec, arrays[name], mask))
            there = None if mask is None or name not in self.blank else present_in(mask)
            self.presence[name].append(there)
            rows = len(arrays[name])
        for name, target in self.targets.items():
            own = weights.get(name) if isinstance(weights, Mapping) else weights
            self.labels[name].append(_labels(name, target, np.asarray(y[name]), rows))
            self.weights[name].append(
                np.ones(rows) if own is None else np.asarray(own, "float64").reshape(-1)
            )
        return rows

    def _most_rows(self, rows: int) -> int:
        last = [parts[-1] for parts in self.parts.values()]
        numbers = max(sum(part.size for part in last) / max(rows, 1), 1)
        outputs = sum(target.units for target in self.targets.values())
        return int(min(_MAX_NUMBERS / numbers, _MAX_WORK / (numbers * outputs)))

    def design(self, blocks: Mapping[str, Block]) -> Any:
        return joined(
            [
                block.design(stacked(self.parts[name]), self.present(name))
                for name, block in blocks.items()
            ]
        )

    def present(self, name: str) -> np.ndarray | None:
        parts = self.presence[name]
        return None if parts[0] is None else np.concatenate(parts)

    def fit_blocks(self) -> None:
        self.blocks = {
            name: Block(stacked(parts), self.present(name)) for name, parts in self.parts.items()
        }

    def part(self, name: Any, design: Any) -> Part:
        weights = np.concatenate(self.weights[name])
        # A row without weight has no label that counts.
        kept = np.flatnonzero(weights > 0)
        return Part(design[kept], np.concatenate(self.labels[name])[kept], weights[kept])


def _labels(name: Any, target: Any, y: np.ndarray, rows: int) -> np.ndarray:
    # `(rows, units)`: one-hot classes, zeros and ones, or numbers.
    flat = y.reshape(rows, -1)
    if target.activation != "softmax":
        return flat.astype("float64")
    if flat.shape[1] != target.units:
        return np.eye(target.units)[flat[:, 0].astype(int)]
    if (flat.max(axis=1) < 0.99).any():
        argument = "target" if name is None else f"target {name!r}"
        raise ValueError(
            "A linear probe needs one class per row, and operations such as MixUp give "
            f"shares of several. Leave `batch_augment` out. Received: {argument} with shares"
        )
    return flat.astype("float64")


def _fits(rows: _Rows, checked: _Rows, target: Any) -> dict[Any, Fit]:
    rows.fit_blocks()
    design, validation = rows.design(rows.blocks), checked.design(rows.blocks)
    return {
        name: best_fit(rows.part(name, design), checked.part(name, validation), one.activation)
        for name, one in by_name(target).items()
    }


def _assign(model: Any, blocks: Mapping[str, Block], fits: list[Fit]) -> None:
    # The outputs of several targets lie beside each other.
    coefficients = np.hstack([fit.coefficients for fit in fits])
    start = 0
    for name, block in blocks.items():
        kernel, constant, absent = block.weights(coefficients[start : start + block.columns])
        start += block.columns
        head = model.get_layer(f"{name}_head")
        if isinstance(head, keras.layers.Dense):
            head.kernel.assign(kernel)
            head.bias.assign(constant)
        else:
            head.table.assign(kernel)
        if block.masked:
            model.get_layer(f"{name}_head_if_present").absent.assign(absent)
    model.get_layer("offset").offset.assign(np.concatenate([fit.intercept for fit in fits]))


def _report(rows: _Rows, fits: Mapping[Any, Fit], limit: int | None) -> str:
    used = sum(len(part) for part in next(iter(rows.labels.values())))
    few = f" (the first {used:,}, as more would take long)" if limit else ""
    chosen = ", ".join(
        f"{'' if name is None else f'{name} '}C={fit.strength:.3g}" for name, fit in fits.items()
    )
    return (
        f"Linear probe of {counted(used, 'row')}{few}: {chosen}, of {STRENGTHS[0]:g} to "
        f"{STRENGTHS[-1]:g}"
    )
