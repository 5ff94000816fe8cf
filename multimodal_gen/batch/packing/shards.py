"""Packs a table shard by shard: each is written, read back, compared and noted in the manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from multimodal_gen.batch.packing.columns import as_arrow
from multimodal_gen.batch.packing.contents import Contents, Rows
from multimodal_gen.batch.packing.digests import CellsDigest
from multimodal_gen.batch.packing.manifest import Manifest, as_json
from multimodal_gen.batch.packing.naming import Output
from multimodal_gen.batch.packing.writers import Writer
from multimodal_gen.errors import LoadError, TableError, counted
from multimodal_gen.loaders.reading import map_chunks
from multimodal_gen.rows.stores.arrow import plain_cells

# Rows that a thread reads at a time: few, as some chunks for each thread are in memory.
_CHUNK = 8
# Rows that are read back at a time.
_READ_BACK = 256
# Bad rows may be next to each other, so their share among fewer rows than this says little.
_ROWS_TO_JUDGE_BY = 10_000


class Tolerance(NamedTuple):
    """What is done about rows that cannot be packed.

    Args:
        skip: Whether they are left out; else the first is an error.
        rate: The greatest share of them.
    """

    skip: bool
    rate: float


class Shards:
    """The shards of a table.

    Args:
        table: The table.
        contents: Reads its files.
        writer: Writes shards.
        schema: Names and types of the columns.
        output: Where they go.
        manifest: What is done.

    Attributes:
        notes: What was found damaged, and is written again.
        kept: How many shards were there before.
        kept_rows: How many rows they have.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        contents: Contents,
        writer: Writer,
        schema: pa.Schema,
        output: Output,
        manifest: Manifest,
    ) -> None:
        self._table, self._contents, self._writer = table, contents, writer
        self._schema, self._output, self._manifest = schema, output, manifest
        self._pieces = output.pieces(len(table))
        self.bad = manifest.bad()
        self.notes: list[str] = []
        self.kept = self.kept_rows = 0

    def pack(self, threads: int, tolerance: Tolerance, progress: Callable[[], None]) -> None:
        """Write all shards that are not there.

        Args:
            threads: Threads that read files and decode pictures.
            tolerance: What is done about bad rows.
            progress: Called once for each row.

        Raises:
            LoadError: If a row is bad, and none may be left out.
            TableError: If too many are, or a shard does not hold what was written.
        """
        self._try_left_out(tolerance.skip)
        self._check_kept(progress)
        self.kept, self.kept_rows = len(self._manifest.done), self.rows
        self._manifest.save()
        if not self._manifest.done:
            self._writer.clear(self._output.files[0])
        left = [place for place in range(len(self._pieces)) if place not in self._manifest.done]
        with closing(map_chunks(self._read, self._chunks(left), threads, "packing")) as found:
            for number, own in groupby(found, key=lambda one: one[0]):
                parts = self._tolerated((rows for _, rows in own), tolerance, progress)
                self._write(number, parts)
        done = [self._manifest.done[number] for number in range(len(self._pieces))]
        rows = 0
        for one in done:
            # A shard that was written again may have another number of rows.
            one["first"], rows = rows, rows + one["rows"]
        self._manifest.save()
        self._writer.complete(self._output.files[-1], done)

    @property
    def rows(self) -> int:
        """Rows of all finished shards."""
        return sum(one["rows"] for one in self._manifest.done.values())

    def _chunks(self, left: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
        for number in left:
            own = self._pieces[number]
            for start in range(own.start, own.stop, _CHUNK):
                rows = np.arange(start, min(start + _CHUNK, own.stop), dtype="int64")
                self._contents.fetch_ahead(rows)
                yield number, rows

    def _read(self, chunk: tuple[int, np.ndarray]) -> tuple[int, Rows]:
        number, rows = chunk
        return number, self._contents.read(rows)

    def _tolerated(
        self, parts: Iterable[Rows], tolerance: Tolerance, progress: Callable[[], None]
    ) -> Iterator[Rows]:
        for part in parts:
            if part.bad:
                first = part.bad[min(part.bad)]
                if not tolerance.skip:
                    raise first
                self.bad |= part.bad
                self._check_rate(tolerance.rate, first)
            yield part
            for _ in range(len(part.rows) + len(part.bad)):
                progress()

    def _check_rate(self, rate: float, error: LoadError) -> None:
        judged = min(len(self._table), max(max(self.bad) + 1, _ROWS_TO_JUDGE_BY))
        if len(self.bad) > rate * judged:
            raise TableError(
                f"{counted(len(self.bad), 'row')} cannot be packed: more than a share of {rate:g} "
                f"of the {judged:,} rows that count so far; {self._output.skipped} lists them. The "
                f"last: {error} Received: max_error_rate={rate!r}"
            )

    def _write(self, number: int, parts: Iterable[Rows]) -> None:
        digests = {name: CellsDigest() for name in self._schema.names}
        file, own = self._file(number), self._pieces[number]
        # Before they are read: what changes later is found by the next run.
        stamped = self._contents.stamp_of(own)
        rows = 0
        self._writer.begin(file)
        try:
            for some in self._together(parts):
                batch = self._batch(some)
                for name, column in zip(batch.schema.names, batch.columns, strict=True):
                    digests[name].add(plain_cells(column))
                self._writer.write(batch, [row for one in some for row in one.rows.tolist()])
                rows += len(batch)
            kept = self._writer.finish()
        except BaseException:
            self._writer.abandon()
            raise
        bad = {row: error for row, error in self.bad.items() if row in own}
        about = {
            **kept,
            "rows": rows,
            "first": sum(self._manifest.done[one]["rows"] for one in range(number)),
            "digests": {name: digest.text() for name, digest in digests.items()},
            "bad": as_json(bad),
            "files": stamped,
        }
        problem = self._problem(number, about)
        if problem is not None:
            self._writer.discard(file)
            raise TableError(
                f"What was written is not what is read back: {problem}. Is the disk full, or "
                f"broken? Received: out={self._output.path!r}"
            )
        self._manifest.done[number] = about
        self._manifest.save()

    def _together(self, parts: Iterable[Rows]) -> Iterator[list[Rows]]:
        # As many rows as are written at a time.
        some: list[Rows] = []
        rows = size = 0
        for part in parts:
            some.append(part)
            rows += len(part.rows)
            size += sum(map(_bytes_of, part.cells.values()))
            if rows >= self._writer.ROWS or size >= self._writer.BYTES:
                yield some
                some, rows, size = [], 0, 0
        if rows:
            yield some

    def _batch(self, parts: list[Rows]) -> pa.RecordBatch:
        rows = np.concatenate([one.rows for one in parts])
        arrays = []
        for field in self._schema:
            name = field.name
            cells = (
                [cell for one in parts for cell in one.cells[name]]
                if name in parts[0].cells
                else self._table[name].array.take(rows)
            )
            arrays.append(as_arrow(name, cells, field.type))
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def _try_left_out(self, skip: bool) -> None:
        # Rows that an earlier run has left out may have been mended since.
        left = np.array(sorted(self.bad), "int64")
        mended: list[int] = []
        for start in range(0, len(left), _CHUNK):
            found = self._contents.read(left[start : start + _CHUNK])
            mended += found.rows.tolist()
            if found.bad and not skip:
                raise found.bad[min(found.bad)]
        for number in [one for one in self._manifest.done if set(self._pieces[one]) & set(mended)]:
            rows = len(set(self._pieces[number]) & set(mended))
            self.notes.append(
                f"{self._file(number)} is written again, with {counted(rows, 'row')} that could "
                "not be read before"
            )
            self._writer.discard(self._file(number))
            del self._manifest.done[number]
        self.bad = self._manifest.bad()

    def _check_kept(self, progress: Callable[[], None]) -> None:
        # What an earlier run has finished is read again, as it may have been damaged since.
        for number, about in sorted(self._manifest.done.items()):
            problem = self._changed(number, about)
            if problem is None:
                for _ in self._pieces[number]:
                    progress()
                continue
            self.notes.append(f"{problem}, and is written again")
            self._writer.discard(self._file(number))
            del self._manifest.done[number]
            self.bad = self._manifest.bad()

    def _changed(self, number: int, about: dict[str, Any]) -> str | None:
        # Why a shard of an earlier run has to be written again, in words; None if it does not.
        file = self._file(number)
        # A dataset of Lance has another name until all its parts are there.
        if self._output.form != "lance" and not file.exists():
            return f"{file} is missing"
        problem = self._problem(number, about)
        if problem is not None:
            return f"{file} is damaged ({problem})"
        if about["files"] != self._contents.stamp_of(self._pieces[number]):
            return f"{file} was packed from files that have changed since"
        return None

    def _problem(self, number: int, about: dict[str, Any]) -> str | None:
        # How a shard differs from what was written; None if it does not.
        try:
            store, rows = self._writer.opened(self._file(number), about)
            if len(rows) != about["rows"] or rows.stop > len(store):
                return f"it has {len(store):,} rows, and should have {about['rows']:,}"
            for name, known in about["digests"].items():
                if name not in store.columns:
                    return f"it has no column {name!r}"
                digest = CellsDigest()
                for start in range(rows.start, rows.stop, _READ_BACK):
                    some = np.arange(start, min(start + _READ_BACK, rows.stop), dtype="int64")
                    digest.add(store.cells(name, some))
                if digest.text() != known:
                    return f"the cells of {name!r} differ"
        except (OSError, ValueError, pa.ArrowException) as error:
            return " ".join(str(error).split()).rstrip(".")
        return None

    def _file(self, number: int) -> Any:
        files = self._output.files
        return files[number] if len(files) > 1 else files[0]


def _bytes_of(cells: list[Any]) -> int:
    return sum(
        len(one) if isinstance(one, bytes) else _bytes_of(one) if isinstance(one, list) else 0
        for one in cells
    )
