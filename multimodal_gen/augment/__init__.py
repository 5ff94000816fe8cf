"""Random operations on one image, named as Keras's layers. They work on uint8 arrays and draw from the given stream.

Any callable `(image, rng) -> image` can stand beside them in `ImageLoader(augment=[...])`.
"""

from multimodal_gen.augment.base import Augmentation, GeometricAugmentation, augment_image
from multimodal_gen.augment.geometric import RandomFlip, RandomRotation, RandomTranslation, RandomZoom

__all__ = [
    "Augmentation",
    "GeometricAugmentation",
    "RandomFlip",
    "RandomRotation",
    "RandomTranslation",
    "RandomZoom",
    "augment_image",
]
