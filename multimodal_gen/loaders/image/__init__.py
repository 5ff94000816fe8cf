"""Pictures: from the path or the bytes in a cell to pixels of one size and colour mode.

Read `loader.py` (`arguments.py`: what it is given, checked) first, which puts the steps together:
`cells.py` says what a cell may hold, `limits.py` which pictures are decoded at all, `resizing.py`
decodes to the size that is wanted (`turbo.py` does so faster), `modes.py` and `levels.py` make
plain 8-bit pixels of every mode and depth, and `normalization.py` numbers with the statistics that
a model asks for. `quiet.py` silences the decoding libraries in one thread.
"""

from multimodal_gen.loaders.image.loader import ImageLoader

__all__ = ["ImageLoader"]
