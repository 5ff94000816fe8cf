"""Arguments of targets that choose a loss of classes, and the order of classes on a scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from multimodal_gen.errors import shown
from multimodal_gen.rows.cells import cell_text
from multimodal_gen.rows.checks import check_share, check_switches


def check_focus(focal: Any, label_smoothing: Any) -> None:
    """Check the arguments of a focal and of a smoothed loss.

    Raises:
        ValueError: If one is out of its range.
    """
    check_share(label_smoothing=label_smoothing)
    number = isinstance(focal, int | float) and not isinstance(focal, bool)
    if not number or not (math.isfinite(focal) and focal >= 0):
        raise ValueError(
            f"`focal` must be a number of at least 0, such as 2. Received: focal={focal!r}"
        )


def check_loss(label_smoothing: Any, focal: Any, ordered: Any, classes: int) -> None:
    """Check the arguments of the loss of one class per row.

    Raises:
        TypeError: If `ordered` is neither True nor False.
        ValueError: If one is out of its range, or they do not go together.
    """
    check_focus(focal, label_smoothing)
    check_switches(ordered=ordered)
    received = f"focal={focal!r}, label_smoothing={label_smoothing!r}"
    if ordered and (focal or label_smoothing):
        raise ValueError(
            "Classes on a scale have a loss of their own, which is neither focal nor smoothed; "
            f"leave out one of the arguments. Received: ordered=True, {received}"
        )
    if ordered and classes < 3:
        raise ValueError(
            "Two classes have no order: use `ordered` for at least three. Received: ordered=True"
        )


def names_in_order(names: Sequence[Any], series: pd.Series) -> list[Any]:
    """The classes of a column in the order of a scale.

    Args:
        names: The classes, sorted; numbers by size.
        series: The column; of an ordered categorical one, its categories count.

    Raises:
        ValueError: If they are texts and the column has no order.
    """
    if isinstance(series.dtype, pd.CategoricalDtype) and series.dtype.ordered:
        place = {cell_text(one): at for at, one in enumerate(series.dtype.categories)}
        return sorted(names, key=lambda name: place[cell_text(name)])
    if not all(_is_number(name) for name in names):
        raise ValueError(
            "Letters do not tell the order of classes on a scale. Name them from the lowest to the "
            f"highest, as in `ClassLabel({series.name or 'column'!r}, ['low', 'middle', 'high'], "
            f"ordered=True)`. Received: {shown(list(names))}"
        )
    return list(names)


def _is_number(name: Any) -> bool:
    try:
        return math.isfinite(float(cell_text(name)))
    except ValueError:
        return False
