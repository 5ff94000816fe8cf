"""Whether one small picture is a copy of another (encoded again, resized, cropped slightly, or made
brighter), and not just a similar object in front of a similar background.

A copy is aligned with the other picture by small shifts and zooms, found by least squares on the
gradients, after Lucas and Kanade, "An iterative image registration technique with an application to
stereo vision", 1981; then one brightness and one contrast for all three colours must explain what
is left.
"""

from __future__ import annotations

import numpy as np

# How many times a picture is moved towards the other.
_STEPS, _FEW_STEPS = 2, 1
_FURTHEST = 0.2
_SATURATED = 248.0
_GAINS = (0.5, 2.0)
_COLOUR = 0.35
# For possible copies: the most that may be left unexplained, and the least share of details in
# common.
_MOST_LEFT, _LEAST_DETAIL = 0.25, 0.79
# The same for certain copies.
_LITTLE_LEFT, _MUCH_DETAIL = 0.18, 0.95
# Weights of a logistic regression that separates altered copies of fashion photos (60 x 80 pixels;
# encoded again, scaled by 0.7 to 1.6, brightened or darkened by up to 20 %, cropped by up to 5 %)
# from the most similar other photos.
_OF_DETAIL, _OF_LEFT, _OF_USUAL, _LEAST_SCORE = 15.3, -2.6, 2.25, 16.4
_MOST_USUAL = 1.5
# How far colours may differ, as a deviation in [0, 1]: one product in two colours is the same in
# everything else.
_MOST_TINT = 0.0155
# If nothing else is like a picture, it is enough to be this much nearer than the others.
_ALONE, _NEARER = 0.5, 0.22
_CHUNK = 500


def differences(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """How far pictures are from being copies of others; fast, without aligning them.

    Args:
        ones: `(pairs, side, side, 3) uint8`.
        others: The same.

    Returns:
        `(pairs,) float64`: the deviation that is left, over the deviation of the pixels of the
            picture; 0 for copies,
        around 1 for unlike pictures. The smaller value of the two directions.
    """
    left = np.empty(len(ones))
    for start in range(0, len(ones), _CHUNK):
        part = slice(start, start + _CHUNK)
        one, other = ones[part].astype("float32"), others[part].astype("float32")
        left[part] = np.minimum(
            *(_compared(*pair, steps=0)[0] for pair in ((one, other), (other, one)))
        )
    return left


def may_be_copies(ones: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether pictures are similar enough to be examined more closely, and whether they are copies
    for sure.

    Args:
        ones: `(pairs, side, side, 3) uint8`.
        others: The same.

    Returns:
        `(pairs,) bool` each.
    """
    left, detail, tint = _best(ones, others, _FEW_STEPS)
    sure = (left < _LITTLE_LEFT) & (detail > _MUCH_DETAIL) & (tint < _MOST_TINT)
    return (left < _MOST_LEFT) & (detail > _LEAST_DETAIL), sure


def are_copies(ones: np.ndarray, others: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Whether pictures are copies of others, `(pairs,) bool`.

    Args:
        ones: `(pairs, 64, 64, 3) uint8`.
        others: The same.
        usual: `(pairs,)`, the difference to other pictures similar to these: among many similar
            objects on white, a copy must be closer.
    """
    left, detail, tint = _best(ones, others, _STEPS)
    usual = np.clip(usual, 1e-3, _MOST_USUAL)
    score = _OF_DETAIL * detail + _OF_LEFT * np.log(left + 0.01) + _OF_USUAL * np.log(usual)
    same: np.ndarray = (score > _LEAST_SCORE) | ((usual > _ALONE) & (left < _NEARER * usual))
    return same & (tint < _MOST_TINT)


def _best(
    ones: np.ndarray, others: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    one, other = ones.astype("float32"), others.astype("float32")
    found = [_compared(*pair, steps=steps) for pair in ((one, other), (other, one))]
    left, detail, tint = (np.stack(values) for values in zip(*found, strict=True))
    better = left.argmin(axis=0), np.arange(len(ones))
    return left[better], detail[better], tint[better]


def _compared(
    sources: np.ndarray, copies: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # Returns the least that is left unexplained in any step, with the share of details in common
    # and what is left of colours in that step.
    pairs, side = sources.shape[:2]
    across = np.linspace(-1, 1, side, dtype="float32")
    moves = np.zeros((pairs, 4), "float32")
    best, detail, tint = np.full(pairs, np.inf), np.zeros(pairs), np.zeros(pairs)
    for step in range(steps + 1):
        moved = _moved(sources, moves, across) if step else sources
        left, colours = _unexplained(moved, copies)
        better = left < best
        best[better], tint[better] = left[better], colours[better]
        if not steps:
            break
        if better.any():
            detail[better] = _correlation(_details(moved[better]), _details(copies[better]))
        if step == steps:
            break
        down, right = (np.gradient(moved, axis=axis) * (side - 1) / 2 for axis in (1, 2))
        causes = [moved, np.full_like(moved, 255.0), right, down]
        causes += [right * across[None, None, :, None], down * across[None, :, None, None]]
        weights = _fitted(
            np.stack(causes, -1).reshape(pairs, -1, 6) / 255, copies.reshape(pairs, -1) / 255
        )
        gain = np.where(np.abs(weights[:, :1]) < 0.3, 0.3, weights[:, :1])
        moves = np.clip(moves + weights[:, 2:] / gain, -_FURTHEST, _FURTHEST)
    return best, detail, tint


def _details(pictures: np.ndarray) -> np.ndarray:
    # The difference of a pixel from those around it, divided by how much they vary, so that
    # stitches count as much as edges.
    grey = (pictures[..., 0] + pictures[..., 1] + pictures[..., 2]) / 3
    fine = grey - _blurred(grey)
    details: np.ndarray = fine / (np.sqrt(_blurred(fine * fine)) + 2)
    return details


def _blurred(grey: np.ndarray) -> np.ndarray:
    wide = np.pad(grey, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]
    blurred: np.ndarray = (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / 9
    return blurred


def _correlation(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    ones, others = (one.reshape(len(one), -1) for one in (ones, others))
    ones, others = (
        ones - ones.mean(axis=1, keepdims=True),
        others - others.mean(axis=1, keepdims=True),
    )
    power = (ones**2).sum(axis=1) * (others**2).sum(axis=1)
    correlation: np.ndarray = (ones * others).sum(axis=1) / np.sqrt(power + 1e-9)
    return correlation


def _fitted(
    causes: np.ndarray, effects: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    # Least squares with a slight pull to zero, so that pictures of a single colour have a solution.
    turned = (
        causes.transpose(0, 2, 1)
        if weights is None
        else causes.transpose(0, 2, 1) * weights[:, None]
    )
    squares = turned @ causes + np.eye(causes.shape[2], dtype="float32") * 1e-3
    solution: np.ndarray = np.linalg.solve(squares, turned @ effects[..., None])[..., 0]
    return solution


def _moved(pictures: np.ndarray, moves: np.ndarray, across: np.ndarray) -> np.ndarray:
    # Samples bilinearly at positions shifted by the first two of `moves` and zoomed by the other
    # two.
    pairs, side = pictures.shape[:2]
    column, row = (
        np.clip(
            (across * (1 + moves[:, zoom, None]) + moves[:, shift, None] + 1) * (side - 1) / 2,
            0,
            side - 1.001,
        )
        for shift, zoom in ((0, 2), (1, 3))
    )
    left, top = column.astype("int64"), row.astype("int64")
    x, y = (column - left)[:, None, :, None], (row - top)[:, :, None, None]
    which, left, top = np.arange(pairs)[:, None, None], left[:, None, :], top[:, :, None]
    upper = pictures[which, top, left] * (1 - x) + pictures[which, top, left + 1] * x
    lower = pictures[which, top + 1, left] * (1 - x) + pictures[which, top + 1, left + 1] * x
    moved: np.ndarray = upper * (1 - y) + lower * y
    return moved


def _unexplained(moved: np.ndarray, copies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pairs = len(moved)
    x, y = moved.reshape(pairs, -1) / 255, copies.reshape(pairs, -1) / 255
    # Saturated pixels do not show by how much they were brightened.
    counts = (y < _SATURATED / 255).astype("float32")
    tone = _fitted(np.stack([x, np.ones_like(x)], -1), y, counts)
    expected = np.clip(x * tone[:, :1] + tone[:, 1:], 0, 1)
    rest = y - expected
    spread = y.var(axis=1)
    # Colours count too: brown and black leather have nearly the same light and shade.
    colours = _tint(rest)
    by_colour = colours / (_tint(y) + 0.02**2)
    left = np.sqrt(np.maximum((rest**2).mean(axis=1) / (spread + 0.01**2), _COLOUR * by_colour))
    # A change from black to white means another thing, not another exposure.
    left[(tone[:, 0] < _GAINS[0]) | (tone[:, 0] > _GAINS[1])] = np.inf
    return left, np.sqrt(colours)


def _tint(values: np.ndarray) -> np.ndarray:
    # The mean squared difference between the colours of a pixel.
    colour = values.reshape(len(values), -1, 3)
    red, green, blue = colour[..., 0], colour[..., 1], colour[..., 2]
    power: np.ndarray = ((red - green) ** 2 + (green - blue) ** 2 + (blue - red) ** 2).mean(
        axis=1
    ) / 9
    return power
