"""Random operations on a whole batch with its targets: MixUp and CutMix, for any number of inputs.

They go into `MultimodalSequence(batch_augment=[...])` and act only in training. What happens to an
input depends on its kind: pictures and numbers are blended; one of two categories is kept; one of
two captions is kept, or both are joined.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from multimodal_gen.config import Configurable
from multimodal_gen.rows.checks import check_choice
from multimodal_gen.spec import ArraySpec, bare, by_name, mask_name

# Axes of pictures in a batch.
_PICTURES = 4


@dataclass(frozen=True)
class Batch:
    """The arrays of one batch.

    Args:
        inputs: Input name -> `(batch, *spec.shape)`; after them the masks, of kind "presence", of
            inputs that may be missing.
        target: `(batch, *spec.shape)`, a mapping of target name -> array if there are several, or
            None.
        sample_weight: `(batch,) float32`, a mapping of target name -> weights, or None.
        specs: Input name -> the spec of its arrays.

    Example:
        def halve_prices(batch, rng):
            halved = {**batch.inputs, "price": batch.inputs["price"] / 2}
            return dataclasses.replace(batch, inputs=halved)
    """

    inputs: dict[str, np.ndarray]
    target: Any
    sample_weight: Any
    specs: Mapping[str, ArraySpec]


class BatchAugmentation(Configurable):
    """A random operation `(batch, rng) -> batch`; any callable of this form can be used instead.

    `batch` must not be changed in place; the arrays of the result have the same shapes and dtypes;
    `rng` is the only source of randomness, and is the same for the same seed, epoch and batch.
    """

    @abc.abstractmethod
    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """Apply the operation with parameters drawn from `rng`."""


@dataclass(frozen=True)
class _Mix(BatchAugmentation):
    # What MixUp and CutMix share: a partner and a weight for each row, mixed targets, and the
    # captions.
    alpha: float = 0.2
    text: str = "heavier"

    def __post_init__(self) -> None:
        if not self.alpha > 0:
            raise ValueError(f"`alpha` must be positive. Received: alpha={self.alpha!r}")
        check_choice("text", self.text, ("heavier", "joined"))

    def _mixed(
        self,
        batch: Batch,
        partners: np.ndarray,
        weights: np.ndarray,
        image: Callable[[np.ndarray, np.ndarray, int], np.ndarray],
    ) -> Batch:
        # `weights`: (rows,), the share of the row itself; `image(own, other, row)` mixes one
        # picture.
        inputs = {}
        for name in batch.inputs:
            spec, (own, other) = batch.specs[name], _pair(batch, name, partners)
            # One item of each row, as a ManyLoader gives in training, is mixed like any array.
            alone = spec.item is not None and spec.shape[0] == 1
            if alone:
                spec, own, other = spec.each, own[:, 0], other[:, 0]
            mixed = self._input(name, spec, own, other, weights, image)
            inputs[name] = mixed[:, None] if alone else mixed
        if batch.target is None:
            raise ValueError(
                f"{type(self).__name__} mixes targets, but there is none. Received: target=None"
            )
        targets = by_name(batch.target)
        for name, array in targets.items():
            targets[name] = self._target(array, partners, weights, name, image)
        # Each row counts by its share, with its own weight.
        row_weights = by_name(batch.sample_weight)
        for name, array in row_weights.items():
            row_weights[name] = _blend(array, array[partners], weights)
        return Batch(inputs, bare(targets), bare(row_weights), batch.specs)

    def _input(
        self,
        name: str,
        spec: ArraySpec,
        own: np.ndarray,
        other: np.ndarray,
        weights: np.ndarray,
        image: Callable[[np.ndarray, np.ndarray, int], np.ndarray],
    ) -> np.ndarray:
        if spec.kind == "image":
            return np.stack([image(own[row], other[row], row) for row in range(len(own))])
        if spec.kind in ("tokens", "ngrams"):
            return self._texts(own, other, weights, spec.kind)
        if spec.kind == "category":
            return _heavier(own, other, weights)
        if spec.kind == "presence":
            # `_pair` gave both rows the array that one of them has, so the mixture has the input.
            return np.maximum(own, other)
        if spec.kind != "many" and np.dtype(spec.dtype).kind == "f":
            return _blend(own, other, weights)
        hint = '; of cells with several items, read one at a time (training="turns")'
        raise ValueError(
            f"{type(self).__name__} can mix pictures, captions, categories and float32 numbers"
            f"{hint if spec.kind == 'many' else ''}. Received: input {name!r} of kind "
            f"{spec.kind!r} and dtype {spec.dtype}"
        )

    def _target(
        self,
        own: np.ndarray,
        partners: np.ndarray,
        weights: np.ndarray,
        name: str | None,
        image: Callable[[np.ndarray, np.ndarray, int], np.ndarray],
    ) -> np.ndarray:
        if own.dtype.kind != "f":
            of = "the target" if name is None else f"the target {name!r}"
            raise ValueError(
                f"{type(self).__name__} mixes float targets, but {of} has whole numbers. For a "
                'class, use ClassLabel(..., label_mode="categorical"); ids cannot be mixed. '
                f"Received: dtype={own.dtype}"
            )
        if own.ndim == _PICTURES:
            # A mask, or a picture to reconstruct, is mixed like the row's other pictures.
            return np.stack(
                [image(own[row], own[partner], row) for row, partner in enumerate(partners)]
            )
        return _blend(own, own[partners], weights)

    def _texts(
        self, own: np.ndarray, other: np.ndarray, weights: np.ndarray, kind: str
    ) -> np.ndarray:
        if self.text == "heavier":
            return _heavier(own, other, weights)
        join = _join_tokens if kind == "tokens" else _join_ngrams
        return np.stack(
            [join(one, two, weight) for one, two, weight in zip(own, other, weights, strict=True)]
        )


def _heavier(own: np.ndarray, other: np.ndarray, weights: np.ndarray) -> np.ndarray:
    # Ids are names of words or categories: the mean of two ids is an unrelated one.
    return np.where((weights >= 0.5).reshape(-1, *[1] * (own.ndim - 1)), own, other)


@dataclass(frozen=True)
class MixUp(_Mix):
    """Blends each row with another row of its batch, with one share for pictures, numbers and
    targets.

    The share is drawn from Beta(alpha, alpha) for each row (Zhang et al., "mixup", 2018). Targets
    must be float32: one-hot, multi-label or numbers. Sample weights are blended in the same way. If
    only one of the two rows has an input (`missing="blank"`), it is taken from that row unchanged,
    instead of fading it towards nothing. A category is that of the row with the larger share.

    Args:
        alpha: Positive; the smaller it is, the closer most rows stay to one of the two.
        text: How captions are mixed: "heavier" keeps the caption of the row with the larger share;
            "joined" puts one after the other as far as both fit, the heavier first (Hao et al.,
            "MixGen", 2023), and keeps the n-grams of both, with weights in proportion to the
            shares.
    """

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """Draw partners and shares, and blend."""
        rows = len(next(iter(batch.inputs.values())))
        partners, weights = _partners(rows, rng), rng.beta(self.alpha, self.alpha, rows)

        def blend(own: np.ndarray, other: np.ndarray, row: int) -> np.ndarray:
            return _blend(own[None], other[None], weights[row : row + 1])[0]

        return self._mixed(batch, partners, weights, blend)


@dataclass(frozen=True)
class CutMix(_Mix):
    """Pastes a rectangle of another row's picture into each row's; blends targets by the areas.

    The share of the row's own picture is drawn from Beta(alpha, alpha), the rectangle has the
    picture's aspect ratio and a random position, clipped at the borders (Yun et al., "CutMix",
    2019). Targets that are pictures, with three axes, are pasted like the inputs. Numbers, captions
    and sample weights are treated as in `MixUp`. At least one input must be a picture.

    Args:
        alpha: Positive; 1 makes all shares equally likely.
        text: "heavier" or "joined", as for `MixUp`.
    """

    alpha: float = 1.0

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """Draw partners and rectangles, and paste."""
        specs = [spec.each for spec in batch.specs.values()]
        grid = next((spec.shape[:2] for spec in specs if spec.kind == "image"), None)
        if grid is None:
            raise ValueError(
                f"CutMix needs an input of kind 'image'. Received: inputs {list(batch.inputs)}"
            )
        rows = len(next(iter(batch.inputs.values())))
        partners = _partners(rows, rng)
        # If both sides have the square root of a share, the area has that share.
        sides = np.sqrt(1 - rng.beta(self.alpha, self.alpha, rows))
        # Top, left, bottom, right, in shares of height and width.
        centres = rng.random((rows, 2))
        boxes = np.clip(
            np.concatenate([centres - sides[:, None] / 2, centres + sides[:, None] / 2], axis=1),
            0,
            1,
        )
        # On the pixels of the first picture, so that its areas are exact.
        boxes = np.rint(boxes * (*grid, *grid)) / (*grid, *grid)
        # From the rectangle after clipping and rounding instead of the share that was drawn,
        # because the target must match what is visible.
        weights = 1 - (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])

        def paste(own: np.ndarray, other: np.ndarray, row: int) -> np.ndarray:
            height, width = own.shape[:2]
            top, left, bottom, right = np.rint(boxes[row] * (height, width, height, width)).astype(
                int
            )
            result = own.copy()
            result[top:bottom, left:right] = other[top:bottom, left:right]
            return result

        return self._mixed(batch, partners, weights, paste)


def _partners(rows: int, rng: np.random.Generator) -> np.ndarray:
    # Along one random circle, so that no row is its own partner if there are others.
    circle = rng.permutation(rows)
    partners = np.empty_like(circle)
    partners[circle] = np.roll(circle, 1)
    return partners


def _pair(batch: Batch, name: str, partners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # Each row's array and its partner's. If one of them lacks the input, both get the other's.
    own = batch.inputs[name]
    other, mask = own[partners], mask_name(name)
    if mask not in batch.specs or batch.specs[mask].kind != "presence":
        return own, other
    there = batch.inputs[mask].any(axis=1).reshape(-1, *[1] * (own.ndim - 1))
    return np.where(there, own, other), np.where(there[partners], other, own)


def _blend(own: np.ndarray, other: np.ndarray, weights: np.ndarray) -> np.ndarray:
    # float32, because NumPy would blend a whole batch of pictures in float64 otherwise.
    share = weights.astype("float32").reshape(-1, *[1] * (own.ndim - 1))
    mixed = share * own + (1 - share) * other
    # Rounded: cutting off the fraction would darken pictures by half a level on average.
    return np.rint(mixed).astype(own.dtype) if own.dtype.kind in "ui" else mixed.astype(own.dtype)


def _join_tokens(own: np.ndarray, other: np.ndarray, weight: float) -> np.ndarray:
    first, second = (own, other) if weight >= 0.5 else (other, own)
    # A caption joined to itself would be a different text. A batch of one row is its own partner.
    if np.array_equal(first, second):
        return first
    joined = np.concatenate([first[first != 0], second[second != 0]])[: len(own)]
    # Padding stays on the side where the heavier caption has it.
    left = len(first) and first[0] == 0 and first.any()
    missing = len(own) - len(joined)
    return np.pad(joined, (missing, 0) if left else (0, missing)).astype(own.dtype)


def _join_ngrams(own: np.ndarray, other: np.ndarray, weight: float) -> np.ndarray:
    # Ids as they are, weights by the share of their row; n-grams of both captions add up.
    pairs = np.concatenate([own * (1, weight), other * (1, 1 - weight)])
    pairs = pairs[pairs[:, 0] > 0]
    ids, where = np.unique(pairs[:, 0].astype(own.dtype), return_inverse=True)
    sums = np.bincount(where, pairs[:, 1], minlength=len(ids))
    # Stable, so that the same ones of equal weight stay on every machine. Sorted again, because the
    # encoder gives ids in increasing order.
    heaviest = np.sort(np.argsort(-sums, kind="stable")[: len(own)])
    result = np.zeros_like(own)
    result[: len(heaviest), 0], result[: len(heaviest), 1] = ids[heaviest], np.rint(sums[heaviest])
    return result
