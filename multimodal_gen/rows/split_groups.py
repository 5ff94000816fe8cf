"""Distribute groups of rows that must stay together to the parts of a split."""

from __future__ import annotations

import numpy as np

from multimodal_gen.errors import TableError
from multimodal_gen.rows.split_rows import split_rows

# Scores that differ by less than this differ only by rounding.
_NEARLY = 1e-9


def split_groups(
    groups: np.ndarray,
    num_groups: int,
    classes: np.ndarray,
    num_classes: int,
    fractions: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """The part of each row, at random, with all rows of a group in the same part.

    Args:
        groups: `(rows,) int64`, the group of each row.
        num_groups: How many there are.
        classes: `(rows,) int64`, the class of each row.
        num_classes: How many there are.
        fractions: `(parts,) float64` above 0, of sum 1.
        rng: The only source of randomness.

    Returns:
        `(rows,) int64`. Large groups are placed first, each in the part that needs its rows most;
        if there are several classes, groups are then moved until no move brings the parts closer to
        their totals. Groups of one row each are split like rows.

    Raises:
        TableError: If there are fewer groups than parts.
    """
    if num_groups < len(fractions):
        raise TableError(
            f"There are fewer groups than parts. Received: {num_groups} groups, {len(fractions)} "
            "parts"
        )
    if num_classes > 1 and num_groups == len(groups):
        return split_rows(classes, num_classes, fractions, rng)
    members = _Members(groups, num_groups, classes, num_classes)
    part = _place(members, fractions, rng)
    if num_classes > 1:
        _even_out(members, part, fractions)
    # No part may stay empty: it takes the smallest group of a part that has several.
    while not np.bincount(part, minlength=len(fractions)).all():
        several = np.bincount(part, minlength=len(fractions))[part] > 1
        part[np.where(several, members.sizes, len(groups) + 1).argmin()] = np.bincount(
            part, minlength=len(fractions)
        ).argmin()
    return part[groups]


class _Members:
    # How many rows of each class a group has, as one entry per class and group, sorted by group.
    def __init__(
        self, groups: np.ndarray, num_groups: int, classes: np.ndarray, num_classes: int
    ) -> None:
        pairs, self.rows = np.unique(groups * num_classes + classes, return_counts=True)
        self.group, self.of_class = np.divmod(pairs, num_classes)
        self.starts = np.searchsorted(self.group, np.arange(num_groups + 1))
        self.sizes = np.bincount(groups, minlength=num_groups)
        self.class_sizes = np.bincount(classes, minlength=num_classes)

    def entries(self, group: int) -> slice:
        return slice(int(self.starts[group]), int(self.starts[group + 1]))


def _place(members: _Members, fractions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    # Rare classes weigh more, so that ten rows of one class are shared out as evenly as a thousand
    # of another.
    share = members.rows / members.class_sizes[members.of_class]
    missing = np.outer(fractions, np.ones(len(members.class_sizes)))
    share_of_all = members.sizes / members.sizes.sum()
    missing_of_all = fractions.copy()
    largest, several = int(fractions.argmax()), len(members.class_sizes) > 1
    part = np.empty(len(members.sizes), "int64")
    # Shuffled first: the sort below is stable, so groups of equal size come in random order.
    order = rng.permutation(len(members.sizes))
    for one in order[np.argsort(-members.sizes[order], kind="stable")].tolist():
        entries = members.entries(one)
        own, of_class = share[entries], members.of_class[entries]
        # Chooses the part that lacks most of what the group brings, relative to what it should get.
        score = (missing[:, of_class] * own).sum(axis=1) / (own.sum() * fractions)
        lack = missing_of_all * share_of_all[one] / (share_of_all[one] * fractions)
        best = score >= score.max() - _NEARLY
        # All parts tie for a class that none of them has yet. The largest part gets it, because the
        # model must be trained on it.
        first = several and best[largest] and lack[largest] > 0
        chosen = largest if first else int(np.where(best, lack, -np.inf).argmax())
        part[one] = chosen
        missing[chosen, of_class] -= own
        missing_of_all[chosen] -= share_of_all[one]
    return part


def _even_out(members: _Members, part: np.ndarray, fractions: np.ndarray) -> None:
    # Works in place. Moves the groups that do least harm to the balance of classes.
    wanted = np.outer(members.class_sizes, fractions)
    found = np.zeros(wanted.shape)
    np.add.at(found, (members.of_class, part[members.group]), members.rows)
    excess = found.sum(axis=0) - members.sizes.sum() * fractions
    while True:
        # From the fullest part to the emptiest.
        a, b = int(excess.argmax()), int(excess.argmin())
        room = min(excess[a], -excess[b])
        # A move brings the two parts closer if the group is smaller than the difference of their
        # excesses.
        fits = (part == a) & (members.sizes < excess[a] - excess[b] - _NEARLY)
        if not fits.any():
            return
        harm = _harm(members, found, wanted, a, b) / members.sizes
        likely = np.flatnonzero(fits)
        likely = likely[np.argsort(harm[likely], kind="stable")]
        # Several per round, as thousands may have to move; but few, because each move changes the
        # harm of the next.
        taken = likely[np.cumsum(members.sizes[likely]) <= max(room / 8, 1)]
        for one in taken.tolist() or [int(likely[0])]:
            entries = members.entries(one)
            part[one] = b
            found[members.of_class[entries], a] -= members.rows[entries]
            found[members.of_class[entries], b] += members.rows[entries]
            excess[a] -= members.sizes[one]
            excess[b] += members.sizes[one]


def _harm(members: _Members, found: np.ndarray, wanted: np.ndarray, a: int, b: int) -> np.ndarray:
    # For each group: how much moving it from part a to part b adds to the squared deviations of its
    # classes, relative to the wanted counts.
    c, rows = members.of_class, members.rows
    from_a = (found[c, a] - rows - wanted[c, a]) ** 2 - (found[c, a] - wanted[c, a]) ** 2
    to_b = (found[c, b] + rows - wanted[c, b]) ** 2 - (found[c, b] - wanted[c, b]) ** 2
    return np.bincount(
        members.group, from_a / wanted[c, a] + to_b / wanted[c, b], minlength=len(members.sizes)
    )
