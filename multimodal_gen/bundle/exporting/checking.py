"""Runs an exported network against the model, on rows where converters go wrong."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from multimodal_gen.bundle.exporting.engines import Run
from multimodal_gen.loaders.base import Loader
from multimodal_gen.sequence.output_shapes import map_outputs
from multimodal_gen.spec import ArraySpec, mask_names, with_masks

# How far an output may be from the model's; of outputs beyond 1, as a share of the largest.
TOLERANCE = 1e-5
# Sizes of batches; converters trace with one row, and some keep that number.
_BATCHES = (5, 1, 2)
_FULL_ROWS = 6


def rows_for(inputs: Mapping[str, Loader], seed: int = 0) -> dict[str, np.ndarray]:
    """Arrays of rows to compare on, with the masks of inputs that may be missing.

    Some rows are full. In one each, every input is blank, as a missing cell or a text without a
    known word is; in one, all are; and in one, whatever is made of ids has a single one.

    Args:
        inputs: Input name -> loader.
        seed: The same seed gives the same rows.
    """
    rng, names = np.random.default_rng(seed), list(inputs)
    blank = [(), *[()] * (_FULL_ROWS - 1), *[(name,) for name in names], tuple(names), ()]
    rows = len(blank)
    arrays = {name: _full(one.spec, rows, rng) for name, one in inputs.items()}
    masks = mask_names(inputs)
    for name, one in inputs.items():
        _keep_one(arrays[name][-1], one)
    specs = with_masks(inputs)
    for mask in masks.values():
        arrays[mask] = np.ones((rows, *specs[mask].shape), specs[mask].dtype)
        # Of several items, the last row has the first only.
        arrays[mask][-1].reshape(-1)[1:] = 0
    for row, absent in enumerate(blank):
        for name in absent:
            arrays[name][row] = 0
            if name in masks:
                arrays[masks[name]][row] = 0
    return {name: arrays[name] for name in specs}


def _full(spec: ArraySpec, rows: int, rng: np.random.Generator) -> np.ndarray:
    shape, item = (rows, *spec.shape), spec.each
    if item.dtype == "uint8":
        return rng.integers(0, 256, shape, "uint8")
    if np.issubdtype(item.dtype, np.floating):
        return rng.normal(size=shape).astype(item.dtype)
    most = item.vocabulary_size or 2
    ids = rng.integers(1, max(most, 2), shape).astype(item.dtype)
    if item.kind == "ngrams":
        # Beside each id its weight, in units of 2**-16.
        ids[..., 1] = rng.integers(1, 2**14, shape[:-1])
    return ids


def _keep_one(array: np.ndarray, loader: Loader) -> None:
    spec = loader.spec.each
    if spec.kind in ("tokens", "ngrams"):
        last = getattr(loader, "pads_left", False)
        texts = array.reshape(-1, *spec.shape)
        texts[:, slice(None, -1) if last else slice(1, None)] = 0


def outputs_of(model: Any, inputs_as: str, arrays: Mapping[str, np.ndarray]) -> Any:
    """What a model puts out for arrays, which it takes in the form `inputs_as`."""
    given: Any = dict(arrays) if inputs_as == "dict" else list(arrays.values())
    if inputs_as == "array":
        (given,) = given
    elif inputs_as == "tuple":
        given = tuple(given)
    with warnings.catch_warnings():
        # Keras warns of a text without a token, which these rows have on purpose.
        warnings.simplefilter("ignore")
        return map_outputs(np.asarray, model.predict(given, verbose=0))


def largest_difference(run: Run, arrays: Mapping[str, np.ndarray], expected: Any) -> float:
    """How far a network's outputs are from those expected, in batches of several sizes; of outputs
    beyond 1, as a share of the largest.

    Args:
        run: The network.
        arrays: The rows.
        expected: What the model puts out for them: by name, or a single array.

    Raises:
        ValueError: If they are further away than `TOLERANCE`, or have other names or shapes; it
            says how far, and in how many rows.
    """
    wanted = expected if isinstance(expected, Mapping) else {None: expected}
    rows = len(next(iter(arrays.values())))
    worst = 0.0
    # One after the other, each from another row on, until every size has had every row.
    for size in (*_BATCHES, rows):
        for start in range(0, rows, size):
            part = {name: one[start : start + size] for name, one in arrays.items()}
            found = run(part)
            found = found if isinstance(found, Mapping) else {None: found}
            for name, one in wanted.items():
                scale = max(1.0, float(np.nanmax(np.abs(one), initial=0)))
                own = one[start : start + size]
                worst = max(worst, _difference(found.get(name), own, scale))
    return worst


def milliseconds_a_row(run: Run, arrays: Mapping[str, np.ndarray]) -> float:
    """What a network takes for a row in batches of 32, in the fastest of five."""
    rows = len(next(iter(arrays.values())))
    batch = {name: one[np.arange(32) % rows] for name, one in arrays.items()}
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        run(batch)
        seconds.append(time.perf_counter() - start)
    return min(seconds) / 32 * 1000


def _difference(found: Any, wanted: np.ndarray, scale: float) -> float:
    if found is None or found.shape != wanted.shape:
        raise ValueError(
            f"its outputs have the shape {None if found is None else found.shape} instead of "
            f"{wanted.shape}"
        )
    # Equal first: infinities, and NaN in the same places.
    same = (found == wanted) | (np.isnan(found) & np.isnan(wanted))
    apart = np.where(same, 0.0, np.abs(found.astype("float64") - wanted) / scale)
    apart = np.nan_to_num(apart, nan=np.inf).reshape(len(wanted), -1).max(axis=1)
    bad = int((apart > TOLERANCE).sum())
    if bad:
        raise ValueError(
            f"its outputs are up to {apart.max():.2g} away from the model's, in {bad} of "
            f"{len(wanted)} rows of a batch"
        )
    return float(apart.max())
