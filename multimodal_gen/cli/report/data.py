"""The rows of a run in short: a digest of their cells, columns, missing cells and classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import pandas as pd

from multimodal_gen.cli.parts import Parts
from multimodal_gen.cli.settings import INPUT_OPTIONS, DataSettings
from multimodal_gen.loaders.targets.balance import classes_where_known
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.rows.cells import is_missing, shown_name
from multimodal_gen.rows.chunks import cells_in
from multimodal_gen.sequence.state import digest_of_column


@dataclass(frozen=True)
class Column:
    """A column that a run used.

    Args:
        name: Its name.
        use: The option that names it.
        missing: How many cells are missing.
        different: How many values there are; None for cells that are not single values.
    """

    name: str
    use: str
    missing: int
    different: int | None


@dataclass(frozen=True)
class Data:
    """The rows of a run.

    Args:
        digest: 32 hexadecimal digits, the same for the same cells of the same columns in the same
            parts, in the same order. The files that cells name do not count.
        columns: The columns that were used.
        classes: Class or label -> how many training rows have it; empty for numbers.
    """

    digest: str
    columns: Sequence[Column]
    classes: Mapping[str, int]


def data_of(settings: DataSettings, parts: Parts, target: Target) -> Data:
    """Look at the rows of a run.

    Args:
        settings: The settings, which name the columns.
        parts: The rows.
        target: The target.
    """
    uses: dict[str, str] = {}
    for option in (*INPUT_OPTIONS, "label", "group", "split"):
        named = getattr(settings, option)
        for name in [named] if isinstance(named, str) else named or ():
            uses[name] = f"{uses[name]}, --{option}" if name in uses else f"--{option}"
    digest = blake2b(digest_size=16)
    for name in uses:
        for part in parts:
            digest.update(f"{name!r} {digest_of_column(part[name])}\n".encode("utf-8", "replace"))
    rows = pd.concat(parts)
    columns = [_column(rows[name], name, use) for name, use in uses.items()]
    return Data(digest.hexdigest(), columns, _classes(parts.train, target))


def _column(cells: pd.Series, name: str, use: str) -> Column:
    try:
        different = int(cells.nunique())
    except (TypeError, NotImplementedError):
        # Lists, arrays and mappings.
        different = None
    return Column(name, use, sum(map(is_missing, cells.array)), different)


def _classes(train: pd.DataFrame, target: Target) -> dict[str, int]:
    names = target.class_names
    if not names:
        return {}
    if target.one_class:
        truth = classes_where_known(target, train)
        counts = np.bincount(truth[truth >= 0], minlength=len(names))
    else:
        counts = np.zeros(len(names), "int64")
        for cell in cells_in(train, target.column):
            counts += target.read(cell).astype("int64")
    return {shown_name(name): int(count) for name, count in zip(names, counts, strict=True)}
