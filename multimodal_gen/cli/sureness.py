"""How sure a run is: calibration in `train`, and what `predict --coverage` and `--costs` add."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.bundle.bundle import Bundle
from multimodal_gen.bundle.held_out import held_out
from multimodal_gen.bundle.judging.deciding import Costs
from multimodal_gen.bundle.judging.reliability import BINS, Reliability, reliability_of_held_out
from multimodal_gen.bundle.judging.scores import RESAMPLES, Scores, groups_of, scores_of_rows
from multimodal_gen.bundle.judging.sets import beside, by_name, kept_limits, set_columns
from multimodal_gen.bundle.outputs import columns_of
from multimodal_gen.cli.reporter import Reporter
from multimodal_gen.cli.settings import RunSettings
from multimodal_gen.errors import counted
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.loaders.targets.calibration import LEAST_ROWS


def calibrated(
    bundle: Bundle,
    truth: np.ndarray,
    outputs: np.ndarray,
    reporter: Reporter,
    *,
    balance: bool = False,
) -> Bundle:
    """The bundle calibrated on validation rows, whose limits it keeps for `predict --coverage`, and
    with the thresholds of labels that suit these rows.

    Args:
        bundle: The bundle of one target.
        truth: What the target's `read` returned for the validation rows.
        outputs: What the model put out for them.
        reporter: Gets a line.
        balance: Whether rare classes were given more weight. Probabilities of classes then stay:
            calibrated, they would say the frequent ones again.
    """
    target = bundle.target
    assert isinstance(target, Target)
    rows = counted(len(truth), "validation row")
    if len(truth) < LEAST_ROWS:
        reporter.say(
            f"  not calibrated, as {LEAST_ROWS} validation rows are needed, and there are "
            f"{len(truth)}: `predict --coverage` will have nothing to go by"
        )
        return bundle
    if balance and target.one_class:
        limits = target.limits_by(truth, outputs)
        found = target.replace(conformal_limits=None if limits is None else limits.tolist())
        reporter.say("  probabilities are not calibrated, so that --balance decides as trained")
    else:
        found = target.calibrated_by(truth, outputs)
    if target.class_names and not (balance and target.one_class):
        reporter.say(f"  {_in_words(getattr(found, 'calibration', None))}, by {rows}")
    # After the probabilities, for which thresholds are chosen.
    decided = found.decided_by(truth, outputs)
    thresholds = getattr(decided, "thresholds", None)
    if thresholds is not None:
        reporter.say(f"  {thresholds_in_words(thresholds)}, by {rows}")
    other = type(bundle)(bundle.model, bundle.inputs, decided, inputs_as=bundle.inputs_as)
    # So that what explanations have compiled need not be compiled again.
    other._parts = bundle._parts
    return other


def thresholds_in_words(thresholds: np.ndarray) -> str:
    """A line about the probabilities from which labels are said.

    Args:
        thresholds: `(labels,)`.
    """
    values, counts = np.unique(thresholds, return_counts=True)
    most = values[counts.argmax()]
    own = thresholds[thresholds != most]
    if counts.max() == 1 and len(thresholds) > 1:
        own, most = thresholds, None
    said = f"labels are said from a probability of {most:.2f} on" if most is not None else ""
    if not len(own):
        return said
    each = f"{own.min():.2f}" if len(own) == 1 else f"{own.min():.2f} to {own.max():.2f}"
    if most is None:
        return f"labels have thresholds of their own, {each}"
    verb = "has its" if len(own) == 1 else "have their"
    return f"{said}; {len(own):,} of {len(thresholds):,} {verb} own threshold, {each}"


def _in_words(calibration: Any) -> str:
    if calibration is None:
        return "probabilities stay as they are"
    factors, shifts = calibration
    if len(set(factors)) == 1 and not any(shifts):
        return f"probabilities are calibrated: logits are multiplied by {factors[0]:.2f}"
    return "probabilities are calibrated: logits have a factor and a shift for each class"


def judged_on(
    bundle: Bundle, test: pd.DataFrame, settings: RunSettings
) -> tuple[Scores, Reliability | None, pd.DataFrame]:
    """The scores of test rows as `Bundle.scores` makes them, how right the probabilities of classes
    are, as `Bundle.reliability` says, and the predictions; the rows are read and predicted once.

    Args:
        bundle: The bundle of one target.
        test: The test rows, which can all be read.
        settings: Settings of the run, which name the groups.
    """
    groups, seed = groups_of(test, settings.group), settings.seed
    rows = held_out(bundle, test, 64, 0, "raise")
    scores = scores_of_rows(rows, groups, RESAMPLES, seed, several=False)
    found = reliability_of_held_out(rows, groups, BINS, RESAMPLES, seed)
    ((_, one),) = rows.by_target
    predictions = pd.DataFrame(columns_of(one.outputs, one.target), index=test.index)
    return scores, found.get("target"), predictions


def noted_calibration(found: Reliability) -> dict[str, float]:
    """What `metrics.json` keeps of it."""
    return {
        "error": found.error,
        "low": found.low,
        "high": found.high,
        "chance": found.chance,
    }


class More:
    """The columns that `predict` adds if it is asked for sets, intervals or decisions.

    Args:
        bundle: The bundle.
        coverage: The share of rows to hold in, or None.
        costs: A JSON file of the arguments of `Bundle.decide`, or None.
        details: The details of the run's `metrics.json`, which say by how many rows the limits of
            sets were found.

    Raises:
        ValueError: If the run keeps nothing to make sets by, or the file does not say what mistakes
            cost.
    """

    def __init__(
        self,
        bundle: Bundle,
        coverage: float | None,
        costs: Path | None,
        details: Mapping[str, Any],
    ) -> None:
        self.details = details
        self.target, self.coverage = bundle.target, coverage
        self.limits = None if coverage is None else _limits(bundle.target, coverage)
        self.costs = None if costs is None else _costs(bundle.target, costs)

    def columns(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """The columns to add.

        Args:
            predictions: What `Bundle.predict` returned.
        """
        found = [predictions.iloc[:, :0]]
        if self.limits is not None:
            found.append(set_columns(self.target, self.limits, predictions))
        if self.costs is not None:
            found.append(self.costs.columns(self.target, predictions))
        return beside(*found)

    def in_words(self, added: pd.DataFrame, loaded: pd.Series) -> list[str]:
        """Lines about the columns that were added.

        Args:
            added: What `columns` returned.
            loaded: Whether each row could be loaded; others are not counted.
        """
        said = []
        if self.coverage is not None:
            said += limits_in_words(self.target, self.coverage, self.details)
        for name in added:
            if str(name).split(".")[-1].removeprefix("prediction_") == "abstain":
                left = int((added[name] & loaded).sum())
                said.append(
                    f"{name}: {left:,} of {counted(int(loaded.sum()), 'row')} to leave to people, "
                    f"as not exactly one class is likely enough{self._sizes(added, name, loaded)}"
                )
        if self.costs is not None:
            decision, cost = added.columns[-2:]
            left = int(added.loc[loaded, decision].isna().sum())
            said.append(
                f"{decision}: expected cost {added[cost].mean():.4g} a row, {left:,} of "
                f"{counted(int(loaded.sum()), 'row')} to leave to people"
            )
        return said

    def _sizes(self, added: pd.DataFrame, abstain: Any, loaded: pd.Series) -> str:
        # How many sets hold several classes, and how many none, which is not a sign of a bad model.
        start = str(abstain).removesuffix("abstain").removesuffix("prediction_")
        name = next(one for one in (f"{start}set", f"{start}prediction_set") if one in added)
        sets = added.loc[loaded, name].tolist()
        none, several = (sum(map(check, sets)) for check in (_is_empty, _is_several))
        said = [f"{several:,} have several"] if several else []
        if none:
            said.append(
                f"{none:,} have none, as {self.coverage:.0%} are reached without them: a larger "
                "--coverage gives them classes"
            )
        return f"; {', '.join(said)}" if said else ""


def limits_in_words(target: Any, coverage: float, details: Mapping[str, Any]) -> list[str]:
    """A line about the rows that limits of sets come from, and what share they may then hold.

    With limits from `n` rows, the share of new rows that sets hold is drawn from a beta
    distribution (Vovk, "Conditional validity of inductive conformal predictors", 2012).

    Args:
        target: The run's target.
        coverage: The share that was asked for.
        details: The details of the run's `metrics.json`.

    Returns:
        Nothing if it is not known how many rows there were.
    """
    from scipy.stats import beta

    rows = details.get("rows", {}).get("validation")
    if rows is None:
        return []
    group = details["settings"]["group"]
    cases = rows if group is None else details.get("groups", {}).get("validation", rows)
    said = f"The limits come from {counted(rows, 'validation row')}"
    if cases < rows:
        said += (
            f" in {counted(cases, 'group')} of {group!r}, which tell little more than as many rows"
        )
    rank = math.ceil((cases + 1) * coverage - 1e-9)
    if rank > cases:
        return [f"{said}: too few to say what share of new rows they hold"]
    of_labels = bool(target.class_names) and not target.one_class
    if of_labels:
        return [f"{said}; a share of {coverage:g} is promised on average over such runs"]
    low, high = beta.ppf([0.05, 0.95], rank, cases + 1 - rank)
    held = f"between {100 * low:.0f} % and {100 * high:.0f} % of new rows"
    return [
        f"{said}: of such runs, nine in ten hold {held}, where {100 * coverage:g} % is asked for"
    ]


def _limits(target: Any, coverage: float) -> dict[str, Any]:
    if not any(one.conformal_limits is not None for one in by_name(target).values()):
        raise ValueError(
            "This run keeps nothing of validation rows to make sets by. `train` keeps it of at "
            f"least {LEAST_ROWS}, without --folds; for a run that there is, `load_bundle(RUN)"
            f".calibrate(rows).save(RUN)` adds it. Received: --coverage {coverage}"
        )
    return kept_limits(target, coverage)


def _costs(target: Any, file: Path) -> Costs:
    try:
        given = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"--costs is no JSON: {error}. Received: --costs {file}") from None
    known = {"costs", "abstain", "target"}
    if not isinstance(given, dict) or "costs" not in given or given.keys() - known:
        raise ValueError(
            '--costs must be as {"costs": {"ok": 1, "defect": 50}, "abstain": 0.5}, the arguments '
            f"of `Bundle.decide`. Received: --costs {file}"
        )
    try:
        return Costs.of(target, given.get("target"), given["costs"], given.get("abstain"))
    except ValueError as error:
        raise ValueError(f"{error}, in --costs {file}") from None


def _is_empty(own: Any) -> bool:
    return own is not None and not len(own)


def _is_several(own: Any) -> bool:
    return own is not None and len(own) > 1
