"""Notes on a table that take seconds and matter before training: captions that give the class away,
captions in both training and test rows, words for sides if pictures are mirrored, masks, and
numbers that may stand for missing ones.
`inspection/audit/` checks more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import numpy as np
import pandas as pd

from multimodal_gen.cli.data import items_in
from multimodal_gen.cli.parts import Parts, parts_are_given
from multimodal_gen.cli.settings import DataSettings
from multimodal_gen.errors import LoadError, by_number, counted
from multimodal_gen.inspection.audit.extremes import extreme_numbers
from multimodal_gen.inspection.audit.labels import hint_notes
from multimodal_gen.inspection.audit.looks import range_note
from multimodal_gen.inspection.audit.sides import side_note
from multimodal_gen.inspection.class_ids import RESIZED_MASKS, coloured_mask, has_more_bits
from multimodal_gen.loaders import Loader
from multimodal_gen.loaders.targets.balance import classes_where_known
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.rows.cells import is_missing
from multimodal_gen.rows.chunks import chunks_of
from multimodal_gen.rows.table import cells_of

# How many pictures of a column are looked at, to tell whether they are masks.
_MASKS = 8
# How many rows are searched for words, spread over the table.
_LOOKED_AT = 20_000
# With this many rows per caption it is remarkable that all rows of a caption have one class.
_ROWS_A_CAPTION = 3
# From this share of test rows with a caption that is in training rows too, a note says so.
_SHARED = 0.01


def notes_on(
    settings: DataSettings, parts: Parts, inputs: Mapping[str, Loader], target: Target
) -> list[str]:
    """Sentences about captions and labels to know before training.

    Args:
        settings: The settings.
        parts: The rows.
        inputs: The inputs.
        target: The target.
    """
    notes = mask_notes(parts.train, inputs)
    # Features are made of pictures as they are.
    pixels = settings.image_encoder is None or settings.also_pixels
    pictures = bool(settings.image or settings.images) and pixels
    mirrored = pictures and settings.augment != "none"
    every = (parts.train, parts.validation, parts.test)
    step = max(sum(map(len, every)) // _LOOKED_AT, 1)
    some = pd.concat([part.iloc[::step] for part in every])
    looked_at = f" ({len(some):,} rows looked at)" if step > 1 else ""
    notes += _extreme_notes(some, [*inputs.values(), target], looked_at)
    for column in settings.caption:
        told = _telling(column, every, target)
        notes += told or _in_both(column, parts, settings)
        texts = [cell if isinstance(cell, str) else None for cell in cells_of(some, column)]
        # If each caption has a single class, it need not contain the name to give it away.
        notes += [] if told else hint_notes(column, texts, some, target)
        if mirrored:
            notes += side_note(column, [text for text in texts if text is not None], "captions")
    for column in settings.captions:
        found = items_in(some[column], "texts", settings)
        texts = [item if isinstance(item, str) else None for item in found]
        notes += hint_notes(column, texts, some.loc[found.index], target)
        if mirrored:
            notes += side_note(column, [text for text in texts if text is not None], "captions")
    if mirrored and target.class_names:
        notes += side_note(str(settings.label[0]), map(str, target.class_names), "classes")
    return notes


def _extreme_notes(rows: pd.DataFrame, loaders: Sequence[Loader], looked_at: str) -> list[str]:
    # A number such as -999 stretches the scale of all others.
    found: dict[str, list[str]] = {}
    for one in extreme_numbers(rows, loaders):
        said = found.setdefault(one.column, [])
        said += [] if one.message in said else [one.message]
    notes = []
    for column, said in found.items():
        first, repeats, _ = said[0].partition("; does it stand for")
        empty = "; if it stands for a missing value, leave these cells empty" if repeats else ""
        more = f", and {len(said) - 1} more such numbers" if said[1:] else ""
        notes.append(
            f"{column}{looked_at}: {first}{more}{empty}; `multimodal-gen audit` names the rows"
        )
    return notes


def mask_notes(rows: pd.DataFrame, inputs: Mapping[str, Loader]) -> list[str]:
    """Notes on columns of pictures that hold masks of class ids, which resizing would mix.

    Args:
        rows: Training rows, a few of whose pictures are read.
        inputs: The inputs.
    """
    notes = []
    some = rows.iloc[np.unique(np.linspace(0, len(rows) - 1, _MASKS).astype("int64"))]
    for loader in inputs.values():
        if loader.spec.kind != "image":
            continue
        # Otherwise the id 255 would be mixed with its neighbours to levels that no mask has.
        exact, drawn, wide = loader.replace(interpolation="nearest"), [], []
        for cell in cells_of(some, loader.column):
            # Bad cells are reported where all are read.
            with suppress(LoadError):
                if not is_missing(cell):
                    drawn.append(exact.draw(exact.read(cell)))
                    wide += drawn[-1:] if has_more_bits(loader, cell) else []
        if 2 * len(wide) > len(drawn):
            brightest = max(int(one.max()) for one in wide if one is not None)
            told = range_note(str(loader.column), len(wide), brightest)
            notes += [f"{one}, which only Python can set" for one in told]
            continue
        masks = [one for one in drawn if one is not None and coloured_mask(one) is not None]
        if 2 * len(masks) > len(drawn):
            most = max(int(one[one < 255].max()) for one in masks)
            notes.append(
                f"{loader.column}: {len(masks):,} of {counted(len(drawn), 'picture')} looked at "
                f"{by_number(len(masks), 'holds', 'hold')} only levels from 0 to about {most} of "
                f"255, like masks of class ids. {RESIZED_MASKS}, which only Python can set"
                f"{_varied_apart(loader, inputs)}"
            )
    return notes


def _varied_apart(mask: Loader, inputs: Mapping[str, Loader]) -> str:
    # Only with a loader of pictures beside it that draws from other streams.
    beside = [one for one in inputs.values() if one is not mask and one.spec.kind == "image"]
    if (
        not mask.varies(True)
        or mask.stream != mask.column
        or not any(one.varies(True) for one in beside)
    ):
        return ""
    return (
        ". In training each column is varied by itself, so that masks no longer fit their "
        "pictures: use --augment none, or in Python ImageLoader(vary_with=...)"
    )


def _telling(column: str, parts: Sequence[pd.DataFrame], target: Target) -> list[str]:
    # Notes that there are few captions, shared by many rows, and that each has a single class.
    if not target.one_class:
        return []
    texts = np.concatenate([_hashes(part[column]) for part in parts])
    labels = np.concatenate([classes_where_known(target, part) for part in parts])
    kept = (texts != 0) & (labels >= 0)
    rows = int(kept.sum())
    captions = pd.factorize(texts[kept])[0]
    # One number per pair of caption and class, to count the distinct pairs.
    both = np.unique(captions * len(target.class_names) + labels[kept])
    count = int(captions.max(initial=-1)) + 1
    if not count or len(both) > count or count * _ROWS_A_CAPTION > rows:
        return []
    return [
        f"{column}: there are {count:,} different captions in {rows:,} rows, and each belongs "
        "to one class, so the caption alone gives the class away, and a model can ignore "
        "everything else"
    ]


def _in_both(column: str, parts: Parts, settings: DataSettings) -> list[str]:
    train, test = _hashes(parts.train[column]), _hashes(parts.test[column])
    shared, rows = int(np.isin(test[test != 0], train).sum()), len(parts.test)
    if not shared or shared / rows < _SHARED:
        return []
    # If the table names the parts, --group would affect only the validation rows; and another one
    # is in use already.
    way_out = (
        ""
        if settings.group is not None or parts_are_given(settings, parts)
        else f"; --group {column} keeps equal captions in one part"
    )
    return [
        f"{column}: {shared:,} of the {rows:,} test rows ({shared / rows:.0%}) "
        f"{by_number(shared, 'has', 'have')} a caption that training rows have too, so a "
        f"model may have memorized it{way_out}"
    ]


def _hashes(column: pd.Series) -> np.ndarray:
    # (rows,) uint64: equal numbers for captions that differ in blanks around them and in capitals
    # alone; 0 for none, which an empty text is too.
    found = []
    for part in chunks_of(column):
        texts = ["" if is_missing(cell) else str(cell).strip().casefold() for cell in part.tolist()]
        # Of bytes, as lone surrogates have no UTF-8.
        encoded = np.array([text.encode("utf-8", "surrogatepass") for text in texts], object)
        hashes = pd.util.hash_array(encoded, categorize=False)
        found.append(np.where([text != "" for text in texts], hashes, np.uint64(0)))
    return np.concatenate(found)
