"""The audit itself: reads every cell with the right reader, and combines the findings."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from tqdm import tqdm

from multimodal_gen.batch.cache.keys import settings_of
from multimodal_gen.batch.threads import default_threads
from multimodal_gen.inspection.audit import texts as words
from multimodal_gen.inspection.audit.clusters import (
    Alike,
    Parts,
    alike_pictures,
    chained,
    contents_of,
    describe,
    joined,
    numbered,
)
from multimodal_gen.inspection.audit.dropping import Contents, columns_of, dropped_rows
from multimodal_gen.inspection.audit.findings import KINDS, Finding, as_frame
from multimodal_gen.inspection.audit.labels import class_notes, hint_notes, read_labels
from multimodal_gen.inspection.audit.looks import LEAST_SPREAD, look_at, range_notes
from multimodal_gen.inspection.audit.page import page
from multimodal_gen.inspection.audit.parts import parts_of
from multimodal_gen.inspection.audit.pictures import PictureReader
from multimodal_gen.inspection.audit.reading import blank_notes, name_of, read_others, read_pictures
from multimodal_gen.inspection.audit.records import Records
from multimodal_gen.inspection.audit.report import Audit, View
from multimodal_gen.inspection.audit.sides import side_note
from multimodal_gen.inspection.audit.whole_rows import (
    alike_rows,
    contradiction_note,
    contradictory,
    labels_note,
    usable_rows,
)
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.rows.table import cells_of, check_columns

# From this share of duplicated rows on, duplicates are normal for the table: they get a note, and
# no finding per row.
_BY_NATURE, _BY_NATURE_TEXTS, _BY_NATURE_SPELLING = 0.2, 0.05, 0.01
_OF_SHARED_PICTURES = ("duplicate", "near duplicate", "conflicting labels")
# So few rows do not show what is normal for the table.
_FEW_ROWS = 20


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
) -> Audit:
    """Read every cell of a table and find what is wrong before training does.

    Pictures: missing, empty, truncated, corrupt, tiny, huge, of an odd mode, near blank, wrongly
    named. Captions: empty, very long, repeated without saying anything about the class. Labels:
    missing, unseen in training, conflicting for equal content. Exact and near duplicates of
    pictures and captions, within and across the parts of the table. Any other loader: cells that it
    cannot read. `docs/audit.md` has the thresholds.

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

    Returns:
        An `Audit`.

    Raises:
        ValueError: If `ignore` has a word that is not a kind.
        TableError: If the table has no rows, a column is missing, or the index is not unique.
    """
    strange = [kind for kind in ignore if kind not in KINDS]
    if strange:
        raise ValueError(
            f"`ignore` must contain kinds of problems: {list(KINDS)}. Received: {strange[0]!r}"
        )
    rows, parts = parts_of(table, split)
    loaders = list(inputs.values())
    every = [*loaders, *([] if target is None else [target])]
    check_columns(rows, [name for one in every for name in columns_of(one)])
    readers = [
        PictureReader(one)
        for one in loaders
        if one.spec.kind == "image" and isinstance(one.column, str)
    ]
    settings = json.dumps([settings_of(reader.small) for reader in readers])
    kept = Records(state, settings)
    threads = threads or default_threads()
    with tqdm(
        total=len(rows) * len(every), desc="audit", unit="cell", disable=progress is not None
    ) as bar:
        told = progress or bar.update
        try:
            places, findings = read_pictures(rows, readers, kept, threads, told)
            records = kept.all()
            found = _Gathering(
                rows, parts, loaders, target, readers, records, places, findings, threads, told
            )
            return found.finish(ignore)
        finally:
            kept.close()


class _Gathering:
    """Everything that is known during one audit."""

    def __init__(
        self,
        rows: pd.DataFrame,
        parts: Parts,
        loaders: list[Loader],
        target: Target | None,
        readers: list[PictureReader],
        records: np.ndarray,
        places: dict[str, np.ndarray],
        findings: list[Finding],
        threads: int,
        progress: Callable[[int], None],
    ) -> None:
        self.rows, self.parts, self.loaders, self.target = rows, parts, loaders, target
        self.readers, self.records, self.places, self.findings = readers, records, places, findings
        self.notes: list[str] = []
        self.alike: list[Alike] = []
        # Per input: equal numbers for equal content.
        self.contents: list[np.ndarray] = []
        self.whole: Alike | None = None
        self.threads, self.progress = threads, progress
        self.labels: np.ndarray | None = None

    def finish(self, ignore: Sequence[str]) -> Audit:
        if self.target is not None:
            self._look_at_labels(self.target)
        self.notes += blank_notes(self.rows, self.loaders)
        for reader in self.readers:
            self._look_at_pictures(reader)
        texts = [one for one in self.loaders if one.reads_text and isinstance(one.column, str)]
        for loader in texts:
            self._look_at_texts(loader)
        pictures = {str(reader.loader.column) for reader in self.readers}
        for loader in self.loaders:
            if loader not in texts and name_of(loader) not in pictures:
                found, contents = read_others(self.rows, loader, self.progress)
                self.findings, self.contents = self.findings + found, [*self.contents, contents]
        self._look_at_whole_rows()
        kept = [one for one in self.findings if one.kind not in ignore]
        pairs = [chained(one.cluster) for one in self.alike]
        duplicates = joined(len(self.rows), np.concatenate([np.zeros((0, 2), "int64"), *pairs]))
        known = Contents(self.parts, self.labels, self.alike, self.whole)
        dropped = dropped_rows(kept, known, ignore)
        return Audit(
            as_frame(kept, self.rows.index),
            tuple(self.notes),
            pd.Series(duplicates, self.rows.index, name="duplicates"),
            pd.Series(dropped, self.rows.index, name="dropped"),
            View(self.rows, self.readers, kept, duplicates),
            page,
        )

    def _look_at_labels(self, target: Target) -> None:
        if target.cached_by is not target:
            # This target is made of what an input reads.
            self.progress(len(self.rows))
            return
        self.labels, found = read_labels(self.rows, target, self.parts.codes == 0, self.progress)
        self.findings += found
        self.notes += class_notes(self.rows, target)
        if self.readers and target.class_names:
            self.notes += side_note(name_of(target), map(str, target.class_names), "classes")

    def _look_at_pictures(self, reader: PictureReader) -> None:
        column = str(reader.loader.column)
        cells, places = self.rows[column].array, self.places[column]
        height, width = reader.loader.spec.shape[:2]
        self.findings += look_at(
            column, self.records, places, lambda row: reader.path_of(cells[row]), (height, width)
        )
        self.notes += range_notes(column, self.records, places)
        alike = alike_pictures(
            column,
            lambda row: reader.small_picture(cells[row]),
            self.records,
            places,
            LEAST_SPREAD,
            self.threads,
        )
        self.alike.append(alike)
        self.contents.append(contents_of(self.records, places))
        found = describe(alike, self.rows.index, self.parts, self.labels, self._label_of, "picture")
        within = [one for one in found if one.kind in ("duplicate", "near duplicate")]
        if len(within) > max(_FEW_ROWS, _BY_NATURE * len(self.rows)):
            found = [one for one in found if one.kind not in _OF_SHARED_PICTURES]
            self.notes += [
                f"{column}: {len(within):,} rows share their picture with others of their part",
                *labels_note(column, alike.exact, self.labels, self.rows.index),
            ]
        self.findings += found

    def _look_at_whole_rows(self) -> None:
        if all(loader.spec.kind == "vector" for loader in self.loaders):
            # Rows of a few numbers are equal by chance.
            return
        name = ", ".join(map(name_of, self.loaders))
        self.whole = alike_rows(name, self.contents, usable_rows(len(self.rows), self.findings))
        found = describe(
            self.whole, self.rows.index, self.parts, self.labels, self._label_of, "inputs"
        )
        known = {(one.position, one.kind) for one in self.findings}
        self.findings += [one for one in found if (one.position, one.kind) not in known]
        self.notes += contradiction_note(name, contradictory(self.whole.exact, self.labels))
        self.alike.append(self.whole)

    def _look_at_texts(self, loader: Loader) -> None:
        column = str(loader.column)
        texts = [cell if isinstance(cell, str) else None for cell in cells_of(self.rows, column)]
        self.findings += read_others(self.rows, loader, self.progress)[0]
        self.findings += words.odd_lengths(column, texts)
        covered = loader.text_coverage([text for text in texts if text is not None])
        self.notes += [] if covered is None else [f"{column}: {covered}"]
        if self.target is not None:
            self.notes += hint_notes(column, texts, self.rows, self.target)
        if self.readers:
            self.notes += side_note(
                column, [text for text in texts if text is not None], "captions"
            )
        said = [
            words.normalised(text) if text is not None and not words.is_empty(text) else None
            for text in texts
        ]
        near = numbered([None if text is None else words.digest(text) for text in said])
        exact = numbered([None if text is None else words.digest(text) for text in texts])
        self.contents.append(exact.copy())
        exact[near < 0] = -1
        idle = words.telling_nothing(near, self.labels)
        sizes = np.bincount(near[near >= 0], minlength=1)
        for row in np.flatnonzero(idle):
            message = f"{sizes[near[row]]:,} rows have this caption: {words.shortened(texts[row])}"
            self.findings.append(Finding(int(row), column, "repeated caption", message))
        often = float(((near >= 0) & (sizes[near] > 1)).mean())
        near[idle], exact[idle] = -1, -1
        shared = (near >= 0) & (sizes[near] > 1)
        if self.readers and shared.sum() > max(_FEW_ROWS, _BY_NATURE_TEXTS * len(texts)):
            self.notes.append(
                f"{column}: {often:.0%} of the rows share their caption with another row"
            )
            spelled = words.other_spellings(column, texts, near, exact, self.rows.index)
            if len(spelled) <= max(_FEW_ROWS, _BY_NATURE_SPELLING * len(texts)):
                self.findings += spelled
            else:
                self.notes.append(
                    f"{column}: {len(spelled):,} rows have a caption that others spell differently"
                )
            return
        first = np.unique(near, return_index=True)[1]
        first = first[near[first] >= 0]
        pairs = words.near_identical([said[row] or "" for row in first])
        cluster = near.copy()
        if len(pairs):
            cluster[near >= 0] = joined(int(near.max()) + 1, np.array(pairs, "int64"))[
                near[near >= 0]
            ]
        alike = Alike(column, exact, cluster)
        self.alike.append(alike)
        # With another picture, the same words may well have another class.
        labels = None if self.readers else self.labels
        self.findings += describe(
            alike, self.rows.index, self.parts, labels, self._label_of, "caption"
        )

    def _label_of(self, row: int) -> str:
        assert self.target is not None
        return repr(tuple(self.rows[name].iloc[row] for name in columns_of(self.target))).strip(
            "(),"
        )
