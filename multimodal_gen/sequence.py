"""The composite Sequence: a plan and loaders make batches of a table, for `fit`, `evaluate` and `predict`.

Here the parts meet: the plan says which rows and which random streams, the table gives their cells, loaders
turn these into arrays (`batch.py`), and Keras is handed tuples. Order, randomness and decoding are the business
of those parts and not of this file.
"""

from __future__ import annotations

import copy
import operator
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Self

import keras
import numpy as np
import pandas as pd

from multimodal_gen.batch import PendingBatch, ReadAhead, available_cores, check_loaders
from multimodal_gen.clock import predicting, running_epoch
from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.base import ArraySpec, Loader
from multimodal_gen.loaders.label import Target
from multimodal_gen.plan import Plan
from multimodal_gen.table import check_columns


class MultimodalSequence(keras.utils.PyDataset):
    """Batches of several inputs from one table; give it to `fit`, `evaluate` or `predict`.

    `sequence[i]` depends on the seed, the epoch and `i` alone. Nothing is read before it is asked for. Within an epoch
    of Keras, and while being iterated, the next batches are prepared by threads while the current one is in use.

    A batch is `(inputs, targets)`, `(inputs, targets, sample_weight)` where there are weights, or `(inputs,)` without a
    target. `sample_weight` is `(batch,) float32`. The loaders' random operations are applied, but not in what
    `for_evaluation` gives, and not where there is neither a target nor `shuffle`, as such a sequence is for prediction.

    Args:
        table: One row a sample. It is neither copied nor changed.
        inputs: Input name -> loader, in the order of the model's inputs.
        target: What to predict, or None.
        batch_size: Rows of a batch.
        shuffle: Whether each epoch has an order of its own. Give `fit` its argument `shuffle=False`, or it will
            permute the batches once more.
        seed: Fixes every order and every random operation.
        sample_weight: A column of weights, finite and at least 0.
        drop_remainder: Whether a last batch of fewer rows is left out.
        inputs_as: "tuple", "dict" (by input name) or "list" (not on the tensorflow backend, which refuses lists).
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
        target: Target | None = None,
        *,
        batch_size: int = 32,
        shuffle: bool = False,
        seed: int = 0,
        sample_weight: str | None = None,
        drop_remainder: bool = False,
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
        if inputs_as not in ("tuple", "dict", "list"):
            raise ValueError(f'`inputs_as` must be "tuple", "dict" or "list". Received: inputs_as={inputs_as!r}')
        if max_queue_size < 0 or (threads is not None and threads < 1):
            raise ValueError(
                "`max_queue_size` must be at least 0 and `threads` at least 1. "
                f"Received: max_queue_size={max_queue_size!r}, threads={threads!r}"
            )
        self.table = table
        self.inputs = dict(inputs)
        self.target = target
        self.inputs_as = inputs_as
        self.sample_weight = sample_weight
        self.augmenting = shuffle or target is not None
        self.threads = threads or available_cores()
        check_columns(table, self._columns())
        self.plan = Plan(len(table), batch_size, shuffle=shuffle, seed=seed, drop_remainder=drop_remainder)
        self._epoch = 0
        self._ahead = ReadAhead(self._start, max_queue_size)

    def _columns(self) -> list[str]:
        columns = [] if self.sample_weight is None else [self.sample_weight]
        for loader in (*self.inputs.values(), *([] if self.target is None else [self.target])):
            columns += [loader.column] if isinstance(loader.column, str) else list(loader.column)
        return columns

    # What Keras calls

    @property
    def num_batches(self) -> int:
        """Batches in an epoch."""
        return self.plan.num_batches

    def __len__(self) -> int:
        return self.plan.num_batches

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """The batch at a position of the current epoch.

        Raises:
            IndexError: If there is no such batch.
            LoadError: If a cell cannot be loaded; it names the row's index, the column and the path.
        """
        position = operator.index(index)
        if not -len(self) <= position < len(self):
            raise IndexError(f"There are {len(self)} batches. Received: index={index!r}")
        position %= len(self)
        epoch = self._epoch
        batch = self._ahead.take(epoch, position, len(self))
        return self._packed(batch.result(), epoch, position)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """One epoch, batch by batch, the next ones prepared ahead."""
        self._ahead.switch(True)
        try:
            for position in range(len(self)):
                yield self[position]
        finally:
            self._ahead.switch(False)

    def on_epoch_begin(self) -> None:
        """Called by Keras: takes over the epoch that the running `fit` is in."""
        if self.plan.shuffle and predicting():
            warnings.warn(
                "The predictions come in the shuffled order of this sequence, not in the table's. Give `predict` "
                "`sequence.for_evaluation()` instead.",
                stacklevel=2,
            )
        epoch = running_epoch()
        if epoch is not None:
            self.epoch = epoch
        self._ahead.switch(True)

    def on_epoch_end(self) -> None:
        """Called by Keras, once before any training too: gives up what was prepared and not used."""
        self._ahead.switch(False)

    # What users call

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

        Args:
            table: The table; by default this sequence's own.
        """
        table = self.table if table is None else table
        other = copy.copy(self)
        other.table, other.augmenting = table, False
        check_columns(table, other._columns())
        other.plan = Plan(len(table), self.plan.batch_size, seed=self.plan.seed)
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
        return other

    def rows(self, index: int, epoch: int | None = None) -> pd.DataFrame:
        """The rows of the table that a batch is made of, in its order, padding left out."""
        positions, padding = self.plan.batch(self._epoch if epoch is None else epoch, index)
        return self.table.iloc[positions[: len(positions) - padding]]

    # Making a batch

    def _start(self, epoch: int, index: int) -> PendingBatch:
        positions, _ = self.plan.batch(epoch, index)
        # Targets come after inputs under a key that no input can have.
        loaders: dict[Any, Loader] = dict(self.inputs)
        if self.target is not None:
            loaders[None] = self.target
        cells = {name: self._cells(loader.column, positions) for name, loader in loaders.items()}

        def rng_of(row: int, loader: Loader) -> np.random.Generator:
            return self.plan.rng(epoch, positions[row], loader.column)

        labels = self.table.index.take(positions).tolist()
        return PendingBatch(loaders, cells, labels, rng_of if self.augmenting else None, self.threads)

    def _cells(self, column: str | tuple[str, ...], positions: np.ndarray) -> list[Any]:
        if isinstance(column, str):
            return self.table[column].array.take(positions).tolist()
        return list(zip(*(self._cells(one, positions) for one in column), strict=True))

    def _packed(self, arrays: dict[Any, np.ndarray], epoch: int, index: int) -> tuple[Any, ...]:
        inputs: Any = {name: arrays[name] for name in self.inputs}
        if self.inputs_as != "dict":
            inputs = tuple(inputs.values()) if self.inputs_as == "tuple" else list(inputs.values())
        if self.target is None:
            return (inputs,)
        weights = self._weights(epoch, index)
        return (inputs, arrays[None]) if weights is None else (inputs, arrays[None], weights)

    def _weights(self, epoch: int, index: int) -> np.ndarray | None:
        if self.sample_weight is None and self.plan.world_size == 1:
            return None
        positions, padding = self.plan.batch(epoch, index)
        weights = np.ones(len(positions), "float32")
        if self.sample_weight is not None:
            cells = self._cells(self.sample_weight, positions)
            for position, cell in zip(positions, cells, strict=True):
                if not isinstance(cell, int | float | np.number) or not np.isfinite(cell) or cell < 0:
                    reason = f"a sample weight must be a finite number, at least 0. Received: {cell!r}"
                    raise LoadError(reason).at(self.table.index[[position]].tolist()[0], self.sample_weight)
            weights[:] = cells
        weights[len(weights) - padding :] = 0
        return weights

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
        plan = self.plan
        short = plan.num_rows % plan.batch_size
        last = f", the last of {short}" if short and not plan.drop_remainder else ""
        order = "a new order every epoch" if plan.shuffle else "the table's order"
        lines = [
            f"MultimodalSequence: {plan.num_rows:,} rows in {plan.num_batches:,} batches of {plan.batch_size}{last}",
            *(f"  {name}: {loader.spec} from {loader.column!r}" for name, loader in self.inputs.items()),
            f"  target: {'none' if self.target is None else f'{self.target.spec} from {self.target.column!r}'}",
            f"  {order}, seed {plan.seed}, epoch {self._epoch}, {'' if self.augmenting else 'not '}augmenting",
            f"  {self.threads} threads, {self.max_queue_size} batches ahead, inputs as {self.inputs_as}",
        ]
        if self.sample_weight is not None:
            lines.append(f"  sample weights from {self.sample_weight!r}")
        if plan.world_size > 1:
            lines.append(f"  rank {plan.rank} of {plan.world_size}")
        return "\n".join(lines)
