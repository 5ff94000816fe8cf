"""Examines the columns one after the other, with the right reader, and combines the findings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from multimodal_gen.inspection.audit import texts as words
from multimodal_gen.inspection.audit.captions import Captions, texts_in
from multimodal_gen.inspection.audit.clusters import (
    Alike,
    Parts,
    alike_pictures,
    chained,
    contents_of,
    describe,
    joined,
)
from multimodal_gen.inspection.audit.dropping import Contents, columns_of, dropped_rows
from multimodal_gen.inspection.audit.extremes import extreme_numbers
from multimodal_gen.inspection.audit.findings import Finding, as_frame
from multimodal_gen.inspection.audit.items import Pictures
from multimodal_gen.inspection.audit.labels import class_notes, hint_notes, read_labels
from multimodal_gen.inspection.audit.looks import LEAST_SPREAD, look_at, range_notes
from multimodal_gen.inspection.audit.misfits import Pair, misfits, misfits_of
from multimodal_gen.inspection.audit.near_texts import near_identical
from multimodal_gen.inspection.audit.outliers import outliers
from multimodal_gen.inspection.audit.page import page
from multimodal_gen.inspection.audit.reading import blank_notes, name_of, read_others
from multimodal_gen.inspection.audit.report import Audit, View
from multimodal_gen.inspection.audit.sides import side_note
from multimodal_gen.inspection.audit.unlikely import no_ranking, unlikely_labels
from multimodal_gen.inspection.audit.whole_rows import (
    alike_rows,
    contradiction_note,
    contradictory,
    labels_note,
    usable_rows,
)
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.targets.base import Target

# From this share of duplicated rows on, duplicates are normal for the table: they get a note, and
# no finding per row.
_BY_NATURE, _BY_NATURE_TEXTS, _BY_NATURE_SPELLING = 0.2, 0.05, 0.01
_OF_SHARED_PICTURES = ("duplicate", "near duplicate", "conflicting labels")
# So few rows do not show what is normal for the table.
_FEW_ROWS = 20


class Gathering:
    """Everything that is known during one audit."""

    def __init__(
        self,
        rows: pd.DataFrame,
        parts: Parts,
        loaders: list[Loader],
        target: Target | None,
        pictures: list[Pictures],
        records: np.ndarray,
        places: dict[str, np.ndarray],
        findings: list[Finding],
        threads: int,
        progress: Callable[[int], None],
    ) -> None:
        self.rows, self.parts, self.loaders, self.target = rows, parts, loaders, target
        self.pictures, self.readers = pictures, [one.reader for one in pictures]
        self.records, self.places, self.findings = records, places, findings
        self.notes: list[str] = []
        self.alike: list[Alike] = []
        # Per input: equal numbers for equal content.
        self.contents: list[np.ndarray] = []
        self.whole: Alike | None = None
        self.threads, self.progress = threads, progress
        self.labels: np.ndarray | None = None

    def finish(
        self,
        ignore: Sequence[str],
        pair: Pair | pd.DataFrame | None = None,
        probabilities: np.ndarray | None = None,
        vectors: Sequence[tuple[str, np.ndarray]] = (),
    ) -> Audit:
        """Examine everything, and return what was found."""
        if self.target is not None:
            self._look_at_labels(self.target)
        self.notes += blank_notes(self.rows, self.loaders)
        for one in self.pictures:
            self._look_at_pictures(one)
        texts = [one for one in self.loaders if one.reads_text and isinstance(one.column, str)]
        for loader in texts:
            self._look_at_texts(loader)
        pictures = {one.column for one in self.pictures}
        for loader in self.loaders:
            if loader not in texts and name_of(loader) not in pictures:
                found, contents = read_others(self.rows, loader, self.progress)
                self.findings, self.contents = self.findings + found, [*self.contents, contents]
        every = [*self.loaders, *([] if self.target is None else [self.target])]
        self.findings += extreme_numbers(self.rows, every)
        self._look_at_whole_rows()
        if isinstance(pair, pd.DataFrame):
            self.findings += misfits_of(pair, self.rows, ", ".join(map(name_of, self.loaders)))
        elif pair is not None:
            self.findings += misfits(self.rows, pair, self.findings)
        for column, own in vectors:
            self.findings += outliers(own, column)
        ranking = no_ranking(self.rows.index)
        if probabilities is not None:
            assert self.target is not None
            suspects = unlikely_labels(self.rows, self.target, probabilities)
            self.findings, ranking = self.findings + suspects.findings, suspects.ranking
            self.notes += suspects.notes
        kept = [one for one in self.findings if one.kind not in ignore]
        pairs = [chained(one) for one in self.alike]
        duplicates = joined(len(self.rows), np.concatenate([np.zeros((0, 2), "int64"), *pairs]))
        known = Contents(self.parts, self.labels, self.alike, self.whole)
        dropped = dropped_rows(kept, known, ignore)
        return Audit(
            as_frame(kept, self.rows.index),
            tuple(self.notes),
            pd.Series(duplicates, self.rows.index, name="duplicates"),
            pd.Series(dropped, self.rows.index, name="dropped"),
            ranking,
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

    def _look_at_pictures(self, pictures: Pictures) -> None:
        column, reader, cells = pictures.column, pictures.reader, pictures.cells
        places, rows = self.places[column], pictures.rows
        height, width = reader.loader.spec.shape[:2]
        odd = look_at(
            column,
            self.records,
            places,
            lambda place: reader.path_of(cells[place]),
            (height, width),
        )
        self.findings += pictures.of_rows(odd)
        self.notes += range_notes(column, self.records, places)
        alike = alike_pictures(
            column,
            lambda place: reader.small_picture(cells[place]),
            self.records,
            places,
            LEAST_SPREAD,
            self.threads,
        )
        alike = pictures.alike(alike)
        self.alike.append(alike)
        contents = contents_of(self.records, places)
        self.contents.append(pictures.contents(contents))
        self.notes += pictures.repetitions(contents)
        index = self.rows.index if pictures.which is None else self.rows.index.take(rows)
        labels = None if self.labels is None else self.labels[rows]
        found = describe(
            alike,
            index,
            pictures.parts(self.parts),
            labels,
            lambda place: self._label_of(int(rows[place])),
            "picture",
            pictures.which,
        )
        within = [one for one in found if one.kind in ("duplicate", "near duplicate")]
        if len(within) > max(_FEW_ROWS, _BY_NATURE * len(rows)):
            found = [one for one in found if one.kind not in _OF_SHARED_PICTURES]
            what = "rows" if pictures.which is None else "items"
            self.notes += [
                f"{column}: {len(within):,} {what} share their picture with others of their part",
                *labels_note(column, alike.exact, labels, index),
            ]
        self.findings += pictures.of_rows(found)

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
        self.findings += read_others(self.rows, loader, self.progress)[0]
        lengths, exact, near = words.compared(texts_in(self.rows, column), len(self.rows))
        captions = Captions(self.rows, column, np.flatnonzero(lengths >= 0))
        self.findings += words.odd_lengths(captions, lengths, near)
        covered = loader.text_coverage(captions)
        self.notes += [] if covered is None else [f"{column}: {covered}"]
        if self.target is not None:
            self.notes += hint_notes(column, texts_in(self.rows, column), self.rows, self.target)
        if self.readers:
            self.notes += side_note(column, captions, "captions")
        self.contents.append(exact.copy())
        exact[near < 0] = -1
        idle = words.telling_nothing(near, self.labels)
        self.findings += words.repeated_captions(captions, near, idle)
        sizes = np.bincount(near[near >= 0], minlength=1)
        often = float(((near >= 0) & (sizes[near] > 1)).mean())
        near[idle], exact[idle] = -1, -1
        shared = (near >= 0) & (sizes[near] > 1)
        if self.readers and shared.sum() > max(_FEW_ROWS, _BY_NATURE_TEXTS * len(near)):
            self.notes.append(
                f"{column}: {often:.0%} of the rows share their caption with another row"
            )
            spelled = words.spelled_otherwise(near, exact)
            if len(spelled) <= max(_FEW_ROWS, _BY_NATURE_SPELLING * len(near)):
                self.findings += words.other_spellings(captions, spelled)
            else:
                self.notes.append(
                    f"{column}: {len(spelled):,} rows have a caption that others spell differently"
                )
            return
        numbers, first = np.unique(near, return_index=True)
        pairs = numbers[numbers >= 0][near_identical(captions.of(first[numbers >= 0]))]
        cluster = near.copy()
        if len(pairs):
            cluster[near >= 0] = joined(int(near.max()) + 1, pairs)[near[near >= 0]]
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
