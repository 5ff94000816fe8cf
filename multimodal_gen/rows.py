"""One row of a batch as a person sees it: pixels, decoded captions, labels in words. Nothing here draws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.cards import GREY, INK, Card
from multimodal_gen.loaders import ClassLabel, ImageLoader, Loader, TextLoader


def add_target(card: Card, target: Any, arrays: Any, weights: Any, frame: pd.DataFrame, row: int) -> None:
    """Put what is to be predicted for a row, and its weight, on its card.

    Args:
        card: The card.
        target: The sequence's target, or a mapping of several.
        arrays: What the batch has for the targets, by name where there are several.
        weights: The batch's weights, likewise, or None.
        frame: The rows of the batch.
        row: Which of them.
    """
    several = isinstance(target, Mapping)
    for name, one in target.items() if several else [(None, target)]:
        array = arrays[name] if several else arrays
        text = _label(one, array[row], frame, row)
        card.texts.append((f"{name}: {text}" if several else text, INK, "bold"))
        weight = None if weights is None else (weights[name] if several else weights)[row]
        if weight is not None and weight != 1:
            card.texts.append((f"weight {weight:g}", GREY, "normal"))


def add_inputs(
    card: Card, loaders: Mapping[str, Loader], arrays: Mapping[str, np.ndarray], frame: pd.DataFrame, row: int
) -> None:
    """Put a row's inputs on its card: pictures as pixels, token ids decoded, of other inputs the cell.

    Args:
        card: The card.
        loaders: Input name -> loader.
        arrays: Input name -> the row's array.
        frame: The rows of the batch.
        row: Which of them.
    """
    for name, loader in loaders.items():
        cell = _cell(loader, frame, row)
        if loader.spec.kind == "image":
            card.images.append(_pixels(arrays[name], loader))
        elif isinstance(loader, TextLoader):
            text = loader.decode(arrays[name]) if loader.spec.kind == "tokens" else str(cell)
            card.texts.append((text, INK, "normal") if text.strip() else ("(no words)", GREY, "normal"))
        else:
            columns = [loader.column] if isinstance(loader.column, str) else loader.column
            cells = cell if isinstance(loader.column, tuple) else (cell,)
            shown = [
                f"{column}: {one:g}" if isinstance(one, float) else f"{column}: {one}"
                for column, one in zip(columns, cells, strict=True)
            ]
            card.texts.append((", ".join(shown), GREY, "normal"))


def _cell(loader: Loader, frame: pd.DataFrame, row: int) -> Any:
    if isinstance(loader.column, str):
        return frame[loader.column].iloc[row]
    return tuple(frame[column].iloc[row] for column in loader.column)


def _label(target: Loader, array: np.ndarray, frame: pd.DataFrame, row: int) -> str:
    if not isinstance(target, ClassLabel):
        return str(_cell(target, frame, row))
    if target.label_mode == "int":
        return str(target.class_names[int(array)])
    # Mixed rows belong to several classes.
    shares = target.probabilities(array[None])[0]
    held = [(share, name) for share, name in zip(shares, target.class_names, strict=True) if share > 0]
    if len(held) == 1:
        return str(held[0][1])
    return ", ".join(f"{name} {share:.0%}" for share, name in sorted(held, key=lambda one: -one[0]))


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
