"""What `multimodal-gen audit --image-encoder --text-encoder` asks of encoders: the vectors of
pictures and captions, among which rows that are unlike all others lie apart.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from multimodal_gen.cli.data import column_inputs, encoded_inputs
from multimodal_gen.cli.reporter import Reporter
from multimodal_gen.cli.settings import DataSettings
from multimodal_gen.errors import counted
from multimodal_gen.inspection.audit.findings import UNUSABLE
from multimodal_gen.inspection.audit.report import Audit
from multimodal_gen.loaders import EncodedLoader, Loader, ManyLoader
from multimodal_gen.sequence.sequence import MultimodalSequence
from multimodal_gen.spec import mask_name


def encoders_of(settings: DataSettings, train: pd.DataFrame) -> dict[str, Loader]:
    """Column -> the loader of its vectors, for the columns that an encoder reads.

    Raises:
        ValueError: If an encoder has nothing to encode, or cannot be one.
        FileNotFoundError: If there is no such file or folder.
    """
    settings = replace(settings, augment="none")
    inputs = encoded_inputs(settings, column_inputs(settings, train))
    return {
        str(one.column): one for one in inputs.values() if isinstance(_item(one), EncodedLoader)
    }


def _item(loader: Loader) -> Loader:
    return loader.item if isinstance(loader, ManyLoader) else loader


def vectors_of(
    encoders: dict[str, Loader], table: pd.DataFrame, report: Audit, reporter: Reporter
) -> dict[str, np.ndarray]:
    """Column -> the vectors of the rows, `(rows, size)`, or `(rows, items, size)` where cells hold
    several; NaN where there is none.

    Args:
        encoders: Column -> the loader of its vectors.
        table: The table.
        report: An audit without vectors: cells that it found unusable are left out.
        reporter: Gets the reports.
    """
    found = {}
    for column, loader in encoders.items():
        bad = {
            one.position
            for one in report.view.findings
            if one.column == column and one.kind in UNUSABLE
        }
        good = np.array([place for place in range(len(table)) if place not in bad], "int64")
        if not len(good):
            continue
        reporter.begin(f"encoding {column}", len(good))
        try:
            vectors = _encoded(loader, table.iloc[good], reporter)
        finally:
            reporter.end()
        whole = np.full((len(table), *vectors.shape[1:]), np.nan, "float32")
        whole[good] = vectors
        found[column] = whole
        known = int(np.isfinite(whole).all(axis=-1).reshape(len(whole), -1).any(axis=1).sum())
        reporter.say(f"  {column}: vectors of {counted(known, 'row')}")
    return found


def _encoded(loader: Loader, rows: pd.DataFrame, reporter: Reporter) -> np.ndarray:
    # A cell that turns out to be bad only when it is read in full has no vector either.
    sequence = MultimodalSequence(
        rows,
        {"cell": loader},
        batch_size=64,
        inputs_as="dict",
        on_error="blank",
        max_error_rate=1.0,
    )
    parts, mask = [], mask_name("cell")
    for batch, *_ in sequence:
        vectors = np.array(batch["cell"], "float32")
        if mask in batch:
            there = np.asarray(batch[mask]) > 0
            vectors[~(there if vectors.ndim == 3 else there[:, 0])] = np.nan
        parts.append(vectors)
        for _ in range(len(vectors)):
            reporter.advance()
    found = np.concatenate(parts)
    found[rows.index.isin(sequence.failures["index"])] = np.nan
    return found
