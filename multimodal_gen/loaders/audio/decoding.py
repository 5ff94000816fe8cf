"""Reads a part of a sound file as samples of one channel and one sample rate, within limits."""

from __future__ import annotations

import io
import math
from typing import Any, NamedTuple

import numpy as np

from multimodal_gen.errors import LoadError, counted

# Samples a second that files may have, and channels: more would be no sound, but a bomb.
_RATES = (1_000, 384_000)
_CHANNELS = 32
# A shorter sound is none: a spectrogram has a frame for each so many seconds.
_LEAST = 0.010
# Floats above 1 are loud; so far above it they are numbers of another kind.
_LOUDEST = 16.0
# Frames that are decoded at a time.
_BLOCK = 1 << 16
# What every page of an Ogg file begins with.
_PAGE = b"OggS"
# What a WAV file has in place of its size where that was not known.
_UNKNOWN = (0, 0xFFFFFFFF)


class Samples(NamedTuple):
    """What was read of a sound.

    Args:
        values: `(samples,) float32`, the mean of all channels.
        rate: Samples a second in the file.
    """

    values: np.ndarray
    rate: int


def library() -> Any:
    """The library that decodes.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        import soundfile
    except ImportError as error:
        raise ImportError(
            "Reading sounds needs soundfile: `pip install 'multimodal_gen[audio]'`."
        ) from error
    return soundfile


def decode(content: bytes, seconds: float, max_seconds: float) -> Samples:
    """The middle of a sound, or all of it if it is shorter.

    It is decoded from its beginning, as libsndfile does not find places in MP3 files exactly.

    Args:
        content: The file.
        seconds: What is read at most.
        max_seconds: How long the sound may be.

    Raises:
        LoadError: If it is no sound, is broken, or has more than it may have.
    """
    soundfile = library()
    if not content:
        raise LoadError("the file is empty. Replace it, or drop the row.")
    _check_wave(content)
    _check_ogg(content)
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            _check_header(file, max_seconds)
            length = min(math.ceil(seconds * file.samplerate), file.frames)
            start = (file.frames - length) // 2
            values = _window(file, start, start + length)
            rate = int(file.samplerate)
    except soundfile.SoundFileError as error:
        said = str(error).rpartition(": ")[2].rstrip(".")
        raise LoadError(
            f"the file is no sound that libsndfile reads, or a broken one: {said}. Replace it, or "
            "drop the row."
        ) from error
    if not np.isfinite(values).all():
        raise LoadError("the sound has samples that are not numbers. Replace it, or drop the row.")
    peak = float(np.abs(values).max())
    if peak > _LOUDEST:
        raise LoadError(
            f"the sound has samples of up to {peak:,.0f}, and those of a sound go from -1 to 1: "
            "they may be whole numbers, written as floats. Divide them, as by 32,768, or drop the "
            "row."
        )
    return Samples(values, rate)


def resampled(samples: Samples, rate: int) -> np.ndarray:
    """Samples at another rate, `(samples,) float32`, through a low-pass filter.

    Args:
        samples: The samples.
        rate: Samples a second.
    """
    if samples.rate == rate or not len(samples.values):
        return samples.values
    from scipy.signal import resample_poly

    both = math.gcd(samples.rate, rate)
    found = resample_poly(samples.values.astype("float64"), rate // both, samples.rate // both)
    return np.asarray(found, "float32")


def _check_header(file: Any, max_seconds: float) -> None:
    low, high = _RATES
    if not low <= file.samplerate <= high or file.channels > _CHANNELS:
        raise LoadError(
            f"the sound has {file.samplerate:,} samples a second in {file.channels} channels; from "
            f"{low:,} to {high:,} in up to {_CHANNELS} are read. Convert it, or drop the row."
        )
    if file.frames > max_seconds * file.samplerate:
        raise LoadError(
            f"the sound is {file.frames / file.samplerate:,.0f} seconds long, more than this "
            f"loader reads (max_seconds={max_seconds:g}). Cut it, drop the row, or raise "
            "`max_seconds`."
        )
    if file.frames < _LEAST * file.samplerate:
        raise LoadError(
            f"the sound has {counted(file.frames, 'sample')}, and {_LEAST * 1000:.0f} ms are the "
            "least that can be heard in it. Replace it, or drop the row."
        )


def _window(file: Any, start: int, stop: int) -> np.ndarray:
    # In blocks, so that many channels do not need their memory at once.
    parts = []
    at = 0
    while at < stop:
        block = file.read(min(_BLOCK, stop - at), dtype="float32", always_2d=True)
        if not len(block):
            raise LoadError(
                f"the sound ends after {at:,} of its {file.frames:,} samples. Get the file "
                "anew, or drop the row."
            )
        if at + len(block) > start:
            parts.append(block[max(start - at, 0) :].mean(axis=1, dtype="float32"))
        at += len(block)
    return np.concatenate(parts)


def _check_wave(content: bytes) -> None:
    # libsndfile reads a WAV file that is cut off as a shorter sound.
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
        size = int.from_bytes(content[4:8], "little")
        if size not in _UNKNOWN and size + 8 > len(content) + 1:
            raise LoadError(
                f"the file ends after {len(content):,} of its {size + 8:,} bytes. Get it anew, or "
                "drop the row."
            )


def _check_ogg(content: bytes) -> None:
    # Likewise of an Ogg file, whose last page says that it is the last (RFC 3533, section 6).
    if not content.startswith(_PAGE):
        return
    page = content[content.rfind(_PAGE) :]
    sizes = page[27 : 27 + page[26]] if len(page) > 26 else b""
    if not sizes or not page[5] & 4 or 27 + len(sizes) + sum(sizes) > len(page):
        raise LoadError(
            f"the file is cut off: its Ogg stream does not end within its {len(content):,} bytes. "
            "Get it anew, or drop the row."
        )
