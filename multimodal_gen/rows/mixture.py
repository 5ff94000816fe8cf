"""Which rows of several sources an epoch has, where each source has a fixed share. Pure arithmetic.

A share of a batch is seldom a whole number of rows, so it is rounded up in some batches and down in
the others. Which, systematic sampling says (Madow, 1949, "On the theory of systematic sampling,
II"): the sources lie one after the other on a line as long as a batch, each as long as its share,
and points one row apart pick from it; where the first point lies differs from batch to batch. Over
the batches of an epoch these first points are equally far apart, so that the shares of the epoch
are exact as well, and they come in the order of multiples of the golden ratio, which spreads the
batches that round up evenly.

The rows of a source come in a random order, and in another one each time all have come. An epoch
begins where the one before it stopped, so that every row of a source comes as often as the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from multimodal_gen.errors import counted
from multimodal_gen.rows.shuffling import ROUNDS, shuffled_rows
from multimodal_gen.rows.streams import philox, stream_of

_GOLDEN = (math.sqrt(5) - 1) / 2
# An order of fewer rows is sorted, as one that is computed would be uneven.
_LEAST_COMPUTED = 1000
# Above 32 bits, so that they equal no stream of a column.
_PLACES, _ROWS = ((1 << 32) + stream_of(name) for name in ("places of a batch", "rows of a source"))


@dataclass(frozen=True, eq=False)
class Mixture:
    """Sources of rows, and how much of an epoch each has.

    Args:
        names: The sources.
        positions: For each source, the positions of its rows in the table.
        shares: For the first epochs, one after the other, a number for each source, at least 0, in
            any unit; the last of them goes on.
        num_rows: Rows of an epoch.
    """

    names: tuple[str, ...]
    positions: tuple[range | np.ndarray, ...]
    shares: tuple[tuple[float, ...], ...]
    num_rows: int

    def fingerprint(self) -> str:
        """A digest of everything that the order of rows depends on."""
        digest = blake2b(repr((self.names, self.shares, self.num_rows)).encode(), digest_size=16)
        for rows in self.positions:
            # A range is the same rows as the array of its numbers.
            digest.update(np.asarray(rows, "int64").data)
        return digest.hexdigest()


class MixtureOrder:
    """The order of a mixture's rows in every epoch.

    Args:
        mixture: The sources and their shares.
        seed: What the orders depend on.
        batch_size: Rows of a batch.
        whole: Batches of an epoch that have so many.
        short: Rows of one more batch, or 0.

    Raises:
        ValueError: If a share is too small for a single row of an epoch.
    """

    def __init__(
        self, mixture: Mixture, seed: int, batch_size: int, whole: int, short: int
    ) -> None:
        self._mixture, self._seed, self._batch_size = mixture, seed, batch_size
        self._whole = whole
        ends = [np.cumsum((0.0, *shares)) / sum(shares) for shares in mixture.shares]
        # Where each source ends on the line of a whole batch, in steps of one batch's share of a
        # row; and on that of the short one, in rows.
        self._ends = [_rounded(whole * batch_size * end) for end in ends]
        self._short_ends = [_rounded(short * end) for end in ends] if short else []
        drawn = [np.diff(end) for end in self._ends]
        if short:
            drawn = [one + np.diff(end) for one, end in zip(drawn, self._short_ends, strict=True)]
        for shares, rows in zip(mixture.shares, drawn, strict=True):
            for name, share, own in zip(mixture.names, shares, rows, strict=True):
                if share and not own:
                    raise ValueError(
                        "Every source must have a row in an epoch; give it a greater share, or an "
                        f"epoch more rows. Received: a share of {share / sum(shares):.2g} for "
                        f"{name!r}, {counted(whole * batch_size + short, 'row')} an epoch"
                    )
        # Rows of each source in all epochs before each that has shares of its own.
        self._drawn = np.stack(drawn)
        self._before = np.cumsum(self._drawn, axis=0) - self._drawn
        self._step = _step(whole)

    def rows(self, epoch: int, batches: range) -> np.ndarray:
        """The positions of the rows of some batches that follow one another, `(rows,) int64`."""
        kind = min(epoch, len(self._drawn) - 1)
        before = self._before[kind] + (epoch - kind) * self._drawn[kind]
        counts = np.diff(self._edges(kind, batches), axis=1)
        starts = self._earlier(kind, batches.start) + np.cumsum(counts, axis=0) - counts
        sources = np.repeat(np.tile(np.arange(counts.shape[1]), len(counts)), counts.ravel())
        # The how manyth row of its source each is, over all epochs.
        first = np.cumsum(counts.ravel()) - counts.ravel()
        numbers = np.repeat((before + starts).ravel() - first, counts.ravel())
        numbers += np.arange(len(numbers))
        found = np.empty(len(numbers), "int64")
        for source in range(counts.shape[1]):
            own = np.flatnonzero(sources == source)
            found[own] = self._rows_of(source, numbers[own])
        ends = np.cumsum(counts.sum(axis=1))[:-1]
        return np.concatenate(
            [
                rows[np.argsort(self._words(_PLACES, epoch, index, len(rows)), kind="stable")]
                for index, rows in zip(batches, np.split(found, ends), strict=True)
            ]
        )

    def _edges(self, kind: int, batches: range) -> np.ndarray:
        # `(batches, sources + 1)`: how many rows of each batch are of the sources before each.
        ends = self._ends[kind]
        whole = np.arange(batches.start, min(batches.stop, self._whole), dtype="int64")
        # Where the first point of each batch lies, in steps.
        points = whole * self._step % max(self._whole, 1)
        edges = ends // max(self._whole, 1) + (points[:, None] < ends % max(self._whole, 1))
        if batches.stop > self._whole:
            edges = np.concatenate([edges, self._short_ends[kind][None]])
        return edges

    def _earlier(self, kind: int, index: int) -> np.ndarray:
        # Rows of each source in the batches before one, without going through them.
        steps = max(self._whole, 1)
        ends = [
            index * (end // steps) + _below(end % steps, index, self._step, steps)
            for end in self._ends[kind].tolist()
        ]
        return np.diff(np.array(ends, "int64"))

    def _rows_of(self, source: int, numbers: np.ndarray) -> np.ndarray:
        positions = self._mixture.positions[source]
        passes, places = np.divmod(numbers, len(positions))
        # A source keeps its order whatever it is mixed with.
        stream = (1 << 32) + stream_of(self._mixture.names[source])
        rows = np.empty(len(numbers), "int64")
        for one in np.unique(passes).tolist():
            own = passes == one
            rows[own] = self._order(stream ^ _ROWS, one, len(positions), places[own])
        if isinstance(positions, range):
            return positions.start + positions.step * rows
        return positions[rows]

    def _order(self, stream: int, one: int, size: int, places: np.ndarray) -> np.ndarray:
        if size >= _LEAST_COMPUTED:
            return shuffled_rows(size, self._words(stream, one, 0, ROUNDS), places)
        return np.argsort(self._words(stream, one, 0, size), kind="stable")[places]

    def _words(self, stream: int, epoch: int, index: int, number: int) -> np.ndarray:
        return philox(self._seed, stream, epoch, index).random_raw(number)


def _rounded(ends: np.ndarray) -> np.ndarray:
    return np.floor(ends + 0.5).astype("int64")


def _step(batches: int) -> int:
    # Near the golden part of all, and without a divisor in common, so that all multiples differ.
    step = max(round(_GOLDEN * batches), 1)
    while math.gcd(step, batches) > 1:
        step += 1
    return step


def _below(limit: int, number: int, step: int, modulus: int) -> int:
    # How many of the first multiples of a step lie below a limit, as remainders.
    return _floors(number, step, modulus, modulus) - _floors(number, step, modulus - limit, modulus)


def _floors(number: int, factor: int, offset: int, divisor: int) -> int:
    # The sum of floor((factor * i + offset) / divisor) over i in [0, number), as Euclid would:
    # the lattice points below a line are counted along the other axis, whose line is less steep.
    total = 0
    while number:
        total += number * (number - 1) // 2 * (factor // divisor) + number * (offset // divisor)
        factor, offset = factor % divisor, offset % divisor
        highest = factor * number + offset
        number, offset = divmod(highest, divisor)
        factor, divisor = divisor, factor
    return total
