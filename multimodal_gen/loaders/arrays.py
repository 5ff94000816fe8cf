"""Arrays of one shape: cells that are numbers already, in memory or in `.npy` files.

Nothing is decoded, resized or rescaled here. What makes a table of arrays is `table_from_arrays`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd

from multimodal_gen.augment import Augmentation
from multimodal_gen.augment.together import Variation
from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.array_cells import array_of
from multimodal_gen.loaders.base import Loader, check_missing
from multimodal_gen.loaders.files import Place
from multimodal_gen.loaders.learning import cells_of
from multimodal_gen.loaders.vary_with import saved_config, varied_with
from multimodal_gen.rows.cell_numbers import number_or_cell
from multimodal_gen.rows.cells import is_missing
from multimodal_gen.rows.checks import check_choice
from multimodal_gen.spec import ArraySpec

_CHECKED_ROWS = 8
# Models calculate with 32 bits.
_LEARNED = {"float64": "float32", "int64": "int32", "uint64": "uint32"}


class ArrayLoader(Loader):
    """Passes arrays through after checking that they are what the model expects.

    A cell may be an array, nested lists of numbers, or the path (str or `pathlib.Path`) of a `.npy`
    file, and only the part in use is read. It is cast to `dtype` if that changes no value, except
    for rounding to the precision of a float dtype; anything else is an error, and so are NaN and
    infinity. (`ImageLoader` also reads uint8 arrays, and resizes, converts and normalises them.)

    Returns arrays of `shape` and `dtype`; for kind "image" `(height, width, channels)`, and cells
    `(height, width)` become `(height, width, 1)` without a copy.

    Args:
        column: The column of arrays.
        shape: Shape of every cell.
        dtype: NumPy dtype of what is yielded.
        kind: What the arrays mean (see `ArraySpec`). By default "image" for uint8 of shape
            `(height, width)` or `(height, width, 1, 3 or 4)`, otherwise "vector".
        vocabulary_size: For ids: how many different ones there are; every id must be in [0,
            vocabulary_size).
        directory: Where relative paths start; cells that lead out of it are refused. By default the
            working directory, and paths may lead anywhere.
        augment: Operations for training, in this order: any picklable callables `(array, rng) ->
            array` that keep shape and dtype; for uint8 images also those of
            `multimodal_gen.augment`.
        missing: How to treat a missing cell (None, NaN): "error", or "blank" for zeros, and a mask
            as another input of the model; see `Loader`.
        interpolation: "bilinear", or "nearest" for masks: operations that move pixels then make no
            new values, whatever interpolation they ask for.
        vary_with: The loader of another picture of the row, as in `ImageLoader`; for uint8 images.
    """

    cached = False

    def __init__(
        self,
        column: str,
        *,
        shape: Sequence[int],
        dtype: str = "float32",
        kind: str | None = None,
        vocabulary_size: int | None = None,
        directory: str | os.PathLike[str] | None = None,
        augment: Sequence[
            Augmentation | Callable[[np.ndarray, np.random.Generator], np.ndarray]
        ] = (),
        missing: str = "error",
        interpolation: str = "bilinear",
        vary_with: Loader | None = None,
    ) -> None:
        spec = ArraySpec(tuple(shape), dtype)
        if np.dtype(spec.dtype).kind not in "biuf":
            raise ValueError(
                f"`dtype` must be one of real numbers or booleans. Received: dtype={dtype!r}"
            )
        if kind is None:
            picture = len(spec.shape) == 2 or (len(spec.shape) == 3 and spec.shape[2] in (1, 3, 4))
            kind = "image" if picture and spec.dtype == "uint8" else "vector"
        if kind == "image" and len(spec.shape) not in (2, 3):
            raise ValueError(
                "An image is (height, width) or (height, width, channels). Received: "
                f"shape={shape!r}"
            )
        if vocabulary_size is not None and (
            vocabulary_size < 1 or np.dtype(spec.dtype).kind not in "iu"
        ):
            raise ValueError(
                '`vocabulary_size` must be positive, and needs ids, as with dtype="int32". '
                f"Received: vocabulary_size={vocabulary_size!r}, dtype={dtype!r}"
            )
        grey = kind == "image" and len(spec.shape) == 2
        self.spec = ArraySpec(
            (*spec.shape, 1) if grey else spec.shape, spec.dtype, kind, vocabulary_size
        )
        self._on_pixels = (
            kind == "image" and spec.dtype == "uint8" and self.spec.shape[2] in (1, 3, 4)
        )
        _check_operations(augment, self.spec, on_pixels=self._on_pixels)
        self.column, self.missing = column, check_missing(missing)
        self.directory = None if directory is None else os.fspath(directory)
        self._place = Place(directory)
        check_choice("interpolation", interpolation, ("bilinear", "nearest"))
        if vary_with is not None and not self._on_pixels:
            raise ValueError(
                "Only uint8 images can vary together with others. Received: "
                f"vary_with={vary_with!r} for {self.spec}"
            )
        # Only operations on pixels have a size to draw for.
        frame = self.spec.shape[:2] if self._on_pixels else (1, 1)
        own = Variation(
            tuple(augment), (frame[0], frame[1]), column, nearest=interpolation == "nearest"
        )
        self.variation = varied_with(own, vary_with)
        self.operations = self.variation.operations

    @classmethod
    def from_values(
        cls,
        column: str,
        values: Any,
        *,
        dtype: str | None = None,
        kind: str | None = None,
        vocabulary_size: int | None = None,
        directory: str | os.PathLike[str] | None = None,
        augment: Sequence[
            Augmentation | Callable[[np.ndarray, np.random.Generator], np.ndarray]
        ] = (),
        missing: str = "error",
        interpolation: str = "bilinear",
        vary_with: Loader | None = None,
    ) -> Self:
        """Learn shape and dtype from the first non-missing cell, and check a few others against it.

        Args:
            column: The column of arrays.
            values: Its training cells: a Series, an array or a list; or the table that has them.
            dtype: As in the constructor; by default that of the first cell, with 64-bit numbers as
                32-bit ones, which models calculate with.
            kind: As in the constructor.
            vocabulary_size: As in the constructor.
            directory: As in the constructor.
            augment: As in the constructor.
            missing: As in the constructor.
            interpolation: As in the constructor.
            vary_with: As in the constructor.

        Raises:
            LoadError: If a cell cannot be read, or is not like the first.
            ValueError: If every cell is missing.
        """
        values = cells_of(column, values)
        cells = values.array if isinstance(values, pd.Series) else values
        gone = values.isna() if isinstance(values, pd.Series) else list(map(is_missing, values))
        rows = np.flatnonzero(~np.asarray(gone, bool)).tolist()
        if not rows:
            raise ValueError(
                f"At least one cell must hold an array. Received: {len(cells)} missing cells in "
                f"{column!r}"
            )
        row = rows[0]
        try:
            first = array_of(cells[row], Place(directory))
            loader = cls(
                column,
                shape=first.shape,
                dtype=dtype or _LEARNED.get(first.dtype.name, first.dtype.name),
                kind=kind,
                vocabulary_size=vocabulary_size,
                directory=directory,
                augment=augment,
                missing=missing,
                interpolation=interpolation,
                vary_with=vary_with,
            )
            # Rows spread over the table, because reading all of them may take minutes.
            for row in rows[:: max(1, len(rows) // _CHECKED_ROWS)]:
                loader.read(cells[row])
        except LoadError as error:
            label = values.index[[row]].tolist()[0] if isinstance(values, pd.Series) else row
            raise error.at(label, column) from error.__cause__
        return loader

    def get_config(self) -> dict[str, Any]:
        """The arguments, without callables in `augment`: JSON cannot hold them."""
        return saved_config(super().get_config())

    def read(self, cell: Any) -> np.ndarray:
        """Return the cell's array, as a view if its dtype already fits.

        Raises:
            LoadError: If the file is missing or broken, or the array has another shape, a dtype
                that cannot be cast without changing values, or numbers that are not finite or no
                id.
        """
        cell = number_or_cell(cell)
        path = self._place.path_of(cell)
        try:
            array = self._cast(self._shaped(array_of(cell, self._place)))
            self._check_values(array)
        except LoadError as error:
            raise LoadError(error.reason, path=path) from error.__cause__
        return array

    @property
    def stream(self) -> Any:
        """The column of this loader, or of the loader it varies with."""
        return self.variation.stream

    def file_of(self, cell: Any) -> str | None:
        """The path of the file, if the cell names one.

        Raises:
            LoadError: If it may not be opened.
        """
        path = self._place.path_of(number_or_cell(cell))
        return None if path is None else self._place.local(path)

    def varies(self, training: bool) -> bool:
        """Whether there are operations and a random stream for them."""
        return training and bool(self.operations)

    def augment(self, array: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """Apply the `augment` operations in order; with `rng=None` nothing changes."""
        if rng is None or not self.operations:
            return array
        if self._on_pixels:
            return self.variation(array, rng)
        for operation in self.operations:
            array = operation(array, rng)
        return array

    def _shaped(self, array: np.ndarray) -> np.ndarray:
        if self.spec.kind == "image" and (*array.shape, 1) == self.spec.shape:
            array = array[:, :, np.newaxis]
        if array.shape != self.spec.shape:
            raise LoadError(
                f"expected an array of shape {self.spec.shape}, as all cells must have. Crop, pad "
                f"or resize it (an ImageLoader resizes pictures). Received: shape {array.shape}"
            )
        return array

    def _cast(self, array: np.ndarray) -> np.ndarray:
        wanted = np.dtype(self.spec.dtype)
        fits = np.can_cast(array.dtype, wanted) or (
            wanted.kind == "f" and array.dtype.kind in "biuf"
        )
        # NumPy would refuse by type; here the values decide, as most ids are small.
        if not fits and wanted.kind in "iu" and array.dtype.kind in "iu":
            limits = np.iinfo(wanted)
            fits = limits.min <= array.min() and array.max() <= limits.max
        if not fits:
            raise LoadError(
                f"expected {wanted}, but casting {array.dtype} would change values. Convert the "
                'arrays, or use another `dtype`, such as "float32". Received: dtype '
                f"{array.dtype}, values in [{array.min()}, {array.max()}]"
            )
        # Values too large for a float become infinite, which the next check reports.
        with np.errstate(over="ignore"):
            return array.astype(wanted, copy=False)

    def _check_values(self, array: np.ndarray) -> None:
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            bad = int(array.size - np.isfinite(array).sum())
            raise LoadError(
                f"the array, as {array.dtype}, holds NaN or infinity, which would turn training "
                f"to NaN. Replace them, for example with `np.nan_to_num`, or drop the row. "
                f"Received: {bad} of {array.size} not finite"
            )
        size = self.spec.vocabulary_size
        if size is not None and (array.min() < 0 or array.max() >= size):
            raise LoadError(
                f"every id must be in [0, {size}), as vocabulary_size={size}. Received: ids in "
                f"[{array.min()}, {array.max()}]"
            )


def _check_operations(augment: Any, spec: ArraySpec, *, on_pixels: bool) -> None:
    if not isinstance(augment, list | tuple) or not all(map(callable, augment)):
        raise ValueError(
            f"`augment` must be a list of callables `(array, rng) -> array`. Received: {augment!r}"
        )
    for operation in augment:
        if isinstance(operation, Augmentation) and not on_pixels:
            raise ValueError(
                "The operations of `multimodal_gen.augment` are for uint8 images with 1, 3 or 4 "
                "channels; pass your own callable `(array, rng) -> array`. Received: "
                f"{operation!r} for {spec}"
            )
