"""The contract of an encoder: what many cells hold in, a vector for each out.

A sum of float32 numbers depends on the order in which they are added, and a library chooses that
order by the shape of its arrays. So the same row can give other bits in a batch of 1 than in one of
32. In a batch of one fixed size it gives the same bits wherever it stands and whatever stands
beside it. Therefore `encode` always runs batches of the same size, and fills up the last.
"""

from __future__ import annotations

import abc
import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from multimodal_gen.config import Configurable
from multimodal_gen.errors import LoaderError
from multimodal_gen.loaders.encoded.kept import KeptVectors
from multimodal_gen.rows.checks import check_positive
from multimodal_gen.spec import ArraySpec

# One encoder runs at a time in a process: each of them keeps all cores, or the accelerator, busy,
# and Keras's models and most functions are not made to run in two threads at once.
_ONE_AT_A_TIME = threading.RLock()
# Digest -> the encoder, for copies that are made from JSON in the process that has it.
_KNOWN: weakref.WeakValueDictionary[tuple[type, str], Encoder] = weakref.WeakValueDictionary()


class Encoder(Configurable):
    """Turns the cells of many rows, or what a loader read from them, into vectors.

    A subclass sets `spec` and `digest`, and implements `run`. `EncodedLoader` does the rest.

    Args:
        batch_size: Rows that `run` is given at once; always the same number. Results are the same
            bits for the same batch size only, so it is a part of what is kept.

    Attributes:
        spec: What comes out for one row; kind "features", float32.
        digest: Everything that the result depends on besides the row and the batch size, as a
            short text: weights, preprocessing, library. It is the key of what is kept on disk.
        reads_text: Whether the rows are texts that people wrote.
        tolerance: How far the same row may differ in other company, as a share of the largest
            number; 0 for the same bits.
        kept: What was encoded before in this process, or None to encode whatever is asked for.
    """

    spec: ArraySpec
    digest: str
    reads_text: bool = False
    tolerance: float = 0.0
    kept: KeptVectors | None = None

    def __init__(self, *, batch_size: int = 32) -> None:
        check_positive(batch_size=batch_size)
        self.batch_size = int(batch_size)

    @property
    def rows_together(self) -> int:
        """How many rows are best read together; by default a batch."""
        return self.batch_size

    @abc.abstractmethod
    def run(self, values: Sequence[Any]) -> np.ndarray:
        """Encode exactly `batch_size` rows.

        Args:
            values: What `prepare` returned for each row.

        Returns:
            `(batch_size, *spec.shape) float32`.
        """

    def check(self, spec: ArraySpec | None) -> None:
        """Refuse a loader whose arrays cannot be encoded.

        Args:
            spec: What the loader gives; None if the encoder is given the cells themselves.

        Raises:
            ValueError: If the encoder needs something else.
        """

    def prepare(self, value: Any) -> Any:
        """Check and convert what one row holds, on any thread.

        Raises:
            LoadError: If the row cannot be encoded.
        """
        return value

    def encode(self, values: Sequence[Any]) -> np.ndarray:
        """Encode any number of rows, in batches that are filled up to `batch_size`.

        Args:
            values: What `prepare` returned for each row.

        Returns:
            `(rows, *spec.shape) float32`, the same bits for a row whatever the other rows are.
        """
        parts = [np.empty((0, *self.spec.shape), "float32")]
        for start in range(0, len(values), self.batch_size):
            part = list(values[start : start + self.batch_size])
            full = part + [part[-1]] * (self.batch_size - len(part))
            parts.append(self._run(full)[: len(part)])
        return np.concatenate(parts)

    def _run(self, values: Sequence[Any]) -> np.ndarray:
        with _ONE_AT_A_TIME:
            found = np.asarray(self.run(values), "float32")
        if found.shape != (len(values), *self.spec.shape):
            raise LoaderError(
                f"{type(self).__name__} must give {self.spec.shape} numbers for each row. "
                f"Received: {found.shape} for {len(values)} rows"
            )
        if not np.isfinite(found).all():
            raise LoaderError(
                f"{type(self).__name__} must give finite numbers, or training turns to NaN. "
                "Received: NaN or infinity"
            )
        return found

    def keep(self) -> None:
        """Keep vectors in memory, up to 128 MiB, so that rows which several sequences read, to
        train and to score, are encoded once in this process.
        """
        if self.kept is None:
            # An encoder does not change, and nor does what it gives.
            object.__setattr__(self, "kept", KeptVectors())

    def remember(self) -> None:
        """Let copies that are made from this encoder's JSON in this process be this encoder.

        The JSON of an encoder has a digest instead of weights and code.
        """
        _KNOWN[type(self), self.digest] = self

    @classmethod
    def remembered(cls, digest: Any) -> Self | None:
        """The encoder of this process with a digest, or None."""
        found = _KNOWN.get((cls, digest)) if isinstance(digest, str) else None
        return found if isinstance(found, cls) else None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Build an encoder from the result of `get_config`, or find it if it has weights or code.

        Raises:
            ValueError: If this process does not have the encoder with that digest.
        """
        if "digest" not in config:
            return cls(**config)
        found = cls.remembered(config["digest"])
        if found is None:
            raise ValueError(
                f"The {cls.__name__} with this digest is not in this process. Load the bundle "
                f"that has it. Received: digest={config['digest']!r}"
            )
        return found
