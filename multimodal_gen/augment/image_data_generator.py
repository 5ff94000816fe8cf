"""Convert the arguments of Keras's ImageDataGenerator to a list of operations.

Only what varies a picture becomes an operation. Everything else that `ImageDataGenerator` did is
done elsewhere in this package, and the error says where; `docs/from_image_data_generator.md` has
the tables.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from multimodal_gen.augment.base import Augmentation
from multimodal_gen.augment.color import RandomBrightness, RandomChannelShift
from multimodal_gen.augment.geometric import (
    RandomFlip,
    RandomRotation,
    RandomShear,
    RandomTranslation,
    RandomZoom,
)
from multimodal_gen.augment.parameters import is_number
from multimodal_gen.rows.checks import check_at_least, check_choice

# The arguments that vary pictures, with the defaults of ImageDataGenerator.
_DEFAULTS: dict[str, Any] = {
    "rotation_range": 0,
    "width_shift_range": 0.0,
    "height_shift_range": 0.0,
    "brightness_range": None,
    "shear_range": 0.0,
    "zoom_range": 0.0,
    "channel_shift_range": 0.0,
    "fill_mode": "nearest",
    "cval": 0.0,
    "horizontal_flip": False,
    "vertical_flip": False,
    "interpolation_order": 1,
}

_NORMALIZE = 'ImageLoader(..., dtype="float32", normalize={})'
# Argument -> the value that changes nothing, and what to write instead of any other value.
_ELSEWHERE: dict[str, tuple[Any, str]] = {
    "featurewise_center": (
        False,
        _NORMALIZE.format("FeaturewiseNormalization.from_table(loader, train)"),
    ),
    "featurewise_std_normalization": (
        False,
        _NORMALIZE.format("FeaturewiseNormalization.from_table(loader, train)"),
    ),
    "samplewise_center": (False, _NORMALIZE.format("SamplewiseNormalization(...)")),
    "samplewise_std_normalization": (False, _NORMALIZE.format("SamplewiseNormalization(...)")),
    "zca_whitening": (False, _NORMALIZE.format("ZCAWhitening.from_table(loader, train)")),
    "zca_epsilon": (1e-6, _NORMALIZE.format("ZCAWhitening.from_table(loader, train, ...)")),
    "rescale": (
        None,
        'ImageLoader(..., dtype="float32", rescale=...), or nothing if the model scales, as the '
        "bundled branches do",
    ),
    "preprocessing_function": (
        None,
        "a layer at the start of the model, because prediction needs it too; if it varies pictures "
        "at random, append a callable `(image, rng) -> image` on uint8 arrays to the list",
    ),
    "data_format": (
        None,
        "nothing: images are (height, width, channels); let the model begin with a Permute layer",
    ),
    "validation_split": (0.0, "split_table(table, (0.8, 0.2))"),
    "dtype": (
        None,
        'ImageLoader(..., dtype="float32"), or nothing: uint8 takes a quarter of the memory',
    ),
}

# Arguments of its `flow` methods, which are easily confused with its own.
_OF_FLOW = (
    *(
        "x",
        "y",
        "directory",
        "dataframe",
        "x_col",
        "y_col",
        "weight_col",
        "target_size",
        "color_mode",
        "classes",
    ),
    *(
        "class_mode",
        "batch_size",
        "shuffle",
        "sample_weight",
        "seed",
        "save_to_dir",
        "save_prefix",
        "save_format",
    ),
    *(
        "subset",
        "interpolation",
        "follow_links",
        "keep_aspect_ratio",
        "validate_filenames",
        "ignore_class_split",
    ),
)


def from_image_data_generator(**arguments: Any) -> list[Augmentation]:
    """The operations that `ImageDataGenerator(**arguments)` applied, in its order.

    The order is: rotation, shift, shear, zoom (resampled once, as in Keras), channel shift, flips,
    brightness. Ranges are the same, with two exceptions: a shear does not scale the height, and its
    tangent is drawn uniformly; and a height shift moves the picture along its height.
    `docs/from_image_data_generator.md` shows the differences.

    Args:
        **arguments: Arguments of `ImageDataGenerator`, by name.

    Returns:
        A list for `ImageLoader(augment=...)`.

    Raises:
        ValueError: If an argument is out of its range, or is not an augmentation; the message says
            what to write instead.
        TypeError: If `ImageDataGenerator` has no such argument.

    Example:
        operations = from_image_data_generator(rotation_range=20, horizontal_flip=True)
        loader = ImageLoader("image", augment=operations)
    """
    _check_known(arguments)
    given = {**_DEFAULTS, **{name: value for name, value in arguments.items() if name in _DEFAULTS}}
    if given["interpolation_order"] not in (0, 1):
        raise ValueError(
            "`interpolation_order` must be 0 (nearest) or 1 (bilinear): splines of a higher order "
            f"are not supported. Received: interpolation_order={given['interpolation_order']!r}"
        )
    check_choice("fill_mode", given["fill_mode"], ("constant", "nearest", "reflect", "wrap"))
    if not is_number(given["cval"]) or not 0 <= given["cval"] <= 255:
        raise ValueError(f"`cval` must be a number in [0, 255]. Received: cval={given['cval']!r}")
    borders: dict[str, Any] = {
        "fill_mode": given["fill_mode"],
        "fill_value": given["cval"],
        "interpolation": "bilinear" if given["interpolation_order"] else "nearest",
    }
    # In the order of ImageDataGenerator, because most of these do not commute.
    operations: list[Augmentation] = []
    if turn := _number("rotation_range", given, most=360):
        # Degrees there, full turns here.
        operations.append(RandomRotation(turn / 360, **borders))
    operations += _shifts(given, borders)
    # The tangent has no bound near 90 degrees; at 80 it is 5.7.
    if angle := _number("shear_range", given, most=80):
        operations.append(RandomShear(math.tan(math.radians(angle)), **borders))
    low, high = _pair("zoom_range", given)
    if (low, high) != (1, 1):
        operations.append(RandomZoom((low - 1, high - 1), (low - 1, high - 1), **borders))
    if shift := _number("channel_shift_range", given, most=255):
        operations.append(RandomChannelShift(shift / 255, together=True))
    operations += [
        RandomFlip(axis) for axis in ("horizontal", "vertical") if _flag(f"{axis}_flip", given)
    ]
    if given["brightness_range"] is not None:
        low, high = _pair("brightness_range", given)
        # It multiplies, because ImageDataGenerator uses Pillow's ImageEnhance.Brightness.
        operations.append(RandomBrightness((low - 1, high - 1), method="multiply"))
    return operations


def _check_known(arguments: dict[str, Any]) -> None:
    instead = []
    for name, value in arguments.items():
        if name in _ELSEWHERE:
            nothing, other = _ELSEWHERE[name]
            # "channels_last" is the only format here anyway.
            if value and value != nothing and (name, value) != ("data_format", "channels_last"):
                instead.append(f"`{name}` is not an augmentation. Instead, write {other}.")
        elif name not in _DEFAULTS:
            close = difflib.get_close_matches(name, [*_DEFAULTS, *_ELSEWHERE], n=1)
            hint = f" Did you mean `{close[0]}`?" if close else ""
            if name in _OF_FLOW:
                hint = (
                    " It belongs to `flow`, `flow_from_directory` or `flow_from_dataframe`; see "
                    "the table in "
                )
                hint += "docs/from_image_data_generator.md has."
            raise TypeError(
                f"ImageDataGenerator has no argument with this name.{hint} Received: "
                f"{name}={value!r}"
            )
    if instead:
        received = ", ".join(
            f"{name}={value!r}" for name, value in arguments.items() if name in _ELSEWHERE
        )
        raise ValueError(f"{' '.join(instead)} Received: {received}")


def _number(name: str, given: dict[str, Any], most: float) -> float:
    value = given[name]
    if not is_number(value) or not 0 <= value <= most:
        raise ValueError(f"`{name}` must be a number in [0, {most:g}]. Received: {name}={value!r}")
    return float(value)


def _flag(name: str, given: dict[str, Any]) -> bool:
    if not isinstance(given[name], bool | np.bool_):
        raise ValueError(f"`{name}` must be True or False. Received: {name}={given[name]!r}")
    return bool(given[name])


def _pair(name: str, given: dict[str, Any]) -> tuple[float, float]:
    value = given[name]
    pair: Sequence[Any] = (
        (1 - value, 1 + value) if name == "zoom_range" and is_number(value) else value
    )
    valid = isinstance(pair, list | tuple) and len(pair) == 2 and all(map(is_number, pair))
    if name == "zoom_range" and (not valid or not 0 < pair[0] <= pair[1] <= 10):
        raise ValueError(
            f"`{name}` must be a number below 1, or a pair (low, high) above 0 and at most 10. "
            f"Received: {name}={value!r}"
        )
    if not valid or not 0 <= pair[0] <= pair[1]:
        raise ValueError(
            f"`{name}` must be a pair (low, high) with 0 <= low <= high. Received: {name}={value!r}"
        )
    return float(pair[0]), float(pair[1])


def _shifts(given: dict[str, Any], borders: dict[str, Any]) -> list[Augmentation]:
    # An integer counts whole pixels and stays out of the range, a float below 1 is a share, one
    # above counts pixels.
    factors: dict[str, dict[str, Any]] = {"fraction": {}, "pixels": {}}
    for axis in ("height", "width"):
        name = f"{axis}_shift_range"
        value = given[name]
        if not is_number(value):
            # ImageDataGenerator treats a list as a choice, while here a pair is always a range. So
            # it is refused: read as a range, it would silently be another augmentation.
            numbers = isinstance(value, list | tuple | np.ndarray) and all(map(is_number, value))
            unit = "fraction" if numbers and max(value, default=0) < 1 else "pixels"
            hint = (
                "a list means a choice among its elements and their opposites. For a range write "
                f'RandomTranslation((low, high), (low, high), unit="{unit}").'
                if numbers
                else "a share of the side below 1, or pixels."
            )
            raise ValueError(f"`{name}` must be a number here: {hint} Received: {name}={value!r}")
        check_at_least(0, **{name: value})
        whole = isinstance(value, int | np.integer)
        unit = "pixels" if value >= 1 else "fraction"
        factors[unit][f"{axis}_factor"] = max(int(value) - 1, 0) if whole else float(value)
    return [
        RandomTranslation(**{"height_factor": 0, "width_factor": 0, **factor}, unit=unit, **borders)
        for unit, factor in factors.items()
        if any(factor.values())
    ]
