"""The training of one fold of `train --folds`."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pandas as pd

from multimodal_gen.cli.curves import Curves
from multimodal_gen.cli.fitting import (
    Watch,
    fit_network,
    network_for,
    say_class,
    training_data,
    validation_data,
)
from multimodal_gen.cli.model_choice import PROBE, choose, loss_before, probe_beside, why_kept
from multimodal_gen.cli.reporter import Reporter
from multimodal_gen.cli.score_tables import scores_in_words
from multimodal_gen.cli.settings import RunSettings
from multimodal_gen.cli.target_choice import shown_scores
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.models.recipe import epochs_for


class FoldFit:
    """Trains the model of each fold as `train` does, and reports it.

    Args:
        settings: The settings.
        reporter: Gets the reports.
        curves: Where the curves of each fold go.
        probed: Whether a linear probe is fitted beside the network.

    Attributes:
        seconds: Number of a finished fold -> how long it took.
    """

    def __init__(
        self, settings: RunSettings, reporter: Reporter, curves: Curves, *, probed: bool
    ) -> None:
        self.settings, self.reporter, self.probed = settings, reporter, probed
        self.curves = curves
        self.seconds: dict[int, float] = {}
        self.number, self.started = 1, time.perf_counter()

    def __call__(self, inputs: Any, target: Target, train_data: Any, held_data: Any) -> Any:
        """Train the model of the next fold, and return it, or the probe if that is kept."""
        settings, rows = self.settings, len(train_data.table)
        model, positive = network_for(settings, inputs, target, rows)
        if settings.balance:
            # The same rows in the same order, with the weights of this fold's classes.
            own = replace(settings, seed=(settings.seed + self.number) % 2**64)
            train_data = training_data(own, train_data.table, inputs, target)
            held_data = validation_data(own, train_data, held_data.table, target)
        title = f"fold {self.number} of {settings.folds}"
        epochs = settings.epochs or epochs_for(rows)
        probe = probe_beside(settings, inputs, target, train_data, held_data, self.reporter)
        watch = Watch(self.reporter, title)
        # A fold that was stopped begins again.
        with self.curves.of(settings, f"fold_{self.number}", resumable=False) as watched:
            callbacks = [watch, *watched.callbacks]
            history = fit_network(model, target, train_data, held_data, epochs, callbacks)
        self.reporter.end()
        say_class(model, target, positive, self.reporter)
        choice = choose(model, probe, held_data)
        if choice:
            self.reporter.say(f"  {why_kept(choice)}{loss_before(choice, history)}")
        return probe if choice.get("kept") == PROBE else model

    def tell(self, number: int, folds: int, scores: pd.DataFrame) -> None:
        """Report the scores of a fold, and begin the next one."""
        now = time.perf_counter()
        self.seconds[number], self.started, self.number = now - self.started, now, number + 1
        words = scores_in_words(scores, shown_scores(self.settings.target, list(scores.index)))
        self.reporter.say(f"fold {number} of {folds}: {words}")
        self.reporter.finish(f"fold {number}")
