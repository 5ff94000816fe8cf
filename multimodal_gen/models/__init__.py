"""Models: branches that encode one input each, fusions that join them, and a training recipe.

This folder knows only `ArraySpec`s and what a target says about its outputs, not the data. It
imports Keras.

Read `classifier.py` first. It builds a whole model: a branch per input (`branch.py`, `branches.py`,
`image_branches.py`, `categories.py`, `branch_checks.py`) with a few layers of our own (`layers.py`,
`token_layers.py`, `absence.py`), a fusion (`fusion.py`, `matching.py`), an output per target
(`outputs.py`) and auxiliary losses (`auxiliary.py`, `auxiliary_terms.py`). `recipe.py` trains it,
`calibration.py` weighs its heads afterwards, and `exporting.py` knows what an export needs.
"""

from multimodal_gen.loaders.targets.losses import (
    MaskedAccuracy,
    MaskedCrossentropy,
    RowMeanSquaredError,
    row_mean_squared_error,
)
from multimodal_gen.models.auxiliary import FusionModel
from multimodal_gen.models.branches import (
    BackboneBranch,
    Branch,
    CategoryBranch,
    Encoding,
    ImageBranch,
    NgramBranch,
    TokenBranch,
    VectorBranch,
)
from multimodal_gen.models.calibration import calibrate_heads
from multimodal_gen.models.classifier import build_fusion_classifier
from multimodal_gen.models.fusion import Concat, Fusion, Gated, Joint, Late, Match
from multimodal_gen.models.matching import matching_class
from multimodal_gen.models.recipe import KeepBest, branches_for, epochs_for, fit_with_recipe

__all__ = [
    "BackboneBranch",
    "Branch",
    "CategoryBranch",
    "Concat",
    "Encoding",
    "Fusion",
    "FusionModel",
    "Gated",
    "ImageBranch",
    "Joint",
    "KeepBest",
    "Late",
    "MaskedAccuracy",
    "MaskedCrossentropy",
    "Match",
    "NgramBranch",
    "RowMeanSquaredError",
    "TokenBranch",
    "VectorBranch",
    "branches_for",
    "build_fusion_classifier",
    "calibrate_heads",
    "epochs_for",
    "fit_with_recipe",
    "matching_class",
    "row_mean_squared_error",
]
