"""How many bytes a cache takes, before it is filled; and bytes in words."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from multimodal_gen.batch.cache.keys import kept_settings
from multimodal_gen.batch.cache.segments import Layout
from multimodal_gen.loaders.base import Loader


def estimate(loaders: Iterable[Loader], num_rows: int) -> int:
    """Return the bytes that a cache of `num_rows` rows takes; shared arrays count once."""
    rows: dict[str, int] = {}
    for loader in loaders:
        with suppress(TypeError):
            one = loader.item or loader
            items = 1 if one is loader else loader.spec.shape[0]
            settings, spec = kept_settings(one), one.cached_by.read_spec
            if settings is not None:
                rows[settings] = items * Layout(spec.shape, spec.dtype).row_bytes
    return num_rows * sum(rows.values())


def as_text(size: int) -> str:
    """Format a number of bytes, as in "1.2 GB"."""
    units = ("bytes", "kB", "MB", "GB", "TB")
    number, unit = float(size), 0
    while number >= 999.5 and unit < len(units) - 1:
        number, unit = number / 1000, unit + 1
    return f"{number:.{0 if unit == 0 or number >= 99.5 else 1}f} {units[unit]}"
