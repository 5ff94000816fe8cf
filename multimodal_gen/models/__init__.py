"""Models: branches that encode one input each, fusions that join them, and a training recipe.

This folder knows only `ArraySpec`s and what a target says about its outputs, not the data. It
imports Keras.

Read `classifier.py` first. It builds a whole model: a branch per input (`branch.py`, `branches.py`,
`image_branches.py`, `media_branches.py`, `categories.py`, `many.py` for several items in a cell;
`encoding.py` calls them, after `branch_checks.py`) with a few layers of our own (`layers.py`,
`token_layers.py`, `absence.py`), a fusion (`fusion.py`, built of `fusion_parts.py`; `matching.py`;
`attend.py`, whose layers are in `attention.py`), an output per target (`outputs.py`) and auxiliary
losses (`auxiliary.py`, `auxiliary_terms.py`). `recipe.py` trains it (`fitting.py` has what training
needs), `loss_balance.py` weighs the losses of several targets, `calibration.py` weighs its heads
afterwards, and `exporting.py` knows what an export needs.

Beside a network stands the best linear model: `probe.py` fits one to the rows, as a matrix
(`designs.py`), with a penalty that validation rows choose (`linear_fits.py`), in a model without
hidden layers (`linear.py`), and `comparing.py` says which of the two is better.

Pretrained models: `pretrained.py` makes a loader and a branch in one line, of the encoder in
`keras_encoder.py` (`encoder_outputs.py` pools what it gives, `weights_files.py` loads its weights
whole, `model_digest.py` names them, `branch_features.py` cuts one out of a trained model) and the
branches in `encoder_branches.py`; `hub/` makes one of a preset of keras-hub.
`contrastive.py` builds and trains two encoders whose vectors share one space, without labels (its
parts are in `pairs.py`).
"""

from multimodal_gen.loaders.targets.class_losses import ClassCrossentropy, LabelCrossentropy
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
    ClipBranch,
    ColorBranch,
    Encoding,
    ImageBranch,
    NgramBranch,
    SoundBranch,
    TokenBranch,
    VectorBranch,
)
from multimodal_gen.models.calibration import calibrate_heads
from multimodal_gen.models.classifier import build_fusion_classifier
from multimodal_gen.models.comparing import compare_models
from multimodal_gen.models.contrastive import build_dual_encoder, fit_contrastive
from multimodal_gen.models.encoder_branches import EncoderBranch, FeatureBranch
from multimodal_gen.models.fitting import KeepBest
from multimodal_gen.models.fusion import Attend, Concat, Fusion, Gated, Joint, Late, Match
from multimodal_gen.models.hub import PresetTextLoader, PresetTokenizer
from multimodal_gen.models.keras_encoder import KerasEncoder
from multimodal_gen.models.loss_balance import balanced_loss_weights
from multimodal_gen.models.many import ManyBranch
from multimodal_gen.models.matching import matching_class
from multimodal_gen.models.pretrained import Pretrained
from multimodal_gen.models.probe import fit_linear_probe
from multimodal_gen.models.recipe import branches_for, epochs_for, fit_with_recipe

__all__ = [
    "Attend",
    "BackboneBranch",
    "Branch",
    "CategoryBranch",
    "ClassCrossentropy",
    "ClipBranch",
    "ColorBranch",
    "Concat",
    "EncoderBranch",
    "Encoding",
    "FeatureBranch",
    "Fusion",
    "FusionModel",
    "Gated",
    "ImageBranch",
    "Joint",
    "KeepBest",
    "KerasEncoder",
    "LabelCrossentropy",
    "Late",
    "ManyBranch",
    "MaskedAccuracy",
    "MaskedCrossentropy",
    "Match",
    "NgramBranch",
    "PresetTextLoader",
    "PresetTokenizer",
    "Pretrained",
    "RowMeanSquaredError",
    "SoundBranch",
    "TokenBranch",
    "VectorBranch",
    "balanced_loss_weights",
    "branches_for",
    "build_dual_encoder",
    "build_fusion_classifier",
    "calibrate_heads",
    "compare_models",
    "epochs_for",
    "fit_contrastive",
    "fit_linear_probe",
    "fit_with_recipe",
    "matching_class",
    "row_mean_squared_error",
]
