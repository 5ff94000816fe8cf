"""The search: trial after trial until the budget is used up.

A study in memory prunes; the one on disk has what is finished.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from multimodal_gen.cli.console import was_interrupted
from multimodal_gen.cli.option_values import score_title
from multimodal_gen.cli.reporter import Reporter
from multimodal_gen.cli.results import SEARCHED
from multimodal_gen.cli.score_tables import ends
from multimodal_gen.cli.target_choice import main_score, score_name
from multimodal_gen.cli.tuning.choosing import Candidate, loss_interval, worth_keeping
from multimodal_gen.cli.tuning.clock import Clock
from multimodal_gen.cli.tuning.pace import EXPECTED, TOO_SLOW, Pace, limit_of
from multimodal_gen.cli.tuning.proposing import DRAWS, Proposer
from multimodal_gen.cli.tuning.space import Setting, values_of
from multimodal_gen.cli.tuning.store import Store
from multimodal_gen.cli.tuning.trial import Curve, TimeUpError, TooSlowError, Trained, Trainer
from multimodal_gen.errors import MultimodalError, counted

# Trials that come to their end before others are stopped early. In the first third of the epochs
# none is stopped for its loss, as rates have been high until then.
_WHOLE, _WARM_UP = 5, 1 / 3
# A search is stopped if so many trials fail and none comes to its end.
_MOST_FAILURES = 5
_LONGEST_REASON = 200
_NO_FAULT = (MultimodalError, OSError, SystemExit)


class Search:
    """Runs trials, and knows those that are finished.

    Args:
        space: The settings that are varied.
        trainer: Trains a trial.
        store: Keeps what is finished.
        clock: The time of the search.
        groups: `(rows,)` group of each validation row, or None.
        reporter: Gets a line per trial.
    """

    def __init__(
        self,
        space: Sequence[Setting],
        trainer: Trainer,
        store: Store,
        clock: Clock,
        groups: Any,
        reporter: Reporter,
    ) -> None:
        self.space, self.trainer, self.store = space, trainer, store
        self.clock, self.groups, self.reporter = clock, groups, reporter
        settings = trainer.variants.data.settings
        self.kind = settings.target
        self.proposer = Proposer(space, settings.seed)
        self.study = self._finished()
        self.candidates: dict[int, Candidate] = {}
        self.kept: list[int] = []
        for trial in store.trials():
            if trial.state == TrialState.COMPLETE:
                losses = store.losses(trial.number)
                self._note(trial.number, Candidate(losses, trial.user_attrs["parameters"]))

    @property
    def trials(self) -> list[FrozenTrial]:
        """The finished trials, in their order."""
        return self.store.trials()

    @property
    def best(self) -> int:
        """The number of the trial with the least loss."""
        return min(self.candidates, key=lambda number: self.candidates[number].loss)

    def _finished(self) -> optuna.Study:
        # Has the finished trials, and no running one.
        warm_up = math.ceil(_WARM_UP * self.trainer.epochs)
        study = optuna.create_study(pruner=optuna.pruners.MedianPruner(_WHOLE, warm_up))
        study.add_trials(self.trials)
        return study

    def run(self, most: int | None) -> Iterator[int]:
        """Run trials until there are so many, or until the time is up. If it is too short for a
        trial, settings that should end in time take its place.

        Yields:
            The number of each trial, when it is finished.

        Raises:
            ValueError: If all trials have failed, of which five are enough.
        """
        number = len(self.trials)
        # Trial 0 is run in any case.
        while not number or not (self.clock.over or (most is not None and number >= most)):
            if not self.candidates and number >= _MOST_FAILURES:
                break
            tried: list[dict[str, Any]] = []
            settings: dict[str, Any] | None = self.proposer.propose(
                number, self.trials, self._limit()
            )
            while settings is not None and not self._try(number, settings, most):
                tried.append(settings)
                settings = self._cheaper(number, tried)
            if settings is None:
                break
            yield number
            number += 1
        if not self.candidates:
            raise ValueError(
                f"Every trial has failed, so there is no model to choose; {SEARCHED[0]} has the "
                f"reasons. Received: {self.trials[-1].user_attrs['reason']}"
            )

    def _cheaper(self, number: int, tried: list[dict[str, Any]]) -> dict[str, Any] | None:
        # Instead of settings that cannot end in the time that is left.
        left = self.clock.left
        assert left is not None
        found = self.proposer.within(left, number, self.trials, tried) if left > 0 else None
        way_out = "cheaper settings take its place"
        if found is None:
            way_out = "--resume with more --hours goes on"
            if left > 0:
                none = (
                    f"none of {counted(DRAWS, 'proposal')} should end within {_time(left)} either"
                )
                way_out = f"{none}; {way_out}"
        self.reporter.say(f"  trial {number}: cannot end within the time that is left; {way_out}")
        return found

    def _try(self, number: int, settings: dict[str, Any], most: int | None) -> bool:
        # False if the time was up before it came to its end.
        limit = self._limit()
        self.study.enqueue_trial(settings)
        trial = self.study.ask()
        values = values_of(self.space, trial)
        curve = Curve(trial, self.clock, Pace(self.trainer.epochs), limit, self.reporter)
        started, trained, reason = time.monotonic(), None, ""
        state = TrialState.FAIL
        if self.clock.begin(number):
            try:
                trained = self.trainer.train(values, curve)
                state = TrialState.COMPLETE
            except optuna.TrialPruned:
                state, reason = TrialState.PRUNED, f"after epoch {len(curve.history['val_loss'])}"
            except TooSlowError:
                state, reason = TrialState.PRUNED, _too_slow(curve)
            except TimeUpError:
                self.clock.end()
                self.study = self._finished()
                return False
            except BaseException as error:
                # Cells that cannot be read and files that cannot be written are no fault of a
                # trial, and Ctrl-C is none at all.
                if was_interrupted(error) or isinstance(error, _NO_FAULT):
                    self.clock.end()
                    raise
                # Out of memory, or whatever else a model may do.
                reason = _in_one_line(error)
        else:
            reason = f"the process ended in it {self.clock.starts - 1} times"
        self._finish(trial, state, trained, curve, time.monotonic() - started, reason)
        self._say(number, most)
        return True

    def _limit(self) -> float | None:
        # It depends on nothing but the budget and what is kept of trial 0.
        trials = self.trials
        if not trials:
            return None
        return limit_of(self.clock.budget, trials[0].user_attrs.get(EXPECTED))

    def _finish(
        self,
        trial: optuna.Trial,
        state: TrialState,
        trained: Trained | None,
        curve: Curve,
        seconds: float,
        reason: str,
    ) -> None:
        number, loss = trial.number, None
        self.store.keep_curve(number, curve.history)
        told: dict[str, Any] = {"seconds": round(seconds, 1), "reason": reason}
        told["epochs"] = len(curve.history.get("val_loss", ()))
        told[EXPECTED] = curve.pace.expected
        if trained is not None:
            own = Candidate(trained.losses, trained.parameters)
            loss = own.loss
            told |= {"parameters": own.parameters, "kept": trained.kept}
            told["score"] = main_score(self.kind, dict(trained.scores["value"]))
            told["interval"] = self._interval(trained.scores)
            self._note(number, own)
            self.store.keep_losses(number, trained.losses)
            if number in self.kept:
                self.store.keep_model(number, trained)
        for name, value in told.items():
            trial.set_user_attr(name, value)
        # A pruned trial has the last value that it has reported.
        self.study.tell(trial, loss, state)
        self.store.finish(self.study.get_trials(deepcopy=False)[number])
        self.store.forget_models(self.kept)
        self.clock.end()

    def _interval(self, scores: pd.DataFrame) -> list[float] | None:
        # That of the main score; of several numbers, whose mean it is, there is none.
        names = [one for one in scores.index if str(one).split(".")[-1] == score_name(self.kind)]
        return scores.loc[names[0], ["low", "high"]].tolist() if len(names) == 1 else None

    def _note(self, number: int, candidate: Candidate) -> None:
        self.candidates[number] = candidate
        near = {one: self.candidates[one] for one in [*self.kept, number]}
        self.kept = worth_keeping(near, self.groups)

    def _say(self, number: int, most: int | None) -> None:
        trial = self.trials[number]
        told = trial.user_attrs
        if trial.state == TrialState.COMPLETE:
            score, title = told["score"], score_title(score_name(self.kind))
            loss = loss_interval(self.candidates[number], self.groups)
            words = f"loss {trial.value:.4f} ({ends(*loss)})"
            words += "" if score is None else f", {title} {score:.3f}"
            interval = told.get("interval")
            words += "" if interval is None else f" ({ends(*interval)})"
        elif trial.state == TrialState.PRUNED:
            slow = told["reason"].startswith(TOO_SLOW)
            words = f"stopped{',' if slow else ''} {told['reason']}"
        else:
            words = f"failed, {told['reason']}"
        best = ""
        if self.candidates:
            best = f"best {self.candidates[self.best].loss:.4f} of trial {self.best}; "
        left = self._left(number, most)
        self.reporter.say(f"  trial {number}: {words}, {told['seconds']:.0f} s ({best}{left} left)")

    def _left(self, number: int, most: int | None) -> str:
        left = [] if most is None else [counted(most - number - 1, "trial")]
        if self.clock.left is not None:
            minutes = max(self.clock.left, 0) / 60
            left.append(f"{minutes / 60:.1f} h" if minutes >= 100 else f"{minutes:.0f} min")
        return " or ".join(left)


def _too_slow(curve: Curve) -> str:
    least = _time(curve.pace.at_least)
    return f"{TOO_SLOW}: all epochs take {least} or more, and it may take {_time(curve.limit)}"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def _in_one_line(error: BaseException) -> str:
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= _LONGEST_REASON else f"{text[: _LONGEST_REASON - 3]}..."
