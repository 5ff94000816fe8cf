"""Calls random operations on samples and batches, and checks their results.

`reading.py` and `finishing.py` decide when, and with which random stream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from multimodal_gen.augment.batch import Batch
from multimodal_gen.augment.sample import Sample, SampleFunction
from multimodal_gen.batch.slots import Slot, arrays_of, by_slot, named
from multimodal_gen.errors import LoaderError
from multimodal_gen.spec import ArraySpec, spec_problem


def vary_sample(
    arrays: Mapping[Slot, np.ndarray], row: int, steps: Sequence[tuple[Any, SampleFunction]]
) -> None:
    """Apply prepared operations on samples to one row of a batch's arrays, in place.

    Args:
        arrays: The arrays of all inputs, masks and targets.
        row: Row of the batch.
        steps: Pairs of an operation and the function that it prepared for this sample.

    Raises:
        LoaderError: If an operation changes a shape or dtype.
    """
    # With `...`, a single number is an array too, and keeps its dtype.
    own = {slot: array[row, ...] for slot, array in arrays.items()}
    inputs = {str(slot.name): array for slot, array in own.items() if slot.role == "input"}
    sample = Sample(inputs, named(own, "target"))
    for operation, step in steps:
        sample = _checked(step(sample), Sample, operation)
    varied = by_slot(sample.inputs, sample.target)
    for slot, array in arrays.items():
        # An array that the operation has dropped is None, which is refused too.
        problem = spec_problem(varied.get(slot), ArraySpec(array.shape[1:], array.dtype.name))
        if problem:
            raise LoaderError(
                f"A sample operation must keep the shape and dtype of {slot}. {problem}"
            )
        array[row] = varied[slot]


def vary_batch(operation: Any, before: Batch, rng: np.random.Generator) -> Batch:
    """Apply an operation to a batch, and check the result.

    Raises:
        LoaderError: If it fails or breaks its contract.
    """
    try:
        after: Batch = _checked(operation(before, rng), Batch, operation)
    # Its message names the operation already.
    except LoaderError:
        raise
    except Exception as error:
        raise LoaderError(
            f"A batch operation failed; {operation!r}. {type(error).__name__}: {error}"
        ) from error
    arrays = arrays_of(after)
    # Not the weights, which an operation may add.
    for slot, array in by_slot(before.inputs, before.target).items():
        problem = spec_problem(arrays.get(slot), ArraySpec(array.shape, array.dtype.name))
        if problem:
            raise LoaderError(
                f"A batch operation must keep the shapes and dtypes; {operation!r}, {slot}. "
                f"{problem}"
            )
    rows = len(next(iter(after.inputs.values())))
    for slot, array in arrays.items():
        if slot.role == "weights":
            _check_weights(array, rows, operation)
        elif slot.role == "target" and array.dtype.kind == "f" and not np.isfinite(array).all():
            raise LoaderError(
                f"A batch operation must keep targets finite; {operation!r}. Received: NaN or "
                "infinity"
            )
    return after


def _check_weights(weights: Any, rows: int, operation: Any) -> None:
    if np.shape(weights) != (rows,) or not np.isfinite(weights).all() or np.min(weights) < 0:
        raise LoaderError(
            "A batch operation must give each row a finite weight of at least 0; "
            f"{operation!r}. Received: shape {np.shape(weights)} for {rows} rows"
        )


def with_rng(operation: Any, rng: np.random.Generator) -> SampleFunction:
    """Turn a callable `(sample, rng)` into a function of the sample alone."""
    return lambda sample: operation(sample, rng)


def sample_error(error: Exception, label: Any) -> LoaderError:
    """Return the error of an operation on a sample, with the row's label in the table's index."""
    what = str(error) if isinstance(error, LoaderError) else f"{type(error).__name__}: {error}"
    return LoaderError(f"A sample operation failed at index {label!r}: {what}")


def _checked(result: Any, kind: type[Any], operation: Any) -> Any:
    if not isinstance(result, kind):
        raise LoaderError(
            f"{operation!r} must return a {kind.__name__}. Received: {type(result).__name__}"
        )
    return result
