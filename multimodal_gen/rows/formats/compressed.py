"""Text tables compressed with gzip: read from a decompressed copy, which is then removed."""

from __future__ import annotations

import gzip
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from multimodal_gen.errors import TableError

# The formats that are compressed as a whole; parquet and shards are compressed inside.
TEXTS = (".csv", ".tsv", ".jsonl", ".ndjson")


def is_compressed_text(path: Path) -> bool:
    """Whether a file is called like a compressed text table, such as "items.csv.gz"."""
    return path.suffix.lower() == ".gz" and Path(path.stem).suffix.lower() in TEXTS


@contextmanager
def decompressed(path: Path) -> Iterator[Path]:
    """The same table as a plain file, until the end of the block.

    Raises:
        TableError: If the file is damaged or cut off.
        OSError: If the disk is full.
    """
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / path.stem
        try:
            with gzip.open(path, "rb") as source, plain.open("wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise TableError(
                f"The compressed file is damaged or cut off ({error}). Copy it again."
            ) from error
        yield plain
