"""Finding rows by their vectors: an index to search, and how often the right row is found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.loaders.targets.class_label import ClassLabel
from multimodal_gen.rows.checks import check_positive

# Rows whose similarities to all others are in memory at once.
_ROWS_AT_ONCE = 1024


class VectorIndex:
    """Rows of a table by their vectors, made by `DualEncoder.index`.

    Args:
        table: The rows.
        vectors: `(rows, size) float32` of length 1; rows of NaN are left out.
        encode_query: `(query, by) -> (size,)`, `DualEncoder.encode_query`.
        rows: `(vectors,) int64`, the position of each vector's row, of which some may have several;
            by default each row has one.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        vectors: np.ndarray,
        encode_query: Callable[[Any, str | None], np.ndarray],
        rows: np.ndarray | None = None,
    ) -> None:
        self._encode_query = encode_query
        good = ~np.isnan(vectors).any(axis=1)
        rows = np.arange(len(table)) if rows is None else rows
        places, self._rows = np.unique(rows[good], return_inverse=True)
        self.table = table.iloc[places]
        self._most = int(np.bincount(self._rows).max(initial=1))
        # Scaled once: scikit-learn's neighbours by cosine scale all vectors again for each query.
        self._vectors = _unit(vectors[good])

    def __len__(self) -> int:
        return len(self.table)

    def search(self, query: Any, k: int = 10, *, by: str | None = None) -> pd.DataFrame:
        """Return the rows that are nearest to a text or picture, the nearest first.

        Args:
            query: A text, or any cell that the other input reads, such as a `pathlib.Path`.
            k: Most rows.
            by: The input that reads the query; by default the text for a str, else the other one.

        Returns:
            Rows of the table with a column more, "similarity": cosines in [-1, 1].
        """
        check_positive(k=k)
        similar = self._vectors @ _unit(self._encode_query(query, by))
        # So many that k rows are among them, even if each comes with all its vectors.
        asked = min(k * self._most, len(self._rows))
        # All that are as near as the last one, of which the first rows are kept.
        nearest = np.flatnonzero(similar >= np.partition(similar, -asked)[-asked])
        nearest = nearest[np.lexsort((nearest, -similar[nearest]))][:asked]
        found = pd.DataFrame({"row": self._rows[nearest], "similarity": similar[nearest]})
        found = found.drop_duplicates("row").head(k)
        return self.table.iloc[found["row"]].assign(similarity=found["similarity"].to_numpy())


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), "float32")


def labelled(logits: np.ndarray, labels: Sequence[str], index: pd.Index) -> pd.DataFrame:
    """The most likely label of each row, and the probability of each.

    Args:
        logits: `(rows, labels)`; NaN in rows that cannot be labelled, which stay without a label.
        labels: The labels.
        index: The names of the rows.
    """
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = exponents / exponents.sum(axis=1, keepdims=True)
    lost = np.isnan(probabilities).any(axis=1)
    target = ClassLabel("label", list(labels), label_mode="categorical")
    decoded = target.decode_outputs(np.where(lost[:, None], 1 / len(labels), probabilities))
    return pd.DataFrame(decoded, index=index).where(pd.Series(~lost, index))


def places_of(
    queries: np.ndarray, found: np.ndarray, same: Sequence[np.ndarray], *, own: bool = False
) -> np.ndarray:
    """How many wrong rows are nearer to each query than the nearest right one.

    Args:
        queries: `(rows, size)` of length 1.
        found: `(rows, size)` of length 1, the vectors that are searched.
        same: Arrays `(rows,)`; rows with equal numbers in one of them are as good as each other.
        own: Whether only the row itself is right, and those others are neither right nor wrong.

    Returns:
        `(rows,)` int64.
    """
    places = np.empty(len(queries), np.int64)
    for start in range(0, len(queries), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        similar = queries[part] @ found.T
        alike = np.logical_or.reduce([one[part, None] == one[None, :] for one in same])
        right = np.eye(len(similar), len(queries), start, dtype=bool) if own else alike
        best = np.where(right, similar, -np.inf).max(axis=1, keepdims=True)
        places[part] = ((similar > best) & ~alike).sum(axis=1)
    return places
