"""From the positions of a batch's rows to its arrays: what a `MultimodalSequence` delegates for every batch.

An `Assembly` takes cells out of the table, starts the loaders on them (`batch.py`), and on the last of their threads
adds weights and the operations on whole samples and whole batches. Which rows and which random streams is the plan's
business, and when, the sequence's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.augment.base import Augmentation
from multimodal_gen.augment.batch import Batch, BatchAugmentation
from multimodal_gen.augment.sample import Sample, SampleAugmentation, SampleFunction
from multimodal_gen.augment.text import TextAugmentation, TokenAugmentation
from multimodal_gen.batch import PendingBatch
from multimodal_gen.buckets import Buckets
from multimodal_gen.cache import ArrayCache
from multimodal_gen.errors import LoaderError, TableError
from multimodal_gen.loaders.base import ArraySpec, Loader, spec_problem
from multimodal_gen.loaders.masking import MaskedTokens
from multimodal_gen.plan import Plan
from multimodal_gen.sources import Source, sources_of
from multimodal_gen.stages import stage
from multimodal_gen.table import check_columns
from multimodal_gen.weights import Weights

_INPUTS_AS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "tuple": lambda inputs: tuple(inputs.values()),
    "dict": dict,
    "list": lambda inputs: list(inputs.values()),
    "array": lambda inputs: next(iter(inputs.values())),
}


@dataclass(frozen=True)
class Assembly:
    """How batches of one table are put together.

    Args:
        table: One row a sample.
        inputs: Input name -> loader.
        targets: Target name -> target; the name is None where there is just one without a name.
        weights: How rows are weighted.
        sample_augment: Operations on whole samples.
        batch_augment: Operations on whole batches.
        augmenting: Whether anything random happens.
        inputs_as: The form of a batch's inputs: "tuple", "dict", "list", or "array" for a single one.
        threads: Threads that decode.
        buckets: The lengths that batches of one input are cut to, if they are.
        cache: Where arrays are kept on disk, if they are.
        sources: Key -> where arrays come from. The key of an input is its name, that of a target a tuple of its name,
            which no input can have.
    """

    table: pd.DataFrame
    inputs: Mapping[str, Loader]
    targets: Mapping[str | None, Loader]
    weights: Weights
    sample_augment: Sequence[Any]
    batch_augment: Sequence[Any]
    augmenting: bool
    inputs_as: str
    threads: int
    buckets: Buckets | None = None
    cache: ArrayCache | None = None
    sources: Mapping[Any, Source] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.inputs_as not in _INPUTS_AS or (self.inputs_as == "array" and len(self.inputs) != 1):
            raise ValueError(
                '`inputs_as` must be "tuple", "dict" or "list", or, for a single input, "array". '
                f"Received: inputs_as={self.inputs_as!r}, inputs={list(self.inputs)}"
            )
        for target in self.targets.values():
            if isinstance(target, MaskedTokens) and target.loader not in self.inputs.values():
                raise ValueError(
                    "The target `MaskedTokens(loader)` needs that same loader among the inputs, or the model is given "
                    f"other masks than it is asked about. Received: {target.loader!r}, inputs {list(self.inputs)}"
                )
        loaders: dict[Any, Loader] = {**self.inputs, **{(name,): target for name, target in self.targets.items()}}
        object.__setattr__(self, "sources", sources_of(loaders, len(self.table), self.cache))

    @property
    def columns(self) -> list[str]:
        """The columns that are read."""
        columns = self.weights.columns
        for loader in (*self.inputs.values(), *self.targets.values()):
            columns += [loader.column] if isinstance(loader.column, str) else list(loader.column)
        return columns

    def for_evaluation(self, table: pd.DataFrame) -> Assembly:
        """The same for other rows, with nothing random, no weights of classes, and all captions at their full length.

        Raises:
            TableError: If the table has no rows or lacks a column.
        """
        weights = replace(self.weights, by_class={})
        other = replace(self, table=table, augmenting=False, weights=weights, buckets=None)
        try:
            check_columns(table, other.columns)
        except TableError as error:
            hint = " To predict rows without targets, take `MultimodalSequence(table, sequence.inputs)`."
            raise TableError(f"{error}.{hint if self.targets else ''}") from None
        return other

    def start(self, plan: Plan, epoch: int, index: int, length: int | None = None) -> PendingBatch:
        """Begin a batch; its `result` is what Keras is given. `length` is that of captions in buckets."""
        positions, padding = plan.batch(epoch, index)
        with stage("assemble"):
            cells = {key: self._cells(source.loader.column, positions) for key, source in self.sources.items()}
        labels = self.table.index.take(positions).tolist()
        # What each row's sample operations do with its arrays, once it is decided.
        steps: list[list[tuple[Any, SampleFunction]]] = []

        def rng_of_cell(row: int, loader: Loader) -> np.random.Generator:
            return plan.rng(epoch, positions[row], loader.column)

        def prepare() -> None:
            for row, label in enumerate(labels):
                rngs = [plan.rng(epoch, positions[row], f"\0sample {one}") for one in range(len(self.sample_augment))]
                with _named(label):
                    varied, row_steps = self._prepare({name: cells[name][row] for name in self.inputs}, rngs)
                steps.append(row_steps)
                for name, cell in varied.items():
                    # A target on the same column, such as what is to be read off a caption, is varied with it.
                    if cell is not cells[name][row]:
                        for key, source in self.sources.items():
                            if source.loader.column == self.inputs[name].column and not isinstance(key, str):
                                cells[key][row] = cell
                        cells[name][row] = cell

        def finish(arrays: Mapping[Any, np.ndarray]) -> tuple[Any, ...]:
            for row, row_steps in enumerate(steps):
                if row_steps:
                    with _named(labels[row]):
                        self._vary_sample(arrays, row, row_steps)
            inputs = {name: arrays[name] for name in self.inputs}
            targets = {name: arrays[(name,)] for name in self.targets}
            weights = self.weights.of(self.table, positions, padding, targets)
            batch = Batch(inputs, _unnamed(targets), _unnamed(weights), self._specs)
            for number, operation in enumerate(self.batch_augment if self.augmenting else ()):
                batch = _vary_batch(operation, batch, plan.rng(epoch, index, f"\0batch {number} {plan.rank}"))
            if self.buckets is not None:
                batch = self.buckets.cut(batch, length or self.buckets.length(batch, plan, epoch, index))
            others = (one for one in (batch.target, batch.sample_weight) if one is not None)
            return _INPUTS_AS[self.inputs_as](batch.inputs), *others

        return PendingBatch(
            self.sources,
            cells,
            positions,
            labels,
            rng_of_cell if self.augmenting else None,
            self.threads,
            prepare=prepare if self.augmenting and self.sample_augment else None,
            finish=finish,
        )

    @property
    def _specs(self) -> dict[str, ArraySpec]:
        return {name: loader.spec for name, loader in self.inputs.items()}

    def _cells(self, column: str | tuple[str, ...], positions: np.ndarray) -> list[Any]:
        if isinstance(column, str):
            return list(self.table[column].array.take(positions).tolist())
        return list(zip(*(self._cells(one, positions) for one in column), strict=True))

    def _prepare(
        self, cells: Mapping[str, Any], rngs: Sequence[np.random.Generator]
    ) -> tuple[Mapping[str, Any], list[tuple[Any, SampleFunction]]]:
        steps: list[tuple[Any, SampleFunction]] = []
        for operation, rng in zip(self.sample_augment, rngs, strict=True):
            if isinstance(operation, SampleAugmentation):
                cells, step = operation.prepare(cells, rng)
                if step is not None:
                    steps.append((operation, step))
            else:
                steps.append((operation, _with_rng(operation, rng)))
        return cells, steps

    def _vary_sample(self, arrays: Mapping[Any, np.ndarray], row: int, steps: Sequence[Any]) -> None:
        targets = {name: arrays[(name,)][row, ...] for name in self.targets}
        sample = Sample({name: arrays[name][row, ...] for name in self.inputs}, _unnamed(targets))
        for operation, step in steps:
            sample = _checked(step(sample), Sample, operation)
        varied = {**sample.inputs, **_named_arrays(sample.target)}
        for key, array in arrays.items():
            problem = spec_problem(varied.get(key), ArraySpec(array.shape[1:], array.dtype.name))
            if problem:
                raise LoaderError(f"A sample operation must keep the shape and dtype of {_readable(key)}. {problem}")
            array[row] = varied[key]


def _vary_batch(operation: Any, before: Batch, rng: np.random.Generator) -> Batch:
    try:
        after: Batch = _checked(operation(before, rng), Batch, operation)
    except LoaderError:
        raise
    except Exception as error:
        raise LoaderError(f"A batch operation failed; {operation!r}. {type(error).__name__}: {error}") from error
    arrays = {**after.inputs, **_named_arrays(after.target)}
    for key, array in {**before.inputs, **_named_arrays(before.target)}.items():
        problem = spec_problem(arrays.get(key), ArraySpec(array.shape, array.dtype.name))
        if problem:
            of = f"{operation!r}, {_readable(key)}"
            raise LoaderError(f"A batch operation must keep the shapes and dtypes; {of}. {problem}")
    rows = len(next(iter(after.inputs.values())))
    for weights in _named_arrays(after.sample_weight).values():
        if np.shape(weights) != (rows,) or not np.isfinite(weights).all() or np.min(weights) < 0:
            raise LoaderError(
                f"A batch operation must give each row a finite weight of at least 0; {operation!r}. "
                f"Received: shape {np.shape(weights)} for {rows} rows"
            )
    for array in _named_arrays(after.target).values():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise LoaderError(f"A batch operation must keep targets finite; {operation!r}. Received: NaN or infinity")
    return after


def _with_rng(operation: Any, rng: np.random.Generator) -> SampleFunction:
    return lambda sample: operation(sample, rng)


def check_operations(sample_augment: Any, batch_augment: Any) -> None:
    """Refuse operations that are no list, that belong elsewhere, or that are classes in place of objects.

    Raises:
        ValueError: It says where an operation belongs.
    """
    places: dict[str, Any] = {
        "sample_augment": SampleAugmentation,
        "batch_augment": BatchAugmentation,
        "ImageLoader(augment=[...])": Augmentation,
        "TextLoader(augment=[...])": (TextAugmentation, TokenAugmentation),
    }
    for name, operations in (("sample_augment", sample_augment), ("batch_augment", batch_augment)):
        if not isinstance(operations, list | tuple):
            raise ValueError(f"`{name}` must be a list of operations. Received: {name}={operations!r}")
        for operation in operations:
            if isinstance(operation, type):
                wanted = operation.__name__
                raise ValueError(f"Give `{name}` an object, as in {wanted}(), not a class. Received: {operation!r}")
            home = next((place for place, kind in places.items() if isinstance(operation, kind)), name)
            if home != name:
                raise ValueError(f"{type(operation).__name__} belongs in `{home}`. Received: {name}=[{operation!r}]")
            if not callable(operation) and not isinstance(operation, SampleAugmentation):
                raise ValueError(f"`{name}` must hold operations. Received: {operation!r}")


@contextmanager
def _named(label: Any) -> Iterator[None]:
    # Adds the row to what goes wrong in an operation on its sample.
    try:
        yield
    except LoaderError as error:
        raise LoaderError(f"A sample operation failed at index {label!r}: {error}") from error
    except Exception as error:
        raise LoaderError(f"A sample operation failed at index {label!r}: {type(error).__name__}: {error}") from error


def _checked(result: Any, kind: type[Any], operation: Any) -> Any:
    if not isinstance(result, kind):
        raise LoaderError(f"{operation!r} must return a {kind.__name__}. Received: {type(result).__name__}")
    return result


def _unnamed(arrays: Mapping[str | None, Any] | None) -> Any:
    # A target without a name is its array itself, as Keras wants it.
    if not arrays:
        return None
    return arrays[None] if None in arrays else dict(arrays)


def _named_arrays(arrays: Any) -> dict[Any, np.ndarray]:
    if arrays is None:
        return {}
    return {(name,): array for name, array in arrays.items()} if isinstance(arrays, Mapping) else {(None,): arrays}


def _readable(key: Any) -> str:
    return f"input {key!r}" if isinstance(key, str) else "the target"
