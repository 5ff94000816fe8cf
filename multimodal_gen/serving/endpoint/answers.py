"""Predictions as records that JSON can hold."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from multimodal_gen.rows.cells import cell_text


def records_of(columns: Mapping[Any, np.ndarray]) -> list[dict[str, Any]]:
    """The rows of predictions, each a mapping of columns to values; None for what is not finite.

    Args:
        columns: Column -> its values.
    """
    names = list(map(str, columns))
    values = [_plain_column(one) for one in columns.values()]
    return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]


def _plain_column(column: np.ndarray) -> list[Any]:
    if column.dtype.kind == "f" and np.isfinite(column).all():
        return list(column.tolist())
    return [_plain(one) for one in column.tolist()]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    # A class of another type, such as a date.
    return cell_text(value)


def as_json(value: Any) -> bytes:
    """A value as JSON in plain ASCII, as texts may hold lone surrogates, which have no UTF-8."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")
