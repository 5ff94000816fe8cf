"""Which parts of a picture speak for a prediction.

Where the model can be differentiated: the gradient times the difference from a picture without
detail, averaged over steps between the two (integrated gradients; Sundararajan, Taly and Yan,
2017). Pictures without detail are a blurred one and one of its mean colour, and the result is
smoothed a little. Elsewhere: what changes where a window of the picture is blurred, and where it
alone is sharp. `benchmarks/explain.py` measures both by deleting and inserting pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from multimodal_gen.bundle.explaining.engine import Batch, Engine
from multimodal_gen.bundle.explaining.model_parts import filled_size
from multimodal_gen.bundle.explaining.players import Player
from multimodal_gen.bundle.explaining.reading import read_cells
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.encoded.encoder import Encoder
from multimodal_gen.loaders.encoded.loader import EncodedLoader
from multimodal_gen.spec import mask_name

# Steps between each picture without detail and the picture.
_STEPS = 4
# A picture whose pixels change the output by less in all makes no difference.
_LEAST = 1e-6
# Windows along each side: of the pixels of the model, and of an encoder, which is run for each.
_WINDOWS, _ENCODED_WINDOWS = 8, 6


def picture_source(loader: Loader) -> tuple[Loader, Encoder | None] | None:
    """The loader of the pictures that an input is made of, and the encoder that makes it; None if
    it is made of none.
    """
    if loader.spec.each.kind == "image":
        return loader, None
    one = loader if loader.item is None else loader.item
    if not isinstance(one, EncodedLoader) or one.loader is None or one.loader.spec.kind != "image":
        return None
    return (one.loader if loader.item is None else loader.replace(loader=one.loader)), one.encoder


@dataclass(frozen=True)
class _Source:
    # An input that is made of pictures: its place among the arrays of its player, the loader of
    # the pictures, and the encoder that makes it.
    place: int
    loader: Loader
    encoder: Encoder | None

    def pictures(self, batch: Batch, name: str, batch_size: int) -> np.ndarray:
        array = batch.arrays[name][self.place]
        if self.encoder is not None:
            own = Player(name, {name: self.loader})
            array = read_cells(own, own.cells(batch.table), batch_size)[0][0]
        return array if array.ndim == 5 else array[:, None]

    def as_input(self, pictures: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        if self.encoder is None:
            return pictures.reshape(shape)
        flat = pictures.reshape(-1, *pictures.shape[2:])
        return self.encoder.encode([self.encoder.prepare(one) for one in flat]).reshape(shape)


class HeatMaps:
    """The heat maps of one player.

    Its first input that is made of pictures says which pixels they have; the others that read the
    same are changed with it.

    Args:
        engine: The engine.
        name: The player.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine, self.name = engine, name
        inputs = engine.players[name].inputs
        found: list[_Source] = []
        for key, loader in inputs.items():
            source = picture_source(loader)
            place = engine.parts.names[name].index(key)
            if source is not None and (not found or _reads_alike(source[0], found[0].loader)):
                found.append(_Source(place, *source))
        self._sources = found
        self.loader = found[0].loader
        encoded = any(one.encoder is not None for one in found)
        self._windows = _ENCODED_WINDOWS if encoded else _WINDOWS
        self._gradient: Any = None if encoded else engine.parts.gradient(name)

    def pictures(self, batch: Batch) -> np.ndarray:
        """The pictures of the rows, `(rows, items, height, width, channels)`."""
        return self._sources[0].pictures(batch, self.name, self.engine.batch_size)

    def counts(self, batch: Batch) -> np.ndarray:
        """How many pictures each row has, `(rows,)`; further places repeat them."""
        arrays, names = batch.arrays[self.name], self.engine.parts.names[self.name]
        place = self._sources[0].place
        if names[place + 1 : place + 2] != [mask_name(names[place])]:
            return np.ones(len(arrays[0]), "int64")
        counts: np.ndarray = arrays[place + 1].reshape(len(arrays[0]), -1).sum(axis=1)
        return counts.astype("int64")

    def maps(self, batch: Batch, pictures: np.ndarray) -> np.ndarray:
        """`(rows, items, height, width) float32` in [-1, 1]; positive speaks for the prediction.

        The largest number of a row's maps, by size, is 1 or -1, unless nothing changes anything.
        """
        heat = self._by_gradient(batch, pictures)
        if heat is None:
            heat = self._by_windows(batch, pictures)
        # Places after the last item repeat items.
        there = np.arange(heat.shape[1]) < self.counts(batch)[:, None]
        heat = np.where(there[:, :, None, None], heat, 0.0)
        largest = np.abs(heat).max(axis=(1, 2, 3), keepdims=True)
        scaled: np.ndarray = (heat / np.where(largest > 0, largest, 1.0)).astype("float32")
        return scaled

    def _by_gradient(self, batch: Batch, pictures: np.ndarray) -> np.ndarray | None:
        weights = self.engine.subject.weights(batch.outputs, batch.explained)
        if self._gradient is None or weights is None:
            return None
        sharp = pictures.astype("float32")
        shape = batch.arrays[self.name][0].shape
        others = batch.arrays[self.name][1:]
        others += [one for key, own in batch.codes.items() if key != self.name for one in own]
        rows = len(sharp)
        fill = np.minimum(np.arange(filled_size(rows, self.engine.batch_size)), rows - 1)
        others = [one[fill] for one in others]
        weights = _taken(weights, fill)
        heat = np.zeros(sharp.shape, "float32")
        for plain in (blurred(sharp), mean_colour(sharp)):
            away = sharp - plain
            for step in (np.arange(_STEPS) + 0.5) / _STEPS:
                given = (plain + np.float32(step) * away).reshape(shape)[fill]
                found = self._gradient(given, others, weights)
                if found is None:
                    return None
                heat += found[:rows].reshape(heat.shape) * away
        if not heat.any():
            # Something in between has no gradient, or the picture makes no difference.
            return None
        mass = np.abs(heat).sum(axis=(1, 2, 3, 4), keepdims=True)
        # What is left where a probability is 1 whatever the picture shows is rounding.
        return smoothed(np.where(mass > _LEAST, heat, 0.0).sum(axis=-1))

    def _by_windows(self, batch: Batch, pictures: np.ndarray) -> np.ndarray:
        every = [pictures]
        every += [
            one.pictures(batch, self.name, self.engine.batch_size) for one in self._sources[1:]
        ]
        plain = [blurred(one.astype("float32")).astype(one.dtype) for one in every]
        windows = [list(areas(one.shape[2:4], self._windows)) for one in every]
        heat, often = np.zeros(pictures.shape[:-1]), np.zeros(pictures.shape[2:4])
        unseen = self._changed(batch, plain)
        for own in zip(*windows, strict=True):
            often[own[0]] += 1
            for item in range(pictures.shape[1]):
                places = [(slice(None), item, *area) for area in own]
                hidden = _pasted(every, plain, places)
                alone = _pasted(plain, every, places)
                lost = batch.values - self._changed(batch, hidden)
                gained = self._changed(batch, alone) - unseen
                heat[places[0]] += (lost + gained)[:, None, None]
        return smoothed(heat / often)

    def _changed(self, batch: Batch, pictures: list[np.ndarray]) -> np.ndarray:
        arrays = list(batch.arrays[self.name])
        for source, own in zip(self._sources, pictures, strict=True):
            arrays[source.place] = source.as_input(own, arrays[source.place].shape)
        codes = self.engine.parts.encode(self.name, arrays)
        return self.engine.changed(batch, self.name, codes, np.arange(len(batch.values)))


def _reads_alike(one: Loader, other: Loader) -> bool:
    # Loaders of the same pictures, though perhaps in other sizes.
    items = [each.spec.shape[0] if each.spec.kind == "many" else 1 for each in (one, other)]
    return one.column == other.column and items[0] == items[1]


def _pasted(
    under: list[np.ndarray], over: list[np.ndarray], places: list[tuple[Any, ...]]
) -> list[np.ndarray]:
    # Copies of pictures, with a part of others.
    found = [one.copy() for one in under]
    for own, other, place in zip(found, over, places, strict=True):
        own[place] = other[place]
    return found


def blurred(pictures: np.ndarray) -> np.ndarray:
    """Pictures `(..., height, width, channels)` without detail."""
    from scipy.ndimage import gaussian_filter

    side = min(pictures.shape[-3:-1])
    sigma = (*[0] * (pictures.ndim - 3), side / 6, side / 6, 0)
    return np.asarray(gaussian_filter(pictures, sigma), pictures.dtype)


def mean_colour(pictures: np.ndarray) -> np.ndarray:
    """Pictures of the mean colour of each, of the same shape."""
    return np.broadcast_to(pictures.mean(axis=(-3, -2), keepdims=True), pictures.shape)


def smoothed(heat: np.ndarray) -> np.ndarray:
    """Maps `(..., height, width)`, smoothed by a 32nd of their shorter side."""
    from scipy.ndimage import gaussian_filter

    side = min(heat.shape[-2:])
    sigma = (*[0] * (heat.ndim - 2), side / 32, side / 32)
    return np.asarray(gaussian_filter(heat, sigma))


def areas(size: tuple[int, ...], windows: int) -> Iterator[tuple[slice, slice]]:
    """Windows that overlap by half, so many along each side of a picture."""
    height, width = size
    for row in range(windows):
        for column in range(windows):
            yield _range(row, height, windows), _range(column, width, windows)


def _range(place: int, length: int, windows: int) -> slice:
    step = length / windows
    # Twice as long as a step, around its middle.
    first, last = (place - 0.5) * step, (place + 1.5) * step
    start = min(max(0, round(first)), length - 1)
    return slice(start, max(start + 1, min(length, round(last))))


def _taken(weights: Any, rows: np.ndarray) -> Any:
    if isinstance(weights, dict):
        return {name: one[rows] for name, one in weights.items()}
    return weights[rows]
