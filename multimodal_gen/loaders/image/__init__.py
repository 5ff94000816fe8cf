"""Pictures: from the path or the bytes in a cell to pixels of one size and colour mode.

Read `loader.py` first, which puts the steps together (`arguments.py` checks its arguments):
`cells.py` says what a cell may hold, `limits.py` which pictures are decoded at all, `resizing.py`
turns a picture upright by its EXIF data, crops, pads and resizes it (`jpeg.py` spares usual JPEG
files some of it, and `turbo.py` does it by other libraries), `modes.py` and `levels.py` make plain
8-bit pixels of every mode and depth, and `normalization.py` shifts and scales them. `quiet.py`
silences the decoding libraries in one thread. Pictures are mirrored and varied in
`multimodal_gen/augment/`.
"""

from multimodal_gen.loaders.image.loader import ImageLoader

__all__ = ["ImageLoader"]
