"""Distribute rows to the parts of a split: the total of each part, and within it the share of each
class.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

# A share this near a whole number of rows is that number: 30 rows times 0.1 are 3.0000000000000004
# in floats.
_NEARLY = 1e-6


def split_rows(
    classes: np.ndarray, num_classes: int, fractions: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The part of each row, at random.

    Args:
        classes: `(rows,) int64`, the class of each row.
        num_classes: How many there are.
        fractions: `(parts,) float64` above 0, of sum 1.
        rng: The only source of randomness.

    Returns:
        `(rows,) int64`. A part has its share of all rows, rounded up or down, and its share of each
        class to within one row; only a part that would be empty gets one more row.
    """
    part = np.empty(len(classes), "int64")
    shuffled = rng.permutation(len(classes))
    by_class = shuffled[np.argsort(classes[shuffled], kind="stable")]
    counts = shares_of_classes(np.bincount(classes, minlength=num_classes), fractions, rng)
    part[by_class] = np.repeat(np.tile(np.arange(len(fractions)), num_classes), counts.ravel())
    return part


def shares_of_classes(
    sizes: np.ndarray, fractions: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Rows of each class in each part, `(classes, parts) int64`.

    Rounding all classes and all parts at once is a flow in a network with integer capacities.
    Classes hand out the rows left over by rounding down, at most one to each part. An integer
    solution exists because a fractional one does. The start is greedy, which is nearly right for
    large classes; then rows move from parts with too many to parts with too few, along the cheapest
    path.

    Apart from that, a class can be rounded either way. A class with few rows goes to the largest
    part first, because a model cannot learn what only the others have, and then to as many parts as
    possible.
    """
    whole, rest = _rounded_down(np.outer(sizes, fractions))
    open_, left = rest > 0, sizes - whole.sum(axis=1)
    totals, loose = _rounded_down(sizes.sum() * fractions)
    low, high = totals, totals + (loose > 0)
    if sizes.sum() >= len(fractions):
        low, high = np.maximum(low, 1), np.maximum(high, 1)
    # How much it matters that the extra row of a class goes to a part: it must not be missing
    # there, and least of all in the largest part.
    worth = np.where(whole == 0, 1.0, 0.0)
    worth[:, fractions.argmax()] *= 10
    extra = _greedy(rest, left, worth * open_)
    _balance(
        extra,
        open_,
        np.round(worth + rest, 1),
        low - whole.sum(axis=0),
        high - whole.sum(axis=0),
        rng,
    )
    counts = whole + extra
    _make_known(counts, whole + rest, int(fractions.argmax()))
    while sizes.sum() >= len(fractions) and not counts.sum(axis=0).all():
        # Too few rows for each share to reach one: the largest part gives a row of its largest
        # class.
        giver = np.where(counts.sum(axis=0) > 1, counts, 0)
        one, most = np.unravel_index(giver.argmax(), giver.shape)
        counts[one, most] -= 1
        counts[one, counts.sum(axis=0).argmin()] += 1
    return counts


def _rounded_down(shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    nearest = np.rint(shares)
    shares = np.where(np.abs(shares - nearest) < _NEARLY, nearest, shares)
    whole = np.floor(shares)
    return whole.astype("int64"), shares - whole


def _greedy(rest: np.ndarray, left: np.ndarray, worth: np.ndarray) -> np.ndarray:
    # Class by class, first those that may miss a part. What rounding takes from a part in one class
    # it gets back in the next.
    extra = np.zeros(rest.shape, bool)
    debt = [0.0] * rest.shape[1]
    for one in np.argsort(worth.max(axis=1, initial=0) == 0, kind="stable"):
        own, own_worth, count = rest[one].tolist(), worth[one].tolist(), int(left[one])
        due = [a + b for a, b in zip(own, debt, strict=True)]
        parts = sorted(
            (part for part, share in enumerate(own) if share > 0),
            key=lambda p: (own_worth[p], due[p]),
            reverse=True,
        )
        for part in parts[:count]:
            extra[one, part] = True
            due[part] -= 1
        debt = due
    return extra


def _balance(
    extra: np.ndarray,
    open_: np.ndarray,
    worth: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    rng: np.random.Generator,
) -> None:
    # Moves rows, in place, until each part has at least `low` and at most `high` of them.
    order = rng.permutation(len(extra))
    while True:
        have = extra.sum(axis=0)
        over, under = np.flatnonzero(have > high), np.flatnonzero(have < low)
        if not len(over) and not len(under):
            return
        sources = over if len(over) else np.flatnonzero(have > low)
        sinks = under if len(under) else np.flatnonzero(have < high)
        movable = _movable(extra, open_, worth, order)
        path = _cheapest_path({edge: cost for edge, (cost, _) in movable.items()}, sources, sinks)
        if not path:
            # Only where an empty part is to have a row: there may be no way to round to it.
            return
        first, last = path[0], path[-1]
        room = max(have[first] - high[first], low[last] - have[last], 1)
        room = min(room, have[first] - low[first] or 1, high[last] - have[last] or 1)
        edges = list(pairwise(path))
        count = min(int(room), *(len(movable[edge][1]) for edge in edges))
        for a, b in edges:
            chosen = movable[a, b][1][:count]
            extra[chosen, a], extra[chosen, b] = False, True


def _make_known(counts: np.ndarray, shares: np.ndarray, largest: int) -> None:
    # In place: a class that the largest part lacks changes places with a row of a class that has
    # its share there.
    for other in range(counts.shape[1]):
        unknown = np.flatnonzero((counts[:, largest] == 0) & (counts[:, other] > 0))
        can_give = (counts[:, largest] > 1) & (counts[:, largest] >= shares[:, largest] - _NEARLY)
        can_take = counts[:, other] <= shares[:, other] + _NEARLY
        givers = np.flatnonzero(can_give & can_take)
        givers = givers[np.argsort(-counts[givers, largest], kind="stable")][: len(unknown)]
        unknown = unknown[: len(givers)]
        counts[unknown, other] -= 1
        counts[unknown, largest] += 1
        counts[givers, largest] -= 1
        counts[givers, other] += 1


def _movable(
    extra: np.ndarray, open_: np.ndarray, worth: np.ndarray, order: np.ndarray
) -> dict[tuple[int, int], tuple[float, np.ndarray]]:
    # For two parts: what it costs to move a row from one to the other, and the classes that can do
    # it at that price.
    found = {}
    for a in range(extra.shape[1]):
        for b in range(extra.shape[1]):
            classes = order[(extra[:, a] & open_[:, b] & ~extra[:, b])[order]]
            if a != b and len(classes):
                costs = worth[classes, a] - worth[classes, b]
                found[a, b] = float(costs.min()), classes[costs <= costs.min() + 1e-9]
    return found


def _cheapest_path(
    costs: dict[tuple[int, int], float], sources: np.ndarray, sinks: np.ndarray
) -> list[int]:
    # Dijkstra over a handful of parts. A move that gains something costs a little all the same, so
    # that paths end.
    best = {int(source): (0.0, [int(source)]) for source in sources}
    waiting, ends = dict(best), set(sinks.tolist())
    while waiting:
        here = min(waiting, key=lambda part: waiting[part][0])
        cost, path = waiting.pop(here)
        if here in ends and len(path) > 1:
            return path
        for (a, b), step in costs.items():
            through = cost + max(step, 0.0) + 0.01
            if a == here and b not in path and (b not in best or through < best[b][0]):
                best[b] = waiting[b] = (through, [*path, b])
    return []
