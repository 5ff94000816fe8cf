#!/usr/bin/env bash
# A study of Optuna whose TPESampler has a fixed seed proposes other trials if it is loaded again half
# way, with the same seed, than if it runs through.
#
# Seen with optuna 5.0.0 on Linux, Python 3.11. The trials are stored, the state of the sampler's
# random generator is not: a new sampler with the same seed starts at the beginning of its stream.
#
# So a search that was killed and continued ends with another best trial than one that was left
# alone, whatever seed is given. A sampler whose seed is made of the number of the trial proposes the
# same ones both ways, as this script shows too.
#
# Exits 0 while that is so, and 1 when a restarted study proposes what the undisturbed one does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "optuna==5.0.0"
cat >"$folder/search.py" <<'PYTHON'
import sys

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)


def objective(trial):
    x, y = trial.suggest_float("x", -5, 5), trial.suggest_float("y", -5, 5)
    return (x - 1) ** 2 + (y + 2) ** 2


def proposed(parts, by_number):
    storage, found = optuna.storages.InMemoryStorage(), None
    for count in parts:
        # As in a new process: the trials are in the storage, the sampler is made anew.
        found = optuna.create_study(
            storage=storage,
            study_name="search",
            load_if_exists=True,
            sampler=optuna.samplers.TPESampler(seed=0),
        )
        for _ in range(count):
            if by_number:
                found.sampler = optuna.samplers.TPESampler(seed=len(found.trials))
            found.optimize(objective, n_trials=1)
    return [sorted(one.params.items()) for one in found.trials]


through, restarted = proposed([24], False), proposed([12, 12], False)
same = sum(one == other for one, other in zip(through, restarted))
print(f"one seed: {same} of {len(through)} trials are the same after a restart at trial 12")
numbered = proposed([24], True) == proposed([12, 12], True)
print(f"a seed for each trial's number: all are the same: {numbered}")
sys.exit(not (same == 12 and numbered))
PYTHON
"$folder/venv/bin/python" "$folder/search.py"
