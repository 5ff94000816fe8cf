"""`pack_table`: writes a table and the files that it names to parquet, tar shards or Lance."""

from __future__ import annotations

import csv
import json
import os
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import pandas as pd
import pyarrow as pa

from multimodal_gen.batch.packing.columns import schema_of
from multimodal_gen.batch.packing.contents import Contents
from multimodal_gen.batch.packing.digests import digest_of_table
from multimodal_gen.batch.packing.lance_writer import LanceWriter
from multimodal_gen.batch.packing.lock import alone
from multimodal_gen.batch.packing.manifest import Manifest
from multimodal_gen.batch.packing.naming import Output, output_of
from multimodal_gen.batch.packing.shards import Shards, Tolerance
from multimodal_gen.batch.packing.writers import ParquetWriter, TarWriter, Writer
from multimodal_gen.batch.threads import default_threads
from multimodal_gen.errors import LoadError, level_of_caller
from multimodal_gen.loaders.base import Loader
from multimodal_gen.rows.checks import check_choice, check_positive, check_switches
from multimodal_gen.rows.table import check_columns

_WRITERS: dict[str, Callable[[pa.Schema], Writer]] = {
    "parquet": ParquetWriter,
    "tar": TarWriter,
    "lance": LanceWriter,
}


@dataclass(frozen=True)
class Packed:
    """The result of packing a table.

    Args:
        path: What `open_table` opens.
        files: The files; of Lance the folder.
        rows: Number of rows that were packed.
        kept: Number of shards, or parts of a dataset of Lance, that an earlier run had finished.
        kept_rows: Number of rows in them.
        skipped: The rows that were left out: "index", "column", "path" and "error"; `leave_out`
            takes it.
        notes: What the format does not keep, and which shards were damaged and written again.
    """

    path: str
    files: tuple[str, ...]
    rows: int
    kept: int
    kept_rows: int
    skipped: pd.DataFrame
    notes: tuple[str, ...]


def pack_table(
    table: pd.DataFrame,
    out: str | os.PathLike[str],
    loaders: Iterable[Loader],
    *,
    resize: bool = False,
    quality: int | None = None,
    on_error: str = "raise",
    max_error_rate: float = 0.1,
    threads: int | None = None,
    progress: Callable[[], None] = lambda: None,
) -> Packed:
    """Write a table with the contents of its files, for `open_table` to read at any order.

    The columns keep their names, order and types. Cells that name files become the files' bytes, as
    they are; so a model trains on the packed table with the same loaders, and to the same bytes.
    Every file is decoded once, which finds those that are broken. Rows stay in their order, and get
    the index 0..n-1.

    A shard has another name until it is whole, and is read back and compared then. After Ctrl-C or
    a kill, the same call goes on after the last whole shard; called again when all are there, it
    checks them and writes damaged ones anew. A manifest beside the output, `NAME.pack.json`, has
    what that needs.

    Args:
        table: The table, in memory or opened by `open_table`.
        out: A path that ends in `.parquet`, `.tar` (shards as WebDataset reads them) or `.lance`
            (needs the extra "lance"). Several files are named by a range, as in
            `"shards-{000..031}.tar"`, and get equal numbers of rows.
        loaders: The loaders of the columns of files, such as `ImageLoader`, and a `ManyLoader`
            where cells hold several; loaders that read no files do not count. They say where files
            are, fetch URLs, and have the limits.
        resize: Whether pictures are written in the size, colours and fit of their loader, as which
            the same loader then reads them again. By default files stay as they are.
        quality: For `resize`: that of JPEG files, from 1 to 100, which are smaller, while their
            pixels differ a little; by default PNG files have the very pixels.
        on_error: "raise" for the first row whose file cannot be read, or "skip" to leave such rows
            out and list them in `NAME.skipped.csv`, beside the output. Missing cells stay missing.
        max_error_rate: For "skip": the greatest share of rows that may be left out.
        threads: Threads that read and decode; by default one per core, up to 8.
        progress: Called once per row, as the `update` of a `tqdm` bar.

    Raises:
        FileExistsError: If `out` exists, and was not packed from the same table in the same way, or
            another process is packing it.
        ImportError: If a package is missing that the format needs.
        LoadError: With `on_error="raise"`, for the first row that cannot be read.
        TableError: If the format cannot hold a column; too many rows are bad; or a shard does not
            hold what was written.
        ValueError: If no loader reads files, or another argument is out of its range.

    Warns:
        UserWarning: For each of `Packed.notes`.

    Example:
        mg.pack_table(table, "shards-{000..031}.tar", [mg.ImageLoader("image", directory="photos")])
    """
    check_columns(table, list(table.columns))
    check_choice("on_error", on_error, ("raise", "skip"))
    check_switches(resize=resize)
    _check_quality(quality, resize)
    check_positive(threads=default_threads() if threads is None else threads)
    if not 0 <= max_error_rate <= 1:
        raise ValueError(
            "`max_error_rate` must be a share from 0 to 1. Received: "
            f"max_error_rate={max_error_rate!r}"
        )
    if any(name is not None for name in table.index.names):
        raise ValueError(
            "The index of the table would be lost: make it a column with `table.reset_index()`. "
            f"Received: an index named {list(table.index.names)}"
        )
    output = output_of(out)
    contents = Contents(table, list(loaders), bool(resize), quality)
    check_columns(table, list(contents.loaders))
    schema = schema_of(table, contents.types)
    writer = _WRITERS[output.form](schema)
    settings = [output.form, list(map(str, output.files)), contents.settings()]
    about = json.dumps([*settings, digest_of_table(table)])
    for folder in {file.parent for file in (*output.files, output.manifest)}:
        folder.mkdir(parents=True, exist_ok=True)
    settings_digest = blake2b(about.encode("utf-8", "replace")).hexdigest()
    with alone(output):
        manifest = Manifest(output, settings_digest)
        shards = Shards(table, contents, writer, schema, output, manifest)
        tolerance = Tolerance(on_error == "skip", max_error_rate)
        try:
            shards.pack(threads or default_threads(), tolerance, progress)
        finally:
            skipped = _list_skipped(shards.bad, output.skipped)
    notes = (*_lost(output, schema), *shards.notes)
    for note in notes:
        warnings.warn(note, UserWarning, stacklevel=level_of_caller())
    return Packed(
        output.path,
        tuple(map(str, output.files)),
        shards.rows,
        shards.kept,
        shards.kept_rows,
        skipped,
        notes,
    )


def _check_quality(quality: int | None, resize: bool) -> None:
    if quality is None:
        return
    if isinstance(quality, bool) or not isinstance(quality, int) or not 1 <= quality <= 100:
        raise ValueError(
            f"`quality` must be a whole number from 1 to 100. Received: quality={quality!r}"
        )
    if not resize:
        raise ValueError(
            "`quality` is that of resized pictures; others stay as they are. Received: "
            f"quality={quality}, resize=False"
        )


def _lost(output: Output, schema: pa.Schema) -> list[str]:
    # What the format does not keep.
    if output.form != "tar":
        return []
    return [
        f"A tar shard keeps the values of {one.name!r}, and not that the column is categorical."
        for one in schema
        if pa.types.is_dictionary(one.type)
    ]


def _list_skipped(bad: dict[int, LoadError], path: Path) -> pd.DataFrame:
    names = ["index", "column", "path", "error"]
    rows = [
        (one.index, one.column, one.path, " ".join(one.reason.split()))
        for _, one in sorted(bad.items())
    ]
    if rows:
        with open(path, "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([names, *rows])
    else:
        path.unlink(missing_ok=True)
    return pd.DataFrame(rows, columns=names, dtype=object)
