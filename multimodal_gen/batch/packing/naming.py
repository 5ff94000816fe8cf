"""Which files a name such as "shards-{000..031}.tar" stands for, and what is beside them."""

from __future__ import annotations

import os
import re
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from multimodal_gen.rows.stores.shards import expanded

FORMATS = {".parquet": "parquet", ".pq": "parquet", ".tar": "tar", ".lance": "lance"}
# Rows that a dataset of Lance gets at a time: what a killed process need not write again.
_LANCE_ROWS = 10_000


class Output(NamedTuple):
    """Where a packed table goes.

    Args:
        path: As it was given, and as `open_table` takes it.
        form: "parquet", "tar" or "lance".
        files: The files; of Lance the folder.
        manifest: Where it is kept what is done.
        skipped: The list of rows that were left out, if any were.
    """

    path: str
    form: str
    files: tuple[Path, ...]
    manifest: Path
    skipped: Path

    def pieces(self, rows: int) -> list[range]:
        """The rows of each file, as even as they can be; of Lance, of each part of it."""
        count = -(-rows // _LANCE_ROWS) if self.form == "lance" else len(self.files)
        if count > rows:
            raise ValueError(
                f"There must be at least a row for each file. Received: {rows:,} rows, "
                f"{count:,} files in out={self.path!r}"
            )
        bounds = [rows * place // count for place in range(count + 1)]
        return [range(low, high) for low, high in pairwise(bounds)]

    def said(self) -> str:
        """The format in words."""
        what = {"parquet": "parquet file", "tar": "tar shard", "lance": "dataset of Lance"}
        plural = "s" if len(self.files) > 1 else ""
        return f"{len(self.files):,} {what[self.form]}{plural}"


def output_of(out: str | os.PathLike[str]) -> Output:
    """What the name of an output stands for.

    Args:
        out: A path that ends in .parquet, .tar or .lance; for several files with a range in braces.

    Raises:
        ValueError: If it ends otherwise, or does not say how many files there are.
    """
    path = os.fspath(out)
    if "://" in path:
        raise ValueError(
            "A table is packed on a disk: copy the files from there, as with `aws s3 cp`. "
            f"Received: out={path!r}"
        )
    form = FORMATS.get(Path(path).suffix.lower())
    if form is None:
        raise ValueError(f"The output must end in {', '.join(FORMATS)}. Received: out={path!r}")
    if re.search(r"[*?\[\]]", path):
        stem = re.sub(r"[*?\[\]]+", "{000..031}", path, count=1)
        raise ValueError(
            f"The output must say how many files there are, as in {stem!r}. Received: out={path!r}"
        )
    files = tuple(map(Path, expanded(path)))
    if len(set(files)) < len(files):
        raise ValueError(f"The output must name each file once. Received: out={path!r}")
    if form == "lance" and len(files) > 1:
        raise ValueError(
            f"A dataset of Lance is one folder: name one. Received: {len(files)} in out={path!r}"
        )
    name = re.sub(r"[-_.]?\{[^{}]*\}", "", path)
    name = name if Path(name).suffix else f"{path.partition('{')[0]}packed{Path(path).suffix}"
    return Output(path, form, files, Path(f"{name}.pack.json"), Path(f"{name}.skipped.csv"))
