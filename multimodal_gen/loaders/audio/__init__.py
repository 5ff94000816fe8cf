"""Sounds become log-mel spectrograms: `loader.py` reads a cell, `decoding.py` the samples of a
file, and `mel.py` turns samples into a spectrogram.
"""

from multimodal_gen.loaders.audio.loader import AudioLoader

__all__ = ["AudioLoader"]
