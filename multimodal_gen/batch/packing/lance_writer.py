"""Writes a dataset of Lance: its parts first, which become a dataset when all are there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from queue import Full, Queue
from typing import Any

import pyarrow as pa

from multimodal_gen.batch.packing.writers import Writer
from multimodal_gen.errors import TableError
from multimodal_gen.rows.stores.lance import LanceStore, plain_words
from multimodal_gen.rows.stores.store import Store

# Batches that wait to be written, and seconds after which it is asked whether writing goes on.
_WAITING, _ASKED = 4, 0.5


class LanceWriter(Writer):
    """Writes parts of a dataset of Lance, in a folder that gets its name when all are there.

    Args:
        schema: Names and types of the columns.

    Raises:
        ImportError: If pylance is not installed.
    """

    _partial: str

    def __init__(self, schema: pa.Schema) -> None:
        super().__init__(schema)
        try:
            import lance
        except ImportError as error:
            raise ImportError(
                "Writing datasets of Lance needs pylance: `pip install 'multimodal_gen[lance]'`."
            ) from error
        self._lance = lance

    def begin(self, file: Path) -> None:
        """See `Writer.begin`."""
        self._partial = f"{file}.partial"
        if not os.path.isdir(self._partial):
            self._make()
        self._queue: Queue[pa.RecordBatch | None] = Queue(_WAITING)
        reader = pa.RecordBatchReader.from_batches(self._schema, self._batches(self._queue))
        # Lance asks for batches, so it has a thread of its own.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="lance")
        self._fragments: Future[list[Any]] = self._pool.submit(
            self._lance.fragment.write_fragments, reader, self._partial, schema=self._schema
        )

    def _make(self) -> None:
        for name in self._schema.names:
            if not name or "\0" in name:
                raise TableError(
                    "A column of a Lance dataset must have a name, without zero bytes. Rename or "
                    f"drop it, or write parquet. Received: column={name!r}"
                )
        # A dataset without rows, which says whether there can be such columns.
        try:
            self._lance.write_dataset(self._schema.empty_table(), self._partial)
        except (OSError, ValueError) as error:
            raise TableError(
                f"Lance cannot hold the table: {plain_words(error)}. Rename or drop the column, "
                f"or write parquet. Received: columns={self._schema.names}"
            ) from error

    def write(self, batch: pa.RecordBatch, rows: list[int]) -> None:
        """See `Writer.write`."""
        self._put(batch)

    def finish(self) -> dict[str, Any]:
        """See `Writer.finish`."""
        self._put(None)
        fragments = self._fragments.result()
        self._pool.shutdown()
        return {"fragments": [one.to_json() for one in fragments]}

    def abandon(self) -> None:
        """See `Writer.abandon`; what has no part in the dataset is removed when it is complete."""
        if not self._fragments.done():
            self._put(None)
        self._pool.shutdown()

    def opened(self, file: Path, kept: dict[str, Any]) -> tuple[Store, range]:
        """See `Writer.opened`."""
        if file.exists():
            return LanceStore([str(file)]), range(kept["first"], kept["first"] + kept["rows"])
        part = self._commit(f"{file}.partial", [kept])
        store = LanceStore([f"{file}.partial"], part.version)
        return store, range(len(store))

    def clear(self, file: Path) -> None:
        """See `Writer.clear`."""
        shutil.rmtree(f"{file}.partial", ignore_errors=True)

    def discard(self, file: Path) -> None:
        """See `Writer.discard`."""
        if file.exists():
            os.rename(file, f"{file}.partial")

    def complete(self, file: Path, kept: list[dict[str, Any]]) -> None:
        """See `Writer.complete`."""
        if file.exists():
            return
        whole = self._commit(f"{file}.partial", kept)
        # Also the files of parts that were begun by a run that was killed.
        whole.cleanup_old_versions(older_than=timedelta(0), delete_unverified=True)
        os.rename(f"{file}.partial", file)

    def _commit(self, folder: str, kept: list[dict[str, Any]]) -> Any:
        # A version of the dataset that has these parts.
        fragments = [
            self._lance.FragmentMetadata.from_json(json.dumps(one))
            for own in kept
            for one in own["fragments"]
        ]
        operation = self._lance.LanceOperation.Overwrite(self._schema, fragments)
        return self._lance.LanceDataset.commit(folder, operation)

    def _put(self, batch: pa.RecordBatch | None) -> None:
        while True:
            try:
                self._queue.put(batch, timeout=_ASKED)
                return
            except Full:
                if self._fragments.done():
                    # It can only have failed.
                    self._fragments.result()

    @staticmethod
    def _batches(queue: Queue[pa.RecordBatch | None]) -> Iterator[pa.RecordBatch]:
        while (batch := queue.get()) is not None:
            yield batch
