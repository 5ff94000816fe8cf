"""What each input and column is worth on a table: the score that is lost without it.

Permutation importance (Breiman, "Random forests", 2001; Fisher, Rudin and Dominici, "All models are
wrong, but many are useful", 2019): the cells of an input are exchanged between the rows, so that
they are as usual as before and belong to nothing in their row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multimodal_gen.bundle.explaining.class_scores import ClassScores
from multimodal_gen.bundle.explaining.judged_rows import Judged, RowsOfModel, together
from multimodal_gen.bundle.explaining.model_parts import Parts
from multimodal_gen.bundle.held_out import Rows
from multimodal_gen.bundle.judging.resamples import interval_of, resamples_of
from multimodal_gen.bundle.judging.scores import groups_of
from multimodal_gen.errors import counted
from multimodal_gen.rows.checks import check_choice, check_positive, check_seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The score that says most about a kind of target; of any other target the first one.
_MAIN = ("balanced_accuracy", "r2", "mean_average_precision")
# Scores of which less is better.
_ERRORS = ("loss", "error", "off")
_COLUMNS = ("input", "column", "score", "class", "value", "lost", "low", "high")


@dataclass(frozen=True, eq=False)
class Importance:
    """What inputs and columns are worth, as `Bundle.importance` returns it.

    Attributes:
        frame: See `to_frame`.
        main: The main score of each target; of several numbers, that of each.
        rows: How many rows were scored.
        groups: How many groups they are in; without groups, as many as rows.
        repeats: How often cells were exchanged.
        left_out: How many rows were skipped.
    """

    frame: pd.DataFrame
    main: tuple[str, ...]
    rows: int
    groups: int
    repeats: int
    left_out: int

    def to_frame(self) -> pd.DataFrame:
        """Everything as a table.

        Returns:
            A row for each input or column, score and class. "input" is its name, or of inputs that
            read the same column the column's. "column" is one of several columns that it reads;
            None for the input as a whole. "score" is the name of a score, of several targets
            "{target}.{score}". "class" is None for the score of all rows; the scores of classes are
            "recall" and "f1". "value" is the score as it is, "lost" what is lost of it, and "low"
            to "high" the 95 % interval of that. Of errors, such as a loss, "lost" is what they grow
            by, so that more is always worth more.
        """
        return self.frame.copy()

    def of(self, score: str) -> pd.DataFrame:
        """What is lost of one score, the most first; the columns of an input come after it.

        Args:
            score: The name of a score of all rows.

        Returns:
            The columns "input", "column", "lost", "low" and "high".

        Raises:
            KeyError: If there is no such score.
        """
        own = self.frame[(self.frame["score"] == score) & self.frame["class"].isna()]
        if own.empty:
            names = self.frame.loc[self.frame["class"].isna(), "score"].unique().tolist()
            raise KeyError(f"There is no score of that name, only {names}. Received: {score!r}")
        whole = own[own["column"].isna()].set_index("input")["lost"]
        # Stable, so that a column follows its input where two inputs are worth the same.
        place = {name: rank for rank, name in enumerate((-whole).sort_values(kind="stable").index)}
        parts = own["column"].notna()
        order = np.lexsort((np.where(parts, -own["lost"], 0), parts, own["input"].map(place)))
        return own.iloc[order][["input", "column", "lost", "low", "high"]].reset_index(drop=True)

    def plot(self) -> Figure:
        """Draw a bar with its interval for each input and column, and each main score."""
        from multimodal_gen.inspection.importance import draw_importance

        return draw_importance({self._title(score): self.of(score) for score in self.main})

    def _title(self, score: str) -> str:
        own = self.frame[(self.frame["score"] == score) & self.frame["class"].isna()]
        words = score.replace("_", " ")
        return (
            f"What is lost of the {words}, {own['value'].iloc[0]:.3f} on "
            f"{counted(self.rows, 'row')}, when the cells of an input are exchanged between rows: "
            f"mean of {counted(self.repeats, 'repeat')}, 95 % interval"
        )

    def __str__(self) -> str:
        texts = []
        for score in self.main:
            own = self.of(score)
            names = [
                str(name) if column is None else f"  {column}"
                for name, column in zip(own["input"], own["column"], strict=True)
            ]
            table = own[["lost", "low", "high"]].set_axis(_padded(names))
            texts.append(f"{self._title(score)}\n{table.to_string(float_format='{:z.4f}'.format)}")
        return "\n\n".join(texts)

    __repr__ = __str__


def _padded(names: Sequence[str]) -> list[str]:
    width = max(map(len, names))
    return [name.ljust(width) for name in names]


def main_scores(names: Sequence[str]) -> tuple[str, ...]:
    """The main score of a target by name; of several numbers, that of each.

    Args:
        names: All scores of the target.
    """
    found = [name for name in names if name.split(".")[-1] in _MAIN]
    return tuple(found or names[:1])


def importance_of(
    models: Sequence[Judged],
    *,
    repeats: int,
    group: str | None,
    resamples: int,
    seed: int,
    target: str | None,
    batch_size: int,
    on_error: str,
) -> Importance:
    """What `Bundle.importance` returns; of several models with the same inputs and targets, each on
    rows of its own, it is that of all rows together.
    """
    targets = models[0].bundle.target
    _check_target(targets, target)
    check_choice("on_error", on_error, ("raise", "skip"))
    check_positive(repeats=repeats, resamples=resamples, batch_size=batch_size)
    check_seed(seed)
    tables = pd.concat([one.table for one in models])
    groups = np.arange(len(tables)) if group is None else groups_of(tables, group)
    ends = np.cumsum([len(one.table) for one in models])[:-1]
    read = [
        RowsOfModel(one, own, batch_size, on_error, seed)
        for one, own in zip(models, np.split(groups, ends), strict=True)
    ]
    _, own = np.unique(np.concatenate([one.groups for one in read]), return_inverse=True)
    judges = {
        name: _Judge(together([one.rows[name] for one in read]), own, resamples, seed)
        for name in read[0].rows
        if target is None or name == target
    }
    single = not isinstance(targets, Mapping)
    several = not single and target is None
    lines: list[dict[str, Any]] = []
    for player, column in _changes(models[0].parts):
        # Repeats, models: cells come from rows of the same model.
        outputs = [*zip(*(one.exchanged(player, column, repeats) for one in read), strict=True)]
        for name, judge in judges.items():
            drawn = [
                np.concatenate([one if single else one[name] for one in repeat])
                for repeat in outputs
            ]
            prefix = f"{name}." if several else ""
            for line in judge.lost(drawn):
                line["score"] = prefix + line["score"]
                lines.append({"input": player, "column": column, **line})
    frame = pd.DataFrame(lines, columns=list(_COLUMNS))
    for name in ("column", "class"):
        # pandas would make NaN of None.
        frame[name] = pd.Series([line[name] for line in lines], dtype=object)
    main = tuple(
        f"{name}.{score}" if several else score
        for name, judge in judges.items()
        for score in main_scores(list(judge.value))
    )
    lost = sum(one.left_out for one in read)
    return Importance(frame, main, len(own), int(own.max()) + 1, repeats, lost)


def _check_target(targets: Any, target: str | None) -> None:
    if targets is None:
        raise ValueError("A bundle without a target has nothing to score. Received: target=None")
    if target is None:
        return
    if not isinstance(targets, Mapping):
        raise ValueError(
            f"`target` is for a bundle with several targets by name. Received: target={target!r}"
        )
    if target not in targets:
        raise ValueError(f"`target` must be one of {list(targets)}. Received: target={target!r}")


def _changes(parts: Parts) -> Iterator[tuple[str, str | None]]:
    # Each player, and each of its columns if there are several.
    for name, player in parts.players.items():
        yield name, None
        if len(player.columns) > 1:
            for column in player.columns:
                yield name, column


class _Judge:
    # The rows of one target, and their scores in each resample.
    def __init__(self, rows: Rows, groups: np.ndarray, resamples: int, seed: int) -> None:
        self.rows, self.groups, self.resamples, self.seed = rows, groups, resamples, seed
        self.classes = ClassScores.of(rows.target, rows.truth)
        self.value = rows.target.score(rows.truth, rows.outputs)
        self.by_class = self.classes.score(rows.outputs)
        self.resampled = [self._scores(rows.outputs, counts) for counts in self._counts()]

    def _counts(self) -> Iterator[np.ndarray]:
        return resamples_of(self.groups, self.resamples, self.seed)

    def _scores(self, outputs: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
        # (resamples,) of each score, and (resamples, classes) of those by class.
        found = self.rows.target.resampled_scores(self.rows.truth, outputs, counts)
        return {**found, **self.classes.resampled(outputs, counts)}

    def lost(self, outputs: Sequence[np.ndarray]) -> Iterator[dict[str, Any]]:
        """What is lost of each score and class, with its interval.

        Args:
            outputs: Those of each repeat.
        """
        rng = np.random.Generator(np.random.Philox(self.seed))
        drawn: dict[str, list[np.ndarray]] = {}
        for counts, before in zip(self._counts(), self.resampled, strict=True):
            # As rows are drawn, so are repeats: both could have come out differently.
            shares = rng.multinomial(len(outputs), [1 / len(outputs)] * len(outputs), len(counts))
            after: dict[str, Any] = dict.fromkeys(before, 0.0)
            for share, one in zip(shares.T / len(outputs), outputs, strict=True):
                for name, values in self._scores(one, counts).items():
                    weights = share.reshape(-1, *[1] * (values.ndim - 1))
                    after[name] = after[name] + weights * values
            for name, values in before.items():
                drawn.setdefault(name, []).append(values - after[name])
        together = {name: np.concatenate(own) for name, own in drawn.items()}
        score = self.rows.target.score
        means = _mean([score(self.rows.truth, one) for one in outputs])
        for name, value in self.value.items():
            sign = -1 if name.endswith(_ERRORS) else 1
            yield _line(name, None, value, means[name], sign * together[name], sign)
        by_class = _mean([self.classes.score(one) for one in outputs])
        for name, values in self.by_class.items():
            for place, known in enumerate(self.classes.names):
                own = together[f"class {name}"][:, place]
                yield _line(name, known, values[place], by_class[name][place], own, 1)


def _mean(scores: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {name: np.mean([one[name] for one in scores], axis=0) for name in scores[0]}


def _line(
    score: str, known: Any, value: float, mean: float, drawn: np.ndarray, sign: int
) -> dict[str, Any]:
    low, high = interval_of(drawn)
    lost = sign * (float(value) - float(mean))
    found = {"score": score, "class": known, "value": float(value), "lost": lost}
    return {**found, "low": low, "high": high}
