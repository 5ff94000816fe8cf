"""Random operations: on one image, on one text, on a whole sample, on a whole batch.

They draw from a random stream that is passed in (`rows/plan.py` makes it).

Those on images have the names of Keras's layers, work on uint8 arrays and go into
`ImageLoader(augment=[...])`; those on texts into `TextLoader(augment=[...])`; the others into
`MultimodalSequence(sample_augment=[...], batch_augment=[...])`. Any callable of the same form can
be added to these lists.

Read `base.py` first, with `parameters.py` for ranges and `together.py`, which has a picture and its
mask moved by the same draws. On one picture: `geometric.py` flips, rotates and shifts, `crop.py`
zooms into a window (both move pixels with `warp.py` or `warp_turbo.py`), `color.py` changes colours
with `tones.py`, `detail.py` erases or blurs, and `policy.py` draws a few operations from a list.
`text.py` is for captions, `sample.py` for whole rows, and `batch.py` for whole batches (MixUp,
CutMix). `checking.py` tests that an operation keeps its contract. `adapter.py` adapts operations of
other libraries, and `image_data_generator.py` translates Keras's old arguments.
"""

from multimodal_gen.augment.adapter import FromLibrary
from multimodal_gen.augment.base import Augmentation, GeometricAugmentation, augment_image
from multimodal_gen.augment.batch import Batch, BatchAugmentation, CutMix, MixUp
from multimodal_gen.augment.checking import check_augmentation
from multimodal_gen.augment.color import (
    RandomBrightness,
    RandomChannelShift,
    RandomContrast,
    RandomGrayscale,
    RandomHue,
    RandomSaturation,
)
from multimodal_gen.augment.crop import RandomCrop, RandomResizedCrop
from multimodal_gen.augment.detail import GaussianBlur, RandomErasing
from multimodal_gen.augment.geometric import (
    RandomFlip,
    RandomRotation,
    RandomShear,
    RandomTranslation,
    RandomZoom,
)
from multimodal_gen.augment.image_data_generator import from_image_data_generator
from multimodal_gen.augment.policy import RandAugment, TrivialAugment
from multimodal_gen.augment.sample import FlipWithWords, ModalityDropout, Sample, SampleAugmentation
from multimodal_gen.augment.text import (
    RandomWordDeletion,
    RandomWordSwap,
    TextAugmentation,
    TokenAugmentation,
    TokenDropout,
    TokenMasking,
)

__all__ = [
    "Augmentation",
    "Batch",
    "BatchAugmentation",
    "CutMix",
    "FlipWithWords",
    "FromLibrary",
    "GaussianBlur",
    "GeometricAugmentation",
    "MixUp",
    "ModalityDropout",
    "RandAugment",
    "RandomBrightness",
    "RandomChannelShift",
    "RandomContrast",
    "RandomCrop",
    "RandomErasing",
    "RandomFlip",
    "RandomGrayscale",
    "RandomHue",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomSaturation",
    "RandomShear",
    "RandomTranslation",
    "RandomWordDeletion",
    "RandomWordSwap",
    "RandomZoom",
    "Sample",
    "SampleAugmentation",
    "TextAugmentation",
    "TokenAugmentation",
    "TokenDropout",
    "TokenMasking",
    "TrivialAugment",
    "augment_image",
    "check_augmentation",
    "from_image_data_generator",
]
