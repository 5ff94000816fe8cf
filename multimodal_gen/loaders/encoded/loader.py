"""`EncodedLoader`: what an encoder makes of each cell, as a loader of vectors.

It is a loader around another one, or around a column whose cells the encoder takes as they are. A
sequence keeps what it reads for each row, and a cache keeps it for each cell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np

from multimodal_gen.loaders.base import Loader, check_missing
from multimodal_gen.loaders.encoded.encoder import Encoder
from multimodal_gen.loaders.stages import stage
from multimodal_gen.rows.checks import check_positive
from multimodal_gen.spec import ArraySpec

# Settings of a loader that the picture or text of a cell does not depend on.
_IRRELEVANT = ("column", "augment", "missing")


class EncodedLoader(Loader):
    """Vectors that a frozen encoder makes of pictures, texts or other cells, computed once.

    Returns what the encoder's `spec` says, such as `(1152,) float32`, kind
    "features".

    Each row is encoded once per sequence, and with `cache=` once for all runs. The encoder runs in
    this process, on one thread at a time, while other threads decode.

    Args:
        loader: The loader whose arrays the encoder takes, with its operations that are not random;
            or the name of a column whose cells it takes as they are.
        encoder: What makes vectors of them.
        views: How many vectors are kept of a row: one without random operations, and `views - 1`
            with those of the loader, the same in every run. Training takes one of them each epoch,
            by the row's random stream; evaluation the first.
        missing: Only with a column's name: how to treat a missing cell, "error" or "blank"; see
            `Loader`. A loader has its own.

    Raises:
        TypeError: If `loader` or `encoder` is something else.
        ValueError: If the encoder does not take what the loader gives, or there are several views
            and nothing random.
    """

    kept_by_row = True
    one_process = True

    def __init__(
        self, loader: Loader | str, encoder: Encoder, *, views: int = 1, missing: str = "error"
    ) -> None:
        if not isinstance(encoder, Encoder):
            raise TypeError(
                "`encoder` must be an Encoder; for a function of your own use FunctionEncoder. "
                f"Received: encoder={encoder!r}"
            )
        if not isinstance(loader, Loader | str):
            raise TypeError(
                "`loader` must be a loader, or the name of a column whose cells the encoder takes. "
                f"Received: loader={loader!r}"
            )
        check_positive(views=views)
        self.encoder, self.views = encoder, int(views)
        self.loader = loader if isinstance(loader, Loader) else None
        self.column = loader if isinstance(loader, str) else loader.column
        self.missing = check_missing(missing)
        encoder.check(None if self.loader is None else self.loader.spec)
        self.reads_text = encoder.reads_text
        if self.loader is not None:
            if missing != "error":
                raise ValueError(
                    "Set `missing` of the loader inside, which reads the cells. Received: "
                    f"missing={missing!r}"
                )
            self.missing, self.accepts_missing = self.loader.missing, self.loader.accepts_missing
            self.reads_text = self.reads_text or self.loader.reads_text
            self.fetches = self.loader.fetches
        if views > 1:
            self._check_varies()
        self.spec = encoder.spec
        self.batch_tolerance, self.batch_rows = encoder.tolerance, encoder.rows_together
        if self.loader is not None:
            self.batch_tolerance = max(self.batch_tolerance, self.loader.batch_tolerance)
            self.batch_rows = max(self.batch_rows, self.loader.batch_rows or 0)

    def _check_varies(self) -> None:
        if self.loader is None or not self.loader.varies(training=True):
            raise ValueError(
                "Several views of a row differ only if the loader varies what it reads: give it "
                f"`augment=[...]`, or leave `views` at 1. Received: views={self.views}"
            )
        if self.loader.stream != self.loader.column:
            raise ValueError(
                "A picture that varies with another one (`vary_with`) cannot have views of its "
                f"own. Received: views={self.views}"
            )

    @property
    def read_spec(self) -> ArraySpec:
        """All views of a row, of which `augment` takes one."""
        if self.views == 1:
            return self.spec
        return ArraySpec((self.views, *self.spec.shape), self.spec.dtype, self.spec.kind)

    def read(self, cell: Any) -> np.ndarray:
        """Encode one cell, in a batch of its own: for many cells, `read_batch` is far faster.

        Raises:
            LoadError: If the cell cannot be read.
        """
        return self._encoded([self._values(cell)])[0]

    def read_batch(self, cells: Sequence[Any]) -> list[Any]:
        """Encode many cells; a cell that cannot be read has its error instead of an array."""
        read = self._read(cells)
        good = [row for row, values in enumerate(read) if not isinstance(values, Exception)]
        for row, array in zip(good, self._encoded([read[row] for row in good]), strict=True):
            read[row] = array
        return read

    def _read(self, cells: Sequence[Any]) -> list[Any]:
        # What the encoder is given for each cell, or its error.
        if self.views > 1 or self.loader is None or self.loader.batch_rows is None:
            return [_tried(self._values, cell) for cell in cells]
        try:
            # Another encoder inside, which one cell at a time would run far more often.
            read = self.loader.read_batch(cells)
        except Exception:
            read = [_tried(self.loader.read, cell) for cell in cells]
        return [one if isinstance(one, Exception) else _tried(self._clean, one) for one in read]

    def _values(self, cell: Any) -> list[Any]:
        # What the encoder is given: one value for each view.
        if self.loader is None:
            return [self.encoder.prepare(cell)]
        array = self.loader.read(cell)
        clean = self.loader.augment(array, None) if self.loader.varies(False) else array
        found = [clean]
        for view in range(1, self.views):
            # A stream of the content and the view, so that it is the same in every run and table.
            key = blake2b(array.tobytes(), digest_size=16, key=b"view %d" % view).digest()
            rng = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
            varied = self.loader.read(self.loader.augment_cell(cell, rng))
            found.append(self.loader.augment(varied, rng))
        return [self.encoder.prepare(one) for one in found]

    def _clean(self, array: np.ndarray) -> list[Any]:
        assert self.loader is not None
        clean = self.loader.augment(array, None) if self.loader.varies(False) else array
        return [self.encoder.prepare(clean)]

    def _encoded(self, rows: Sequence[list[Any]]) -> np.ndarray:
        with stage("encode"):
            values = [value for row in rows for value in row]
            kept = self.encoder.kept
            encode = self.encoder.encode
            found = encode(values) if kept is None else kept.encode(encode, values)
        return found.reshape(len(rows), *self.read_spec.shape)

    def varies(self, training: bool) -> bool:
        """Whether there are several views, of which one is taken."""
        return self.views > 1

    def augment(self, array: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """Take one view of a row: the first, which is not varied, if `rng` is None."""
        if self.views == 1:
            return array
        return array[0 if rng is None else int(rng.integers(self.views))].copy()

    def file_of(self, cell: Any) -> str | None:
        """The file of the loader inside; None for cells that the encoder takes as they are."""
        return None if self.loader is None else self.loader.file_of(cell)

    def version_of(self, cell: Any) -> str | None:
        """As the loader inside says."""
        return None if self.loader is None else self.loader.version_of(cell)

    def fetch_ahead(self, cell: Any, needed: Callable[[], bool] | None = None) -> None:
        """Start to fetch what the loader inside reads."""
        if self.loader is not None:
            self.loader.fetch_ahead(cell, needed)

    def read_config(self) -> dict[str, Any]:
        """What a vector depends on: the loader inside, and the encoder with its batch size."""
        found: dict[str, Any] = {
            "encoder": [
                type(self.encoder).__name__,
                self.encoder.digest,
                self.encoder.batch_size,
            ],
            "views": self.views,
        }
        if self.loader is not None:
            own = self.loader.get_config().items()
            config = {name: value for name, value in own if name not in _IRRELEVANT}
            found["loader"] = [
                type(self.loader).__name__,
                {**self.loader.read_config(), **config},
            ]
            if self.views > 1:
                # With their callables, which have no JSON form: then nothing is kept on disk.
                operations = getattr(self.loader, "operations", None)
                found["augment"] = list(operations or self.loader.get_config().get("augment", ()))
        return found

    def thumbnails(self, size: tuple[int, int], *, pad: bool = False) -> Loader | None:
        """The pictures of the loader inside, if it reads pictures."""
        return None if self.loader is None else self.loader.thumbnails(size, pad=pad)

    def text_coverage(self, texts: Sequence[str]) -> str | None:
        """As the loader inside says."""
        return None if self.loader is None else self.loader.text_coverage(texts)


def _tried(read: Callable[[Any], Any], cell: Any) -> Any:
    try:
        return read(cell)
    # The caller decides what a bad row means, and the others need not be encoded again.
    except Exception as error:
        return error
