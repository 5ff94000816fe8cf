"""Check the arguments of `ImageLoader`; those for size, box and mode form a `Fitting`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image
from PIL import __version__ as pillow_version

from multimodal_gen.augment.warp import warp
from multimodal_gen.loaders.image import jpeg
from multimodal_gen.loaders.image.levels import check_range
from multimodal_gen.loaders.image.normalization import Normalization
from multimodal_gen.loaders.image.resizing import Fitting
from multimodal_gen.rows.checks import check_choice, check_switches

_MODES = {"rgb": "RGB", "rgba": "RGBA", "grayscale": "L"}
_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "area": Image.Resampling.BOX,
    "lanczos3": Image.Resampling.LANCZOS,
}


def fitting_of(
    image_size: Any,
    color_mode: Any,
    interpolation: Any,
    *,
    crop: Any,
    pad: Any,
    background: Any,
    value_range: Any,
) -> Fitting:
    """Return what every picture becomes, from the arguments of the same names.

    Raises:
        TypeError: If `crop` or `pad` is neither True nor False.
        ValueError: If another one is out of its range.
    """
    check_choice("color_mode", color_mode, sorted(_MODES))
    check_choice("interpolation", interpolation, sorted(_RESAMPLING))
    check_switches(crop_to_aspect_ratio=crop, pad_to_aspect_ratio=pad)
    # Cutting what is too long leaves nothing to fill.
    if crop and pad:
        raise ValueError(
            "Choose either `crop_to_aspect_ratio` or `pad_to_aspect_ratio`. Received: both"
        )
    pair = isinstance(image_size, tuple | list) and len(image_size) == 2
    if not pair or not all(isinstance(one, int | np.integer) and one > 0 for one in image_size):
        raise ValueError(
            "`image_size` must be (height, width), two positive integers. "
            f"Received: image_size={image_size!r}"
        )
    if len(background) != 3 or not all(0 <= value <= 255 for value in background):
        raise ValueError(
            f"`background` must be three values in [0, 255]. Received: background={background!r}"
        )
    return Fitting(
        height=int(image_size[0]),
        width=int(image_size[1]),
        mode=_MODES[color_mode],
        resampling=_RESAMPLING[interpolation],
        crop=crop,
        pad=pad,
        background=tuple(int(value) for value in background),
        value_range=check_range(value_range),
    )


def check_values(dtype: Any, rescale: Any, normalize: Any) -> None:
    """Refuse a dtype, scale and normalisation that do not fit together."""
    # As uint8, values scaled by 1/255 would all be 0 or 1.
    if dtype not in ("uint8", "float32") or (rescale is not None and dtype != "float32"):
        raise ValueError(
            '`dtype` must be "uint8" or "float32", and `rescale` needs dtype="float32". '
            f"Received: dtype={dtype!r}, rescale={rescale!r}"
        )
    if rescale is not None and not (np.isfinite(rescale) and rescale > 0):
        raise ValueError(f"`rescale` must be a positive number. Received: rescale={rescale!r}")
    if normalize is not None and not isinstance(normalize, Normalization):
        raise ValueError(
            "`normalize` must be a normalisation such as SamplewiseNormalization(). "
            f"Received: normalize={normalize!r}"
        )
    if normalize is not None and dtype != "float32":
        raise ValueError(
            f'`normalize` needs dtype="float32". Received: dtype={dtype!r}, normalize={normalize!r}'
        )


def check_operations(augment: Sequence[Any]) -> None:
    """Refuse operations that are not a list of callables."""
    if not isinstance(augment, list | tuple):
        raise ValueError(f"`augment` must be a list of operations. Received: augment={augment!r}")
    for operation in augment:
        if not callable(operation) or isinstance(operation, type):
            raise ValueError(
                "`augment` must hold objects such as RandomFlip(), or callables "
                f"`(image, rng) -> image`. Received: {operation!r}"
            )


def check_decoder(decoder: Any, interpolation: Any) -> None:
    """Refuse an unknown decoder, or one that lacks this interpolation."""
    received = f"Received: decoder={decoder!r}, interpolation={interpolation!r}"
    if decoder not in ("pillow", "turbo"):
        raise ValueError(f'`decoder` must be "pillow" or "turbo". {received}')
    if decoder == "turbo" and interpolation == "nearest":
        raise ValueError(
            'decoder="turbo" interpolates "bilinear" only. For a mask, use decoder="pillow": the '
            'loader of its picture may keep decoder="turbo", even if the mask has `vary_with`. '
            f'Otherwise use interpolation="bilinear". {received}'
        )
    if decoder == "turbo" and interpolation != "bilinear":
        raise ValueError(
            f'decoder="turbo" interpolates "bilinear" only. Use interpolation="bilinear", or '
            f'decoder="pillow" for {interpolation!r}. {received}'
        )


def decoding_by(
    decoder: str,
) -> tuple[Callable[[bytes, Fitting, int], np.ndarray | None], Any, list[str]]:
    """What decodes usual JPEG files, what warps pictures, and the libraries' versions.

    Other releases may decode to other pixels, so a cache keeps them apart.
    """
    libraries = [f"Pillow {pillow_version}"]
    if decoder != "turbo":
        return jpeg.decode, warp, libraries
    # Imported here because its libraries are an extra.
    from multimodal_gen.loaders.image import turbo  # isort: skip - it says what to install
    from multimodal_gen.augment.warp_turbo import warp_turbo

    return turbo.decode, warp_turbo, [*libraries, turbo.VERSIONS]
