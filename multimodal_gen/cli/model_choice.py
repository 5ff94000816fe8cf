"""The linear probe beside the network of `train`, and which of the two is kept.

If all inputs are features, n-grams, numbers, categories or dates, the best linear model takes
seconds. On few rows, or where a label depends on single words and numbers, it is often as good as a
network or better.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from multimodal_gen.bundle.held_out import HeldOut, Rows
from multimodal_gen.bundle.judging.scores import RESAMPLES, overall_scores
from multimodal_gen.cli.reporter import Reporter
from multimodal_gen.cli.score_tables import scores_in_words
from multimodal_gen.cli.settings import RunSettings
from multimodal_gen.cli.target_choice import shown_scores
from multimodal_gen.errors import counted
from multimodal_gen.loaders import Loader
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.models.auxiliary import FusionModel
from multimodal_gen.models.comparing import Outcome, judge, side_by_side
from multimodal_gen.models.probe import linear_probe, not_linear

NETWORK, PROBE = "network", "linear probe"
# Losses that are shown alike need no word, and why others differ.
_SHOWN, _SINCE = 5e-4, "before its heads were scaled by these rows"


def has_probe(settings: RunSettings, inputs: Mapping[str, Loader]) -> bool:
    """Whether `probe_beside` fits one."""
    return settings.fusion == "joint" and not not_linear(inputs)


def why_kept(noted: Mapping[str, Any]) -> str:
    """Which model is kept and why, in words.

    Args:
        noted: What `choose` noted of two.
    """
    network, probe = (noted["validation_loss"][name] for name in (NETWORK, PROBE))
    better = "is lower" if probe < network else "is not lower"
    if probe < network and noted["kept"] == NETWORK:
        better = "is lower by less than its standard error"
    return (
        f"kept is the {noted['kept']}: the loss of the probe {better}, {probe:.3f} against "
        f"{network:.3f} (standard error of the difference {noted['standard_error']:.3f})"
    )


def loss_before(noted: Mapping[str, Any], history: Any) -> str:
    """The end of `why_kept`, if the network's loss was another one after its epoch.

    Args:
        noted: What `choose` noted of two.
        history: History of the network's training.
    """
    after = history.history["val_loss"][history.epoch.index(history.best_epoch)]
    if abs(after - noted["validation_loss"][NETWORK]) < _SHOWN:
        return ""
    return f"; that of the network was {after:.3f} after its epoch, {_SINCE}"


def probe_beside(
    settings: RunSettings,
    inputs: dict[str, Loader],
    target: Target,
    train_data: Any,
    validation_data: Any,
    reporter: Reporter,
) -> FusionModel | None:
    """Fit the linear probe, if there is one for these inputs and no other fusion is asked for."""
    if settings.fusion != "joint":
        return None
    others = not_linear(inputs)
    if others:
        if len(others) < len(inputs):
            names = ", ".join(map(repr, others))
            reporter.say(f"  no linear probe beside it, as {names} is learned from scratch")
        return None
    # Features are computed here, which may take longer than all that follows.
    batches = int(train_data.num_batches) + int(validation_data.num_batches)
    reporter.begin("reading inputs", batches)
    probe, report = linear_probe(inputs, target, train_data, validation_data, reporter.advance)
    reporter.end()
    reporter.say(f"  {report[0].lower()}{report[1:]}")
    return probe


def choose(
    network: Any,
    probe: FusionModel | None,
    validation_data: Any,
    judged: dict[str, Outcome] | None = None,
) -> dict[str, Any]:
    """Return the name of the model to keep, and the losses on the validation rows; nothing if there
    is one model only.

    The probe must be better by more than one standard error: with equal losses, a network was the
    better of the two on test rows more often. A loss tells more than an accuracy, which changes by
    a whole row at a time.

    Args:
        network: The network.
        probe: The probe, or None.
        validation_data: The validation rows.
        judged: Gets what each model says of them.
    """
    if probe is None:
        return {}
    judged = {} if judged is None else judged
    judged |= judge({NETWORK: network, PROBE: probe}, validation_data)
    table = side_by_side(judged)
    lead = table["worse_by"][NETWORK]
    return {
        "kept": PROBE if lead > table["standard_error"][NETWORK] else NETWORK,
        "validation_loss": table["loss"].to_dict(),
        "standard_error": float(table["standard_error"].max()),
    }


def rows_of(judged: Outcome | HeldOut) -> tuple[np.ndarray, np.ndarray]:
    """Truth and outputs of rows, for one target."""
    if isinstance(judged, HeldOut):
        ((_, rows),) = judged.by_target
        return rows.truth, rows.outputs
    ((truth, outputs),) = zip(judged.truth.values(), judged.outputs.values(), strict=True)
    return truth, outputs


def say_kept(
    settings: RunSettings,
    target: Target,
    noted: dict[str, Any],
    judged: Mapping[str, tuple[np.ndarray, np.ndarray]],
    groups: np.ndarray,
    history: Any,
    reporter: Reporter,
) -> None:
    """Say how good the models are on the validation rows, and which is kept and why.

    Args:
        settings: Settings of the run.
        target: The target.
        noted: What `choose` noted.
        judged: Name of a model -> truth and outputs of the validation rows.
        groups: `(rows,)`, the group of each validation row.
        history: History of the network's training.
        reporter: Gets the lines.
    """
    epoch = f"epoch {history.best_epoch + 1} of {len(history.epoch)}"
    for name, rows in judged.items():
        # Not from the history, because the heads of the kept model have been weighted since.
        scores = overall_scores(Rows(target, *rows), groups, RESAMPLES, settings.seed)
        titles = [*shown_scores(settings.target, list(scores.index)), "log_loss"]
        words = scores_in_words(scores, [one for one in titles if one in scores.index])
        of = {NETWORK: f"{NETWORK}, {epoch}"}.get(name, name) if noted else f"kept {epoch}"
        shown = (
            ""
            if _is_weighted(settings, target)
            else _as_shown(name, dict(scores["value"]), history)
        )
        reporter.say(f"  {of}: {words} on the validation rows, with 95 % intervals{shown}")
        if name == NETWORK:
            reporter.say(f"  {'its epoch' if noted else 'kept'} is {_rule(history)}")
    if noted:
        weighted = (
            "; in these losses each class counts as much" if _is_weighted(settings, target) else ""
        )
        reporter.say(f"  {why_kept(noted)}{weighted}")


def _is_weighted(settings: RunSettings, target: Target) -> bool:
    # Then the losses of epochs are of weighted rows, and those of the scores are not.
    return settings.balance and target.one_class


def _as_shown(name: str, scores: Mapping[str, float], history: Any) -> str:
    # The line of the epoch may have shown another loss or accuracy, as `calibrate_heads` comes
    # after it.
    if name != NETWORK or history.best_epoch not in history.epoch:
        return ""
    place = history.epoch.index(history.best_epoch)
    words = []
    for score, logged in (("log_loss", "val_loss"), ("accuracy", "val_accuracy")):
        shown = history.history.get(logged)
        if shown and score in scores and abs(shown[place] - scores[score]) >= _SHOWN:
            words.append(f"{logged.replace('_', ' ')} {shown[place]:.3f}")
    if not words:
        return ""
    return f" ({' and '.join(words)} after the epoch, {_SINCE})"


def _rule(history: Any) -> str:
    # Why this epoch is kept, and why there are fewer than the progress announced.
    kept = (
        "the last epoch whose validation accuracy is within one standard error of the best"
        if "val_accuracy" in history.history
        else "the epoch of the lowest validation loss"
    )
    # A resumed run has trained the first epochs before.
    left = history.params["epochs"] - history.epoch[-1] - 1
    early = f"; training stopped {counted(left, 'epoch')} early, as it got no better"
    return f"{kept}{early if left else ''}"
