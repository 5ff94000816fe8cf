"""How a difference is shared among several inputs that made it together.

Shapley values (Shapley, 1953, "A value for n-person games"): the mean, over all orders in which the
inputs could be added, of what an input changes when it comes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

# With more inputs than this the mean is taken over drawn orders: 2 ** 6 sets are 64.
MOST_EXACT = 6
_ORDERS = 32


def coalitions(count: int) -> list[int]:
    """The sets of inputs whose values are needed, as numbers with a bit for each input.

    Up to six inputs these are all sets; of more, those that come up in `orders`. The empty set and
    the whole are always among them.
    """
    if count <= MOST_EXACT:
        return list(range(2**count))
    found = {0}
    for order in orders(count):
        members = 0
        for one in order:
            members |= 1 << one
            found.add(members)
    return sorted(found)


def orders(count: int) -> list[Sequence[int]]:
    """32 orders of many inputs, the same in every call: each drawn one, and its reverse."""
    rng = np.random.Generator(np.random.Philox(key=count))
    drawn = [rng.permutation(count).tolist() for _ in range(_ORDERS // 2)]
    return [order for one in drawn for order in (one, one[::-1])]


def shapley(values: Mapping[int, np.ndarray], count: int) -> np.ndarray:
    """Share the difference between all inputs and none.

    Args:
        values: Set of inputs, as `coalitions` names it -> `(rows,)`, the value with these inputs.
        count: Number of inputs.

    Returns:
        `(count, rows)`, whose sum over the inputs is the value of the whole less that of the empty
        set: exact up to six inputs, otherwise the mean over `orders`.
    """
    shares = np.zeros((count, *values[0].shape))
    if count > MOST_EXACT:
        for order in orders(count):
            members = 0
            for one in order:
                shares[one] += (values[members | 1 << one] - values[members]) / _ORDERS
                members |= 1 << one
        return shares
    for members, value in values.items():
        size = members.bit_count()
        for one in range(count):
            if members >> one & 1:
                # The share of all orders in which `one` comes right after the others in the set.
                weight = 1 / (count * math.comb(count - 1, size - 1))
                shares[one] += weight * (value - values[members & ~(1 << one)])
    return shares
