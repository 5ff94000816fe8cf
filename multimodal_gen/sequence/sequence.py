"""The composite Sequence: a plan and loaders make batches of a table, for `fit`, `evaluate` and
`predict`.

Here the parts meet: the plan says which rows and which random streams, an `Assembly` makes arrays
of their cells, and the `BatchReader` below hands them to Keras. Order, randomness and decoding are
the business of those parts.
"""

from __future__ import annotations

import copy
import operator
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import pandas as pd

from multimodal_gen.augment.batch import Batch
from multimodal_gen.augment.sample import Sample, SampleAugmentation
from multimodal_gen.batch.assembly import Assembly, Reading, columns_read
from multimodal_gen.batch.buckets import learn_buckets
from multimodal_gen.batch.cache import ArrayCache
from multimodal_gen.batch.draft import Draft
from multimodal_gen.batch.pending import PendingBatch
from multimodal_gen.batch.threads import available_cores
from multimodal_gen.batch.weights import Weights, weights_by_class, weights_by_column
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.rows.checks import check_switches
from multimodal_gen.rows.plan import Plan
from multimodal_gen.rows.sampling import Sampler, draw_weights
from multimodal_gen.rows.table import check_columns
from multimodal_gen.sequence.arguments import (
    check_form,
    check_loaders,
    check_operations,
    check_policy,
    check_together,
    check_workers,
    sampler_for,
)
from multimodal_gen.sequence.description import describe
from multimodal_gen.sequence.reader import BatchReader
from multimodal_gen.sequence.replay import place_of, position_of, row_of
from multimodal_gen.spec import ArraySpec, with_masks


class MultimodalSequence(BatchReader):
    """Batches of several inputs from one table; give it to `fit`, `evaluate` or `predict`.

    `sequence[i]` depends on the seed, the epoch and `i` alone. Nothing is read before it is asked
    for. Within an epoch of Keras, and while being iterated, the next batches are prepared by
    threads while the current one is in use.

    A batch is `(inputs, targets)`, `(inputs, targets, sample_weight)` where there are weights, or
    `(inputs,)` without a target. `inputs` is a list of arrays, one for each input. `sample_weight`
    is `(batch,) float32`. With several targets, targets and weights are dicts by target name.
    Random operations are applied, but not in what `for_evaluation` gives, and not where there is
    neither a target nor `shuffle`, as such a sequence is for prediction.

    Args:
        table: One row a sample. It is neither copied nor changed.
        inputs: Input name -> loader, in the order of the model's inputs.
        target: What to predict: a target, several as target name -> target, or None.
        batch_size: Rows of a batch.
        shuffle: Whether each epoch has an order of its own. Give `fit` its argument
            `shuffle=False`, or it will permute the batches once more.
        seed: Fixes every order and every random operation.
        sample_weight: A column of weights, finite and at least 0; with several targets also target
            name -> column.
        class_weight: Weights by class for a `ClassLabel`, multiplied into the sample weights: class
            -> weight, or "balanced" for equal sums; with several targets, target name -> one of
            these. Not used in evaluation.
        sampler: How often rows come, in place of once an epoch: "balanced" for classes equally
            often, or a `BalancedSampler`, `WeightedSampler` or `Sampler` of your own. Implies
            `shuffle`. Not used in evaluation.
        bucket_by_length: Name of an input of tokens. Full batches are then made of captions of like
            length, and padded to one of a handful of lengths instead of the loader's; a
            `MaskedTokens` of that loader likewise. Needs `shuffle` or a sampler, and tokenizes
            every caption once to begin with. Not used in evaluation.
        sample_augment: Operations on whole samples, in order: from `multimodal_gen.augment`, or
            callables `(sample, rng) -> sample` on `augment.Sample`.
        batch_augment: Operations on whole batches, in order: likewise, `(batch, rng) -> batch` on
            `augment.Batch`.
        cache: A directory that keeps what loaders have read (pictures decoded and resized, token
            ids) for later epochs and runs, keyed by the cells, files and settings that it was read
            with. Random operations come after it.
        cache_limit: Bytes that the directory may take; what is beyond is read anew each time.
        on_error: What becomes of a row of which a cell cannot be loaded: "raise" stops with a
            `LoadError`; "skip" leaves it out, so that its batch is shorter; "blank" gives zeros for
            the cell and sample weight 0 for the row, so that shapes stay. With the latter two every
            batch has sample weights, and `failures` lists the rows.
        max_error_rate: The share of rows read (of at least 10,000, or the whole table) that may be
            lost that way.
        read_timeout: Seconds after which a read that hangs, on a network drive say, is an error of
            its row.
        drop_remainder: Whether a last batch of fewer rows is left out.
        endless: Whether there is no last batch: `num_batches` is None, and after the last batch of
            an epoch comes the first of the next. For `fit(..., steps_per_epoch=...)`.
        inputs_as: "list", in the order of `inputs`; "tuple"; "dict" by input name; or "array" for
            the array of a single input, as a `keras.Sequential` takes it. On the tensorflow
            backend, Keras itself is handed a tuple in place of a list, as it takes no list from a
            dataset there.
        threads: Threads that decode; by default one a core.
        max_queue_size: Batches prepared ahead, at least 0.
        workers: Keras's worker count. It must be 1, as more of them replay stale batches on jax and
            torch; this class has threads of its own.
        use_multiprocessing: Must be False, for the same reason.

    Raises:
        TableError: If the table has no rows or lacks a column.
        ValueError: If an argument is out of its range.
        LoadError: If a caption to be measured for `bucket_by_length` cannot be loaded.
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
        bucket_by_length: str | None = None,
        sample_augment: Sequence[SampleAugmentation | Callable[[Sample, Any], Sample]] = (),
        batch_augment: Sequence[Callable[[Batch, Any], Batch]] = (),
        cache: str | os.PathLike[str] | None = None,
        cache_limit: int | None = None,
        on_error: str = "raise",
        max_error_rate: float = 0.1,
        read_timeout: float | None = None,
        drop_remainder: bool = False,
        endless: bool = False,
        inputs_as: str = "list",
        threads: int | None = None,
        max_queue_size: int = 4,
        workers: int = 1,
        use_multiprocessing: bool = False,
    ) -> None:
        check_workers(workers, use_multiprocessing, max_queue_size, threads)
        check_switches(shuffle=shuffle, drop_remainder=drop_remainder, endless=endless)
        check_loaders(inputs, target)
        if cache is None and cache_limit is not None:
            raise ValueError(
                f"`cache_limit` needs `cache`. Received: cache=None, cache_limit={cache_limit!r}"
            )
        check_operations(sample_augment, batch_augment)
        check_policy(on_error, max_error_rate, read_timeout, has_target=target is not None)
        named = (
            target.items()
            if isinstance(target, Mapping)
            else [(None, target)]
            if target is not None
            else []
        )
        targets: dict[str | None, Any] = dict(named)
        tolerant = on_error != "raise"
        check_form(inputs, inputs_as)
        augmenting = shuffle or target is not None
        if augmenting:
            check_together(inputs, targets)
        by_column = weights_by_column(sample_weight, targets)
        check_columns(table, columns_read(inputs, targets, list(dict.fromkeys(by_column.values()))))
        by_class = weights_by_class(class_weight, targets, table)
        self.target, self.sampler = target, sampler_for(sampler, targets.get(None))
        weights = draw_weights(self.sampler, table)
        shuffle = shuffle or weights is not None
        buckets = learn_buckets(
            bucket_by_length, table, inputs, targets, shuffle=shuffle, tolerant=tolerant
        )
        assembly = Assembly(
            table,
            dict(inputs),
            targets,
            Weights(by_column, by_class, targets, always=bool(targets) and tolerant),
            tuple(sample_augment),
            tuple(batch_augment),
            augmenting=augmenting,
            inputs_as=inputs_as,
            reading=Reading(threads or available_cores(), read_timeout),
            on_error=on_error,
            max_error_rate=max_error_rate,
            buckets=buckets,
            cache=None if cache is None else ArrayCache(cache, limit=cache_limit),
        )
        plan = Plan(
            len(table),
            batch_size,
            shuffle=shuffle,
            seed=seed,
            drop_remainder=drop_remainder,
            weights=weights,
            buckets=None if buckets is None else buckets.of_row,
        )
        super().__init__(assembly, plan, endless=endless, max_queue_size=max_queue_size)

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
    def batch_size(self) -> int:
        """Rows of a batch, over all ranks."""
        return self.plan.batch_size

    @property
    def specs(self) -> dict[str, ArraySpec]:
        """Input name -> what the model is given under it, the batch axis left out."""
        return with_masks(self.inputs)

    @property
    def failures(self) -> pd.DataFrame:
        """The cells that could not be loaded so far, each once, in the order of the table.

        The columns are "index" (the row's label in the table's own index), "column", "path" (None
        where there is no file), "error", and "epoch", the first in which it was met. `to_csv(path,
        index=False)` writes what `leave_out` reads.
        """
        return self.assembly.failures.frame()

    def for_evaluation(self, table: pd.DataFrame | None = None) -> Self:
        """The same loaders on another table: the rows in its order, nothing random, every row once.

        Weights of rows stay, those of classes and the sampler do not. It has no epochs: a pass is
        like any other.

        Args:
            table: The table; by default this sequence's own.
        """
        other = copy.copy(self)
        other.assembly = self.assembly.for_evaluation(self.table if table is None else table)
        other.sampler, other.endless = None, False
        other.plan = Plan(len(other.table), self.plan.batch_size, seed=self.plan.seed)
        if self.plan.world_size > 1:
            other.plan = other.plan.shard(self.plan.rank, self.plan.world_size)
        other._epoch, other._counting = 0, False
        return other

    def shard(self, rank: int, world_size: int) -> Self:
        """The part of one of several processes: an equal slice of every batch, in the same order of
        rows.

        All ranks have the same number of batches of the same size; where rows do not suffice, the
        last ones are repeated with sample weight 0. `batch_size` keeps counting the rows of all
        ranks together.

        Args:
            rank: Which process this is, in [0, world_size).
            world_size: How many processes there are; `batch_size` must be a multiple of it.
        """
        other = copy.copy(self)
        other.plan = self.plan.shard(rank, world_size)
        if world_size > 1 and self.assembly.on_error == "skip":
            raise ValueError(
                'Ranks need batches of the same size; take `on_error="blank"` in place of "skip". '
                f"Received: world_size={world_size!r}"
            )
        if world_size > 1:
            other.assembly = replace(
                self.assembly, weights=replace(self.assembly.weights, always=True)
            )
        return other

    def rows(self, index: int, epoch: int | None = None) -> pd.DataFrame:
        """The rows of the table that a batch is made of, in its order, padding left out."""
        epoch = self._epoch if epoch is None else epoch
        positions, padding = self.plan.batch(
            epoch + index // self.plan.num_batches, index % self.plan.num_batches
        )
        return self.table.iloc[positions[: len(positions) - padding]]

    def replay(self, epoch: int, row: Any) -> tuple[Any, ...]:
        """The arrays that a row had in an epoch, all random operations included: its batch is made
        once more.

        Args:
            epoch: Counts from 0; of an endless sequence, the pass over the table.
            row: The row's label in the table's own index.

        Returns:
            A batch of this one row, in the form of every other batch. A row that a sampler drew
            several times is given as it came first; of `shard`s, as the rank had it that had it.

        Raises:
            KeyError: If no row has the label.
            ValueError: If several have, or the row did not come in that epoch.
            LoadError: If the row cannot be loaded, and is therefore left out.
        """
        position = position_of(self.table.index, row)
        found = place_of(self.plan, operator.index(epoch), position)
        if found is None:
            why = (
                "the sampler did not draw it"
                if self.sampler
                else "it is in the remainder that is dropped"
            )
            raise ValueError(
                f"The row was not in that epoch: {why}. Received: epoch={epoch!r}, row={row!r}"
            )
        plan, index, place = found
        # Where bad rows are left out, the place of a row depends on them.
        assembly = (
            self.assembly
            if self.assembly.on_error == "raise"
            else replace(self.assembly, on_error="blank")
        )
        whole = PendingBatch(Draft(assembly, plan, epoch, index)).result()
        batch: tuple[Any, ...] = row_of(whole, place)
        error = assembly.failures.error_of(position)
        if error is not None and self.assembly.on_error == "skip":
            raise error
        return batch

    def __repr__(self) -> str:
        state = (self._epoch, self.endless, self.max_queue_size)
        return describe(self.plan, self.assembly, self.sampler, *state)
