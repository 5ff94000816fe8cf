"""What a bundle inherits: scores with intervals, calibration, reliability, sets, decisions."""

from __future__ import annotations

from typing import Any, Self

import pandas as pd

from multimodal_gen.bundle.judging.calibrating import calibrated
from multimodal_gen.bundle.judging.deciding import decided
from multimodal_gen.bundle.judging.reliability import BINS, Reliability, reliability_of
from multimodal_gen.bundle.judging.scores import Scores, scores_with_intervals
from multimodal_gen.bundle.judging.sets import sets_of
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.targets.base import Target


class Judged:
    """A model with loaders and a target, whose predictions can be judged."""

    model: Any
    inputs: dict[str, Loader]
    target: Target | dict[str, Target] | None
    inputs_as: str

    def scores(
        self,
        table: pd.DataFrame,
        *,
        group: str | None = None,
        resamples: int = 1000,
        seed: int = 0,
        batch_size: int = 64,
        verbose: int = 0,
        on_error: str = "raise",
    ) -> Scores:
        """Score the predictions as `evaluate` does, with 95 % intervals, and each class by itself.

        The intervals are percentiles of a bootstrap: the rows are drawn with replacement again and
        again, and the scores computed each time (Efron, "Bootstrap methods", 1979). Those of single
        classes, and a score of 1, are Wilson's, which hold for few rows too.

        Args:
            table: The columns of the inputs and of the target.
            group: A column whose equal values are one case, such as a patient or a product with
                several pictures: then groups are drawn instead of rows, because rows of a group
                are alike and tell less than as many others. A missing value is a group by itself.
            resamples: How often rows are drawn.
            seed: The same seed draws the same rows.
            batch_size: Rows per batch.
            verbose: 0 for silence, 1 for a progress bar.
            on_error: As in `evaluate`.

        Raises:
            LoadError: As `evaluate`.
            TableError: If there is no column `group`.
            ValueError: As `evaluate`; or if `resamples` is not a positive integer.
        """
        return scores_with_intervals(
            self,
            table,
            group=group,
            resamples=resamples,
            seed=seed,
            batch_size=batch_size,
            verbose=verbose,
            on_error=on_error,
        )

    def calibrate(
        self,
        table: pd.DataFrame,
        *,
        batch_size: int = 64,
        verbose: int = 0,
        on_error: str = "raise",
    ) -> Self:
        """Return a bundle whose probabilities are right as often as they say, ready for `sets`.

        Of a `ClassLabel` or `MultiLabel`, the logits are multiplied by one number, the inverse
        temperature, or by a factor with a shift for each class where cross-validation within these
        rows shows that this is better; or left alone if nothing helps. `predict`, `evaluate` and
        all else then use these probabilities, and `save` keeps them. With one number, the most
        likely class stays. Predicted numbers stay as they are. All three keep what `sets` needs of
        these rows. Other targets stay as they are, unless one of your own has a `calibrated_by`.

        Args:
            table: At least 20 validation rows: neither training rows, on which a model is too sure,
                nor test rows, whose scores would become too good.
            batch_size: Rows per batch.
            verbose: 0 for silence, 1 for a progress bar.
            on_error: What to do with a row with a cell that cannot be loaded: "raise", or "skip".

        Raises:
            LoadError: As `evaluate`.
            ValueError: If there is no target, or there are fewer than 20 rows.
        """
        found: Self = calibrated(
            self, table, batch_size=batch_size, verbose=verbose, on_error=on_error
        )
        return found

    def reliability(
        self,
        table: pd.DataFrame,
        *,
        group: str | None = None,
        bins: int = BINS,
        resamples: int = 1000,
        seed: int = 0,
        batch_size: int = 64,
        verbose: int = 0,
        on_error: str = "raise",
    ) -> Reliability | dict[str, Reliability]:
        """How far probabilities are from how often they are right.

        The predictions are sorted into bins by their probability, and the share that is right is
        compared with the mean probability: the expected calibration error of Naeini, Cooper and
        Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", 2015, with
        bins of equally many predictions. Where each row has one class, they are the most likely
        classes; of a `MultiLabel`, all labels of all rows.

        Args:
            table: The columns of the inputs and of the target; rows that neither training nor
                `calibrate` has seen.
            group: As in `scores`: groups are drawn for the interval.
            bins: How many bins at most.
            resamples: How often rows are drawn for the interval.
            seed: The same seed draws the same rows.
            batch_size: Rows per batch.
            verbose: 0 for silence, 1 for a progress bar.
            on_error: As in `evaluate`.

        Returns:
            Error, interval and bins, with `plot()` to draw them; of several targets, target name ->
            that, for those with classes.

        Raises:
            LoadError: As `evaluate`.
            TableError: If there is no column `group`.
            ValueError: As `evaluate`; or if no target has classes, a target of your own has no
                probabilities, or `bins` or `resamples` is not a positive integer.
        """
        return reliability_of(
            self,
            table,
            group=group,
            bins=bins,
            resamples=resamples,
            seed=seed,
            batch_size=batch_size,
            verbose=verbose,
            on_error=on_error,
        )

    def sets(
        self,
        table: pd.DataFrame,
        validation: pd.DataFrame | None = None,
        *,
        coverage: float = 0.9,
        batch_size: int = 64,
        verbose: int = 0,
    ) -> pd.DataFrame:
        """Predict what holds the truth in a share of rows that you ask for: sets or intervals.

        Of classes, a set has those whose probability is at least that which the true classes of the
        validation rows have in this share of rows; of numbers, an interval is as wide as their
        errors are: split conformal prediction. Of a `MultiLabel`, a set holds this share of each
        row's labels on average: conformal risk control. `multimodal_gen.loaders.targets.conformal`
        names the papers. The promise is for rows like the validation rows, on average over draws of
        both, however good or well calibrated the model is. It is for each number by itself.

        Args:
            table: The rows to predict.
            validation: Rows with the truth that the model was not trained on. None for those that
                the bundle was calibrated with: `calibrate` keeps what is needed of them.
            coverage: The share, from 0.5 to 0.999; between two thousandths, the larger counts.
            batch_size: Rows per batch.
            verbose: 0 for silence, 1 for a progress bar.

        Returns:
            One row per row of `table`. The prediction under its name, and for classes "set", a list
            of classes, and "abstain", whether the set is not exactly one class: several if the row
            is between classes, none if it is like no row that the model is right about. For labels
            "set", in the form of "labels". For each number "{name}_low" and "{name}_high". Of
            several targets, "{target}.set" and so on for each that has sets. A column of `predict`
            keeps its name: "set" is then "prediction_set". "error" is as in `predict`.

        Raises:
            LoadError: As `predict` for `table`, and as `evaluate` for `validation`.
            ValueError: If no target has sets, `coverage` is none, there are too few validation rows
                for it, or none at all.
        """
        return sets_of(
            self,
            table,
            validation,
            coverage=coverage,
            batch_size=batch_size,
            verbose=verbose,
        )

    def decide(
        self,
        table: pd.DataFrame,
        costs: Any,
        *,
        abstain: float | None = None,
        target: str | None = None,
        batch_size: int = 64,
        verbose: int = 0,
    ) -> pd.DataFrame:
        """Decide for the class that costs least on average, or for none if that costs less.

        The expected cost of saying a class is the sum over the true classes of probability times
        cost (Elkan, "The foundations of cost-sensitive learning", 2001; with `abstain`, Chow, "On
        optimum recognition error and reject tradeoff", 1970). It is right if the probabilities
        are, so `calibrate` first. Of two classes, "yes" is said from a probability of
        `costs["no"] / (costs["no"] + costs["yes"])` on.

        Args:
            table: The rows to predict.
            costs: True class -> what any mistake about it costs, or -> a mapping of the classes
                that may be said to what each costs. Being right costs 0 unless it is named. Or
                `(classes, classes)` numbers, in the order of `class_names`: a row for each true
                class, a column for each that may be said; in a DataFrame they are named.
            abstain: What it costs to decide nothing; None if every row needs a class.
            target: Of several targets, the name of the one to decide.
            batch_size: Rows per batch.
            verbose: 0 for silence, 1 for a progress bar.

        Returns:
            One row per row of `table`: the most likely class under its name; "decision", the class
            to say, or None to abstain; and "expected_cost". Both are missing in a row that cannot
            be loaded, and "error" is as in `predict`.

        Raises:
            LoadError: As `predict`.
            ValueError: If the target has not one class per row, `costs` leave out a class or name
                another one, or a cost is no finite number.
        """
        return decided(
            self,
            table,
            costs,
            abstain=abstain,
            target=target,
            batch_size=batch_size,
            verbose=verbose,
        )
