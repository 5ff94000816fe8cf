"""The composite Sequence: a plan and loaders make batches of a table, for `fit`, `evaluate` and `predict`.

Here the parts meet: the plan says which rows and which random streams, an `Assembly` makes arrays of their cells, and
Keras is handed tuples. Order, randomness and decoding are the business of those parts and not of this file.
"""

from __future__ import annotations

import copy
import operator
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import keras
import pandas as pd

from multimodal_gen.assembly import Assembly, check_operations
from multimodal_gen.augment.batch import Batch
from multimodal_gen.augment.sample import Sample, SampleAugmentation
from multimodal_gen.batch import PendingBatch, ReadAhead, available_cores, check_loaders
from multimodal_gen.clock import predicting, running_epoch, unbounded_call
from multimodal_gen.description import describe
from multimodal_gen.loaders.base import ArraySpec, Loader
from multimodal_gen.loaders.label import Target
from multimodal_gen.plan import Plan
from multimodal_gen.sampling import Sampler, draw_weights, sampler_for
from multimodal_gen.table import check_columns
from multimodal_gen.weights import Weights, weights_by_class, weights_by_column


class MultimodalSequence(keras.utils.PyDataset):
    """Batches of several inputs from one table; give it to `fit`, `evaluate` or `predict`.

    `sequence[i]` depends on the seed, the epoch and `i` alone. Nothing is read before it is asked for. Within an epoch
    of Keras, and while being iterated, the next batches are prepared by threads while the current one is in use.

    A batch is `(inputs, targets)`, `(inputs, targets, sample_weight)` where there are weights, or `(inputs,)` without a
    target. `sample_weight` is `(batch,) float32`. With several targets, targets and weights are dicts by target name.
    Random operations are applied, but not in what `for_evaluation` gives, and not where there is neither a target nor
    `shuffle`, as such a sequence is for prediction.

    Args:
        table: One row a sample. It is neither copied nor changed.
        inputs: Input name -> loader, in the order of the model's inputs.
        target: What to predict: a target, several as target name -> target, or None.
        batch_size: Rows of a batch.
        shuffle: Whether each epoch has an order of its own. Give `fit` its argument `shuffle=False`, or it will
            permute the batches once more.
        seed: Fixes every order and every random operation.
        sample_weight: A column of weights, finite and at least 0; with several targets also target name -> column.
        class_weight: Weights by class for a `ClassLabel`, multiplied into the sample weights: class -> weight, or
            "balanced" for equal sums; with several targets, target name -> one of these. Not used in evaluation.
        sampler: How often rows come, in place of once an epoch: "balanced" for classes equally often, or a
            `BalancedSampler`, `WeightedSampler` or `Sampler` of your own. Implies `shuffle`. Not used in evaluation.
        sample_augment: Operations on whole samples, in order: from `multimodal_gen.augment`, or callables
            `(sample, rng) -> sample` on `augment.Sample`.
        batch_augment: Operations on whole batches, in order: likewise, `(batch, rng) -> batch` on `augment.Batch`.
        drop_remainder: Whether a last batch of fewer rows is left out.
        endless: Whether there is no last batch: `num_batches` is None, and after the last batch of an epoch comes the
            first of the next. For `fit(..., steps_per_epoch=...)`.
        inputs_as: "tuple", "dict" (by input name), "list" (not on the tensorflow backend, which refuses lists), or
            "array" for the array of a single input, as a `keras.Sequential` takes it.
        threads: Threads that decode; by default one a core.
        max_queue_size: Batches prepared ahead, at least 0.
        workers: Keras's worker count. It must be 1, as more of them replay stale batches on jax and torch; this class
            has threads of its own.
        use_multiprocessing: Must be False, for the same reason.

    Raises:
        TableError: If the table has no rows or lacks a column.
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        inputs: Mapping[str, Loader],
        target: Target | Mapping[str, Target] | None = None,
        *,
        batch_size: int = 32,
        shuffle: bool = False,
        seed: int = 0,
        sample_weight: str | Mapping[str, str] | None = None,
        class_weight: str | Mapping[Any, Any] | None = None,
        sampler: str | Sampler | None = None,
        sample_augment: Sequence[SampleAugmentation | Callable[[Sample, Any], Sample]] = (),
        batch_augment: Sequence[Callable[[Batch, Any], Batch]] = (),
        drop_remainder: bool = False,
        endless: bool = False,
        inputs_as: str = "tuple",
        threads: int | None = None,
        max_queue_size: int = 4,
        workers: int = 1,
        use_multiprocessing: bool = False,
    ) -> None:
        if workers != 1 or use_multiprocessing:
            raise ValueError(
                "Keras's own workers replay stale batches on jax and torch, and its processes hang if one dies; leave "
                "`workers=1`. Decoding is spread over `threads`, and `max_queue_size` batches are prepared ahead. "
                f"Received: workers={workers!r}, use_multiprocessing={use_multiprocessing!r}"
            )
        super().__init__(workers=1, use_multiprocessing=False, max_queue_size=max_queue_size)
        check_loaders(inputs, target)
        if max_queue_size < 0 or (threads is not None and threads < 1):
            raise ValueError(
                "`max_queue_size` must be at least 0 and `threads` at least 1. "
                f"Received: max_queue_size={max_queue_size!r}, threads={threads!r}"
            )
        check_operations(sample_augment, batch_augment)
        self.target, self.endless = target, endless
        named = target.items() if isinstance(target, Mapping) else [(None, target)] if target is not None else []
        targets: dict[str | None, Any] = dict(named)
        self.assembly = Assembly(
            table,
            dict(inputs),
            targets,
            Weights(weights_by_column(sample_weight, targets), {}, targets),
            tuple(sample_augment),
            tuple(batch_augment),
            augmenting=shuffle or target is not None,
            inputs_as=inputs_as,
            threads=threads or available_cores(),
        )
        check_columns(table, self.assembly.columns)
        by_class = weights_by_class(class_weight, targets, table)
        self.assembly = replace(self.assembly, weights=replace(self.assembly.weights, by_class=by_class))
        self.sampler = sampler_for(sampler, targets.get(None))
        weights = draw_weights(self.sampler, table)
        self.plan = Plan(
            len(table),
            batch_size,
            shuffle=shuffle or weights is not None,
            seed=seed,
            drop_remainder=drop_remainder,
            weights=weights,
        )
        self._epoch = 0
        self._ahead = ReadAhead(self._start, max_queue_size)

    # What Keras calls

    @property
    def num_batches(self) -> int | None:
        """Batches in an epoch, or None where there is no end."""
        return None if self.endless else self.plan.num_batches

    def __len__(self) -> int:
        if self.endless:
            raise TypeError("An endless sequence has no length; `sequence.plan.num_batches` counts those of one pass.")
        return self.plan.num_batches

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """The batch at a position of the current epoch; of an endless sequence, counting on from that epoch.

        Raises:
            IndexError: If there is no such batch.
            LoadError: If a cell cannot be loaded; it names the row's index, the column and the path.
        """
        position, stop = operator.index(index), sys.maxsize if self.endless else self.plan.num_batches
        if not (0 if self.endless else -stop) <= position < stop:
            raise IndexError(f"There are {'no earlier' if self.endless else stop} batches. Received: index={index!r}")
        batch: tuple[Any, ...] = self._ahead.take(self._epoch, position % stop, stop).result()
        return batch

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """One epoch, batch by batch, the next ones prepared ahead; without end if endless."""
        self._ahead.begin()
        try:
            for position in range(sys.maxsize if self.endless else self.plan.num_batches):
                yield self[position]
        finally:
            self._ahead.end()

    def on_epoch_begin(self) -> None:
        """Called by Keras: takes over the epoch that the running `fit` is in.

        Raises:
            ValueError: If the sequence is endless, and the caller does not say after how many steps to end.
        """
        problem = unbounded_call() if self.endless else None
        if problem:
            raise ValueError(f"{problem} for an endless sequence, or it would never end. Received: None")
        if self.plan.shuffle and predicting():
            warnings.warn(
                "The predictions come in the shuffled order of this sequence, not in the table's. Give `predict` "
                "`sequence.for_evaluation()` instead.",
                stacklevel=2,
            )
        epoch = running_epoch(self.plan.num_batches)
        if epoch is not None and not self.endless:
            self.epoch = epoch
        self._ahead.begin()

    def on_epoch_end(self) -> None:
        """Called by Keras, once before any training too: gives up what was prepared and not used."""
        self._ahead.end()

    # What users call

    @property
    def table(self) -> pd.DataFrame:
        """The table, as it was given."""
        return self.assembly.table

    @property
    def inputs(self) -> dict[str, Loader]:
        """Input name -> loader."""
        return dict(self.assembly.inputs)

    @property
    def augmenting(self) -> bool:
        """Whether random operations are applied."""
        return self.assembly.augmenting

    @property
    def epoch(self) -> int:
        """The epoch whose batches `sequence[i]` gives. `fit` sets it; in a loop of your own, set it yourself."""
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        if operator.index(epoch) < 0:
            raise ValueError(f"Epochs count from 0. Received: epoch={epoch!r}")
        if epoch != self._epoch:
            self._epoch = operator.index(epoch)
            self._ahead.give_up()

    @property
    def batch_size(self) -> int:
        """Rows of a batch, over all ranks."""
        return self.plan.batch_size

    @property
    def specs(self) -> dict[str, ArraySpec]:
        """Input name -> what the model is given under it, the batch axis left out."""
        return {name: loader.spec for name, loader in self.inputs.items()}

    def for_evaluation(self, table: pd.DataFrame | None = None) -> Self:
        """The same loaders on another table: the rows in its order, nothing random, every row once.

        Weights of rows stay, those of classes and the sampler do not.

        Args:
            table: The table; by default this sequence's own.
        """
        other = copy.copy(self)
        other.assembly = self.assembly.for_evaluation(self.table if table is None else table)
        other.sampler, other.endless = None, False
        other.plan = Plan(len(other.table), self.plan.batch_size, seed=self.plan.seed)
        if self.plan.world_size > 1:
            other.plan = other.plan.shard(self.plan.rank, self.plan.world_size)
        other._epoch = 0
        return other

    def shard(self, rank: int, world_size: int) -> Self:
        """The part of one of several processes: an equal slice of every batch, in the same order of rows.

        All ranks have the same number of batches of the same size; where rows do not suffice, the last ones are
        repeated with sample weight 0. `batch_size` keeps counting the rows of all ranks together.

        Args:
            rank: Which process this is, in [0, world_size).
            world_size: How many processes there are; `batch_size` must be a multiple of it.
        """
        other = copy.copy(self)
        other.plan = self.plan.shard(rank, world_size)
        if world_size > 1:
            other.assembly = replace(self.assembly, weights=replace(self.assembly.weights, always=True))
        return other

    def rows(self, index: int, epoch: int | None = None) -> pd.DataFrame:
        """The rows of the table that a batch is made of, in its order, padding left out."""
        epoch = self._epoch if epoch is None else epoch
        positions, padding = self.plan.batch(epoch + index // self.plan.num_batches, index % self.plan.num_batches)
        return self.table.iloc[positions[: len(positions) - padding]]

    def _start(self, epoch: int, index: int) -> PendingBatch:
        passes, position = divmod(index, self.plan.num_batches)
        return self.assembly.start(self.plan, epoch + passes, position)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_ahead"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._ahead = ReadAhead(self._start, self.max_queue_size)

    def __copy__(self) -> Self:
        other = type(self).__new__(type(self))
        other.__setstate__(self.__getstate__())
        return other

    def __repr__(self) -> str:
        state = (self._epoch, self.endless, self.max_queue_size)
        return describe(self.plan, self.assembly, self.sampler, *state)
