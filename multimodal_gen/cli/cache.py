"""What `multimodal-gen cache` does after its arguments are read: rows, loaders, free space,
filling.

Nothing here prints: what happens is reported to a `Reporter`.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

import pandas as pd

from multimodal_gen.batch.cache import ArrayCache, as_text, estimate
from multimodal_gen.batch.cache.filling import Filled, fill_cache
from multimodal_gen.cli.bad_rows import plain_error
from multimodal_gen.cli.data import make_loaders
from multimodal_gen.cli.inference import with_inputs
from multimodal_gen.cli.parts import read_parts
from multimodal_gen.cli.reporter import Reporter
from multimodal_gen.cli.settings import DataSettings


def fill_from_settings(
    settings: DataSettings,
    directory: str,
    limit: int | None,
    threads: int | None,
    reporter: Reporter,
) -> Filled:
    """Fill a cache with what `train` would read with the same settings."""
    parts = read_parts(settings, reporter)
    settings = with_inputs(settings, parts.train, pd.concat(parts), reporter)
    inputs, _ = make_loaders(settings, parts, reporter)
    cache = ArrayCache(directory, limit=limit)
    # In the order of the table, in which bad cells are listed.
    rows = pd.concat(parts).sort_index()
    # Finds out that the folder cannot be written to before anything is decoded.
    os.makedirs(cache.directory, exist_ok=True)
    room = f"{as_text(shutil.disk_usage(cache.directory).free)} free on the disk"
    needed = estimate(inputs.values(), len(rows))
    bound = (
        ""
        if limit is None
        else f", limit {as_text(limit)}{' (too low for all)' if limit < needed else ''}"
    )
    reporter.say(
        f"{directory}: {as_text(needed)} for all rows, {as_text(cache.size())} there{bound}, {room}"
    )
    reporter.begin("caching", len(rows))
    try:
        filled = fill_cache(
            rows, inputs.values(), cache, threads=threads, progress=reporter.advance
        )
    finally:
        reporter.end()
        # Also after Ctrl-C, because what has been read is kept.
        reporter.say(f"{directory}: {as_text(cache.size())}")
    return replace(filled, errors=tuple(map(plain_error, filled.errors)))
