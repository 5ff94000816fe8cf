"""What pandas computes over all cells of a column in files: it reads them into memory first."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.rows.shared_column import SharedColumn

_OPERATORS = [
    *("eq", "ne", "lt", "le", "gt", "ge"),
    *("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv"),
    *("floordiv", "rfloordiv", "mod", "rmod", "pow", "rpow", "and", "rand", "or", "ror", "xor"),
    *("neg", "abs", "invert"),
]


class ComputedColumn(SharedColumn):
    """A column that is computed with as an ordinary one of the same cells."""

    @abstractmethod
    def loaded(self) -> Any:
        """The cells as an ordinary pandas array in memory."""

    def to_numpy(
        self, dtype: Any = None, copy: bool = False, na_value: Any = pd.api.extensions.no_default
    ) -> np.ndarray:
        """The cells as an array in memory, `(rows,)`."""
        return self.loaded().to_numpy(dtype, copy, na_value)

    def factorize(self, use_na_sentinel: bool = True) -> tuple[np.ndarray, Any]:
        """Codes and distinct cells, as `pandas.factorize`."""
        return pd.factorize(self.loaded(), use_na_sentinel=use_na_sentinel)

    def unique(self) -> Any:
        """Distinct cells, in the order in which they come."""
        return pd.Series(self.loaded()).unique()

    def value_counts(self, dropna: bool = True) -> pd.Series:
        """How often each cell comes."""
        return pd.Series(self.loaded()).value_counts(dropna=dropna)

    def isin(self, values: Any) -> np.ndarray:
        """Which cells are among some values, `(rows,) bool`."""
        return pd.Series(self.loaded()).isin(list(values)).to_numpy()

    def duplicated(self, keep: Any = "first") -> np.ndarray:
        """Which cells have come before, `(rows,) bool`."""
        return pd.Series(self.loaded()).duplicated(keep=keep).to_numpy()

    def fillna(self, value: Any, limit: int | None = None, copy: bool = True) -> Any:
        """The cells in memory, with others in place of missing ones."""
        return pd.Series(self.loaded()).fillna(value, limit=limit).array

    def map(self, mapper: Any, na_action: Any = None) -> Any:
        """What a function or mapping makes of the cells, in memory."""
        return pd.Series(self.loaded()).map(mapper, na_action).array

    def _values_for_argsort(self) -> np.ndarray:
        return np.asarray(self.loaded())

    def _reduce(
        self, name: str, *, skipna: bool = True, keepdims: bool = False, **named: Any
    ) -> Any:
        result = getattr(pd.Series(self.loaded()), name)(skipna=skipna, **named)
        return pd.array([result]) if keepdims else result

    def _accumulate(self, name: str, *, skipna: bool = True, **named: Any) -> Any:
        return getattr(pd.Series(self.loaded()), name)(skipna=skipna, **named).array


def _operator(name: str) -> Callable[..., Any]:
    def operate(column: ComputedColumn, *others: Any) -> Any:
        if others and isinstance(others[0], pd.Series | pd.Index | pd.DataFrame):
            return NotImplemented
        plain = [one.loaded() if isinstance(one, ComputedColumn) else one for one in others]
        return getattr(column.loaded(), name)(*plain)

    operate.__name__ = name
    return operate


for _name in _OPERATORS:
    setattr(ComputedColumn, f"__{_name}__", _operator(f"__{_name}__"))
