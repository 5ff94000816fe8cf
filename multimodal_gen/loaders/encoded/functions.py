"""Any function from a list of cells to an array, as an encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from multimodal_gen.loaders.encoded.encoder import Encoder
from multimodal_gen.rows.checks import check_positive
from multimodal_gen.spec import ArraySpec


class FunctionEncoder(Encoder):
    """A function of your own: a list of cells, or of what a loader read, to an array.

    It is called with at most `batch_size` rows, by one thread at a time. What it returns is kept
    under its name and version, so give it another version whenever it changes. A bundle holds the
    name only: `load_bundle(path, custom_objects={name: function})` gives it the function again.

    Args:
        function: `(list of n cells) -> (n, size)` numbers, or sequences `(n, length, size)`, filled
            up with vectors of zeros.
        size: How many numbers there are for a row; of a sequence `(length, size)`.
        name: What features on disk, and a bundle, know it by.
        version: Any text; another one means that what was kept is computed again.
        batch_size: Most rows per call.
        tolerance: How far its numbers for a row may depend on the rows beside it, as a share of
            the largest; see `Loader.batch_tolerance`.

    Raises:
        TypeError: If `function` cannot be called.
        ValueError: If a name is empty or a number is not positive.
    """

    def __init__(
        self,
        function: Callable[[list[Any]], Any],
        size: int | tuple[int, int],
        *,
        name: str,
        version: str = "1",
        batch_size: int = 32,
        tolerance: float = 1e-5,
    ) -> None:
        super().__init__(batch_size=batch_size)
        if not callable(function):
            raise TypeError(
                "`function` must take a list of cells and return an array. Received: "
                f"function={function!r}"
            )
        shape = size if isinstance(size, tuple | list) else (size,)
        if len(shape) not in (1, 2):
            raise ValueError(
                f"`size` must be a number, or (length, size) of a sequence. Received: size={size!r}"
            )
        for one in shape:
            check_positive(size=one)
        if not isinstance(name, str) or not name:
            raise ValueError(
                "`name` must be a text by which its features are found again, such as 'brands'. "
                f"Received: name={name!r}"
            )
        self.function, self.name, self.version = function, name, str(version)
        self.tolerance = tolerance
        self.spec = ArraySpec(tuple(map(int, shape)), "float32", "features")
        self.digest = f"{name} {version}"
        self.remember()

    def get_config(self) -> dict[str, Any]:
        """The name and version instead of the function, which has no JSON form."""
        config = super().get_config()
        del config["function"]
        return {**config, "digest": self.digest}

    def encode(self, values: Sequence[Any]) -> np.ndarray:
        """Encode any number of rows; the last call has fewer, as a function may cost money."""
        parts = [np.empty((0, *self.spec.shape), "float32")]
        for start in range(0, len(values), self.batch_size):
            parts.append(self._run(values[start : start + self.batch_size]))
        return np.concatenate(parts)

    def run(self, values: Sequence[Any]) -> np.ndarray:
        """Call the function."""
        return np.asarray(self.function(list(values)))
