"""Loaders: one cell of a table in, one array out; one file a modality. Those in the y position are targets."""

from multimodal_gen.loaders.array import ArrayLoader
from multimodal_gen.loaders.base import ArraySpec, Loader
from multimodal_gen.loaders.checking import check_loader
from multimodal_gen.loaders.image import ImageLoader
from multimodal_gen.loaders.label import ClassLabel
from multimodal_gen.loaders.masked_tokens import MaskedTokens
from multimodal_gen.loaders.masking import MaskedTextLoader
from multimodal_gen.loaders.multilabel import MultiLabel
from multimodal_gen.loaders.ngrams import NgramEncoder
from multimodal_gen.loaders.normalization import (
    FeaturewiseNormalization,
    Normalization,
    SamplewiseNormalization,
    ZCAWhitening,
)
from multimodal_gen.loaders.numeric import NumericLoader
from multimodal_gen.loaders.reconstruction import InputTarget
from multimodal_gen.loaders.regression import NumericTarget
from multimodal_gen.loaders.target import Target
from multimodal_gen.loaders.text import TextLoader
from multimodal_gen.loaders.tokens import TokenEncoder

__all__ = [
    "ArrayLoader",
    "ArraySpec",
    "ClassLabel",
    "FeaturewiseNormalization",
    "ImageLoader",
    "InputTarget",
    "Loader",
    "MaskedTextLoader",
    "MaskedTokens",
    "MultiLabel",
    "NgramEncoder",
    "Normalization",
    "NumericLoader",
    "NumericTarget",
    "SamplewiseNormalization",
    "Target",
    "TextLoader",
    "TokenEncoder",
    "ZCAWhitening",
    "check_loader",
]
