"""What a missing cell is to a loader: the argument `missing`, and the errors."""

from __future__ import annotations

from typing import Any

from multimodal_gen.errors import LoadError
from multimodal_gen.rows.checks import check_choice


def check_missing(missing: Any) -> str:
    """The argument `missing` of a loader.

    Raises:
        ValueError: If it is neither "error" nor "blank".
    """
    check_choice("missing", missing, ("error", "blank"))
    return str(missing)


def missing_error() -> LoadError:
    """The error for a cell without a value."""
    return LoadError(
        "the cell is missing (None or NaN). Fill it, drop the row with "
        "`table.dropna(subset=[column])`, or have an input read as blank with "
        '`missing="blank"` (`--missing blank`).'
    )


def missing_target_error() -> LoadError:
    """The error for a row without a value to predict, which cannot be blank."""
    return LoadError(
        "the cell is missing (None or NaN), and without it there is nothing to learn or score. "
        "Drop the row with "
        '`table.dropna(subset=[column])`, or have such rows skipped with `on_error="skip"` '
        "(`--on-error skip`)."
    )
