"""The composite Sequence: batches of a table for `fit`, `evaluate` and `predict`.

The parts meet here: the plan chooses rows and random streams, an `Assembly` turns cells into
arrays, and `BatchReader`, the base class, gives them to Keras.
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
from multimodal_gen.batch.processes.choice import choose
from multimodal_gen.batch.threads import available_cores, default_threads
from multimodal_gen.batch.weights import Weights, weights_by_class, weights_by_column
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.rows.checks import check_switches
from multimodal_gen.rows.mixing import drawn
from multimodal_gen.rows.plan import Plan
from multimodal_gen.rows.sampling import Sampler
from multimodal_gen.rows.table import check_columns
from multimodal_gen.sequence.arguments import (
    check_cache,
    check_form,
    check_loaders,
    check_operations,
    check_policy,
    check_together,
    check_workers,
    sampler_for,
)
from multimodal_gen.sequence.balancing import warn_of_double_weights
from multimodal_gen.sequence.description import describe
from multimodal_gen.sequence.reader import BatchReader
from multimodal_gen.sequence.replay import replay_row
from multimodal_gen.spec import ArraySpec, by_name


class MultimodalSequence(BatchReader):
    """Batches of several inputs from one table, for `fit`, `evaluate` or `predict`.

    `sequence[i]` depends only on the seed, the epoch and `i`. Nothing is read before it is needed.
    During an epoch of Keras, and during iteration, threads prepare the next batches while the
    current one is in use.

    A batch is `(inputs, targets)`, `(inputs, targets, sample_weight)` where there are weights, or
    `(inputs,)` without a target. `inputs` is a list of arrays, one for each input. `sample_weight`
    is `(batch,) float32`. With several targets, targets and weights are dicts by target name.
    Random operations are applied, except after `for_evaluation` and for prediction, which is a
    sequence with neither a target nor `shuffle`.

    Args:
        table: One row per sample. It is neither copied nor changed.
        inputs: Input name -> loader, in the order of the model's inputs.
        target: What to predict: a target, several as target name -> target, or None.
        batch_size: Rows per batch.
        shuffle: Whether each epoch has a new order. Also pass `shuffle=False` to `fit`, or Keras
            permutes the batches again.
        seed: Determines every order and every random operation.
        sample_weight: A column of weights, finite and at least 0; for several targets, also target
            name -> column.
        class_weight: Weights by class for a `ClassLabel`, multiplied into the sample weights: class
            -> weight, or "balanced" for equal sums; for several targets, target name -> one of
            these. Not used in evaluation.
        sampler: How often each row is drawn, instead of once per epoch: "balanced" for equally
            frequent classes, or a `BalancedSampler`, `WeightedSampler`, `Mix` of several tables, or
            your own `Sampler`. Implies `shuffle`. Not used in evaluation.
        bucket_by_length: Name of an input of tokens. Full batches then hold captions of similar
            length, padded to one of at most 5 lengths instead of the loader's; so does a
            `MaskedTokens` of that loader. Needs `shuffle` or a sampler, and tokenizes every caption
            once at the start. Not used in evaluation.
        sample_augment: Operations on whole samples, in order: from `multimodal_gen.augment`, or
            callables `(sample, rng) -> sample` on `augment.Sample`.
        batch_augment: Operations on whole batches, in order: likewise, or callables `(batch, rng)
            -> batch` on `augment.Batch`.
        cache: A directory that keeps arrays that loaders have read (decoded and resized pictures,
            token ids) for later epochs and runs, by cell, file and settings. Random operations are
            applied after it.
        cache_limit: Maximum bytes of the directory; anything beyond is read again each time.
        on_error: What happens to a row with a cell that cannot be loaded. "raise" stops with a
            `LoadError`. "skip" omits the row, so its batch is shorter. "blank" gives zeros for the
            cell and sample weight 0 for the row, so shapes stay the same. With "skip" and "blank"
            every batch has sample weights, and `failures` lists the rows.
        max_error_rate: Share of the rows read so far (of at least 10,000, or the whole table) that
            may be lost this way.
        read_timeout: Seconds after which a hanging read, as of a dead drive, is a bad row.
        drop_remainder: Whether a shorter last batch is dropped.
        endless: Whether epochs follow each other without end, and `num_batches` is None. For
            `fit(..., steps_per_epoch=...)`.
        inputs_as: "list" or "tuple", in the order of `inputs`; "dict" by input name; or "array" for
            the array of a single input, as a `keras.Sequential` needs. On tensorflow, Keras gets a
            tuple instead of a list, because it does not accept lists from a dataset there.
        threads: Threads that decode; by default one per core, up to 8.
        processes: Worker processes that make batches, the same bytes; 0 for threads. By default one
            per core, or 0 with fewer than 4 cores or 2,000 rows, a filled `cache`, or no pictures;
            `print(sequence)` says which, and why.
        max_queue_size: Batches prepared ahead, at least 0.
        workers: Keras's worker count. It must be 1, as more workers replay stale batches on jax and
            torch; this class has its own threads.
        use_multiprocessing: Must be False, for the same reason.

    Raises:
        TableError: If the table has no rows or lacks a column.
        ValueError: If an argument is out of range.
        LoadError: If `bucket_by_length` is set and a caption cannot be loaded.
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
        processes: int | None = None,
        max_queue_size: int = 4,
        workers: int = 1,
        use_multiprocessing: bool = False,
    ) -> None:
        check_workers(workers, use_multiprocessing, max_queue_size, threads, processes)
        check_switches(shuffle=shuffle, drop_remainder=drop_remainder, endless=endless)
        check_loaders(inputs, target)
        check_cache(cache, cache_limit)
        check_operations(sample_augment, batch_augment)
        check_policy(on_error, max_error_rate, read_timeout, has_target=target is not None)
        targets: dict[str | None, Any] = by_name(target)
        check_form(inputs, inputs_as)
        tolerant = on_error != "raise"
        # Without either it is a prediction, and nothing may change what is predicted.
        augmenting = shuffle or target is not None
        if augmenting:
            check_together(inputs, targets)
        by_column = weights_by_column(sample_weight, targets)
        check_columns(table, columns_read(inputs, targets, list(dict.fromkeys(by_column.values()))))
        by_class = weights_by_class(class_weight, targets, table)
        self.target, self.sampler = target, sampler_for(sampler, targets.get(None))
        warn_of_double_weights(self.sampler, targets, by_class, by_column, table)
        weights, mixture = drawn(self.sampler, table)
        shuffle = shuffle or self.sampler is not None
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
            reading=Reading(threads or default_threads(), read_timeout),
            on_error=on_error,
            max_error_rate=max_error_rate,
            buckets=buckets,
            cache=None if cache is None else ArrayCache(cache, limit=cache_limit),
        )
        plan = Plan(
            len(table) if mixture is None else mixture.num_rows,
            batch_size,
            shuffle=shuffle,
            seed=seed,
            drop_remainder=drop_remainder,
            weights=weights,
            buckets=None if buckets is None else buckets.of_row,
            mixture=mixture,
        )
        choice = choose(processes, assembly, plan.num_batches, available_cores())
        super().__init__(assembly, plan, choice, endless=endless, max_queue_size=max_queue_size)

    @property
    def table(self) -> pd.DataFrame:
        """The table that was passed in."""
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
        """Rows per batch, over all ranks."""
        return self.plan.batch_size

    @property
    def specs(self) -> dict[str, ArraySpec]:
        """Input name -> spec of the array that the model gets, without the batch axis."""
        return dict(self.assembly.specs)

    @property
    def failures(self) -> pd.DataFrame:
        """The cells that could not be loaded so far, each once, in the order of the table.

        The columns are "index" (the row's label in the table's own index), "column", "path" (None
        if there is no file), "error", and "epoch" (the first in which it occurred). `to_csv(path,
        index=False)` writes a file that `leave_out` reads.
        """
        return self.assembly.failures.frame()

    def for_evaluation(self, table: pd.DataFrame | None = None) -> Self:
        """Return a sequence for evaluation: the table's order, nothing random, each row once.

        Sample weights are kept; class weights and the sampler are not. All epochs are the same.

        Args:
            table: The table; by default this sequence's own.
        """
        other = copy.copy(self)
        other.assembly = self.assembly.for_evaluation(self.table if table is None else table)
        other.sampler, other.endless = None, False
        plan = Plan(len(other.table), self.plan.batch_size, seed=self.plan.seed)
        other.plan = plan.shard(self.plan.rank, self.plan.world_size)
        other._epoch, other._counting = 0, False
        return other

    def shard(self, rank: int, world_size: int) -> Self:
        """Return the part of one of several processes: an equal slice of every batch.

        All ranks have equally many batches of the same size. If there are too few rows, the last
        ones are repeated with sample weight 0. `batch_size` still counts the rows of all ranks.

        Args:
            rank: Which process this is, in [0, world_size).
            world_size: Number of processes; `batch_size` must be a multiple of it.
        """
        other = copy.copy(self)
        other.plan = self.plan.shard(rank, world_size)
        if world_size > 1 and self.assembly.on_error == "skip":
            raise ValueError(
                '`on_error` must be "blank" or "raise" for several ranks, as their batches must '
                f"have the same size. Received: on_error='skip', world_size={world_size!r}"
            )
        if world_size > 1:
            other.assembly = replace(
                self.assembly, weights=replace(self.assembly.weights, always=True)
            )
        return other

    def rows(self, index: int, epoch: int | None = None) -> pd.DataFrame:
        """Return the table's rows that are in a batch, in the batch's order, without padding."""
        epoch = self._epoch if epoch is None else epoch
        further, index = divmod(index, self.plan.num_batches)
        positions, padding = self.plan.batch(epoch + further, index)
        return self.table.iloc[positions[: len(positions) - padding]]

    def replay(self, epoch: int, row: Any) -> tuple[Any, ...]:
        """Make a row's arrays of an epoch again, including all random operations.

        Args:
            epoch: Counts from 0; for an endless sequence, the pass over the table.
            row: The row's label in the table's own index.

        Returns:
            A batch of this single row, in the form of any other batch. If a sampler drew the row
            several times, it is the first; with `shard`, it is that of the row's own rank.

        Raises:
            KeyError: If no row has the label.
            ValueError: If several rows have it, or the row was not in that epoch.
            LoadError: If the row cannot be loaded, unless `on_error` is "blank".
        """
        return replay_row(self.assembly, self.plan, operator.index(epoch), row)

    def __repr__(self) -> str:
        state = (self._epoch, self.endless, self.max_queue_size)
        return describe(self.plan, self.assembly, self.sampler, self.makers, *state)
