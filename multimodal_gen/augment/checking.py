"""Tests that an augmentation keeps its contract, and tools for them: frozen arrays, equality."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from multimodal_gen.augment.batch import Batch
from multimodal_gen.augment.sample import Sample, SampleAugmentation
from multimodal_gen.augment.text import TokenAugmentation
from multimodal_gen.config import Configurable, classes_in, deserialize, serialize
from multimodal_gen.errors import LoaderError
from multimodal_gen.spec import ArraySpec, spec_problem

# An operation that acts half of the time does nothing in all eight once in 256 times.
_SEEDS = range(8)


def check_augmentation(operation: Any, examples: Iterable[Any], *, tokens: Any = None) -> None:
    """Test that an augmentation keeps its contract, on examples of your own.

    It checks that the result is the same with the same random stream, after pickling, and for a
    `Configurable` after saving to JSON; that the example is not changed; and that every array keeps
    its shape and dtype, and stays finite.

    Args:
        operation: An augmentation of any kind, or a callable of the same form.
        examples: At least one input for it: images `(height, width, channels) uint8`; texts; ids
            for a `TokenAugmentation`; a `Sample` for an operation on samples, and pairs `(cells,
            sample)` for a `SampleAugmentation`, with the cells by input name; a `Batch` for an
            operation on batches.
        tokens: For a `TokenAugmentation`: the encoder of the ids.

    Raises:
        LoaderError: At the first broken rule; the message says which.
    """
    name = getattr(operation, "__qualname__", type(operation).__qualname__)
    if isinstance(operation, type) or not (
        callable(operation) or isinstance(operation, SampleAugmentation)
    ):
        raise LoaderError(
            "An augmentation must be a callable object, or a SampleAugmentation. Received: "
            f"operation={operation!r}"
        )
    examples = list(examples)
    if not examples:
        raise LoaderError("check_augmentation needs at least one example. Received: examples=[]")
    try:
        others = [("after pickling", pickle.loads(pickle.dumps(operation)))]
    except Exception as error:
        raise LoaderError(
            f"{name} must be picklable, so it cannot hold an open file, a lock or a lambda. "
            f"Received: {error}"
        ) from error
    if isinstance(operation, Configurable):
        try:
            saved = json.dumps(serialize(operation))
        except TypeError as error:
            raise LoaderError(f"{name} cannot be saved: {error}") from error
        others.append(
            ("after saving to JSON", deserialize(json.loads(saved), classes_in(operation)))
        )
    for example in examples:
        for seed in _SEEDS:
            first = _varied(operation, example, seed, name, tokens)
            # The same object again, because one that counts its calls differs only here.
            for when, other in (("twice", operation), *others):
                if not alike(first, _varied(other, example, seed, name, tokens)):
                    raise LoaderError(
                        f"{name} must draw only from `rng`, and so return the same result {when}. "
                        f"Received: two results for seed {seed}"
                    )


def _varied(operation: Any, example: Any, seed: int, name: str, tokens: Any) -> Any:
    # Arrays are frozen, but other parts of an example can be changed in place. Only a comparison
    # with a copy shows that.
    before, given, rng = copy.deepcopy(example), frozen(example), random_stream(seed)
    with unwritten(f"{name} must return new arrays, not write into its input."):
        if isinstance(operation, SampleAugmentation):
            cells, sample = given
            varied_cells, step = operation.prepare(cells, rng)
            if not isinstance(varied_cells, Mapping) or set(varied_cells) != set(cells):
                raise LoaderError(
                    f"{name}.prepare must return a cell for each input. Received: {varied_cells!r}"
                )
            result: Any = (varied_cells, sample if step is None else step(sample))
        elif isinstance(operation, TokenAugmentation):
            result = operation(given, rng, tokens)
        else:
            result = operation(given, rng)
    if not alike(given, before):
        raise LoaderError(
            f"{name} must not change its input. Received: a changed {type(given).__name__}"
        )
    _check_kept(before, result, name)
    return result


def _check_kept(before: Any, after: Any, name: str) -> None:
    if isinstance(before, tuple):
        # Cells may be replaced freely; only arrays have a shape to keep.
        before, after = before[1], after[1]
    if type(after) is not type(before):
        raise LoaderError(
            f"{name} must return a {type(before).__name__}. Received: {type(after).__name__}"
        )
    old, new = _arrays(before), _arrays(after)
    if set(old) != set(new):
        raise LoaderError(
            f"{name} must keep all arrays, {sorted(map(str, old))}. Received: "
            f"{sorted(map(str, new))}"
        )
    for key, array in old.items():
        of = f" of {key}" if key else ""
        problem = spec_problem(new[key], ArraySpec(array.shape, array.dtype.name))
        if problem:
            raise LoaderError(f"{name} must keep the shape and dtype{of}. {problem}")
        if array.dtype.kind == "f" and not np.isfinite(new[key]).all():
            raise LoaderError(f"{name} must keep numbers finite{of}. Received: NaN or infinity")
        if key.startswith("sample_weight") and np.min(new[key]) < 0:
            raise LoaderError(
                f"{name} must return weights of at least 0. Received: {np.min(new[key])}"
            )


def _arrays(example: Any) -> dict[str, np.ndarray]:
    # Name -> array, for everything in an example that is an array.
    if isinstance(example, Sample | Batch):
        parts = {
            one.name: getattr(example, one.name)
            for one in dataclasses.fields(example)
            if one.name != "specs"
        }
        return {
            f"{part}{key}": array
            for part, value in parts.items()
            for key, array in _arrays(value).items()
        }
    if isinstance(example, Mapping):
        return {
            f"[{name!r}]{key}": array
            for name, value in example.items()
            for key, array in _arrays(value).items()
        }
    return {"": np.asarray(example)} if isinstance(example, np.ndarray | np.generic) else {}


def random_stream(seed: int) -> np.random.Generator:
    """A random stream that is the same for the same seed."""
    return np.random.Generator(np.random.Philox(seed))


def frozen(value: Any) -> Any:
    """The same value with read-only copies of its arrays; mappings are copied too."""
    if isinstance(value, np.ndarray):
        array = value.copy()
        array.flags.writeable = False
        return array
    if isinstance(value, dict):
        return {name: frozen(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return tuple(map(frozen, value))
    if isinstance(value, Sample | Batch):
        parts = {one.name: frozen(getattr(value, one.name)) for one in dataclasses.fields(value)}
        return dataclasses.replace(value, **parts)
    return value


@contextmanager
def unwritten(rule: str) -> Iterator[None]:
    """Turn an attempt to write into a frozen array into a `LoaderError` with this rule.

    Raises:
        LoaderError: If so.
    """
    try:
        yield
    except ValueError as error:
        # NumPy raises a plain ValueError, so only its words tell this one from the operation's own.
        if "read-only" in str(error):
            raise LoaderError(rule) from error
        raise


def alike(one: Any, other: Any) -> bool:
    """Whether two values are equal to the bit, including arrays in mappings, lists and samples."""
    if one is other or type(one) is not type(other):
        return one is other
    if isinstance(one, np.ndarray):
        same = one.dtype == other.dtype and one.shape == other.shape
        if one.dtype == object:
            return same and all(map(alike, one.ravel().tolist(), other.ravel().tolist()))
        # By their bytes, because NaN is not equal to itself and 0.0 is equal to -0.0.
        return same and one.tobytes() == other.tobytes()
    if isinstance(one, Sample | Batch):
        return all(
            alike(getattr(one, part.name), getattr(other, part.name))
            for part in dataclasses.fields(one)
        )
    if isinstance(one, Mapping):
        return list(one) == list(other) and all(alike(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    # For NaN that is not in an array.
    return bool(one == other) or (one != one and other != other)
