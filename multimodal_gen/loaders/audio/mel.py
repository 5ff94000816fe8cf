"""Log-mel spectrograms, in NumPy alone: the same numbers with every release of other libraries."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

# The power of a silent band: 96 dB, the range of 16 bits, below that of the loudest sine in it.
FLOOR = 1e-9


def log_mel(samples: np.ndarray, sample_rate: int, window: int, hop: int, mels: int) -> np.ndarray:
    """The log-mel spectrogram of a sound.

    Each frame is multiplied by a periodic Hann window; the squared magnitudes of its discrete
    Fourier transform, over the square of the window's sum, are summed by triangular filters, and
    the natural logarithm is taken, of at least `FLOOR`.

    Args:
        samples: `(samples,) float32` in [-1, 1].
        sample_rate: Samples a second.
        window: Samples in a frame.
        hop: Samples from a frame to the next.
        mels: Number of filters.

    Returns:
        `(samples // hop, mels) float32`; the frame at `i` begins with the sample at `i * hop`, and
        after the last sample there is silence.
    """
    frames = len(samples) // hop
    padded = np.concatenate([samples, np.zeros(max(window - hop, 0), "float32")])
    cut = np.lib.stride_tricks.sliding_window_view(padded, window)[: frames * hop : hop]
    hann = _hann(window)
    filters = mel_filters(sample_rate, window, mels)
    spectrum = np.fft.rfft(cut * hann, axis=1)
    power = (spectrum.real**2 + spectrum.imag**2) / hann.sum() ** 2
    return np.log(np.maximum(power @ filters, FLOOR)).astype("float32")


@lru_cache(maxsize=16)
def mel_filters(sample_rate: int, window: int, mels: int) -> np.ndarray:
    """Triangular filters, evenly spaced on the mel scale from 0 Hz to half the sample rate.

    The scale is 2595 log10(1 + f / 700) (O'Shaughnessy, "Speech communication", 1987), as HTK has
    it; each filter rises from the centre of the one before it to 1, and falls to that of the next.

    Args:
        sample_rate: Samples a second.
        window: Samples in a frame.
        mels: Number of filters.

    Returns:
        `(window // 2 + 1, mels) float64`.
    """
    top = 2595.0 * np.log10(1.0 + sample_rate / 2 / 700.0)
    edges = 700.0 * (10.0 ** (np.linspace(0.0, top, mels + 2) / 2595.0) - 1.0)
    frequencies = np.arange(window // 2 + 1)[:, None] * (sample_rate / window)
    rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    return np.maximum(0.0, np.minimum(rising, falling))


@lru_cache(maxsize=16)
def _hann(window: int) -> np.ndarray:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
