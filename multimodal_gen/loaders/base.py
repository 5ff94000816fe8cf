"""What a loader is: one cell of a table in, one array out.

`Loader` is the only class that a new modality derives from, `ArraySpec` says what comes out, and
`check_loader` proves that a loader keeps the contract that batching, threads, caching and bundles
rely on. Nothing here knows about tables, batches or Keras.
"""

from __future__ import annotations

import abc
import json
import os
import pickle
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from multimodal_gen.config import Configurable, classes_in, deserialize, serialize
from multimodal_gen.errors import LoaderError, LoadError


@dataclass(frozen=True)
class ArraySpec:
    """Shape, dtype and meaning of the arrays that a loader yields, the batch axis left out.

    Args:
        shape: Lengths of the axes, for example `(64, 64, 3)`; `()` for a single number.
        dtype: A NumPy dtype name, for example `"uint8"`.
        kind: What the array means; picks the default branch of a model: `"image"` (height, width, channels),
            `"tokens"` (length,) ids with 0 as padding, `"ngrams"` (length, 2) ids and weights, `"vector"` numbers.
            Any other word is allowed, and then the model is given its branch by hand.
        vocabulary_size: For kinds made of ids: how many different ids there are, 0 included.
    """

    shape: tuple[int, ...]
    dtype: str
    kind: str = "vector"
    vocabulary_size: int | None = None

    def __post_init__(self) -> None:
        shape = tuple(self.shape)
        if not all(isinstance(axis, int | np.integer) and axis > 0 for axis in shape):
            raise ValueError(f"Every axis of `shape` must be a positive integer. Received: shape={self.shape!r}")
        object.__setattr__(self, "shape", tuple(int(axis) for axis in shape))
        try:
            object.__setattr__(self, "dtype", np.dtype(self.dtype).name)
        except TypeError:
            raise ValueError(f"`dtype` must be the name of a NumPy dtype. Received: dtype={self.dtype!r}") from None

    def __str__(self) -> str:
        return f"{self.kind} {self.shape} {self.dtype}"


class Loader(Configurable):
    """Turns one cell of a table into one array. Immutable, picklable and safe to call from many threads.

    A subclass sets `column` and `spec` and implements `read`. Everything else has a default. The arguments of its
    constructor must be JSON values (or other configurable objects), or it must override `get_config`.

    Attributes:
        column: The column that the cells come from; a tuple of names if the loader reads several columns at once,
            and then a cell is the tuple of their values.
        spec: What `read` returns.
        accepts_missing: Whether `read` wants to see missing cells (None, NaN); otherwise they are an error before it.
        cached: Whether `read` costs so much more than looking an array up that it is worth keeping on disk.
        kept_by_row: Whether a sequence may read each row once and remember the array: for small arrays that depend on
            nothing but the cell, and on no file.

    Example:
        @dataclass(frozen=True)
        class WordCountLoader(Loader):
            column: str
            spec = ArraySpec((1,), "float32", "vector")

            def read(self, cell):
                return np.array([len(cell.split())], "float32")
    """

    column: str | tuple[str, ...]
    spec: ArraySpec
    accepts_missing: bool = False
    cached: bool = True
    kept_by_row: bool = False

    @abc.abstractmethod
    def read(self, cell: Any) -> np.ndarray:
        """Turn a cell into an array of `spec`.

        Must give the same array for the same cell, whatever was read before. May be slow. Raises any exception with a
        clear message if the cell is bad; whoever calls adds the row, the column and the path.
        """

    def augment_cell(self, cell: Any, rng: np.random.Generator) -> Any:
        """Vary a cell before it is read, for training; for what only the raw cell allows, such as leaving out words.

        Args:
            cell: The cell, never a missing one unless `accepts_missing`.
            rng: The only source of randomness to use; `augment` goes on with it.

        Returns:
            A cell that `read` takes.
        """
        return cell

    def augment(self, array: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """Vary an array that `read` gave, for training; cheap and random.

        Args:
            array: What `read` returned. It may be shared: return a new array instead of changing it.
            rng: The only source of randomness to use, or None when evaluating: then nothing random may happen.

        Returns:
            An array of `spec`.
        """
        return array

    def varies(self, training: bool) -> bool:
        """Whether `augment_cell` or `augment` may change anything; where not, neither is called.

        Args:
            training: Whether they are given a random stream; `augment_cell` is called with one only.
        """
        own = type(self)
        cell_varies = own.augment_cell is not Loader.augment_cell
        return own.augment is not Loader.augment or (training and cell_varies)

    def read_batch(self, cells: Sequence[Any]) -> list[np.ndarray]:
        """Read many cells; override only where a whole batch at once is faster than one by one."""
        return [self.read(cell) for cell in cells]

    # What a cache on disk asks

    @property
    def cached_by(self) -> Loader:
        """The loader whose arrays a cache keeps for this one: itself, or the one that it wraps."""
        return self

    def from_cached(self, array: np.ndarray) -> np.ndarray:
        """What `read` returns, made of what `cached_by.read` returned; cheap."""
        return array

    def file_of(self, cell: Any) -> str | None:
        """The path of the file that a cell names, whose size and time of change then belong to the key in the cache.

        By default a path (str or `os.PathLike`), relative to `self.directory` where there is such an attribute, if
        there is such a file. Override it where `read` opens files that are found in another way: a cell for which it
        says None is taken to hold everything that `read` depends on.
        """
        if not isinstance(cell, str | os.PathLike):
            return None
        directory = getattr(self, "directory", None)
        path = os.fspath(cell) if directory is None else os.path.join(directory, cell)
        return path if os.path.isfile(path) else None

    def read_config(self) -> dict[str, Any]:
        """The settings that `read` depends on; others, such as those of random operations, make no other cache."""
        return {name: value for name, value in self.get_config().items() if name not in ("column", "augment")}


def is_missing(cell: Any) -> bool:
    """Whether a cell holds no value: None, NaN, NaT or pandas' NA."""
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(cell, float | np.floating) and bool(np.isnan(cell))


def check_loader(loader: Loader, cells: Iterable[Any]) -> None:
    """Prove that a loader keeps its contract, on cells of your own.

    Checked are: the class and its attributes; the shape and dtype of every array; that nothing is written into the
    loader or into the cell; the same bytes when read again, in another order, as a batch, from several threads, after
    pickling and after saving to JSON; that `augment` keeps the spec, changes nothing in place, repeats with the same
    random stream, and does nothing random without one.

    Args:
        loader: The loader to check.
        cells: A few typical cells that it must be able to read; at least one.

    Raises:
        LoaderError: At the first broken rule, saying which and how to mend it.
    """
    if not isinstance(loader, Loader):
        raise LoaderError(f"A loader must derive from Loader. Received: loader={loader!r}")
    name = type(loader).__name__
    if hasattr(cells, "columns"):
        raise LoaderError(
            f"check_loader takes cells of one column, as in table[{loader.column!r}].head(). "
            f"Received: {type(cells).__name__}"
        )
    cells = list(cells)
    if not cells:
        raise LoaderError("check_loader needs at least one cell to read. Received: cells=[]")
    _check_attributes(loader, name)
    before = _dump_config(loader, name)
    arrays = [_checked(loader, loader.read(cell), f"read({_clip(cell)})", name) for cell in cells]

    def same(again: Iterable[np.ndarray], rule: str) -> None:
        for cell, first, second in zip(cells, arrays, again, strict=True):
            if np.asarray(second).dtype != first.dtype or np.asarray(second).tobytes() != first.tobytes():
                raise LoaderError(f"{name}.{rule} Received: another array for the cell {_clip(cell)}")

    same(reversed([loader.read(cell) for cell in reversed(cells)]), "read must give the same array every time.")
    same(loader.read_batch(cells), "read_batch must give exactly what read gives, cell by cell.")
    kept = (loader.from_cached(loader.cached_by.read(cell)) for cell in cells)
    same(kept, "from_cached must give what read gives, from what cached_by reads.")
    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            same(pool.map(loader.read, cells), "read must be safe to call from several threads.")
    try:
        copy = pickle.loads(pickle.dumps(loader))
    except Exception as error:
        raise LoaderError(
            f"{name} must be picklable, so hold no open file, lock or lambda. Received: {error}"
        ) from error
    same((copy.read(cell) for cell in cells), "read must give the same array after pickling.")
    rebuilt = deserialize(json.loads(before), classes_in(loader))
    same((rebuilt.read(cell) for cell in cells), "from_config(get_config()) must read the same arrays.")
    if _dump_config(loader, name) != before:
        raise LoaderError(f"{name} is immutable: reading must not change its config. Received: another config")
    for cell, array in zip(cells, arrays, strict=True):
        _check_augment(loader, array, f"augment of {_clip(cell)}", name)
        if not loader.varies(training=False) and loader.augment(array, None).tobytes() != array.tobytes():
            raise LoaderError(
                f"{name}.varies(training=False) must be true, as `augment` changes an array without a random stream. "
                f"Received: False, another array for the cell {_clip(cell)}"
            )


def _check_attributes(loader: Loader, name: str) -> None:
    column = getattr(loader, "column", None)
    names = column if isinstance(column, tuple) else (column,)
    if not names or not all(isinstance(part, str) for part in names):
        raise LoaderError(f"{name}.column must be a column name, or a tuple of them. Received: column={column!r}")
    spec = getattr(loader, "spec", None)
    if not isinstance(spec, ArraySpec):
        raise LoaderError(f"{name}.spec must be an ArraySpec. Received: spec={spec!r}")


def _dump_config(loader: Loader, name: str) -> str:
    try:
        return json.dumps(serialize(loader))
    except TypeError as error:
        raise LoaderError(f"{name} cannot be saved: {error}") from error


def _checked(loader: Loader, array: Any, what: str, name: str) -> np.ndarray:
    problem = spec_problem(array, loader.spec)
    if problem:
        raise LoaderError(f"{name}.{what} must return what its spec says. {problem}")
    if np.asarray(array).dtype.kind == "f" and not np.isfinite(array).all():
        raise LoaderError(
            f"{name}.{what} must return finite numbers, or training turns to NaN. Received: NaN or infinity"
        )
    return np.array(array)


def spec_problem(array: Any, spec: ArraySpec) -> str | None:
    """What is wrong with an array that should be of `spec`, or None if nothing is."""
    if not isinstance(array, np.ndarray | np.generic):
        return f"Expected a NumPy array. Received: {type(array).__name__}"
    if array.shape != spec.shape or array.dtype != spec.dtype:
        return f"Expected: {spec.shape} {spec.dtype}. Received: {array.shape} {array.dtype}"
    return None


def _check_augment(loader: Loader, array: np.ndarray, what: str, name: str) -> None:
    def draw(seed: int | None) -> np.ndarray:
        frozen = array.copy()
        frozen.flags.writeable = False
        rng = None if seed is None else np.random.Generator(np.random.Philox(seed))
        try:
            return _checked(loader, loader.augment(frozen, rng), what, name)
        except ValueError as error:
            if "read-only" in str(error):
                raise LoaderError(f"{name}.augment must return a new array, not write into the one it got.") from error
            raise

    for seed in range(8):
        if draw(seed).tobytes() != draw(seed).tobytes():
            raise LoaderError(f"{name}.augment must take all randomness from `rng`. Received: two results for one seed")
    if draw(None).tobytes() != draw(None).tobytes():
        raise LoaderError(f"{name}.augment must do nothing random when `rng` is None. Received: two results")


def _clip(cell: Any) -> str:
    text = repr(cell)
    return text if len(text) <= 80 else f"{text[:77]}..."


def missing_error() -> LoadError:
    """The error for a cell without a value."""
    return LoadError(
        "the cell is missing (None or NaN). Fill it, or drop the row with `table.dropna(subset=[column])`."
    )
