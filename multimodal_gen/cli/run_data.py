"""Read the table of a run: its parts, inputs and target, checked before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from multimodal_gen.cli.balancing import with_weights_of_labels
from multimodal_gen.cli.data import items_in, make_loaders, picture_folder
from multimodal_gen.cli.inference import with_inputs
from multimodal_gen.cli.part_checks import warn_of_leakage, warn_of_shared_items
from multimodal_gen.cli.parts import Parts, parts_are_given, read_parts
from multimodal_gen.cli.reading import readable_parts
from multimodal_gen.cli.reporter import Remembering
from multimodal_gen.cli.settings import RunSettings
from multimodal_gen.cli.table_notes import notes_on
from multimodal_gen.cli.target_choice import class_called
from multimodal_gen.loaders import Loader
from multimodal_gen.loaders.remote.kept import keeping_files
from multimodal_gen.loaders.remote.urls import protocol_of
from multimodal_gen.loaders.targets.base import Target

# Bytes of pictures at URLs that are kept while a run lasts.
_MOST_KEPT = 4 * 2**30


@contextmanager
def fetching_once(settings: RunSettings) -> Iterator[None]:
    """Fetch each picture at a URL once in a run, as far as they fit into 4 GB beside its folder."""
    if settings.directory is None or protocol_of(settings.directory) is None:
        yield
        return
    with keeping_files(Path(f"{settings.folder}.fetched"), _MOST_KEPT):
        yield


class RunData(NamedTuple):
    """The table of a run, read and checked.

    Args:
        settings: The settings, with the inputs that were found if none were named.
        parts: The rows that can be read.
        inputs: The inputs.
        target: The target.
        left_out: How many rows cannot be read; `failures.csv` lists them.
    """

    settings: RunSettings
    parts: Parts
    inputs: dict[str, Loader]
    target: Target
    left_out: int


def read_run(settings: RunSettings, reporter: Remembering) -> RunData:
    """Read the table, split it, make the loaders, and read every cell once.

    Args:
        settings: The settings.
        reporter: Gets the reports, and remembers what was found.
    """
    unlabelled: list[pd.DataFrame] = []
    with reporter.warnings():
        parts = read_parts(settings, reporter, unlabelled)
        settings = with_inputs(settings, parts.train, pd.concat(parts), reporter)
        given = parts_are_given(settings, parts)
        # --group keeps pictures together already, unless the table names the parts.
        if given or settings.group is None:
            warn_of_leakage(parts, settings.image, picture_folder(settings), given=given)
            for column in settings.images:
                found = [items_in(part[column], "images", settings) for part in parts]
                warn_of_shared_items(found, picture_folder(settings), given=given)
        inputs, target = make_loaders(settings, parts, reporter)
    for note in notes_on(settings, parts, inputs, target):
        reporter.say(f"note: {note}")
    if settings.positive is not None:
        class_called(settings.positive, target)
    readable = readable_parts(settings, parts, inputs, target, reporter, unlabelled)
    lost = sum(map(len, unlabelled)) + sum(map(len, parts)) - sum(map(len, readable))
    weighted = with_weights_of_labels(settings, readable.train, target)
    return RunData(settings, readable, inputs, weighted, lost)
