"""Loaders: one cell of a table in, one array out; one file or folder per modality.

Read `base.py` first, then `categories.py`, the file to copy for a new modality, and `checking.py`
with `proofs.py`, which prove that a loader keeps the contract. `image/` reads pictures, `text/`
captions (and pads them), `audio/` sounds, `clip/` videos, `numbers.py` numbers, `dates.py` dates,
`arrays.py` arrays (`array_cells.py`: what their cells may hold). `encoded/` turns any of them into
features, and `many.py` reads several in one cell (`many_cells.py`: what that may hold;
`drawn_item.py`: one of them, for training). `targets/` holds what a model learns, and `columns/`
chooses a loader for every column of a table. They share `learning.py` (training values in any
form), `moments.py` (their means) and `scaling.py` (logarithms and quantiles of numbers),
`drawing.py` (what people are shown), `file_loader.py` (the base of loaders of files), `files.py`
(opens files, within limits; `missing_files.py` suggests a fix if there is no file) and `remote/`
(fetches those at URLs), `vary_with.py` (the argument for pictures that vary together),
`missing_cells.py` (what a missing cell is) and `cell_errors.py` (errors with row, column and path),
`reading.py` (reads many cells and collects their errors; batches are read in `batch/`) and
`stages.py` (clocks for the steps from a cell to a batch).
"""

from multimodal_gen.loaders.arrays import ArrayLoader
from multimodal_gen.loaders.audio import AudioLoader
from multimodal_gen.loaders.base import ArraySpec, Loader
from multimodal_gen.loaders.categories import CategoryLoader
from multimodal_gen.loaders.checking import check_loader
from multimodal_gen.loaders.clip import ClipLoader
from multimodal_gen.loaders.dates import DateLoader
from multimodal_gen.loaders.encoded import (
    EncodedLoader,
    Encoder,
    FunctionEncoder,
    OnnxTextEncoder,
    SimilarityLoader,
)
from multimodal_gen.loaders.file_loader import FileLoader
from multimodal_gen.loaders.image.loader import ImageLoader
from multimodal_gen.loaders.image.normalization import (
    FeaturewiseNormalization,
    Normalization,
    SamplewiseNormalization,
    ZCAWhitening,
)
from multimodal_gen.loaders.many import ManyLoader
from multimodal_gen.loaders.numbers import NumericLoader
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.loaders.targets.checking import check_target
from multimodal_gen.loaders.targets.class_label import ClassLabel
from multimodal_gen.loaders.targets.inputs import InputTarget
from multimodal_gen.loaders.targets.judgement import Judgement
from multimodal_gen.loaders.targets.masked_tokens import MaskedTokens
from multimodal_gen.loaders.targets.multi_label import MultiLabel
from multimodal_gen.loaders.targets.numbers import NumericTarget
from multimodal_gen.loaders.text.loader import TextLoader
from multimodal_gen.loaders.text.masked import MaskedTextLoader
from multimodal_gen.loaders.text.ngrams import NgramEncoder
from multimodal_gen.loaders.text.tokens import TokenEncoder

__all__ = [
    "ArrayLoader",
    "ArraySpec",
    "AudioLoader",
    "CategoryLoader",
    "ClassLabel",
    "ClipLoader",
    "DateLoader",
    "EncodedLoader",
    "Encoder",
    "FeaturewiseNormalization",
    "FileLoader",
    "FunctionEncoder",
    "ImageLoader",
    "InputTarget",
    "Judgement",
    "Loader",
    "ManyLoader",
    "MaskedTextLoader",
    "MaskedTokens",
    "MultiLabel",
    "NgramEncoder",
    "Normalization",
    "NumericLoader",
    "NumericTarget",
    "OnnxTextEncoder",
    "SamplewiseNormalization",
    "SimilarityLoader",
    "Target",
    "TextLoader",
    "TokenEncoder",
    "ZCAWhitening",
    "check_loader",
    "check_target",
]
