"""What each trial tries: the defaults, then settings drawn at random, the cheapest first, and then
those that Optuna's TPE sampler proposes, without those that would take too long.

It depends on the seed, the number of the trial and the finished ones alone, so that a search that
was stopped goes on as if it had not been. A generator that goes on from one trial to the next would
begin anew in a new process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial

from multimodal_gen.cli.tuning.pace import seconds_expected, work_of
from multimodal_gen.cli.tuning.space import Setting, defaults_of, values_of

# Trials before the sampler learns from them, and what it draws for one before giving up to find
# settings that can end in time; at the end of a search more, as nothing else can be done with it.
_RANDOM, _DRAWS, DRAWS = 10, 8, 32


class Proposer:
    """Proposes the settings of trials.

    Args:
        space: The settings.
        seed: The seed of the search.
    """

    def __init__(self, space: Sequence[Setting], seed: int) -> None:
        self.space, self.seed = space, seed
        known = [defaults_of(space)]
        for number in range(1, _RANDOM):
            known.append(self._drawn(number, known))
        # Those that cost little tell more in the same time; of equal cost they stay in their order.
        self.first = [known[0], *sorted(known[1:], key=lambda params: work_of(space, params))]

    def propose(
        self, number: int, trials: Sequence[FrozenTrial], limit: float | None
    ) -> dict[str, Any]:
        """The settings of a trial.

        Args:
            number: Its number.
            trials: The finished trials.
            limit: Seconds that it may take, or None.
        """
        if number < len(self.first):
            return self.first[number]
        study = self._study(number)
        study.add_trials(trials)
        some = [self._asked(study) for _ in range(1 if limit is None else _DRAWS)]
        seconds = seconds_expected(self.space, trials, some)
        if limit is None or seconds is None:
            return some[0]
        in_time = np.flatnonzero(seconds <= limit)
        return some[in_time[0] if len(in_time) else int(seconds.argmin())]

    def within(
        self,
        left: float,
        number: int,
        trials: Sequence[FrozenTrial],
        tried: Sequence[dict[str, Any]],
    ) -> dict[str, Any] | None:
        """Settings that should end in the time that is left, or None if none of 32 should.

        Args:
            left: Seconds.
            number: The number of the trial.
            trials: The finished trials.
            tried: Settings that could not end in that time, though it may have been expected.
        """
        study = self._study(number)
        study.add_trials(trials)
        some = [self._asked(study) for _ in range(DRAWS)]
        seconds = seconds_expected(self.space, trials, some)
        if seconds is None:
            return None
        in_time = (params for params, one in zip(some, seconds, strict=True) if one <= left)
        return next((params for params in in_time if params not in tried), None)

    def _study(self, number: int) -> optuna.Study:
        sampler = optuna.samplers.TPESampler(seed=self._seed(number), n_startup_trials=_RANDOM)
        return optuna.create_study(sampler=sampler)

    def _seed(self, number: int) -> int:
        return int(np.random.SeedSequence((self.seed, number)).generate_state(1)[0])

    def _drawn(self, number: int, known: Sequence[dict[str, Any]]) -> dict[str, Any]:
        # About half of the settings as in the defaults: if everything differs from what is known to
        # work, most trials are bad.
        study, rng = self._study(number), np.random.default_rng(self._seed(number))
        while True:
            keep = rng.random(len(self.space)) < 0.5
            study.enqueue_trial(
                {one.name: one.default for one, kept in zip(self.space, keep, strict=True) if kept}
            )
            params = self._asked(study)
            # A choice that is drawn may be the default too, and a trial again would tell nothing.
            if params not in known:
                return params

    def _asked(self, study: optuna.Study) -> dict[str, Any]:
        trial = study.ask()
        values_of(self.space, trial)
        return trial.params
