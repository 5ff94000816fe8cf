"""Feed tables of images, captions and labels to Keras models: fast, repeatable, honest about bad data."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from multimodal_gen._version import __version__ as __version__

if TYPE_CHECKING:
    from multimodal_gen import augment as augment
    from multimodal_gen import loaders as loaders
    from multimodal_gen import models as models
    from multimodal_gen.arrays import table_from_arrays as table_from_arrays
    from multimodal_gen.auditing import Audit as Audit
    from multimodal_gen.auditing import audit as audit
    from multimodal_gen.bundle import Bundle as Bundle
    from multimodal_gen.bundle import load_bundle as load_bundle
    from multimodal_gen.errors import BundleError as BundleError
    from multimodal_gen.errors import LoaderError as LoaderError
    from multimodal_gen.errors import LoadError as LoadError
    from multimodal_gen.errors import MultimodalError as MultimodalError
    from multimodal_gen.errors import TableError as TableError
    from multimodal_gen.failures import leave_out as leave_out
    from multimodal_gen.leakage import LeakageWarning as LeakageWarning
    from multimodal_gen.loaders.array import ArrayLoader as ArrayLoader
    from multimodal_gen.loaders.base import Loader as Loader
    from multimodal_gen.loaders.checking import check_loader as check_loader
    from multimodal_gen.loaders.image import ImageLoader as ImageLoader
    from multimodal_gen.loaders.label import ClassLabel as ClassLabel
    from multimodal_gen.loaders.masked_tokens import MaskedTokens as MaskedTokens
    from multimodal_gen.loaders.masking import MaskedTextLoader as MaskedTextLoader
    from multimodal_gen.loaders.multilabel import MultiLabel as MultiLabel
    from multimodal_gen.loaders.ngrams import NgramEncoder as NgramEncoder
    from multimodal_gen.loaders.normalization import FeaturewiseNormalization as FeaturewiseNormalization
    from multimodal_gen.loaders.normalization import SamplewiseNormalization as SamplewiseNormalization
    from multimodal_gen.loaders.normalization import ZCAWhitening as ZCAWhitening
    from multimodal_gen.loaders.numeric import NumericLoader as NumericLoader
    from multimodal_gen.loaders.reconstruction import InputTarget as InputTarget
    from multimodal_gen.loaders.regression import NumericTarget as NumericTarget
    from multimodal_gen.loaders.target import Target as Target
    from multimodal_gen.loaders.text import TextLoader as TextLoader
    from multimodal_gen.loaders.tokens import TokenEncoder as TokenEncoder
    from multimodal_gen.models import build_fusion_classifier as build_fusion_classifier
    from multimodal_gen.models import fit_with_recipe as fit_with_recipe
    from multimodal_gen.plots import plot_confusion as plot_confusion
    from multimodal_gen.plots import plot_history as plot_history
    from multimodal_gen.plots import plot_predictions as plot_predictions
    from multimodal_gen.plots import show_batch as show_batch
    from multimodal_gen.profiling import Profile as Profile
    from multimodal_gen.profiling import profile as profile
    from multimodal_gen.resume import ResumeTraining as ResumeTraining
    from multimodal_gen.sampling import BalancedSampler as BalancedSampler
    from multimodal_gen.sampling import Sampler as Sampler
    from multimodal_gen.sampling import WeightedSampler as WeightedSampler
    from multimodal_gen.sequence import MultimodalSequence as MultimodalSequence
    from multimodal_gen.spec import ArraySpec as ArraySpec
    from multimodal_gen.splitting import split_table as split_table
    from multimodal_gen.table import read_table as read_table

# Name -> module. Resolved on first use, so that reading a table does not wait for Keras to be imported.
_HOMES = {
    "ArrayLoader": "loaders.array",
    "ArraySpec": "spec",
    "Audit": "auditing",
    "BalancedSampler": "sampling",
    "Bundle": "bundle",
    "BundleError": "errors",
    "ClassLabel": "loaders.label",
    "FeaturewiseNormalization": "loaders.normalization",
    "ImageLoader": "loaders.image",
    "InputTarget": "loaders.reconstruction",
    "LeakageWarning": "leakage",
    "LoadError": "errors",
    "Loader": "loaders.base",
    "LoaderError": "errors",
    "MaskedTextLoader": "loaders.masking",
    "MaskedTokens": "loaders.masked_tokens",
    "MultiLabel": "loaders.multilabel",
    "MultimodalError": "errors",
    "MultimodalSequence": "sequence",
    "NgramEncoder": "loaders.ngrams",
    "NumericLoader": "loaders.numeric",
    "NumericTarget": "loaders.regression",
    "Profile": "profiling",
    "ResumeTraining": "resume",
    "Sampler": "sampling",
    "SamplewiseNormalization": "loaders.normalization",
    "TableError": "errors",
    "Target": "loaders.target",
    "TextLoader": "loaders.text",
    "TokenEncoder": "loaders.tokens",
    "WeightedSampler": "sampling",
    "ZCAWhitening": "loaders.normalization",
    "audit": "auditing",
    "build_fusion_classifier": "models",
    "check_loader": "loaders.checking",
    "fit_with_recipe": "models",
    "leave_out": "failures",
    "load_bundle": "bundle",
    "plot_confusion": "plots",
    "plot_history": "plots",
    "plot_predictions": "plots",
    "profile": "profiling",
    "read_table": "table",
    "show_batch": "plots",
    "split_table": "splitting",
    "table_from_arrays": "arrays",
}
_MODULES = ("augment", "loaders", "models")

__all__ = sorted([*_HOMES, *_MODULES])


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"multimodal_gen.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'multimodal_gen' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"multimodal_gen.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
