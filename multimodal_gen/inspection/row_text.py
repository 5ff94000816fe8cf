"""One row of a batch as a person sees it: pixels, decoded captions, numbers and labels in words. Nothing here draws.

What is said comes from the batch's arrays, which random operations may have changed, and not from the table. Only
n-grams cannot be turned back into a caption, so theirs is the table's, and said to be where the model is given another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.inspection.layout import GREY, INK, Card
from multimodal_gen.loaders import (
    ClassLabel,
    ImageLoader,
    InputTarget,
    Loader,
    MaskedTextLoader,
    MaskedTokens,
    MultiLabel,
    NumericLoader,
    NumericTarget,
    TextLoader,
    TokenEncoder,
)
from multimodal_gen.spec import mask_names

_FEW_VALUES = 4
# A float32 holds a standardised number of a few units to within this many decimals.
_DECIMALS = 5.9


def add_target(card: Card, target: Any, arrays: Any, weights: Any, row: int) -> None:
    """Put what is to be predicted for a row, and its weight, on its card.

    Args:
        card: The card.
        target: The sequence's target, or a mapping of several.
        arrays: What the batch has for the targets, by name where there are several.
        weights: The batch's weights, likewise, or None.
        row: Which row of the batch.
    """
    several = isinstance(target, Mapping)
    for name, one in target.items() if several else [("", target)]:
        title, words = _in_words(one, (arrays[name] if several else arrays)[row])
        weight = 1 if weights is None else (weights[name] if several else weights)[row]
        words = words if weight == 1 else f"{words} (weight {weight:.4g})"
        card.texts.append((_titled(name or title, words), INK, "bold"))


def add_inputs(
    card: Card, loaders: Mapping[str, Loader], arrays: Mapping[str, np.ndarray], frame: pd.DataFrame, row: int
) -> None:
    """Put a row's inputs on its card: pictures as pixels, token ids decoded, numbers in the units of the table.

    Args:
        card: The card.
        loaders: Input name -> loader.
        arrays: Input name -> the row's array; of inputs that rows may lack the masks too.
        frame: The rows of the batch, for the captions of n-grams.
        row: Which of them.
    """
    masks = mask_names(loaders)
    for name, loader in loaders.items():
        array = arrays[name]
        if name in masks and not arrays[masks[name]].any():
            card.texts.append((_titled(name, "(missing)"), GREY, "normal"))
        elif loader.spec.kind == "image":
            card.images.append(_pixels(array, loader))
        elif isinstance(loader, TextLoader | MaskedTextLoader):
            if isinstance(loader.encoder, TokenEncoder):
                _add_caption(card, _decoded(loader.encoder, array))
                continue
            cell = frame[loader.column].iloc[row]
            _add_caption(card, str(cell) if array.any() else "")
            if array.any() and not np.array_equal(array, loader.read(cell)):
                card.texts.append(("caption as in the table, not as the model is given it", GREY, "normal"))
        else:
            title, words = _in_words(loader, array)
            title = title or (loader.column if isinstance(loader.column, str) else "")
            card.texts.append((_titled(title, words), GREY, "normal"))


def _add_caption(card: Card, text: str) -> None:
    card.texts.append((text, INK, "normal") if text.strip() else ("(no words)", GREY, "normal"))


def _decoded(encoder: TokenEncoder, array: np.ndarray) -> str:
    # Special tokens are what the model is given too, [MASK] above all; padding is not worth the room.
    return encoder.decode(array, skip_special_tokens=False)


def _titled(title: str, words: str) -> str:
    return f"{title}: {words}" if title else words


def _in_words(loader: Loader, array: np.ndarray) -> tuple[str, str]:
    """A title, empty where the words need none, and words for what a batch holds for a row."""
    if isinstance(loader, ClassLabel):
        return "", _class(loader, array)
    if isinstance(loader, MultiLabel):
        return "", _shares(loader.class_names, array) or "(no labels)"
    if isinstance(loader, MaskedTokens):
        return "hidden", ", ".join(loader.loader.encoder.token(one) for one in array if one) or "(nothing)"
    if isinstance(loader, InputTarget):
        return _in_words(loader.loader, array)
    columns = [loader.column] if isinstance(loader.column, str) else list(loader.column)
    if isinstance(loader, NumericLoader | NumericTarget):
        numbers = [_number(*one) for one in zip(array.tolist(), loader.mean, loader.scale, strict=True)]
        if len(columns) == 1:
            return columns[0], numbers[0]
        return "", ", ".join(map(_titled, columns, numbers))
    if array.size <= _FEW_VALUES:
        return ", ".join(columns), ", ".join(f"{float(one):g}" for one in array.ravel())
    size = " × ".join(map(str, array.shape))
    return ", ".join(columns), f"{size} numbers from {float(array.min()):.3g} to {float(array.max()):.3g}"


def _number(standardised: float, mean: float, scale: float) -> str:
    value = round(standardised * scale + mean, math.floor(_DECIMALS - math.log10(scale)))
    # Without the sign of a zero.
    return f"{value + 0.0:.15g}"


def _class(target: ClassLabel, array: np.ndarray) -> str:
    if target.label_mode == "int":
        return str(target.class_names[int(array)])
    return _shares(target.class_names, target.probabilities(array[None])[0])


def _shares(names: Any, shares: np.ndarray) -> str:
    # Mixed rows belong to several classes, and to each in part.
    held = sorted(
        ((share, name) for share, name in zip(shares, names, strict=True) if share > 0), key=lambda one: -one[0]
    )
    return ", ".join(
        str(name) if math.isclose(share, 1, abs_tol=1e-6) else f"{name} {share:.0%}" for share, name in held
    )


def _pixels(array: np.ndarray, loader: Loader) -> np.ndarray:
    """`(height, width, 3) uint8`, whatever the loader's channels, dtype and scale."""
    pixels = array.astype("float64")
    if isinstance(loader, ImageLoader) and loader.normalize is None:
        pixels /= loader.rescale or 1.0
    elif array.dtype != np.uint8:
        low, high = pixels.min(), pixels.max()
        pixels = (pixels - low) * (255 / (high - low or 1.0))
    if pixels.shape[-1] == 4:
        height, width = pixels.shape[:2]
        square = max(2, min(height, width) // 12)
        light = (np.arange(height)[:, None] // square + np.arange(width) // square) % 2
        opacity = pixels[..., 3:] / 255
        pixels = pixels[..., :3] * opacity + (255 - 30 * light[..., None]) * (1 - opacity)
    elif pixels.shape[-1] != 3:
        pixels = np.repeat(pixels.mean(axis=-1, keepdims=True), 3, axis=-1)
    return np.clip(np.rint(pixels), 0, 255).astype("uint8")
