"""Loaders: one cell of a table in, one array out; one file a modality."""

from multimodal_gen.loaders.base import ArraySpec, Loader, check_loader
from multimodal_gen.loaders.image import ImageLoader
from multimodal_gen.loaders.label import ClassLabel, Target
from multimodal_gen.loaders.ngrams import NgramEncoder
from multimodal_gen.loaders.numeric import NumericLoader
from multimodal_gen.loaders.text import TextLoader
from multimodal_gen.loaders.tokens import TokenEncoder

__all__ = [
    "ArraySpec",
    "ClassLabel",
    "ImageLoader",
    "Loader",
    "NgramEncoder",
    "NumericLoader",
    "Target",
    "TextLoader",
    "TokenEncoder",
    "check_loader",
]
