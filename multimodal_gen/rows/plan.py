"""The order of rows in an epoch, their batches and their random streams. Pure arithmetic, no data.

Everything is a function of `(seed, epoch, batch index)` for rows and of `(seed, epoch, row
position, column)` for randomness, so nothing depends on earlier calls, on threads, or on the number
of hosts.
"""

from __future__ import annotations

import dataclasses
import math
import threading
from dataclasses import dataclass, field

import numpy as np

from multimodal_gen.rows.checks import check_positive, check_seed
from multimodal_gen.rows.mixture import Mixture, MixtureOrder
from multimodal_gen.rows.shuffling import ROUNDS, shuffled_rows
from multimodal_gen.rows.streams import philox, stream_of

# An order of more rows is computed batch by batch, in no memory; sorting it takes seconds an epoch.
MOST_SORTED = 1 << 24
# Above 32 bits, so that it never equals the stream of a column, which is a 32-bit checksum of its
# name.
_ORDER_STREAM = stream_of("order of rows") + (1 << 32)


@dataclass(frozen=True)
class Plan:
    """The batches of every epoch.

    Args:
        num_rows: Rows of an epoch: those of the table, unless `mixture` says otherwise.
        batch_size: Rows of a batch, over all ranks together.
        shuffle: Whether each epoch has its own order; otherwise it is the table's.
        seed: An integer in [0, 2**64) that fixes every order and every random stream.
        drop_remainder: Whether the last batch is left out if it has fewer rows.
        rank: Which slice of every batch this process gets.
        world_size: How many slices every batch is cut into.
        weights: `(num_rows,)`, how often each row comes relative to the others; by default each
            comes once. Rows are drawn by systematic resampling (Kitagawa, 1996): a row that should
            come 2.3 times comes 2 or 3 times.
        buckets: `(num_rows,) uint8`, a number for each row. Full batches contain rows with the same
            number, except those on the border of two numbers, and come in random order; a shorter
            last batch may contain any rows.
        mixture: The sources whose rows are mixed; by default there are none.
    """

    num_rows: int
    batch_size: int
    shuffle: bool = False
    seed: int = 0
    drop_remainder: bool = False
    rank: int = 0
    world_size: int = 1
    weights: np.ndarray | None = field(default=None, repr=False, compare=False)
    buckets: np.ndarray | None = field(default=None, repr=False, compare=False)
    mixture: Mixture | None = field(default=None, repr=False, compare=False)
    _mixed: MixtureOrder | None = field(init=False, repr=False, compare=False)
    _orders: _OrderCache = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_positive(batch_size=self.batch_size, world_size=self.world_size)
        if (self.weights is not None or self.mixture is not None) and not self.shuffle:
            raise ValueError(
                "Rows drawn by weight cannot keep the table's order; use `shuffle=True`. Received: "
                "shuffle=False"
            )
        if self.mixture is not None and self.buckets is not None:
            raise ValueError(
                "A batch cannot have captions of one length and also a share of each source; take "
                "either `bucket_by_length` or `Mix`. Received: both"
            )
        check_seed(self.seed)
        whole = isinstance(self.rank, int | np.integer)
        if not whole or not 0 <= self.rank < self.world_size:
            raise ValueError(
                "`rank` must be an integer in [0, world_size). "
                f"Received: rank={self.rank!r}, world_size={self.world_size!r}"
            )
        if self.batch_size % self.world_size:
            raise ValueError(
                "`batch_size` counts the rows of all ranks together and must be a multiple of "
                f"`world_size`. Received: batch_size={self.batch_size!r}, "
                f"world_size={self.world_size!r}"
            )
        if self.drop_remainder and self.num_rows < self.batch_size:
            raise ValueError(
                "With `drop_remainder=True` the table must fill at least one batch. Received: "
                f"{self.num_rows} rows, batch_size={self.batch_size!r}"
            )
        mixed = None
        if self.mixture is not None:
            full, rest = divmod(self.num_rows, self.batch_size)
            last = 0 if self.drop_remainder else rest
            mixed = MixtureOrder(self.mixture, self.seed, self.batch_size, full, last)
        object.__setattr__(self, "_mixed", mixed)
        object.__setattr__(self, "_orders", _OrderCache())

    @property
    def num_batches(self) -> int:
        """Batches in an epoch, the same for every rank."""
        batches = self.num_rows / self.batch_size
        return int(batches) if self.drop_remainder else math.ceil(batches)

    def shard(self, rank: int, world_size: int) -> Plan:
        """The same plan as seen by one of several processes."""
        if self.world_size != 1:
            raise ValueError(
                f"This plan is already a shard. Received: rank={rank!r}, world_size={world_size!r}"
            )
        return dataclasses.replace(self, rank=rank, world_size=world_size)

    def batch(self, epoch: int, index: int) -> tuple[np.ndarray, int]:
        """The rows of a batch.

        Args:
            epoch: Counts from 0.
            index: Position of the batch in the epoch, in [0, num_batches).

        Returns:
            `(positions, padding)`: row positions, and how many of them, at the end, are padding:
            rows repeated only to give all ranks batches of equal size, which get the sample weight
            0.
        """
        positions = self._positions(epoch, index)
        share = math.ceil(len(positions) / self.world_size)
        own = positions[self.rank * share : (self.rank + 1) * share]
        padding = share - len(own)
        if padding:
            own = np.concatenate([own, np.repeat(positions[-1:], padding)])
        return own, padding

    def _positions(self, epoch: int, index: int) -> np.ndarray:
        start = index * self.batch_size
        stop = min(start + self.batch_size, self.num_rows)
        if self._mixed is not None:
            return self._mixed.rows(epoch, range(index, index + 1))
        if not self.shuffle:
            return np.arange(start, stop)
        if self.num_rows > MOST_SORTED and self.weights is None and self.buckets is None:
            return shuffled_rows(self.num_rows, _keys(self, epoch, 0), np.arange(start, stop))
        return self.order(epoch)[start:stop].astype("int64")

    def bucket(self, epoch: int, index: int) -> int:
        """The greatest number in `buckets` of a batch's rows, over all ranks."""
        assert self.buckets is not None
        start = index * self.batch_size
        return int(self.buckets[self.order(epoch)[start : start + self.batch_size]].max())

    def order(self, epoch: int) -> np.ndarray:
        """All row positions in the order of an epoch, `(num_rows,)`; uint32 if that is enough."""
        if self._mixed is not None:
            return self._mixed.rows(epoch, range(self.num_batches))
        if not self.shuffle:
            return np.arange(self.num_rows)
        return self._orders.get(epoch, self)

    def rng(self, epoch: int, position: int, column: str | tuple[str, ...]) -> np.random.Generator:
        """The random stream of one cell in one epoch; building it takes a few microseconds."""
        name = column if isinstance(column, str) else "\0".join(column)
        return np.random.Generator(philox(self.seed, stream_of(name), epoch, int(position)))


class _OrderCache:
    # Only one epoch is kept, at 4 bytes per row.
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: tuple[int, np.ndarray] | None = None

    def get(self, epoch: int, plan: Plan) -> np.ndarray:
        # If several threads ask for a new epoch at the same time, one of them makes its order.
        with self._lock:
            if self._held is None or self._held[0] != epoch:
                self._held = None
                self._held = (epoch, _order(plan, epoch))
            return self._held[1]

    def __reduce__(self) -> tuple[type[_OrderCache], tuple[()]]:
        return _OrderCache, ()

    def __deepcopy__(self, memo: object) -> _OrderCache:
        return _OrderCache()


def _order(plan: Plan, epoch: int) -> np.ndarray:
    order = _permutation(plan, epoch, 0)
    if plan.weights is not None:
        # Sorted by weight, so that a class, whose rows share one weight, gets its share to within
        # one row.
        order = order[np.argsort(plan.weights[order], kind="stable")]
        ends = np.cumsum(plan.weights[order])
        offset = philox(plan.seed, _ORDER_STREAM, epoch, 1).random_raw() / 2.0**64
        points = (np.arange(plan.num_rows) + offset) * (ends[-1] / plan.num_rows)
        drawn = np.minimum(
            np.searchsorted(ends, points, side="right"), np.flatnonzero(plan.weights[order])[-1]
        )
        order = order[drawn][_permutation(plan, epoch, 2)]
    if plan.buckets is not None:
        # Sets aside the rows of the short batch first, so that what `drop_remainder` leaves out
        # comes from any bucket.
        batches = plan.num_rows // plan.batch_size
        full, short = np.split(order, [batches * plan.batch_size])
        full = full[np.argsort(plan.buckets[full], kind="stable")].reshape(batches, plan.batch_size)
        words = philox(plan.seed, _ORDER_STREAM, epoch, 3).random_raw(batches)
        order = np.concatenate([full[np.argsort(words, kind="stable")].ravel(), short])
    order.flags.writeable = False
    return order


def _keys(plan: Plan, epoch: int, stream: int) -> np.ndarray:
    return philox(plan.seed, _ORDER_STREAM, epoch, stream).random_raw(ROUNDS)


def _permutation(plan: Plan, epoch: int, stream: int) -> np.ndarray:
    if plan.num_rows > MOST_SORTED:
        places = np.arange(plan.num_rows)
        return shuffled_rows(plan.num_rows, _keys(plan, epoch, stream), places)
    # `random_raw` is stable across NumPy releases; `Generator.permutation` may change. The position
    # is stored in the low bits of each word, so that sorting in place, ten times as fast as an
    # argsort, carries it along.
    words = philox(plan.seed, _ORDER_STREAM, epoch, stream).random_raw(plan.num_rows)
    low = np.uint64((1 << (plan.num_rows - 1).bit_length()) - 1)
    words &= ~low
    words |= np.arange(plan.num_rows, dtype=np.uint64)
    words.sort()
    words &= low
    return words.astype(np.uint32 if plan.num_rows < 2**32 else np.int64)
