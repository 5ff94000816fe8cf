"""Explains the prediction of a row as a page, by a bundle; the only file here that needs Keras."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from multimodal_gen.bundle.bundle import Bundle
from multimodal_gen.bundle.explaining.page import page


def explainer_of(bundle: Bundle) -> Callable[[pd.DataFrame], str] | None:
    """What makes the page of a row; None if the bundle has no target, whose outputs have no names.

    Args:
        bundle: The bundle.
    """
    if bundle.target is None:
        return None
    return lambda table: page(bundle.explain(table), "Why this prediction")
