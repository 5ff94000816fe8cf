"""One trial: a model is trained with the values of its settings, and judged on validation rows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import optuna
import pandas as pd

from multimodal_gen.bundle.bundle import Bundle
from multimodal_gen.bundle.held_out import Rows
from multimodal_gen.bundle.judging.scores import RESAMPLES, groups_of, overall_scores
from multimodal_gen.cli.fitting import fit_network, training_data, validation_data
from multimodal_gen.cli.model_choice import NETWORK, PROBE, choose
from multimodal_gen.cli.reporter import Reporter
from multimodal_gen.cli.tuning.clock import Clock
from multimodal_gen.cli.tuning.judging import losses_as_kept
from multimodal_gen.cli.tuning.pace import Pace
from multimodal_gen.cli.tuning.variants import Variants
from multimodal_gen.models.auxiliary import FusionModel
from multimodal_gen.models.comparing import Outcome, judge
from multimodal_gen.models.probe import linear_probe, not_linear
from multimodal_gen.models.recipe import LEARNING_RATE, epochs_for


class TimeUpError(Exception):
    """The budget ended within a trial."""


class TooSlowError(Exception):
    """A trial cannot end within its limit."""


class DivergedError(Exception):
    """The loss of a trial is not a number."""


class Curve(keras.callbacks.Callback):
    """Follows the validation loss of a trial, and ends it early if that is no use.

    Args:
        trial: The trial, which is told the least loss so far after each epoch.
        clock: The time of the search.
        pace: The time of the trial.
        limit: Seconds that the trial may take, or None.
        reporter: Gets the progress.

    Attributes:
        history: Name -> figure of each epoch, also of a trial that does not come to its end.
    """

    def __init__(
        self,
        trial: optuna.Trial,
        clock: Clock,
        pace: Pace,
        limit: float | None,
        reporter: Reporter,
    ) -> None:
        super().__init__()
        self.trial, self.clock, self.reporter = trial, clock, reporter
        self.pace, self.limit = pace, math.inf if limit is None else limit
        self.history: dict[str, list[float]] = {}
        self.least = math.inf

    def on_train_begin(self, logs: Any = None) -> None:
        """Begin with the number of steps."""
        steps = self.params["epochs"] * self.params["steps"]
        self.reporter.begin(f"trial {self.trial.number}", steps)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count a step.

        Raises:
            TooSlowError: If the limit is over.
        """
        self.reporter.advance()
        if self.pace.elapsed > self.limit:
            raise TooSlowError

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Note the figures of an epoch.

        Raises:
            DivergedError: If the validation loss is not a number.
            TrialPruned: If others were better at this epoch.
            TooSlowError: If the trial cannot end within its limit.
            TimeUpError: If it cannot end within the budget. Trial 0, which the others are compared
                with, comes to its end.
        """
        self.pace.epoch_ends()
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        loss = self.history["val_loss"][-1]
        if not math.isfinite(loss):
            raise DivergedError(f"the validation loss is {loss} in epoch {epoch + 1}")
        self.least = min(loss, self.least)
        self.clock.save()
        # The least one, because an epoch before it may be the one that is kept.
        self.trial.report(self.least, epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned
        if self.pace.at_least > self.limit:
            raise TooSlowError
        left = math.inf if self.clock.left is None else self.clock.left
        # Also if that was over within the epoch.
        if self.trial.number and self.pace.at_least - self.pace.elapsed > left:
            raise TimeUpError


@dataclasses.dataclass(frozen=True)
class Trained:
    """A trial that came to its end.

    Attributes:
        bundle: The model that is kept, with its loaders and the target.
        history: That of the network, as `write_results` takes it.
        losses: `(rows,)` loss of each validation row.
        scores: The scores of the validation rows, as `Scores.overall` has them.
        kept: "network" or "linear probe".
        parameters: Numbers that the model has learned.
    """

    bundle: Bundle
    history: Any
    losses: np.ndarray
    scores: pd.DataFrame
    kept: str
    parameters: int


class Trainer:
    """Trains trials, each as a function of its values alone.

    Args:
        variants: Makes loaders and models.
        clock: The time of the search.
        reporter: Gets the progress.

    Attributes:
        epochs: Passes over the training rows of each trial.
    """

    def __init__(self, variants: Variants, clock: Clock, reporter: Reporter) -> None:
        self.variants, self.clock, self.reporter = variants, clock, reporter
        settings, parts, *_ = variants.data
        self.epochs = settings.epochs or epochs_for(len(parts.train))
        # Input names -> the probe beside all networks on these inputs, which is computed once.
        self.probes: dict[tuple[str, ...], FusionModel] = {}

    def train(self, values: Mapping[str, Any], curve: Curve) -> Trained:
        """Train and judge one.

        Raises:
            DivergedError: If a loss is not a number.
            TrialPruned, TooSlowError, TimeUpError: See `Curve`.
        """
        # Of earlier trials, the rest is of no use.
        keras.utils.clear_session()
        settings, parts, _, target, _ = self.variants.data
        inputs = self.variants.inputs(values)
        sequence = training_data(settings, parts.train, inputs, target)
        validation = validation_data(settings, sequence, parts.validation, target)
        probe = self._probe(values, sequence, validation)
        # After the probe, which not every trial computes.
        keras.utils.set_random_seed(settings.seed)
        network = self.variants.model(values)
        rate = values.get("learning_rate", LEARNING_RATE)
        try:
            history = fit_network(network, target, sequence, validation, self.epochs, [curve], rate)
        finally:
            self.reporter.end()
        judged: dict[str, Outcome] = {}
        kept = choose(network, probe, validation, judged).get("kept", NETWORK)
        outcome = judged[kept] if judged else judge({NETWORK: network}, validation)[NETWORK]
        losses = np.sum([*outcome.losses.values()], axis=0)
        if not np.isfinite(losses).all():
            raise DivergedError("the loss of validation rows is not a number")
        (truth,), (outputs,) = outcome.truth.values(), outcome.outputs.values()
        losses = losses_as_kept(settings, target, truth, outputs, losses)
        model = probe if kept == PROBE else network
        assert model is not None
        return Trained(
            Bundle(model, inputs, target),
            SimpleNamespace(
                epoch=list(history.epoch),
                history=curve.history,
                best_epoch=int(history.best_epoch),
            ),
            losses,
            overall_scores(
                Rows(target, truth, outputs),
                groups_of(parts.validation, settings.group),
                RESAMPLES,
                settings.seed,
            ),
            kept,
            int(model.count_params()),
        )

    def _probe(
        self, values: Mapping[str, Any], sequence: Any, validation: Any
    ) -> FusionModel | None:
        # As `probe_beside` does, without its lines.
        inputs = self.variants.inputs(values)
        if values.get("fusion", "joint") != "joint" or not_linear(inputs):
            return None
        names = tuple(inputs)
        if names not in self.probes:
            batches = int(sequence.num_batches) + int(validation.num_batches)
            self.reporter.begin("reading inputs", batches)
            target, advance = self.variants.data.target, self.reporter.advance
            self.probes[names], _ = linear_probe(inputs, target, sequence, validation, advance)
            self.reporter.end()
        return self.probes[names]
