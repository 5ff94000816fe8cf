"""The trials of a search as a table, for people and for spreadsheets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from multimodal_gen.cli.tuning.pace import TOO_SLOW
from multimodal_gen.cli.tuning.space import Setting

_STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "stopped early"}


def table_of(trials: Sequence[FrozenTrial], space: Sequence[Setting], score: str) -> pd.DataFrame:
    """One row per trial.

    Args:
        trials: The finished trials.
        space: The settings that were varied.
        score: The name of the main score.

    Returns:
        Columns: "trial"; "state": complete, stopped early, too slow or failed; "loss" on the
        validation rows,
        for one that was stopped its least until then; the score on these rows, and the ends of its
        95 % interval, "low" and "high"; "kept": network or
        linear probe; "parameters", "epochs", "seconds"; each setting, empty where it does not
        matter; and "reason" why it was stopped or failed.
    """
    return pd.DataFrame([_row(trial, space, score) for trial in trials])


def _row(trial: FrozenTrial, space: Sequence[Setting], score: str) -> dict[str, Any]:
    told = trial.user_attrs
    state = _STATES.get(trial.state, "failed")
    if (told.get("reason") or "").startswith(TOO_SLOW):
        state = TOO_SLOW
    low, high = told.get("interval") or (None, None)
    return {
        "trial": trial.number,
        "state": state,
        "loss": trial.value,
        score: told.get("score"),
        "low": low,
        "high": high,
        "kept": told.get("kept"),
        "parameters": told.get("parameters"),
        "epochs": told.get("epochs"),
        "seconds": told.get("seconds"),
        **{one.name: trial.params.get(one.name) for one in space},
        "reason": told.get("reason") or None,
    }
