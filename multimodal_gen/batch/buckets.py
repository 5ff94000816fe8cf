"""Groups captions of similar length: a few lengths learned from a table, and each row's bucket.

The plan makes batches of rows from one bucket, and the loader pads them to its full length. Here
the token arrays of a batch are cut to the shortest length that holds them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from tqdm import tqdm

from multimodal_gen.augment.batch import Batch
from multimodal_gen.batch.batch_rows import BatchRows
from multimodal_gen.batch.slots import Slot, arrays_of, batch_of
from multimodal_gen.errors import LoaderError, LoadError
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.reading import read_rows
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.rows.cells import is_missing
from multimodal_gen.rows.plan import Plan
from multimodal_gen.rows.table import cells_of
from multimodal_gen.spec import by_name

# Each length is a shape that a backend compiles once, so there are few. Multiples of 8 suit the
# vector units of processors, and at most 256 candidates keep the search cheap.
_MOST_LENGTHS, _MULTIPLE, _MOST_CANDIDATES = 5, 8, 256
_CHUNK_ROWS, _ROWS_WITH_A_BAR = 1000, 100_000


@dataclass(frozen=True)
class Buckets:
    """The lengths that batches of one input come in.

    Args:
        name: Name of the input.
        targets: Names of the targets that are cut like it.
        lengths: At most 5 lengths in ids, ascending. The last holds every caption of the table.
        full: The length that the loader yields, used if random operations make a caption longer
            than the last of `lengths`.
        left: Whether padding is on the left.
        of_row: `(num_rows,) uint8`, position in `lengths` of the shortest one that holds each row.
        ids: Number of ids in the rows of each bucket, without padding.
    """

    name: str
    targets: tuple[str | None, ...]
    lengths: tuple[int, ...]
    full: int
    left: bool
    of_row: np.ndarray = field(repr=False, compare=False)
    ids: np.ndarray = field(repr=False, compare=False)

    def length(self, batch: Batch, plan: Plan, rows: BatchRows) -> int:
        """Return the length for a filled batch: the shortest one that holds its longest row.

        All ranks of a plan need the same length, so it is that of the whole batch's longest
        caption.

        Raises:
            LoaderError: If there are several ranks, and a random operation has made a caption
                longer than that.
        """
        needed = max(self._used(array) for array in self._arrays(batch))
        if plan.num_batches == 1:
            # Keras on tensorflow learns from the first two batches which axes vary, and here is
            # only one.
            return self.full
        if plan.world_size == 1:
            return next((one for one in self.lengths if one >= needed), self.full)
        length = self.lengths[rows.bucket()]
        if needed > length:
            raise LoaderError(
                "With `bucket_by_length` and `shard`, no random operation may make a caption of "
                f"{self.name!r} longer, as all ranks need batches of the same shape. Remove the "
                f"operation, or `bucket_by_length`. Received: {needed} ids in a batch of length "
                f"{length}"
            )
        return length

    def cut(self, batch: Batch, length: int) -> Batch:
        """Return the batch with arrays of tokens cut to `(batch, length)`."""
        cut = {Slot("input", self.name), *(Slot("target", name) for name in self.targets)}
        arrays = arrays_of(batch)
        for slot in cut:
            arrays[slot] = self._shortened(arrays[slot], length)
        return batch_of(arrays, batch.specs)

    def padding(self, plan: Plan, epoch: int) -> tuple[float, float]:
        """Return the share of padding in an epoch's ids, and the share at the full length."""
        rows = self.of_row[plan.order(epoch)[: plan.num_batches * plan.batch_size]]
        # A sampler may draw a row several times, so each row counts as the mean of its bucket.
        ids = (
            np.bincount(rows, minlength=len(self.ids))
            * (self.ids / np.maximum(np.bincount(self.of_row), 1))
        ).sum()
        starts = np.arange(0, len(rows), plan.batch_size)
        longest = np.array(self.lengths)[np.maximum.reduceat(rows, starts)]
        # As in `length`: a single batch is not cut.
        longest = np.full_like(longest, self.full) if plan.num_batches == 1 else longest
        places = (longest * np.diff(starts, append=len(rows))).sum()
        return float(1 - ids / places), float(1 - ids / (len(rows) * self.full))

    def _arrays(self, batch: Batch) -> list[np.ndarray]:
        return [batch.inputs[self.name], *(by_name(batch.target)[name] for name in self.targets)]

    def _used(self, array: np.ndarray) -> int:
        used = np.flatnonzero((array != 0).any(axis=0))
        if not len(used):
            return 0
        return int(self.full - used[0] if self.left else used[-1] + 1)

    def _shortened(self, array: np.ndarray, length: int) -> np.ndarray:
        return np.ascontiguousarray(
            array[:, self.full - length :] if self.left else array[:, :length]
        )


def learn_buckets(
    name: str | None,
    table: pd.DataFrame,
    inputs: Mapping[str, Loader],
    targets: Mapping[str | None, Loader],
    *,
    shuffle: bool,
    tolerant: bool = False,
) -> Buckets | None:
    """Check the argument `bucket_by_length`, and tokenize all captions once to learn their lengths.

    The lengths are the multiples of 8 that leave the least padding.

    Args:
        name: Name of an input of kind "tokens", or None.
        table: The rows; more than 100,000 of them show a progress bar.
        inputs: Input name -> loader.
        targets: Target name -> target.
        shuffle: Whether the order of rows may be changed.
        tolerant: Whether a caption that cannot be loaded counts as empty; it is reported when its
            batch is made.

    Raises:
        ValueError: If there is no such input, it is not of kind "tokens", or `shuffle` is False.
        LoadError: If a caption cannot be loaded; it names the row's index and the column.
    """
    if name is None:
        return None
    loader = inputs.get(name)
    if loader is None or loader.spec.kind != "tokens" or len(loader.spec.shape) != 1:
        kinds = {one: inputs[one].spec.kind for one in inputs}
        raise ValueError(
            "`bucket_by_length` must name an input of kind 'tokens'; the kinds of the inputs "
            f"are {kinds}. Received: bucket_by_length={name!r}"
        )
    if not shuffle:
        raise ValueError(
            "`bucket_by_length` changes the order of rows, so it needs `shuffle=True` or a "
            f"sampler. Received: bucket_by_length={name!r}, shuffle=False"
        )
    full, left = loader.spec.shape[0], loader.pads_left
    of_each = _lengths(loader, table, left, tolerant)
    lengths = _least_padding(of_each, full)
    of_row = np.searchsorted(lengths, of_each).astype("uint8")
    alike = tuple(key for key, one in targets.items() if _is_cut_like(one, loader))
    return Buckets(name, alike, lengths, full, left, of_row, np.bincount(of_row, of_each))


def _is_cut_like(target: Loader, loader: Loader) -> bool:
    # A target with a value per token of the input, such as `MaskedTokens`.
    own = target.loader if isinstance(target, Target) else None
    return own == loader and target.spec.shape == loader.spec.shape


def _lengths(loader: Loader, table: pd.DataFrame, left: bool, tolerant: bool) -> np.ndarray:
    # (rows,) uint32: the number of ids before the padding.
    lengths = np.empty(len(table), "uint32")
    starts = range(0, len(table), _CHUNK_ROWS)
    with tqdm(
        total=len(table),
        desc="measuring captions",
        unit="row",
        disable=len(table) <= _ROWS_WITH_A_BAR,
    ) as bar:
        for start in starts:
            rows = np.arange(start, min(start + _CHUNK_ROWS, len(table)))
            used = np.stack(_read(loader, table, rows, tolerant)) != 0
            # Turned around, so that `argmax` finds the last id instead of the first.
            used = used if left else used[:, ::-1]
            lengths[rows] = np.where(used.any(axis=1), used.shape[1] - used.argmax(axis=1), 0)
            bar.update(len(rows))
    return lengths


def _read(
    loader: Loader, table: pd.DataFrame, rows: np.ndarray, tolerant: bool
) -> list[np.ndarray]:
    cells, labels = cells_of(table, loader.column, rows), table.index.take(rows).tolist()
    arrays = []
    for cell, found in zip(cells, read_rows(loader, cells, labels), strict=True):
        if isinstance(found, LoadError):
            if not tolerant and not (loader.missing == "blank" and is_missing(cell)):
                raise found
            found = np.zeros(loader.spec.shape, loader.spec.dtype)
        arrays.append(found)
    return arrays


def _least_padding(of_each: np.ndarray, full: int) -> tuple[int, ...]:
    # The best few lengths of all candidates, by dynamic programming over their number.
    longest = max(int(of_each.max()), 1)
    step = _MULTIPLE * math.ceil(longest / (_MULTIPLE * _MOST_CANDIDATES))
    ends = np.minimum(np.arange(step, longest + step, step), full)
    rows = np.searchsorted(np.sort(of_each), ends, side="right")
    # total[last]: ids that the rows up to a candidate take, padding included, if that candidate is
    # the last length.
    total, before = ends * rows, []
    for _ in range(_MOST_LENGTHS - 1):
        joined = total[:, None] + ends * (rows - rows[:, None])
        joined[np.tril_indices(len(ends), -1)] = np.iinfo(joined.dtype).max
        before.append(joined.argmin(axis=0))
        total = joined.min(axis=0)
    chosen = [len(ends) - 1]
    for previous in reversed(before):
        chosen.append(int(previous[chosen[-1]]))
    # If fewer lengths suffice, one was chosen twice or holds no row.
    return tuple(int(ends[one]) for one in sorted(set(chosen)) if rows[one] > 0)
