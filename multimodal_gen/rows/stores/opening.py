"""Open a table that stays on disk: finds out what a path is, and makes a DataFrame over it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from multimodal_gen.errors import TableError, level_of_caller
from multimodal_gen.rows.formats.compressed import is_compressed_text
from multimodal_gen.rows.stores.arrow_files import ArrowFileStore, files_of_dataset
from multimodal_gen.rows.stores.column import stored_table
from multimodal_gen.rows.stores.lance import LanceStore
from multimodal_gen.rows.stores.mds import INDEX, MDSStore, is_index
from multimodal_gen.rows.stores.parquet import ParquetStore
from multimodal_gen.rows.stores.shards import files_of
from multimodal_gen.rows.stores.store import Store
from multimodal_gen.rows.stores.tar import TarStore
from multimodal_gen.rows.stores.tfrecord import TFRecordStore
from multimodal_gen.rows.table import read_table

_OPENERS: dict[str, Callable[[Sequence[str]], Store]] = {
    ".parquet": ParquetStore,
    ".pq": ParquetStore,
    ".arrow": ArrowFileStore,
    ".feather": ArrowFileStore,
    ".tar": TarStore,
    ".tfrecord": TFRecordStore,
    ".tfrecords": TFRecordStore,
    ".tfrec": TFRecordStore,
    ".lance": LanceStore,
}


def open_table(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
) -> pd.DataFrame:
    """Open a table that stays on disk, however large it is.

    The result is a DataFrame with the index 0..n-1. Its columns know where their cells are, and
    read them when they are asked for: `split_table`, `table[mask]`, `pd.concat` and the like move
    row numbers only. What pandas computes over a whole column reads that column. Replaced cells
    stay in memory; files are never changed. Pictures are bytes, which `ImageLoader` takes.

    Args:
        path: What the table is kept in. Several files are one table, in the order of a list or of
            a pattern: `"shards-{000..031}.tar"`, `"data/*.parquet"`.

            * `.parquet`: a row group of a column is decoded when a row of it is asked for; up to
              1 GB of them are kept.
            * `.arrow`, `.feather` (version 2, uncompressed), or a folder that `save_to_disk` of
              Hugging Face's datasets wrote (`hf:` may stand before it): mapped into memory. The
              parts of a `DatasetDict` follow one another, with a column "split". Class labels are
              their names.
            * `.tar`: a row is a sample as WebDataset writes them, files that follow one another
              with the same name up to its first dot; a column is an ending. Texts, numbers of .cls
              and arrays of .npy are decoded, each name in a .json file is a column too, and nothing
              is unpickled. A shard is read through once; where its samples are is kept in the
              user's cache folder.
            * `.tfrecord`: a row is a `tf.train.Example`, a column a feature. Needs protobuf.
            * a folder of MDS shards with their `index.json`, as MosaicML's streaming writes them
              (`mds:` may stand before it): a row is a sample. Pictures of "jpeg" and "png" are
              bytes; nothing is unpickled. Shards must not be compressed.
            * `.lance`: a dataset of Lance. Needs the extra "lance".
            * `.csv`, `.tsv`, `.jsonl`, or a folder of pictures: read into memory by `read_table`.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If a package is missing that the format needs.
        TableError: If a file cannot be read, or files differ in their columns.

    Warns:
        UserWarning: If something will be slow, or cannot be read.
    """
    patterns = [os.fspath(one) for one in ([path] if isinstance(path, str | os.PathLike) else path)]
    pattern = ", ".join(patterns)
    folder = Path(pattern.removeprefix("hf:"))
    if pattern.startswith("mds:") or is_index(folder) or is_index(folder / INDEX):
        table = _opened(MDSStore, [one.removeprefix("mds:") for one in patterns])
    elif folder.is_dir() and folder.suffix.lower() != ".lance":
        table = _of_folder(folder, named=pattern.startswith("hf:"))
    else:
        files = [file for one in patterns for file in files_of(one)]
        opener = _opener(files)
        table = read_table(files[0]) if opener is None else _opened(opener, files)
    if not len(table):
        raise TableError(f"The table has no rows. Received: path={pattern!r}")
    return table


def _opener(files: Sequence[str]) -> Callable[[Sequence[str]], Store] | None:
    # None for what is read into memory.
    endings = {_ending(file) for file in files}
    if len(files) == 1 and is_compressed_text(Path(files[0])):
        return None
    if endings & {".gz", ".tgz", ".bz2", ".xz", ".zst"}:
        raise TableError(
            "Rows of a compressed file cannot be found. Decompress it first, as with `gunzip`. "
            f"Received: {files[0]!r}"
        )
    found = {_OPENERS.get(ending) for ending in endings}
    if len(found) > 1 or (len(files) > 1 and None in found):
        raise TableError(
            "The files of a table must be of one format, and only these can be several: "
            f"{', '.join(_OPENERS)}. Join others with `pd.concat([read_table(one) for one in "
            f"files], ignore_index=True)`. Received: {sorted(endings)}"
        )
    return found.pop()


def _ending(file: str) -> str:
    # TensorFlow's shards are called train.tfrecord-00000-of-00010.
    name = Path(file).name.lower()
    stem, of, _ = name.rpartition("-of-")
    whole = stem.rpartition("-")[0] if of else name
    return Path(whole).suffix


def _opened(opener: Callable[[Sequence[str]], Store], files: Sequence[str]) -> pd.DataFrame:
    store = opener(files)
    for note in store.notes:
        warnings.warn(note, UserWarning, stacklevel=level_of_caller())
    return stored_table(store)


def _of_folder(folder: Path, *, named: bool) -> pd.DataFrame:
    parts = files_of_dataset(folder)
    if parts is None:
        if named:
            raise TableError(
                "The folder is no dataset that Hugging Face's `save_to_disk` wrote: it has neither "
                f"state.json nor dataset_dict.json. Received: path={str(folder)!r}"
            )
        _refuse_shards(folder)
        return read_table(folder)
    tables = {name: _opened(ArrowFileStore, files) for name, files in parts.items()}
    if None in tables:
        return tables[None]
    marked = [
        table if "split" in table else table.assign(split=name) for name, table in tables.items()
    ]
    return pd.concat(marked, ignore_index=True)


def _refuse_shards(folder: Path) -> None:
    # Read as a folder of pictures, it would be a table of something else.
    files = [one for one in folder.iterdir() if one.stem != "metadata"]
    endings = sorted({one.suffix.lower() for one in files} & set(_OPENERS))
    if endings:
        raise TableError(
            f"The folder holds {endings[0]} files, which a pattern names: "
            f"{str(folder / f'*{endings[0]}')!r}. Received: path={str(folder)!r}"
        )
