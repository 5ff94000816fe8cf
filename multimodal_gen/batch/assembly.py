"""From the positions of a batch's rows to its arrays: what a `MultimodalSequence` delegates for every batch.

An `Assembly` takes cells out of the table, starts the loaders on them (`pending.py`), and on the last of their threads
adds weights and the operations on whole samples and whole batches. Which rows and which random streams is the plan's
business, and when, the sequence's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.augment.batch import Batch
from multimodal_gen.augment.sample import Sample, SampleAugmentation, SampleFunction
from multimodal_gen.batch.buckets import Buckets
from multimodal_gen.batch.cache import ArrayCache
from multimodal_gen.batch.draft import BatchArrays
from multimodal_gen.batch.failures import FailureLog
from multimodal_gen.batch.operations import (
    checked,
    named,
    named_arrays,
    put_back,
    readable,
    rows_of,
    unnamed,
    vary_batch,
    with_rng,
    zero_weights,
)
from multimodal_gen.batch.pending import PendingBatch, Reading
from multimodal_gen.batch.shared_draws import joined_targets
from multimodal_gen.batch.sources import Source, sources_of
from multimodal_gen.batch.weights import Weights
from multimodal_gen.errors import LoaderError, LoadError, TableError
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.targets.masked_tokens import MaskedTokens
from multimodal_gen.rows.cells import is_missing
from multimodal_gen.rows.plan import Plan
from multimodal_gen.rows.table import cells_of, check_columns
from multimodal_gen.spec import ArraySpec, mask_names, spec_problem, with_masks

_INPUTS_AS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "list": lambda inputs: list(inputs.values()),
    "tuple": lambda inputs: tuple(inputs.values()),
    "dict": dict,
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
        inputs_as: The form of a batch's inputs: "list", "tuple", "dict", or "array" for a single one.
        reading: How cells are read.
        on_error: What becomes of a row that cannot be loaded: "raise", "skip" or "blank".
        max_error_rate: Share of rows that may be lost.
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
    reading: Reading
    on_error: str = "raise"
    max_error_rate: float = 1.0
    buckets: Buckets | None = None
    cache: ArrayCache | None = None
    sources: Mapping[Any, Source] = field(init=False, repr=False, compare=False)
    failures: FailureLog = field(init=False, repr=False, compare=False)
    _masks: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.inputs_as not in _INPUTS_AS or (self.inputs_as == "array" and len(self._specs) != 1):
            raise ValueError(
                '`inputs_as` must be "list", "tuple" or "dict", or, for a single input without a mask, "array". '
                f"Received: inputs_as={self.inputs_as!r}, inputs={list(self._specs)}"
            )
        for target in self.targets.values():
            if isinstance(target, MaskedTokens) and target.loader not in self.inputs.values():
                raise ValueError(
                    "The target `MaskedTokens(loader)` needs that same loader among the inputs, or the model is given "
                    f"other masks than it is asked about. Received: {target.loader!r}, inputs {list(self.inputs)}"
                )
        targets = joined_targets(self.inputs, self.targets) if self.augmenting else self.targets
        loaders: dict[Any, Loader] = {**self.inputs, **{(name,): target for name, target in targets.items()}}
        object.__setattr__(self, "sources", sources_of(loaders, len(self.table), self.cache))
        object.__setattr__(self, "failures", FailureLog(len(self.table), self.max_error_rate))
        object.__setattr__(self, "_masks", mask_names(self.inputs))

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

    def release(self) -> None:
        """Forget what was read of rows, and close its files."""
        for source in self.sources.values():
            if source.memory is not None:
                source.memory.clear()

    def start(self, plan: Plan, epoch: int, index: int, length: int | None = None) -> PendingBatch:
        """Begin a batch; its `result` is what Keras is given. `length` is that of captions in buckets."""
        positions, padding = plan.batch(epoch, index)
        loaders = {key: source.loader for key, source in self.sources.items()}
        lost_if_missing = [key for key, one in loaders.items() if not one.accepts_missing and one.missing != "blank"]
        # What each row's sample operations do with its arrays, once it is decided.
        steps: list[list[tuple[Any, SampleFunction]]] = []

        def rng_of_cell(row: int, loader: Loader) -> np.random.Generator:
            return plan.rng(epoch, positions[row], loader.stream)

        def cells() -> dict[Any, list[Any]]:
            return {key: cells_of(self.table, one.loader.column, positions) for key, one in self.sources.items()}

        def label_of(row: int) -> Any:
            return self.table.index[positions[row : row + 1]].tolist()[0]

        def prepare(cells: Mapping[Any, Any]) -> None:
            for row, position in enumerate(positions):
                if any(is_missing(cells[key][row]) for key in lost_if_missing):
                    # There is nothing to vary; what becomes of the row is the loaders' business.
                    steps.append([])
                    continue
                rngs = [plan.rng(epoch, position, f"\0sample {one}") for one in range(len(self.sample_augment))]
                with named(label_of, row):
                    varied, row_steps = self._prepare({name: cells[name][row] for name in self.inputs}, rngs)
                steps.append(row_steps)
                for name, cell in varied.items():
                    # A target on the same column, such as what is to be read off a caption, is varied with it.
                    if cell is not cells[name][row]:
                        for key, source in self.sources.items():
                            if source.loader.column == self.inputs[name].column and not isinstance(key, str):
                                cells[key][row] = cell
                        cells[name][row] = cell

        def lost(row: int, error: LoadError) -> None:
            self.failures.add(positions[row], error, epoch)

        def finish(filled: BatchArrays) -> tuple[Any, ...]:
            self.failures.count(len(positions))
            arrays, bad = filled.arrays, filled.failed
            masks = {mask: (~filled.missing[name])[:, None].astype("float32") for name, mask in self._masks.items()}
            arrays.update(masks)
            for row, row_steps in enumerate(steps):
                if row_steps and not bad[row]:
                    with named(label_of, row):
                        self._vary_sample(arrays, row, row_steps)
            inputs = {name: arrays[name] for name in (*self.inputs, *masks)}
            targets = {name: arrays[(name,)] for name in self.targets}
            weights = self.weights.of(self.table, positions, padding, targets)
            batch = Batch(inputs, unnamed(targets), unnamed(weights), self._specs)
            if bad.any():
                batch = zero_weights(batch, bad)
            operations = self.batch_augment if self.augmenting else ()
            if bad.any() and not bad.all() and (operations or self.on_error == "skip"):
                # No good row is to be mixed with nothing.
                good = self._vary(rows_of(batch, np.flatnonzero(~bad)), operations, plan, epoch, index)
                batch = good if self.on_error == "skip" else put_back(good, batch, bad)
            elif bad.all() and self.on_error == "skip":
                # A batch needs a row; this one is blank and counts for nothing.
                batch = rows_of(batch, np.arange(1))
            else:
                batch = self._vary(batch, operations, plan, epoch, index)
            if self.buckets is not None:
                batch = self.buckets.cut(batch, length or self.buckets.length(batch, plan, epoch, index))
            others = (one for one in (batch.target, batch.sample_weight) if one is not None)
            return _INPUTS_AS[self.inputs_as](batch.inputs), *others

        tolerant = self.on_error != "raise"
        rng_of = rng_of_cell if self.augmenting else None
        arrays = BatchArrays(self.sources, positions, label_of, cells, rng_of, lost if tolerant else None)
        varied = self.augmenting and self.sample_augment
        return PendingBatch(arrays, self.reading, prepare=prepare if varied else None, finish=finish)

    def _vary(self, batch: Batch, operations: Sequence[Any], plan: Plan, epoch: int, index: int) -> Batch:
        for number, operation in enumerate(operations):
            batch = vary_batch(operation, batch, plan.rng(epoch, index, f"\0batch {number} {plan.rank}"))
        return batch

    @property
    def _specs(self) -> dict[str, ArraySpec]:
        return with_masks(self.inputs)

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
                steps.append((operation, with_rng(operation, rng)))
        return cells, steps

    def _vary_sample(self, arrays: Mapping[Any, np.ndarray], row: int, steps: Sequence[Any]) -> None:
        targets = {name: arrays[(name,)][row, ...] for name in self.targets}
        sample = Sample({name: arrays[name][row, ...] for name in self._specs}, unnamed(targets))
        for operation, step in steps:
            sample = checked(step(sample), Sample, operation)
        varied = {**sample.inputs, **named_arrays(sample.target)}
        for key, array in arrays.items():
            problem = spec_problem(varied.get(key), ArraySpec(array.shape[1:], array.dtype.name))
            if problem:
                raise LoaderError(f"A sample operation must keep the shape and dtype of {readable(key)}. {problem}")
            array[row] = varied[key]
