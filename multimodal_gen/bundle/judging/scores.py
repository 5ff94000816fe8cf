"""Scores with the intervals in which they could lie by chance, and their differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.bundle.held_out import HeldOut, Rows, held_out
from multimodal_gen.bundle.judging.resamples import interval_of, resamples_of
from multimodal_gen.bundle.outputs import flat
from multimodal_gen.loaders.targets.resampling import share_interval
from multimodal_gen.rows.cells import column_texts
from multimodal_gen.rows.checks import check_choice, check_positive, check_seed
from multimodal_gen.rows.table import check_columns

# How often rows are drawn, if nothing else is given.
RESAMPLES = 1000


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of a bundle on a table, as `Bundle.scores` returns them.

    Attributes:
        overall: A row for each score; columns "value", "low" and "high". With 95 % probability, the
            interval from "low" to "high" holds the score of the model on all rows of this kind, of
            which the table is a sample; it says nothing about how another training would do.
        by_class: A row for each class or label, or None without classes: "rows", and "precision",
            "recall", "f1", for labels also "average_precision", each with its interval, as in
            "recall_low" and "recall_high". Of several targets, target name -> table.
        rows: How many rows were scored.
        groups: How many groups they are in; without groups, as many as rows.
        left_out: How many rows were skipped.
    """

    overall: pd.DataFrame
    by_class: pd.DataFrame | dict[str, pd.DataFrame] | None
    rows: int
    groups: int
    left_out: int
    resampled: dict[str, np.ndarray] = field(repr=False)
    truth: dict[str, np.ndarray] = field(repr=False)
    held: HeldOut = field(repr=False)
    settings: tuple[Any, ...] = field(repr=False)

    @property
    def values(self) -> dict[str, float]:
        """The scores by name, as `Bundle.evaluate` returns them."""
        return {str(name): float(value) for name, value in self.overall["value"].items()}

    def minus(self, other: Scores) -> pd.DataFrame:
        """How much larger these scores are than those of another bundle on the same rows.

        Both are computed from the same resamples, so what is hard or easy for both cancels out: two
        scores can differ for certain though their own intervals overlap.

        Args:
            other: Scores on the same table, with the same `group`, `resamples` and `seed`.

        Returns:
            A row for each score that both have; columns "value", "other", "difference" and its 95 %
            interval, "low" and "high". If that holds 0, these rows show no difference.

        Raises:
            ValueError: If the rows, their truth or the resamples are not the same.
        """
        self._check_comparable(other)
        found = {}
        for name in self.overall.index.intersection(other.overall.index, sort=False):
            value, less = self.overall["value"][name], other.overall["value"][name]
            low, high = interval_of(self.resampled[name] - other.resampled[name])
            found[name] = {"value": value, "other": less, "difference": value - less}
            found[name] |= {"low": low, "high": high}
        return pd.DataFrame.from_dict(found, orient="index")

    def mcnemar(self, other: Scores) -> pd.DataFrame:
        """McNemar's exact test of whether one of two bundles is right in more of the same rows.

        Only rows in which one of them is right and the other wrong tell them apart; if they are
        equally good, each such row is a toss of a coin (McNemar, "Note on the sampling error of the
        difference between correlated proportions", 1947; Dietterich, "Approximate statistical tests
        for comparing supervised classification learning algorithms", 1998).

        Rows of a group are alike, so with groups it is a group that is tossed: in how many more of
        its rows one is right, for one or the other. This sign-flip test (Fisher, "The design of
        experiments", 1935) is exact too, and the same where each row is a group.

        Args:
            other: Scores on the same table, with the same `group`, `resamples` and `seed`.

        Returns:
            A row for each target with one class per row; columns "better" and "worse", in how many
            rows these scores' bundle alone is right, and the other's; and "p", the probability of a
            difference at least as large if both are equally good.

        Raises:
            ValueError: If the rows, their truth or the resamples are not the same.
        """
        self._check_comparable(other)
        found = {}
        for (name, own), (_, its) in zip(self.held.by_target, other.held.by_target, strict=True):
            if not own.target.one_class:
                continue
            right, others = _right(own), _right(its)
            better, worse = int((right & ~others).sum()), int((~right & others).sum())
            p = _coin_tosses(better, worse)
            if self.groups < self.rows:
                more = right.astype("int64") - others
                p = _sign_flips(np.bincount(self._group_of_rows, more).astype("int64"))
            found[name] = {"better": better, "worse": worse, "p": p}
        return pd.DataFrame.from_dict(found, orient="index", columns=["better", "worse", "p"])

    @property
    def _group_of_rows(self) -> np.ndarray:
        key = self.settings[2]
        return np.frombuffer(key, "int64") if key else np.arange(self.rows)

    def _check_comparable(self, other: Scores) -> None:
        if self.settings != other.settings or not _same(self.truth, other.truth):
            raise ValueError(
                "Scores can be compared on the same rows only, with the same targets, `group`, "
                f"`resamples` and `seed`. Received: {self.rows:,} and {other.rows:,} rows"
            )

    def __str__(self) -> str:
        return self.overall.to_string(float_format="{:z.4f}".format)


def scores_with_intervals(
    bundle: Any,
    table: pd.DataFrame,
    *,
    group: str | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    batch_size: int = 64,
    verbose: int = 0,
    on_error: str = "raise",
) -> Scores:
    """What `Bundle.scores` returns."""
    if bundle.target is None:
        raise ValueError("A bundle without a target has nothing to score. Received: target=None")
    check_choice("on_error", on_error, ("raise", "skip"))
    check_positive(resamples=resamples)
    check_seed(seed)
    groups = groups_of(table, group)
    rows = held_out(bundle, table, batch_size, verbose, on_error)
    several = isinstance(bundle.target, Mapping)
    return scores_of_rows(rows, groups, resamples, seed, several=several)


def scores_of_rows(
    rows: HeldOut, groups: np.ndarray, resamples: int, seed: int, *, several: bool
) -> Scores:
    """Scores of rows that are read and predicted.

    Args:
        rows: The rows.
        groups: The group of each row of the table that they are from.
        resamples: How many resamples.
        seed: Seed of the resamples.
        several: Whether there are several targets, whose names stand before their scores.
    """
    _, own = np.unique(groups[rows.positions], return_inverse=True)
    together = _resampled(rows.by_target, own, resamples, seed)
    scored = {name: one.target.score(one.truth, one.outputs) for name, one in rows.by_target}
    tables = {
        name: one.target.scores_by_class(one.truth, one.outputs, own)
        for name, one in rows.by_target
    }
    by_class = {name: one for name, one in tables.items() if one is not None}
    resampled = flat(together) if several else together["target"]
    number = int(own.max()) + 1
    return Scores(
        _overall(flat(scored) if several else scored["target"], resampled, number),
        (by_class or None) if several else by_class.get("target"),
        len(rows.positions),
        number,
        rows.left_out,
        resampled,
        {"": rows.positions, **{name: one.truth for name, one in rows.by_target}},
        rows,
        (resamples, seed, group_key(own)),
    )


def overall_scores(rows: Rows, groups: np.ndarray, resamples: int, seed: int) -> pd.DataFrame:
    """The scores of the rows of one target with their intervals, as `Scores.overall` has them.

    Args:
        rows: The rows.
        groups: `(rows,) int64`, the group of each.
        resamples: How many resamples.
        seed: Seed of the resamples.
    """
    _, own = np.unique(groups, return_inverse=True)
    drawn = _resampled([("", rows)], own, resamples, seed)[""]
    return _overall(rows.target.score(rows.truth, rows.outputs), drawn, int(own.max()) + 1)


def _resampled(
    by_target: Sequence[tuple[str, Rows]], groups: np.ndarray, resamples: int, seed: int
) -> dict[str, dict[str, np.ndarray]]:
    # Target -> score -> its value in each resample.
    drawn: dict[str, dict[str, list[np.ndarray]]] = {name: {} for name, _ in by_target}
    for counts in resamples_of(groups, resamples, seed):
        for name, one in by_target:
            scores = one.target.resampled_scores(one.truth, one.outputs, counts)
            for score, values in scores.items():
                drawn[name].setdefault(score, []).append(values)
    return {
        name: {score: np.concatenate(parts) for score, parts in one.items()}
        for name, one in drawn.items()
    }


def _overall(
    scores: Mapping[str, float], drawn: Mapping[str, np.ndarray], number: int
) -> pd.DataFrame:
    found = {one: {"value": own, **_ends(own, drawn[one], number)} for one, own in scores.items()}
    return pd.DataFrame.from_dict(found, orient="index")


def group_key(groups: np.ndarray) -> bytes:
    """What differs if rows are grouped in another way."""
    return b"" if np.array_equal(groups, np.arange(len(groups))) else groups.tobytes()


def groups_of(table: pd.DataFrame, column: str | None) -> np.ndarray:
    """The group of each row, `(rows,) int64`, from the text of its cell. Rows without one are
    alone, and without a column all are.

    Raises:
        TableError: If there is no such column.
    """
    if column is None:
        return np.arange(len(table))
    check_columns(table, [column])
    numbers: dict[Any, int] = {}
    texts = column_texts(table[column])
    return np.array(
        [
            numbers.setdefault(row if text is None else text, len(numbers))
            for row, text in enumerate(texts)
        ],
        "int64",
    )


def _right(rows: Rows) -> np.ndarray:
    # In which rows the predicted class, the first column of predictions, is the true one.
    said = next(iter(rows.target.decode_outputs(rows.outputs).values()))
    return np.asarray(rows.target.classes_of(list(said)) == rows.target.class_positions(rows.truth))


def _coin_tosses(heads: int, tails: int) -> float:
    # The probability that as many tosses of a coin are at least as far from half and half.
    tosses, fewer = heads + tails, min(heads, tails)
    ways = sum(math.comb(tosses, one) for one in range(fewer + 1))
    return min(1.0, float(Fraction(2 * ways, 2**tosses)))


def _sign_flips(differences: np.ndarray) -> float:
    # The probability that, with a sign of its own for each difference, as likely + as -, their sum
    # is at least as far from 0. Of all sums at once, from those of fewer differences.
    sizes = np.abs(differences[differences != 0])
    total, observed = int(sizes.sum()), abs(int(differences.sum()))
    shares, most = np.zeros(total + 1), 0
    shares[0] = 1.0
    for size in sizes.tolist():
        # What is negative is twice lost of the total.
        shares[size : most + size + 1] += shares[: most + 1].copy()
        shares[: most + size + 1] /= 2
        most += size
    sums = total - 2 * np.arange(total + 1)
    return min(1.0, float(shares[np.abs(sums) >= observed].sum()))


def _ends(value: float, drawn: np.ndarray, groups: int) -> dict[str, float]:
    low, high = interval_of(drawn)
    # Where every row is right, so is every resample, though the next row may be wrong.
    if value == low == high == 1.0:
        low = float(share_interval(groups, groups)[0])
    if value != value:
        low = high = float("nan")
    return {"low": low, "high": high}


def _same(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(one[name], other[name], equal_nan=True) for name in one
    )
