"""Video clips become a few pictures: `loader.py` reads a cell, and `decoding.py` takes the frames
out of a file.
"""

from multimodal_gen.loaders.clip.loader import ClipLoader

__all__ = ["ClipLoader"]
