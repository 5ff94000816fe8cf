"""The loss by which trials are compared: that of the probabilities that a run would keep.

A network that is too sure has a large loss and may be mended by one number, which `train` finds on
validation rows. Without that, a search would keep what is least sure instead of what is best.
"""

from __future__ import annotations

import numpy as np

from multimodal_gen.cli.settings import RunSettings
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.loaders.targets.calibration import LEAST_ROWS, fit_by_folds
from multimodal_gen.loaders.targets.class_shares import class_shares

_SMALLEST = 1e-7


def losses_as_kept(
    settings: RunSettings,
    target: Target,
    truth: np.ndarray,
    outputs: np.ndarray,
    losses: np.ndarray,
) -> np.ndarray:
    """`(rows,)` loss of each validation row, where `train` calibrates by probabilities that are
    calibrated on other rows.

    Args:
        settings: With `--balance`, probabilities are not calibrated.
        target: The target.
        truth: What its `read` returned, `(rows, ...)`.
        outputs: What the model put out, `(rows, ...)`.
        losses: `(rows,)` loss of the outputs.
    """
    if not target.class_names or settings.balance or len(truth) < LEAST_ROWS:
        return losses
    if target.one_class:
        has = np.eye(len(target.class_names))[target.class_positions(truth)] > 0
    else:
        has = np.asarray(truth) > 0.5
    _, apart = fit_by_folds(has, class_shares(target, outputs), exclusive=target.one_class)
    likely = np.log(np.clip(np.where(has, apart, 1 - apart), _SMALLEST, 1))
    own = likely[has] if target.one_class else likely.mean(axis=1)
    return np.asarray(-own)
