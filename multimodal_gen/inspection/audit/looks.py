"""What is odd about readable pictures: their size, mode and name, compared with the rest of the
table.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from multimodal_gen.errors import by_number, counted
from multimodal_gen.inspection.audit.findings import Finding
from multimodal_gen.inspection.audit.pictures import wrong_name
from multimodal_gen.inspection.class_ids import RESIZED_MASKS

# The side in pixels, and the share of the usual number of pixels, below which a picture is tiny.
_LEAST_SIDE, _LEAST_SHARE = 8, 1 / 16
# A picture is huge with more than _MOST_PIXELS, or with more than _MANY_PIXELS and _MOST_SHARE
# times the usual number.
_MOST_PIXELS, _MANY_PIXELS, _MOST_SHARE = 64_000_000, 4_000_000, 100
# A mode is odd if at most this share of the pictures has it.
_ODD = 0.1
# The deviation of the pixels, in the colour that varies most and on a scale of 255, below which a
# picture is nearly blank.
LEAST_SPREAD = 3.0
# The brightest pixel of all pictures with more than 8 bits should exceed this level, on a scale of
# 255, if they use their range.
_DARK = 64


def look_at(
    column: str,
    records: np.ndarray,
    places: np.ndarray,
    path_of: Callable[[int], str | None],
    size: tuple[int, int],
) -> list[Finding]:
    """Find pictures that are tiny, huge, near blank, wrongly named, or have an odd mode.

    Args:
        column: The column of the pictures.
        records: All records.
        places: For each row, the place of its record, or -1.
        path_of: Returns the path of a row's picture.
        size: Height and width of the loader's arrays. A picture that is not smaller is not tiny.
    """
    rows = np.flatnonzero(places >= 0)
    if not len(rows):
        return []
    # Field by field, so that the pixels are not read from the disk.
    heights, widths, modes, formats, spreads = (
        np.asarray(records[name])[places[rows]]
        for name in ("height", "width", "mode", "format", "spread")
    )
    pixels = heights.astype("float64") * widths
    usual = float(np.median(pixels))
    usual_side = float(np.median(np.minimum(heights, widths)))
    smaller = (heights < size[0]) | (widths < size[1])
    tiny = (pixels < usual * _LEAST_SHARE) & smaller
    # In a table of icons, small pictures are normal.
    if usual_side >= 2 * _LEAST_SIDE:
        tiny |= np.minimum(heights, widths) < _LEAST_SIDE
    huge = (pixels > _MOST_PIXELS) | ((pixels > _MANY_PIXELS) & (pixels > usual * _MOST_SHARE))
    names, codes, counts = np.unique(modes, return_inverse=True, return_counts=True)
    # Arrays have no mode, and if two modes are equally frequent, neither is odd.
    odd = (counts <= max(1, _ODD * len(rows))) & (names != b"") & (counts < counts.max())
    blank = (spreads < LEAST_SPREAD) & (not len(_masks(records, places)))
    findings = []
    for place in np.flatnonzero(tiny | huge | odd[codes] | blank):
        row, extent = int(rows[place]), f"{widths[place]} x {heights[place]} pixels"
        if tiny[place]:
            findings.append(
                Finding(
                    row, column, "tiny", f"{extent}, where half of the pictures have {usual:,.0f}"
                )
            )
        if huge[place]:
            findings.append(
                Finding(
                    row, column, "huge", f"{extent}, where half of the pictures have {usual:,.0f}"
                )
            )
        if odd[codes[place]]:
            main = names[counts.argmax()].decode()
            message = (
                f"mode {modes[place].decode()}, where {counts.max() / len(rows):.1%} are {main}"
            )
            findings.append(Finding(row, column, "odd mode", message))
        if blank[place]:
            message = f"its pixels deviate from one colour by at most {spreads[place]:.1f} of 255"
            findings.append(Finding(row, column, "near blank", message))
    for number, one in enumerate(rows.tolist()):
        path = path_of(one)
        wrong = None if path is None else wrong_name(path, formats[number].decode())
        if wrong is not None:
            findings.append(Finding(one, column, "wrongly named", f"{wrong} ({path})"))
    return findings


def range_notes(column: str, records: np.ndarray, places: np.ndarray) -> list[str]:
    """Notes on pictures of more than 8 bits that use only a small part of their assumed range, and
    on masks of class ids.

    Args:
        column: The column of the pictures.
        records: All records.
        places: For each row, the place of its record, or -1.
    """
    masks = _masks(records, places)
    places = places[places >= 0]
    if len(masks):
        brightest = max(int(records["pixels"][place].max()) for place in masks)
        return [
            f"{column}: {len(masks):,} of {len(places):,} pictures "
            f"{by_number(len(masks), 'holds', 'hold')} only levels from 0 to about {brightest} of "
            f"255, like masks of class ids, and {by_number(len(masks), 'is', 'are')} not reported "
            f"as near blank. {RESIZED_MASKS}"
        ]
    # Modes of Pillow with more than 8 bits begin with I, such as I;16.
    wide = places[np.char.startswith(np.asarray(records["mode"])[places], b"I")]
    brightest = max((int(records["pixels"][place].max()) for place in wide), default=255)
    return range_note(column, len(wide), brightest)


def range_note(column: str, count: int, brightest: int) -> list[str]:
    """A note on pictures of more than 8 bits, if they use only a small part of their range.

    Args:
        column: Their column.
        count: How many there are.
        brightest: The greatest of their levels, on a scale of 255.
    """
    if brightest >= _DARK:
        return []
    # The level is rounded, so the true one may be up to half a step lower.
    bits = max(8, math.ceil(math.log2((brightest - 0.5) * 257 + 1))) if brightest else 8
    return [
        f"{column}: {counted(count, 'picture')} {by_number(count, 'has', 'have')} more "
        f"than 8 bits, and the brightest level in {by_number(count, 'it', 'them')} "
        f"is {brightest} of 255. If the values use only a part of 16 bits, say which: "
        f"ImageLoader(value_range=(0, {2**bits - 1}))"
    ]


def _masks(records: np.ndarray, places: np.ndarray) -> np.ndarray:
    # The places of pictures that would be near blank, where they are most of the column and look
    # like masks of class ids: grey, dark, and of several levels. Elsewhere none.
    places = places[places >= 0]
    dark = places[np.asarray(records["spread"])[places] < LEAST_SPREAD]
    if 2 * len(dark) <= len(places) or (np.asarray(records["mode"])[dark] != b"L").any():
        return places[:0]
    # One by one, as all pixels of a large table do not fit into memory.
    ranges = [(one.min(), one.max()) for one in (records["pixels"][place] for place in dark)]
    several = sum(least < most for least, most in ranges)
    if 2 * several <= len(dark) or max(most for _, most in ranges) >= _DARK:
        return places[:0]
    return dark
