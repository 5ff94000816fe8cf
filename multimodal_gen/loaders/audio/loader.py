"""`AudioLoader`: sounds as log-mel spectrograms of one length."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.audio.decoding import decode, library, resampled
from multimodal_gen.loaders.audio.mel import FLOOR, log_mel, mel_filters
from multimodal_gen.loaders.base import check_missing
from multimodal_gen.loaders.file_loader import FileLoader
from multimodal_gen.loaders.stages import stage
from multimodal_gen.rows.checks import check_positive
from multimodal_gen.spec import ArraySpec

# Seconds in a frame, and from a frame to the next.
_WINDOW, _HOP = 0.025, 0.010
# Bytes of a file in any case, and for each second: 192 kHz in two channels of 4 bytes.
_BYTES, _BYTES_A_SECOND = 2**24, 1_536_000
_SILENCE = np.float32(np.log(FLOOR))


class AudioLoader(FileLoader):
    """Turns sounds into log-mel spectrograms: wav, flac, ogg, mp3 and what else libsndfile reads.

    A cell may be a path (str or `pathlib.Path`), the bytes of a file, or a mapping with "bytes" or
    "path" as the Hugging Face datasets have it. Channels are averaged, and the sound is resampled.
    Of a sound, at most the `read_seconds` in its middle are read. In training, `seconds` are cut
    out of them at a random place; when evaluating, in the middle. Shorter sounds are followed by
    silence; those of less than 10 ms are refused. Levels are not changed: samples of floats may be
    above 1, as loud ones are, but not above 16.

    Yields `(frames, mels) float32`, kind "sound": 100 frames a second, each the natural logarithm
    of the power in 25 ms by bands, from 0 Hz to half the sample rate, evenly spaced on HTK's mel
    scale; silence is ln(1e-9) = -20.7.

    Args:
        column: The column of sounds.
        directory: Where relative paths start, a folder or a URL; cells that lead out of it are
            refused. By default the working directory, and paths may lead anywhere.
        seconds: Length of what a model gets.
        read_seconds: Length of what is read, and cached, so the part that training cuts from. By
            default twice `seconds`; if it equals `seconds`, nothing is random.
        sample_rate: Samples a second after resampling: half of it is the highest frequency.
        mels: Number of bands.
        missing: How to treat a missing cell (None, NaN): "error", or "blank" for zeros, and a mask
            as another input of the model; see `Loader`.
        max_seconds: Longer sounds are refused.
        protocols: What cells that are URLs may begin with, such as `["https", "s3"]`; each is
            opened by fsspec. By default none is.

    Raises:
        ImportError: If soundfile is not installed: `pip install 'multimodal_gen[audio]'`.
        ValueError: If an argument is out of its range.

    Example:
        sound = mg.AudioLoader("clip", directory="sounds", seconds=2.0)
    """

    def __init__(
        self,
        column: str,
        *,
        directory: str | os.PathLike[str] | None = None,
        seconds: float = 4.0,
        read_seconds: float | None = None,
        sample_rate: int = 16_000,
        mels: int = 64,
        missing: str = "error",
        max_seconds: float = 600.0,
        protocols: Sequence[str] = (),
    ) -> None:
        self._version = f"soundfile {library().__version__} {library().__libsndfile_version__}"
        check_positive(mels=mels, sample_rate=sample_rate)
        if not 1_000 <= sample_rate <= 384_000:
            raise ValueError(
                f"`sample_rate` must be from 1,000 to 384,000. Received: sample_rate={sample_rate}"
            )
        longest = 2 * seconds if read_seconds is None else read_seconds
        if not _HOP <= seconds <= longest <= max_seconds < np.inf:
            raise ValueError(
                "Lengths must be in this order: 0.01 <= `seconds` <= `read_seconds` (by default "
                f"twice as much) <= `max_seconds`. Received: seconds={seconds!r}, "
                f"read_seconds={read_seconds!r}, max_seconds={max_seconds!r}"
            )
        self.column, self.missing = column, check_missing(missing)
        self.seconds, self.max_seconds = float(seconds), float(max_seconds)
        self.sample_rate, self.mels = int(sample_rate), int(mels)
        self._window, self._hop = (round(one * sample_rate) for one in (_WINDOW, _HOP))
        if not mel_filters(self.sample_rate, self._window, self.mels).any(axis=0).all():
            raise ValueError(
                "So many bands are narrower than 25 ms of sound can tell apart: lower `mels`. "
                f"Received: mels={mels}, sample_rate={sample_rate}"
            )
        self._longest = float(longest)
        self._read_frames = round(longest / _HOP)
        self.spec = ArraySpec((round(seconds / _HOP), self.mels), "float32", "sound")
        self._set_place(directory, protocols, int(_BYTES + _BYTES_A_SECOND * max_seconds))

    @property
    def read_spec(self) -> ArraySpec:
        """What `read` returns: all that is read of a sound."""
        return ArraySpec((self._read_frames, self.mels), "float32", "sound")

    def read_config(self) -> dict[str, Any]:
        """The settings and library versions that numbers depend on."""
        about = (self._longest, self.sample_rate, self.mels, self._version)
        return dict(zip(("read_seconds", "sample_rate", "mels", "library"), about, strict=True))

    def read(self, cell: Any) -> np.ndarray:
        """Decode, resample and transform the middle of a sound.

        Raises:
            LoadError: If there is no such file, or it is not a sound, or a broken one, or one that
                is refused; it names the path.
        """
        with stage("read"):
            content = self.content_of(cell)
        try:
            samples = decode(content, self._longest, self.max_seconds)
        except LoadError as error:
            raise LoadError(error.reason, path=self.path_of(cell)) from error
        values = resampled(samples, self.sample_rate)[: self._read_frames * self._hop]
        # Whole frames, of which the last may be silent in part.
        rest = -len(values) % self._hop
        frames = log_mel(
            np.concatenate([values, np.zeros(rest, "float32")]),
            self.sample_rate,
            self._window,
            self._hop,
            self.mels,
        )
        found = np.full(self.read_spec.shape, _SILENCE)
        found[: len(frames)] = frames[: self._read_frames]
        return found

    def varies(self, training: bool) -> bool:
        """Whether more is read than a model gets."""
        return self.read_spec != self.spec

    def augment(self, array: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """Cut `seconds` out of what was read: at a random place, or in the middle without `rng`."""
        frames = len(array) if self.read_spec == self.spec else self.spec.shape[0]
        # The silence after a short sound is no part of it.
        heard = np.flatnonzero((array > _SILENCE).any(axis=1))
        spare = max((int(heard[-1]) + 1 if len(heard) else 0) - frames, 0)
        start = spare // 2 if rng is None else int(rng.integers(spare + 1))
        return array[start : start + frames]

    def describe(self, array: np.ndarray, cell: Any = None) -> dict[str, str]:
        """How long the sound is, up to the last frame that is not silent."""
        heard = np.flatnonzero((array > _SILENCE).any(axis=1))
        seconds = (int(heard[-1]) + 1) * _HOP if len(heard) else 0.0
        return {str(self.column): f"{seconds:.1f} s of sound"}

    def draw(self, array: np.ndarray) -> np.ndarray:
        """The spectrogram: time to the right, low bands at the bottom, bright where it is loud."""
        level = (array - _SILENCE) / max(float(array.max() - _SILENCE), 1.0)
        grey = np.clip(np.rint(level.T[::-1] * 255), 0, 255).astype("uint8")
        return np.repeat(grey[:, :, None], 3, axis=2)
