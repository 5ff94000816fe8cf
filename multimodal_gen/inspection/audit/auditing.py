"""The audit itself: what it is given, and what it returns."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from tqdm import tqdm

from multimodal_gen.batch.cache.keys import settings_of
from multimodal_gen.batch.threads import default_threads
from multimodal_gen.inspection.audit.dropping import columns_of
from multimodal_gen.inspection.audit.findings import KINDS
from multimodal_gen.inspection.audit.gathering import Gathering
from multimodal_gen.inspection.audit.items import Pictures, picture_reader
from multimodal_gen.inspection.audit.misfits import Pair, check_fits, check_pair
from multimodal_gen.inspection.audit.outliers import checked_vectors
from multimodal_gen.inspection.audit.parts import parts_of
from multimodal_gen.inspection.audit.picture_reading import read_pictures
from multimodal_gen.inspection.audit.reading import name_of
from multimodal_gen.inspection.audit.records import Records
from multimodal_gen.inspection.audit.report import Audit
from multimodal_gen.inspection.audit.unlikely import probabilities_of
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.rows.table import check_columns


def audit(
    table: pd.DataFrame | Mapping[str, pd.DataFrame],
    inputs: Mapping[str, Loader],
    target: Target | None = None,
    *,
    split: str | None = None,
    ignore: Sequence[str] = (),
    state: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
    pair: Pair | pd.DataFrame | None = None,
    predictions: pd.DataFrame | None = None,
    vectors: Any = None,
) -> Audit:
    """Read every cell of a table and find what is wrong before training does.

    Pictures: missing, empty, truncated, corrupt, tiny, huge, of an odd mode, near blank, wrongly
    named. Captions: empty, very long, repeated without saying anything about the class. Labels:
    missing, unseen in training, conflicting for equal content. Exact and near duplicates of
    pictures and captions, within and across the parts of the table. Numbers: far outside of the
    others, or standing for a missing value. Where cells hold several
    pictures, each is examined by itself, and messages say which it is. Any other loader: cells that
    it cannot read. `docs/audit.md` has the thresholds.

    What is common is treated as a property of the table: if many short captions are equal, or each
    picture has five captions, one note says so, instead of a problem in each row.

    Args:
        table: The table, with a unique index; or its parts, name -> table, in the order training,
            validation, test.
        inputs: Input name -> loader, as for a `MultimodalSequence`.
        target: The target to predict.
        split: The column that names each row's part. Names such as train, val and test are
            recognized; with other names, the largest part is for training.
        ignore: Kinds that are not problems here.
        state: A file that keeps the results for each picture, about 3 kB, so that a stopped audit
            resumes from there. Pictures that have changed since are examined again.
        threads: Threads that read; by default one per core, up to 8.
        progress: Called with the number of cells just done, from several threads; by default shows
            a progress bar.
        pair: Encoders that know pictures and texts like these, trained on other rows, or what
            `out_of_fold_fits` returns: rows whose picture and caption probably belong to different
            rows are "unlike pair", the most probable first.
        predictions: Class probabilities of rows by models that were not trained on them, as a
            cross-validation gives: the index of the table or of some of its rows, and a column for
            each class, as the predictions of a `Bundle` have. Labels that are likely wrong are
            "unlikely label", the least likely first. Predictions of a model for the rows that it
            was trained on do not find them, because it has learned the wrong labels too.
        vectors: `(rows, size)`, what an encoder makes of the rows, in their order; or input name ->
            what one makes of this input, `(rows, size)` or `(rows, items, size)`. NaN where there
            is none. Rows that are far from all others are "outlier".

    Returns:
        An `Audit`.

    Raises:
        ValueError: If `ignore` has a word that is not a kind, `predictions` are not probabilities,
            the target does not have one class per row, or `vectors` have another shape or are of
            another input.
        TypeError: If `pair` or `predictions` are something else.
        TableError: If the table has no rows, a column is missing, or the index is not unique;
            likewise for `predictions`.
    """
    strange = [kind for kind in ignore if kind not in KINDS]
    if strange:
        raise ValueError(
            f"`ignore` must contain kinds of problems: {list(KINDS)}. Received: {strange[0]!r}"
        )
    check_pair(pair)
    rows, parts = parts_of(table, split)
    loaders = list(inputs.values())
    every = [*loaders, *([] if target is None else [target])]
    both = list(getattr(pair, "inputs", {}).values())
    check_columns(rows, [name for one in [*every, *both] for name in columns_of(one)])
    if isinstance(pair, pd.DataFrame):
        check_fits(pair, rows)
    columns = {name: name_of(loader) for name, loader in inputs.items()}
    of_rows = [] if vectors is None else checked_vectors(vectors, len(rows), columns)
    shares = None if predictions is None else probabilities_of(predictions, rows, target)
    found = [picture_reader(one) for one in loaders]
    readers = [one for one in found if one is not None]
    settings = json.dumps([settings_of(reader.small) for reader in readers])
    kept = Records(state, settings)
    threads = threads or default_threads()
    with tqdm(
        total=len(rows) * len(every), desc="audit", unit="cell", disable=progress is not None
    ) as bar:
        told = progress or bar.update
        try:
            pictures = [Pictures.of(rows, reader) for reader in readers]
            places, findings = read_pictures(pictures, kept, threads, told)
            records = kept.all()
            whole = Gathering(
                rows, parts, loaders, target, pictures, records, places, findings, threads, told
            )
            return whole.finish(ignore, pair, shares, of_rows)
        finally:
            kept.close()
