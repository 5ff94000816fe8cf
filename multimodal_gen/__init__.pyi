# The public names, each once: `__init__.py` and type checkers read them here, and tests compare
# the docs with them.

from multimodal_gen import augment as augment
from multimodal_gen import loaders as loaders
from multimodal_gen import models as models
from multimodal_gen._version import __version__ as __version__
from multimodal_gen.augment.checking import check_augmentation as check_augmentation
from multimodal_gen.batch.cache.filling import Filled as Filled
from multimodal_gen.batch.cache.filling import fill_cache as fill_cache
from multimodal_gen.batch.failures import leave_out as leave_out
from multimodal_gen.bundle.bundle import Bundle as Bundle
from multimodal_gen.bundle.dual_encoder import DualEncoder as DualEncoder
from multimodal_gen.bundle.explaining.explanations import Explanations as Explanations
from multimodal_gen.bundle.explaining.importance import Importance as Importance
from multimodal_gen.bundle.explaining.results import Explanation as Explanation
from multimodal_gen.bundle.folds import CrossValidation as CrossValidation
from multimodal_gen.bundle.folds import cross_validate as cross_validate
from multimodal_gen.bundle.folds import out_of_fold_fits as out_of_fold_fits
from multimodal_gen.bundle.judging.reliability import Reliability as Reliability
from multimodal_gen.bundle.judging.scores import Scores as Scores
from multimodal_gen.bundle.loading import load_bundle as load_bundle
from multimodal_gen.bundle.pair_presets import pair_from_preset as pair_from_preset
from multimodal_gen.bundle.pair_presets import similarity_loader as similarity_loader
from multimodal_gen.bundle.thresholds import choose_thresholds as choose_thresholds
from multimodal_gen.errors import BundleError as BundleError
from multimodal_gen.errors import LoaderError as LoaderError
from multimodal_gen.errors import LoadError as LoadError
from multimodal_gen.errors import MultimodalError as MultimodalError
from multimodal_gen.errors import TableError as TableError
from multimodal_gen.inspection.audit import Audit as Audit
from multimodal_gen.inspection.audit import audit as audit
from multimodal_gen.inspection.confusion import plot_confusion as plot_confusion
from multimodal_gen.inspection.plots import plot_history as plot_history
from multimodal_gen.inspection.plots import plot_predictions as plot_predictions
from multimodal_gen.inspection.plots import show_batch as show_batch
from multimodal_gen.inspection.plots import show_rows as show_rows
from multimodal_gen.inspection.profiling import Profile as Profile
from multimodal_gen.inspection.profiling import profile as profile
from multimodal_gen.loaders.arrays import ArrayLoader as ArrayLoader
from multimodal_gen.loaders.base import Loader as Loader
from multimodal_gen.loaders.categories import CategoryLoader as CategoryLoader
from multimodal_gen.loaders.checking import check_loader as check_loader
from multimodal_gen.loaders.columns.choosing import loaders_for as loaders_for
from multimodal_gen.loaders.columns.inferring import infer_columns as infer_columns
from multimodal_gen.loaders.dates import DateLoader as DateLoader
from multimodal_gen.loaders.encoded.encoder import Encoder as Encoder
from multimodal_gen.loaders.encoded.functions import FunctionEncoder as FunctionEncoder
from multimodal_gen.loaders.encoded.loader import EncodedLoader as EncodedLoader
from multimodal_gen.loaders.encoded.onnx_text import OnnxTextEncoder as OnnxTextEncoder
from multimodal_gen.loaders.encoded.similarity import SimilarityLoader as SimilarityLoader
from multimodal_gen.loaders.image.loader import ImageLoader as ImageLoader
from multimodal_gen.loaders.image.normalization import (
    FeaturewiseNormalization as FeaturewiseNormalization,
)
from multimodal_gen.loaders.image.normalization import (
    SamplewiseNormalization as SamplewiseNormalization,
)
from multimodal_gen.loaders.image.normalization import ZCAWhitening as ZCAWhitening
from multimodal_gen.loaders.many import ManyLoader as ManyLoader
from multimodal_gen.loaders.numbers import NumericLoader as NumericLoader
from multimodal_gen.loaders.targets.base import Target as Target
from multimodal_gen.loaders.targets.checking import check_target as check_target
from multimodal_gen.loaders.targets.class_label import ClassLabel as ClassLabel
from multimodal_gen.loaders.targets.inputs import InputTarget as InputTarget
from multimodal_gen.loaders.targets.masked_tokens import MaskedTokens as MaskedTokens
from multimodal_gen.loaders.targets.multi_label import MultiLabel as MultiLabel
from multimodal_gen.loaders.targets.numbers import NumericTarget as NumericTarget
from multimodal_gen.loaders.targets.variants import LabelWarning as LabelWarning
from multimodal_gen.loaders.text.loader import TextLoader as TextLoader
from multimodal_gen.loaders.text.masked import MaskedTextLoader as MaskedTextLoader
from multimodal_gen.loaders.text.ngrams import NgramEncoder as NgramEncoder
from multimodal_gen.loaders.text.tokens import TokenEncoder as TokenEncoder
from multimodal_gen.models import build_dual_encoder as build_dual_encoder
from multimodal_gen.models import build_fusion_classifier as build_fusion_classifier
from multimodal_gen.models import compare_models as compare_models
from multimodal_gen.models import fit_contrastive as fit_contrastive
from multimodal_gen.models import fit_linear_probe as fit_linear_probe
from multimodal_gen.models import fit_with_recipe as fit_with_recipe
from multimodal_gen.models.hub.tokenizer import PresetTextLoader as PresetTextLoader
from multimodal_gen.models.hub.tokenizer import PresetTokenizer as PresetTokenizer
from multimodal_gen.models.keras_encoder import KerasEncoder as KerasEncoder
from multimodal_gen.models.pretrained import from_preset as from_preset
from multimodal_gen.rows.annotations.reading import read_annotations as read_annotations
from multimodal_gen.rows.arrays import table_from_arrays as table_from_arrays
from multimodal_gen.rows.leakage import LeakageWarning as LeakageWarning
from multimodal_gen.rows.sampling import BalancedSampler as BalancedSampler
from multimodal_gen.rows.sampling import Sampler as Sampler
from multimodal_gen.rows.sampling import WeightedSampler as WeightedSampler
from multimodal_gen.rows.sampling import check_sampler as check_sampler
from multimodal_gen.rows.splitting import split_table as split_table
from multimodal_gen.rows.stores.opening import open_table as open_table
from multimodal_gen.rows.table import read_table as read_table
from multimodal_gen.sequence.guard import LossGuard as LossGuard
from multimodal_gen.sequence.resume import ResumeTraining as ResumeTraining
from multimodal_gen.sequence.sequence import MultimodalSequence as MultimodalSequence
from multimodal_gen.spec import ArraySpec as ArraySpec
