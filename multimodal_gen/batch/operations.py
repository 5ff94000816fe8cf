"""Random operations on samples and batches: what they may be given, what they must give back, and where they failed.

`assembly.py` says when they are called, and with which random stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from multimodal_gen.augment.batch import Batch
from multimodal_gen.augment.sample import SampleFunction
from multimodal_gen.errors import LoaderError
from multimodal_gen.spec import ArraySpec, spec_problem


def _map_arrays(change: Callable[[np.ndarray, Any], np.ndarray], batch: Batch) -> Batch:
    # `change(array, key)` on everything in a batch; keys are those of `_keyed`.
    changed = {key: change(array, key) for key, array in _keyed(batch).items()}

    def of(what: str, arrays: Any) -> Any:
        if arrays is None:
            return None
        return {name: changed[what, name] for name in arrays} if isinstance(arrays, Mapping) else changed[what, None]

    parts = {what: of(what, getattr(batch, what)) for what in ("inputs", "target", "sample_weight")}
    return Batch(**parts, specs=batch.specs)


def _keyed(batch: Batch) -> dict[tuple[str, Any], np.ndarray]:
    parts = {what: getattr(batch, what) for what in ("inputs", "target", "sample_weight")}
    return {
        (what, name): array
        for what, arrays in parts.items()
        if arrays is not None
        for name, array in (arrays.items() if isinstance(arrays, Mapping) else [(None, arrays)])
    }


def rows_of(batch: Batch, rows: np.ndarray) -> Batch:
    """Some rows of a batch, in the order given."""
    return _map_arrays(lambda array, _: array[rows], batch)


def zero_weights(batch: Batch, bad: np.ndarray) -> Batch:
    """The batch with weight 0 for some rows."""

    def zero(array: np.ndarray, key: Any) -> np.ndarray:
        return np.where(bad, np.float32(0), array) if key[0] == "sample_weight" else array

    return _map_arrays(zero, batch)


def put_back(good: Batch, whole: Batch, bad: np.ndarray) -> Batch:
    """A whole batch, of which operations have seen the good rows only: the blank ones go where they were."""
    # Behind the others if operations have changed how many there are.
    arrays, rows = _keyed(good), len(next(iter(good.inputs.values())))
    order = (
        np.concatenate([np.flatnonzero(~bad), np.flatnonzero(bad)]).argsort() if rows == (~bad).sum() else slice(None)
    )
    return _map_arrays(lambda array, key: np.concatenate([arrays[key], array[bad]])[order], whole)


def vary_batch(operation: Any, before: Batch, rng: np.random.Generator) -> Batch:
    """Apply an operation to a batch, and check what it gives.

    Raises:
        LoaderError: If it fails, or breaks its contract.
    """
    try:
        after: Batch = checked(operation(before, rng), Batch, operation)
    except LoaderError:
        raise
    except Exception as error:
        raise LoaderError(f"A batch operation failed; {operation!r}. {type(error).__name__}: {error}") from error
    arrays = {**after.inputs, **named_arrays(after.target)}
    for key, array in {**before.inputs, **named_arrays(before.target)}.items():
        problem = spec_problem(arrays.get(key), ArraySpec(array.shape, array.dtype.name))
        if problem:
            of = f"{operation!r}, {readable(key)}"
            raise LoaderError(f"A batch operation must keep the shapes and dtypes; {of}. {problem}")
    rows = len(next(iter(after.inputs.values())))
    for weights in named_arrays(after.sample_weight).values():
        if np.shape(weights) != (rows,) or not np.isfinite(weights).all() or np.min(weights) < 0:
            raise LoaderError(
                f"A batch operation must give each row a finite weight of at least 0; {operation!r}. "
                f"Received: shape {np.shape(weights)} for {rows} rows"
            )
    for array in named_arrays(after.target).values():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise LoaderError(f"A batch operation must keep targets finite; {operation!r}. Received: NaN or infinity")
    return after


def with_rng(operation: Any, rng: np.random.Generator) -> SampleFunction:
    """A callable `(sample, rng)` as a function of the sample alone."""
    return lambda sample: operation(sample, rng)


@contextmanager
def named(label_of: Callable[[int], Any], row: int) -> Iterator[None]:
    """What goes wrong inside is a `LoaderError` that names the row of the sample."""
    try:
        yield
    except Exception as error:
        what = str(error) if isinstance(error, LoaderError) else f"{type(error).__name__}: {error}"
        raise LoaderError(f"A sample operation failed at index {label_of(row)!r}: {what}") from error


def checked(result: Any, kind: type[Any], operation: Any) -> Any:
    """The result of an operation, if it is of the kind that it must be."""
    if not isinstance(result, kind):
        raise LoaderError(f"{operation!r} must return a {kind.__name__}. Received: {type(result).__name__}")
    return result


def unnamed(arrays: Mapping[str | None, Any] | None) -> Any:
    """Arrays by name as Keras wants them: that of a target without a name by itself."""
    if not arrays:
        return None
    return arrays[None] if None in arrays else dict(arrays)


def named_arrays(arrays: Any) -> dict[Any, np.ndarray]:
    """The arrays of a target, or weights, under keys as those of an `Assembly`'s sources."""
    if arrays is None:
        return {}
    return {(name,): array for name, array in arrays.items()} if isinstance(arrays, Mapping) else {(None,): arrays}


def readable(key: Any) -> str:
    """A key in words."""
    return f"input {key!r}" if isinstance(key, str) else "the target"
