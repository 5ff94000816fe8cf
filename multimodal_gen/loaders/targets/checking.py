"""Check that a target keeps its contract: that of a loader, and what models and scores need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.augment.checking import alike, frozen, random_stream, unwritten
from multimodal_gen.errors import LoaderError
from multimodal_gen.loaders.checking import check_loader
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.loaders.targets.judgement import Judgement
from multimodal_gen.rows.cells import cell_text
from multimodal_gen.rows.sampling import check_sampler
from multimodal_gen.spec import spec_problem

_PADDING, _CLOSE = 3, 1e-4


def check_target(target: Target, cells: Iterable[Any]) -> None:
    """Check that a target keeps its contract, on cells of your own and random model outputs.

    It checks everything that `check_loader` checks; `units` and `activation`; that `decode_outputs`
    and `score` accept outputs of `output_shape`, do not change them, and return the same values
    each time, one per row, and numbers; that the loss is finite and ignores rows with weight 0;
    that metrics are new each time; the classes, if there are any: different names, a class for each
    cell, and a sampler that balances them; and the results of `judge`.

    Args:
        target: The target to check.
        cells: A few typical cells that it must be able to read; at least one.

    Raises:
        LoaderError: At the first broken rule, saying which and how to fix it.
    """
    if not isinstance(target, Target):
        raise LoaderError(f"A target must derive from Target. Received: target={target!r}")
    cells = cells if hasattr(cells, "columns") else list(cells)
    name = type(target).__name__
    _check_names(target, name)
    if isinstance(cells, list):
        # Before words are made of them; wrong arrays are reported below.
        arrays = [target.read(cell) for cell in cells]
        if arrays and not any(spec_problem(one, target.spec) for one in arrays):
            _check_classes(target, np.stack(arrays), cells, name)
    check_loader(target, cells)
    cells = list(cells)
    units, activation = getattr(target, "units", None), getattr(target, "activation", "")
    if isinstance(units, bool) or not isinstance(units, int | np.integer) or units < 1:
        raise LoaderError(f"{name}.units must be a positive integer. Received: units={units!r}")
    if not (activation is None or (isinstance(activation, str) and activation)):
        raise LoaderError(
            f"{name}.activation must name a Keras activation, or be None. Received: {activation!r}"
        )
    truth = np.stack([target.augment(target.read(cell), None) for cell in cells])
    outputs = _outputs(target, len(cells))
    columns = _check_columns(target, outputs, name)
    _check_scores(target, truth, outputs, name)
    _check_loss(target, truth, outputs, name)
    _check_metrics(target, truth, outputs, name)
    _check_judgement(target.judge(cells, pd.DataFrame(columns)), len(cells), name)
    if target.loader is not None:
        target.check_inputs({"input": target.loader})


def _outputs(target: Target, rows: int) -> np.ndarray:
    outputs = (
        # Away from 0 and 1, where a cross-entropy would be infinite.
        random_stream(rows).uniform(0.05, 0.95, (rows, *target.output_shape)).astype("float32")
    )
    if target.activation == "softmax":
        outputs /= outputs.sum(axis=-1, keepdims=True)
    return outputs


def _check_names(target: Target, name: str) -> None:
    names = target.class_names
    if not isinstance(names, tuple) or len(set(map(cell_text, names))) != len(names):
        raise LoaderError(
            f"{name}.class_names must be a tuple of different names. Received: "
            f"class_names={names!r}"
        )
    if target.one_class and not names:
        raise LoaderError(
            f"{name}.class_names must name the classes if there is one per row. Received: ()"
        )


def _check_classes(target: Target, arrays: np.ndarray, cells: list[Any], name: str) -> None:
    names = target.class_names
    if not target.one_class:
        return
    classes = np.asarray(target.class_positions(frozen(arrays)))
    if classes.shape != (len(cells),) or classes.dtype.kind not in "iu":
        received = f"{classes.shape} {classes.dtype}"
        raise LoaderError(
            f"{name}.class_positions must return one integer per row. Received: {received}"
        )
    if classes.min() < 0 or classes.max() >= len(names):
        raise LoaderError(
            f"{name}.class_positions must be in [0, {len(names)}), the positions in `class_names`. "
            f"Received: from {classes.min()} to {classes.max()}"
        )
    found = np.asarray(target.classes_of(cells))
    if found.tolist() != classes.tolist():
        raise LoaderError(
            f"{name}.classes_of must match class_positions of what read returns. "
            f"Received: {found.tolist()[:5]} instead of {classes.tolist()[:5]}"
        )
    if isinstance(target.column, str):
        table = pd.DataFrame({target.column: pd.Series(cells, dtype=object)})
        sampler = target.balanced_sampler()
        check_sampler(sampler, table)
        shares = np.bincount(classes, sampler.weights(table))
        if np.ptp(shares[shares > 0]) > _CLOSE * shares.max():
            raise LoaderError(
                f"{name}.balanced_sampler must balance classes. Received: weights {shares.tolist()}"
            )


def _check_columns(target: Target, outputs: np.ndarray, name: str) -> dict[Any, np.ndarray]:
    with unwritten(f"{name}.decode_outputs must not write into the outputs."):
        columns = target.decode_outputs(frozen(outputs))
        again = target.decode_outputs(frozen(outputs))
    if (
        not isinstance(columns, Mapping)
        or not columns
        or {len(one) for one in columns.values()} != {len(outputs)}
    ):
        found = (
            {key: len(one) for key, one in columns.items()}
            if isinstance(columns, Mapping)
            else columns
        )
        raise LoaderError(
            f"{name}.decode_outputs must map names of columns to a value for each of "
            f"{len(outputs)} rows. Received: {found!r}"
        )
    if not alike(dict(columns), dict(again)):
        raise LoaderError(
            f"{name}.decode_outputs must return the same every time. Received: two results"
        )
    first = next(iter(columns))
    if target.one_class and not set(map(cell_text, columns[first])) <= set(
        map(cell_text, target.class_names)
    ):
        raise LoaderError(
            f"{name}.decode_outputs must have the predicted class in its first column. "
            f"Received: {columns[first][0]!r} in {first!r}"
        )
    return dict(columns)


def _check_scores(target: Target, truth: np.ndarray, outputs: np.ndarray, name: str) -> None:
    with unwritten(f"{name}.score must not write into the truth or the outputs."):
        scores = target.score(frozen(truth), frozen(outputs))
        again = target.score(frozen(truth), frozen(outputs))
    if (
        not isinstance(scores, dict)
        or not scores
        or not all(type(one) is float for one in scores.values())
    ):
        raise LoaderError(
            f"{name}.score must map names to plain floats, for JSON. Received: {scores!r}"
        )
    if not alike(scores, again):
        raise LoaderError(
            f"{name}.score must return the same every time. Received: {scores!r} and {again!r}"
        )


def _check_loss(target: Target, truth: np.ndarray, outputs: np.ndarray, name: str) -> None:
    def of(truth: np.ndarray, outputs: np.ndarray, weights: np.ndarray) -> float:
        try:
            return float(target.loss(truth, outputs, sample_weight=weights))
        except Exception as error:
            raise LoaderError(
                f"{name}.loss must take what read returns, outputs of `output_shape` and one "
                f"weight per row. Received: {type(error).__name__}: {error}"
            ) from error

    ones = np.ones(len(truth), "float32")
    alone = of(truth, outputs, ones)
    if not np.isfinite(alone):
        raise LoaderError(
            f"{name}.loss must be finite for outputs of `activation`. Received: {alone}"
        )
    # Adds rows that only fill up a batch, with weight 0 and other outputs; they must not change the
    # loss.
    padding = np.arange(_PADDING) % len(truth)
    weights = np.concatenate([ones, np.zeros(_PADDING, "float32")])
    padded = of(
        np.concatenate([truth, truth[padding]]),
        np.concatenate([outputs, 1 - outputs[padding]]),
        weights,
    )
    if not np.isclose(padded, alone, rtol=_CLOSE, atol=1e-6):
        raise LoaderError(
            f"{name}.loss must ignore rows of weight 0; Keras's losses do with "
            f'reduction="mean_with_sample_weight". Received: {padded:g} instead of {alone:g}'
        )


def _check_metrics(target: Target, truth: np.ndarray, outputs: np.ndarray, name: str) -> None:
    metrics, others = target.metrics, target.metrics
    names = [one.name for one in metrics]
    if any(one is other for one in metrics for other in others) or len(set(names)) != len(names):
        raise LoaderError(
            f"{name}.metrics must be new each time, because they have state, with different names. "
            f"Received: {names}"
        )
    for metric in metrics:
        metric.update_state(truth, outputs)
        if not np.isscalar(float(metric.result())):
            raise LoaderError(
                f"{name}.metrics must return a number. Received: {metric.result()!r} of "
                f"{metric.name!r}"
            )


def _check_judgement(judgement: Any, rows: int, name: str) -> None:
    if judgement is None:
        return
    if not isinstance(judgement, Judgement):
        raise LoaderError(f"{name}.judge must return a Judgement or None. Received: {judgement!r}")
    right, badness = judgement.right, np.asarray(judgement.badness)
    wrong = right is not None and (np.shape(right) != (rows,) or np.asarray(right).dtype != bool)
    if wrong or badness.shape != (rows,) or badness.dtype.kind != "f":
        raise LoaderError(
            f"{name}.judge must say for each row whether it is right (bool) and how bad it is "
            f"(float). Received: {right!r} and {badness!r}"
        )
    words = judgement.words(0)
    least = 1 if right is None else 2
    if (
        not isinstance(words, list)
        or len(words) < least
        or not all(isinstance(one, str) for one in words)
    ):
        raise LoaderError(
            f"{name}.judge must say in words what was predicted and what is true. Received: "
            f"{words!r}"
        )
