"""Inputs as the matrix of a linear model: one row per row of the table, one column per weight.

Numbers are standardised; n-grams and categories are sparse columns. Each input is scaled to a mean
squared length of 1, so that one penalty suits all of them. This file knows arrays and
specs, and no Keras.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from multimodal_gen.loaders.text.ngrams import WEIGHT_SCALE
from multimodal_gen.spec import ArraySpec


def block_of(spec: ArraySpec, array: np.ndarray, mask: np.ndarray | None) -> Any:
    """The columns of one input, not standardised.

    Args:
        spec: Spec of the input.
        array: `(rows, *spec.shape)`.
        mask: `(rows, 1)` or `(rows, items)`, 0 where there is nothing; or None.

    Returns:
        `(rows, columns)`, an array of numbers or a sparse matrix of ids. Of several items, their
        mean; a row without the input has zeros.
    """
    rows = len(array)
    if spec.item is None:
        items = array[:, None]
        shares = np.ones((rows, 1)) if mask is None else np.asarray(mask).reshape(rows, 1)
    else:
        items = array
        there = np.ones(array.shape[:2]) if mask is None else np.asarray(mask)
        shares = there / np.maximum(there.sum(axis=1, keepdims=True), 1.0)
    item = spec.each
    if item.kind == "ngrams":
        return _sparse(items[..., 0], items[..., 1] / WEIGHT_SCALE * shares[..., None], item)
    if item.kind == "category":
        return _sparse(items, shares[..., None] * np.ones(items.shape), item)
    return np.einsum("ri,ric->rc", shares, items.reshape(*items.shape[:2], -1).astype("float64"))


def _sparse(ids: np.ndarray, weights: np.ndarray, spec: ArraySpec) -> Any:
    from scipy.sparse import csr_matrix

    rows, each = len(ids), ids[0].size
    starts = np.arange(0, rows * each + 1, each)
    values = (weights.ravel().astype("float64"), ids.ravel().astype("int64"), starts)
    matrix = csr_matrix(values, shape=(rows, spec.vocabulary_size))
    # An id may be in a row several times.
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix


class Block:
    """The columns of one input, standardised by its training rows.

    Args:
        matrix: The result of `block_of` for the training rows.
        present: `(rows,)` whether a row has the input, or None if every row has.
    """

    def __init__(self, matrix: Any, present: np.ndarray | None) -> None:
        self.sparse = not isinstance(matrix, np.ndarray)
        there = matrix if present is None or not present.any() else matrix[present]
        self.shift: np.ndarray = np.zeros(matrix.shape[1])
        scale: Any = 1.0
        if not self.sparse:
            self.shift, deviation = there.mean(axis=0), there.std(axis=0)
            scale = np.where(deviation > 1e-12, 1 / np.maximum(deviation, 1e-12), 0.0)
        squares = (
            np.asarray(there.multiply(there).sum(axis=1))
            if self.sparse
            else np.square((there - self.shift) * scale).sum(axis=1)
        )
        self.scale = np.broadcast_to(
            scale / np.sqrt(max(float(squares.mean()), 1e-12)), self.shift.shape
        )
        self.masked = present is not None

    @property
    def columns(self) -> int:
        """Columns of the matrix, with the one that is 1 where the input is missing."""
        return len(self.shift) + self.masked

    def design(self, matrix: Any, present: np.ndarray | None) -> Any:
        """The standardised `(rows, columns)` of any rows."""
        from scipy import sparse

        if self.sparse:
            found = matrix @ sparse.diags(self.scale)
        else:
            found = (matrix - self.shift) * self.scale
        if not self.masked or present is None:
            return found
        lacking = (~present).astype("float64")[:, None]
        if self.sparse:
            return sparse.hstack([found, sparse.csr_matrix(lacking)], format="csr")
        return np.hstack([np.where(present[:, None], found, 0.0), lacking])

    def weights(self, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weights for arrays as they are: of the numbers or ids, what all rows that have the input
        get, and what the others get.

        Args:
            coefficients: `(columns, outputs)` for the standardised columns.
        """
        size = len(self.shift)
        kernel = coefficients[:size] * self.scale[:, None]
        absent = coefficients[size] if self.masked else np.zeros(coefficients.shape[1])
        return kernel, -self.shift @ kernel, absent


def joined(designs: Sequence[Any]) -> Any:
    """The columns of all inputs beside each other."""
    from scipy import sparse

    if len(designs) == 1:
        return designs[0]
    if any(sparse.issparse(one) for one in designs):
        return sparse.hstack([sparse.csr_matrix(one) for one in designs], format="csr")
    return np.hstack(designs)


def stacked(parts: Sequence[Any]) -> Any:
    """The rows of several batches below each other."""
    from scipy import sparse

    if sparse.issparse(parts[0]):
        return sparse.vstack(parts, format="csr")
    return np.concatenate(parts)


def present_in(mask: np.ndarray) -> np.ndarray:
    """`(rows,) bool`, which rows have an input, given its mask."""
    there: np.ndarray = np.asarray(mask).reshape(len(mask), -1).max(axis=1) > 0.5
    return there


def arrays_by_name(x: Any, names: Sequence[str]) -> Mapping[str, np.ndarray]:
    """The arrays of a batch under the names of a model's inputs."""
    if isinstance(x, Mapping):
        return {name: np.asarray(x[name]) for name in names}
    values = list(x) if isinstance(x, list | tuple) else [x]
    return {name: np.asarray(one) for name, one in zip(names, values, strict=True)}
