"""A bundle whose probabilities are right as often as they say, by held-out rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from multimodal_gen.bundle.held_out import held_out
from multimodal_gen.rows.checks import check_choice


def calibrated(
    bundle: Any, table: pd.DataFrame, *, batch_size: int, verbose: int, on_error: str
) -> Any:
    """What `Bundle.calibrate` returns."""
    if bundle.target is None:
        raise ValueError(
            "A bundle without a target has no probabilities to calibrate. Received: target=None"
        )
    check_choice("on_error", on_error, ("raise", "skip"))
    rows = held_out(bundle, table, batch_size, verbose, on_error).by_target
    found = {name: one.target.calibrated_by(one.truth, one.outputs) for name, one in rows}
    target = found if isinstance(bundle.target, Mapping) else found["target"]
    return type(bundle)(bundle.model, bundle.inputs, target, inputs_as=bundle.inputs_as)
