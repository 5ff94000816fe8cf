"""The contract of a loader: one cell of a table in, one array out.

`Loader` is the only class that a new modality derives from; `spec.py` has the `ArraySpec` that says
what comes out. Nothing here knows about tables, batches or Keras; `checking.py` proves that a
loader keeps the contract.
"""

from __future__ import annotations

import abc
import inspect
import os
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np

from multimodal_gen.config import Configurable
from multimodal_gen.loaders.drawing import array_in_words, drawn_pixels
from multimodal_gen.loaders.missing_cells import check_missing as check_missing
from multimodal_gen.loaders.missing_cells import missing_error as missing_error
from multimodal_gen.loaders.missing_cells import missing_target_error as missing_target_error
from multimodal_gen.rows.cells import is_missing as is_missing
from multimodal_gen.rows.checks import check_switches
from multimodal_gen.rows.table import check_names
from multimodal_gen.spec import ArraySpec as ArraySpec


class Loader(Configurable):
    """Turns one cell into one array. Immutable, picklable and safe to call from many threads.

    A subclass sets `column` and `spec` and implements `read`. Everything else has a default. The
    arguments of its constructor must be JSON values (or other configurable objects), or it must
    override `get_config`.

    Attributes:
        column: The column that the cells come from; a tuple of names if the loader reads several
            columns at once, and then a cell is the tuple of their values.
        spec: What `read` returns.
        accepts_missing: Whether `read` wants to see missing cells (None, NaN); otherwise they never
            come to it.
        missing: How a missing cell is then treated: "error", or "blank" for an array of zeros, and
            a mask as another input (only for inputs; a target cannot be blank).
        cached: Whether `read` costs so much more than looking an array up that it is worth keeping
            on disk.
        kept_by_row: Whether a sequence may read each row once and remember the array: for small
            arrays that depend on nothing but the cell, and on no file.
        batch_tolerance: How far what `read_batch` gives may be from what `read` gives, as a share
            of the largest number in the array; for a loader that runs a network in `read_batch`,
            whose sums depend on the size of a batch. 1e-5 is right for float32. Then the bytes of a
            batch depend on which rows are read together, too.
        batch_rows: How many cells `read_batch` reads best at once, or None if that makes no
            difference. Where batches are smaller, the rows of the next ones are read with them.
        one_process: Whether it may only read in the process that made it, as an encoder must that
            keeps an accelerator or all cores busy; then worker processes are not used.
        reads_text: Whether cells are texts that people wrote, whose wording an audit looks at.
        pads_left: Of kind "tokens", whether the zeros come before the ids.
        fetches: Whether `fetch_ahead` may have something to do.
        item: The loader of each item, if cells hold several as those of a `ManyLoader` do.
        parts: If it reads several columns by a loader for each, those loaders, in their order.

    Example:
        @dataclass(frozen=True)
        class WordCountLoader(Loader):
            column: str
            spec = ArraySpec((1,), "float32", "vector")

            def read(self, cell):
                return np.array([len(cell.split())], "float32")
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Refuse numbers as column names, on which each constructor would fail differently."""
        named = next(iter(list(inspect.signature(cls.__init__).parameters)[1:]), None) == "column"
        column = kwargs.get("column", args[0] if named and args else None)
        names = column if isinstance(column, list | tuple) else [column]
        check_names([name for name in names if isinstance(name, int | float | np.number)])
        return super().__new__(cls)

    column: str | tuple[str, ...]
    spec: ArraySpec
    accepts_missing: bool = False
    missing: str = "error"
    cached: bool = True
    kept_by_row: bool = False
    batch_tolerance: float = 0.0
    batch_rows: int | None = None
    one_process: bool = False
    reads_text: bool = False
    pads_left: bool = False
    fetches: bool = False
    item: Any = None
    parts: tuple[Any, ...] = ()

    @abc.abstractmethod
    def read(self, cell: Any) -> np.ndarray:
        """Turn a cell into an array of `spec` (of `read_spec`, if that is another).

        Must return the same array for the same cell, whatever was read before. May be slow. If the
        cell is bad, it raises any exception with a clear message; the caller adds the row, the
        column and the path.
        """

    @property
    def read_spec(self) -> ArraySpec:
        """What `read` returns, if `augment` turns it into something of another shape.

        Then `varies` must be true for evaluation too. By default it is `spec`.
        """
        return self.spec

    def augment_cell(self, cell: Any, rng: np.random.Generator) -> Any:
        """Vary a raw cell before it is read, for training, such as by leaving out words.

        Args:
            cell: The cell, never a missing one unless `accepts_missing`.
            rng: The only source of randomness to use; `augment` continues with it.

        Returns:
            A cell that `read` takes.
        """
        return cell

    def augment(self, array: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """Vary an array that `read` returned, for training; cheap and random.

        Args:
            array: What `read` returned. It may be shared: return a new array instead of changing
                it.
            rng: The only source of randomness to use, or None when evaluating: then nothing random
                may happen.

        Returns:
            An array of `spec`.
        """
        return array

    def varies(self, training: bool) -> bool:
        """Whether `augment_cell` or `augment` may change anything; if not, neither is called.

        Args:
            training: Whether they are given a random stream; `augment_cell` is called with one
                only.
        """
        # Whether a method was overridden is all that can be known without calling it.
        own = type(self)
        cell_varies = own.augment_cell is not Loader.augment_cell
        return own.augment is not Loader.augment or (training and cell_varies)

    def read_batch(self, cells: Sequence[Any]) -> list[Any]:
        """Read many cells; override it only if a whole batch is faster than one cell at a time.

        Returns:
            What `read` returns, for each cell. If a cell is bad, it raises, and then every cell is
            read by itself; or it returns the error instead of that cell's array.
        """
        return [self.read(cell) for cell in cells]

    @property
    def reads_together(self) -> bool:
        """Whether `read_batch` is faster than reading one by one."""
        return type(self).read_batch is not Loader.read_batch

    @property
    def stream(self) -> str | tuple[str, ...]:
        """The column whose random stream cells draw from; another one for `vary_with`."""
        return self.column

    # What differs in training and between epochs

    def for_training(self) -> Loader:
        """The loader that a training sequence reads with: this one, or one of other arrays."""
        return self

    def choose(self, cell: Any, epoch: int, stream: Callable[[int], np.random.Generator]) -> Any:
        """Take what is read in an epoch out of a table's cell, in training; by default all of it.

        It comes before `augment_cell`, and what it returns is cached like a table's cell.

        Args:
            cell: The table's cell.
            epoch: The epoch, counting from 0.
            stream: Number -> one of the row's own random streams, which depend on nothing else.
                `stream(epoch)` differs in each epoch, and `stream(epoch // 5)` in every fifth.

        Returns:
            A cell that `read` takes.
        """
        return cell

    def locate(self, chosen: Any, cell: Any) -> str:
        """Say for an error where in a table's cell `choose` found something; "" if it is clear."""
        return ""

    def count(self, cell: Any) -> int:
        """How many items an array of kind "many" has for a cell; the others are repetitions."""
        return 1

    # What a cache on disk asks

    @property
    def cached_by(self) -> Loader:
        """The loader whose arrays a cache keeps for this one: itself, or the loader it wraps."""
        return self

    def from_cached(self, array: np.ndarray) -> np.ndarray:
        """Turn what `cached_by.read` returned into what `read` returns; cheap."""
        return array

    def file_of(self, cell: Any) -> str | None:
        """The path of the file a cell names; its size and time of change enter the cache key.

        By default this is the cell if it is the path (str or `os.PathLike`) of an existing file,
        relative to `self.directory` if there is such an attribute. Override it if `read` finds
        files in another way: a cell for which this returns None must contain everything that `read`
        depends on.
        """
        if not isinstance(cell, str | os.PathLike):
            return None
        directory = getattr(self, "directory", None)
        path = os.fspath(cell) if directory is None else os.path.join(directory, cell)
        # A text that names no file, such as a caption, is all that `read` depends on.
        return path if os.path.isfile(path) else None

    def version_of(self, cell: Any) -> str | None:
        """Where `file_of` raises: a key that changes with what a URL leads to; None if unknown."""
        return None

    def fetch_ahead(self, cell: Any, needed: Callable[[], bool] | None = None) -> None:
        """Start to fetch what `read` will need; wait for nothing, and raise nothing.

        `needed`, called on any thread once `version_of` is known, says if a cache lacks the array.
        """

    def read_config(self) -> dict[str, Any]:
        """The settings that `read` depends on, for the cache key; `augment` is not among them."""
        # How missing cells are treated makes no difference to `read`, unless it is given them.
        irrelevant = ("column", "augment", *([] if self.accepts_missing else ["missing"]))
        return {name: value for name, value in self.get_config().items() if name not in irrelevant}

    # What people are shown, and where files lie

    def describe(self, array: np.ndarray, cell: Any = None) -> dict[str, str]:
        """Describe in words what a model gets for a row, for plots of batches.

        Args:
            array: What `augment` gave.
            cell: The cell, for what the array does not contain.

        Returns:
            A title, such as the name of a column, -> words. Where nothing needs to stand before the
            words, as before a caption, their title is "". Further lines of words are remarks.
        """
        columns = [self.column] if isinstance(self.column, str) else self.column
        return {", ".join(columns): array_in_words(array)}

    def draw(self, array: np.ndarray) -> np.ndarray | None:
        """Draw what a model gets for a row, or return None if words say more.

        Args:
            array: What `augment` gave.

        Returns:
            `(height, width, 3) uint8`; by default of kind "image", with the range of anything but
            uint8 stretched, and None of other kinds.
        """
        return drawn_pixels(array) if self.spec.kind == "image" else None

    def thumbnails(self, size: tuple[int, int], *, pad: bool = False) -> Loader | None:
        """Return a loader of the same pictures, small and not normalised, for viewing many.

        Args:
            size: `(height, width)` in pixels.
            pad: Whether to fill the shorter side instead of stretching.

        Returns:
            A loader whose `read` also accepts the content of a file, as bytes, instead of the cell
            that names it; or None, the default, if pictures can only be read by `read`.
        """
        check_switches(pad=pad)
        return None

    def text_coverage(self, texts: Sequence[str]) -> str | None:
        """Say how much of the texts reaches the model; None if that is unknown."""
        return None

    def moved(self, directory: str | os.PathLike[str]) -> Self:
        """Return the loader with another folder as the start of relative paths.

        By default the constructor's argument `directory` is replaced, and loaders among its
        arguments are moved too; a loader with neither is unchanged.
        """
        moved = {
            name: one.moved(directory)
            for name, one in self.get_config().items()
            if isinstance(one, Loader)
        }
        if "directory" in inspect.signature(type(self).__init__).parameters:
            moved["directory"] = os.fspath(directory)  # type: ignore[assignment]
        return self.replace(**moved) if moved else self
