"""Decisions that are made on validation rows and kept in the bundle: thresholds of labels."""

from __future__ import annotations

import pandas as pd

from multimodal_gen.bundle.bundle import Bundle
from multimodal_gen.bundle.held_out import held_out
from multimodal_gen.rows.checks import check_choice


def choose_thresholds(
    bundle: Bundle,
    table: pd.DataFrame,
    *,
    batch_size: int = 64,
    verbose: int = 0,
    on_error: str = "raise",
) -> Bundle:
    """Return a bundle whose labels are decided by the thresholds that suit validation rows.

    Of a `MultiLabel` all labels get one threshold, and some their own, wherever cross-validation in
    these rows says that the F1 grows (`MultiLabel.decided_by`): at 0.5, rare labels are said of
    hardly any row, and with a `positive_weight` of too many. `train` does this by itself.
    Probabilities do not change. Other targets stay as they are, unless a target of your own has a
    `decided_by`.

    Args:
        bundle: A bundle with a target. It is not changed; the result shares its model.
        table: Validation rows: neither training rows, on which a model is too sure, nor test rows,
            whose scores would become too good.
        batch_size: Rows per batch.
        verbose: 0 for silence, 1 for a progress bar.
        on_error: What to do with a row with a cell that cannot be loaded: "raise", or "skip".

    Raises:
        LoadError: As `Bundle.evaluate`.
        ValueError: If there is no target.
    """
    if bundle.target is None:
        raise ValueError("A bundle without a target decides nothing. Received: target=None")
    check_choice("on_error", on_error, ("raise", "skip"))
    rows = held_out(bundle, table, batch_size, verbose, on_error).by_target
    decided = {name: one.target.decided_by(one.truth, one.outputs) for name, one in rows}
    several = isinstance(bundle.target, dict)
    target = decided if several else decided["target"]
    return Bundle(bundle.model, bundle.inputs, target, inputs_as=bundle.inputs_as)
