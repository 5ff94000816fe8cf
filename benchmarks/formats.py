"""Samples a second in shuffled epochs over one table in several formats, beside other libraries.

    python -m benchmarks.formats --rows 10000 --size 160

The same JPEG files are written as loose files and an Arrow file, and by `pack_table` as tar shards,
parquet and, where pylance is installed, a dataset of Lance. Each is read by the same sequence, two
threads, to pictures of 64x64. webdataset and datasets, where they are installed, read the tar
shards and the parquet file, each with two workers of torch's DataLoader, with Pillow and the same
resizing. Contestants take turns for several rounds; the figure is the median of each one's ratio to
loose files in its round.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from PIL import Image
from rich.console import Console
from rich.table import Table

import multimodal_gen as mg

SIDE = 64
BATCH = 64


def make_rows(folder: Path, rows: int, size: int) -> pd.DataFrame:
    """JPEG files of `size` pixels a side, with captions and labels."""
    rng = np.random.default_rng(0)
    found = []
    for row in range(rows):
        path = folder / f"{row:06}.jpg"
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), "uint8"))
        coarse.resize((size, size), Image.Resampling.BICUBIC).save(path, quality=90)
        found.append((str(path), f"a thing of kind {row % 7}", row % 5))
    return pd.DataFrame(found, columns=["image", "caption", "label"])


def write(loose: pd.DataFrame, folder: Path) -> dict[str, str]:
    """Format -> what `open_table` opens."""
    whole = loose.assign(image=[Path(one).read_bytes() for one in loose["image"]])
    table = pa.Table.from_pandas(whole)
    with pa.ipc.new_file(folder / "t.arrow", table.schema) as out:
        out.write_table(table, max_chunksize=1000)
    found = {"arrow": str(folder / "t.arrow")}
    names = {"tar": f"s-{{000..{min(len(loose), 10) - 1:03}}}.tar", "parquet": "t.parquet"}
    if importlib.util.find_spec("lance"):
        names["lance"] = "t.lance"
    for form, name in names.items():
        found[form] = str(folder / name)
        mg.pack_table(loose, found[form], [mg.ImageLoader("image", image_size=(SIDE, SIDE))])
    return found


def sequence_of(table: pd.DataFrame, loose: pd.DataFrame) -> mg.MultimodalSequence:
    """Pictures, captions and labels of a table."""
    return mg.MultimodalSequence(
        table,
        {
            "image": mg.ImageLoader("image", image_size=(SIDE, SIDE)),
            "caption": mg.TextLoader.from_texts(
                "caption", loose["caption"][:1000], sequence_length=8
            ),
        },
        mg.ClassLabel("label", range(5)),
        batch_size=BATCH,
        shuffle=True,
        seed=0,
        threads=2,
    )


def epochs_of(sequence: mg.MultimodalSequence) -> Iterator[int]:
    """Rows of an epoch each time, another epoch each time."""
    while True:
        yield sum(len(batch[1]) for batch in sequence)
        sequence.on_epoch_end()


def decoded(content: bytes) -> np.ndarray:
    """A picture as the sequence reads it, by Pillow."""
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(
            picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=3)
        )


def of_webdataset(pattern: str) -> Iterator[int]:
    """Epochs over tar shards by webdataset, shuffled among 1,000 samples, two workers."""
    import torch
    import webdataset as wds

    data = wds.WebDataset(pattern, shardshuffle=100).shuffle(1000).map(_webdataset_row)
    loader = torch.utils.data.DataLoader(data, batch_size=BATCH, num_workers=2)
    while True:
        yield sum(len(batch[1]) for batch in loader)


def _webdataset_row(sample: dict[str, Any]) -> tuple[np.ndarray, int, str]:
    about = json.loads(sample["json"])
    return decoded(sample["jpg"]), about["label"], about["caption"]


def of_datasets(path: str) -> Iterator[int]:
    """Shuffled epochs over parquet by datasets, two workers."""
    import datasets
    import torch

    data = datasets.load_dataset("parquet", data_files=path, split="train").with_format("numpy")
    loader = torch.utils.data.DataLoader(
        data.with_transform(_datasets_rows), batch_size=BATCH, num_workers=2, shuffle=True
    )
    while True:
        yield sum(len(batch["label"]) for batch in loader)


def _datasets_rows(rows: dict[str, Any]) -> dict[str, Any]:
    return {
        "image": [decoded(one) for one in rows["image"]],
        "label": rows["label"],
        "caption": rows["caption"],
    }


def measure(contestants: dict[str, Iterator[int]], rounds: int) -> dict[str, list[float]]:
    """Rows a second of each contestant in each round; the first epoch of each is not counted."""
    for epochs in contestants.values():
        next(epochs)
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, epochs in contestants.items():
            started = time.perf_counter()
            rows = next(epochs)
            rates[name].append(rows / (time.perf_counter() - started))
    return rates


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Print and return each contestant's ratio to loose files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=160, help="pixels a side of a picture")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        loose = make_rows(folder, chosen.rows, chosen.size)
        written = write(loose, folder)
        contestants = {"loose files": epochs_of(sequence_of(loose, loose))}
        for of, pattern in written.items():
            contestants[of] = epochs_of(sequence_of(mg.open_table(pattern), loose))
        others: dict[str, tuple[Callable[[str], Iterator[int]], str]] = {
            "webdataset": (of_webdataset, written["tar"]),
            "datasets": (of_datasets, written["parquet"]),
        }
        for other, (epochs, pattern) in others.items():
            if importlib.util.find_spec(other) and importlib.util.find_spec("torch"):
                contestants[other] = epochs(pattern)
        rates = measure(contestants, chosen.rounds)
    ratios = {
        name: statistics.median(
            own / base for own, base in zip(found, rates["loose files"], strict=True)
        )
        for name, found in rates.items()
    }
    table = Table("read from", "rows/s", "to loose files")
    for name, found in rates.items():
        table.add_row(name, f"{statistics.median(found):,.0f}", f"{ratios[name]:.2f}")
    Console().print(table)
    return ratios


if __name__ == "__main__":
    main()
