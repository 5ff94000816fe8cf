"""Epochs over pictures by webdataset, datasets, litdata or streaming, in a process of its own.

    python benchmarks/format_readers.py write LIBRARY SOURCE ROWS
    python benchmarks/format_readers.py read LIBRARY SOURCE SIDE BATCH DECODED

`benchmarks.formats` runs it, with an interpreter that has the library. To write is to pack the
files of ROWS, lines of JSON, in the format of litdata or streaming at SOURCE. To read is an epoch
for each line that comes in, answered by a line with the rows that were read and the seconds of
processor time, those of workers included. It imports nothing of this package, so that an
interpreter needs only the library, torch and Pillow. Each library reads as its documentation
advises: its own shuffling, its own loader, two workers, which stay from epoch to epoch where that
works. All decode and resize with Pillow. DECODED says how: "usual" by the calls that people write,
which decode every pixel; "ours" to the same pixels as `ImageLoader`, by the fewest calls.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WORKERS = 2
_FILTER = Image.Resampling.BILINEAR
# Begins a line that answers: libraries print lines of their own.
EPOCH = "epoch:"


class Decode:
    """The bytes of a file -> a picture of `side` pixels a side."""

    def __init__(self, side: int, usual: bool) -> None:
        self.size, self.usual = (side, side), usual

    def __call__(self, content: bytes) -> np.ndarray:
        """The picture, as uint8."""
        with Image.open(io.BytesIO(content)) as picture:
            if self.usual:
                return np.array(picture.convert("RGB").resize(self.size, _FILTER))
            picture.draft("RGB", self.size)
            return np.array(picture.resize(self.size, _FILTER, reducing_gap=1))

    def of_sample(self, sample: dict[str, Any]) -> dict[str, Any]:
        """A sample whose picture is decoded."""
        return {**sample, "image": self(sample["image"])}

    def of_columns(self, columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Columns whose pictures are decoded."""
        return {**columns, "image": [self(one) for one in columns["image"]]}

    def of_webdataset(self, sample: dict[str, Any]) -> dict[str, Any]:
        """The same of a sample of `pack_table`'s tar shards."""
        return {"image": self(sample["jpg"]), **json.loads(sample["json"])}


def processor_seconds() -> float:
    """Processor time of this process, and of those that it has started and their own."""
    seconds, numbers = 0.0, [os.getpid()]
    for number in numbers:
        with contextlib.suppress(OSError):
            for children in Path(f"/proc/{number}/task").glob("*/children"):
                numbers += map(int, children.read_text().split())
            # After the name in brackets: of it and of those that have ended, in ticks.
            fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
            seconds += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return seconds


def packed_sample(row: tuple[str, str, int]) -> dict[str, Any]:
    """A row of loose files with the bytes of its picture."""
    return {"image": Path(row[0]).read_bytes(), "caption": row[1], "label": row[2]}


def rows_of(path: str) -> list[tuple[str, str, int]]:
    """Picture, caption and label of each row."""
    return [tuple(json.loads(line)) for line in Path(path).read_text("utf-8").splitlines()]


def write_litdata(source: str, rows: str) -> None:
    """Chunks of 64 MB."""
    import litdata

    litdata.optimize(
        fn=packed_sample,
        inputs=rows_of(rows),
        output_dir=source,
        chunk_bytes="64MB",
        num_workers=WORKERS,
        start_method="fork",
        verbose=False,
    )


def write_streaming(source: str, rows: str) -> None:
    """Shards of 64 MB."""
    import streaming

    columns = {"image": "bytes", "caption": "str", "label": "int"}
    with streaming.MDSWriter(out=source, columns=columns) as out:
        for row in rows_of(rows):
            out.write(packed_sample(row))


def read_webdataset(source: str, decode: Decode, batch: int) -> Iterable[Any]:
    """Tar shards, shuffled by shards and among 1,000 samples."""
    import torch
    import webdataset

    data = webdataset.WebDataset(source, shardshuffle=100).shuffle(1000).map(decode.of_webdataset)
    return torch.utils.data.DataLoader(
        data, batch_size=batch, num_workers=WORKERS, persistent_workers=True
    )


def read_datasets(source: str, decode: Decode, batch: int) -> Iterable[Any]:
    """Parquet, once converted to Arrow and mapped, in any order."""
    import datasets
    import torch

    data = datasets.load_dataset("parquet", data_files=source, split="train").with_format("numpy")
    return torch.utils.data.DataLoader(
        data.with_transform(decode.of_columns),
        batch_size=batch,
        num_workers=WORKERS,
        shuffle=True,
        persistent_workers=True,
    )


def read_litdata(source: str, decode: Decode, batch: int) -> Iterable[Any]:
    """Chunks, shuffled by chunks and within each."""
    import litdata

    data = litdata.StreamingDataset(source, shuffle=True, transform=decode.of_sample)
    return litdata.StreamingDataLoader(data, batch_size=batch, num_workers=WORKERS)


def read_streaming(source: str, decode: Decode, batch: int) -> Iterable[Any]:
    """MDS shards, shuffled as the library chooses."""
    import streaming

    class Pictures(streaming.StreamingDataset):
        def __getitem__(self, at: Any) -> Any:
            return decode.of_sample(super().__getitem__(at))

    data = Pictures(local=source, shuffle=True, batch_size=batch)
    return streaming.StreamingDataLoader(data, batch_size=batch, num_workers=WORKERS)


def main(action: str, library: str, source: str, *rest: str) -> None:
    """Write, or read an epoch for each line that comes in."""
    function = globals()[f"{action}_{library}"]
    if action == "write":
        function(source, *rest)
        return
    side, batch, decoded = rest
    batches = function(source, Decode(int(side), decoded == "usual"), int(batch))
    for _ in sys.stdin:
        before = processor_seconds()
        rows = sum(len(one["image"]) for one in batches)
        print(EPOCH, rows, processor_seconds() - before, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
